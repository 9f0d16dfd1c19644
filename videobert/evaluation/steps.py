"""Annotated steps: reading them, and finding the clips that show them."""

import math
import sys
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from videobert.data.human_tables import HumanTable, Kind, read_human_table
from videobert.data.video_names import VideoNames
from videobert.errors import UserError
from videobert.model.processing_videobert import Video, joined
from videobert.model.sequences import Row, Segments

Of = TypeVar("Of", npt.NDArray[np.generic], Video)
Track = tuple[npt.NDArray[np.float64], Video]  # the middles of a video's clips (seconds), and the clips
BACKWARDS = "end before they begin"
FEW, FEW_SHARE = 3, 0.1  # so many steps may lie nowhere, or such a share of all
COLUMNS: dict[str, Kind] = {"video_id": "text", "start": "seconds", "end": "seconds", "verb": "text", "object": "text"}


@dataclass(frozen=True)
class Step:
    """An annotated step: what is done to what, from `start` to `end` seconds of a video, and the sentence that says it."""

    video_id: str
    start: float
    end: float
    verb: str
    object: str
    sentence: str = ""  # "" in silent videos, and where the table has none


def read_steps(files: list[Path], annotations: str) -> list[Step]:
    """All annotated steps, of all splits. Raises UserError when a table cannot be read, or when there is no step.

    Args:
        files: TSV, CSV or Parquet files with the columns of `Step` (sentence may be missing).
        annotations: the setting evaluate.annotations, for the error.
    """
    steps = [step for file in files for step in _read_table(file)]
    if not steps and annotations == "kitchen":
        raise UserError("evaluate.annotations is kitchen, but the manifest has no kitchen video: set it to null")
    return steps


def _read_table(path: Path) -> list[Step]:
    where = f"evaluate.annotations: {path}"
    table = read_human_table(path, where, COLUMNS, {"sentence": "text"})
    given = [
        index for index, row in enumerate(table.rows) if any(row.values())
    ]  # Excel leaves rows of separators alone
    table = HumanTable(where, [table.rows[index] for index in given], [table.numbers[index] for index in given])
    for index, row in enumerate(table.rows):
        for column in ("video_id", "verb", "object"):
            if not row[column]:
                raise table.wrong(index, column, "is empty: every step needs one; write it, or take the row out")
    rows = zip(table.rows, table.seconds("start", "end"), strict=True)
    return [
        Step(row["video_id"], start, end, row["verb"], row["object"], row["sentence"]) for row, (start, end) in rows
    ]


def matched(steps: list[Step], names: VideoNames, where: str) -> list[Step]:
    """The steps with the safe ids of the videos that they name. Those that name none, or several, are counted on stderr."""
    found = {name: names.find(name) for name in dict.fromkeys(step.video_id for step in steps)}
    lost = Counter(step.video_id for step in steps if len(found[step.video_id]) != 1)
    if lost:
        shown = ", ".join(f"{name} ({number})" for name, number in lost.most_common(5))
        text = (
            f"{where}: {lost.total()} of {len(steps)} steps name no video of the list, or several, by {len(lost)} ids"
        )
        print(f"{text}: {shown}{', ...' if len(lost) > 5 else ''}; they are not measured", file=sys.stderr)
    # Their labels stay among the choices. A name that is several videos' is nobody's.
    ids = {name: videos[0] if len(videos) == 1 else "" if videos else name for name, videos in found.items()}
    return [replace(step, video_id=ids[step.video_id]) for step in steps]


def in_videos(steps: list[Step], ends: dict[str, float], slack: float, where: str) -> list[Step]:
    """The steps without those whose times lie nowhere in their video, which are counted by reason on stderr.

    Args:
        ends: where the last clip of each video ends; videos that are not in it are not looked at.
        slack: what may be left of a video after its last clip: a clip's length.
        where: the setting and its value, how messages begin.

    Raises UserError that says what it looks like when more than a few are lost.
    """
    reasons = [_nowhere(step, ends.get(step.video_id, math.inf), slack) for step in steps]
    lost = [step for step, reason in zip(steps, reasons, strict=True) if reason]
    if not lost:
        return steps
    count = Counter(filter(None, reasons))
    text = (
        f"{where}: {len(lost)} of {len(steps)} steps lie nowhere in their video "
        f"({', '.join(f'{number} {reason}' for reason, number in count.items())}; the first: {lost[0].video_id}, "
        f"{lost[0].start:g} to {lost[0].end:g})"
    )
    if len(lost) == len(steps) or (len(lost) > FEW and len(lost) > FEW_SHARE * len(steps)):
        raise UserError(f"{text}; {_looks_like(lost, count, ends)}")
    print(f"{text}; they are left out", file=sys.stderr)
    return [step for step, reason in zip(steps, reasons, strict=True) if not reason]


def _nowhere(step: Step, end: float, slack: float) -> str:
    if step.end < step.start:
        return BACKWARDS
    if step.end <= 0:
        return "end before it begins"
    return "begin after it ends" if step.start >= end + slack else ""


def _looks_like(lost: list[Step], count: Counter[str], ends: dict[str, float]) -> str:
    """What wrong times look like, and the mend."""
    if 2 * count[BACKWARDS] >= len(lost):
        return "start and end look swapped: exchange the names of the two columns"
    times_longer = [step.end / ends[step.video_id] for step in lost if ends.get(step.video_id)]
    ratio = float(np.median(times_longer)) if times_longer else 0.0
    if ratio > 70:
        return "the times look like milliseconds: write seconds"
    if ratio > 5:
        return "the times look like numbers of frames: write seconds, the number divided by the frames a second"
    return "are they of another cut of the videos, or are the ids those of others? Correct the table"


def clips_of_videos(segments: Segments) -> dict[str, Track]:
    """For each video, the middles of its clips (seconds) and the clips, from the rows that cover it."""
    middles: dict[str, list[npt.NDArray[np.float64]]] = {}
    seen: dict[str, list[Video]] = {}
    for row in np.flatnonzero(~segments.paired & (np.diff(segments.video_offsets) > 0)):
        name, clips = segments.videos[segments.group[row]], segments.clips_of(row)
        seconds = (segments.end[row] - segments.start[row]) / (clips[-1] - clips[0] + 1)
        middles.setdefault(name, []).append(segments.start[row] + (clips - clips[0] + 0.5) * seconds)
        seen.setdefault(name, []).append(segments.video_of(row))
    return {name: (np.concatenate(middles[name]), joined(seen[name])) for name in middles}


def select_between(middles: npt.NDArray[np.floating], clips: Of, start: float, end: float) -> Of:
    """The clips (or what there is of each) whose middle lies in [start, end); the nearest one if there is none."""
    inside = (middles >= start) & (middles < end)
    return clips[inside] if inside.any() else clips[[np.abs(middles - (start + end) / 2).argmin()]]


def row_of_another_video(
    groups: npt.NDArray[np.integer], candidates: npt.NDArray[np.integer], group: Row, random: np.random.Generator
) -> int:
    others = candidates[groups[candidates] != group]
    return int(others[random.integers(len(others))])
