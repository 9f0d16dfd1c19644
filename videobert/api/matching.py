"""How well texts fit videos: by the projection that the stage retrieval fitted, or by the alignment head."""

import sys
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from videobert.api.answers import Found
from videobert.errors import UserError
from videobert.layout import ModelFolder
from videobert.model.predictor import Predictor

if TYPE_CHECKING:
    import pyarrow as pa

    from videobert.model.projection import Projection


class Matcher:
    """Finds the segments of videos that a text belongs to."""

    def __init__(self, predictor: Predictor, files: ModelFolder):
        self.predictor, self.files = predictor, files

    @cached_property
    def projection(self) -> "Projection | None":
        """What the stage retrieval fitted to this model; None when there is none, and what that costs is said, once."""
        from videobert.model.projection import read_projection

        why = f"{self.files.parts.projection} is missing: run snakemake retrieval, or copy it from where the model was made"
        for path in [Path(parts.projection) for parts in self.files.places()]:
            if path.exists():
                try:
                    return read_projection(path, Path(self.files.folder))
                except UserError as error:
                    why = str(error)
        print(f"the search goes without its projection: it takes longer and finds less. {why}", file=sys.stderr)
        return None

    def search(self, text: str, segments: "pa.Table", top: int) -> list[Found]:
        """The `top` segments of an index's table that the text belongs to, best first."""
        from videobert.model.projection import alignments, nearest, projected, text_vectors

        ids = self.predictor.pieces(text)
        if projection := self.projection:
            outputs = np.array(segments["vector"].combine_chunks().flatten()).reshape(len(segments), -1)
            self._check_known(text, projection.known)
            query = text_vectors(projection, [ids])
            if not query.any():
                raise UserError(
                    f"every sentence has the words of {text!r}, so they find nothing: add one that tells more"
                )
            (scores,), (rows,) = nearest(query, projected(projection, outputs), top)
        else:
            self._check_known(text, np.arange(self.predictor.vocabulary.vocab_size) != self.predictor.unknown)
            videos = [self.predictor.joint(np.array(words)) for words in segments["words"].to_pylist()]
            pairs = np.stack([np.zeros(len(videos), np.int64), np.arange(len(videos))], axis=1)
            logits = alignments(self.predictor, [ids], videos, pairs)
            rows = np.argsort(-logits, kind="stable")[:top]
            scores = logits[rows]
        found = segments.select(["video", "start", "end"]).take(rows).to_pylist()
        return [Found(**row, score=float(score)) for row, score in zip(found, scores, strict=True)]

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
