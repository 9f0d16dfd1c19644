"""What can be set of how videos come from the web: the settings of the section download that concern it, and which of
yt-dlp's own options are passed on.

Some of these decide which videos and streams are taken: when one of them changes, the shards run again. The others say
how a site is asked (how fast, by which way, with whose cookies), and a change of them makes nothing stale.

Secrets belong into the environment, and the settings name them as ${NAME}: what stands in a configuration comes to be
seen in the list of processes, in Snakemake's messages and in its memory of what was run.
"""

import re
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from videobert.settings import Count, Execution, NotNegative, Positive, Settings, Share, Text


class DownloadSettings(Settings):
    """The videos: fetched, linked or rendered. docs/your-own-videos.md explains how to make a list and what to do about lost
    videos. The first settings decide what is taken: a change of them runs the shards again. From cookies on they decide how a
    site is asked: a change of them reruns nothing."""

    format: Text = (
        "worst[height>=360][acodec!=none][language_preference>=?5]/"
        "worstvideo[height>=360]+worstaudio[language_preference>=5]/"
        "worst[height>=360][acodec!=none]/worstvideo[height>=360]+worstaudio/best"
    )
    """yt-dlp's format selection for URLs. The default is the smallest format with at least 360 lines and audio, in the
    original language if there are dubbed ones; otherwise the best available."""
    captions: list[Annotated[str, Field(min_length=2)]] = ["en"]
    """Languages of the platform's captions to fetch with the video, best first, as patterns (en, or en.* for en-US,
    en-GB, ...); [] fetches none. Needed by transcribe.engine: captions."""
    automatic_captions: bool = True
    """Where there are no captions written by people, take those of the platform's speech recognition."""
    max_duration: Positive | None = None
    """Leave out videos that are longer, in seconds; null takes all. A video of unknown duration is taken."""
    max_filesize: Count = 4_000_000_000
    """Leave out files from the web that are larger, in bytes. It also ends downloads that have no end."""
    license: Text | None = None
    """Leave out videos from the web whose license (from the list, otherwise from the site) does not match this pattern,
    such as "creative commons", or is unknown; null takes all."""

    @model_validator(mode="after")
    def _patterns_compile(self) -> Self:
        for key, patterns in {"captions": self.captions, "license": filter(None, [self.license])}.items():
            for pattern in patterns:
                try:
                    re.compile(pattern)
                except re.error as error:
                    raise ValueError(
                        f"download.{key} has {pattern!r}, which is no regular expression: {error}"
                    ) from None
        return self


class DownloadExecution(Execution):
    cookies: Text | None = None
    """A file of cookies (Netscape's format, as browser extensions export it) for sites that need a login or check for
    bots. It is read, never written, and its content is sent to the sites only."""
    proxy: Text | None = None
    """The proxy to use: http://host:3128, socks5://host:1080; null takes that of the environment (HTTPS_PROXY). Write a
    password as ${NAME} and set this environment variable: http://user:${NAME}@host:3128."""
    ratelimit: Count | None = None
    """Bytes per second of one job, at most (several jobs run at a time; --resources network=2 allows two); null: no
    limit."""
    sleep_interval: NotNegative = 0
    """Seconds to wait before each download. Raise it when a site begins to refuse requests: 5 to 10 for YouTube."""
    retries: Annotated[int, Field(ge=0)] = 3
    """How often a video is tried again after a failure that may be temporary (a timeout, a 5xx): after 1, 2, 4, ...
    seconds, or after the time that the server names."""
    time_limit: Positive = 7200
    """Seconds that one video may take before it is given up as transient. Raise it for a slow connection."""
    max_blocked: Share = 0.2
    """If a site refuses (403, 429, bot check) a larger share than this of a shard's videos, its other videos are not
    requested: they are blocked in the ledger, and `videobert retry` lets the next run try them again. 1 requests all of
    them."""
    options: dict[str, Any] = {}
    """Other options of yt-dlp, with the names of its Python interface, such as {max_sleep_interval: 15, format_sort:
    [vcodec:h264], extractor_args: {youtube: {player_client: [tv]}}}. Options that decide what is taken run the shards
    again."""

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if lines := list(_mistakes(self)):
            raise ValueError("\n".join(lines))
        return self

    def selection(self) -> dict[str, Any]:
        """Those of yt-dlp's options that decide what is taken."""
        return {name: value for name, value in sorted(self.options.items()) if name not in ASKING}


# Options of yt-dlp that say how a site is asked. Any other is thought to decide what is taken.
ASKING = [
    "allowed_extractors",
    "ap_mso",
    "ap_password",
    "ap_username",
    "buffersize",
    "cachedir",
    "client_certificate",
    "client_certificate_key",
    "client_certificate_password",
    "concurrent_fragment_downloads",
    "cookiesfrombrowser",
    "extractor_args",
    "extractor_retries",
    "file_access_retries",
    "fragment_retries",
    "geo_bypass",
    "geo_bypass_country",
    "geo_bypass_ip_block",
    "geo_verification_proxy",
    "http_chunk_size",
    "http_headers",
    "impersonate",
    "js_runtimes",
    "legacyserverconnect",
    "max_sleep_interval",
    "netrc_cmd",
    "netrc_location",
    "nocheckcertificate",
    "noresizebuffer",
    "password",
    "prefer_insecure",
    "remote_components",
    "sleep_interval_requests",
    "sleep_interval_subtitles",
    "socket_timeout",
    "source_address",
    "throttledratelimit",
    "twofactor",
    "usenetrc",
    "username",
    "videopassword",
]
# What a user of yt-dlp may look for among the options, and the setting that it is here.
ELSEWHERE = {
    "cookiefile": "cookies",
    "format": "format",
    "match_filter": "max_duration or download.license",
    "max_filesize": "max_filesize",
    "proxy": "proxy",
    "ratelimit": "ratelimit",
    "retries": "retries",
    "sleep_interval": "sleep_interval",
    "subtitleslangs": "captions",
    "writeautomaticsub": "automatic_captions",
    "writesubtitles": "captions",
}
# What the pipeline itself tells yt-dlp (or must not have told: to do nothing, to skip in silence), and what is a function.
OURS = [
    "color",
    "daterange",
    "default_search",
    "download_archive",
    "download_ranges",
    "enable_file_urls",
    "external_downloader",
    "extract_flat",
    "ffmpeg_location",
    "ignore_no_formats_error",
    "ignoreerrors",
    "keepvideo",
    "listformats",
    "listsubtitles",
    "noplaylist",
    "noprogress",
    "outtmpl",
    "paths",
    "playlist_items",
    "postprocessor_args",
    "quiet",
    "retry_sleep_functions",
    "simulate",
    "skip_download",
    "skip_unavailable_fragments",
]
SECRET_OPTIONS = ("password", "twofactor", "videopassword", "ap_password", "client_certificate_password")
SECRET_HEADERS = ("authorization", "proxy-authorization", "cookie")


def unwanted(settings: DownloadSettings, duration: float | None, license: str, size: int = 0) -> str:
    """Why a video from the web is not one of those that are wanted, "" when it is."""
    if settings.max_duration and duration and duration > settings.max_duration:
        return too_long(duration, settings.max_duration)
    if settings.license and not re.search(settings.license, license, re.IGNORECASE):
        return f"its license is {license or 'unknown'}; wanted is {settings.license} (download.license)"
    return too_large(size, settings.max_filesize) if size > settings.max_filesize else ""


def too_long(duration: float, most: float) -> str:
    return f"it lasts {duration:.0f} s; allowed are {most:g} (download.max_duration)"


def too_large(size: int, most: int) -> str:
    return f"it has {size:,} bytes; allowed are {most:,} (download.max_filesize)"


def _mistakes(execution: DownloadExecution) -> Iterator[str]:
    """A line for each option that is not the user's to set, and for each secret that is written out; no line shows one."""
    for name in execution.options:
        yield from _option_mistakes(name)
    for key, value in _texts("download", execution.model_dump()):
        *_, name = key.split(".")
        if re.search(r"://[^/@\s]*:[^/@\s]+@", re.sub(r"\$\{\w+\}", "", value)):
            yield _secret(key, "https://user:${PASSWORD}@host")
        header = name.lower() in SECRET_HEADERS and ".http_headers." in key
        if (header or key.removeprefix("download.options.") in SECRET_OPTIONS) and not re.search(r"\$\{\w+\}", value):
            yield _secret(key, "${PASSWORD}")
    if execution.cookies and not Path(execution.cookies).expanduser().is_file():
        yield f"download.cookies is {execution.cookies!r}, but there is no such file"


def _option_mistakes(name: str) -> Iterator[str]:
    key = f"download.options.{name}"
    if name in ELSEWHERE:
        yield f"{key} has a setting of its own: download.{ELSEWHERE[name]}"
    elif name in OURS:
        yield f"{key} cannot be set: where files go and what is skipped is the pipeline's"
    elif name not in (known := _known()):
        hint = f"; did you mean {near[0]}?" if (near := get_close_matches(name, known, 1, 0.8)) else ""
        yield f"{key} is not an option of yt-dlp's Python interface (YoutubeDL){hint}"


def _known() -> list[str]:
    """The names of yt-dlp's options, as its command line knows them."""
    from yt_dlp import parse_options

    return sorted(parse_options([]).ydl_opts)


def _secret(key: str, example: str) -> str:
    return f"{key} holds a secret, which would be seen in logs: put it into the environment and write {example}"


def _texts(key: str, value: Any) -> Iterator[tuple[str, str]]:
    """(key, text) of all texts in a section, however deep."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _texts(f"{key}.{name}", item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(key, item)
    elif isinstance(value, str):
        yield key, value
