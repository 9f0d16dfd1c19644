"""Zero-shot classification, the paper's test of whether words mean what is seen (section 4.2, table 1).

For each annotated step the template "now let me show you how to [MASK] the [MASK]" is put before the step's visual
words; the first mask ranks the verbs, the second the objects. It is asked four times: by chance, of the text alone
(language prior), with the video of a step of another video (shuffled), and with the step's own (cross-modal).

A label of several word pieces gets as many masks as pieces, and the mean of their log-probabilities ranks it.
"""

from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import numpy as np

from videobert.errors import UserError
from videobert.judge import (
    NO_TRUTH,
    TOP,
    Judge,
    Ranked,
    accuracies,
    chance,
    clips_of_videos,
    inputs_of,
    of_another_video,
    read_steps,
    test_segments,
    with_tokens,
    words_between,
    write_task,
)

VERSION = 1


def zero_shot(
    pretrain: Path,
    tokens: Path,
    manifest: Path,
    output: Path,
    annotations: str | None,
    template: str,
    batch_size: int,
    seed: int,
    threads: int,
    device: Literal["auto", "cpu", "cuda"] = "auto",
) -> None:
    """Classify the verb and the object of annotated steps without training for it.

    Args:
        pretrain: folder of the model.
        tokens: folder of the token tables, one for each shard.
        manifest: the manifest, which names the shards and the videos' sources.
        output: zero_shot.json.
        annotations: the steps: kitchen (the built-in corpus), or a TSV, CSV or Parquet file with the columns video_id,
            start, end (seconds), verb and object; null leaves the task out.
        template: the sentence with two [MASK], for the verb and the object.
        batch_size: sequences in a batch.
        seed: seed of the shuffled pairs and of the intervals.
        threads: CPU threads.
        device: where to run; auto takes a GPU when there is one.
    """
    if template.count("[MASK]") != 2:
        raise UserError(f"zero_shot.template must have [MASK] twice, for the verb and the object: {template!r}")
    judge = Judge(pretrain, batch_size, device, threads)
    segments = test_segments(judge, pretrain, tokens, manifest)
    inputs = inputs_of(pretrain, tokens, manifest, annotations)
    settings = {"seed": seed, "template": template, "annotations": annotations and Path(annotations).name}
    if annotations is None:
        write_task("zero_shot", VERSION, output, {"zero_shot": {"skipped": NO_TRUTH}}, {}, settings, inputs)
        return
    every, splits = read_steps(annotations, manifest)
    labels = {part: sorted({getattr(step, part) for step in every}) for part in ("verb", "object")}
    train = {(step.verb, step.object) for step in every if splits.get(step.video_id) == "train"}
    clips = clips_of_videos(segments)
    steps = with_tokens(every, clips, annotations)
    videos = [words_between(*clips[step.video_id], step.start, step.end) + judge.words.words for step in steps]
    groups = np.array([sorted(clips).index(step.video_id) for step in steps])
    conditions = {"language_prior": [video[:0] for video in videos], "cross_modal": videos}
    if len(np.unique(groups)) > 1:
        random = np.random.default_rng([seed, 3])
        others = [of_another_video(groups, np.arange(len(steps)), group, random) for group in groups]
        conditions["shuffled_video"] = [videos[other] for other in others]

    ranks = {name: _ranked(judge, template, labels, words) for name, words in conditions.items()}
    known = [(step.verb, step.object) in train for step in steps] if train else None
    results: dict[str, Any] = {"chance": chance(labels)}
    for name, ranking in ranks.items():
        results[name] = accuracies(steps, ranking, seed)
    if known:
        for name, wanted in (("seen", True), ("held_out", False)):
            chosen = [index for index, is_known in enumerate(known) if is_known == wanted]
            if chosen:
                part = {label: [ranking[index] for index in chosen] for label, ranking in ranks["cross_modal"].items()}
                results[f"cross_modal_{name}"] = accuracies([steps[index] for index in chosen], part, seed)
    predictions = [
        {
            **asdict(step),
            **({"seen": known[index]} if known else {}),
            **{name: {label: ranked[index][:TOP] for label, ranked in ranks[name].items()} for name in ranks},
        }
        for index, step in enumerate(steps)
    ]

    details = {
        "labels": labels,
        "results": results,
        "left_out": sum(splits.get(step.video_id) == "test" for step in every) - len(steps),
        "predictions": predictions,
    }
    write_task("zero_shot", VERSION, output, {"zero_shot": results}, details, settings, inputs)


def _ranked(judge: Judge, template: str, labels: dict[str, list[str]], videos: list[np.ndarray]) -> Ranked:
    """For each video, (label, probability among the labels) of the verbs and of the objects, best first."""
    ranked = {}
    for slot, (part, names) in enumerate(labels.items()):
        pieces = [judge.pieces(name) for name in names]
        scores = np.empty((len(videos), len(names)))
        for count in sorted({len(piece) for piece in pieces}):
            text = _fill(judge, template, slot, count)
            answers = judge.log_probabilities([judge.sequence(text, video) for video in videos], 0)
            # The masks of this slot: the other slot always has one, before or after.
            answers = np.stack([answer[:count] if slot == 0 else answer[-count:] for answer in answers])
            for index, piece in enumerate(pieces):
                if len(piece) == count:
                    scores[:, index] = answers[:, np.arange(count), piece].mean(1)
        shares = np.exp(scores - scores.max(axis=1, keepdims=True))
        shares /= shares.sum(axis=1, keepdims=True)
        order = np.argsort(-scores, axis=1, kind="stable")
        ranked[part] = [
            [(names[index], float(share[index])) for index in row] for row, share in zip(order, shares, strict=True)
        ]
    return ranked


def _fill(judge: Judge, template: str, slot: int, count: int) -> np.ndarray:
    """The template's ids, with `count` masks in this slot and one in the other."""
    before, between, after = (judge.pieces(part) for part in template.split("[MASK]"))
    masks = [np.full(count if slot == place else 1, judge.words.mask) for place in (0, 1)]
    return np.concatenate([before, masks[0], between, masks[1], after]).astype(np.int64)
