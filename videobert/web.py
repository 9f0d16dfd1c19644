"""One video from the web, by yt-dlp, which is kept on a leash.

Every site and every page is a stranger. yt-dlp knows a thousand sites, and follows what they say; here it follows only
http and https, to a file of at most `max_filesize` bytes, within `time_limit` seconds, and starts no other program that
would read what a stranger points at. (ffmpeg joins streams that have come, reads nothing else, and sees no network.)

What fails is sorted into four classes, which are statuses in the ledger: `gone` (removed, private, 404, 410), `blocked`
(the site refuses us: login, bot check, rate limit, age, country), `transient` (the network; worth another try) and
`unusable` (no video, or not one of those that are wanted). The HTTP status decides, else the kind of error, else what
the site said.

A transfer that breaks off goes on from its `.part`, also after a kill. yt-dlp appends to whatever lies there, so what was
pieced together is decoded from end to end before it is believed, and fetched again from the start if it does not decode.
What came in one go has its key frames decoded: for 5 minutes of 360 lines that takes 0.2 s, and everything 4 s.
"""

import errno
import io
import itertools
import os
import re
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from yt_dlp import YoutubeDL
from yt_dlp.downloader import get_suitable_downloader
from yt_dlp.downloader.bunnycdn import BunnyCdnFD
from yt_dlp.downloader.dash import DashSegmentsFD
from yt_dlp.downloader.external import FFmpegFD
from yt_dlp.downloader.f4m import F4mFD
from yt_dlp.downloader.hls import HlsFD
from yt_dlp.downloader.http import HttpFD
from yt_dlp.downloader.ism import IsmFD
from yt_dlp.networking.exceptions import HTTPError, RequestError, TransportError
from yt_dlp.utils import (
    ContentTooShortError,
    GeoRestrictedError,
    ThrottledDownload,
    UnsupportedError,
    YoutubeDLError,
)

from videobert import media
from videobert.errors import Loss, UserError
from videobert.web_settings import Settings, unwanted

LONGEST_PAGE = 64 << 20  # bytes of a page, a manifest or captions
EXTRACTION = 300.0  # seconds to find out what a page shows
PATIENCE = 300.0  # seconds; the longest Retry-After that is waited for
LONGEST_BACK_OFF = 30.0  # seconds between two tries
SLOWEST = 500  # bytes a second; a slower transfer is given up
MOST_PIXELS = 1 << 26  # of a picture that is decoded to see whether it can be
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)  # what the operating system says of a disk that takes no more

# What reads http and writes a file, and nothing else: neither ffmpeg on the network nor other programs.
DOWNLOADERS = (HttpFD, HlsFD, DashSegmentsFD, IsmFD, F4mFD, BunnyCdnFD)

# Classes by what sites say, when there is no HTTP status to go by; the first that fits. A private video also asks to
# sign in, a rate limit also says "unavailable" and "try again later", and a format is "not available" of a video that is.
SAID = [
    ("unusable", r"requested format|no video formats|no media|\bDRM\b|unsupported url|not a valid url|will be skipped"),
    ("transient", r"premiere|live event will begin|not (yet )?started|still being processed"),
    ("gone", r"private video|(video|content|post) is private"),
    ("blocked", r"sign ?in\b|log ?in\b|logged in|not a bot|captcha|unusual traffic|cookies|rate.?limit|too many req"),
    ("blocked", r"members|subscri|purchase|\bpaid|\brent|premium|age.?(restrict|limit|gate)|your age|inappropriate"),
    ("blocked", r"(in|from) your (country|region|location|area)|\bgeo|forbidden|password"),
    ("gone", r"unavailable|not available|isn't available|no longer|removed|deleted|terminated|not exist|copyright"),
    ("transient", r"timed? ?out|temporar|try again|bytes read|connection (reset|refused|aborted|broken)|too slow"),
]
# Of those that are blocked, the ones that say something of us and not of the video.
ABOUT_US = r"HTTP Error (403|407|429)|not a bot|captcha|unusual traffic|rate.?limit|too many requests"

JAVASCRIPT = (
    "YouTube wants a JavaScript runtime and yt-dlp's scripts for it, without which videos and formats are missing: "
    "pip install 'yt-dlp[default,deno]'"
)


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

    def __init__(self, settings: Settings, urls: Iterable[str]):
        self.settings = settings
        self.listed = Counter(map(_host, urls))
        self.refused: Counter[str] = Counter()
        self.said = _Said()
        self.most_bytes = settings.max_filesize
        self.length_known = True
        self.secrets: set[str] = set()
        self.yt_dlp = self._open()
        if any("youtu" in host for host in self.listed) and not _javascript(self.yt_dlp):
            print(JAVASCRIPT, file=sys.stderr)

    def fetch(self, url: str, part: Path, license: str = "", captions: bool = True) -> Fetched:
        """Fetches the one video that `url` shows into the folder `part`, and its captions unless there are others.

        A part of the same video that was left there by a kill is gone on with. `license` is what the user's list says.
        Raises Loss, with the reason in the site's words, and UserError when the disk is full.
        """
        host = _host(url)
        limit = self.settings.max_blocked * self.listed[host]
        if self.refused[host] > limit:
            refused = (
                f"{self.refused[host]} of this shard's {self.listed[host]} videos from {host} were refused before it"
            )
            raise Loss("blocked", f"not tried: {refused}")
        try:
            return self._fetch(url, part, license, captions)
        except Loss as loss:
            if loss.status == "blocked" and re.search(ABOUT_US, loss.reason, re.IGNORECASE):
                self.refused[host] += 1
                if self.refused[host] > limit:
                    print(self._refusal(host, loss.reason), file=sys.stderr)
            raise
        except Exception as error:  # nobody foresaw it, and its message may hold anything
            if self._hide(str(error)) == str(error):
                raise
            raise RuntimeError(self._hide(f"{type(error).__name__}: {error}")) from None

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
        except YoutubeDLError as error:
            return None, False, f"its captions did not come: {self._loss(error).reason}"
        except Loss as loss:
            return None, False, f"its captions did not come: {loss.reason}"

    # --- one video ---

    def _fetch(self, url: str, part: Path, license: str, wanted: bool) -> Fetched:
        """A file that was put together of pieces, or whose length nobody said, must decode; if it does not, it is fetched
        once more, from the start. What breaks off elsewhere the second time was broken on its way."""
        sizes = []
        for last in (False, True):
            _tidy(part)
            self.said.clear()
            continued = any(part.iterdir())
            info, file = self._media(url, part, license)
            sizes.append(file.stat().st_size)
            pieced = continued or self.said.pieced
            final = last or not (pieced or not self.length_known)
            try:
                remark = self._flaw(file, everything=pieced)
            except Loss as loss:
                if final:
                    raise
                remark = loss.reason
            if final or not remark:
                break
            shutil.rmtree(part)
        if remark and not self.length_known and len(set(sizes)) > 1:
            raise Loss("transient", f"{remark}, and elsewhere each time")
        captions, automatic, complaint = self._captions(info, part) if wanted else (None, False, "")
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
                self._refuse(info, license)
                with at_most(self.settings.time_limit):
                    return info, self._transfer(info, part)
            except YoutubeDLError as error:
                loss, wait = self._loss(error), _retry_after(error)
                if wait is None and loss.status == "transient" and not found:
                    wait = _back_off(attempt)
                if _status(error) == 416:  # a part that is complete, or of another file
                    shutil.rmtree(part)
                    part.mkdir()
                    wait = 0.0
                if wait is None or wait > PATIENCE or attempt == self.settings.retries:
                    raise loss from error
                time.sleep(wait)

    def _info(self, url: str) -> dict[str, Any]:
        with at_most(min(EXTRACTION, self.settings.time_limit)):
            return _one_video(self.yt_dlp.extract_info(url, download=False))

    def _refuse(self, info: dict[str, Any], license: str) -> None:
        reason = unwanted(self.settings, info.get("duration"), license or info.get("license") or "")
        if reason:
            raise Loss("unusable", reason)

    def _transfer(self, info: dict[str, Any], part: Path) -> Path:
        self.most_bytes, self.length_known = self.settings.max_filesize, True
        self.yt_dlp.params["paths"] = {"home": str(part.absolute())}
        info = self.yt_dlp.process_ie_result(info, download=True)
        # A site's own skip raises nothing and gives nothing.
        files = [Path(done["filepath"]) for done in info.get("requested_downloads") or () if "filepath" in done]
        if not files or not files[0].is_file():
            raise Loss("unusable", self._hide(f"yt-dlp reported no error and gave no file; it said: {self.said.last}"))
        return files[0]

    def _flaw(self, file: Path, everything: bool) -> str:
        with at_most(self.settings.time_limit):
            media.probe(file)
            return flaw(file, everything)

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
                    with at_most(min(EXTRACTION, self.settings.time_limit)):
                        self.yt_dlp.dl(str(path), {"http_headers": info.get("http_headers"), **chosen}, subtitle=True)
                if path.is_file() and path.stat().st_size:
                    return path, automatic, ""
                return None, False, f"its captions ({tag}) are empty"
            except (YoutubeDLError, OSError, ValueError) as error:
                loss, wait = self._loss(error), _retry_after(error)
            except Loss as loss_:
                loss, wait = loss_, None
            if wait is None or wait > PATIENCE or attempt == self.settings.retries:
                return None, False, f"its captions ({tag}) did not come: {loss.reason}"
            time.sleep(wait)

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
        settings = self.settings
        options = self._filled(settings.options)
        if isinstance(options.get("impersonate"), str):
            from yt_dlp.networking.impersonate import ImpersonateTarget

            options["impersonate"] = ImpersonateTarget.from_str(options["impersonate"])
        own = {
            "format": settings.format,
            "cookiefile": self._cookies(settings.cookies) if settings.cookies else None,
            "proxy": self._filled(settings.proxy),
            "ratelimit": settings.ratelimit,
            "sleep_interval": settings.sleep_interval,
            "retries": settings.retries,
            "outtmpl": "media.%(ext)s",
            "noplaylist": True,
            "playlist_items": "1:2",  # two are enough to know that it is not one video
            "progress_hooks": [self._progress],
            "logger": self.said,
        }
        try:
            return open_yt_dlp({"fragment_retries": settings.retries, **options, **own})
        except (SyntaxError, ValueError, TypeError, AttributeError, YoutubeDLError) as error:
            raise UserError(f"download: yt-dlp does not take these settings: {self._hide(_plain(error))}") from None

    def _filled(self, value: Any) -> Any:
        """A setting with ${NAME} filled in from the environment, where secrets belong; they are kept out of messages."""

        def fill(match: re.Match[str]) -> str:
            if match[1] not in os.environ:
                raise UserError(f"download: the environment has no variable {match[1]}, which the settings name")
            self.secrets.add(os.environ[match[1]])
            return os.environ[match[1]]

        if isinstance(value, dict):
            return {key: self._filled(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self._filled(item) for item in value]
        if not isinstance(value, str):
            return value
        return re.sub(r"\$\{(\w+)\}", fill, value)

    def _cookies(self, path: Path) -> io.StringIO:
        """The cookies, as text in memory: yt-dlp would write to the file, and so would the jobs beside this one.

        Lines that are no cookies are left out here, since yt-dlp would show them in the log.
        """
        try:
            lines = path.expanduser().read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"download.cookies: {path} cannot be read: {_plain(error)}") from None
        fields = [line.removeprefix("#HttpOnly_").split("\t") for line in lines]
        good = [len(cells) == 7 and bool(re.fullmatch(r"([0-9]+(\.[0-9]+)?)?", cells[4])) for cells in fields]
        comment = [not line.strip() or (line.startswith("#") and not line.startswith("#HttpOnly_")) for line in lines]
        bad = [number for number, line in enumerate(lines, 1) if not good[number - 1] and not comment[number - 1]]
        if not any(good):
            raise UserError(
                f"download.cookies: {path} holds no cookies in Netscape's format (7 columns, tabs between them)"
            )
        if bad:
            print(f"download.cookies: {path}: lines {', '.join(map(str, bad))} are no cookies", file=sys.stderr)
        # Short values ("1", "en") are no secrets, and to blot them out would blot out half of every message.
        self.secrets |= {cells[6] for cells, fine in zip(fields, good) if fine and len(cells[6]) >= 8}
        kept = [line for line, fine in zip(lines, good) if fine]
        return io.StringIO("\n".join(["# Netscape HTTP Cookie File", *kept, ""]))

    def _progress(self, status: dict[str, Any]) -> None:
        """Called by yt-dlp for each block that comes."""
        if status.get("status") == "downloading" and "fragment_index" not in status:
            self.length_known = self.length_known and status.get("total_bytes") is not None
        size = max(status.get("total_bytes") or 0, status.get("downloaded_bytes") or 0)
        if size > self.most_bytes:
            raise Loss(
                "unusable", f"it has {size:,} bytes or more; allowed are {self.most_bytes:,} (download.max_filesize)"
            )

    def _loss(self, error: Exception) -> Loss:
        loss = loss_of(error)
        reason = loss.reason
        if re.search(r"javascript|challenge", " ".join(self.said.warnings), re.IGNORECASE):
            reason = f"{reason}; {JAVASCRIPT}"
        return Loss(loss.status, self._hide(reason))

    def _hide(self, text: str) -> str:
        for secret in sorted(filter(None, self.secrets), key=len, reverse=True):
            text = text.replace(secret, "***")
        return text


class _Said:
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


# --- yt-dlp on a leash ---


class _Leashed(YoutubeDL):
    """yt-dlp that follows http alone, reads no endless page into memory, and leaves the network to its own downloaders."""

    def urlopen(self, req: Any) -> Any:
        url = req if isinstance(req, str) else req.url
        scheme = url.partition(":")[0].lower()
        if scheme not in ("http", "https", "data") and not url.startswith("//"):
            raise Loss(
                "unusable", f"it leads to an address of the kind {scheme[:20]}:, and only http and https are followed"
            )
        try:
            response = super().urlopen(req)
        except HTTPError as error:
            _bound(error.response)
            raise
        _bound(response)
        return response

    def dl(self, name: str, info: dict[str, Any], subtitle: bool = False, test: bool = False) -> Any:
        downloader = get_suitable_downloader(dict(info), self.params)
        if downloader not in DOWNLOADERS:
            kind = getattr(downloader, "FD_NAME", "unknown")
            raise Loss("unusable", f"it comes in a way that is not followed ({kind}); only http and https are")
        return super().dl(name, info, subtitle, test)


def open_yt_dlp(options: dict[str, Any]) -> YoutubeDL:
    """A YoutubeDL on the leash, with what all our uses of it share; `options` come on top."""
    FFmpegFD.available = classmethod(lambda cls, path=None: False)
    FFmpegFD.real_download = _no_ffmpeg
    # ffmpeg joins what came: from files that are what they say, and no playlists that name others.
    safe = [word for key, value in media.SAFE.items() for word in (f"-{key}", value)]
    return _Leashed(
        {
            "socket_timeout": 20,
            "extractor_retries": 3,
            "retry_sleep_functions": dict.fromkeys(("http", "fragment", "extractor"), lambda n: _back_off(n)),
            "throttledratelimit": SLOWEST,
            "buffersize": 64,  # grows at once where bytes come fast; of a trickle, one block would take forever
            "cachedir": False,
            **options,
            "skip_unavailable_fragments": False,  # a video with holes would be taken for a whole one
            "external_downloader": "native",
            "ffmpeg_location": media.ffmpeg_binary(),
            "postprocessor_args": {"ffmpeg_i": safe},
            "quiet": True,
            "noprogress": True,
            "color": "never",
        }
    )


def _bound(response: Any) -> None:
    """Keeps a response from being read whole when it is endless; who reads it in blocks sees to that himself."""
    read = response.read

    def bounded(amount: int | None = None) -> bytes:
        if amount is not None and amount >= 0:
            return read(amount)
        pieces, size = [], 0
        while piece := read(1 << 20):
            pieces.append(piece)
            size += len(piece)
            if size > LONGEST_PAGE:
                raise Loss("unusable", f"a page of more than {LONGEST_PAGE >> 20} MB")
        return b"".join(pieces)

    response.read = bounded


def _no_ffmpeg(*_: Any) -> bool:
    raise Loss("unusable", "only ffmpeg could fetch it, which is not let on the network")


def _javascript(yt_dlp: YoutubeDL) -> bool:
    runtimes = [runtime for runtime in yt_dlp._js_runtimes.values() if runtime and runtime.info]
    return bool(runtimes) and (find_spec("yt_dlp_ejs") is not None or bool(yt_dlp.params["remote_components"]))


class _TimeUp(BaseException):  # no Exception, which yt-dlp would catch here and there
    pass


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Raises Loss("transient") when the block takes longer. (Does nothing outside the main thread: it is an alarm.)"""

    def ring(*_: Any) -> None:
        raise _TimeUp

    try:
        before = signal.signal(signal.SIGALRM, ring)
    except ValueError:
        yield
        return
    began = time.monotonic()
    left, interval = signal.setitimer(signal.ITIMER_REAL, seconds, 5.0)  # again, should somebody have caught it
    try:
        yield
    except _TimeUp:
        raise Loss("transient", f"given up after {seconds:g} s") from None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)
        if left:
            signal.setitimer(signal.ITIMER_REAL, max(left - (time.monotonic() - began), 0.001), interval)


def _tidy(part: Path) -> None:
    """Leaves in `part` only what a transfer can go on with: of fragments, a kill may have one counted twice."""
    part.mkdir(parents=True, exist_ok=True)
    left = [path for path in part.iterdir() if path.name.startswith("media") and path.is_file()]
    if any(path.suffix == ".ytdl" or "Frag" in path.suffix for path in left):
        left = []
    for path in set(part.iterdir()) - set(left):
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def _one_video(info: dict[str, Any] | None) -> dict[str, Any]:
    if info and info.get("_type") in ("playlist", "multi_video"):
        entries = [entry for entry in info["entries"] if entry]
        if len(entries) > 1:
            raise Loss(
                "unusable", "the URL shows several videos; list each by its own URL (videobert discover does it)"
            )
        info = entries[0] if entries else None
    if not info:
        raise Loss("unusable", "yt-dlp found no video there")
    if info.get("is_live"):
        raise Loss("unusable", "it is a live stream, which has no end")
    return info


# --- is it whole? ---


def flaw(path: Path, everything: bool = False) -> str:
    """What of a video does not decode, in a few words; "" when all is well.

    Reads all packets, and decodes the key frames; `everything`, which costs 25 times as much, when one of those is amiss.
    Raises Loss("unusable") when not one picture decodes.
    """
    pictures, wanted, broken, end, duration = _decoded(path, everything)
    if not everything and (broken or not pictures):
        pictures, wanted, broken, end, duration = _decoded(path, everything=True)
    if not pictures:
        raise Loss("unusable", "not one picture decodes")
    words = []
    if broken:
        words.append(f"{broken} of {wanted} packets do not decode")
    if duration - end > max(2.0, duration / 20):
        words.append(f"it breaks off at {end:.1f} of {duration:.1f} s")
    return ", ".join(words)


def _decoded(path: Path, everything: bool) -> tuple[int, int, int, float, float]:
    """(pictures that decode, packets that should, packets that do not, end of the last packet, duration), in seconds."""
    import av

    pictures = wanted = broken = 0
    end = 0.0
    try:
        with av.open(f"file:{path}", container_options=media.SAFE, metadata_errors="replace") as container:
            stream = media.picture_stream(container)
            if stream is None:
                raise Loss("unusable", "it has no video stream")
            start, duration = (container.start_time or 0) / av.time_base, (container.duration or 0) / av.time_base
            streams = [stream, *container.streams.audio[:1]]
            for each in streams:
                each.thread_type = "NONE"
                each.codec_context.options = {"max_pixels": str(MOST_PIXELS)}
            if not everything:
                stream.codec_context.skip_frame = "NONKEY"
            try:
                for packet in container.demux(streams):
                    if packet.pts is not None:
                        end = max(end, float((packet.pts + (packet.duration or 0)) * packet.time_base) - start)
                    if not everything and (packet.stream is not stream or (packet.size and not packet.is_keyframe)):
                        continue
                    wanted += packet.size > 0
                    try:
                        frames = packet.decode()
                        broken += any(frame.is_corrupt for frame in frames)
                        pictures += len(frames) if packet.stream is stream else 0
                    except av.FFmpegError:
                        broken += 1
            except av.FFmpegError:  # the container itself breaks off; `end` tells where
                pass
    except av.FFmpegError as error:
        raise Loss("unusable", f"not a readable media file: {error.strerror}") from None
    if not everything:
        broken = max(broken, wanted - pictures)  # a decoder that skips says nothing of a key frame that it cannot read
    return pictures, wanted, broken, end, duration


# --- what failed, and why ---


def loss_of(error: Exception) -> Loss:
    """The class of a yt-dlp error: by the HTTP status, the kind of error, or what the site said.

    Raises UserError when the disk is the reason: it would be the same for every video that follows.
    """
    causes = list(_causes(error))
    reason = _plain(error)
    if any(isinstance(cause, OSError) and cause.errno in FULL for cause in causes):
        raise UserError(f"download: {reason}; make room, and run the same command again") from None
    code = _status(error)
    if code:
        return Loss(_class_of(code), reason)
    for status, kinds in {
        "unusable": UnsupportedError,
        "blocked": GeoRestrictedError,
        "transient": (TransportError, ContentTooShortError, ThrottledDownload, TimeoutError, ConnectionError),
    }.items():
        if any(isinstance(cause, kinds) for cause in causes):
            return Loss(status, reason)
    if any(type(cause) is RequestError for cause in causes):  # an address that cannot be asked at all
        return Loss("unusable", reason)
    return Loss(next((status for status, said in SAID if re.search(said, reason, re.IGNORECASE)), "unusable"), reason)


def _status(error: Exception) -> int | None:
    """The HTTP status that is behind an error."""
    for cause in _causes(error):
        if isinstance(cause, HTTPError):
            return cause.status
    said = re.search(r"HTTP Error (\d{3})", str(error))
    return int(said[1]) if said else None


def _class_of(code: int) -> str:
    if code in (404, 410):
        return "gone"
    if code in (408, 425) or code >= 500:
        return "transient"
    return "blocked" if code in (401, 402, 403, 407, 429, 451) else "unusable"


def _retry_after(error: Exception) -> float | None:
    """Seconds that the server asks us to wait before another try."""
    for cause in _causes(error):
        if isinstance(cause, HTTPError) and cause.status in (429, 503):
            asked = (cause.response.headers.get("Retry-After") or "").strip()
            if asked.isdecimal():
                return float(asked[:9])
            try:
                return max(0.0, parsedate_to_datetime(asked).timestamp() - time.time())
            except (ValueError, TypeError):
                return None
    return None


def _back_off(attempt: int) -> float:
    return min(2.0**attempt, LONGEST_BACK_OFF)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
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


def _plain(error: Exception) -> str:
    """A message without what yt-dlp adds to it: advice on reporting bugs, and the cause with addresses in memory."""
    reason = re.split(r"; please report this issue| \(caused by", str(error))[0]
    return re.sub(r"^ERROR: |<[\w.]+\(?[^<>]* at 0x\w+[^<>]*>:? ?| object at 0x\w+", "", reason).strip()


def _host(url: str) -> str:
    try:
        return (urlparse(url).hostname or "").removeprefix("www.").removeprefix("m.")
    except ValueError:
        return ""
