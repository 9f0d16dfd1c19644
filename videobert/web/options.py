"""What can be set of how videos come from the web: the settings of the section download that concern it, and which of
yt-dlp's own options are passed on.

Some of these decide which videos and streams are taken: when one of them changes, the shards run again. The others say
how a site is asked (how fast, by which way, with whose cookies), and a change of them makes nothing stale.

Secrets belong into the environment, and the settings name them as ${NAME}: what stands in a configuration comes to be
seen in the list of processes, in Snakemake's messages and in its memory of what was run.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Settings:
    """`videobert download --help` explains them."""

    format: str
    captions: list[str]
    automatic_captions: bool
    max_duration: float | None
    max_filesize: int
    license: str | None
    cookies: Path | None
    proxy: str | None
    ratelimit: int | None
    sleep_interval: float
    retries: int
    time_limit: float
    max_blocked: float
    options: dict[str, Any]


# Those that say how a site is asked.
MANNERS = ("cookies", "proxy", "ratelimit", "sleep_interval", "retries", "time_limit", "max_blocked")

# The options of yt-dlp that do the same. Any other is thought to decide what is taken.
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


def selection_options(options: dict[str, Any]) -> dict[str, Any]:
    """Those of yt-dlp's options that decide what is taken."""
    return {name: value for name, value in sorted(options.items()) if name not in ASKING}


def unwanted(settings: Settings, duration: float | None, license: str, size: int = 0) -> str:
    """Why a video from the web is not one of those that are wanted, "" when it is."""
    if settings.max_duration and (duration or 0.0) > settings.max_duration:
        return too_long(duration, settings.max_duration)
    if settings.license and not re.search(settings.license, license, re.IGNORECASE):
        return f"its license is {license or 'unknown'}; wanted is {settings.license} (download.license)"
    return too_large(size, settings.max_filesize) if size > settings.max_filesize else ""


def too_long(duration: float, most: float) -> str:
    return f"it lasts {duration:.0f} s; allowed are {most:g} (download.max_duration)"


def too_large(size: int, most: int) -> str:
    return f"it has {size:,} bytes; allowed are {most:,} (download.max_filesize)"


def misfits(section: dict[str, Any]) -> list[str]:
    """What no schema can say of the section download, a line for each mistake; no line shows a secret."""
    lines = [line for name in section["options"] for line in _misfit(name)]
    for key, value in _texts("download", section):
        *_, name = key.split(".")
        if re.search(r"://[^/@\s]*:[^/@\s]+@", re.sub(r"\$\{\w+\}", "", value)):
            lines.append(_secret(key, "https://user:${PASSWORD}@host"))
        header = name.lower() in SECRET_HEADERS and ".http_headers." in key
        if (header or key.removeprefix("download.options.") in SECRET_OPTIONS) and not re.search(r"\$\{\w+\}", value):
            lines.append(_secret(key, "${PASSWORD}"))
    for key, patterns in {"captions": section["captions"], "license": filter(None, [section["license"]])}.items():
        for pattern in patterns:
            try:
                re.compile(pattern)
            except re.error as error:
                lines.append(f"download.{key} has {pattern!r}, which is no regular expression: {error}")
    cookies = section["cookies"]
    if cookies and not Path(cookies).expanduser().is_file():
        lines.append(f"download.cookies is {str(cookies)!r}, but there is no such file")
    return lines


def _misfit(name: str) -> Iterator[str]:
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
