"""Speech to sentences: what is said in a video, and when.

The paper splits the ASR of a video into sentences with punctuation and cuts the video by the sentences' times
(section 4.1). Here Whisper writes punctuated words with times, through faster-whisper or openai-whisper, or a video's
captions are read; one splitter makes sentences of either, so that the engines are interchangeable.

Only speech is shown to Whisper: a voice activity detector (Silero, as shipped with faster-whisper) cuts out the rest,
in which Whisper would invent text, and the times are mapped back. Decoding is greedy or by beam at temperature 0,
each window by itself: sampling and carried-over text would make a transcript depend on chance and on one early error.
What Whisper says is believed only if its own figures allow (`doubt`); what is dropped is counted in the ledger, and a
sentence keeps the figures it was believed by, so that a stricter choice needs no second run.

A video is heard in windows of minutes, one in memory at a time, however long it is.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from videobert.data.ledger import completed, process_videos, remove_journal
from videobert.data.provenance import make_provenance, sha256, write_table
from videobert.errors import VideoError
from videobert.media.decoding import audio
from videobert.speech.captions import caption_words
from videobert.speech.sentences import DROPPED, Segment, Word, credible, sentence_row, sentences
from videobert.speech.weights import ctranslate2_folder, openai_checkpoint
from videobert.speech.whisper import WINDOW, choose_compute_type, choose_device, load_engine, transcribe_windows

VERSION = 2


def transcribe(
    download: Path,
    output: Path,
    ledger: Path,
    engine: Literal["faster-whisper", "openai-whisper", "captions"],
    model: str,
    language: str,
    beam_size: int,
    device: Literal["auto", "cpu", "cuda"],
    compute_type: str,
    threads: int,
) -> None:
    """Turns one shard's speech into sentences with times.

    Args:
        download: the shard's download ledger, beside the media.
        output: Parquet file to write, a row per sentence: video_id, start, end (seconds), text, language, and by what
            it was believed (null where there is no figure): language_probability, probability (mean of its words), and
            the worst of the segments it was heard in, avg_logprob, no_speech_prob, compression_ratio.
        ledger: Parquet file to write, a row per video: status ok, no_audio, no_speech, other_language, no_captions or
            unusable; of those that are ok the number of sentences, and how many of Whisper's segments and sentences
            (for the language, windows of some minutes) were dropped as no_speech, improbable, repetition or language,
            or cues of captions as malformed.
        engine: faster-whisper, openai-whisper (the same networks, slower, in PyTorch), or captions (no ASR: the
            captions that came with a video).
        model: Whisper size (tiny.en, base, ..., large-v3), or path of weights in the engine's form.
        language: language spoken ("en"): what is in another is dropped, where the model is multilingual or the captions
            say what they are; or "auto" to keep every language.
        beam_size: beams of the search; 1 is greedy.
        device: where Whisper runs; auto takes a GPU if there is one.
        compute_type: numbers Whisper computes in: auto (faster-whisper int8 and openai-whisper float32 on a CPU,
            float16 on a GPU), or one that engine and device know (int8, float16, float32, ...).
        threads: CPU threads of the engine.
    """
    import pyarrow as pa

    settings: dict[str, Any] = {"engine": engine, "language": language}
    packages, facts = (), {}
    if engine == "captions":

        def words(video: dict[str, Any], dropped: Counter) -> Iterator[Word]:
            return _captioned(download.parent, video, language, dropped)

    else:
        device = choose_device(engine, device)
        compute_type = choose_compute_type(engine, device, compute_type)
        weights = ctranslate2_folder(model) if engine == "faster-whisper" else openai_checkpoint(model)
        settings |= {"model": Path(model).name, "beam_size": beam_size, "compute_type": compute_type}
        facts = {"weights_sha256": sha256(weights / "model.bin" if weights.is_dir() else weights)}
        packages = ("faster-whisper", "ctranslate2" if engine == "faster-whisper" else "openai-whisper", "av")

        def words(video: dict[str, Any], dropped: Counter) -> Iterator[Word]:
            network = load_engine(engine, weights, model, language, beam_size, device, compute_type, threads)
            return transcribe_windows(audio(download.parent / video["path"], WINDOW), *network, language, dropped)

    def work(video: dict[str, Any]) -> tuple[dict[str, Any], "pa.Table"]:
        dropped: Counter[str] = Counter()
        believed = credible(map(sentence_row, sentences(words(video, dropped))), dropped)
        rows = [{"video_id": video["video_id"], **row} for row in believed]
        remark = ", ".join(f"{dropped[why]} {why}" for why in DROPPED if dropped[why])
        if not rows and dropped["language"]:
            raise VideoError("other_language", f"what is said in it is not in {language}; dropped: {remark}")
        if not rows:
            lack = f"nothing heard in it can be believed; dropped: {remark}" if remark else "nothing is said in it"
            raise VideoError("no_speech", lack)
        counts = {f"dropped_{why}": dropped[why] for why in DROPPED}
        facts = {"reason": f"dropped: {remark}" if remark else "", "sentences": len(rows), **counts}
        return facts, pa.Table.from_pylist(rows, schema=schema)

    figures = ("language_probability", "probability", "avg_logprob", "no_speech_prob", "compression_ratio")
    schema = pa.schema(
        {"video_id": pa.string(), "start": pa.float64(), "end": pa.float64(), "text": pa.string()}
        | {"language": pa.string()}
        | dict.fromkeys(figures, pa.float64())
    )
    counts = pa.schema(dict.fromkeys(["sentences", *(f"dropped_{why}" for why in DROPPED)], pa.int32()))
    provenance = make_provenance("transcribe", VERSION, settings, {"download": download}, packages, **facts)
    journal = output.parent / ".journal" / output.stem
    rows, table = process_videos(completed(download), work, journal, provenance, counts, schema)
    write_table(rows, ledger, provenance)
    write_table(table, output, provenance)
    remove_journal(journal)


# --- Whisper ---


# --- captions ---


def _captioned(folder: Path, video: dict[str, Any], language: str, dropped: Counter) -> Iterator[Word]:
    if not video["captions"]:
        raise VideoError("no_captions", "no captions came with it")
    path = folder / video["captions"]
    tag = path.suffixes[-2][1:] if len(path.suffixes) > 1 else "und"  # {video_id}.{language}.vtt
    spoken = tag.split("-")[0]
    if spoken != "und" and language not in ("auto", spoken):
        raise VideoError("other_language", f"its captions are in {tag}, transcribe.language is {language}")
    words, dropped["malformed"] = caption_words(path, video["duration"])
    if not words:
        raise VideoError("no_captions", "its captions hold no text")
    segment = Segment(spoken, None, None, None, None)
    for text, start, end in words:
        yield Word(text, start, end, None, segment)
