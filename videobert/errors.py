"""The two kinds of bad news.

A `UserError` stops a command: something the user can mend (a setting, a file, a missing weight). It is shown as one
line that names the file or the key and the mend. A `VideoError` concerns one video of thousands: it becomes a row of the
stage's ledger, with a status that can be counted and a reason that can be read, and the work goes on.
"""

from enum import StrEnum


class Status(StrEnum):
    """The words of the ledgers: what became of a video in a stage."""

    OK = "ok"
    # Of the list
    DUPLICATE = "duplicate"
    # Of the download
    GONE = "gone"
    BLOCKED = "blocked"
    TRANSIENT = "transient"
    UNUSABLE = "unusable"
    # Of the stages below
    NO_AUDIO = "no_audio"
    NO_SPEECH = "no_speech"
    NO_CAPTIONS = "no_captions"
    OTHER_LANGUAGE = "other_language"
    TOO_SHORT = "too_short"
    EXCLUDED = "excluded"
    EMPTY = "empty"
    # What nobody foresaw
    FAILED = "failed"


# What a status is called when it is no loss: a video in which nobody speaks goes on without sentences, and one that was to be
# left out is left out.
KEPT: dict[str, str] = {
    Status.OK: "ok",
    Status.NO_SPEECH: "silent",
    Status.NO_AUDIO: "silent",
    Status.EXCLUDED: "excluded",
}


def is_loss(status: str) -> bool:
    """Whether a video with this status is lost to its stage."""
    return status not in KEPT


class UserError(Exception):
    """Stops the command with one line: what is wrong, where, and what would mend it."""


class Unfinished(UserError):
    """Stops a command before its work is done: its time is over, or it was asked to end. What is done is saved, and the same
    command goes on from there. It ends with exit code 75, which sysexits.h has for "try again"."""

    EXIT_CODE = 75


class VideoError(Exception):
    """One video is lost to a stage: `status` is a short class that is counted, `reason` a sentence."""

    def __init__(self, status: Status | str, reason: str):
        super().__init__(f"{status}: {reason}")
        self.status = Status(status)
        self.reason = reason


class BoundError(VideoError):
    """A video took more memory or time than we give a stranger's file.

    A busy machine looks the same, so it counts against the video only when it happens again with the video alone.
    """

    def __init__(self, reason: str):
        super().__init__(Status.UNUSABLE, reason)
