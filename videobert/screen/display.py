"""Two ways to show a run: a block at the foot of a terminal that is drawn anew each second, and plain lines for files and CI."""

import os
from typing import TYPE_CHECKING, Protocol, TextIO

from videobert.amounts import duration_in_words, left_in_words, losses_in_words, plural, rate_in_words, units_in_words
from videobert.screen.run import Line, Run, Stage

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.progress_bar import ProgressBar
    from rich.text import Text

STYLES = {"good": "green", "bad": "red", "aside": "dim", "": ""}
BAR = 20  # characters
FIRST_LINES = 30.0  # seconds; the longer a run, the rarer its lines
RAREST_LINES = 600.0


class Display(Protocol):
    def say(self, line: Line) -> None:
        """Writes a line, for good."""

    def show(self, run: Run) -> None:
        """Shows how far the run is."""

    def end(self) -> None:
        """Leaves the terminal in order."""


def open_display(stream: TextIO, colors: bool) -> Display:
    """What fits to the stream: the live block where there is a terminal that can be written on, and rich to do it."""
    if stream.isatty() and os.environ.get("TERM", "dumb") != "dumb":
        try:
            return Terminal(stream, colors)
        except ImportError:  # an environment of before
            pass
    return Plain(stream)


def cells(stage: Stage, run: Run) -> tuple[str, ...]:
    """How far a stage is: count, rate, time left, losses, and what else there is to say."""
    unit = stage.unit or ("job" if stage.total != 1 else "")
    count = units_in_words(stage.done, stage.total, unit) if unit else _since(stage, run)
    left = left_in_words(stage.total - stage.done, stage.rate)
    return count, rate_in_words(stage.rate), left, losses_in_words(stage.statuses), stage.note


def _since(stage: Stage, run: Run) -> str:
    began = min(job.began for job in stage.running)
    return f"for {duration_in_words(run.looked - began)}"


def head(run: Run) -> str:
    """How far the run is as a whole, and what comes next."""
    said = units_in_words(run.done, run.planned, "job")
    failed = f", {len(run.failures)} failed" if run.failures else ""
    waiting = [stage.name for stage in run.stages.values() if stage.planned and not stage.jobs]
    after = f"; then {', '.join(waiting[:4])}{' ...' if len(waiting) > 4 else ''}" if waiting else ""
    return f"{said}{failed}, {duration_in_words(run.looked - run.began)}{after}"


def running(run: Run) -> list[Stage]:
    return [stage for stage in run.stages.values() if any(not job.is_record for job in stage.running)]


class Plain:
    """Lines: what happens when it happens, and now and then how far each stage is."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.shown = 0.0  # when, in seconds of the run

    def say(self, line: Line) -> None:
        print(line.text, file=self.stream, flush=True)

    def show(self, run: Run) -> None:
        now = run.looked - run.began
        if now - self.shown < min(max(FIRST_LINES, now / 20), RAREST_LINES):
            return
        self.shown = now
        for stage in running(run):
            self.say(Line(f"{stage.name}: {', '.join(filter(None, cells(stage, run)))}"))
        self.say(Line(head(run)))

    def end(self) -> None:
        pass


class Terminal:
    """Lines that scroll, and below them a block with a row for each stage that is running."""

    def __init__(self, stream: TextIO, colors: bool) -> None:
        from rich.console import Console
        from rich.live import Live

        self.console = Console(
            file=stream, highlight=False, markup=False, emoji=False, no_color=None if colors else True
        )
        self.live = Live(console=self.console, auto_refresh=False, transient=True)
        self.live.start()

    def say(self, line: Line) -> None:
        from rich.text import Text

        self.console.print(Text(line.text, STYLES[line.tone]))

    def show(self, run: Run) -> None:
        self.live.update(block(run), refresh=True)

    def end(self) -> None:
        self.live.stop()


def block(run: Run) -> "RenderableType":
    """The block of a terminal, in rich's terms."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2, 0, 0))
    for number in range(7):
        # rich narrows the columns that may wrap before it narrows others: on a small terminal losses and notes are cut first.
        table.add_column(no_wrap=number < 5, justify="right" if number in (3, 4) else "left")
    for stage in running(run):
        count, rate, left, losses, note = cells(stage, run)
        drawn = bar(stage.done, stage.total) if stage.total > 1 or stage.unit else ""
        amounts = [cut(cell) for cell in (count, rate, left)]
        table.add_row(Text(stage.name, "bold"), drawn, *amounts, cut(losses, tone_of(losses)), cut(note, "aside"))
    return Group(table, cut(head(run), "aside"))


def bar(done: float, total: int) -> "ProgressBar":
    """How much is done, drawn."""
    from rich.progress_bar import ProgressBar

    return ProgressBar(max(total, 1), done, BAR, complete_style="cyan", finished_style="green")


def cut(text: str, tone: str = "") -> "Text":
    """A text of one line, which a narrow terminal cuts off."""
    from rich.text import Text

    return Text(text, STYLES[tone], no_wrap=True, overflow="ellipsis")


def tone_of(losses: str) -> str:
    """How losses in words are meant: silent videos are none."""
    return "bad" if " lost" in losses else ""


def plan_in_words(run: Run) -> str:
    """What this run will do: "To do: download 72 videos, codebook, pretrain"."""
    said = []
    for stage in run.stages.values():
        if stage.planned:
            amount = f" {stage.total:,} {plural(stage.total, stage.unit)}" if stage.unit and stage.total else ""
            said.append(f"{stage.name}{amount}")
    records = "" if said else "ledgers"
    return f"To do: {', '.join(said)}{records} ({run.planned:,} {plural(run.planned, 'job')})"
