"""Which video somebody means: by the list's own id, the safe one that file names are made of, or the source.

The list's own ids may be written otherwise in results (`my.video 1` is `my_video_1`, the second of `Abc` and `abc` has another
name), so annotations and excluded ids would miss their videos. The manifest's provenance keeps each id that differs.
"""

from dataclasses import dataclass
from pathlib import Path

from videobert.data.manifest import clean, identity_of
from videobert.data.provenance import read_provenance, read_table


@dataclass(frozen=True)
class VideoNames:
    """The videos of a manifest by everything that they are called. `open_names` makes it."""

    listed: dict[str, list[str]]  # video ids by the list's own id, or by the safe one where the list has none
    safe: set[str]  # the video ids
    sources: dict[str, list[str]]  # video ids by source, and by its identity
    cleans: bool  # the manifest was made before the list's ids were kept beside the safe ones

    def find(self, name: str) -> list[str]:
        """The video ids that a name means: the list's own id counts first. None or several may bear it."""
        if name in self.listed:
            return self.listed[name]
        if name in self.safe:
            return [name]
        found = self.sources.get(name) or self.sources.get(identity_of(name)) or []
        return [clean(name)] if not found and self.cleans and clean(name) in self.safe else found


def open_names(manifest: Path) -> VideoNames:
    """The names of a manifest's videos. Raises UserError when the file is missing or broken."""
    rows = read_table(manifest, ["video_id", "source"]).to_pylist()
    # By video id, where it differs; None in a manifest of an earlier version.
    own: dict[str, str] | None = read_provenance(manifest).get("listed_ids")
    listed: dict[str, list[str]] = {}
    sources: dict[str, list[str]] = {}
    for row in rows:
        video_id, source = row["video_id"], row.get("source", "")
        listed.setdefault((own or {}).get(video_id, video_id), []).append(video_id)
        for name in {source, identity_of(source)} if source else ():
            sources.setdefault(name, []).append(video_id)
    return VideoNames(listed, {row["video_id"] for row in rows}, sources, own is None)
