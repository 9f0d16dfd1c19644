"""Ranking verbs and objects at the masks of a template (section 4.2 of the paper)."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from videobert.evaluation.scoring import Ranked
from videobert.model.predictor import Predictor
from videobert.model.processing_videobert import NO_VIDEO, Video


def without_video(predictor: Predictor, template: str, labels: dict[str, list[str]], count: int) -> Ranked:
    """The same ranking for each of `count` steps: without a video all ask the same."""
    return {part: ranked * count for part, ranked in rank_labels(predictor, template, labels, [NO_VIDEO]).items()}


def rank_labels(predictor: Predictor, template: str, labels: dict[str, list[str]], videos: Sequence[Video]) -> Ranked:
    """For each video, (label, probability among the labels) of the verbs and of the objects, best first."""
    ranked = {}
    for slot, (part, names) in enumerate(labels.items()):
        pieces = [predictor.pieces(name) for name in names]
        scores = np.empty((len(videos), len(names)))
        for count in sorted({len(piece) for piece in pieces}):
            text = _fill(predictor, template, slot, count)
            answers = predictor.log_probabilities([predictor.sequence(text, video) for video in videos])
            # The masks of this slot: the other slot always has one, before or after.
            masked = np.stack([answer[:count] if slot == 0 else answer[-count:] for answer in answers])
            for index, piece in enumerate(pieces):
                if len(piece) == count:
                    scores[:, index] = masked[:, np.arange(count), piece].mean(1)
        shares = np.exp(scores - scores.max(axis=1, keepdims=True))
        shares /= shares.sum(axis=1, keepdims=True)
        order = np.argsort(-scores, axis=1, kind="stable")
        ranked[part] = [
            [(names[index], float(share[index])) for index in row] for row, share in zip(order, shares, strict=True)
        ]
    return ranked


def _fill(predictor: Predictor, template: str, slot: int, count: int) -> npt.NDArray[np.int64]:
    """The template's ids, with `count` masks in this slot and one in the other."""
    before, between, after = (predictor.pieces(part) for part in template.split("[MASK]"))
    masks = [np.full(count if slot == place else 1, predictor.vocabulary.mask) for place in (0, 1)]
    return np.concatenate([before, masks[0], between, masks[1], after]).astype(np.int64)
