"""Zero-shot classification, the paper's test of whether words mean what is seen (section 4.2, table 1).

For each annotated step the template "now let me show you how to [MASK] the [MASK]" is put before the step's visual
words; the first mask ranks the verbs, the second the objects. Table 1's rows, from no knowledge to all: chance; a BERT
that has seen no video; VideoBERT without the video (language prior), with the video of a step of another video
(shuffled) and with the step's own (cross-modal); and a linear classifier of S3D's features that was trained for it.

A label of several word pieces gets as many masks as pieces, and the mean of their log-probabilities ranks it. Wording
moves the figures, so several templates can be asked: the first one's are the figures, and beside them stand mean and
spread over all.
"""

from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import numpy as np

from videobert.errors import UserError
from videobert.evaluation.linear import PACKAGES, classify, mean_features
from videobert.evaluation.ranking import rank_labels, without_video
from videobert.evaluation.scoring import TOP, accuracies, chance
from videobert.evaluation.steps import (
    clips_of_videos,
    read_steps,
    row_of_another_video,
    select_between,
    test_segments,
    with_tokens,
)
from videobert.evaluation.task import NO_TRUTH, inputs_of, write_task
from videobert.model.initial_model import load, sha256
from videobert.model.predictor import Predictor
from videobert.model.sequences import Vocabulary, read_segments, token_files

VERSION = 3


def zero_shot(
    pretrain: Path,
    tokens: Path,
    features: Path,
    manifest: Path,
    output: Path,
    annotations: str | None,
    templates: list[str],
    text_model: str | None,
    regularisation: list[float],
    folds: int,
    batch_size: int,
    seed: int,
    threads: int,
    device: Literal["auto", "cpu", "cuda"] = "auto",
) -> None:
    """Classify the verb and the object of annotated steps without training for it.

    Args:
        pretrain: folder of the model.
        tokens: folder of the token tables, one for each shard.
        features: folder of the S3D features that the tokens were made of, for the supervised row.
        manifest: the manifest, which names the shards and the videos' sources.
        output: zero_shot.json.
        annotations: the steps: kitchen (the built-in corpus), or a TSV, CSV or Parquet file with the columns video_id,
            start, end (seconds), verb and object; null leaves the task out.
        templates: sentences with two [MASK], for the verb and the object. The figures are of the first.
        text_model: a BERT that has seen no video, with a head for masked words: a name on the model hub or a folder;
            none: no such row.
        regularisation: of the supervised row; see probe.
        folds: of the supervised row; see probe.
        batch_size: sequences in a batch.
        seed: seed of the shuffled pairs and of the intervals.
        threads: CPU threads.
        device: where to run; auto takes a GPU when there is one.
    """
    for template in templates:
        if template.count("[MASK]") != 2:
            raise UserError(f"zero_shot.templates: each must have [MASK] twice, for verb and object: {template!r}")
    predictor = Predictor(pretrain, batch_size, device, threads)
    segments = test_segments(predictor, pretrain, tokens, manifest)
    inputs = inputs_of(pretrain, tokens, manifest, annotations)
    settings = {
        "seed": seed,
        "templates": templates,
        "text_model": text_model and (Path(text_model).resolve().name if Path(text_model).is_dir() else text_model),
        "regularisation": regularisation,
        "folds": folds,
        "annotations": annotations and Path(annotations).name,
    }
    if annotations is None:
        write_task("zero_shot", VERSION, output, {"zero_shot": {"skipped": NO_TRUTH}}, {}, settings, inputs)
        return
    bert = TextBert(text_model, batch_size, predictor.device) if text_model else None
    every, splits = read_steps(annotations, manifest)
    labels = {part: sorted({getattr(step, part) for step in every}) for part in ("verb", "object")}
    pairs = {(step.verb, step.object) for step in every if splits.get(step.video_id) == "train"}
    clips = clips_of_videos(segments)
    steps = with_tokens(every, clips, annotations)
    videos = [
        select_between(*clips[step.video_id], step.start, step.end) + predictor.vocabulary.vocab_size for step in steps
    ]
    groups = np.array([sorted(clips).index(step.video_id) for step in steps])
    conditions = {"cross_modal": videos}
    if len(np.unique(groups)) > 1:
        random = np.random.default_rng([seed, 3])
        others = [row_of_another_video(groups, np.arange(len(steps)), group, random) for group in groups]
        conditions["shuffled_video"] = [videos[other] for other in others]

    ranks = {"language_prior": without_video(predictor, templates[0], labels, len(steps))}
    ranks |= {name: rank_labels(predictor, templates[0], labels, words) for name, words in conditions.items()}
    clips_to_learn = clips_of_videos(read_segments(token_files(tokens, manifest), "train"))
    train = [step for step in every if step.video_id in clips_to_learn]
    if train:
        vectors, inputs["features"] = mean_features(features, tokens, manifest, train + steps)
        learn, ask = vectors[: len(train)], vectors[len(train) :]
        ranks["s3d_supervised"], _ = classify(learn, train, ask, regularisation, folds, threads)

    results: dict[str, Any] = {"chance": chance(labels)}
    if bert:
        settings["text_model_sha256"] = bert.sha256
        results["bert"] = accuracies(steps, without_video(bert, templates[0], labels, len(steps)), seed)
    for name, ranking in ranks.items():
        results[name] = accuracies(steps, ranking, seed)
    known = [(step.verb, step.object) in pairs for step in steps] if pairs else None
    # What a classifier that was trained for it makes of the pairs never shown is the bound of what can be asked.
    for row in ("cross_modal", "s3d_supervised") if known else ():
        for name, wanted in (("seen", True), ("held_out", False)):
            chosen = [index for index, is_known in enumerate(known) if is_known == wanted]
            if chosen and row in ranks:
                part = {label: [ranking[index] for index in chosen] for label, ranking in ranks[row].items()}
                results[f"{row}_{name}"] = accuracies([steps[index] for index in chosen], part, seed)
    wordings = [{name: results[name] for name in ("language_prior", "cross_modal")}]
    for template in templates[1:]:
        prior = accuracies(steps, without_video(predictor, template, labels, len(steps)), seed)
        wordings.append(
            {
                "language_prior": prior,
                "cross_modal": accuracies(steps, rank_labels(predictor, template, labels, videos), seed),
            }
        )
    if len(templates) > 1:
        for name in wordings[0]:
            results[name] = results[name] | {"templates": _over_templates([wording[name] for wording in wordings])}
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
        "templates": [{"template": template} | rows for template, rows in zip(templates, wordings, strict=True)],
        "left_out": sum(splits.get(step.video_id) == "test" for step in every) - len(steps),
        "predictions": predictions,
    }
    write_task("zero_shot", VERSION, output, {"zero_shot": results}, details, settings, inputs, packages=PACKAGES)


class TextBert(Predictor):
    """A BERT of text alone, with its own tokenizer, that is asked as the model is."""

    def __init__(self, text_model: str, batch_size: int, device: str):
        where = f"zero_shot.text_model: {text_model}"
        bert, has_head, tokenizer = load(text_model, where, "null leaves the row out")
        if not has_head:
            raise UserError(f"{where} has no head for masked words: give another BERT; null leaves the row out")
        self.sha256 = sha256(bert, has_head)
        self.device = device
        self.model = bert.bert.eval().to(device)
        self.masked_words = bert.cls.eval().to(device)
        self.tokenizer = tokenizer.backend_tokenizer
        self.tokenizer.no_truncation()
        ids = (tokenizer.pad_token_id, tokenizer.cls_token_id, tokenizer.sep_token_id, tokenizer.mask_token_id)
        self.vocabulary = Vocabulary(*ids, video=tokenizer.sep_token_id, vocab_size=len(tokenizer), visual_words=0)
        self.batch_size = batch_size

    def head(self, type_: int) -> Any:
        return self.masked_words


def _over_templates(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Mean and standard deviation of each figure over the templates."""
    figures = [f"{part}_top{top}" for part in ("verb", "object") for top in (1, TOP)]
    return {
        "count": len(rows),
        "mean": {figure: float(np.mean([row[figure] for row in rows])) for figure in figures},
        "spread": {figure: float(np.std([row[figure] for row in rows], ddof=1)) for figure in figures},
    }
