"""Whisper: speech in windows of sound to words with times, through faster-whisper or openai-whisper.

Only speech is shown to Whisper: a voice activity detector (Silero, as shipped with faster-whisper) cuts out the rest,
in which Whisper would invent text, and the times are mapped back. Decoding is greedy or by beam at temperature 0, each
window by itself: sampling and carried-over text would make a transcript depend on chance and on one early error.
"""

from collections import Counter
from collections.abc import Iterator
from functools import cache
from itertools import chain, pairwise
from typing import TYPE_CHECKING

from videobert.errors import UserError
from videobert.media.decoding import SAMPLE_RATE
from videobert.speech.engine import Engine, Whisper
from videobert.speech.faster_whisper_engine import FASTER_WHISPER
from videobert.speech.openai_whisper_engine import OPENAI_WHISPER
from videobert.speech.sentences import PAUSE, Segment, Word

if TYPE_CHECKING:
    from videobert.speech.engine import Sound


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


ENGINES = {"faster-whisper": FASTER_WHISPER, "openai-whisper": OPENAI_WHISPER}


@cache
def load_engine(whisper: Whisper) -> Engine:
    """The network, loaded once in a process."""
    return ENGINES[whisper.engine].load(whisper)


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
    gpu = ENGINES[engine].has_gpu()
    if device == "cuda" and not gpu:
        raise UserError("transcribe.device: there is no GPU that the engine can use; set it to auto or cpu")
    return "cuda" if gpu else "cpu"


def choose_compute_type(engine: str, device: str, compute_type: str) -> str:
    known = ENGINES[engine].compute_types(device)
    if compute_type == "auto":
        return known[0]
    if compute_type not in known:
        raise UserError(f"transcribe.compute_type: {engine} on {device} knows auto, {', '.join(sorted(known))}")
    return compute_type
