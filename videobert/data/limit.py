"""`corpus.limit`: some videos of the list, drawn by chance, go through every stage before the others.

Each video has its place in an order of its own seed, whatever stands beside it in the list. The first of them are taken, so a
higher limit takes the same ones and more. They get shards that no other video is in, whose jobs are done for good: without the
limit the others are like videos that were appended.

What is there stays. A shard that has been downloaded is neither broken up nor left out, and its videos count first.
"""

import hashlib
from typing import NamedTuple

from videobert.data.splits import Draw, split_of


class Listed(NamedTuple):
    """What the draw must know of a video."""

    name: str
    """The id that it has, or gets if no other has it."""
    split: str
    """"" where its draw decides."""
    shard: str
    """"" where it has none yet."""


def draw_videos(videos: dict[str, Listed], downloaded: set[str], draw: Draw) -> tuple[set[str], set[str]]:
    """The videos that are left out, and those of the others that need another shard.

    Args:
        videos: of the list, by their identity.
        downloaded: the shards whose download has ended.
        draw: with a limit.
    """
    stay = {identity for identity, listed in videos.items() if listed.shard in downloaded}
    others = [identity for identity in _in_order(videos, draw) if identity not in stay]
    drawn = set(others[: max((draw.limit or 0) - len(stay), 0)])
    left_out = videos.keys() - stay - drawn
    shared = {videos[identity].shard for identity in left_out}
    return left_out, {identity for identity in drawn if videos[identity].shard in shared}


def limit_in_words(taken: int, left_out: int) -> str:
    """One line on what the limit does."""
    return f"corpus.limit: {taken:,} of {taken + left_out:,} videos"


def _in_order(videos: dict[str, Listed], draw: Draw) -> list[str]:
    """The videos as they are drawn: first one of each split, since without both a run does not come to its end."""
    drawn = sorted(videos, key=lambda identity: hashlib.sha256(f"limit:{draw.seed}:{identity}".encode()).digest())
    first: dict[str, str] = {}
    for identity in drawn:
        listed = videos[identity]
        first.setdefault(listed.split or split_of(listed.name, draw), identity)
    ahead = [first[split] for split in ("train", "test") if split in first]
    return [*ahead, *(identity for identity in drawn if identity not in ahead)]
