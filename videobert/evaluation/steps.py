"""Annotated steps: reading them, and finding the clips that show them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from videobert.data.provenance import read_table
from videobert.errors import UserError
from videobert.model.predictor import Predictor, check_same_codebook
from videobert.model.sequences import Segments, read_segments, token_files


def test_segments(predictor: Predictor, pretrain: Path, tokens: Path, manifest: Path) -> Segments:
    """The rows of the test split, with the clips that the model was trained to see."""
    files = token_files(tokens, manifest)
    check_same_codebook(files[0], pretrain / "model.safetensors")
    segments = read_segments(files, "test", predictor.model.config.lookahead)
    if not len(segments):
        raise UserError(
            "no token row belongs to the split test: raise corpus.test_fraction, or set the column split of some "
            "videos to test in the list of videos"
        )
    return segments


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
    from videobert.kitchen.script import script

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
        words.setdefault(name, []).append(segments.video_of(row).astype(np.int64))
    return {name: (np.concatenate(middles[name]), np.concatenate(words[name])) for name in middles}


def select_between(middles: np.ndarray, words: np.ndarray, start: float, end: float) -> np.ndarray:
    """The words (or other rows) of the clips whose middle lies in [start, end); of the nearest clip if there is none."""
    inside = (middles >= start) & (middles < end)
    return words[inside] if inside.any() else words[[np.abs(middles - (start + end) / 2).argmin()]]


def row_of_another_video(groups: np.ndarray, candidates: np.ndarray, group: Any, random: np.random.Generator) -> int:
    others = candidates[groups[candidates] != group]
    return int(others[random.integers(len(others))])
