"""A list of videos from playlists, channels and searches: what a person would otherwise copy by hand.

    videobert discover "ytsearch200:how to make dumplings" https://www.youtube.com/@channel/videos > videos.tsv

Playlists are read flat, by yt-dlp: the pages of the videos themselves are not asked for, so a channel of thousands takes
seconds to minutes. The list is a proposal, in a table to be read and cut before it is run.
"""

import csv
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from videobert.data.text import one_line
from videobert.errors import Status, UserError, VideoError

DEPTH = 5  # of playlists in playlists: a channel has tabs, and a tab has playlists


def discover(queries: list[str], cookies: Path | None = None, proxy: str | None = None) -> None:
    """Print a list of videos, a TSV with the columns source, title and duration, from playlists, channels and searches.

    Videos that were removed or are private are left out, and so are duplicates.

    Args:
        queries: URLs of playlists, channels or videos, of any site that yt-dlp supports, and searches in yt-dlp's form:
            "ytsearch20:how to slice an onion" gives YouTube's first twenty hits, ytsearchall: all.
        cookies: a file of cookies, as in the section download of the configuration.
        proxy: the proxy to go through, as in the section download of the configuration.
    """
    from yt_dlp.utils import YoutubeDLError

    from videobert.web.client import open_yt_dlp, time_limited
    from videobert.web.failures import video_error
    from videobert.web.secrets import Secrets

    secrets = Secrets()
    own = {"extract_flat": "in_playlist", "logger": _Quiet()}
    writer = csv.writer(sys.stdout, delimiter="\t", lineterminator="\n")
    writer.writerow(["source", "title", "duration"])
    seen: set[str] = set()
    failed = []
    with open_yt_dlp(cookies, proxy, {}, own, secrets) as yt_dlp:
        for query in queries:
            before = len(seen)
            try:
                if not re.match("https?://|[a-z]+search[a-z0-9]*:", query, re.IGNORECASE):
                    raise VideoError(Status.UNUSABLE, "it is neither a URL nor a search; write ytsearch20:WORDS")
                with time_limited(3600.0):
                    found = yt_dlp.extract_info(query, download=False)
                    for source, title, duration in _videos(yt_dlp, found):
                        if source not in seen:
                            seen.add(source)
                            writer.writerow([source, title, duration])
            except (YoutubeDLError, VideoError) as error:
                failure = error if isinstance(error, VideoError) else video_error(error)
                failed.append(secrets.hide(f"{one_line(query)}: {one_line(str(failure))}"))
            print(f"{one_line(query)}: {len(seen) - before} videos", file=sys.stderr)
    if failed:
        raise UserError("; ".join(failed))


def _videos(
    yt_dlp: Any, info: dict[str, Any] | None, depth: int = DEPTH, page: str = ""
) -> Iterator[tuple[str, str, str]]:
    """(source, title, duration or "") of the videos in what yt-dlp found; `page` is the playlist in which it stands."""
    kind = (info or {}).get("_type", "video")
    if not info or not depth:
        return
    if kind in ("playlist", "multi_video"):
        for entry in info["entries"]:
            yield from _videos(yt_dlp, entry, depth - 1, info.get("webpage_url") or "")
    elif kind in ("url", "url_transparent") and _is_playlist(yt_dlp, info.get("ie_key")):
        yield from _videos(yt_dlp, yt_dlp.extract_info(info["url"], download=False), depth - 1)
    elif info.get("title") not in ("[Private video]", "[Deleted video]"):
        # Where it stands by itself: its page, or its file, when there are others on the page.
        files = [form.get("url") for form in reversed(info.get("formats") or [])]
        places = files if info.get("webpage_url") == page else [info.get("webpage_url"), *files]
        places = [info.get("url")] if kind != "video" else [*places, info.get("url")]
        source = next((place for place in places if re.match("https?://", place or "", re.IGNORECASE)), None)
        if source:
            duration = info.get("duration")
            yield source, one_line(info.get("title") or ""), f"{duration:.0f}" if duration else ""


def _is_playlist(yt_dlp: Any, extractor: str | None) -> bool:
    return bool(extractor) and yt_dlp.get_info_extractor(extractor)._RETURN_TYPE in ("playlist", "any")


class _Quiet:
    """What yt-dlp says on the way; errors come as exceptions."""

    def debug(self, message: str) -> None:
        pass

    def warning(self, message: str) -> None:
        if "Falling back on generic" not in message:
            print(one_line(message), file=sys.stderr)

    error = debug
