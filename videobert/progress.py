"""How far a job is: a small JSON file for each job of a run, for the screen of the workflow and whoever looks from elsewhere.

A command that is given a file (`--progress`) keeps it up to date while it works: how many videos or steps are done and of how
many, what was lost and why, and at last how it ended. A thread writes it, at most once a second, without flushing it to the
disk: it may be lost, and costs nothing. No result depends on it, and no rule declares it.

A job that is killed cannot say so. A living job writes at least every `BEAT` seconds, so a file that says "running" and is much
older than that is of a job that is gone.

A file outlives its job, and the next run of the job takes over what stands there of GPU seconds: so they are a sum over all runs.

Stages call `begin`, `advance`, `reach` and `note`. On a terminal, for a stage that is run by hand, they move a progress bar; in
a log they write a line a minute.
"""

import json
import os
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from videobert.amounts import left_in_words, losses_in_words, rate_in_words, units_in_words
from videobert.errors import Unfinished, is_loss

BEAT = 15.0  # seconds
SILENT = 120.0  # seconds without a sign of life after which a job is gone: a network disk shows times late
LINES = 60.0  # seconds from one line of a log to the next
LOSSES_KEPT = 10  # the last ones; their number stands in `statuses`


class State(StrEnum):
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    STOPPED = "stopped"  # by Ctrl-C, or before its time was over


@dataclass
class Progress:
    """What the file of a job holds; videobert/data/schemas.py describes it. Times are seconds since 1970."""

    job: str
    state: str = State.RUNNING
    host: str = ""
    pid: int = 0
    started: float = 0.0
    updated: float = 0.0
    unit: str = ""
    total: int = 0
    done: int = 0
    resumed: int = 0
    working_since: float = 0.0
    fraction: float = 0.0
    statuses: dict[str, int] = field(default_factory=dict)
    losses: list[dict[str, str]] = field(default_factory=list)
    note: str = ""
    error: str = ""
    device: str = ""
    gpu_seconds: float = 0.0

    @property
    def lost(self) -> int:
        """How many videos are lost so far."""
        return sum(count for status, count in self.statuses.items() if is_loss(status))


def read_progress(path: Path) -> Progress | None:
    """What a job's file says; None when there is none, or nothing that can be read."""
    defaults = vars(Progress(""))
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        known = {name: value for name, value in content.items() if name in defaults}
        return Progress(**known) if all(_fits(known[name], defaults[name]) for name in known) else None
    except (OSError, ValueError, TypeError, AttributeError):
        return None


def _fits(value: Any, default: Any) -> bool:
    """Whether a value is of the type of a field."""
    if isinstance(default, dict):
        return isinstance(value, dict) and all(isinstance(count, int) for count in value.values())
    if isinstance(default, list):
        return isinstance(value, list) and all(isinstance(item, dict) for item in value)
    return isinstance(value, str if isinstance(default, str) else int | float)


# What this process does -------------------------------------------------------------------------------------------------------


class _Work:
    """The job that this process is, with its file, its bar and its lines."""

    def __init__(self, name: str, path: Path | None = None) -> None:
        self.path = path
        self.lock = threading.Lock()
        self.ended = threading.Event()
        now = round(time.time(), 1)
        before = read_progress(path) if path else None
        self.progress = Progress(
            name,
            host=socket.gethostname(),
            pid=os.getpid(),
            started=now,
            updated=now,
            gpu_seconds=before.gpu_seconds if before else 0.0,
        )
        self.written = ""
        self.bar: Any = None
        self.last_line = 0.0

    def follow(self) -> None:
        """Writes the file until the job has ended, when something has changed."""
        last = 0.0
        while True:
            ended = self.ended.wait(1.0 if last else 0.0)
            now = time.time()
            with self.lock:
                content = {**asdict(self.progress), "updated": 0.0}
            text = json.dumps(content, ensure_ascii=False)
            if ended or text != self.written or now - last >= BEAT:
                self.written, last = text, now
                self.write({**content, "updated": round(now, 1), "gpu_seconds": self.gpu_seconds(now)})
            if ended:
                return

    def gpu_seconds(self, now: float) -> float:
        """Those of earlier runs, with which the progress began, and those of this one: of each process of torchrun."""
        gpus = int(os.environ.get("WORLD_SIZE", 1)) if self.progress.device.startswith("cuda") else 0
        return round(self.progress.gpu_seconds + gpus * max(now - self.progress.started, 0.0), 1)

    def write(self, content: dict[str, Any]) -> None:
        assert self.path
        temporary = self.path.with_name(f".{self.path.name}-{os.getpid()}")
        with suppress(OSError):  # a disk that is full or away: whatever it costs, it is not the job
            self.path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
            os.replace(temporary, self.path)

    def say(self) -> None:
        """A line in the log, now and then."""
        now = time.monotonic()
        if self.bar is None and now - self.last_line >= LINES:
            self.last_line = now
            print(f"{self.progress.job}: {in_words(self.progress)}", file=sys.stderr, flush=True)


_work = _Work("")


@contextmanager
def job(name: str, path: Path | None) -> Iterator[None]:
    """Keeps the file `path` up to date while the block works; without a path there is none.

    Args:
        name: the command; the job is named by the file, as in Layout.progress: .../progress/download/0000.json.
        path: the file.
    """
    global _work
    if int(os.environ.get("RANK", 0)):  # of the processes of torchrun the first speaks
        path = None
    before, _work = _work, _Work(_job_of(path) if path else name, path)
    work = _work
    thread = threading.Thread(target=work.follow, daemon=True)
    if path:
        thread.start()
    try:
        yield
        work.progress.state = State.DONE
    except BaseException as error:
        stopped = isinstance(error, KeyboardInterrupt | Unfinished)
        work.progress.state = State.STOPPED if stopped else State.FAILED
        kind = "" if stopped or type(error).__name__ in ("UserError", "MachineFault") else f"{type(error).__name__}: "
        work.progress.error = " ".join(f"{kind}{error}".split())[:600]
        raise
    finally:
        _close_bar(work)
        work.ended.set()
        if path:
            thread.join()
        _work = before


def _job_of(path: Path) -> str:
    parts = path.with_suffix("").parts
    below = [place for place, part in enumerate(parts[:-1]) if part == "progress"]
    return "/".join(parts[below[-1] + 1 :] if below else parts[-1:])


def begin(unit: str, total: int, resumed: int = 0, bar: bool = True) -> None:
    """Now units of work are counted.

    Args:
        unit: one of them: video, step.
        total: how many there are.
        resumed: how many of them an earlier run has done.
        bar: whether this module shows a bar, where there is a terminal.
    """
    work = _work
    _close_bar(work)
    with work.lock:
        progress = work.progress
        progress.unit, progress.total, progress.done, progress.resumed = unit, total, resumed, resumed
        progress.working_since, progress.fraction, progress.note = time.time(), 0.0, ""
        progress.statuses, progress.losses = {}, []
    work.last_line = time.monotonic()
    if bar and sys.stderr.isatty():
        from tqdm import tqdm

        work.bar = tqdm(total=total, initial=resumed, desc=work.progress.job, unit=unit, mininterval=1, file=sys.stderr)


def advance(count: int = 1, resumed: bool = False) -> None:
    """So many units more are done; `resumed`: an earlier run has done them."""
    reach(_work.progress.done + count, resumed)


def reach(done: int, resumed: bool = False) -> None:
    """So many units are done in all."""
    work = _work
    with work.lock:
        progress = work.progress
        if resumed:
            progress.resumed += done - progress.done
        progress.done, progress.fraction = done, 0.0
    if work.bar is not None:
        work.bar.update(done - work.bar.n)
        if work.bar.n >= work.progress.total:
            _close_bar(work)
    work.say()


def outcome(video_id: str, status: str, reason: str, resumed: bool = False) -> None:
    """A video is done: what became of it, as in the ledger."""
    work = _work
    with work.lock:
        progress = work.progress
        progress.note = ""
        progress.statuses[str(status)] = progress.statuses.get(str(status), 0) + 1
        if not resumed and is_loss(status):
            progress.losses.append({"video_id": video_id, "status": str(status), "reason": reason})
            del progress.losses[:-LOSSES_KEPT]
    advance(resumed=resumed)


def within(fraction: float, note: str = "") -> None:
    """So much of the unit that is worked on is done, 0 to 1; `note` says it in words."""
    with _work.lock:
        _work.progress.fraction, _work.progress.note = min(max(fraction, 0.0), 1.0), note
    _work.say()


def note(text: str) -> None:
    """What a person who waits should know: the loss of a training, what is waited for."""
    with _work.lock:
        _work.progress.note = text


def runs_on(device: str) -> None:
    """Where this job's network runs: cpu, cuda, cuda:1. From the job's start to its end it has that GPU."""
    with _work.lock:
        _work.progress.device = device


def _close_bar(work: _Work) -> None:
    if work.bar is not None:
        work.bar.close()
        work.bar = None


def in_words(progress: Progress) -> str:
    """ "40 of 72 videos, 3 lost (3 gone), 9.1/min, 3 min left"."""
    reached, seconds = progress.done + progress.fraction, time.time() - progress.working_since
    rate = (reached - progress.resumed) / seconds if seconds > 0 else 0.0
    said = [
        units_in_words(progress.done, progress.total, progress.unit),
        losses_in_words(progress.statuses),
        rate_in_words(rate),
        left_in_words(progress.total - reached, rate),
        progress.note,
    ]
    return ", ".join(filter(None, said))
