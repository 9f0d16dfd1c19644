"""What a speech engine is: the contract that faster-whisper and openai-whisper keep, and others can.

A new engine is a module with an `EngineKind`, its entry in ENGINES (whisper.py), and its name among the values of
`TranscribeSettings.engine`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from videobert.errors import UserError
from videobert.speech.sentences import Heard

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Sound = npt.NDArray[np.float32]  # mono, 16 kHz


@dataclass(frozen=True)
class Whisper:
    """Which Whisper, and how it decodes: all that a loaded network is of."""

    engine: str  # a name of ENGINES (whisper.py)
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


@dataclass(frozen=True)
class EngineKind:
    """An engine before it is loaded."""

    find_weights: Callable[[str], Path]  # of a model's name or path: its file or folder, fetched; raises UserError
    has_gpu: Callable[[], bool]
    compute_types: Callable[[str], list[str]]  # those that it knows on a device; the first is what auto takes
    load: Callable[[Whisper], Engine]
    packages: tuple[str, ...]  # distributions whose version shapes what it hears
    sizes: Callable[[], list[str]] | None = None  # the names of its models; without them any name is taken
    # Whether nothing must be fetched for a model; known without importing the engine.
    is_here: Callable[[str], bool] = lambda model: Path(model).exists()


def check_language(model: str, language: str, known: list[str]) -> None:
    if language != "auto" and language not in known:
        raise UserError(
            f"transcribe.language: Whisper {Path(model).name} knows no {language!r}; it knows {', '.join(known)}"
        )
