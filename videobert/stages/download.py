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

import hashlib
import json
import os
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from videobert.data.ledger import process_videos, remove_journal
from videobert.data.manifest import local_path, rows_of
from videobert.data.provenance import make_provenance, read_provenance, read_table, write_table
from videobert.data.text import one_line
from videobert.errors import UserError, VideoError
from videobert.media.probing import probe
from videobert.web.options import MANNERS, Settings, misfits, selection_options, too_long, unwanted

if TYPE_CHECKING:
    from videobert.web.fetch import Site

VERSION = 2

KEPT = ".ledger.parquet"  # the hidden copy of the ledger
LOST_FOR_GOOD = ("gone", "unusable")
CAPTIONS_REMARK = "its captions"  # how the remark on a video begins whose captions did not come


def download(
    videos: Path,
    register: Path,
    shard_size: int,
    shard: str,
    output: Path,
    format: str,
    captions: list[str],
    automatic_captions: bool,
    max_duration: float | None,
    max_filesize: int,
    license: str | None,
    cookies: Path | None,
    proxy: str | None,
    ratelimit: int | None,
    sleep_interval: float,
    retries: int,
    time_limit: float,
    max_blocked: float,
    options: dict[str, Any],
) -> None:
    """Fetches one shard's videos, local files and kitchen videos.

    Args:
        videos: the list of videos, as for the stage corpus.
        register: which source has which shard, as for the stage corpus.
        shard_size: videos in a shard, as for the stage corpus.
        shard: the shard to fetch ("0000").
        output: the ledger to write; the media come to its folder, as {video_id}.{ext}.
        format: which of a site's formats to take, in yt-dlp's language ("bv*[height<=480]+ba/b[height<=480]").
        captions: languages of the captions to fetch, best first, as patterns ("en", "en.*"); with none, no captions are
            fetched.
        automatic_captions: where nobody wrote captions, take those of the platform's speech recognition.
        max_duration: longer videos, in seconds, are left out; one whose duration nobody knows is taken.
        max_filesize: larger files from the web, in bytes, are left out.
        license: a pattern that a web video's license must match ("creative commons"); null takes all. The license is
            what the list says, else what the site says; a video without either is left out.
        cookies: a file of cookies in Netscape's format, as browsers export it, for sites that want a login. It is read,
            never written.
        proxy: the proxy to go through, http:// or socks5://; null takes the environment's (HTTPS_PROXY). A password
            belongs into the environment: http://user:${PASSWORD}@host:3128.
        ratelimit: bytes a second that this job takes at most.
        sleep_interval: seconds to wait before each download.
        retries: how often a video is tried again after a failure that may pass, after 1, 2, 4, ... seconds, or as many
            as the server says.
        time_limit: seconds that a video may take.
        max_blocked: when a larger share than this of the shard's videos from one site is refused, the others from there
            are not asked for; 1 asks for all.
        options: other options of yt-dlp, in the words of its Python interface ({"socket_timeout": 40}).
    """
    import pyarrow as pa

    settings = Settings(
        format=format,
        captions=captions,
        automatic_captions=automatic_captions,
        max_duration=max_duration,
        max_filesize=max_filesize,
        license=license,
        cookies=cookies,
        proxy=proxy,
        ratelimit=ratelimit,
        sleep_interval=sleep_interval,
        retries=retries,
        time_limit=time_limit,
        max_blocked=max_blocked,
        options=options,
    )
    if lines := misfits(vars(settings)):
        raise UserError("; ".join(lines))
    rows = rows_of(shard, videos, register, shard_size)
    if not rows:
        raise UserError(f"{videos} has no shard {shard!r}")
    schema = pa.schema(
        {
            "source": pa.string(),
            "path": pa.string(),
            "captions": pa.string(),
            "automatic_captions": pa.bool_(),
            "duration": pa.float64(),
            "has_audio": pa.bool_(),
            "width": pa.int32(),
            "height": pa.int32(),
            "title": pa.string(),
            "license": pa.string(),
        }
    )
    # The rows themselves, not the manifest's hash: another shard's news must not fetch this one again.
    identity = [[row[key] for key in ("video_id", "source", "captions", "title", "license")] for row in rows]
    provenance = make_provenance(
        "download",
        VERSION,
        {name: value for name, value in vars(settings).items() if name not in MANNERS}
        | {"options": selection_options(options)},
        {},
        _packages(rows),
        rows_sha256=hashlib.sha256(json.dumps(identity).encode()).hexdigest(),
    )
    folder, journal = output.parent, output.parent / ".journal"
    before, site = _before(folder, provenance), _site(settings, rows)

    def work(row: dict[str, Any]) -> tuple[dict[str, Any], None]:
        return _again(row, before, folder, settings, site) or _bring(row, folder, settings, site), None

    try:
        ledger, _ = process_videos(rows, work, journal, provenance, schema)
    finally:
        if site:
            site.close()
    sources = pa.array([row["source"] for row in rows], pa.string())  # of lost videos too
    ledger = ledger.set_column(ledger.schema.get_field_index("source"), "source", sources)
    _sweep(folder, ledger.to_pylist())
    write_table(ledger, folder / KEPT, provenance)
    write_table(ledger, output, provenance)
    remove_journal(journal)


def _packages(rows: list[dict[str, Any]]) -> tuple[str, ...]:
    """The packages that shaped the media: a corpus of local files does not change with yt-dlp."""
    kinds = {_kind(row["source"]) for row in rows}
    return ("av", *("hibari-tts",) * ("kitchen" in kinds), *("yt-dlp",) * ("web" in kinds))


def _kind(source: str) -> str:
    if re.match(r"https?://", source, re.IGNORECASE):
        return "web"
    if re.fullmatch(r"kitchen:\d+", source):
        return "kitchen"
    return "unknown" if local_path(source) is None else "file"


def _site(settings: Settings, rows: list[dict[str, Any]]) -> "Site | None":
    """The web, when the shard has videos there: yt-dlp takes half a second to import."""
    urls = [row["source"] for row in rows if _kind(row["source"]) == "web"]
    if not urls:
        return None
    from videobert.web.fetch import Site

    return Site(settings, urls)


def _bring(row: dict[str, Any], folder: Path, settings: Settings, site: "Site | None") -> dict[str, Any]:
    """Brings one video and its captions to `folder`; gives its facts for the ledger."""
    part = _part(folder, row["source"], settings)
    file, caption, facts = _fetch(row, part, settings, site)
    found = probe(file)
    if not found["has_video"]:
        raise VideoError("unusable", "it has no video stream")
    facts |= {key: found[key] for key in ("duration", "has_audio", "width", "height")}
    if settings.max_duration and facts["duration"] > settings.max_duration:
        raise VideoError("unusable", too_long(facts["duration"], settings.max_duration))
    if row["captions"]:
        caption = _own_captions(row, part, settings.captions)
    facts["captions"] = _place_captions(caption, folder, row["video_id"])
    facts["path"] = _place(file, folder, row["video_id"] + _suffix(file.name))
    shutil.rmtree(part)
    return facts


def _part(folder: Path, source: str, settings: Settings) -> Path:
    """Where a video comes to before it stands in `folder`. Of another video, or another format, nothing is left there."""
    identity = json.dumps([source, settings.format, selection_options(settings.options)])
    part = folder / ".part" / hashlib.sha256(identity.encode()).hexdigest()[:16]
    for other in part.parent.glob("*"):
        if other != part:
            shutil.rmtree(other)
    part.mkdir(parents=True, exist_ok=True)
    return part


def _fetch(
    row: dict[str, Any], part: Path, settings: Settings, site: "Site | None"
) -> tuple[Path, Path | None, dict[str, Any]]:
    """The media file in `part` (for local files, a link), its captions `captions.{lang}.vtt|srt`, and facts."""
    source, kind = row["source"], _kind(row["source"])
    facts = {"title": row["title"], "license": row["license"], "automatic_captions": False}
    if kind == "web":
        fetched = site.fetch(source, part, row["license"], captions=not row["captions"])
        facts["title"] = row["title"] or one_line(fetched.title)
        facts["license"] = row["license"] or one_line(fetched.license)
        facts |= {"automatic_captions": fetched.automatic_captions, "reason": one_line(fetched.remark)}
        return fetched.file, fetched.captions, facts
    shutil.rmtree(part)  # what a kill left of these is worth nothing
    part.mkdir()
    if kind == "file":
        return _local(source, part), None, facts
    if kind == "kitchen":
        from videobert.kitchen.script import script
        from videobert.kitchen.video import render

        number = int(source.removeprefix("kitchen:"))
        render(number, part / "media.mp4")
        return part / "media.mp4", None, facts | {"title": row["title"] or script(number).title}
    raise VideoError("unusable", f"{source} is not an http(s) URL, a path or kitchen:NUMBER")


def _local(source: str, part: Path) -> Path:
    path = local_path(source)
    if not os.path.exists(path):
        raise VideoError("gone", f"there is no file {source}")
    if not path.is_file():
        raise VideoError("unusable", f"{source} is not a file")
    return _link(path, part / f"media{_suffix(path.name)}")


def _own_captions(row: dict[str, Any], part: Path, languages: list[str]) -> Path | None:
    """A link to the captions that the user's list names. Their lack does not cost the video."""
    path = Path(row["captions"])
    if path.suffix.lower() not in (".vtt", ".srt") or not os.path.isfile(path):
        text = one_line(f"{row['video_id']}: captions {path} are not a .vtt or .srt file that exists", longest=1000)
        print(text, file=sys.stderr)
        return None
    return _link(path, part / f"captions.{_language(languages[0] if languages else 'und')}{path.suffix.lower()}")


def _link(target: Path, link: Path) -> Path:
    link.unlink(missing_ok=True)
    link.symlink_to(target.absolute())
    return link


def _suffix(name: str) -> str:
    """A name's suffix, fit to be one of ours: libraries choose by it, strangers choose it. (5: no "ledger.parquet".)"""
    suffix = re.sub(r"[^a-z0-9]", "", Path(name).suffix.lower())[:5]
    return f".{suffix}" if suffix else ""


def _language(tag: str) -> str:
    return re.sub(r"[^A-Za-z0-9-]", "", tag) or "und"


def _place(file: Path, folder: Path, name: str) -> str:
    # Written down first: what stands in the list may be swept away later, and nothing else.
    with open(folder / ".written", "a") as written:
        written.write(f"{name}\n")
    os.replace(file, folder / name)
    return name


def _place_captions(caption: Path | None, folder: Path, video_id: str) -> str:
    return _place(caption, folder, f"{video_id}{''.join(caption.suffixes[-2:])}") if caption else ""


def _sweep(folder: Path, rows: list[dict[str, Any]]) -> None:
    """Removes what earlier runs left here (another list, another format), and only what `_place` put here."""
    shutil.rmtree(folder / ".part", ignore_errors=True)
    written = folder / ".written"
    keep = {row[key] for row in rows for key in ("path", "captions") if row[key]}
    for name in set(written.read_text().split()) - keep if written.exists() else ():
        (folder / name).unlink(missing_ok=True)
    written.write_text("".join(f"{name}\n" for name in sorted(keep)))


# --- what is there already ---


@dataclass(frozen=True)
class _Before:
    """What the shard's last run left: its ledger's rows by video id, and which of the settings are still the same."""

    rows: dict[str, dict[str, Any]]
    all: bool
    media: bool
    captions: bool


def _before(folder: Path, provenance: dict[str, Any]) -> _Before:
    if not (folder / KEPT).exists() or read_provenance(folder / KEPT).get("version") != provenance["version"]:
        return _Before({}, False, False, False)
    then, now = read_provenance(folder / KEPT)["settings"], provenance["settings"]
    rows = {row["video_id"]: row for row in read_table(folder / KEPT).to_pylist()}
    same = {name for name in now if then.get(name) == now[name]}
    return _Before(rows, same == set(now), {"format", "options"} <= same, {"captions", "automatic_captions"} <= same)


def _again(
    row: dict[str, Any], before: _Before, folder: Path, settings: Settings, site: "Site | None"
) -> dict[str, Any] | None:
    """The facts of a video from the web that is there already, None when it must be fetched.

    Raises Loss when it is lost for good, or does not fit the settings any more.
    """
    old = before.rows.get(row["video_id"])
    if _kind(row["source"]) != "web" or old is None or old["source"] != row["source"]:
        return None
    if old["status"] != "ok":
        if old["status"] in LOST_FOR_GOOD and before.all:
            raise VideoError(old["status"], old["reason"])
        return None
    path = folder / old["path"]
    if not before.media or not path.is_file():
        return None
    license = row["license"] or old["license"]
    if reason := unwanted(settings, old["duration"], license, path.stat().st_size):
        raise VideoError("unusable", reason)
    facts = {key: value for key, value in old.items() if key not in ("video_id", "status")}
    facts |= {"title": row["title"] or old["title"], "license": license}
    linked = bool(old["captions"]) and (folder / old["captions"]).is_symlink()
    if row["captions"] or linked or not before.captions:
        part = _part(folder, row["source"], settings)
        if row["captions"]:
            caption, automatic, complaint = _own_captions(row, part, settings.captions), False, ""
        else:
            caption, automatic, complaint = site.captions(row["source"], part)
        facts |= {"captions": _place_captions(caption, folder, row["video_id"]), "automatic_captions": automatic}
        remarks = [remark for remark in old["reason"].split("; ") if not remark.startswith(CAPTIONS_REMARK)]
        facts["reason"] = one_line("; ".join(filter(None, [*remarks, complaint])))
    return facts
