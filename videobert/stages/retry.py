"""What the web did not give, once more: has the next run of the workflow try lost videos again.

A new run of the workflow leaves a finished shard alone, and its blocked and transient videos with it. `videobert retry
results blocked transient` marks the shards that have such videos: a number in the shard's folder is a parameter of its
rule, and when it goes up, Snakemake runs the shard again and what lies below it. What is there is not fetched again.

It is a command and no setting: a setting that is there in one run and gone in the next would be a change twice, and run
the shards a second time for nothing.
"""

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Literal

from videobert.data.provenance import atomic, read_provenance, read_table, write_table
from videobert.errors import UserError
from videobert.layout import Layout
from videobert.process import acquire_lock

Retried = Literal["blocked", "transient", "gone", "unusable", "failed"]


def retry(results: Path, classes: list[Retried]) -> None:
    """Have the next run try again the videos that the download lost for one of these reasons.

    Run the workflow with the same command as before afterwards. What has been fetched is not fetched again.

    Args:
        results: the results folder.
        classes: what became of them: blocked, transient, gone, unusable, failed.
    """
    layout = Layout(results)
    shards = sorted(path.name for path in Path(layout.folder("download")).glob("*") if path.name.isdecimal())
    if not shards:
        raise UserError(f"{results} has no downloaded shards; give the results folder of the configuration")
    found: Counter[str] = Counter()
    marked = 0
    with acquire_lock(Path(layout.lock)):
        for shard in shards:
            lost = _forget_journal(layout, shard, classes) + _forget_ledger(layout, shard, classes)
            found.update(lost)
            marked += bool(lost)
    counts = ", ".join(f"{found[name]} {name}" for name in classes)
    print(f"{counts}, in {marked} of {len(shards)} shards", file=sys.stderr)
    if found:
        print("The next run of the workflow tries them again: the same snakemake command as before.", file=sys.stderr)


def _forget_journal(layout: Layout, shard: str, classes: list[Retried]) -> list[str]:
    """Forgets the videos of these classes in a shard whose download was broken off; their classes."""
    lost = []
    for entry in Path(layout.journal(shard)).glob("*.json"):
        status = json.loads(entry.read_text())["status"]
        if status in classes:
            entry.unlink()
            lost.append(status)
    return lost


def _forget_ledger(layout: Layout, shard: str, classes: list[Retried]) -> list[str]:
    """Forgets the videos of these classes in a shard's ledger, and marks the shard; their classes."""
    import pyarrow as pa
    import pyarrow.compute as pc

    ledger = Path(layout.kept_ledger(shard))
    if not ledger.exists():
        return []
    table = read_table(ledger)
    again = pc.is_in(table["status"], pa.array(classes, pa.string()))
    lost: list[str] = table.filter(again)["status"].to_pylist()
    if lost:
        with atomic(
            Path(layout.retries(shard))
        ) as temporary:  # first, so that a kill leaves no shard that forgot them and is not run again
            temporary.write_text(str(int(retried(layout, shard)) + 1))
        write_table(table.filter(pc.invert(again)), ledger, read_provenance(ledger))
    return lost


def retried(layout: Layout, shard: str) -> str:
    """How often a shard's videos were to be tried again."""
    path = Path(layout.retries(shard))
    return path.read_text() if path.exists() else "0"
