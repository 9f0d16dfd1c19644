"""One video from the web, by yt-dlp.

It comes from http or https alone, to a file of at most `max_filesize` bytes, within `time_limit` seconds
(client.py). What fails has its class (failures.py).

A transfer that breaks off goes on from its `.part`, also after a kill. yt-dlp appends to whatever lies there, so what was
pieced together is decoded from end to end before it is believed, and fetched again from the start if it does not decode.
What came in one go has its key frames decoded: for 5 minutes of 360 lines that takes 0.2 s, and everything 4 s.
"""

import itertools
import re
import shutil
import sys
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from yt_dlp import YoutubeDL
from yt_dlp.utils import YoutubeDLError

from videobert import progress
from videobert.data.text import one_line
from videobert.errors import Status, VideoError
from videobert.media.integrity import find_damage
from videobert.web.client import JAVASCRIPT, LONGEST_PAGE, has_javascript, open_yt_dlp, time_limited
from videobert.web.failures import ABOUT_US, back_off, retry_after, status_of, video_error
from videobert.web.options import DownloadExecution, DownloadSettings, too_large, unwanted
from videobert.web.secrets import Secrets

EXTRACTION = 300.0  # seconds to find out what a page shows
PATIENCE = 300.0  # seconds; the longest Retry-After that is waited for


@dataclass(frozen=True)
class Fetched:
    """What came of a URL: the media file, its captions and whether a machine wrote them, and a remark ("" when all is well)."""

    file: Path
    captions: Path | None
    automatic_captions: bool
    title: str
    license: str
    remark: str


class Site:
    """The web, as the job of one shard sees it.

    One yt-dlp serves all its videos, so that cookies, players and connections are shared. `urls` are those of the shard:
    when more than the share `max_blocked` of those of one host are refused, the rest are not asked for.
    """

    def __init__(self, settings: DownloadSettings, execution: DownloadExecution, urls: Iterable[str]):
        self.settings = settings
        self.execution = execution
        self.listed = Counter(map(_host, urls))
        self.refused: Counter[str] = Counter()
        self.logger = _Logger()
        self.most_bytes = settings.max_filesize
        self.length_known = True
        self.secrets = Secrets()
        self.yt_dlp = self._open()
        if any("youtu" in host for host in self.listed) and not has_javascript(self.yt_dlp):
            print(JAVASCRIPT, file=sys.stderr)

    def fetch(self, url: str, part: Path, license: str = "") -> Fetched:
        """Fetches the one video that `url` shows into the folder `part`, and its captions.

        A part of the same video that was left there by a kill is gone on with. `license` is what the user's list says.
        Raises VideoError, with the reason in the site's words, and UserError when the disk is full.
        """
        host = _host(url)
        limit = self.execution.max_blocked * self.listed[host]
        if self.refused[host] > limit:
            refused = (
                f"{self.refused[host]} of this shard's {self.listed[host]} videos from {host} were refused before it"
            )
            raise VideoError(Status.BLOCKED, f"not tried: {refused}")
        try:
            return self._fetch(url, part, license)
        except VideoError as failure:
            if failure.status == Status.BLOCKED and re.search(ABOUT_US, failure.reason, re.IGNORECASE):
                self.refused[host] += 1
                if self.refused[host] > limit:
                    print(self._refusal(host, failure.reason), file=sys.stderr)
            raise
        except Exception as error:  # nobody foresaw it, and its message may hold anything
            if self.secrets.hide(str(error)) == str(error):
                raise
            raise RuntimeError(self.secrets.hide(f"{type(error).__name__}: {error}")) from None

    def close(self) -> None:
        self.yt_dlp.close()

    def _refusal(self, host: str, reason: str) -> str:
        return (
            f"{host} refuses us: {self.refused[host]} of this shard's {self.listed[host]} videos from there are blocked, "
            f"the last with: {reason}\n"
            "The others from there are not tried; they stand in the ledger as blocked. What helps: to wait for a day; "
            "download.cookies (of a browser that is logged in); download.proxy; a larger download.sleep_interval and fewer "
            "jobs at a time. Then: videobert retry RESULTS blocked, and the same snakemake command again. "
            "(download.max_blocked: 1 tries them all.)"
        )

    def captions(self, url: str, part: Path) -> tuple[Path | None, bool, str]:
        """Fetches just the captions of a video: the file, whether a machine wrote them, and a complaint or ""."""
        try:
            return self._captions(self._info(url), part)
        except (YoutubeDLError, VideoError) as error:
            return None, False, f"its captions did not come: {self._video_error(error).reason}"

    # --- one video ---

    def _fetch(self, url: str, part: Path, license: str) -> Fetched:
        """A file that was put together of pieces, or whose length nobody said, must decode; if it does not, it is fetched
        once more, from the start. What breaks off elsewhere the second time was broken on its way."""
        sizes = []
        for last in (False, True):
            _tidy(part)
            self.logger.clear()
            continued = any(part.iterdir())
            info, file = self._media(url, part, license)
            sizes.append(file.stat().st_size)
            pieced = continued or self.logger.pieced
            final = last or not (pieced or not self.length_known)
            try:
                remark = find_damage(file, pieced, self.execution.time_limit)
            except VideoError as failure:
                if final:
                    raise
                remark = failure.reason
            if final or not remark:
                break
            shutil.rmtree(part)
        if remark and not self.length_known and len(set(sizes)) > 1:
            raise VideoError(Status.TRANSIENT, f"{remark}, and elsewhere each time")
        captions, automatic, complaint = self._captions(info, part)
        remark = "; ".join(filter(None, [remark, complaint]))
        return Fetched(file, captions, automatic, info.get("title") or "", info.get("license") or "", remark)

    def _media(self, url: str, part: Path, license: str) -> tuple[dict[str, Any], Path]:
        """What yt-dlp knows of the video, and the file; tried again as often as the setting `retries` says.

        While a page is read, whatever may pass is tried again, after 1, 2, 4, ... seconds. Of transfers yt-dlp itself
        takes care, in the same way. A Retry-After is obeyed in both.
        """
        for attempt in itertools.count():
            found = False
            try:
                info = self._info(url)
                found = True
                if reason := unwanted(self.settings, info.get("duration"), license or info.get("license") or ""):
                    raise VideoError(Status.UNUSABLE, reason)
                with time_limited(self.execution.time_limit):
                    return info, self._transfer(info, part)
            except YoutubeDLError as error:
                failure, wait = self._video_error(error), retry_after(error)
                if wait is None and failure.status == Status.TRANSIENT and not found:
                    wait = back_off(attempt)
                # "Range not satisfiable": what lies there is whole already, or of another file.
                if status_of(error) == 416 and attempt == 0 and _empty(part):
                    continue
                if wait is None or wait > PATIENCE or attempt >= self.execution.retries:
                    raise failure from error
                what = f"waiting {wait:.0f} s for {_host(url)}, then try {attempt + 2} of {self.execution.retries + 1}"
                progress.note(one_line(what))
                time.sleep(wait)
        raise AssertionError  # not reached: there is no end to the count

    def _info(self, url: str) -> dict[str, Any]:
        with time_limited(min(EXTRACTION, self.execution.time_limit)):
            return _one_video(self.yt_dlp.extract_info(url, download=False))

    def _transfer(self, info: dict[str, Any], part: Path) -> Path:
        self.most_bytes, self.length_known = self.settings.max_filesize, True
        self.yt_dlp.params["paths"] = {"home": str(part.absolute())}
        info = self.yt_dlp.process_ie_result(info, download=True)
        # A site's own skip raises nothing and gives nothing.
        files = [Path(done["filepath"]) for done in info.get("requested_downloads") or () if "filepath" in done]
        if not files or not files[0].is_file():
            raise VideoError(
                Status.UNUSABLE,
                self.secrets.hide(f"yt-dlp reported no error and gave no file; it said: {self.logger.last}"),
            )
        return files[0]

    def _captions(self, info: dict[str, Any], part: Path) -> tuple[Path | None, bool, str]:
        """The captions, whether a machine wrote them, and a complaint: their failure does not cost the video.

        They are fetched apart, since to yt-dlp a 404 of the captions is the end of the video.
        """
        tag, chosen, automatic = self._chosen(info)
        if not chosen:
            return None, False, ""
        path = part / f"captions.{re.sub(r'[^A-Za-z0-9-]', '', tag) or 'und'}.{chosen['ext']}"
        self.most_bytes = LONGEST_PAGE
        for attempt in itertools.count():
            try:
                if chosen.get("data") is not None:
                    path.write_text(chosen["data"], encoding="utf-8", errors="replace", newline="")
                else:
                    path.unlink(missing_ok=True)
                    with time_limited(min(EXTRACTION, self.execution.time_limit)):
                        self.yt_dlp.dl(str(path), {"http_headers": info.get("http_headers"), **chosen}, subtitle=True)
                if path.is_file() and path.stat().st_size:
                    return path, automatic, ""
                return None, False, f"its captions ({tag}) are empty"
            except (YoutubeDLError, OSError, ValueError, VideoError) as error:
                failure, wait = self._video_error(error), retry_after(error)
            if wait is None or wait > PATIENCE or attempt == self.execution.retries:
                return None, False, f"its captions ({tag}) did not come: {failure.reason}"
            time.sleep(wait)
        raise AssertionError  # not reached: there is no end to the count

    def _chosen(self, info: dict[str, Any]) -> tuple[str, dict[str, Any] | None, bool]:
        """(tag, yt-dlp's description, automatic) of the captions to take: the best language's, of people before machines'."""
        for language in self.settings.captions:
            for kind in ("subtitles", "automatic_captions")[: 1 + self.settings.automatic_captions]:
                for tag, forms in sorted((info.get(kind) or {}).items()):
                    fitting = [form for ext in ("vtt", "srt") for form in forms if form.get("ext") == ext]
                    if fitting and re.fullmatch(language, tag):
                        return tag, fitting[0], kind == "automatic_captions"
        return "", None, False

    # --- yt-dlp ---

    def _open(self) -> YoutubeDL:
        execution = self.execution
        own = {
            "format": self.settings.format,
            "ratelimit": execution.ratelimit,
            "sleep_interval": execution.sleep_interval,
            "retries": execution.retries,
            "outtmpl": "media.%(ext)s",
            "noplaylist": True,
            "playlist_items": "1:2",  # two are enough to know that it is not one video
            "progress_hooks": [self._progress],
            "logger": self.logger,
        }
        options = {"fragment_retries": execution.retries, **execution.options}
        cookies = Path(execution.cookies) if execution.cookies else None
        return open_yt_dlp(cookies, execution.proxy, options, own, self.secrets)

    def _progress(self, status: dict[str, Any]) -> None:
        """Called by yt-dlp for each block that comes."""
        if status.get("status") == "downloading" and "fragment_index" not in status:
            self.length_known = self.length_known and status.get("total_bytes") is not None
        come = status.get("downloaded_bytes") or 0
        if status.get("total_bytes"):
            progress.within(come / status["total_bytes"])
        size = max(status.get("total_bytes") or 0, come)
        if size > self.most_bytes:
            raise VideoError(Status.UNUSABLE, too_large(size, self.most_bytes))

    def _video_error(self, error: Exception) -> VideoError:
        failure = error if isinstance(error, VideoError) else video_error(error)
        reason = failure.reason
        if re.search(r"javascript|challenge", " ".join(self.logger.warnings), re.IGNORECASE):
            reason = f"{reason}; {JAVASCRIPT}"
        return VideoError(failure.status, self.secrets.hide(reason))


class _Logger:
    """What yt-dlp says of one video: its logger. (Errors come as exceptions, and are not heard twice.)"""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self.last = "nothing"
        self.warnings: list[str] = []
        self.pieced = False  # the file was put together of pieces

    def debug(self, message: str) -> None:
        if message.startswith("[download]"):
            self.last = message.removeprefix("[download]").strip()
            self.pieced = self.pieced or bool(re.search(r"Resuming|Retrying|already been downloaded", message))

    def warning(self, message: str) -> None:
        self.warnings.append(message)

    def error(self, message: str) -> None:
        pass


def _tidy(part: Path) -> None:
    """Leaves in `part` only what a transfer can go on with: of fragments, a kill may have one counted twice."""
    part.mkdir(parents=True, exist_ok=True)
    left = [path for path in part.iterdir() if path.name.startswith("media") and path.is_file()]
    if any(path.suffix == ".ytdl" or "Frag" in path.suffix for path in left):
        left = []
    for path in set(part.iterdir()) - set(left):
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def _empty(part: Path) -> bool:
    """Empties a folder; whether there was something in it."""
    there = any(part.iterdir())
    shutil.rmtree(part)
    part.mkdir()
    return there


def _one_video(info: dict[str, Any] | None) -> dict[str, Any]:
    if info and info.get("_type") in ("playlist", "multi_video"):
        entries = [entry for entry in info["entries"] if entry]
        if len(entries) > 1:
            raise VideoError(
                Status.UNUSABLE, "the URL shows several videos; list each by its own URL (videobert discover does it)"
            )
        info = entries[0] if entries else None
    if not info:
        raise VideoError(Status.UNUSABLE, "yt-dlp found no video there")
    if info.get("is_live"):
        raise VideoError(Status.UNUSABLE, "it is a live stream, which has no end")
    return info


def _host(url: str) -> str:
    try:
        return (urlparse(url).hostname or "").removeprefix("www.").removeprefix("m.")
    except ValueError:
        return ""
