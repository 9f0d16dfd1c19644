"""A look at a run on a terminal: drawn anew every few seconds while something runs."""

import math
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from videobert.screen.display import STYLES, bar, cut, tone_of
from videobert.status.look import Look, Stage
from videobert.status.watch import Watch
from videobert.status.words import Row, filled, lines, row_of

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table
    from rich.text import Text

EVERY = 3.0  # seconds from one look to the next
REST = 5.0  # a look that takes long is followed by so many times its time without one: the disk is the run's
NEEDS = {"bar": 120, "running": 100}  # how many characters a terminal must have for a column


def show(watch: Watch, look: Look, console: "Console") -> None:
    """Shows a look; while something runs, one after the other until Ctrl-C."""
    from rich.live import Live

    if look.jobs("running"):
        with suppress(KeyboardInterrupt), Live(console=console, auto_refresh=False, transient=True) as live:
            while True:
                live.update(block(look, console.width, console.height), refresh=True)
                began = time.monotonic()
                look = watch.look()
                time.sleep(max(EVERY, REST * (time.monotonic() - began)))
    console.print(block(look, console.width))


def block(look: Look, width: int, height: float = math.inf) -> "RenderableType":
    """What a terminal of so many characters and lines shows, in rich's terms."""
    from rich.console import Group
    from rich.text import Text

    below = lines(look)
    taken = 1 + len(look.stages) + sum(1 + len(line.text) // width for line in below)
    stages = look.stages if taken <= height else [stage for stage in look.stages if stage.has_begun]
    return Group(_table(stages, width), *(Text(line.text, STYLES[line.tone]) for line in below))


def _table(stages: Sequence[Stage], width: int) -> "Table":
    from rich.table import Table
    from rich.text import Text

    rows = [row_of(stage) for stage in stages]
    columns = [name for name in filled(rows) if name not in ("lost", "note") and width >= NEEDS.get(name, 0)]
    bars = width >= NEEDS["bar"]
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    for name in (columns[0], *([""] if bars else []), *columns[1:]):
        table.add_column(name, no_wrap=True)
    table.add_column("lost")  # it may wrap, so rich narrows it and none of the others
    for stage, row in zip(stages, rows, strict=True):
        drawn = [_bar(stage)] if bars else []
        amounts = [cut(getattr(row, name)) for name in columns[1:]]
        table.add_row(Text(stage.name, "bold"), *drawn, *amounts, _losses(row))
    return table


def _losses(row: Row) -> "Text":
    """What is lost, and what else there is to say."""
    said = cut(row.lost, tone_of(row.lost))
    return said.append(", " if row.lost and row.note else "").append(row.note, STYLES["aside"])


def _bar(stage: Stage) -> "RenderableType":
    known = stage.has_begun and stage.done is not None and stage.total is not None
    return bar(stage.done or 0, stage.total or 0) if known else ""
