"""Ctrl-C ends the jobs of a workflow, whoever sends it."""

import signal
import threading
from contextlib import suppress
from types import FrameType


def pass_on_interrupts() -> None:
    """Lets Ctrl-C end the workflow's jobs, too; called in Snakemake's process.

    A terminal sends it to the jobs as well, a supervisor or `kill -INT` to Snakemake alone. That waits for its jobs then, does
    not note that they are done, and makes them anew at the next start. A job that is ended goes on where it was.
    """
    if (
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    ):
        signal.signal(signal.SIGINT, _interrupt)


def _interrupt(number: int, frame: FrameType | None) -> None:
    import psutil  # Snakemake has it

    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            # Those that a launcher has started (python -u -m videobert) it ends itself.
            if process.cmdline()[1:3] == ["-m", "videobert"]:
                process.terminate()
    signal.default_int_handler(number, frame)
