"""Which videos are for training, validation and testing, where the list does not say it.

Each video draws by itself, so that its split never changes when others are appended: `test_fraction` is a chance, not a share.
Validation is drawn of what is not for testing, so that `validation_fraction` moves no test video.
Of a small list the draws may leave a split empty. Then the video whose draw is nearest moves into it, and stays there: the
register keeps it until `test_fraction` or `seed` changes.
"""

import hashlib
from typing import Any, NamedTuple

from videobert.errors import UserError

SPLITS = ("train", "validation", "test")


class Draw(NamedTuple):
    """What is drawn of the list."""

    test_fraction: float
    """The chance of a video to be a test video."""
    seed: int
    limit: int | None = None
    """How many videos are taken; None: all."""
    validation_fraction: float = 0.0
    """The chance of a video that is no test video to be one for validation."""


def split_of(video_id: str, draw: Draw) -> str:
    """Seeded hashes of the id, so that neither the list's order nor its length matters."""
    if drawn(video_id, draw.seed) < draw.test_fraction * 2**64:
        return "test"
    is_held_out = drawn(f"validation:{video_id}", draw.seed) < draw.validation_fraction * 2**64
    return "validation" if is_held_out else "train"


def drawn(name: str, seed: int) -> int:
    """What a name draws: a number below 2**64."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{name}".encode()).digest()[:8], "big")


def fill_empty_splits(rows: list[dict[str, Any]], draw: Draw) -> None:
    """Moves a video into train or test where the draws left it empty; its `kept` says so.

    Args:
        rows: of the plan: video_id, split, `listed_split` ("" where the list gives none), `kept`.
        draw: what the splits come of.
    """
    if len(rows) < 2 or not draw.test_fraction:
        return
    for wanted, nearest in (("test", min), ("train", max)):
        free = [row for row in rows if not row["listed_split"]]
        if free and not any(row["split"] == wanted for row in rows):
            moved = nearest(free, key=lambda row: drawn(row["video_id"], draw.seed))
            moved["split"] = moved["kept"] = wanted


def moved(row: dict[str, Any]) -> str:
    """One line on a video that `fill_empty_splits` moved."""
    return f"{row['video_id']} is a {row['split']} video, since the draws of this small list left none; it stays one"


def check_split(splits: list[str], split: str) -> None:
    """Raises UserError when no video is in this split, by the splits of all videos."""
    if split in splits:
        return
    if split == "train":
        one = "its only video is in the split test" if len(splits) == 1 else "no video is in the split train"
        raise UserError(
            f"corpus.videos: {one}: list more videos, give some the split train (column split), or lower corpus.test_fraction"
        )
    raise UserError(
        f"corpus.videos: no video is in the split {split}, which the tasks of the evaluation need: list more than one video, "
        f"give one the split {split} (column split) or set corpus.test_fraction above 0; or set evaluate.tasks to []"
    )
