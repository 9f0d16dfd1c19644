"""The jobs of a run, as their progress files show them to somebody on another machine."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from videobert.progress import SILENT, Progress, State

SeenState = Literal["running", "gone", "done", "failed", "stopped"]


@dataclass(frozen=True)
class Job:
    """A job that has begun at some time."""

    name: str
    """As its log is named: download/0000, pretrain."""
    progress: Progress
    silent: float
    """Seconds since it was last alive, by the clock of the disk."""
    is_done: bool
    """Whether its first output is there."""

    @property
    def stage(self) -> str:
        return self.name.partition("/")[0]

    @property
    def state(self) -> SeenState:
        """What it does, or how it ended. A job that was killed cannot say so: it has been silent for long, and is gone."""
        if self.progress.state == State.RUNNING:
            if self.silent < SILENT:
                return "running"
            return "done" if self.is_done else "gone"
        return "done" if self.is_done or self.progress.state == State.DONE else _ended(self.progress.state)

    @property
    def is_unfinished(self) -> bool:
        """Whether it has begun and is not done. What it did is kept, in a journal or in checkpoints."""
        return self.state != "done"

    @property
    def counts(self) -> bool:
        """Whether what it says is there: a job that said it was done, and whose outputs were deleted since, says nothing."""
        return self.is_done or self.is_unfinished

    @property
    def gpu_seconds(self) -> float | None:
        """None: nobody knows whether it had a GPU."""
        progress = self.progress
        return progress.gpu_seconds if progress.device or progress.gpu_seconds else None


def _ended(state: str) -> SeenState:
    return "stopped" if state == State.STOPPED else "failed"


def rate(jobs: Sequence[Job]) -> float | None:
    """Units a second of the running jobs of a stage together; None when nobody knows.

    By the time that a unit took in these jobs, and in those that ended while they ran. Times are of the clock of each job.
    """
    running = [job.progress for job in jobs if job.state == "running"]
    if not running:
        return None
    since = min(progress.started for progress in running)
    begun = [job.progress for job in jobs if job.progress.working_since and job.progress.updated >= since]
    seconds = sum(progress.updated - progress.working_since for progress in begun)
    units = sum(progress.done + progress.fraction - progress.resumed for progress in begun)
    return len(running) * units / seconds if seconds > 0 and units > 0 else None
