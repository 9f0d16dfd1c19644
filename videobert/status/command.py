"""How far is it? `videobert status` shows a run to whoever can read its results folder: while it works, from any machine, and
afterwards."""

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from videobert.errors import UserError
from videobert.layout import Layout
from videobert.printing import table, to_json
from videobert.status.facts import facts
from videobert.status.look import Look
from videobert.status.terminal import show
from videobert.status.watch import Watch
from videobert.status.words import filled, head, lines, row_of

if TYPE_CHECKING:
    from rich.console import Console


def status(results: Path, json: bool = False) -> None:
    """Show how far a run is: shards and videos of each stage, what was lost and why, what runs where, hours of GPU.

    videobert status results/mine

    On a terminal it goes on showing it while something runs, until Ctrl-C. It reads the results folder alone, so any machine that
    sees the folder can ask, during the run and afterwards.

    Args:
        results: the results folder.
        json: print JSON, once.
    """
    layout = Layout(results)
    _check(layout)
    watch = Watch(layout)
    with suppress(KeyboardInterrupt):
        look = watch.look()
        if json:
            print(to_json(facts(look)))
        elif console := _terminal():
            show(watch, look, console)
        else:
            _print(look)


def _terminal() -> "Console | None":
    """A terminal that can be drawn on, where there is one and rich to do it."""
    if not sys.stdout.isatty() or os.environ.get("TERM", "dumb") == "dumb":
        return None
    try:
        from rich.console import Console
    except ImportError:  # the package alone, without its extra
        return None
    return Console(highlight=False, markup=False, emoji=False)


def _print(look: Look) -> None:
    rows = [row_of(stage) for stage in look.stages]
    columns = filled(rows)
    table([head(column) for column in columns], [[getattr(row, column) for column in columns] for row in rows])
    for line in lines(look):
        print(line.text)


def _check(layout: Layout) -> None:
    """Raises UserError where there is no run."""
    folder = Path(layout.results)
    if not folder.is_dir():
        raise UserError(
            f"there is no folder {folder}: give the results folder of a run, as in videobert status results"
        )
    signs = (layout.lock, layout.plan, layout.manifest, layout.progress_folder, layout.model.weights, layout.page)
    if not any(map(os.path.exists, signs)):
        raise UserError(
            f"{folder} is no results folder, or nothing has run in it: give the folder that `results` names in the "
            "configuration, as in videobert status results"
        )
