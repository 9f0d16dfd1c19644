"""The media of one shard, in one folder, whatever their source.

Three kinds of source take the same road: `kitchen:17` is rendered (the built-in corpus, a pure function of the number),
a local file is linked, never copied, and an http(s) URL is fetched by yt-dlp (web.py) from whichever of its thousand
sites. Each comes to a hidden folder first, is opened, and stands under its name only when a video stream was found in it.

Of a list of URLs a part is always lost. The ledger says which and in what class: `gone` (removed, private, no such
file), `blocked` (the site refuses us: login, bot check, rate limit), `transient` (the network; worth another run) and
`unusable` (not a video, or not one of those that are wanted).

What was fetched is not fetched again. The ledger is the job's output, which Snakemake deletes before it runs the job
again; a hidden copy of it and the media stay. So when a shard runs again (the list has changed, or `videobert retry` was
typed), the good videos from the web are taken over as they are, and those that are lost for good as well, as long as the
settings that decide what is taken are the same; the others are tried again.

When a site refuses us, the job does not fail: the videos of that site which are left are marked as blocked, "not tried",
and the job ends well. A failed job would be tried again by the next run without a word from anybody, but it would keep
all that lies below it from running: there would be no model in the morning of 300,000 videos, because one site had said
no in one shard. What was not tried stands in the ledger, on the screen and in the report, with what to do about it.
"""

import csv
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from videobert.data.file_names import existing
from videobert.data.kitchen_sources import kitchen_source
from videobert.data.ledger import file_facts, process_videos, remove_journal
from videobert.data.manifest import license_wanted, local_path
from videobert.data.plan import DrawInputs, rows_of
from videobert.data.provenance import atomic, make_provenance, read_provenance, read_table, write_table
from videobert.data.schemas import DOWNLOAD_FACTS, STEPS, arrow, names
from videobert.data.text import one_line
from videobert.errors import Status, UserError, VideoError
from videobert.layout import KEPT_LEDGER
from videobert.media.probing import probe
from videobert.settings import Count, Outputs
from videobert.web.options import DownloadExecution, DownloadSettings, too_long, unwanted

if TYPE_CHECKING:
    from videobert.web.fetch import Site

VERSION = 2

LOST_FOR_GOOD = (Status.GONE, Status.UNUSABLE)
CAPTIONS_REMARK = "its captions"  # how the remark on a video begins whose captions did not come


class DownloadInputs(DrawInputs):
    videos: Path
    """The list of videos, as for the stage corpus."""
    id_register: Path
    """Which source has which shard, as for the stage corpus."""
    shard_size: Count
    """Videos in a shard, as for the stage corpus."""
    shard: str
    """The shard to fetch ("0000")."""


class DownloadOutputs(Outputs):
    ledger: Path
    """The ledger (Parquet); the media are written beside it, as {video_id}.{ext}."""
    steps: Path
    """The annotated steps that came with the videos (TSV): those of kitchen videos, which know their own."""


def download(
    inputs: DownloadInputs, outputs: DownloadOutputs, settings: DownloadSettings, execution: DownloadExecution
) -> None:
    """Fetch one shard's videos: URLs, local files, the built-in kitchen."""
    import pyarrow as pa

    rows = rows_of(inputs.shard, inputs.videos, inputs.id_register, inputs.shard_size, inputs.draw)
    if not rows:
        raise UserError(f"{inputs.videos} has no shard {inputs.shard!r}")
    folder = outputs.ledger.parent
    provenance = _provenance(rows, settings, execution)
    shard = _Shard(folder, settings, execution, _before(folder, provenance), rows)

    def work(row: dict[str, Any]) -> tuple[dict[str, Any], None]:
        return shard.fetched_before(row) or shard.fetch(row), None

    try:
        ledger, _ = process_videos(rows, work, folder / ".journal", provenance, arrow(DOWNLOAD_FACTS))
    finally:
        shard.close()
    sources = pa.array([row["source"] for row in rows], pa.string())  # of lost videos too
    ledger = ledger.set_column(ledger.schema.get_field_index("source"), "source", sources)
    _sweep(folder, ledger.to_pylist())
    write_steps(rows, outputs.steps)
    write_table(ledger, folder / KEPT_LEDGER, provenance)
    write_table(ledger, outputs.ledger, provenance)
    remove_journal(folder / ".journal")


def _provenance(rows: list[dict[str, Any]], settings: DownloadSettings, execution: DownloadExecution) -> dict[str, Any]:
    # The rows themselves, not the manifest's hash: another shard's news must not fetch this one again.
    identity = [[row["video_id"], row["source"], license_wanted(row["license"], settings.license)] for row in rows]
    kinds = {_kind(row["source"]) for row in rows}
    # The packages that shaped the media: a corpus of local files does not change with yt-dlp.
    packages = ("av", *("hibari-tts",) * ("kitchen" in kinds), *("yt-dlp",) * ("web" in kinds))
    used = settings.fingerprint() | {"options": execution.selection()}
    digest = hashlib.sha256(json.dumps(identity).encode()).hexdigest()
    return make_provenance("download", VERSION, used, {}, packages, rows_sha256=digest)


def _kind(source: str) -> str:
    if re.match(r"https?://", source, re.IGNORECASE):
        return "web"
    if kitchen_source(source):
        return "kitchen"
    return "unknown" if local_path(source) is None else "file"


@dataclass(frozen=True)
class _Before:
    """What the shard's last run left: its ledger's rows by video id, and which of the settings are still the same."""

    rows: dict[str, dict[str, Any]]
    all: bool
    media: bool
    captions: bool


def _before(folder: Path, provenance: dict[str, Any]) -> _Before:
    if (
        not (folder / KEPT_LEDGER).exists()
        or read_provenance(folder / KEPT_LEDGER).get("version") != provenance["version"]
    ):
        return _Before({}, False, False, False)
    then, now = read_provenance(folder / KEPT_LEDGER)["settings"], provenance["settings"]
    rows = {row["video_id"]: row for row in read_table(folder / KEPT_LEDGER).to_pylist()}
    same = {name for name in now if then.get(name) == now[name]}
    return _Before(rows, same == set(now), {"format", "options"} <= same, {"captions", "automatic_captions"} <= same)


@dataclass(frozen=True)
class _Shard:
    """The job of one shard: its folder, its settings, what was there before, and the web if it has videos there."""

    folder: Path
    settings: DownloadSettings
    execution: DownloadExecution
    before: _Before
    rows: list[dict[str, Any]]

    @cached_property
    def site(self) -> "Site":
        """The web, when it is first asked: yt-dlp takes half a second to import."""
        from videobert.web.fetch import Site

        urls = [row["source"] for row in self.rows if _kind(row["source"]) == "web"]
        return Site(self.settings, self.execution, urls)

    def close(self) -> None:
        if "site" in vars(self):
            self.site.close()

    def fetch(self, row: dict[str, Any]) -> dict[str, Any]:
        """Fetches one video and its captions to the folder; gives its facts for the ledger."""
        part = self._part(row["source"])
        file, caption, facts = self._media(row, part)
        read = file_facts(file)  # first: a disk that cannot read it must not look like a file that is broken
        found = probe(file)
        if not found["has_video"]:
            raise VideoError(Status.UNUSABLE, "it has no video stream")
        facts |= {key: found[key] for key in ("duration", "has_audio", "width", "height")}
        if self.settings.max_duration and facts["duration"] > self.settings.max_duration:
            raise VideoError(Status.UNUSABLE, too_long(facts["duration"], self.settings.max_duration))
        facts["captions"] = _place_captions(caption, self.folder, row["video_id"])
        facts |= read
        facts["path"] = _place(file, self.folder, row["video_id"] + _suffix(file.name))
        shutil.rmtree(part)
        return facts

    def fetched_before(self, row: dict[str, Any]) -> dict[str, Any] | None:
        """The facts of a video from the web that is there already, None when it must be fetched.

        Raises VideoError when it is lost for good, or does not fit the settings any more.
        """
        old = self.before.rows.get(row["video_id"])
        if _kind(row["source"]) != "web" or old is None or old["source"] != row["source"]:
            return None
        if old["status"] != Status.OK:
            if old["status"] in LOST_FOR_GOOD and self.before.all:
                raise VideoError(old["status"], old["reason"])
            return None
        path = self.folder / old["path"]
        if not self.before.media or not path.is_file():
            return None
        if reason := unwanted(self.settings, old["duration"], row["license"] or old["license"], path.stat().st_size):
            raise VideoError(Status.UNUSABLE, reason)
        facts = {key: value for key, value in old.items() if key not in ("video_id", "status")} | file_facts(path)
        # Earlier versions linked the list's own captions here.
        linked = bool(old["captions"]) and (self.folder / old["captions"]).is_symlink()
        return facts if self.before.captions and not linked else facts | self._captions_anew(row, old)

    def _captions_anew(self, row: dict[str, Any], old: dict[str, Any]) -> dict[str, Any]:
        caption, automatic, complaint = self.site.captions(row["source"], self._part(row["source"]))
        remarks = [remark for remark in old["reason"].split("; ") if not remark.startswith(CAPTIONS_REMARK)]
        return {
            "captions": _place_captions(caption, self.folder, row["video_id"]),
            "automatic_captions": automatic,
            "reason": one_line("; ".join(filter(None, [*remarks, complaint]))),
        }

    def _part(self, source: str) -> Path:
        """Where a video comes to before it stands in the folder. Of another video, or another format, nothing is left there."""
        identity = json.dumps([source, self.settings.format, self.execution.selection()])
        part = self.folder / ".part" / hashlib.sha256(identity.encode()).hexdigest()[:16]
        for other in part.parent.glob("*"):
            if other != part:
                shutil.rmtree(other)
        part.mkdir(parents=True, exist_ok=True)
        return part

    def _media(self, row: dict[str, Any], part: Path) -> tuple[Path, Path | None, dict[str, Any]]:
        """The media file in `part` (for local files, a link), its captions `captions.{lang}.vtt|srt`, and facts."""
        source, kind = row["source"], _kind(row["source"])
        facts = {"title": "", "license": "", "automatic_captions": False}
        if kind == "web":
            fetched = self.site.fetch(source, part, row["license"])
            facts |= {"title": one_line(fetched.title), "license": one_line(fetched.license)}
            facts |= {"automatic_captions": fetched.automatic_captions, "reason": one_line(fetched.remark)}
            return fetched.file, fetched.captions, facts
        shutil.rmtree(part)  # what a kill left of these is worth nothing
        part.mkdir()
        if kind == "file":
            return _local(source, part), None, facts
        if kind == "kitchen":
            from videobert.kitchen.sources import script_of
            from videobert.kitchen.video import render

            script = script_of(source)
            render(script, part / "media.mp4")
            return part / "media.mp4", None, facts | {"title": script.title}
        raise VideoError(Status.UNUSABLE, f"{source} is not an http(s) URL, a path or kitchen:N")


def write_steps(rows: list[dict[str, Any]], path: Path) -> None:
    """The kitchen's steps as a table such as a user writes for `evaluate.annotations`; without kitchen videos, its head."""
    with atomic(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter="\t", lineterminator="\n")
        writer.writerow(names(STEPS))
        writer.writerows(_kitchen_steps(rows))


def _kitchen_steps(rows: list[dict[str, Any]]) -> Iterator[tuple[Any, ...]]:
    from videobert.kitchen.sources import script_of

    for row in rows:
        if _kind(row["source"]) == "kitchen":
            for step in script_of(row["source"]).steps:
                yield row["video_id"], step.start, step.end, step.verb, step.object, step.sentence


def _local(source: str, part: Path) -> Path:
    given = local_path(source)
    path = existing(given) if given else None
    if path is None:
        raise VideoError(Status.GONE, f"there is no file {source}")
    if not path.is_file():
        raise VideoError(Status.UNUSABLE, f"{source} is not a file")
    link = part / f"media{_suffix(path.name)}"
    link.symlink_to(path.absolute())
    return link


def _suffix(name: str) -> str:
    """A name's suffix, fit to be one of ours: libraries choose by it, strangers choose it. (5: no "ledger.parquet".)"""
    suffix = re.sub(r"[^a-z0-9]", "", Path(name).suffix.lower())[:5]
    return f".{suffix}" if suffix else ""


def _place(file: Path, folder: Path, name: str) -> str:
    # Written down first: what stands in the list may be swept away later, and nothing else.
    with open(folder / ".written", "a", encoding="utf-8") as written:
        written.write(f"{name}\n")
    if file.is_symlink() and file.readlink().is_relative_to(Path.cwd()):
        # A file in the project's folder moves with it.
        target = os.path.relpath(file.readlink(), os.path.realpath(folder))
        file.unlink()
        file.symlink_to(target)
    os.replace(file, folder / name)
    return name


def _place_captions(caption: Path | None, folder: Path, video_id: str) -> str:
    return _place(caption, folder, f"{video_id}{''.join(caption.suffixes[-2:])}") if caption else ""


def _sweep(folder: Path, rows: list[dict[str, Any]]) -> None:
    """Removes what earlier runs left here (another list, another format), and only what `_place` put here."""
    shutil.rmtree(folder / ".part", ignore_errors=True)
    written = folder / ".written"
    keep = {row[key] for row in rows for key in ("path", "captions") if row[key]}
    for name in set(written.read_text(encoding="utf-8").split()) - keep if written.exists() else ():
        (folder / name).unlink(missing_ok=True)
    written.write_text("".join(f"{name}\n" for name in sorted(keep)), encoding="utf-8")
