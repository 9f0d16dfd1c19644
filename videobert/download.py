"""The media of one shard, in one folder, whatever their source.

Three kinds of source take the same road: `kitchen:17` is rendered (the built-in corpus, a pure function of the number),
a local file is linked, never copied, and an http(s) URL is fetched by yt-dlp from whichever of its thousand sites.
Each comes to a hidden folder first, is opened, and stands under its name only when a video stream was found in it.

Of a list of URLs a part is always lost. The ledger says which and in what class: `gone` (removed, private, no such
file), `blocked` (the site refuses us: login, bot check, rate limit), `transient` (the network; worth another run) and
`unusable` (not a video).
"""

import hashlib
import json
import os
import re
import shutil
import sys
from pathlib import Path
from typing import Any

from videobert import media
from videobert.artefact import made_by, write_table
from videobert.corpus import local_path, rows_of
from videobert.errors import Loss, UserError
from videobert.ledger import each, finish

VERSION = 1

# Classes by what sites say, when there is no HTTP status to go by; the first that fits. A private video also asks to
# sign in, and a rate limit also says "unavailable".
SAID = [
    ("gone", r"private video|video is private"),
    ("blocked", r"sign in|log ?in|not a bot|captcha|cookies|rate.?limit|members|in your country|forbidden"),
    ("gone", r"unavailable|not available|no longer|removed|deleted|terminated|does not exist"),
    ("transient", r"timed out|timeout|temporar|connection|try again|bytes read"),
]


def download(
    videos: Path, register: Path, shard_size: int, shard: str, output: Path, format: str, captions: list[str]
) -> None:
    """Fetches one shard's videos, local files and kitchen videos.

    Args:
        videos: the list of videos, as for the stage corpus.
        register: which source has which shard, as for the stage corpus.
        shard_size: videos in a shard, as for the stage corpus.
        shard: the shard to fetch ("0000").
        output: the ledger to write; the media come to its folder, as {video_id}.{ext}.
        format: which of a site's formats to take, in yt-dlp's language ("bv*[height<=480]+ba/b[height<=480]").
        captions: languages of the captions to fetch, best first; with none, no captions are fetched.
    """
    import pyarrow as pa

    rows = rows_of(shard, videos, register, shard_size)
    if not rows:
        raise UserError(f"{videos} has no shard {shard!r}")
    schema = pa.schema(
        {
            "path": pa.string(),
            "captions": pa.string(),
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
    made = made_by(
        "download",
        VERSION,
        {"format": format, "captions": captions},
        {},
        _packages(rows),
        rows_sha256=hashlib.sha256(json.dumps(identity).encode()).hexdigest(),
    )
    folder, journal = output.parent, output.parent / ".journal"
    ledger, _ = each(rows, lambda row: (_bring(row, folder, format, captions), None), journal, made, schema)
    _sweep(folder, ledger.to_pylist())
    write_table(ledger, output, made)
    finish(journal)


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


def _bring(row: dict[str, Any], folder: Path, format: str, captions: list[str]) -> dict[str, Any]:
    """Brings one video and its captions to `folder`; gives its facts for the ledger."""
    part = folder / ".part"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    file, caption, title, license = _fetch(row["source"], part, format, [] if row["captions"] else captions)
    facts = media.probe(file)
    if not facts["has_video"]:
        raise Loss("unusable", "it has no video stream")
    if row["captions"]:
        caption = _own_captions(row, part, captions)
    facts = {key: facts[key] for key in ("duration", "has_audio", "width", "height")}
    facts |= {"title": row["title"] or _clean(title), "license": row["license"] or _clean(license)}
    facts["captions"] = _place(caption, folder, f"{row['video_id']}{''.join(caption.suffixes[-2:])}") if caption else ""
    facts["path"] = _place(file, folder, row["video_id"] + file.suffix)
    shutil.rmtree(part)
    return facts


def _fetch(source: str, part: Path, format: str, captions: list[str]) -> tuple[Path, Path | None, str, str]:
    """The media file in `part` (for local files, a link), its captions `media.{lang}.vtt|srt`, title and license."""
    kind = _kind(source)
    if kind == "web":
        return _web(source, part, format, captions)
    if kind == "file":
        return _local(source, part), None, "", ""
    if kind == "kitchen":
        from videobert.kitchen import render, script

        number = int(source.removeprefix("kitchen:"))
        render(number, part / "media.mp4")
        return part / "media.mp4", None, script(number).title, ""
    raise Loss("unusable", f"{source} is not an http(s) URL, a path or kitchen:NUMBER")


def _local(source: str, part: Path) -> Path:
    path = local_path(source)
    if not path.exists():
        raise Loss("gone", f"there is no file {source}")
    if not path.is_file():
        raise Loss("unusable", f"{source} is not a file")
    return _link(path, part / f"media{_suffix(path.name)}")


def _own_captions(row: dict[str, Any], part: Path, languages: list[str]) -> Path | None:
    """A link to the captions that the user's list names. Their lack does not cost the video."""
    path = Path(row["captions"])
    if path.suffix.lower() not in (".vtt", ".srt") or not path.is_file():
        print(f"{row['video_id']}: captions {path} are not a .vtt or .srt file that exists", file=sys.stderr)
        return None
    return _link(path, part / f"captions.{_language(languages[0] if languages else 'und')}{path.suffix.lower()}")


def _link(target: Path, link: Path) -> Path:
    link.symlink_to(target.absolute())
    return link


def _suffix(name: str) -> str:
    """A name's suffix, fit to be one of ours: libraries choose by it, strangers choose it."""
    suffix = re.sub(r"[^a-z0-9]", "", Path(name).suffix.lower())[:8]
    return f".{suffix}" if suffix else ""


def _language(tag: str) -> str:
    return re.sub(r"[^A-Za-z0-9-]", "", tag) or "und"


def _clean(text: str | None) -> str:
    return "".join(character if character.isprintable() else " " for character in text or "")[:300].strip()


def _place(file: Path, folder: Path, name: str) -> str:
    # Written down first: what stands in the list may be swept away later, and nothing else.
    with open(folder / ".written", "a") as written:
        written.write(f"{name}\n")
    os.replace(file, folder / name)
    return name


def _sweep(folder: Path, rows: list[dict[str, Any]]) -> None:
    """Removes what earlier runs left here (another list, another format), and only what `_place` put here."""
    shutil.rmtree(folder / ".part", ignore_errors=True)
    written = folder / ".written"
    keep = {row[key] for row in rows for key in ("path", "captions") if row[key]}
    for name in set(written.read_text().split()) - keep if written.exists() else ():
        (folder / name).unlink(missing_ok=True)
    written.write_text("".join(f"{name}\n" for name in sorted(keep)))


# --- the web ---


def _web(url: str, part: Path, format: str, captions: list[str]) -> tuple[Path, Path | None, str, str]:
    """Fetches the one video that `url` shows, and its captions if it has some."""
    from yt_dlp import YoutubeDL
    from yt_dlp.utils import YoutubeDLError

    options = {
        "format": format,
        "outtmpl": str(part / "media.%(ext)s"),
        "noplaylist": True,
        "playlist_items": "1:2",  # two are enough to know that it is not one video
        "ffmpeg_location": media.ffmpeg_binary(),
        "retries": 3,
        "fragment_retries": 3,
        "skip_unavailable_fragments": False,  # a video with holes would be taken for a whole one
        "socket_timeout": 20,
        "quiet": True,
        "noprogress": True,
        "no_warnings": True,
        "color": "never",
        "cachedir": False,
    }
    try:
        with YoutubeDL(options) as site:
            info = _one_video(site.extract_info(url, download=False))
            info = site.process_ie_result(info, download=True)
    except YoutubeDLError as error:
        raise _loss(error) from error
    # A site's own skip raises nothing and gives nothing.
    files = [Path(done["filepath"]) for done in info.get("requested_downloads") or () if "filepath" in done]
    if not files or not files[0].is_file():
        raise Loss("unusable", "yt-dlp reported no error and gave no file")
    file = files[0].rename(part / f"media{_suffix(files[0].name)}")
    return file, _web_captions(info, options, part / "captions", captions), info.get("title"), info.get("license")


def _one_video(info: dict[str, Any] | None) -> dict[str, Any]:
    if info and info.get("_type") == "playlist":
        entries = [entry for entry in info["entries"] if entry]
        if len(entries) > 1:
            raise Loss("unusable", "the URL shows several videos; list each by its own URL")
        info = entries[0] if entries else None
    if not info:
        raise Loss("unusable", "yt-dlp found no video there")
    if info.get("is_live"):
        raise Loss("unusable", "it is a live stream, which has no end")
    return info


def _web_captions(info: dict[str, Any], options: dict[str, Any], part: Path, languages: list[str]) -> Path | None:
    """Fetches the captions of a video whose `info` is at hand; their failure does not cost the video."""
    from yt_dlp import YoutubeDL

    if not languages:
        return None
    part.mkdir()
    options = options | {
        "outtmpl": str(part / "captions.%(ext)s"),
        "skip_download": True,
        "writesubtitles": True,
        "writeautomaticsub": True,
        "subtitleslangs": languages,
        "subtitlesformat": "vtt/srt",
        "ignoreerrors": True,
    }
    with YoutubeDL(options) as site:
        site.process_ie_result(info, download=True)
    # yt-dlp takes a language for a pattern ("en.*"), so what came is matched the same way.
    for language in languages:
        for file in sorted(part.glob("captions.*")):
            tag = file.name.removeprefix("captions.").removesuffix(file.suffix)
            if file.suffix in (".vtt", ".srt") and re.fullmatch(language, tag) and file.stat().st_size:
                return file.rename(part / f"captions.{_language(tag)}{file.suffix}")
    return None


def _loss(error: Exception) -> Loss:
    """The class of a yt-dlp error: by the HTTP status, the kind of error, or what the site said."""
    from yt_dlp.networking.exceptions import TransportError
    from yt_dlp.utils import ContentTooShortError, GeoRestrictedError, UnsupportedError

    causes = list(_causes(error))
    # yt-dlp adds advice on reporting bugs, and the cause as Python prints it, with addresses in memory.
    reason = re.split(r"; please report this issue| \(caused by", str(error))[0]
    reason = re.sub(r"^ERROR: | object at 0x\w+", "", reason).strip()
    codes = [cause.status for cause in causes if isinstance(getattr(cause, "status", None), int)]
    codes += [int(code) for code in re.findall(r"HTTP Error (\d{3})", reason)]
    if codes:
        return Loss(_class_of(codes[0]), reason)
    for status, kinds in {
        "unusable": UnsupportedError,
        "blocked": GeoRestrictedError,
        "transient": (TransportError, ContentTooShortError, TimeoutError, ConnectionError),
    }.items():
        if any(isinstance(cause, kinds) for cause in causes):
            return Loss(status, reason)
    return Loss(next((status for status, said in SAID if re.search(said, reason, re.IGNORECASE)), "unusable"), reason)


def _class_of(code: int) -> str:
    if code in (404, 410):
        return "gone"
    if code in (408, 425) or code >= 500:
        return "transient"
    return "blocked" if code in (401, 402, 403, 407, 429, 451) else "unusable"


def _causes(error: BaseException | None) -> Any:
    """An error and what it came from; yt-dlp keeps the origin in fields of its own."""
    seen: set[int] = set()
    todo = [error]
    while todo:
        error = todo.pop(0)
        if isinstance(error, BaseException) and id(error) not in seen:
            seen.add(id(error))
            yield error
            origin = getattr(error, "exc_info", None) or (None, None)
            todo += [getattr(error, "cause", None), origin[1], error.__cause__, error.__context__]
