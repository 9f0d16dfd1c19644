"""Speech to sentences: what is said in a video, and when.

The paper splits the ASR of a video into sentences with punctuation and cuts the video by the sentences' times
(section 4.1). Here Whisper writes punctuated words with times, through faster-whisper or openai-whisper, or a video's
captions are read; one splitter makes sentences of either, so that the engines are interchangeable.

Only speech is shown to Whisper: a voice activity detector (Silero, as shipped with faster-whisper) cuts out the rest,
in which Whisper would invent text, and the times are mapped back. Decoding is greedy or by beam at temperature 0,
each window by itself: sampling and carried-over text would make a transcript depend on chance and on one early error.
What Whisper says is believed only if its own figures allow (`_doubt`); what is dropped is counted in the ledger, and a
sentence keeps the figures it was believed by, so that a stricter choice needs no second run.

A video is heard in windows of minutes, one in memory at a time, however long it is.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from itertools import chain, groupby, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from videobert import media
from videobert.artefact import made_by, sha256, write_table
from videobert.captions import caption_words
from videobert.errors import Loss, UserError
from videobert.ledger import each, finish, ok
from videobert.media import SAMPLE_RATE
from videobert.whisper_weights import ctranslate2_folder, openai_checkpoint

if TYPE_CHECKING:
    import numpy as np

VERSION = 2

WINDOW = 120  # seconds heard at a time; 300 take 100 MB more and no less time
PAD = 200  # milliseconds kept around speech; Whisper starts the first word there, so no more than it needs
SHORTEST = 250  # milliseconds of a voice; a chord's onset passes for one for less (Silero's own default)
PAUSE = 1.0  # seconds of silence that are cut out, and that end a sentence without punctuation
SURE = 0.6  # mean probability of a sentence's words: clear speech has 0.8 to 1, a babble of eight voices 0.2 to 0.8
LONGEST = 64  # words; ASR without punctuation must end somewhere, and so must the model's input

# Why a segment of Whisper's, or a cue of captions, was not believed; the ledger counts each.
DROPPED = ("no_speech", "improbable", "repetition", "language", "malformed")


class Segment(NamedTuple):
    """What Whisper says of the stretch of sound that a word was heard in; of captions, the language alone."""

    language: str
    language_probability: float | None  # None: not asked, since an English-only model hears nothing else
    avg_logprob: float | None
    no_speech_prob: float | None
    compression_ratio: float | None


class Word(NamedTuple):
    """A word, with the space before it where the script has one; seconds; how sure Whisper is of it."""

    text: str
    start: float
    end: float
    probability: float | None
    segment: Segment


# What an engine makes of sound: the segments, each with its words.
Heard = Iterator[tuple[Segment, list[Word]]]


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
        device = _device(engine, device)
        compute_type = _compute_type(engine, device, compute_type)
        weights = ctranslate2_folder(model) if engine == "faster-whisper" else openai_checkpoint(model)
        settings |= {"model": Path(model).name, "beam_size": beam_size, "compute_type": compute_type}
        facts = {"weights_sha256": sha256(weights / "model.bin" if weights.is_dir() else weights)}
        packages = ("faster-whisper", "ctranslate2" if engine == "faster-whisper" else "openai-whisper", "av")

        def words(video: dict[str, Any], dropped: Counter) -> Iterator[Word]:
            network = _engine(engine, weights, model, language, beam_size, device, compute_type, threads)
            return _spoken(media.audio(download.parent / video["path"], WINDOW), *network, language, dropped)

    def work(video: dict[str, Any]) -> tuple[dict[str, Any], "pa.Table"]:
        dropped: Counter[str] = Counter()
        believed = _believed(map(_row, sentences(words(video, dropped))), dropped)
        rows = [{"video_id": video["video_id"], **row} for row in believed]
        remark = ", ".join(f"{dropped[why]} {why}" for why in DROPPED if dropped[why])
        if not rows and dropped["language"]:
            raise Loss("other_language", f"what is said in it is not in {language}; dropped: {remark}")
        if not rows:
            lack = f"nothing heard in it can be believed; dropped: {remark}" if remark else "nothing is said in it"
            raise Loss("no_speech", lack)
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
    made = made_by("transcribe", VERSION, settings, {"download": download}, packages, **facts)
    journal = output.parent / ".journal" / output.stem
    rows, table = each(ok(download), work, journal, made, counts, schema)
    write_table(rows, ledger, made)
    write_table(table, output, made)
    finish(journal)


def sentences(words: Iterator[Word]) -> Iterator[list[Word]]:
    """Parts words into sentences: one ends at . ? !, at a pause, or when it grows too long."""
    sentence: list[Word] = []
    for word in words:
        if sentence and (word.start - sentence[-1].end > PAUSE or len(sentence) == LONGEST):
            yield from _saying(sentence)
            sentence = []
        sentence.append(word)
        if re.search(r"""[.?!…。？！]["'”’)\]]*$""", word.text):
            yield from _saying(sentence)
            sentence = []
    yield from _saying(sentence)


def _saying(words: list[Word]) -> Iterator[list[Word]]:
    if any(character.isalnum() for word in words for character in word.text):
        yield words


def _believed(rows: Iterator[dict[str, Any]], dropped: Counter) -> Iterator[dict[str, Any]]:
    """The sentences without those that Whisper is unsure of, as in a crowd, and without what is said again and again."""
    for _, group in groupby(rows, key=lambda row: row["text"].casefold()):
        run = list(group)
        if len(run) > 1:
            dropped["repetition"] += len(run)
        elif run[0]["probability"] is not None and run[0]["probability"] < SURE:
            dropped["improbable"] += 1
        else:
            yield run[0]


def _row(words: list[Word]) -> dict[str, Any]:
    """A sentence's row: what is said and when, and the worst figures of the segments that it was heard in."""
    sure = [word.probability for word in words if word.probability is not None]

    def worst(choose: Callable, figure: str) -> float | None:
        known = [value for word in words if (value := getattr(word.segment, figure)) is not None]
        return choose(known) if known else None

    return {
        "start": round(words[0].start, 3),
        "end": round(max(word.end for word in words), 3),
        "text": " ".join("".join(word.text for word in words).split()),
        "language": words[0].segment.language,
        "language_probability": worst(min, "language_probability"),
        "probability": sum(sure) / len(sure) if sure else None,
        "avg_logprob": worst(min, "avg_logprob"),
        "no_speech_prob": worst(max, "no_speech_prob"),
        "compression_ratio": worst(max, "compression_ratio"),
    }


# --- Whisper ---


def _spoken(
    windows: "Iterator[tuple[int, np.ndarray]]",
    detect: "Callable[[np.ndarray], tuple[str, float]] | None",
    listen: "Callable[[np.ndarray, str], Heard]",
    language: str,
    dropped: Counter,
) -> Iterator[Word]:
    """The words that are believed: of each window the parts with speech, end to end, go to `listen`."""
    import numpy as np
    from faster_whisper.vad import SpeechTimestampsMap

    for begin, sound, parts in _voiced(windows):
        speech = np.concatenate([sound[part["start"] : part["end"]] for part in parts])
        spoken, probability = detect(speech) if detect else ("en", None)
        if probability is not None and (probability < 0.5 or language not in ("auto", spoken)):
            dropped["improbable" if probability < 0.5 else "language"] += 1
            continue
        times = SpeechTimestampsMap(parts, SAMPLE_RATE, time_precision=3)
        for segment, words in listen(speech, spoken):
            if doubt := _doubt(segment):
                dropped[doubt] += 1
                continue
            segment = segment._replace(language_probability=probability)
            for word in words:
                # By its middle, a word belongs to one part; its ends may stick out of it by a rounding.
                part = times.get_chunk_index((word.start + word.end) / 2)
                start, end = (begin / SAMPLE_RATE + times.get_original_time(at, part) for at in word[1:3])
                yield word._replace(start=start, end=end, segment=segment)


def _voiced(windows: "Iterator[tuple[int, np.ndarray]]") -> "Iterator[tuple[int, np.ndarray, list[dict[str, int]]]]":
    """The windows with speech: (place of the first sample, sound, start and end of each part in which somebody speaks).

    Speech at the end of a window is held back and heard with the next one, so that no word is cut. A part is at most
    half a window long (then it ends in a short pause), so that what is held back does not grow.
    """
    import numpy as np
    from faster_whisper.vad import VadOptions, get_speech_timestamps

    options = VadOptions(
        speech_pad_ms=PAD,
        min_speech_duration_ms=SHORTEST,
        max_speech_duration_s=WINDOW / 2,
        min_silence_duration_ms=round(1000 * PAUSE),
    )
    held, begin = np.empty(0, np.float32), 0
    for (place, window), following in pairwise(chain(windows, [None])):
        begin = begin if len(held) else place
        sound, held = np.concatenate([held, window]), held[:0]
        parts = get_speech_timestamps(sound, options)
        if following and following[0] == place + len(window):
            cut = max(len(sound) - SAMPLE_RATE, 0)  # a word may begin in the last second, too late to be noticed
            if parts and parts[-1]["end"] > cut:
                cut = parts.pop()["start"]
            held = sound[cut:].copy()
        if parts:
            yield begin, sound, parts
        begin += len(sound) - len(held)


@cache
def _engine(
    engine: str,
    weights: Path,
    model: str,
    language: str,
    beam_size: int,
    device: str,
    compute_type: str,
    threads: int,
) -> "tuple[Callable[[np.ndarray], tuple[str, float]] | None, Callable[[np.ndarray, str], Heard]]":
    """The loaded network as two functions: the language of sound (None: it knows English only), and what is said."""
    # Whisper's own bounds are off, since what they drop is not counted: see `_doubt`.
    options = {"temperature": 0.0, "condition_on_previous_text": False, "word_timestamps": True}
    options |= {"compression_ratio_threshold": None, "no_speech_threshold": None}
    if engine == "faster-whisper":
        from faster_whisper import WhisperModel

        network = WhisperModel(str(weights), device=device, compute_type=compute_type, cpu_threads=threads)
        _check_language(model, language, network.supported_languages)
        multilingual = network.model.is_multilingual

        def detect(audio: "np.ndarray") -> tuple[str, float]:
            return network.detect_language(audio)[:2]

        def listen(audio: "np.ndarray", spoken: str) -> Heard:
            segments, _ = network.transcribe(
                audio, language=spoken, beam_size=beam_size, log_prob_threshold=None, **options
            )
            for said in segments:
                segment = Segment(spoken, None, said.avg_logprob, said.no_speech_prob, said.compression_ratio)
                yield (
                    segment,
                    [
                        Word(word.word, float(word.start), float(word.end), float(word.probability), segment)
                        for word in said.words
                    ],
                )

    else:
        import numpy as np
        import torch
        import whisper
        from whisper.timing import dtw_cpu

        # The first call of this function, compiled by numba, gives the OpenMP that torch shares a thread for each core
        # of the machine: it is made here, before the number that was asked for is set.
        dtw_cpu(np.zeros((1, 1)))
        torch.set_num_threads(threads)
        # By its name, a network also gets the attention heads known to follow the words best.
        name = model if model in whisper.available_models() else str(weights)
        network = whisper.load_model(name, device=device, download_root=str(weights.parent))
        multilingual = network.is_multilingual
        _check_language(model, language, list(whisper.tokenizer.LANGUAGES) if multilingual else ["en"])
        half = compute_type == "float16"

        def detect(audio: "np.ndarray") -> tuple[str, float]:
            sound = whisper.log_mel_spectrogram(whisper.pad_or_trim(audio), network.dims.n_mels).to(network.device)
            probabilities = network.detect_language(sound.half() if half else sound)[1]
            return max(probabilities.items(), key=lambda item: item[1])

        def listen(audio: "np.ndarray", spoken: str) -> Heard:
            beams = beam_size if beam_size > 1 else None  # None is greedy
            result = network.transcribe(
                audio, language=spoken, beam_size=beams, logprob_threshold=None, fp16=half, **options
            )
            for said in result["segments"]:
                segment = Segment(spoken, None, said["avg_logprob"], said["no_speech_prob"], said["compression_ratio"])
                yield (
                    segment,
                    [
                        Word(
                            word["word"], float(word["start"]), float(word["end"]), float(word["probability"]), segment
                        )
                        for word in said["words"]
                    ],
                )

    return detect if multilingual else None, listen


def _doubt(segment: Segment) -> str | None:
    """Why Whisper's text of a segment is not believed, if it is not.

    By Whisper's own bounds a text that repeats itself or is improbable has failed; it would be sampled again at a higher
    temperature, and here it is dropped. So is a guess of middling probability where it hears no speech: to music that
    passed for a voice it says "Thank you." and "Oh".
    """
    if segment.compression_ratio > 2.4:
        return "repetition"
    if segment.no_speech_prob > 0.6 and segment.avg_logprob < -0.5:
        return "no_speech"
    return "improbable" if segment.avg_logprob < -1.0 else None


def _device(engine: str, device: str) -> str:
    if device == "cpu":
        return device
    if engine == "faster-whisper":
        from ctranslate2 import get_cuda_device_count

        gpu = get_cuda_device_count() > 0
    else:
        from torch.cuda import is_available

        gpu = is_available()
    if device == "cuda" and not gpu:
        raise UserError("transcribe.device: there is no GPU that the engine can use; set it to auto or cpu")
    return "cuda" if gpu else "cpu"


def _compute_type(engine: str, device: str, compute_type: str) -> str:
    if engine == "faster-whisper":
        from ctranslate2 import get_supported_compute_types

        known = sorted(get_supported_compute_types(device))
        chosen = "float16" if device == "cuda" else "int8"
    else:
        known = ["float16", "float32"] if device == "cuda" else ["float32"]
        chosen = known[0]
    if compute_type == "auto":
        return chosen
    if compute_type not in known:
        raise UserError(f"transcribe.compute_type: {engine} on {device} knows auto, {', '.join(known)}")
    return compute_type


def _check_language(model: str, language: str, known: list[str]) -> None:
    if language != "auto" and language not in known:
        raise UserError(
            f"transcribe.language: Whisper {Path(model).name} knows no {language!r}; it knows {', '.join(known)}"
        )


# --- captions ---


def _captioned(folder: Path, video: dict[str, Any], language: str, dropped: Counter) -> Iterator[Word]:
    if not video["captions"]:
        raise Loss("no_captions", "no captions came with it")
    path = folder / video["captions"]
    tag = path.suffixes[-2][1:] if len(path.suffixes) > 1 else "und"  # {video_id}.{language}.vtt
    spoken = tag.split("-")[0]
    if spoken != "und" and language not in ("auto", spoken):
        raise Loss("other_language", f"its captions are in {tag}, transcribe.language is {language}")
    words, dropped["malformed"] = caption_words(path, video["duration"])
    if not words:
        raise Loss("no_captions", "its captions hold no text")
    segment = Segment(spoken, None, None, None, None)
    for text, start, end in words:
        yield Word(text, start, end, None, segment)
