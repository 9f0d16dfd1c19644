"""Whisper: speech in windows of sound to words with times, through faster-whisper or openai-whisper.

Only speech is shown to Whisper: a voice activity detector (Silero, as shipped with faster-whisper) cuts out the rest,
in which Whisper would invent text, and the times are mapped back. Decoding is greedy or by beam at temperature 0, each
window by itself: sampling and carried-over text would make a transcript depend on chance and on one early error.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import chain, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from videobert.errors import UserError
from videobert.media.decoding import SAMPLE_RATE
from videobert.speech.sentences import PAUSE, Heard, Segment, Word

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Sound = npt.NDArray[np.float32]


WINDOW = 120  # seconds heard at a time; 300 take 100 MB more and no less time


PAD = 200  # milliseconds kept around speech; Whisper starts the first word there, so no more than it needs


SHORTEST = 250  # milliseconds of a voice; a chord's onset passes for one for less (Silero's own default)


def transcribe_windows(
    windows: "Iterator[tuple[int, Sound]]",
    engine: "Engine",
    language: str,
    dropped: Counter[str],
) -> Iterator[Word]:
    """The words that are believed: of each window the parts with speech, end to end, go to the engine."""
    import numpy as np
    from faster_whisper.vad import SpeechTimestampsMap

    for begin, sound, parts in voiced(windows):
        speech = np.concatenate([sound[part["start"] : part["end"]] for part in parts])
        spoken, probability = engine.detect(speech) if engine.detect else ("en", None)
        if probability is not None and (probability < 0.5 or language not in ("auto", spoken)):
            dropped["improbable" if probability < 0.5 else "language"] += 1
            continue
        times = SpeechTimestampsMap(parts, SAMPLE_RATE, time_precision=3)
        for segment, words in engine.listen(speech, spoken):
            if reason := doubt(segment):
                dropped[reason] += 1
                continue
            segment = segment._replace(language_probability=probability)
            for word in words:
                # By its middle, a word belongs to one part; its ends may stick out of it by a rounding.
                part = times.get_chunk_index((word.start + word.end) / 2)
                start, end = (begin / SAMPLE_RATE + times.get_original_time(at, part) for at in word[1:3])
                yield word._replace(start=start, end=end, segment=segment)


def voiced(windows: "Iterator[tuple[int, Sound]]") -> "Iterator[tuple[int, Sound, list[dict[str, int]]]]":
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
    for current, following in pairwise(chain(windows, [None])):
        assert current  # the None comes last
        place, window = current
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


@dataclass(frozen=True)
class Whisper:
    """Which Whisper, and how it decodes: all that a loaded network is of."""

    engine: str  # faster-whisper or openai-whisper
    weights: Path
    model: str
    language: str
    beam_size: int
    device: str
    compute_type: str
    threads: int


class Engine(NamedTuple):
    """A loaded network as two functions: the language of sound (None: it knows English only), and what is spoken."""

    detect: "Callable[[Sound], tuple[str, float]] | None"
    listen: "Callable[[Sound, str], Heard]"


# Whisper's own bounds are off, since what they drop is not counted: see `doubt`.
DECODING = {
    "temperature": 0.0,
    "condition_on_previous_text": False,
    "word_timestamps": True,
    "compression_ratio_threshold": None,
    "no_speech_threshold": None,
}


@cache
def load_engine(whisper: Whisper) -> Engine:
    """The network, loaded once in a process."""
    return (_faster_whisper if whisper.engine == "faster-whisper" else _openai_whisper)(whisper)


def _faster_whisper(whisper: Whisper) -> Engine:
    from faster_whisper import WhisperModel

    network = WhisperModel(
        str(whisper.weights),
        device=whisper.device,
        compute_type=whisper.compute_type,
        cpu_threads=whisper.threads,
    )
    _check_language(whisper.model, whisper.language, network.supported_languages)

    def detect(audio: "Sound") -> tuple[str, float]:
        spoken, probability, *_ = network.detect_language(audio)
        return spoken, probability

    def listen(audio: "Sound", language: str) -> Heard:
        segments, _ = network.transcribe(
            audio, language=language, beam_size=whisper.beam_size, log_prob_threshold=None, **DECODING
        )
        for found in segments:
            segment = Segment(language, None, found.avg_logprob, found.no_speech_prob, found.compression_ratio)
            words = found.words
            yield (
                segment,
                [
                    Word(word.word, float(word.start), float(word.end), float(word.probability), segment)
                    for word in words
                ],
            )

    return Engine(detect if network.model.is_multilingual else None, listen)


def _openai_whisper(whisper_: Whisper) -> Engine:
    import numpy as np
    import torch
    import whisper
    from whisper.timing import dtw_cpu

    # The first call of this function, compiled by numba, gives the OpenMP that torch shares a thread for each core of the
    # machine: it is made here, before the number that was asked for is set.
    dtw_cpu(np.zeros((1, 1)))
    torch.set_num_threads(whisper_.threads)
    # By its name, a network also gets the attention heads known to follow the words best.
    name = whisper_.model if whisper_.model in whisper.available_models() else str(whisper_.weights)
    network = whisper.load_model(name, device=whisper_.device, download_root=str(whisper_.weights.parent))
    known = list(whisper.tokenizer.LANGUAGES) if network.is_multilingual else ["en"]
    _check_language(whisper_.model, whisper_.language, known)
    half = whisper_.compute_type == "float16"

    def detect(audio: "Sound") -> tuple[str, float]:
        sound = whisper.log_mel_spectrogram(whisper.pad_or_trim(audio), network.dims.n_mels).to(network.device)
        probabilities: dict[str, float] = network.detect_language(sound.half() if half else sound)[1]
        return max(probabilities.items(), key=lambda item: item[1])

    def listen(audio: "Sound", language: str) -> Heard:
        beams = whisper_.beam_size if whisper_.beam_size > 1 else None  # None is greedy
        result = network.transcribe(
            audio, language=language, beam_size=beams, logprob_threshold=None, fp16=half, **DECODING
        )
        for found in result["segments"]:
            figures = (found["avg_logprob"], found["no_speech_prob"], found["compression_ratio"])
            segment = Segment(language, None, *figures)
            words = [
                Word(word["word"], float(word["start"]), float(word["end"]), float(word["probability"]), segment)
                for word in found["words"]
            ]
            yield segment, words

    return Engine(detect if network.is_multilingual else None, listen)


def doubt(segment: Segment) -> str | None:
    """Why Whisper's text of a segment is not believed, if it is not.

    By Whisper's own bounds a text that repeats itself or is improbable has failed; it would be sampled again at a higher
    temperature, and here it is dropped. So is a guess of middling probability where it hears no speech: to music that
    passed for a voice it says "Thank you." and "Oh".
    """
    probable, silent, repetitive = segment.avg_logprob, segment.no_speech_prob, segment.compression_ratio
    if probable is None or silent is None or repetitive is None:
        return None  # Whisper did not write it
    if repetitive > 2.4:
        return "repetition"
    if silent > 0.6 and probable < -0.5:
        return "no_speech"
    return "improbable" if probable < -1.0 else None


def choose_device(engine: str, device: str) -> str:
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


def choose_compute_type(engine: str, device: str, compute_type: str) -> str:
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
