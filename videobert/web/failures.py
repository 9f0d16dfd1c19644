"""What failed on the web, and why: the class of each of yt-dlp's errors.

The classes are statuses in the ledger: `gone` (removed, private, 404, 410), `blocked` (the site refuses us: login, bot
check, rate limit, age, country), `transient` (the network; worth another try) and `unusable` (no video, or none that
can be had). The HTTP status decides, else the kind of error, else what the site said.
"""

import re
import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime

from yt_dlp.networking.exceptions import HTTPError, RequestError, TransportError
from yt_dlp.utils import ContentTooShortError, GeoRestrictedError, ThrottledDownload, UnsupportedError

from videobert.errors import Status, VideoError
from videobert.machine import machine_fault

LONGEST_BACK_OFF = 30.0  # seconds between two tries

# Classes by what sites say, when there is no HTTP status to go by; the first that fits. A private video also asks to
# sign in, a rate limit also says "unavailable" and "try again later", and a format is "not available" of a video that is.
MESSAGES = [
    (
        Status.UNUSABLE,
        r"requested format|no video formats|no media|\bDRM\b|unsupported url|not a valid url|will be skipped",
    ),
    (Status.TRANSIENT, r"premiere|live event will begin|not (yet )?started|still being processed"),
    (Status.GONE, r"private video|(video|content|post) is private"),
    (
        Status.BLOCKED,
        r"sign ?in\b|log ?in\b|logged in|not a bot|captcha|unusual traffic|cookies|rate.?limit|too many req",
    ),
    (
        Status.BLOCKED,
        r"members|subscri|purchase|\bpaid|\brent|premium|age.?(restrict|limit|gate)|your age|inappropriate",
    ),
    (Status.BLOCKED, r"(in|from) your (country|region|location|area)|\bgeo|forbidden|password"),
    (
        Status.GONE,
        r"unavailable|not available|isn't available|no longer|removed|deleted|terminated|not exist|copyright",
    ),
    (Status.TRANSIENT, r"timed? ?out|temporar|try again|bytes read|connection (reset|refused|aborted|broken)|too slow"),
]
# Of those that are blocked, the ones that say something of us and not of the video.
ABOUT_US = r"HTTP Error (403|407|429)|not a bot|captcha|unusual traffic|rate.?limit|too many requests"


def video_error(error: Exception) -> VideoError:
    """The class of a yt-dlp error: by the HTTP status, the kind of error, or what the site said.

    Raises MachineFault when this machine is the reason: it would be the same for every video that follows.
    """
    causes = list(_causes(error))
    reason = plain(error)
    for cause in causes:
        if isinstance(cause, OSError | MemoryError) and (fault := machine_fault(cause, "download")):
            raise fault from None
    code = status_of(error)
    if code:
        return VideoError(_class_of(code), reason)
    for status, kinds in {
        Status.UNUSABLE: UnsupportedError,
        Status.BLOCKED: GeoRestrictedError,
        Status.TRANSIENT: (TransportError, ContentTooShortError, ThrottledDownload, TimeoutError, ConnectionError),
    }.items():
        if any(isinstance(cause, kinds) for cause in causes):
            return VideoError(status, reason)
    if any(type(cause) is RequestError for cause in causes):  # an address that cannot be asked at all
        return VideoError(Status.UNUSABLE, reason)
    return VideoError(
        next((status for status, pattern in MESSAGES if re.search(pattern, reason, re.IGNORECASE)), Status.UNUSABLE),
        reason,
    )


def status_of(error: Exception) -> int | None:
    """The HTTP status that is behind an error."""
    for cause in _causes(error):
        if isinstance(cause, HTTPError):
            code: int = cause.status
            return code
    found = re.search(r"HTTP Error (\d{3})", str(error))
    return int(found[1]) if found else None


def _class_of(code: int) -> Status:
    if code in (404, 410):
        return Status.GONE
    if code in (408, 416, 425) or code >= 500:
        return Status.TRANSIENT
    return Status.BLOCKED if code in (401, 402, 403, 407, 429, 451) else Status.UNUSABLE


def retry_after(error: Exception) -> float | None:
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


def back_off(attempt: int) -> float:
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


def plain(error: Exception) -> str:
    """A message without what yt-dlp adds to it: advice on reporting bugs, and the cause with addresses in memory."""
    reason = re.split(r"; please report this issue| \(caused by", str(error))[0]
    return re.sub(r"^ERROR: |<[\w.]+\(?[^<>]* at 0x\w+[^<>]*>:? ?| object at 0x\w+", "", reason).strip()
