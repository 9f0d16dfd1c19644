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
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from videobert.evaluation.linear import PACKAGES, classify, mean_features
from videobert.evaluation.scoring import Ranked, accuracies, chance
from videobert.evaluation.steps import Step, clips_of_videos, read_steps, select_between, test_segments, with_tokens
from videobert.evaluation.task import NO_TRUTH, inputs_of, write_task
from videobert.model.predictor import Predictor
from videobert.model.sequences import read_segments, token_files

if TYPE_CHECKING:
    from videobert.model.modeling_videobert import VideoBertForPreTraining

VERSION = 1


def probe(
    pretrain: Path,
    tokens: Path,
    features: Path,
    manifest: Path,
    output: Path,
    annotations: str | None,
    regularisation: list[float],
    folds: int,
    batch_size: int,
    seed: int,
    threads: int,
    device: Literal["auto", "cpu", "cuda"] = "auto",
) -> None:
    """Train linear classifiers of verbs and objects on frozen features of annotated steps.

    Args:
        pretrain: folder of the model.
        tokens: folder of the token tables, one for each shard.
        features: folder of the S3D features that the tokens were made of, a Parquet file for each shard.
        manifest: the manifest, which names the shards and the videos' sources.
        output: probe.json.
        annotations: the steps: kitchen (the built-in corpus), or a TSV, CSV or Parquet file with the columns video_id,
            start, end (seconds), verb and object; null leaves the task out.
        regularisation: inverse strengths of the regularisation (scikit-learn's C) to choose from.
        folds: parts that the train videos are split in to choose it.
        batch_size: sequences in a batch.
        seed: seed of the untrained weights and of the intervals.
        threads: CPU threads.
        device: where to run; auto takes a GPU when there is one.
    """
    predictor = Predictor(pretrain, batch_size, device, threads)
    segments = test_segments(predictor, pretrain, tokens, manifest)
    inputs = inputs_of(pretrain, tokens, manifest, annotations)
    settings = {
        "seed": seed,
        "regularisation": regularisation,
        "folds": folds,
        "annotations": annotations and Path(annotations).name,
    }
    if annotations is None:
        write_task("probe", VERSION, output, {"probe": {"skipped": NO_TRUTH}}, {}, settings, inputs)
        return
    every, _ = read_steps(annotations, manifest)
    clips = clips_of_videos(segments)
    test = with_tokens(every, clips, annotations)
    clips_to_learn = clips_of_videos(read_segments(token_files(tokens, manifest), "train"))
    train = [step for step in every if step.video_id in clips_to_learn]
    clips |= clips_to_learn
    if not train:
        write_task("probe", VERSION, output, {"probe": {"skipped": NO_TRAIN_STEPS}}, {}, settings, inputs)
        return

    steps = train + test
    words = [select_between(*clips[step.video_id], step.start, step.end) for step in steps]
    vectors, inputs["features"] = mean_features(features, tokens, manifest, steps)
    cls, mean = _outputs(predictor, predictor.model, words)
    representations = {
        "videobert_cls": cls,
        "videobert_mean": mean,
        "s3d": vectors,
        "random_weights": _outputs(predictor, _untrained(predictor, seed), words)[1],
        "visual_words": _counts(words, len(train)),
    }
    labels = {part: sorted({getattr(step, part) for step in every}) for part in ("verb", "object")}
    results: dict[str, Any] = {
        "chance": chance(labels),
        "most_frequent": accuracies(test, _most_frequent(train, len(test)), seed),
    }
    chosen = {}
    for name, rows in representations.items():
        ranked, chosen[name] = classify(rows[: len(train)], train, rows[len(train) :], regularisation, folds, threads)
        results[name] = accuracies(test, ranked, seed)
    details = {
        "labels": labels,
        "train_steps": len(train),
        "train_counts": {part: dict(Counter(getattr(step, part) for step in train)) for part in labels},
        "regularisation": chosen,
    }
    write_task("probe", VERSION, output, {"probe": results}, details, settings, inputs, packages=PACKAGES)


NO_TRAIN_STEPS = "evaluate.annotations has no step of a train video with tokens: there is nothing to learn from"


def _outputs(
    predictor: Predictor, model: "VideoBertForPreTraining", words: list[np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """([CLS], the mean over the clips) of the model's outputs for each step's visual words alone, (steps, hidden_size)."""
    predictor = copy.copy(predictor)
    predictor.model = model
    none = np.empty(0, np.int64)
    sequences = [predictor.sequence(none, video + predictor.vocabulary.vocab_size) for video in words]
    cls, means = [], []
    for first, output in predictor.read(sequences):
        for hidden, (ids, _) in zip(output.last_hidden_state.float().cpu().numpy(), sequences[first:], strict=False):
            cls.append(hidden[0])
            means.append(hidden[: len(ids)][ids >= predictor.vocabulary.vocab_size].mean(0))
    return np.stack(cls).astype(np.float64), np.stack(means).astype(np.float64)


def _untrained(predictor: Predictor, seed: int) -> "VideoBertForPreTraining":
    """A model of the same shape that has learnt nothing."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return type(predictor.model)(predictor.model.config).eval().to(predictor.device)


def _counts(words: list[np.ndarray], train: int) -> Any:
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
