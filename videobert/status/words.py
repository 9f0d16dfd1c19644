"""What a look at a run says, in words: a row of cells for each stage, and lines below."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from videobert.amounts import duration_in_words, losses_in_words, plural, rate_in_words, units_in_words
from videobert.data.text import one_line, sanitized
from videobert.layout import PER_VIDEO, Layout
from videobert.screen.run import Line
from videobert.status.jobs import Job
from videobert.status.look import Look, Stage

SHOWN = 5  # jobs of a kind, at most
HOSTS_SHOWN = 2  # of a stage


class Row(NamedTuple):
    """A stage in words; "-" is not there, or not known."""

    stage: str
    shards: str = "-"
    done: str = ""
    rate: str = ""
    left: str = ""
    running: str = ""
    lost: str = ""
    note: str = ""


def row_of(stage: Stage) -> Row:
    if not stage.has_begun:
        return Row(stage.name)
    return Row(
        stage=stage.name,
        shards=_shards(stage),
        done=units_in_words(stage.done or 0, stage.total, stage.unit) if stage.unit and stage.total is not None else "",
        rate=rate_in_words(stage.rate or 0),
        left=duration_in_words(stage.left) if stage.left else "",
        running=_running(stage),
        lost=losses_in_words(stage.statuses),
        note=one_line(stage.note, longest=80),
    )


def filled(rows: Sequence[Row]) -> list[str]:
    """The columns in which something stands."""
    return [column for column in Row._fields if any(getattr(row, column) for row in rows)]


def head(column: str) -> str:
    return "" if column == "note" else column


def _shards(stage: Stage) -> str:
    if stage.shards is None or stage.shards_done is None:
        return "done" if stage.is_done else "-"
    return f"{stage.shards_done:,} of {stage.shards:,}"


def _running(stage: Stage) -> str:
    hosts = sorted({one_line(job.progress.host, 40) for job in stage.running})
    more = f" +{len(hosts) - HOSTS_SHOWN}" if len(hosts) > HOSTS_SHOWN else ""
    return f"{len(stage.running):,} on {', '.join(hosts[:HOSTS_SHOWN])}{more}" if hosts else ""


def lines(look: Look) -> list[Line]:
    """What stands below the stages: losses, what went wrong, what runs and what it has cost. Fit for a terminal."""
    problems = [Line(problem, "bad") for problem in look.problems[:SHOWN]]
    failed = _told(look, look.jobs("failed"), _failed)
    gone = _told(look, look.jobs("gone"), _gone)
    said = [*_losses(look), *failed, *gone, *problems, _last(look)]
    return [line._replace(text=sanitized(line.text)) for line in said]


def _losses(look: Look) -> list[Line]:
    found = [
        Line(one_line(f"{loss['stage']} lost {loss['video_id']}: {loss['status']}: {loss['reason']}"), "bad")
        for loss in look.losses
    ]
    more = sum(stage.lost for stage in look.stages if stage.name in PER_VIDEO) - len(found)
    return [*found, *([Line(f"    and {more:,} more", "aside")] if found and more > 0 else [])]


def _told(look: Look, jobs: Sequence[Job], tell: Callable[[Job], str]) -> list[Line]:
    """A line for each of the jobs, with its log; not of hundreds."""
    found = []
    for job in jobs[:SHOWN]:
        found += [Line(tell(job), "bad"), Line(f"    log: {Layout(look.results).log(job.name)}", "bad")]
    if len(jobs) > SHOWN:
        found.append(Line(f"    and {len(jobs) - SHOWN:,} more", "bad"))
    return found


def _failed(job: Job) -> str:
    return f"{job.name} failed {duration_in_words(job.silent)} ago: {one_line(job.progress.error, 600)}"


def _gone(job: Job) -> str:
    silent = duration_in_words(job.silent)
    return (
        f"{job.name} is gone: it ran on {one_line(job.progress.host, 40)}, and has given no sign of life for {silent}"
    )


def _last(look: Look) -> Line:
    """What runs now, and the hours of GPU."""
    running, stopped = look.jobs("running"), look.jobs("stopped")
    said = [f"{len(running):,} {plural(len(running), 'job')} running" if running else "no job is running"]
    if stopped:
        said.append(f"{len(stopped):,} {plural(len(stopped), 'job')} stopped, to be gone on with")
    if look.gpu_seconds is not None:
        by_stage = ", ".join(f"{stage.name} {hours(stage.gpu_seconds)}" for stage in look.stages if stage.gpu_seconds)
        said.append(f"GPU hours used: {hours(look.gpu_seconds)}{f' ({by_stage})' if by_stage else ''}")
    return Line("; ".join(said), "aside")


def hours(seconds: float) -> str:
    """Seconds as hours: "0.25", "1,204.5"."""
    return f"{seconds / 3600:,.1f}" if seconds >= 36000 else f"{seconds / 3600:.2f}"
