"""What is known of a run: its stages, their jobs, what was lost last. None is what nobody knows."""

from collections import Counter
from dataclasses import dataclass, field

from videobert.errors import is_loss
from videobert.status.jobs import Job, SeenState, rate

Loss = dict[str, str]  # stage, video_id, status, reason


@dataclass
class Stage:
    """A stage, as far as its files say."""

    name: str
    jobs: list[Job]
    is_done: bool = False
    """Whether all of it is there."""
    shards: int | None = None
    """None, too, where a stage works on all shards at once."""
    shards_done: int | None = None
    unit: str = ""
    """What is counted: video, step, node; "": nothing."""
    total: int | None = None
    done: float | None = None
    statuses: Counter[str] = field(default_factory=Counter)

    @property
    def running(self) -> list[Job]:
        """The longest running first."""
        return sorted((job for job in self.jobs if job.state == "running"), key=lambda job: job.progress.started)

    @property
    def has_begun(self) -> bool:
        return bool(self.is_done or self.shards_done or self.jobs)

    @property
    def rate(self) -> float | None:
        """Units a second."""
        return rate(self.jobs) if self.unit else None

    @property
    def left(self) -> float | None:
        """Seconds."""
        rate = self.rate
        if not rate or self.total is None or self.done is None:
            return None
        return max(self.total - self.done, 0) / rate

    @property
    def lost(self) -> int:
        return sum(count for status, count in self.statuses.items() if is_loss(status))

    @property
    def note(self) -> str:
        """What the longest running of its jobs has to say, or what the others had."""
        jobs = self.running or [job for job in self.jobs if job.counts]
        return next((job.progress.note for job in jobs if job.progress.note), "")

    @property
    def gpu_seconds(self) -> float | None:
        return _sum([job.gpu_seconds for job in self.jobs])


@dataclass
class Look:
    """What a results folder says."""

    results: str
    time: float
    """When somebody looked, in seconds since 1970."""
    stages: list[Stage]
    """In the order of the pipeline."""
    losses: list[Loss]
    """The last ones, the newest first."""
    problems: list[str]
    """Which files cannot be read, and why."""

    @property
    def gpu_seconds(self) -> float | None:
        return _sum([stage.gpu_seconds for stage in self.stages])

    def jobs(self, state: SeenState) -> list[Job]:
        """The jobs in a state, the one that was alive last first."""
        jobs = (job for stage in self.stages for job in stage.jobs if job.state == state)
        return sorted(jobs, key=lambda job: job.silent)


def _sum(amounts: list[float | None]) -> float | None:
    known = [amount for amount in amounts if amount is not None]
    return sum(known) if known else None
