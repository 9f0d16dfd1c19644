"""The sound of a video: its sentences, spoken by a text-to-speech model (hibari-tts, ONNX) over the noise of a room."""

import random
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from videobert.kitchen.script import Script

SAMPLE_RATE = 24_000


def speed(number: int) -> float:
    """How fast the voice of this video speaks, relative to its own pace."""
    return random.Random(f"kitchen speed {number}").uniform(0.88, 1.04)


@cache
def load_voice() -> Any:
    """The text-to-speech model; one thread, so that its numbers are the same on every run."""
    import hibari

    return hibari.Hibari(voice="heart", threads=1)


def sound(script: Script) -> npt.NDArray[np.float32]:
    """The sound track: float32 mono, 24 kHz; the sentences in a room with some noise, only the noise if silent."""
    noise = np.random.default_rng(script.number)
    count = round(script.duration * SAMPLE_RATE)
    hiss = noise.standard_normal(count, np.float32)
    hum = np.convolve(hiss, np.ones(48, np.float32) / 48, "same")  # a room is duller than white noise
    track = noise.uniform(0.4, 1.6) * (0.0006 * hiss + 0.006 * hum)
    for i, spoken in enumerate(script.spoken):
        speech = load_voice()(spoken.sentence, speed=speed(script.number), seed=1000 * script.number + i)
        speech = speech[int(0.3 * SAMPLE_RATE) : -int(0.5 * SAMPLE_RATE)]  # the model's own silence
        start = round(spoken.speech_start * SAMPLE_RATE)
        track[start : start + len(speech)] += 0.9 * speech[: count - start]
    return np.clip(track, -1, 1)
