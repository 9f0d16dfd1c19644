"""What the evaluation's tasks share: the model that answers, the annotated steps, intervals, and a task's file.

A task measures on the test split alone. Its file, `results/evaluate/TASK.json`, holds a `summary`, which the stage
evaluate merges into metrics.json, and the details behind it. Each figure that is a mean over the test set stands beside
its 95 % interval, by a bootstrap over videos: the segments of one video are no independent draws.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from videobert.artefact import made, made_by, read_table, write_json
from videobert.errors import UserError
from videobert.sequences import Segments, lay_out, pad_inputs, read_segments, shorten, token_files, vocabulary

DIGITS = 6
RESAMPLES = 1000
TOP = 5

# For the verb and the object: for each step, (label, probability among the labels), best first.
Ranked = dict[str, list[list[tuple[str, float]]]]


class Judge:
    """The model with its tokenizer, ready to answer batches of questions."""

    def __init__(self, folder: Path, batch_size: int, device: str, threads: int | None = None):
        import torch
        from tokenizers import Tokenizer

        from videobert.model import VideoBertForPreTraining

        if not (folder / "model.safetensors").exists():
            raise UserError(f"{folder}/model.safetensors is missing: the stage pretrain has not run")
        if threads:
            torch.set_num_threads(threads)
        self.device = device if device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
        self.model = VideoBertForPreTraining.from_pretrained(folder).eval().to(self.device)
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.encode_special_tokens = True  # a "[SEP]" that somebody writes is text, as in the tokens
        self.words = vocabulary(folder / "tokenizer.json", self.model.config.visual_words)
        self.batch_size = batch_size

    def pieces(self, text: str) -> np.ndarray:
        return np.array(self.tokenizer.encode(text, add_special_tokens=False).ids, np.int64)

    def masked(self, text: str) -> np.ndarray:
        """The ids of a sentence with [MASK]s."""
        first, *others = (self.pieces(part) for part in text.split("[MASK]"))
        return np.concatenate([first, *(np.append(self.words.mask, part) for part in others)])

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

    def head(self, type_: int) -> Any:
        """Hidden states to logits, of the words or of the visual words."""
        return self.model.video_logits if type_ else self.model.text_logits

    def log_probabilities(self, sequences: list[tuple[np.ndarray, np.ndarray]], type_: int) -> list[np.ndarray]:
        """For each sequence, (its masks of this token type, words or visual words) log-probabilities."""
        import torch

        head = self.head(type_)
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


def test_segments(judge: Judge, pretrain: Path, tokens: Path, manifest: Path) -> Segments:
    """The rows of the test split, with the clips that the model was trained to see."""
    files = token_files(tokens, manifest)
    same_codebook(files[0], pretrain / "model.safetensors")
    segments = read_segments(files, "test", judge.model.config.lookahead)
    if not len(segments):
        raise UserError(
            "no token row belongs to the split test: raise corpus.test_fraction, or set the column split of some "
            "videos to test in the list of videos"
        )
    return segments


def same_codebook(tokens: Path, model: Path) -> None:
    """Raises UserError when a tokens table is of another codebook than the model's."""
    noted, used = made(tokens).get("codebook_sha256"), made(model).get("inputs", {}).get("codebook")
    if noted != used:
        raise UserError(
            f"{model} was trained with codebook {str(used)[:12]}, but {tokens} was made with {str(noted)[:12]}: "
            "run the stage pretrain again"
        )


# The annotated steps --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Step:
    """An annotated step: what is done to what, from `start` to `end` seconds of a video, and the sentence that says it."""

    video_id: str
    start: float
    end: float
    verb: str
    object: str
    sentence: str = ""  # "" in silent videos, and where the table has none


def read_steps(annotations: str, manifest: Path) -> tuple[list[Step], dict[str, str]]:
    """(all annotated steps of all splits, the split of each video id).

    Args:
        annotations: kitchen, or a TSV, CSV or Parquet file with the columns of `Step` (sentence may be missing).
        manifest: the manifest.
    """
    rows = read_table(manifest, ["video_id", "source", "split"]).to_pylist()
    steps = _kitchen_steps(rows) if annotations == "kitchen" else _listed_steps(Path(annotations))
    return steps, {row["video_id"]: row["split"] for row in rows}


def _kitchen_steps(rows: list[dict[str, Any]]) -> list[Step]:
    from videobert.kitchen import script

    steps = []
    for row in rows:
        if row["source"].startswith("kitchen:"):
            shown = script(int(row["source"].removeprefix("kitchen:"))).steps
            steps += [
                Step(row["video_id"], step.start, step.end, step.verb, step.object, step.sentence) for step in shown
            ]
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
        Step(
            str(row["video_id"]),
            float(row["start"]),
            float(row["end"]),
            row["verb"].strip(),
            row["object"].strip(),
            str(row.get("sentence") or "").strip(),
        )
        for row in table.to_pylist()
    ]


def with_tokens(steps: list[Step], clips: dict[str, Any], annotations: str) -> list[Step]:
    """The steps of the test videos that have clips. Raises UserError when there is none."""
    here = [step for step in steps if step.video_id in clips]
    if not here:
        raise UserError(
            f"evaluate.annotations ({annotations}) has no step of a test video with tokens: name its videos as the "
            "manifest's video_id does, or set annotations to null"
        )
    return here


def clips_of_videos(segments: Segments) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """For each video, the middles of its clips (seconds) and their visual words, from the rows that cover it."""
    middles: dict[str, list[np.ndarray]] = {}
    words: dict[str, list[np.ndarray]] = {}
    for row in np.flatnonzero(~segments.paired & (np.diff(segments.video_offsets) > 0)):
        name, clips = segments.videos[segments.group[row]], segments.clips_of(row)
        seconds = (segments.end[row] - segments.start[row]) / (clips[-1] - clips[0] + 1)
        middles.setdefault(name, []).append(segments.start[row] + (clips - clips[0] + 0.5) * seconds)
        words.setdefault(name, []).append(segments.visual_words_of(row).astype(np.int64))
    return {name: (np.concatenate(middles[name]), np.concatenate(words[name])) for name in middles}


def words_between(middles: np.ndarray, words: np.ndarray, start: float, end: float) -> np.ndarray:
    """The words (or other rows) of the clips whose middle lies in [start, end); of the nearest clip if there is none."""
    inside = (middles >= start) & (middles < end)
    return words[inside] if inside.any() else words[[np.abs(middles - (start + end) / 2).argmin()]]


def of_another_video(groups: np.ndarray, candidates: np.ndarray, group: Any, random: np.random.Generator) -> int:
    others = candidates[groups[candidates] != group]
    return int(others[random.integers(len(others))])


# Figures and files ----------------------------------------------------------------------------------------------------


def chance(labels: dict[str, list[str]]) -> dict[str, float]:
    """What guessing among the labels of the verb and of the object gives."""
    return {f"{part}_top{top}": min(1.0, top / len(names)) for part, names in labels.items() for top in (1, TOP)}


def accuracies(steps: list[Step], ranked: Ranked, seed: int) -> dict[str, Any]:
    """Top-1 and top-5 accuracy of the rankings, with intervals. A label that is not among the ranked ones is missed."""
    return means(steps, hits(steps, ranked), seed)


def hits(steps: list[Step], ranked: Ranked) -> dict[str, np.ndarray]:
    """For each accuracy, (steps,) 1.0 where the label is the first or among the first five, else 0.0."""
    found = {}
    for part, rankings in ranked.items():
        for top in (1, TOP):
            best = [[label for label, _ in ranking[:top]] for ranking in rankings]
            right = [getattr(step, part) in labels for step, labels in zip(steps, best, strict=True)]
            found[f"{part}_top{top}"] = np.array(right, float)
    return found


def means(steps: list[Step], values: dict[str, np.ndarray], seed: int) -> dict[str, Any]:
    """The mean of each of the `values` (steps,) with its interval, and the count of steps."""
    groups = np.array([step.video_id for step in steps])
    result: dict[str, Any] = {"count": len(steps)}
    for name, row in values.items():
        result[name] = float(row.mean())
        result[f"{name}_interval"] = interval(row, groups, seed)
    return result


def interval(values: np.ndarray, groups: np.ndarray, seed: int) -> list[float]:
    """The 95 % interval of the mean of `values` (n,), by a bootstrap over the videos, `groups` (n,)."""
    sums = resampled(np.stack([values, np.ones(len(values))], axis=1), groups, seed)
    return [float(bound) for bound in np.quantile(sums[:, 0] / sums[:, 1], [0.025, 0.975])]


def resampled(parts: np.ndarray, groups: np.ndarray, seed: int) -> np.ndarray:
    """Sums (RESAMPLES, k) of the columns of `parts` (n, k), each over videos drawn with replacement, `groups` (n,)."""
    _, numbers = np.unique(groups, return_inverse=True)
    sums = np.zeros((numbers.max() + 1, parts.shape[1]))
    np.add.at(sums, numbers, parts)
    drawn = np.random.default_rng([seed, 9]).integers(len(sums), size=(RESAMPLES, len(sums)))
    return sums[drawn].sum(1)


def inputs_of(pretrain: Path, tokens: Path, manifest: Path, annotations: str | None) -> dict[str, Path | list[Path]]:
    """What a task's figures follow from, for its note."""
    inputs: dict[str, Path | list[Path]] = {
        "model": pretrain / "model.safetensors",
        "tokens": token_files(tokens, manifest),
    }
    if annotations not in (None, "kitchen"):
        inputs["annotations"] = Path(annotations)
    return inputs


NO_TRUTH = "evaluate.annotations is null: there is nothing to compare with"


def write_task(
    task: str,
    version: int,
    output: Path,
    summary: dict[str, Any],
    details: dict[str, Any],
    settings: dict[str, Any],
    inputs: dict[str, Path | list[Path]],
    packages: tuple[str, ...] = ("torch", "transformers"),
) -> None:
    """Writes a task's file: what goes into metrics.json, the details, and how they were made."""
    note = made_by(task, version, settings, inputs, packages)
    write_json(_rounded({"summary": summary, **details}), output, note)
    print(f"{task}: {in_words(summary)}", file=sys.stderr)


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    return round(value, DIGITS) if isinstance(value, float) else value


def in_words(summary: dict[str, Any]) -> str:
    """A task's summary in one line: the figures of each row, without counts and intervals."""
    parts = []
    for name, value in summary.items():
        if isinstance(value, dict):
            figures = [f"{item:.2f}" for item in value.values() if isinstance(item, float)]
            parts.append(f"{name} {'/'.join(figures)}" if figures else in_words(value))
        elif isinstance(value, str):
            parts.append(value)
    return ", ".join(filter(None, parts))
