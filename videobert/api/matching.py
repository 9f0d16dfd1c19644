"""How well texts fit videos: by the model's own vectors (`pretrain.contrastive_weight`), by the projection that the task
retrieval fitted, or by the alignment head."""

import sys
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from videobert.errors import UserError
from videobert.layout import ModelFolder
from videobert.model.predictor import Predictor
from videobert.model.processing_videobert import Ids, Video

if TYPE_CHECKING:
    from videobert.model.projection import Projection

Vectors = npt.NDArray[np.float32]


class Matcher:
    """Compares texts with videos."""

    def __init__(self, predictor: Predictor, files: ModelFolder):
        self.predictor, self.files = predictor, files
        self.warned = False

    @property
    def projection(self) -> "Projection":
        """What the task retrieval fitted to this model. Raises UserError when there is none, or one of another model."""
        found, why = self._projection
        if found is None:
            raise UserError(f"texts and videos cannot be compared without the projection: {why}")
        return found

    @property
    def has_vectors(self) -> bool:
        """Whether texts and videos have vectors that can be compared."""
        return self.predictor.has_vectors or self._projection[0] is not None

    @cached_property
    def _projection(self) -> "tuple[Projection | None, str]":
        """The projection, or None and why."""
        from videobert.model.projection import read_projection

        path = self.files.parts.projection
        why = (
            f"{path} is missing: run snakemake retrieval, or copy it from where the model was made; if it ran, the report says "
            "why it was not measured"
        )
        for path in [parts.projection for parts in self.files.places()]:
            if Path(path).exists():
                try:
                    return read_projection(Path(path), Path(self.files.folder)), ""
                except UserError as error:
                    why = str(error)
        return None, why

    def _warn(self) -> None:
        """Says once that there is no projection, and what that costs."""
        if not self.warned:
            self.warned = True
            print(
                f"the search goes without its projection: it takes longer and finds less. {self._projection[1]}",
                file=sys.stderr,
            )

    def embed(self, text: str) -> Vectors:
        """A text in the space that texts and videos share, (hidden_size,) float32, of length 1 or less."""
        if self.predictor.has_vectors:
            self._check_known(text, self._pieces)
            own: Vectors = self.predictor.vectors_of_texts([self.predictor.pieces(text)])[0]
            return own
        from videobert.model.projection import shared_texts

        self._check_known(text, self.projection.known)
        vector: Vectors = shared_texts(self.projection, [self.predictor.pieces(text)])[0]
        if not vector.any():
            raise UserError(f"every sentence has the words of {text!r}, so they find nothing: add one that tells more")
        return vector

    def summarise(self, videos: Sequence[Video]) -> Vectors:
        """What is kept of videos, to be compared with texts: their vectors, or the mean outputs over them, (n, hidden_size)."""
        from videobert.model.projection import mean_outputs

        if self.predictor.has_vectors:
            return self.predictor.vectors_of_videos(videos)
        return mean_outputs(self.predictor, videos)

    def project(self, summaries: Vectors) -> Vectors:
        """What `summarise` gives, in the space that videos share with texts, each of length 1."""
        if self.predictor.has_vectors:
            lengths = np.maximum(np.linalg.norm(summaries, axis=1, keepdims=True), 1e-9)
            own: Vectors = summaries / lengths
            return own
        from videobert.model.projection import shared_videos

        return shared_videos(self.projection, summaries)

    @property
    def _pieces(self) -> npt.NDArray[np.bool_]:
        """(V,): all but what stands for the unknown."""
        known: npt.NDArray[np.bool_] = np.arange(self.predictor.vocabulary.vocab_size) != self.predictor.unknown
        return known

    def alignments(self, texts: Sequence[str], videos: Sequence[Video]) -> Vectors:
        """The alignment head's logits, (texts, videos) float32, of texts and of videos."""
        from videobert.model.projection import alignments

        if not texts or not videos:
            return np.zeros((len(texts), len(videos)), np.float32)
        for text in texts:
            self._check_known(text, self._pieces)
        pairs = np.stack(np.meshgrid(np.arange(len(texts)), np.arange(len(videos)), indexing="ij"), -1).reshape(-1, 2)
        pieces = [self.predictor.pieces(text) for text in texts]
        return alignments(self.predictor, pieces, videos, pairs).reshape(len(texts), len(videos))

    def search(
        self, text: str, summaries: Vectors, clips: Callable[[], Sequence[Video]], top_k: int
    ) -> tuple[Vectors, Ids]:
        """(scores, rows) of the videos that the text fits best, best first.

        Args:
            text: what to look for.
            summaries: of the videos, (n, hidden_size).
            clips: gives the videos themselves, where their vectors cannot be compared.
            top_k: how many.
        """
        if self.has_vectors:
            scores = self.project(summaries) @ self.embed(text)
        else:
            self._warn()
            (scores,) = self.alignments([text], clips())
        rows = np.argsort(-scores, kind="stable")[:top_k]
        return scores[rows], rows

    def _check_known(self, text: str, known: npt.NDArray[np.bool_]) -> None:
        """Says which words of a text the model does not know, by its known pieces (V,). Raises UserError when it is all."""
        unknown = self.predictor.unknown_words(text, known)
        if not unknown:
            return
        near = "; ".join(
            f"{word} (nearest: {', '.join(self.predictor.nearest_words(word, known)) or 'none'})" for word in unknown
        )
        if len(unknown) == len(self.predictor.words(text)):
            raise UserError(f"the model knows no word of {text!r}, so nothing is found: it never met {near}")
        print(f"the model never met {near}; the search goes by the other words", file=sys.stderr)
