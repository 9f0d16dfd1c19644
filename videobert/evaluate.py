"""Does the model use the video? Figures on the test split, each beside the control that gives it meaning.

`pretraining` repeats the objectives on unseen videos: how many masked words are found with the video and without it,
how many masked visual words with the text and without it (the same masks in both), and whether a text is told apart
from another video's. `zero_shot` is the paper's test (section 4.2, table 1): for each annotated step the template "now
let me show you how to [MASK] the [MASK]" is put before the step's visual words; the first mask ranks the verbs, the
second the objects. It is asked four times: by chance, of the text alone (language prior), with the video of a step of
another video (shuffled), and with the step's own (cross-modal).

A label of several word pieces gets as many masks as pieces, and the mean of their log-probabilities ranks it.
"""

import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from videobert.artefact import made, made_by, read_table, write_json
from videobert.errors import UserError
from videobert.sequences import (
    Segments,
    lay_out,
    pad_inputs,
    read_segments,
    shorten,
    token_files,
    vocabulary,
)

VERSION = 1

TASKS = ("pretraining", "zero_shot")
MASKED = 0.15
TOP = 5
DIGITS = 6


def evaluate(
    pretrain: Path,
    tokens: Path,
    manifest: Path,
    output: Path,
    tasks: list[Literal["pretraining", "zero_shot"]],
    annotations: str | None,
    template: str,
    batch_size: int,
    seed: int,
    threads: int,
    device: Literal["auto", "cpu", "cuda"] = "auto",
) -> None:
    """Measure the pretrained model on the test split.

    Args:
        pretrain: folder of the model.
        tokens: folder of the token tables, one for each shard.
        manifest: the manifest, which names the shards and the videos' sources.
        output: metrics.json; the tasks' own files, with the details, are written beside it.
        tasks: what to measure.
        annotations: steps to classify without training: kitchen (the built-in corpus), or a TSV, CSV or Parquet file
            with the columns video_id, start, end (seconds), verb and object; null leaves zero_shot out.
        template: the sentence with two [MASK], for the verb and the object.
        batch_size: sequences in a batch.
        seed: seed of the masks and of the shuffled pairs.
        threads: CPU threads.
        device: where to run; auto takes a GPU when there is one.
    """
    if template.count("[MASK]") != 2:
        raise UserError(f"evaluate.template must have [MASK] twice, for the verb and the object: {template!r}")
    import torch

    torch.set_num_threads(threads)
    files = token_files(tokens, manifest)
    inputs = {"model": pretrain / "model.safetensors", "tokens": files}
    _same_codebook(files[0], pretrain / "model.safetensors")
    judge = Judge(pretrain, batch_size, device)
    segments = read_segments(files, "test", judge.model.config.lookahead)
    if not len(segments):
        raise UserError(
            "no token row belongs to the split test: raise corpus.test_fraction, or set the column split of some "
            "videos to test in the list of videos"
        )
    metrics: dict[str, Any] = {}
    for task in tasks:
        settings: dict[str, Any] = {"seed": seed}
        if task == "pretraining":
            details, summary = _pretraining(judge, segments, seed)
        elif annotations is None:
            reason = "evaluate.annotations is null: there is nothing to compare with"
            details, summary = {"skipped": reason}, {"zero_shot": {"skipped": reason}}
        else:
            settings["template"] = template
            settings["annotations"] = annotations if annotations == "kitchen" else Path(annotations).name
            if annotations != "kitchen":
                inputs["annotations"] = Path(annotations)
            details, summary = _zero_shot(judge, segments, manifest, annotations, template, seed)
        note = made_by("evaluate", VERSION, settings, inputs, packages=("torch", "transformers"), task=task)
        write_json(_rounded(details), output.parent / f"{task}.json", note)
        metrics |= summary
        print(f"{task}: " + _in_words(summary), file=sys.stderr)
    settings = {"seed": seed, "tasks": list(tasks)}
    note = made_by("evaluate", VERSION, settings, inputs, packages=("torch", "transformers"))
    write_json(_rounded(metrics), output, note)


# The model ------------------------------------------------------------------------------------------------------------


class Judge:
    """The model with its tokenizer, ready to answer batches of questions."""

    def __init__(self, folder: Path, batch_size: int, device: str):
        import torch
        from tokenizers import Tokenizer

        from videobert.model import VideoBertForPreTraining

        if not (folder / "model.safetensors").exists():
            raise UserError(f"{folder}/model.safetensors is missing: the stage pretrain has not run")
        self.device = device if device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
        self.model = VideoBertForPreTraining.from_pretrained(folder).eval().to(self.device)
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.words = vocabulary(folder / "tokenizer.json", self.model.config.visual_words)
        self.batch_size = batch_size

    def pieces(self, text: str) -> np.ndarray:
        return np.array(self.tokenizer.encode(text, add_special_tokens=False).ids, np.int64)

    def sequence(self, text: np.ndarray, video: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(ids, token types) of text ids and joint video ids, cut to the model's length."""
        return lay_out(*shorten(text, video, self.model.config.max_position_embeddings), self.words)

    def read(self, sequences: list[tuple[np.ndarray, np.ndarray]]) -> Iterator[tuple[int, Any]]:
        """Yields (index of the first sequence of the batch, the model's output for the batch)."""
        import torch

        for first in range(0, len(sequences), self.batch_size):
            batch = pad_inputs(sequences[first : first + self.batch_size], self.words)
            with torch.inference_mode():
                yield first, self.model(**{name: tensor.to(self.device) for name, tensor in batch.items()})

    def log_probabilities(self, sequences: list[tuple[np.ndarray, np.ndarray]], type_: int) -> list[np.ndarray]:
        """For each sequence, (its masks of this token type, words or visual words) log-probabilities."""
        import torch

        head = self.model.video_logits if type_ else self.model.text_logits
        answers = []
        for first, output in self.read(sequences):
            for hidden, (ids, types) in zip(output.last_hidden_state, sequences[first:], strict=False):
                where = torch.from_numpy(np.flatnonzero((ids == self.words.mask) & (types == type_))).to(self.device)
                with torch.inference_mode():
                    answers.append(head(hidden[where]).float().log_softmax(-1).cpu().numpy())
        return answers

    def alignments(self, sequences: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
        """For each sequence, the score that text and video belong together (positive: yes)."""
        return np.concatenate([output.alignment_logits.float().cpu().numpy() for _, output in self.read(sequences)])


def _same_codebook(tokens: Path, model: Path) -> None:
    noted, used = made(tokens).get("codebook_sha256"), made(model).get("inputs", {}).get("codebook")
    if noted != used:
        raise UserError(
            f"{model} was trained with codebook {str(used)[:12]}, but {tokens} was made with {str(noted)[:12]}: "
            "run the stage pretrain again"
        )


# The pretraining objectives -------------------------------------------------------------------------------------------


def _pretraining(judge: Judge, segments: Segments, seed: int) -> tuple[dict[str, Any], dict[str, Any]]:
    has_both = (np.diff(segments.text_offsets) > 0) & (np.diff(segments.video_offsets) > 0)
    pairs = np.flatnonzero(segments.paired & has_both)
    texts = [segments.words_of(row).astype(np.int64) for row in pairs]
    videos = [segments.visual_words_of(row) + np.int64(judge.words.words) for row in pairs]
    none = np.empty(0, np.int64)
    questions = {
        "text_given_video": (texts, videos, 0),
        "text_alone": (texts, [none] * len(pairs), 0),
        "video_given_text": (texts, videos, 1),
        "video_alone": ([none] * len(pairs), videos, 1),
    }
    masked = {name: _masked(judge, *question, seed) for name, question in questions.items()}
    alignment = _alignment(judge, segments, pairs, seed)
    summary = {
        "masked": {name: result["accuracy"] for name, result in masked.items()},
        "alignment": {"accuracy": alignment["accuracy"]},
    }
    return {"masked": masked, "alignment": alignment, "masked_share": MASKED}, summary


def _masked(judge: Judge, texts: list, videos: list, type_: int, seed: int) -> dict[str, Any]:
    """Top-1 accuracy at masks in one modality. The masks depend on seed and row only: with or without the other."""
    sequences, truths = [], []
    for row, (text, video) in enumerate(zip(texts, videos, strict=True)):
        # Cut before masking, as a pair, so that a long row asks the same question with and without its partner.
        text, video = shorten(text, video, judge.model.config.max_position_embeddings)
        hidden = (text, video)[type_].copy()
        random = np.random.default_rng([seed, type_, row])
        chosen = random.random(len(hidden)) < MASKED
        chosen[random.integers(len(hidden))] = True
        truths.append(hidden[chosen] - type_ * judge.words.words)
        hidden[chosen] = judge.words.mask
        sequences.append(judge.sequence(hidden, video) if type_ == 0 else judge.sequence(text, hidden))
    answers = judge.log_probabilities(sequences, type_)
    right = [answer.argmax(-1) == truth for answer, truth in zip(answers, truths, strict=True)]
    right = np.concatenate(right) if right else np.empty(0)
    return {"accuracy": float(right.mean()) if len(right) else None, "count": len(right)}


def _alignment(judge: Judge, segments: Segments, pairs: np.ndarray, seed: int) -> dict[str, Any]:
    """Each text with its own video and with one of another test video: balanced, so that chance is one half."""
    if len(np.unique(segments.group[pairs])) < 2:
        return {"accuracy": None, "count": 0, "skipped": "fewer than two test videos with speech"}
    random = np.random.default_rng([seed, 2])
    sequences = []
    for row in pairs:
        for partner in (row, _of_another_video(segments.group, pairs, segments.group[row], random)):
            video = segments.visual_words_of(partner) + np.int64(judge.words.words)
            sequences.append(judge.sequence(segments.words_of(row).astype(np.int64), video))
    belongs = judge.alignments(sequences).reshape(-1, 2) > 0
    return {
        "accuracy": float((belongs == [True, False]).mean()),
        "own_accepted": float(belongs[:, 0].mean()),
        "other_rejected": float((~belongs[:, 1]).mean()),
        "count": belongs.size,
    }


def _of_another_video(groups: np.ndarray, candidates: np.ndarray, group: Any, random: np.random.Generator) -> int:
    others = candidates[groups[candidates] != group]
    return int(others[random.integers(len(others))])


# Zero-shot classification ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Step:
    """An annotated step: what is done to what, from `start` to `end` seconds of a video."""

    video_id: str
    start: float
    end: float
    verb: str
    object: str


def _zero_shot(
    judge: Judge, segments: Segments, manifest: Path, annotations: str, template: str, seed: int
) -> tuple[dict[str, Any], dict[str, Any]]:
    rows = read_table(manifest, ["video_id", "source", "split"]).to_pylist()
    every = _kitchen_steps(rows) if annotations == "kitchen" else _listed_steps(Path(annotations))
    splits = {row["video_id"]: row["split"] for row in rows}
    labels = {part: sorted({getattr(step, part) for step in every}) for part in ("verb", "object")}
    train = {(step.verb, step.object) for step in every if splits.get(step.video_id) == "train"}
    clips = _clips(segments)
    steps = [step for step in every if step.video_id in clips]
    if not steps:
        raise UserError(
            f"evaluate.annotations ({annotations}) has no step of a test video with tokens: name its videos as the "
            "manifest's video_id does, or set annotations to null"
        )
    videos = [_words_between(*clips[step.video_id], step.start, step.end) + judge.words.words for step in steps]
    groups = np.array([sorted(clips).index(step.video_id) for step in steps])
    conditions = {"language_prior": [video[:0] for video in videos], "cross_modal": videos}
    if len(np.unique(groups)) > 1:
        random = np.random.default_rng([seed, 3])
        others = [_of_another_video(groups, np.arange(len(steps)), group, random) for group in groups]
        conditions["shuffled_video"] = [videos[other] for other in others]

    ranks = {name: _ranked(judge, template, labels, words) for name, words in conditions.items()}
    known = [(step.verb, step.object) in train for step in steps] if train else None
    results: dict[str, Any] = {"chance": _chance(labels)}
    for name, ranking in ranks.items():
        results[name] = _accuracies(steps, ranking)
    if known:
        for name, wanted in (("seen", True), ("held_out", False)):
            chosen = [index for index, is_known in enumerate(known) if is_known == wanted]
            if chosen:
                part = {label: [ranking[index] for index in chosen] for label, ranking in ranks["cross_modal"].items()}
                results[f"cross_modal_{name}"] = _accuracies([steps[index] for index in chosen], part)
    predictions = [
        {
            **asdict(step),
            **({"seen": known[index]} if known else {}),
            **{name: {label: ranked[index][:TOP] for label, ranked in ranks[name].items()} for name in ranks},
        }
        for index, step in enumerate(steps)
    ]
    details = {
        "template": template,
        "seed": seed,
        "labels": labels,
        "results": results,
        "left_out": sum(splits.get(step.video_id) == "test" for step in every) - len(steps),
        "predictions": predictions,
    }
    return details, {"zero_shot": results}


def _kitchen_steps(rows: list[dict[str, Any]]) -> list[Step]:
    from videobert.kitchen import script

    steps = []
    for row in rows:
        if row["source"].startswith("kitchen:"):
            shown = script(int(row["source"].removeprefix("kitchen:"))).steps
            steps += [Step(row["video_id"], step.start, step.end, step.verb, step.object) for step in shown]
    if not steps:
        raise UserError("evaluate.annotations is kitchen, but the manifest has no kitchen video: set it to null")
    return steps


def _listed_steps(path: Path) -> list[Step]:
    from pyarrow import csv

    columns = ["video_id", "start", "end", "verb", "object"]
    if not path.exists():
        raise UserError(f"evaluate.annotations: {path} is missing")
    if path.suffix == ".parquet":
        table = read_table(path)
    else:
        delimiter = "," if path.suffix == ".csv" else "\t"
        table = csv.read_csv(path, parse_options=csv.ParseOptions(delimiter=delimiter))
    missing = [column for column in columns if column not in table.column_names]
    if missing:
        raise UserError(
            f"evaluate.annotations: {path} has no column {', '.join(missing)}; needed: {', '.join(columns)}"
        )
    return [
        Step(str(row["video_id"]), float(row["start"]), float(row["end"]), row["verb"].strip(), row["object"].strip())
        for row in table.select(columns).to_pylist()
    ]


def _clips(segments: Segments) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """For each video, the middles of its clips (seconds) and their visual words, from the rows that cover it."""
    middles: dict[str, list[np.ndarray]] = {}
    words: dict[str, list[np.ndarray]] = {}
    for row in np.flatnonzero(~segments.paired & (np.diff(segments.video_offsets) > 0)):
        name, clips = segments.videos[segments.group[row]], segments.clips_of(row)
        seconds = (segments.end[row] - segments.start[row]) / (clips[-1] - clips[0] + 1)
        middles.setdefault(name, []).append(segments.start[row] + (clips - clips[0] + 0.5) * seconds)
        words.setdefault(name, []).append(segments.visual_words_of(row).astype(np.int64))
    return {name: (np.concatenate(middles[name]), np.concatenate(words[name])) for name in middles}


def _words_between(middles: np.ndarray, words: np.ndarray, start: float, end: float) -> np.ndarray:
    """The words of the clips whose middle lies in [start, end); of the nearest clip if there is none."""
    inside = (middles >= start) & (middles < end)
    return words[inside] if inside.any() else words[[np.abs(middles - (start + end) / 2).argmin()]]


def _ranked(
    judge: Judge, template: str, labels: dict[str, list[str]], videos: list[np.ndarray]
) -> dict[str, list[list[tuple[str, float]]]]:
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


def _chance(labels: dict[str, list[str]]) -> dict[str, float]:
    return {f"{part}_top{top}": min(1.0, top / len(names)) for part, names in labels.items() for top in (1, TOP)}


def _accuracies(steps: list[Step], ranked: dict[str, list[list[tuple[str, float]]]]) -> dict[str, Any]:
    result: dict[str, Any] = {"count": len(steps)}
    for part, rankings in ranked.items():
        names = [[label for label, _ in ranking] for ranking in rankings]
        places = [names_.index(getattr(step, part)) for step, names_ in zip(steps, names, strict=True)]
        for top in (1, TOP):
            result[f"{part}_top{top}"] = float(np.mean([place < top for place in places]))
    return result


# Writing --------------------------------------------------------------------------------------------------------------


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    return round(value, DIGITS) if isinstance(value, float) else value


def _in_words(summary: dict[str, Any]) -> str:
    parts = []
    for name, values in summary.items():
        for key, value in values.items():
            if isinstance(value, dict):
                parts.append(f"{key} " + "/".join(f"{value[k]:.2f}" for k in value if k != "count"))
            else:
                parts.append(f"{name}.{key} " + (f"{value:.2f}" if isinstance(value, float) else str(value)))
    return ", ".join(parts)
