"""Which video somebody means: by the list's own id, the safe one that file names are made of, or the source.

The list's own ids may be written otherwise in results (`my.video 1` is `my_video_1`, the second of `Abc` and `abc` has another
name), so annotations and excluded ids would miss their videos. The stage corpus_ids writes them down.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from videobert.data.manifest import identity_of
from videobert.data.provenance import read_table


@dataclass(frozen=True)
class VideoNames:
    """The videos of a manifest by everything that they are called. `open_names` makes it."""

    listed: dict[str, list[str]]  # video ids by the list's own id, or by the safe one where the list has none
    safe: set[str]  # the video ids
    sources: dict[str, list[str]]  # video ids by source, and by its identity

    def find(self, name: str) -> list[str]:
        """The video ids that a name means: the list's own id counts first. None or several may bear it."""
        if name in self.listed:
            return self.listed[name]
        if name in self.safe:
            return [name]
        return self.sources.get(name) or self.sources.get(identity_of(name)) or []


def open_names(manifest: Path, ids: list[Path]) -> VideoNames:
    """The names of a manifest's videos; `ids` is the file of the list's own, or nothing.

    Raises UserError when a file is missing or broken.
    """
    own = {row["video_id"]: row["listed_id"] for file in ids for row in read_table(file).to_pylist()}
    return names_of(read_table(manifest, ["video_id", "source"]).to_pylist(), own)


def names_of(rows: list[dict[str, Any]], own: dict[str, str]) -> VideoNames:
    """The names of the videos in `rows` (video_id, source); `own` are the list's own ids by video id."""
    listed: dict[str, list[str]] = {}
    sources: dict[str, list[str]] = {}
    for row in rows:
        video_id, source = row["video_id"], row["source"]
        listed.setdefault(own.get(video_id) or video_id, []).append(video_id)
        for name in {source, identity_of(source)}:
            sources.setdefault(name, []).append(video_id)
    return VideoNames(listed, {row["video_id"] for row in rows}, sources)
