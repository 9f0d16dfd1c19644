"""Speech to sentences: what is said in a video, and when.

The paper splits the ASR of a video into sentences with punctuation and cuts the video by the sentences' times
(section 4.1). Here Whisper writes punctuated words with times, through faster-whisper or openai-whisper, or a video's
captions are read; one splitter makes sentences of either, so that the engines are interchangeable.

Only speech is shown to Whisper: a voice activity detector (Silero, as shipped with faster-whisper) cuts out the rest,
in which Whisper would invent text, and the times are mapped back. Decoding is greedy or by beam at temperature 0,
each window by itself: sampling and carried-over text would make a transcript depend on chance and on one early error.
"""

import html
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from videobert import media
from videobert.artefact import made_by, sha256, write_table
from videobert.errors import Loss, UserError
from videobert.ledger import each, finish, ok
from videobert.whisper_weights import ctranslate2_folder, openai_checkpoint

if TYPE_CHECKING:
    import numpy as np

VERSION = 1

RATE = 16000  # samples per second, Whisper's
PAD = 200  # milliseconds kept around speech; Whisper starts the first word there, so no more than it needs
SHORTEST = 250  # milliseconds of a voice; a chord's onset passes for one for less (Silero's own default)
PAUSE = 1.0  # seconds of silence that end a sentence without punctuation
LONGEST = 64  # words; ASR without punctuation must end somewhere, and so must the model's input

Word = tuple[str, float, float]  # text (with the space before it, where the script has one), start, end


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
        output: Parquet file to write, a row per sentence: video_id, start, end (seconds), text.
        ledger: Parquet file to write, a row per video: status ok, no_audio, no_speech, no_captions or unusable.
        engine: faster-whisper, openai-whisper (the same networks, slower, in PyTorch), or captions (no ASR: the
            captions that came with a video).
        model: Whisper size (tiny.en, base, ..., large-v3), or path of weights in the engine's form.
        language: language spoken ("en"), or "auto" to detect it video by video.
        beam_size: beams of the search; 1 is greedy.
        device: where Whisper runs; auto takes a GPU if there is one.
        compute_type: numbers Whisper computes in: auto (faster-whisper int8 and openai-whisper float32 on a CPU,
            float16 on a GPU), or one that engine and device know (int8, float16, float32, ...).
        threads: CPU threads of the engine.
    """
    import pyarrow as pa

    settings: dict[str, Any] = {"engine": engine}
    packages, facts = (), {}
    if engine == "captions":

        def words(video: dict[str, Any]) -> list[Word]:
            return _captioned(download.parent, video)

    else:
        device = _device(engine, device)
        compute_type = _compute_type(engine, device, compute_type)
        weights = ctranslate2_folder(model) if engine == "faster-whisper" else openai_checkpoint(model)
        settings |= {
            "model": Path(model).name,
            "language": language,
            "beam_size": beam_size,
            "compute_type": compute_type,
        }
        facts = {"weights_sha256": sha256(weights / "model.bin" if weights.is_dir() else weights)}
        packages = ("faster-whisper", "ctranslate2" if engine == "faster-whisper" else "openai-whisper", "av")

        def words(video: dict[str, Any]) -> list[Word]:
            listen = _engine(engine, weights, model, language, beam_size, device, compute_type, threads)
            return _spoken(media.audio(download.parent / video["path"]), listen)

    def work(video: dict[str, Any]) -> tuple[dict[str, Any], "pa.Table"]:
        rows = [
            {"video_id": video["video_id"], "start": start, "end": end, "text": text}
            for text, start, end in sentences(words(video))
        ]
        if not rows:
            raise Loss("no_speech", "nothing is said in it, as far as the engine can tell")
        return {}, pa.Table.from_pylist(rows, schema=schema)

    schema = pa.schema({"video_id": pa.string(), "start": pa.float64(), "end": pa.float64(), "text": pa.string()})
    made = made_by("transcribe", VERSION, settings, {"download": download}, packages, **facts)
    journal = output.parent / ".journal" / output.stem
    rows, table = each(ok(download), work, journal, made, pa.schema([]), schema)
    write_table(rows, ledger, made)
    write_table(table, output, made)
    finish(journal)


def sentences(words: list[Word]) -> Iterator[Word]:
    """Joins words into sentences (text, start, end): one ends at . ? !, at a pause, or when it grows too long."""
    sentence: list[Word] = []
    for word in words:
        if sentence and (word[1] - sentence[-1][2] > PAUSE or len(sentence) == LONGEST):
            yield from _joined(sentence)
            sentence = []
        sentence.append(word)
        if re.search(r"""[.?!…。？！]["'”’)\]]*$""", word[0]):
            yield from _joined(sentence)
            sentence = []
    yield from _joined(sentence)


def _joined(words: list[Word]) -> Iterator[Word]:
    text = " ".join("".join(word[0] for word in words).split())
    if any(character.isalnum() for character in text):
        yield text, round(words[0][1], 3), round(max(word[2] for word in words), 3)


# --- Whisper ---


def _spoken(audio: "np.ndarray", listen) -> list[Word]:
    """Words of float32 mono 16 kHz `audio`: the parts with speech, end to end, go to `listen`."""
    import numpy as np
    from faster_whisper.vad import SpeechTimestampsMap, VadOptions, get_speech_timestamps

    speech = get_speech_timestamps(audio, VadOptions(speech_pad_ms=PAD, min_speech_duration_ms=SHORTEST))
    if not speech:
        return []
    times = SpeechTimestampsMap(speech, RATE, time_precision=3)
    words = []
    for text, start, end in listen(np.concatenate([audio[part["start"] : part["end"]] for part in speech])):
        # By its middle, a word belongs to one part; its ends may stick out of it by a rounding.
        part = times.get_chunk_index((start + end) / 2)
        words.append((text, times.get_original_time(start, part), times.get_original_time(end, part)))
    return words


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
):
    """A function from audio to an iterator of words, with the network loaded."""
    spoken = None if language == "auto" else language
    if engine == "faster-whisper":
        from faster_whisper import WhisperModel

        network = WhisperModel(str(weights), device=device, compute_type=compute_type, cpu_threads=threads)
        _check_language(model, language, network.supported_languages)

        def listen(audio: "np.ndarray") -> Iterator[Word]:
            segments, _ = network.transcribe(
                audio,
                language=spoken,
                beam_size=beam_size,
                temperature=0.0,
                condition_on_previous_text=False,
                word_timestamps=True,
            )
            for segment in segments:
                if _said(segment.avg_logprob, segment.no_speech_prob, segment.compression_ratio):
                    yield from ((word.word, float(word.start), float(word.end)) for word in segment.words)

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
        _check_language(model, language, list(whisper.tokenizer.LANGUAGES) if network.is_multilingual else ["en"])

        def listen(audio: "np.ndarray") -> Iterator[Word]:
            result = network.transcribe(
                audio,
                language=spoken,
                beam_size=beam_size if beam_size > 1 else None,  # None is greedy
                temperature=0.0,
                condition_on_previous_text=False,
                word_timestamps=True,
                fp16=compute_type == "float16",
            )
            for segment in result["segments"]:
                if _said(segment["avg_logprob"], segment["no_speech_prob"], segment["compression_ratio"]):
                    yield from ((word["word"], float(word["start"]), float(word["end"])) for word in segment["words"])

    return listen


def _said(avg_logprob: float, no_speech_prob: float, compression_ratio: float) -> bool:
    """Whether Whisper's text of a window can be believed.

    By Whisper's own bounds a window failed when its text is improbable or repeats itself; it would be sampled again at
    a higher temperature, and here it is dropped. So is a guess of middling probability where it hears no speech: to
    music that passed for a voice it says "Thank you." and "Oh".
    """
    failed = avg_logprob < -1.0 or compression_ratio > 2.4
    return not failed and not (no_speech_prob > 0.6 and avg_logprob < -0.5)


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


def _captioned(folder: Path, video: dict[str, Any]) -> list[Word]:
    if not video["captions"]:
        raise Loss("no_captions", "no captions came with it")
    cues = read_captions(folder / video["captions"])
    if not cues:
        raise Loss("no_captions", "its captions hold no text")
    return [word for cue in cues for word in _spread(*cue)]


def read_captions(path: Path) -> list[Word]:
    """The cues of a WebVTT or SubRip file in order of time, as (text, start, end), without markup."""
    clock = r"(?:(\d+):)?(\d+):(\d+)[.,](\d{3})"
    cues = []
    for block in re.split(r"\n\s*\n", "\n".join(path.read_text("utf-8-sig", errors="replace").splitlines())):
        # The time line parts what is said from a cue's number or name; notes and styles have none.
        time = re.search(rf"^\s*{clock}\s*-->\s*{clock}.*$", block, re.MULTILINE)
        if time is None:
            continue
        first, last = (
            int(h or 0) * 3600 + int(m) * 60 + int(s) + int(ms) / 1000
            for h, m, s, ms in (time.groups()[:4], time.groups()[4:])
        )
        # <i>, <00:01.500>, {\an8}; [music], ♪: not speech. Entities last, or "&lt;b&gt;" would become a tag.
        text = re.sub(r"<[^>]*>|\{\\[^}]*\}|\[[^\]]*\]|♪", " ", block[time.end() :])
        text = " ".join(html.unescape(text).split())
        if text and last >= first:
            cues.append((text, first, last))
    return sorted(cues, key=lambda cue: cue[1:])


def _spread(text: str, start: float, end: float) -> Iterator[Word]:
    """A cue's words, its time shared out by their characters."""
    words = text.split()
    rate = (end - start) / sum(len(word) for word in words)
    for word in words:
        yield f" {word}", start, start + rate * len(word)
        start += rate * len(word)
