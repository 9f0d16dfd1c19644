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
from videobert.process import acquire_lock
from videobert.stages.download import KEPT

Class = Literal["blocked", "transient", "gone", "unusable", "failed"]

COUNT = ".retried"


def retry(results: Path, classes: list[Class]) -> None:
    """Have the next run try again the videos that the download lost for one of these reasons.

    Run the workflow with the same command as before afterwards. What has been fetched is not fetched again.

    Args:
        results: the results folder.
        classes: what became of them: blocked, transient, gone, unusable, failed.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    folders = sorted(path for path in (results / "download").glob("*") if path.name.isdecimal())
    if not folders:
        raise UserError(f"{results} has no downloaded shards; give the results folder of the configuration")
    lock = acquire_lock(Path(".snakemake/workflow.lock")) if Path(".snakemake").is_dir() else None
    wanted = pa.array(classes, pa.string())
    found: Counter[str] = Counter()
    marked = 0
    for folder in folders:
        before = sum(found.values())
        for note in (folder / ".journal").glob("*.json"):  # of a run that was broken off
            status = json.loads(note.read_text())["status"]
            if status in classes:
                note.unlink()
                found[status] += 1
        if (folder / KEPT).exists():
            table = read_table(folder / KEPT)
            again = pc.is_in(table["status"], wanted)
            if lost := table.filter(again)["status"].to_pylist():
                found.update(lost)
                with atomic(
                    folder / COUNT
                ) as temporary:  # first, lest a kill leaves a shard that forgot them and rests
                    temporary.write_text(str(int(retried(results, folder.name)) + 1))
                write_table(table.filter(pc.invert(again)), folder / KEPT, read_provenance(folder / KEPT))
        marked += sum(found.values()) > before
    if lock:
        lock.close()
    counts = ", ".join(f"{found[name]} {name}" for name in classes)
    print(f"{counts}, in {marked} of {len(folders)} shards", file=sys.stderr)
    if found:
        print("The next run of the workflow tries them again: the same snakemake command as before.", file=sys.stderr)


def retried(results: Path, shard: str) -> str:
    """How often a shard's videos were to be tried again."""
    path = results / "download" / shard / COUNT
    return path.read_text() if path.exists() else "0"
