"""What the methods of `VideoBert` return."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from videobert.errors import UserError
from videobert.model.processing_videobert import Video


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

    @property
    def video(self) -> Video:
        """As the model reads it."""
        return Video(self.words, self.features)

    def __repr__(self) -> str:
        span = f"{self.start[0]:g} to {self.end[-1]:g} s, " if len(self.start) else ""
        return f"Clips({len(self.words)} clips, {span}features {self.features.shape})"


@dataclass(frozen=True)
class Embedding:
    """A video in numbers: its clips, and `output`, the mean of the model's outputs at them, float32 (hidden_size,)."""

    clips: Clips
    output: npt.NDArray[np.float32]
    projected: npt.NDArray[np.float32] | None = field(repr=False)

    @property
    def vector(self) -> npt.NDArray[np.float32]:
        """The output in the space that texts and videos share, float32 (hidden_size,), of length 1. Its dot product with the
        vector of `VideoBert.embed_text` is the score of `similarity` and `search`.

        Raises UserError when the model has no projection.
        """
        if self.projected is None:
            raise UserError("the model has no projection for texts and videos: run snakemake retrieval --cores all")
        return self.projected

    def __repr__(self) -> str:
        vector = "" if self.projected is None else f", vector {self.projected.shape}"
        return f"Embedding({self.clips!r}, output {self.output.shape}{vector})"


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
    """A segment of an index: the video, from `start` to `end` seconds, and how well the text fits it.

    `score`: the cosine of `VideoBert.similarity`, at most 1; or, without the projection, the alignment head's logit, above
    0 when text and video belong together. `title`: of the video, where the list or the site gives one, else "". `path`: of
    its file, "" where there is none.
    """

    video: str
    start: float
    end: float
    score: float
    title: str = ""
    path: str = ""
