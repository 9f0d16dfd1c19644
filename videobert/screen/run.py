"""What is known of a run that is going on: its stages, their jobs, how far each is, what was lost, what failed and why.

It is told what Snakemake does (a job is planned, starts, ends), and reads the progress files of the jobs that are running. What a
person should hear of at once comes out as lines.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from videobert.amounts import duration_in_words, losses_in_words, plural, units_in_words
from videobert.data.ledger import retry_hint
from videobert.data.text import one_line
from videobert.layout import PER_VIDEO, Layout
from videobert.pipeline import STAGES, is_record, stage_of
from videobert.progress import Progress, State, read_progress

LOSSES_TOLD = 5  # of each stage; the others are counted
LOG_LINES = 20  # of the log of a job that failed


class Line(NamedTuple):
    """Something to say: what, and how it is meant: "" (news), "good", "bad" or "aside"."""

    text: str
    tone: str = ""


@dataclass
class Job:
    """A job that has started."""

    stage: str
    rule: str
    name: str
    log: Path | None
    file: Path
    expected: int
    """Videos, where that is known before the job says it."""
    began: float
    ended: float = 0.0
    failed: bool = False
    stopped: bool = False
    before: float | None = None
    """When an earlier run of it was last alive, if there was one."""
    progress: Progress | None = None
    losses_seen: int = 0

    @property
    def is_record(self) -> bool:
        """Whether it only writes down what others did: its stage does not wait for it."""
        return is_record(self.rule)

    @property
    def total(self) -> int:
        return self.progress.total if self.progress and self.progress.unit else self.expected

    @property
    def done(self) -> float:
        if self.ended and not self.failed:
            return self.total
        return self.progress.done + self.progress.fraction if self.progress else 0.0


@dataclass
class Stage:
    """A stage of this run."""

    name: str
    planned: int = 0
    records: int = 0
    waiting: list[int] = field(default_factory=list)
    """The videos of each job that has not started."""
    jobs: dict[int, Job] = field(default_factory=dict)
    seconds: float = 0.0
    """How long at least one of its jobs was at work."""
    losses_told: int = 0

    @property
    def running(self) -> list[Job]:
        return [job for job in self.jobs.values() if not job.ended]

    @property
    def finished(self) -> bool:
        ended = sum(bool(job.ended) and not job.is_record for job in self.jobs.values())
        return ended >= self.planned

    @property
    def unit(self) -> str:
        said = (job.progress.unit for job in self.jobs.values() if job.progress and job.progress.unit)
        return next(said, "video" if self.name in PER_VIDEO else "")

    @property
    def total(self) -> int:
        """Units, or jobs in a stage that counts none."""
        if not self.unit:
            return self.planned
        return sum(job.total for job in self.jobs.values()) + sum(self.waiting)

    @property
    def done(self) -> float:
        if not self.unit:
            return sum(bool(job.ended) and not job.failed and not job.is_record for job in self.jobs.values())
        return sum(job.done for job in self.jobs.values())

    @property
    def rate(self) -> float:
        """Units a second, of those that this run has done."""
        resumed = sum(job.progress.resumed for job in self.jobs.values() if job.progress)
        return max(self.done - resumed, 0.0) / self.seconds if self.unit and self.seconds else 0.0

    @property
    def statuses(self) -> Counter[str]:
        counts: Counter[str] = Counter()
        for job in self.jobs.values():
            counts.update(job.progress.statuses if job.progress else {})
        return counts

    @property
    def note(self) -> str:
        """What the longest running of its jobs has to say."""
        notes = [job.progress.note for job in self.running if job.progress and job.progress.note]
        return one_line(notes[0], longest=80) if notes else ""


class Run:
    """The run in the results folder of `layout`; `videos` says how many each shard has."""

    def __init__(self, layout: Layout, videos: Mapping[str, int], now: float) -> None:
        self.layout = layout
        self.videos = videos
        self.began = self.looked = now
        self.stages: dict[str, Stage] = {}
        self.planned = 0
        self.jobs: dict[int, Job] = {}

    def plan(self, jobs: Iterable[tuple[str, str]]) -> None:
        """The jobs that this run will do: (rule, shard or "")."""
        for rule, shard in jobs:
            stage = self.stages.setdefault(stage_of(rule), Stage(stage_of(rule)))
            if is_record(rule):
                stage.records += 1
            else:
                stage.planned += 1
                stage.waiting.append(self._expected(stage.name, shard))
            self.planned += 1
        order = [*STAGES]
        self.stages = dict(
            sorted(self.stages.items(), key=lambda item: order.index(item[0]) if item[0] in order else 99)
        )

    def _expected(self, stage: str, shard: str) -> int:
        return self.videos.get(shard, 0) if stage in PER_VIDEO else 0

    def start(self, number: int, rule: str, shard: str, log: str, now: float) -> None:
        """Snakemake starts a job: its number and the first of its logs."""
        name = log.removeprefix(f"{self.layout.results}/logs/").removesuffix(".log") or rule
        stage = self.stages.setdefault(stage_of(rule), Stage(stage_of(rule)))
        file = Path(self.layout.progress(name))
        job = Job(stage.name, rule, name, Path(log) if log else None, file, self._expected(stage.name, shard), now)
        earlier = read_progress(file)  # it stays: the new run of the job takes over its GPU seconds
        job.before = earlier.updated if earlier else None
        if number not in self.jobs and not job.is_record and job.expected in stage.waiting:
            stage.waiting.remove(job.expected)
        self.jobs[number] = stage.jobs[number] = job

    def finish(self, number: int, now: float) -> list[Line]:
        """A job has ended well."""
        if number not in self.jobs:
            return []
        job = self.jobs[number]
        lines = self._read(job)
        job.ended = now
        stage = self.stages[job.stage]
        if job.is_record:
            return [*lines, *self._remarks(stage, job)]
        return [*lines, *(self._finished(stage) if stage.finished else [])]

    def fail(self, number: int, now: float, exit_status: str, show_log: bool) -> list[Line]:
        """A job has failed: how its process ended, in Snakemake's words, and whether its log is to be shown."""
        if number not in self.jobs:
            return []
        job = self.jobs[number]
        lines = self._read(job)
        job.ended, job.failed = now, True
        return [*lines, *_failure(job, exit_status, show_log)]

    def stop(self, number: int, now: float) -> None:
        """A job has ended because the user ends the run."""
        if number in self.jobs:
            self.jobs[number].ended, self.jobs[number].failed, self.jobs[number].stopped = now, True, True

    def look(self, now: float) -> list[Line]:
        """Reads how far the running jobs are."""
        passed, self.looked = now - self.looked, now
        lines = []
        for stage in self.stages.values():
            for job in stage.running:
                lines += self._read(job)
            if any(job.progress and job.progress.total for job in stage.running):
                stage.seconds += passed
        return lines

    def _read(self, job: Job) -> list[Line]:
        """What its file says, and what it has lost since."""
        seen = read_progress(job.file)
        if seen and seen.updated != job.before:
            job.progress = seen
        if not job.progress:
            return []
        stage, losses = self.stages[job.stage], job.progress.losses
        new = losses[len(losses) - max(min(job.progress.lost - job.losses_seen, len(losses)), 0) :]
        job.losses_seen = max(job.progress.lost, job.losses_seen)
        lines = []
        for loss in new:
            stage.losses_told += 1
            if stage.losses_told <= LOSSES_TOLD:
                said = f"{loss.get('video_id')}: {loss.get('status')}: {loss.get('reason')}"
                lines.append(Line(f"{stage.name} lost {one_line(said, longest=200)}", "bad"))
            elif stage.losses_told == LOSSES_TOLD + 1:
                lines.append(Line(f"{stage.name} lost more; from here on they are only counted", "bad"))
        return lines

    def _finished(self, stage: Stage) -> list[Line]:
        jobs = [job for job in stage.jobs.values() if not job.is_record]
        took = duration_in_words(max(job.ended for job in jobs) - min(job.began for job in jobs))
        done = f"{stage.total:,} {plural(stage.total, stage.unit)}" if stage.unit else ""
        resumed = sum(job.progress.resumed for job in jobs if job.progress)
        done += f" ({resumed:,} done before)" if done and resumed else ""
        loss = jobs[-1].progress.note if stage.unit == "step" and jobs[-1].progress else ""
        said = ", ".join(filter(None, [done, losses_in_words(stage.statuses), one_line(loss)]))
        failed = sum(job.failed for job in jobs)
        if failed:
            counted = f"{failed} of {stage.planned} {plural(stage.planned, 'job')} failed"
            return [Line(f"{stage.name}: {counted}, in {took}", "bad")]
        # Its ledger says it, too, with what earlier runs have lost.
        hint = "" if stage.records else retry_hint(stage.name, stage.statuses, self.layout.results)
        finished = Line(f"{stage.name}: {f'{said}, in' if said else 'done in'} {took}", "good")
        return [finished, *([Line(hint, "aside")] if hint else [])]

    def _remarks(self, stage: Stage, job: Job) -> list[Line]:
        """What the ledger of a stage says, but for the counts where those of this run are all there is."""
        if stage.name not in PER_VIDEO or not job.rule.endswith("_ledger"):
            return []
        said = _log_lines(job.log)
        whole = stage.planned >= len(self.videos)
        return [Line(text, "aside") for text in said[whole:]]

    # Of the whole run

    @property
    def done(self) -> int:
        return sum(bool(job.ended) and not job.failed for job in self.jobs.values())

    @property
    def running(self) -> int:
        """How many jobs are running."""
        return sum(not job.ended for job in self.jobs.values())

    @property
    def failures(self) -> list[Job]:
        return [job for job in self.jobs.values() if job.failed and not job.stopped]

    def last_line(self, now: float, stopped: bool = False) -> Line:
        """How it ended."""
        took = duration_in_words(now - self.began)
        if self.done >= self.planned and not self.failures:
            return Line(f"Done: {self.planned:,} {plural(self.planned, 'job')} in {took}.", "good")
        done = f"{units_in_words(self.done, self.planned, 'job')} done in {took}"
        if self.failures:
            names = ", ".join(job.name for job in self.failures[:5])
            more = f" and {len(self.failures) - 5} more" if len(self.failures) > 5 else ""
            return Line(
                f"Failed: {names}{more}; {done}. What is done is kept: the same command goes on from there.", "bad"
            )
        word = "Stopped" if stopped else "Not finished"
        return Line(f"{word}: {done}. The same command goes on from there.", "bad")


def _failure(job: Job, exit_status: str, show_log: bool) -> list[Line]:
    """Why a job failed: in a line, then its log."""
    said = _log_lines(job.log)
    prefix = f"videobert {stage_of(job.rule)}: "
    stated = [text.removeprefix(prefix) for text in said if text.startswith(prefix)]
    error = one_line(job.progress.error, longest=600) if job.progress and job.progress.state == State.FAILED else ""
    killed = "it was killed, often for want of memory" if exit_status.endswith("137") else ""
    reason = stated[-1] if stated else error or killed or ": ".join(filter(None, [exit_status, *said[-1:]]))
    lines = [Line(f"{job.name} failed: {reason}", "bad")]
    if job.log:
        lines.append(Line(f"    log: {job.log}", "bad"))
    if show_log and [text.removeprefix(prefix) for text in said] not in ([], [reason]):
        if len(said) > LOG_LINES:
            lines.append(Line(f"    its last {LOG_LINES} of {len(said):,} lines:", "aside"))
        lines += [Line(f"    | {text}", "aside") for text in said[-LOG_LINES:]]
    return lines


def _log_lines(path: Path | None) -> list[str]:
    """The lines of a log that are not empty, fit for a terminal."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace") if path else ""
    except OSError:
        return []
    lines = (line.rsplit("\r", 1)[-1] for line in text.split("\n"))
    return [
        one_line(line, longest=600) if not line.startswith(" ") else f"  {one_line(line)}"
        for line in lines
        if line.strip()
    ]
