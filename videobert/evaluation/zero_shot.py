"""Zero-shot classification, the paper's test of whether words mean what is seen (section 4.2, table 1).

For each annotated step the template "now let me show you how to [MASK] the [MASK]" is put before the step's visual
words; the first mask ranks the verbs, the second the objects. Table 1's rows, from no knowledge to all: chance; a BERT
that has seen no video; VideoBERT without the video (language prior), with the video of a step of another video
(shuffled) and with the step's own (cross-modal); and a linear classifier of S3D's features that was trained for it.

A label of several word pieces gets as many masks as pieces, and the mean of their log-probabilities ranks it. Wording
moves the figures, so several templates can be asked: the first one's are the figures, and beside them stand mean and
spread over all.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self

import numpy as np
from pydantic import Field, model_validator

from videobert.errors import UserError
from videobert.evaluation.linear import PACKAGES, ProbeSettings, classify, mean_features
from videobert.evaluation.ranking import rank_labels, without_video
from videobert.evaluation.scoring import TOP, Ranked, accuracies, chance
from videobert.evaluation.steps import Step, row_of_another_video, select_between
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
from videobert.model.initial_model import load, sha256
from videobert.model.predictor import Predictor
from videobert.model.processing_videobert import Video, Vocabulary
from videobert.settings import Settings, Text

if TYPE_CHECKING:
    import torch

VERSION = 3
GUESSES = 50  # sentences that are guessed at where there are no annotations


class ZeroShotSettings(Settings):
    """Verbs and objects of annotated steps, named without training."""

    templates: Annotated[list[Text], Field(min_length=1)] = [
        "now let me show you how to [MASK] the [MASK]",
        "now we [MASK] the [MASK]",
        "next, [MASK] the [MASK]",
    ]
    """Sentences whose first [MASK] ranks verbs and whose second ranks objects. The main figures are those of the first,
    which is the paper's; the mean and spread over all show how much depends on the wording. Put a sentence first that
    the speakers of your videos would say."""
    text_model: Text | None = None
    """A text-only BERT that fills the same masks (the first row of the paper's table): a name on the model hub
    (bert-base-uncased) or a folder, with a head for masked words; null leaves the row out."""

    @model_validator(mode="after")
    def _templates_have_two_masks(self) -> Self:
        for template in self.templates:
            if template.count("[MASK]") != 2:
                raise ValueError(
                    f"zero_shot.templates has {template!r}, but must hold [MASK] twice: for the verb and for the object"
                )
        return self


def zero_shot(
    inputs: FeatureInputs,
    outputs: TaskOutputs,
    settings: ZeroShotSettings,
    probe: ProbeSettings,
    shared: AnnotatedSettings,
    execution: EvaluateExecution,
) -> None:
    """Classify the verb and the object of annotated steps without training for it."""
    task = open_task(inputs, shared, execution)
    used = used_settings(settings, shared) | probe.fingerprint()
    if settings.text_model and Path(settings.text_model).is_dir():  # provenance holds no folder of this machine
        used["text_model"] = Path(settings.text_model).resolve().name
    if shared.annotations is None:
        provenance = task.provenance("zero_shot", VERSION, used)
        guesses = {"guesses": _guesses(task, settings.templates[0])}
        return write_task(outputs.figures, provenance, {"zero_shot": {"skipped": NO_TRUTH}}, guesses)
    bert = TextBert(settings.text_model, execution.batch_size, task.predictor.device) if settings.text_model else None
    question = _question(task, shared.seed)
    ranks = _rankings(question, task.predictor, settings.templates[0])
    if supervised := _supervised(task, question, probe, execution.threads):
        ranks["s3d_supervised"] = supervised

    results: dict[str, Any] = {"chance": chance(question.labels)}
    if bert:
        used["text_model_sha256"] = bert.sha256
        results["bert"] = _accuracies(question, without_video(bert, settings.templates[0], *question.alone))
    results |= {name: _accuracies(question, ranking) for name, ranking in ranks.items()}
    results |= _by_training(question, ranks)
    wordings = _wordings(question, task.predictor, settings.templates, results)
    if len(wordings) > 1:
        for name in wordings[0]:
            results[name] = results[name] | {"templates": _over_templates([wording[name] for wording in wordings])}
    details = {
        "labels": question.labels,
        "results": results,
        "templates": [
            {"template": template} | rows for template, rows in zip(settings.templates, wordings, strict=True)
        ],
        "left_out": sum(task.splits.get(step.video_id) == "test" for step in task.listed) - len(question.steps),
        "predictions": _predictions(question, ranks),
    }
    provenance = task.provenance("zero_shot", VERSION, used, PACKAGES)
    return write_task(outputs.figures, provenance, {"zero_shot": results}, details)


@dataclass(frozen=True)
class _Question:
    """The annotated steps of the test videos, and what is seen in each."""

    steps: list[Step]
    labels: dict[str, list[str]]
    videos: Mapping[str, Sequence[Video]]  # by condition, for each step
    known: list[bool] | None  # which pairs of a verb and an object training showed; None without annotated train steps
    seed: int

    @property
    def alone(self) -> tuple[dict[str, list[str]], int]:
        """The labels, and how many steps ask for them."""
        return self.labels, len(self.steps)


def _question(task: Task, seed: int) -> _Question:
    clips = task.clips("test")
    steps = task.steps_with(clips)
    videos = [select_between(*clips[step.video_id], step.start, step.end) for step in steps]
    names = sorted(clips)
    groups = np.array([names.index(step.video_id) for step in steps])
    conditions = {"cross_modal": videos}
    if len(np.unique(groups)) > 1:
        random = np.random.default_rng([seed, 3])
        others = [row_of_another_video(groups, np.arange(len(steps)), group, random) for group in groups]
        conditions["shuffled_video"] = [videos[other] for other in others]
    pairs = {(step.verb, step.object) for step in task.steps if task.splits.get(step.video_id) == "train"}
    known = [(step.verb, step.object) in pairs for step in steps] if pairs else None
    labels = {part: sorted({getattr(step, part) for step in task.steps}) for part in ("verb", "object")}
    return _Question(steps, labels, conditions, known, seed)


def _accuracies(question: _Question, ranking: Ranked) -> dict[str, Any]:
    return accuracies(question.steps, ranking, question.seed)


def _rankings(question: _Question, predictor: Predictor, template: str) -> dict[str, Ranked]:
    """The model's rankings by row: without the video, with the step's own, and with another's."""
    ranks = {"language_prior": without_video(predictor, template, *question.alone)}
    for name, videos in question.videos.items():
        ranks[name] = rank_labels(predictor, template, question.labels, videos)
    return ranks


def _supervised(task: Task, question: _Question, probe: ProbeSettings, threads: int) -> Ranked | None:
    """The rankings of a linear classifier of S3D's features, trained for it; None without annotated train steps."""
    clips = task.clips("train")
    train = [step for step in task.steps if step.video_id in clips]
    if not train:
        return None
    assert task.features  # of FeatureInputs
    vectors = mean_features(task.features, train + question.steps)
    learn, ask = vectors[: len(train)], vectors[len(train) :]
    return classify(learn, train, ask, probe.regularisation, probe.folds, threads)[0]


def _by_training(question: _Question, ranks: dict[str, Ranked]) -> dict[str, Any]:
    """The accuracies on pairs that training showed together, and on those that it did not.

    What a classifier that was trained for it makes of the pairs never shown is the bound of what can be asked.
    """
    results = {}
    if not question.known:
        return {}
    for row in ("cross_modal", "s3d_supervised"):
        for name, wanted in (("seen", True), ("held_out", False)):
            chosen = [index for index, is_known in enumerate(question.known) if is_known == wanted]
            if chosen and row in ranks:
                part = {label: [ranking[index] for index in chosen] for label, ranking in ranks[row].items()}
                steps = [question.steps[index] for index in chosen]
                results[f"{row}_{name}"] = accuracies(steps, part, question.seed)
    return results


def _wordings(
    question: _Question, predictor: Predictor, templates: list[str], results: dict[str, Any]
) -> list[dict[str, Any]]:
    """For each template, the accuracies without the video and with it; those of the first are in `results`."""
    wordings = [{name: results[name] for name in ("language_prior", "cross_modal")}]
    for template in templates[1:]:
        prior = without_video(predictor, template, *question.alone)
        own = rank_labels(predictor, template, question.labels, question.videos["cross_modal"])
        wordings.append({"language_prior": _accuracies(question, prior), "cross_modal": _accuracies(question, own)})
    return wordings


def _predictions(question: _Question, ranks: dict[str, Ranked]) -> list[dict[str, Any]]:
    return [
        {
            **asdict(step),
            **({"seen": question.known[index]} if question.known else {}),
            **{name: {label: ranked[index][:TOP] for label, ranked in ranks[name].items()} for name in ranks},
        }
        for index, step in enumerate(question.steps)
    ]


def _guesses(task: Task, template: str) -> list[dict[str, Any]]:
    """The template's two masks filled for sentences of test videos, from the whole vocabulary: where nothing is annotated, they
    can be looked at, if not measured."""
    both = task.test.paired & (np.diff(task.test.text_offsets) > 0) & (np.diff(task.test.video_offsets) > 0)
    rows = np.flatnonzero(both)
    rows = rows[np.linspace(0, len(rows) - 1, min(GUESSES, len(rows))).round().astype(int)]
    predictor = task.predictor
    # A whole sentence: of all words the full stop may fit the last mask best, where the sentence has none.
    words = predictor.masked(f"{template.removesuffix('.')}.")
    sequences = [predictor.sequence(words, task.test.video_of(row)) for row in rows]
    answers = predictor.log_probabilities(sequences)
    return [
        {
            "video_id": task.test.videos[task.test.group[row]],
            "start": float(task.test.start[row]),
            "end": float(task.test.end[row]),
            "cross_modal": {
                part: predictor.best_words(mask, TOP) for part, mask in zip(("verb", "object"), answer, strict=True)
            },
        }
        for row, answer in zip(rows, answers, strict=True)
    ]


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

    def word_logits(self, hidden: "torch.Tensor") -> "torch.Tensor":
        scores: torch.Tensor = self.masked_words(hidden)
        return scores


def _over_templates(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Mean and standard deviation of each figure over the templates."""
    figures = [f"{part}_top{top}" for part in ("verb", "object") for top in (1, TOP)]
    return {
        "count": len(rows),
        "mean": {figure: float(np.mean([row[figure] for row in rows])) for figure in figures},
        "spread": {figure: float(np.std([row[figure] for row in rows], ddof=1)) for figure in figures},
    }
