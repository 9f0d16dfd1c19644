"""The pretraining's objectives, repeated on unseen videos.

How many masked words are found with the video and without it, how many masked visual words with the text and without it
(the same masks in both), and whether a text is told apart from another video's (section 3.2 of the paper).
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from videobert.evaluation.scoring import bounds, interval
from videobert.evaluation.steps import row_of_another_video
from videobert.evaluation.task import (
    EvaluateExecution,
    SeededSettings,
    TaskInputs,
    TaskOutputs,
    open_task,
    used_settings,
    write_task,
)
from videobert.model.predictor import Predictor
from videobert.model.processing_videobert import NO_TEXT, NO_VIDEO, Ids, Video, shorten
from videobert.model.sequences import Segments
from videobert.settings import PositiveShare, Settings

VERSION = 1


class ObjectivesSettings(Settings):
    """Masked accuracy and alignment on unseen videos."""

    mask_probability: PositiveShare = 0.15
    """Share of the tokens that are masked and predicted; 0.15 in BERT."""


def objectives(
    inputs: TaskInputs,
    outputs: TaskOutputs,
    settings: ObjectivesSettings,
    shared: SeededSettings,
    execution: EvaluateExecution,
) -> None:
    """Measure masked accuracy in both modalities, and alignment, on the test split."""
    task = open_task(inputs, shared, execution)
    predictor, segments, seed = task.predictor, task.test, shared.seed
    has_both = (np.diff(segments.text_offsets) > 0) & (np.diff(segments.video_offsets) > 0)
    pairs = np.flatnonzero(segments.paired & has_both)
    texts = [segments.text_of(row).astype(np.int64) for row in pairs]
    videos = [segments.video_of(row) for row in pairs]
    questions: dict[str, tuple[Sequence[Ids], Sequence[Video], int]] = {
        "text_given_video": (texts, videos, 0),
        "text_alone": (texts, [NO_VIDEO] * len(pairs), 0),
        "video_given_text": (texts, videos, 1),
        "video_alone": ([NO_TEXT] * len(pairs), videos, 1),
    }
    groups = segments.group[pairs]
    masked = {
        name: _masked(predictor, *question, settings.mask_probability, groups, seed)
        for name, question in questions.items()
    }
    alignment = _alignment(predictor, segments, pairs, seed)
    summary = {
        "masked": {
            key.replace("accuracy", name): result[key]
            for name, result in masked.items()
            for key in ("accuracy", "accuracy_interval", "no_interval")
            if key in result
        },
        "alignment": {
            name: alignment[name] for name in ("accuracy", "accuracy_interval", "no_interval") if name in alignment
        },
    }
    provenance = task.provenance("objectives", VERSION, used_settings(settings, shared))
    write_task(outputs.figures, provenance, summary, {"masked": masked, "alignment": alignment})


def _masked(
    predictor: Predictor,
    texts: Sequence[Ids],
    videos: Sequence[Video],
    type_: int,
    probability: float,
    groups: npt.NDArray[np.integer],
    seed: int,
) -> dict[str, Any]:
    """Top-1 accuracy at masks in one modality, `groups` (rows,) being the videos. The masks depend on seed and row only: with or
    without the other."""
    sequences, truths = [], []
    for row, (text, video) in enumerate(zip(texts, videos, strict=True)):
        # Cut before masking, as a pair, so that a long row asks the same question with and without its partner.
        text, video = shorten(text, video, predictor.model.config.max_position_embeddings)
        words = video.words if type_ else text
        random = np.random.default_rng([seed, type_, row])
        chosen = random.random(len(words)) < probability
        chosen[random.integers(len(words))] = True
        truths.append(words[chosen])
        if type_:
            video = video.masked(chosen)
        else:
            text = np.where(chosen, predictor.vocabulary.mask, text)
        sequences.append(predictor.sequence(text, video))
    if type_:
        answers = [answer.best(1)[0][:, 0] for answer in predictor.visual_answers(sequences)]
    else:
        answers = [answer.argmax(-1) for answer in predictor.log_probabilities(sequences)]
    found = [answer == truth for answer, truth in zip(answers, truths, strict=True)]
    if not found:
        return {"accuracy": None, "count": 0}
    right, videos_of_masks = np.concatenate(found), np.repeat(groups, [len(row) for row in found])
    return {
        "accuracy": float(right.mean()),
        **bounds("accuracy_interval", videos_of_masks, partial(interval, right.astype(float), videos_of_masks, seed)),
        "count": len(right),
    }


def _alignment(predictor: Predictor, segments: Segments, pairs: npt.NDArray[np.intp], seed: int) -> dict[str, Any]:
    """Each text with its own video and with one of another test video: balanced, so that chance is one half."""
    if len(np.unique(segments.group[pairs])) < 2:
        return {"accuracy": None, "count": 0, "skipped": "fewer than two test videos with speech"}
    random = np.random.default_rng([seed, 2])
    groups = segments.group[pairs]
    sequences = []
    for row in pairs:
        for partner in (row, row_of_another_video(segments.group, pairs, segments.group[row], random)):
            sequences.append(predictor.sequence(segments.text_of(row).astype(np.int64), segments.video_of(partner)))
    belongs = predictor.alignments(sequences).reshape(-1, 2) > 0
    right = belongs == [True, False]
    return {
        "accuracy": float(right.mean()),
        **bounds("accuracy_interval", groups, partial(interval, right.mean(1), groups, seed)),
        "own_accepted": float(belongs[:, 0].mean()),
        "other_rejected": float((~belongs[:, 1]).mean()),
        "count": belongs.size,
    }
