"""What the methods of `VideoBert` return."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Clips:
    """A video's clips of 1.5 s (or what the model was trained with), n of them.

    `start`, `end`: float64 (n,), seconds of the video. `features`: S3D's, float16 (n, dimension). `words`: the visual
    words, int32 (n,).
    """

    start: npt.NDArray[np.float64]
    end: npt.NDArray[np.float64]
    features: npt.NDArray[np.float16]
    words: npt.NDArray[np.int32]


@dataclass(frozen=True)
class Embedding:
    """A video in numbers: its clips, and `output`, the mean of the model's outputs at them, float32 (hidden_size,)."""

    clips: Clips
    output: npt.NDArray[np.float32]


@dataclass(frozen=True)
class NextWord:
    """A visual word that may follow: its number and probability; `path`, its branch at each level of the codebook's
    tree; and what the model calls it, the template filled for a video that shows this word alone."""

    word: int
    probability: float
    path: list[int]
    text: str


@dataclass(frozen=True)
class Found:
    """A segment of an index: the video, from `start` to `end` seconds, and how well the text fits it: the cosine of the
    stage retrieval's first stage, or, without its projection, the alignment head's logit."""

    video: str
    start: float
    end: float
    score: float
