"""Linear probes: how much of an action can be read off frozen representations of it?

A logistic regression learns the verb, and another the object, of the annotated steps of the train videos, and is scored
on those of the test videos. It is given VideoBERT's outputs for the step's visual words ([CLS], or the mean over the
clips), S3D's features (their mean: table 1's supervised baseline), the same encoder with weights that nobody trained, or
the bare visual words, counted. What the probe finds in VideoBERT beyond the untrained weights is what pretraining put
there, and what its visual embeddings had of the codebook's centroids, where they started from those: the untrained
table is random. What it finds in S3D beyond the visual words is what the codebook rounds off.

Every representation is of the same clips, standardised, and gets its own strength of regularisation, by cross-validation
over train videos.
"""

import copy
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from videobert.evaluation.linear import PACKAGES, ProbeSettings, classify, mean_features
from videobert.evaluation.scoring import Ranked, accuracies, chance
from videobert.evaluation.steps import Step, Track, select_between
from videobert.evaluation.task import (
    NO_TRUTH,
    AnnotatedSettings,
    EvaluateExecution,
    FeatureInputs,
    Task,
    TaskOutputs,
    open_task,
    used_settings,
    write_task,
)
from videobert.model.predictor import Predictor
from videobert.model.processing_videobert import NO_TEXT, Ids, Video

if TYPE_CHECKING:
    from videobert.model.modeling_videobert import VideoBertForPreTraining

VERSION = 1


def probe(
    inputs: FeatureInputs,
    outputs: TaskOutputs,
    settings: ProbeSettings,
    shared: AnnotatedSettings,
    execution: EvaluateExecution,
) -> None:
    """Train linear classifiers of verbs and objects on frozen features of annotated steps."""
    task = open_task(inputs, shared, execution)
    provenance = task.provenance("probe", VERSION, used_settings(settings, shared), PACKAGES)
    if shared.annotations is None:
        return write_task(outputs.figures, provenance, {"probe": {"skipped": NO_TRUTH}}, {})
    clips, clips_to_learn = task.clips("test"), task.clips("train")
    test = task.steps_with(clips)
    train = [step for step in task.steps if step.video_id in clips_to_learn]
    if not train:
        return write_task(outputs.figures, provenance, {"probe": {"skipped": NO_TRAIN_STEPS}}, {})
    labels = {part: sorted({getattr(step, part) for step in task.steps}) for part in ("verb", "object")}
    results: dict[str, Any] = {
        "chance": chance(labels),
        "most_frequent": accuracies(test, _most_frequent(train, len(test)), shared.seed),
    }
    chosen = {}
    for name, rows in _representations(task, train, test, clips | clips_to_learn, shared.seed).items():
        learn, ask = rows[: len(train)], rows[len(train) :]
        ranked, chosen[name] = classify(learn, train, ask, settings.regularisation, settings.folds, execution.threads)
        results[name] = accuracies(test, ranked, shared.seed)
    details = {
        "labels": labels,
        "train_steps": len(train),
        "train_counts": {part: dict(Counter(getattr(step, part) for step in train)) for part in labels},
        "regularisation": chosen,
    }
    return write_task(outputs.figures, provenance, {"probe": results}, details)


def _representations(
    task: Task, train: list[Step], test: list[Step], clips: dict[str, Track], seed: int
) -> dict[str, Any]:
    """By name, (steps, dimension): what the classifiers are given of the train steps and, after them, the test steps."""
    assert task.features  # of FeatureInputs
    steps, predictor = train + test, task.predictor
    videos = [select_between(*clips[step.video_id], step.start, step.end) for step in steps]
    cls, mean = _outputs(predictor, predictor.model, videos)
    return {
        "videobert_cls": cls,
        "videobert_mean": mean,
        "s3d": mean_features(task.features, steps),
        "random_weights": _outputs(predictor, _untrained(predictor, seed), videos)[1],
        "visual_words": _counts([video.words for video in videos], len(train)),
    }


NO_TRAIN_STEPS = "evaluate.annotations has no step of a train video with tokens: there is nothing to learn from"


def _outputs(
    predictor: Predictor, model: "VideoBertForPreTraining", videos: Sequence[Video]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """([CLS], the mean over the clips) of the model's outputs for each step's clips alone, (steps, hidden_size)."""
    predictor = copy.copy(predictor)
    predictor.model = model
    sequences = [predictor.sequence(NO_TEXT, video) for video in videos]
    cls, means = [], []
    for first, output in predictor.read(sequences):
        for hidden, (ids, *_) in zip(output.last_hidden_state.float().cpu().numpy(), sequences[first:], strict=False):
            cls.append(hidden[0])
            means.append(hidden[: len(ids)][ids >= predictor.vocabulary.vocab_size].mean(0))
    return np.stack(cls).astype(np.float64), np.stack(means).astype(np.float64)


def _untrained(predictor: Predictor, seed: int) -> "VideoBertForPreTraining":
    """A model of the same shape that has learnt nothing."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model: VideoBertForPreTraining = type(predictor.model)(predictor.model.config).eval().to(predictor.device)
    return model


def _counts(words: Sequence[Ids], train: int) -> Any:
    """How often each visual word of the train steps is in a step, (steps, words), sparse."""
    from sklearn.feature_extraction.text import CountVectorizer

    return CountVectorizer(analyzer=np.ndarray.tolist).fit(words[:train]).transform(words)


def _most_frequent(train: list[Step], count: int) -> Ranked:
    ranked = {}
    for part in ("verb", "object"):
        names = Counter(getattr(step, part) for step in train)
        best = sorted(names, key=lambda name: (-names[name], name))
        ranked[part] = [[(name, names[name] / len(train)) for name in best]] * count
    return ranked
