"""What was lost, once more: has the next run of the workflow try lost videos again.

A new run of the workflow leaves a finished shard alone, and its blocked, transient and failed videos with it. `videobert
retry results blocked transient failed` marks the shards that have such videos, in each stage that works video by video: a
number beside the shard's files is a parameter of its rule, and when it goes up, Snakemake runs the shard again and what lies
below it. What is there is not made again: a shard's journal, or for downloads its hidden ledger, keeps it.

It is a command and no setting: a setting that is there in one run and gone in the next would be a change twice, and run
the shards a second time for nothing.
"""

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Literal

from videobert.data.ledger import reopen_journal
from videobert.data.provenance import atomic, read_provenance, read_table, write_table
from videobert.errors import UserError
from videobert.layout import PER_VIDEO, Layout
from videobert.process import acquire_lock

Retried = Literal["blocked", "transient", "gone", "unusable", "failed"]


def retry(results: Path, classes: list[Retried]) -> None:
    """Have the next run try again the videos that were lost for one of these reasons, in any stage.

    Afterwards run the workflow with the same command as before. Finished videos are neither fetched nor computed again.

    Args:
        results: the results folder.
        classes: the status of the videos to try again: blocked, transient, gone, unusable, failed.
    """
    layout = Layout(results)
    shards = sorted(path.name for path in Path(layout.folder("download")).glob("*") if path.name.isdecimal())
    if not shards:
        raise UserError(f"{results} has no downloaded shards; give the results folder of the configuration")
    marked = 0
    with acquire_lock(Path(layout.lock)):
        for stage in PER_VIDEO:
            lost = [_forget(layout, stage, shard, classes) for shard in shards]
            touched = sum(map(bool, lost))
            if touched or stage == PER_VIDEO[0]:
                found = Counter(status for one in lost for status in one)
                counts = ", ".join(f"{found[name]} {name}" for name in classes)
                print(f"{stage}: {counts}, in {touched} of {len(shards)} shards", file=sys.stderr)
            marked += touched
    if marked:
        print("The next run of the workflow tries them again: the same snakemake command as before.", file=sys.stderr)


def _forget(layout: Layout, stage: str, shard: str, classes: list[Retried]) -> list[str]:
    """Forgets the videos of these classes in a shard of a stage; their classes."""
    return _forget_journal(layout, stage, shard, classes) + _forget_ledger(layout, stage, shard, classes)


def _forget_journal(layout: Layout, stage: str, shard: str, classes: list[Retried]) -> list[str]:
    """Forgets the videos of these classes in a shard whose job was broken off; their classes."""
    lost = []
    for entry in Path(layout.journal(stage, shard)).glob("*.json"):
        status = json.loads(entry.read_text(encoding="utf-8"))["status"]
        if status in classes:
            entry.unlink()
            lost.append(status)
    return lost


def _forget_ledger(layout: Layout, stage: str, shard: str, classes: list[Retried]) -> list[str]:
    """Forgets the videos of these classes in a finished shard, and marks it; their classes."""
    ledger = Path(layout.kept_ledger(shard) if stage == "download" else layout.shard_ledger(stage, shard))
    if not ledger.exists() or not _has(ledger, classes):
        return []
    # First, so that a kill leaves no shard that forgot them and is not run again.
    with atomic(Path(layout.retries(stage, shard))) as temporary:
        temporary.write_text(str(int(retried(layout, stage, shard)) + 1), encoding="utf-8")
    if stage == "download":
        return _forget_rows(ledger, classes)
    table = None if stage == "frames" else Path(layout.table(stage, shard))
    return reopen_journal(Path(layout.journal(stage, shard)), ledger, table, classes)


def _has(ledger: Path, classes: list[Retried]) -> bool:
    return not set(classes).isdisjoint(read_table(ledger, ["status"])["status"].to_pylist())


def _forget_rows(ledger: Path, classes: list[Retried]) -> list[str]:
    import pyarrow as pa
    import pyarrow.compute as pc

    table = read_table(ledger)
    again = pc.is_in(table["status"], pa.array(classes, pa.string()))
    lost: list[str] = table.filter(again)["status"].to_pylist()
    write_table(table.filter(pc.invert(again)), ledger, read_provenance(ledger))
    return lost


def retried(layout: Layout, stage: str, shard: str) -> str:
    """How often a shard's videos were to be tried again."""
    path = Path(layout.retries(stage, shard))
    return path.read_text(encoding="utf-8") if path.exists() else "0"
