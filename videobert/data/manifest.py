"""The list of videos and the manifest: ids, shards and splits.

The Snakefile calls `plan` when it is parsed, so that the shards are known before anything runs (a Snakemake checkpoint
would cost seconds for each thousand jobs); the stage `corpus` writes the same plan down.
"""

import hashlib
import json
import os
import re
import sys
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote, urlparse

from videobert.data.file_names import existing
from videobert.data.human_tables import read_human_table
from videobert.data.kitchen_sources import kitchen_source
from videobert.data.limit import Listed, draw_videos
from videobert.data.local_files import LocalFiles
from videobert.data.provenance import DamagedFile, read_provenance, read_table
from videobert.data.splits import SPLITS, Draw, fill_empty_splits, split_of
from videobert.data.text import is_control, one_line
from videobert.errors import Status, UserError
from videobert.layout import Layout

COLUMNS = ("source", "id", "split", "captions", "title", "license")


LONGEST_ID = 64
RENAMED = "its id is another video's, too (capitals aside), or was given later"
# What nearly all rows of a large list look like, known at a glance: urllib would take half a minute for 300,000 of them.
PLAIN_URL = re.compile(r"https?://(?:[a-z0-9][a-z0-9-]{0,61}\.)+[a-z]{2,20}/[!-~]*")
SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
UNSAFE = re.compile(r"[^A-Za-z0-9_-]+")  # in an id
WATCH = re.compile(r"https://www\.youtube\.com/watch\?v=([A-Za-z0-9_-]+)")
# The built-in corpora by name: 72 rendered videos, 240, and 240 recipes.
BUILT_IN = {
    name: Path(__file__).parents[1] / "kitchen" / "corpora" / f"{name}.tsv"
    for name in ("kitchen", "kitchen-full", "recipes")
}


class Planned(NamedTuple):
    """What becomes of the list."""

    manifest: list[dict[str, Any]]
    """A row for each video."""
    ledger: list[dict[str, Any]]
    """What became of each row of the list, but for those that the limit leaves out."""
    left_out: int = 0
    """The videos that the limit leaves out."""


def plan(videos: Path, register: Path, shard_size: int, draw: Draw) -> Planned:
    """The videos by shard and split; see `corpus` for the arguments. Writes nothing."""
    table = read_list(videos)
    remembered = read_register(register, shard_size, draw)
    left_out, moving = _limited(table, remembered, Layout(register.parent.parent), draw)
    taken = {place.video_id.lower() for place in remembered.values()}
    manifest: list[dict[str, Any]] = []
    ledger: list[dict[str, Any]] = []
    first: dict[str, str] = {}
    fresh = 0
    next_shard = 1 + max((int(place.shard) for place in remembered.values()), default=-1)
    for number, row in enumerate(table, 2):
        source, title = row["source"], one_line(row["title"])
        problem, identity = _problem(source), identity_of(source)
        if identity in left_out:
            continue
        if problem or identity in first:
            status, reason = (
                (Status.UNUSABLE, problem) if problem else (Status.DUPLICATE, f"the same video as {first[identity]}")
            )
            source = one_line(source, longest=1000)
            aside = {"video_id": f"row-{number}", "status": status, "reason": reason, "source": source, "shard": ""}
            ledger.append({"stage": "corpus", **aside, "title": title})
            continue
        kept = ""
        if identity in remembered:
            video_id, shard, kept = remembered[identity]
        else:
            video_id, shard = _unique(clean(row["id"]) or _name(identity), identity, taken), ""
        if not shard or identity in moving:
            shard = f"{next_shard + fresh // shard_size:04d}"
            fresh += 1
        first[identity] = video_id
        split = row["split"] or kept or split_of(video_id, draw)
        manifest.append(
            {
                "video_id": video_id,
                "source": source,
                "shard": shard,
                "split": split,
                "listed_split": row["split"],
                "kept": "" if row["split"] else kept,
                "listed_id": row["id"],
                "captions": row["captions"],
                "title": title,
                "license": one_line(row["license"]),
            }
        )
        renamed = row["id"] and clean(row["id"]) != video_id
        reason = f"{RENAMED}: it is called {video_id}" if renamed else ""
        ledger.append(
            {
                "stage": "corpus",
                "video_id": video_id,
                "status": Status.OK,
                "reason": reason,
                "source": source,
                "shard": shard,
                "title": title,
            }
        )
    fill_empty_splits(manifest, draw)
    if not any(_reachable(row["source"]) for row in manifest):
        reason = next((row["reason"] for row in ledger if row["reason"]), "none of the local files exists")
        raise UserError(
            f"corpus.videos: {videos} has no usable video ({len(table)} rows; {reason}); "
            "a source is a URL, the path of an existing file, or kitchen:N"
        )
    return Planned(manifest, ledger, len(left_out))


def _limited(
    table: list[dict[str, str]], remembered: dict[str, "Place"], layout: Layout, draw: Draw
) -> tuple[set[str], set[str]]:
    """The identities that the limit leaves out, and those that it takes into another shard; none without a limit."""
    if draw.limit is None:
        return set(), set()
    videos: dict[str, Listed] = {}
    for row in table:
        identity = identity_of(row["source"])
        if not _problem(row["source"]) and identity not in videos:
            place = remembered.get(identity, Place(clean(row["id"]) or _name(identity), ""))
            videos[identity] = Listed(place.video_id, row["split"] or place.split, place.shard)
    known = {listed.shard for listed in videos.values() if listed.shard}
    # The copy of the ledger: the ledger itself is gone while a shard is downloaded again.
    downloaded = {shard for shard in known if Path(layout.kept_ledger(shard)).exists()}
    return draw_videos(videos, downloaded, draw)


def list_file(videos: Path) -> Path:
    """The file of a list: `kitchen`, `kitchen-full` and `recipes` are the built-in corpora."""
    return BUILT_IN.get(str(videos), videos)


def read_list(videos: Path) -> list[dict[str, str]]:
    """The user's list as text, "" where nothing is given, with just the columns of `COLUMNS`."""
    where = f"corpus.videos: {videos}"
    videos = list_file(videos)
    if videos.suffix.lower() not in (".tsv", ".csv", ".parquet"):
        raise UserError(
            f"{where} is not a .tsv, .csv or .parquet file (nor {' or '.join(BUILT_IN)}, the built-in corpora)"
        )
    table = read_human_table(videos, where, {"source": "text"}, dict.fromkeys(COLUMNS[1:], "text"))
    for index, row in enumerate(table.rows):
        if row["split"] not in ("", *SPLITS):
            raise table.wrong(index, "split", f"is no split; allowed are {', '.join(SPLITS)}, or nothing")
    return table.rows


def shards(manifest: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """The manifest's rows by shard, shards in order."""
    found: dict[str, list[dict[str, Any]]] = {}
    for row in manifest:
        found.setdefault(row["shard"], []).append(row)
    return dict(sorted(found.items()))


def digest(rows: list[dict[str, Any]], *columns: str) -> str:
    """What decides whether that must be made again which is made of these columns of the plan."""
    facts = list(map(itemgetter(*columns), rows))  # of two columns or more
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]


def sources_digest(rows: list[dict[str, Any]], files: LocalFiles | None, license: str | None) -> str:
    """What decides whether a shard must be downloaded again: sources, the content of local files, and of the licenses whether
    they are among those that are wanted. `files` is only asked where there are local ones."""
    facts = [
        [row["video_id"], row["source"], *_content(row["source"], files), license_wanted(row["license"], license)]
        for row in rows
    ]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]


def captions_digest(rows: list[dict[str, Any]], files: LocalFiles) -> str:
    """What decides whether a shard's captions must be read again: which the list names, and their content."""
    facts = [[row["video_id"], row["captions"], *files.facts(row["captions"])] for row in rows if row["captions"]]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]


def license_wanted(given: str, wanted: str | None) -> bool | None:
    """Whether a license that the list gives is one of those that are wanted; None when it gives none, or all are."""
    return bool(re.search(wanted, given, re.IGNORECASE)) if wanted and given else None


def _content(source: str, files: LocalFiles | None) -> list[Any]:
    path = local_path(source)
    return files.facts(str(path)) if path is not None and files else []


def manifest_of(path: Path) -> dict[str, dict[str, Any]]:
    """The manifest's rows by video id."""
    return {row["video_id"]: row for row in read_table(path).to_pylist()}


def local_path(source: str) -> Path | None:
    """The path that a source names, or None when it is a URL or kitchen:N."""
    if source.startswith("file://"):
        return Path(unquote(urlparse(source).path))
    if SCHEME.match(source):
        return None
    return Path.home() / source.removeprefix("~/") if source.startswith("~/") else Path(source)


class Place(NamedTuple):
    """What the register keeps of a video: its name, its shard, and its split where that is not its draw's ("" else)."""

    video_id: str
    shard: str
    split: str = ""


def read_register(register: Path, shard_size: int, draw: Draw) -> dict[str, Place]:
    """The places of earlier runs' videos by their identity; none when shards had another size, and no splits when they were
    drawn otherwise.

    Where the register is lost or damaged, the manifest beside it tells the same of the videos that were in the list.
    """
    try:
        if register.exists():
            rows, settings = read_table(register).to_pylist(), read_provenance(register).get("settings", {})
            before = Draw(
                settings.get("test_fraction"), settings.get("seed"), None, settings.get("validation_fraction", 0.0)
            )
            drawn = before == draw._replace(limit=None)
            places = {
                row["identity"]: Place(row["video_id"], row["shard"], row.get("split", "") if drawn else "")
                for row in rows
            }
            return places if settings.get("shard_size") == shard_size else {}
    except DamagedFile as error:
        print(f"{error}; its manifest is read instead", file=sys.stderr)
    manifest = Path(Layout(register.parent.parent).manifest)
    if not manifest.exists() or read_provenance(manifest).get("settings", {}).get("shard_size") != shard_size:
        return {}
    columns = ["source", "video_id", "shard"]
    return {
        identity_of(row["source"]): Place(row["video_id"], row["shard"])
        for row in read_table(manifest, columns).to_pylist()
    }


def _problem(source: str) -> str:
    if PLAIN_URL.fullmatch(source):
        return ""
    if not source:
        return "source is empty"
    if source.startswith("kitchen:"):
        return "" if kitchen_source(source) else "kitchen:N and kitchen:recipe-N want a number"
    scheme = SCHEME.match(source)
    if scheme and scheme[1].lower() not in ("http", "https", "file"):
        return f"{scheme[1][:20]}: is not a kind of source that is known"
    if scheme and scheme[1].lower() != "file" and not _host(source):
        return "source is no valid URL"
    return "source has control characters" if any(map(is_control, source)) else ""


def _host(url: str) -> bytes:
    try:
        return (urlparse(url).hostname or "").encode("idna")
    except ValueError:
        return b""


def _reachable(source: str) -> bool:
    path = local_path(source)
    return path is None or existing(path) is not None


def _youtube(source: str) -> str:
    url = urlparse(source)
    host = (url.hostname or "").removeprefix("www.").removeprefix("m.")
    if host == "youtu.be":
        return url.path.strip("/")
    if host == "youtube.com":
        return (
            parse_qs(url.query).get("v", [""])[0] or (re.match(r"/(?:shorts|embed)/([^/]+)", url.path) or ["", ""])[1]
        )
    return ""


def identity_of(source: str) -> str:
    """Two sources with one identity are one video."""
    if watch := WATCH.fullmatch(source):
        return f"youtube:{watch[1]}"
    path = local_path(source)
    if path is not None:
        return os.path.normpath(path)
    if kitchen := kitchen_source(source):
        return str(kitchen)
    if "youtu" not in source.lower():
        return source
    try:
        return f"youtube:{video}" if (video := _youtube(source)) else source
    except ValueError:  # a malformed URL
        return source


def _name(identity: str) -> str:
    """An id for a source that has none: YouTube's own, else the last part of the path."""
    if identity.startswith("youtube:"):
        return clean(identity.removeprefix("youtube:"))
    if identity.startswith("kitchen:"):
        return identity.replace(":", "-")
    return clean(Path(identity.split("?")[0].rstrip("/")).stem) or "video"


def clean(text: str) -> str:
    """An id as it stands in file names."""
    return UNSAFE.sub("_", text)[:LONGEST_ID]


def _unique(name: str, identity: str, taken: set[str]) -> str:
    """`name`, or `name` with a hash of the source when it is taken (also on file systems that ignore case)."""
    if name.lower() in taken:
        name = f"{name[: LONGEST_ID - 9]}-{hashlib.sha256(identity.encode()).hexdigest()[:8]}"
    taken.add(name.lower())
    return name
