"""yt-dlp on a leash.

Every site and every page is a stranger. yt-dlp knows a thousand sites, and follows what they say; here it follows only
http and https, reads no endless page into memory, and starts no other program that would read what a stranger points at.
(ffmpeg joins streams that have come, reads nothing else, and sees no network.)
"""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from yt_dlp import YoutubeDL
from yt_dlp.downloader import get_suitable_downloader
from yt_dlp.downloader.bunnycdn import BunnyCdnFD
from yt_dlp.downloader.dash import DashSegmentsFD
from yt_dlp.downloader.external import FFmpegFD
from yt_dlp.downloader.f4m import F4mFD
from yt_dlp.downloader.hls import HlsFD
from yt_dlp.downloader.http import HttpFD
from yt_dlp.downloader.ism import IsmFD
from yt_dlp.networking.exceptions import HTTPError
from yt_dlp.utils import YoutubeDLError

from videobert.errors import Status, UserError, VideoError
from videobert.media.decoding import SAFE
from videobert.media.ffmpeg import ffmpeg_binary
from videobert.web.failures import back_off, plain
from videobert.web.secrets import Secrets

LONGEST_PAGE = 64 << 20  # bytes of a page, a manifest or captions
SLOWEST = 500  # bytes a second; a slower transfer is given up

# What reads http and writes a file, and nothing else: neither ffmpeg on the network nor other programs.
DOWNLOADERS = (HttpFD, HlsFD, DashSegmentsFD, IsmFD, F4mFD, BunnyCdnFD)

JAVASCRIPT = (
    "YouTube wants a JavaScript runtime and yt-dlp's scripts for it, without which videos and formats are missing: "
    "pip install 'yt-dlp[default,deno]'"
)


def open_yt_dlp(
    cookies: Path | None, proxy: str | None, options: dict[str, Any], own: dict[str, Any], secrets: Secrets
) -> YoutubeDL:
    """A YoutubeDL on the leash.

    `options` are the user's, `own` the caller's; settings and options may name ${SECRETS}. Raises UserError when yt-dlp
    does not take them.
    """
    # HlsFD turns to ffmpeg by itself: for streams that it cannot decrypt, and when it would take long.
    FFmpegFD.available = classmethod(lambda cls, path=None: False)
    FFmpegFD.real_download = _no_ffmpeg
    options = secrets.fill(options)
    if isinstance(options.get("impersonate"), str):
        from yt_dlp.networking.impersonate import ImpersonateTarget

        options["impersonate"] = ImpersonateTarget.from_str(options["impersonate"])
    # ffmpeg joins what came: from files that are what they say, and no playlists that name others.
    safe = [word for key, value in SAFE.items() for word in (f"-{key}", value)]
    try:
        return _Leashed(
            {
                "socket_timeout": 20,
                "extractor_retries": 3,
                "throttledratelimit": SLOWEST,
                "buffersize": 64,  # grows at once where bytes come fast; of a trickle, one block would take forever
                "cachedir": False,
                **options,
                "cookiefile": secrets.cookies(cookies) if cookies else None,
                "proxy": secrets.fill(proxy),
                "retry_sleep_functions": dict.fromkeys(("http", "fragment", "extractor"), lambda n: back_off(n)),
                "skip_unavailable_fragments": False,  # a video with holes would be taken for a whole one
                "external_downloader": "native",
                "ffmpeg_location": ffmpeg_binary(),
                "postprocessor_args": {"ffmpeg_i": safe},
                "quiet": True,
                "noprogress": True,
                "color": "never",
                **own,
            }
        )
    except (SyntaxError, ValueError, TypeError, AttributeError, YoutubeDLError) as error:
        reason = " ".join(secrets.hide(plain(error)).split())
        raise UserError(f"download: yt-dlp does not take these settings: {reason}") from None


def has_javascript(yt_dlp: YoutubeDL) -> bool:
    """Whether what YouTube wants is there: see JAVASCRIPT."""
    runtimes = [runtime for runtime in yt_dlp._js_runtimes.values() if runtime and runtime.info]
    return bool(runtimes) and (find_spec("yt_dlp_ejs") is not None or bool(yt_dlp.params["remote_components"]))


class _TimeUp(BaseException):  # no Exception, which yt-dlp would catch here and there
    pass


@contextmanager
def time_limited(seconds: float) -> Iterator[None]:
    """Raises VideoError("transient") when the block takes longer. (Does nothing outside the main thread: it is an alarm.)"""

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
        raise VideoError(Status.TRANSIENT, f"given up after {seconds:g} s") from None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)
        if left:
            signal.setitimer(signal.ITIMER_REAL, max(left - (time.monotonic() - began), 0.001), interval)


class _Leashed(YoutubeDL):  # type: ignore[misc]  # yt-dlp says no types
    """yt-dlp that follows http alone, reads no endless page into memory, and leaves the network to its own downloaders."""

    def urlopen(self, req: Any) -> Any:
        url = req if isinstance(req, str) else req.url
        scheme = url.partition(":")[0].lower()
        if scheme not in ("http", "https", "data") and not url.startswith("//"):
            raise VideoError(
                Status.UNUSABLE,
                f"it leads to an address of the kind {scheme[:20]}:, and only http and https are followed",
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
            raise VideoError(
                Status.UNUSABLE, f"it comes in a way that is not followed ({kind}); only http and https are"
            )
        return super().dl(name, info, subtitle, test)


def _bound(response: Any) -> None:
    """Keeps a response from being read whole when it is endless; who reads it in blocks sees to that himself."""
    read: Callable[[int], bytes] = response.read

    def bounded(amount: int | None = None) -> bytes:
        if amount is not None and amount >= 0:
            return read(amount)
        pieces, size = [], 0
        while piece := read(1 << 20):
            pieces.append(piece)
            size += len(piece)
            if size > LONGEST_PAGE:
                raise VideoError(Status.UNUSABLE, f"a page of more than {LONGEST_PAGE >> 20} MB")
        return b"".join(pieces)

    response.read = bounded


def _no_ffmpeg(*_: Any) -> bool:
    raise VideoError(Status.UNUSABLE, "only ffmpeg could fetch it, which is not let on the network")
