"""The two kinds of bad news.

A `UserError` stops a command: something the user can mend (a setting, a file, a missing weight). It is shown as one
line that names the file or the key and the mend. A `Loss` concerns one video of thousands: it becomes a row of the
stage's ledger, with a status that can be counted and a reason that can be read, and the work goes on.
"""


class UserError(Exception):
    """Stops the command with one line: what is wrong, where, and what would mend it."""


class VideoError(Exception):
    """One video is lost to a stage: `status` is a short class that is counted, `reason` a sentence."""

    def __init__(self, status: str, reason: str):
        super().__init__(f"{status}: {reason}")
        self.status = status
        self.reason = reason
