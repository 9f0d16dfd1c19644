"""Work through the videos of a shard: one row for each in the ledger, whatever happens to it.

The shard is the unit of a job, the video the unit of failure and of resumption. `process_videos` calls `work` for one video after
the other behind a progress bar. What a video gives (a row of facts, and for some stages a table) is kept in a journal,
a hidden folder beside the output, so that a job that is killed goes on where it was. A `VideoError` becomes a ledger row. So
does any other exception, with its traceback in the log, since one strange file must not cost the other 255; but when
every video of a shard fails in a way nobody foresaw, the fault is ours or the machine's, and the job fails.

A ledger is a Parquet file with a row for each video of the shard: `video_id`, `status` (a word of
`Status`), `reason` (a sentence), and what the stage adds.
"""

import json
import shutil
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from videobert.data.provenance import FORMAT, atomic, provenance_key, read_table, sha256, write_table
from videobert.data.schemas import LEDGER, OUTCOME, SHA256, SIZE, arrow, names
from videobert.data.text import one_line
from videobert.errors import Status, UserError, VideoError
from videobert.settings import Inputs, Outputs

if TYPE_CHECKING:
    import pyarrow as pa

# What a video gave: facts for its ledger row, and the rows of the stage's table (None when the stage writes none).
Result = tuple[dict[str, Any], "pa.Table | None"]


def process_videos(
    videos: list[dict[str, Any]],
    work: Callable[[dict[str, Any]], Result],
    journal: Path,
    provenance: dict[str, Any],
    schema: "pa.Schema",
    table_schema: "pa.Schema | None" = None,
) -> tuple["pa.Table", "pa.Table | None"]:
    """Calls `work(video)` for each video and collects the ledger and, with `table_schema`, the table of all rows.

    Args:
        videos: rows with at least `video_id`.
        work: returns (facts, table); raises VideoError when this video gives nothing.
        journal: folder that holds what is done so far; `remove_journal` removes it when the outputs are written.
        provenance: of the output. A journal written under another one is thrown away.
        schema: the facts' columns, after video_id, status and reason; facts that a lost video lacks are null.
        table_schema: schema of the tables that `work` returns.
    """
    import pyarrow as pa
    from tqdm import tqdm

    _open_journal(journal, provenance)
    rows, tables = [], []
    unforeseen = 0
    for video in tqdm(videos, desc=provenance["stage"], unit="video", mininterval=1, file=sys.stderr):
        entry = journal / f"{video['video_id']}.json"
        if entry.exists():
            row = json.loads(entry.read_text())
        else:
            row, table = _attempt(video, work)
            if table is not None:
                _write(table, journal / f"{video['video_id']}.parquet")
            with atomic(entry) as temporary:
                temporary.write_text(json.dumps(row))
        unforeseen += row["status"] == Status.FAILED
        rows.append(row)
        part = journal / f"{video['video_id']}.parquet"
        if table_schema is not None and row["status"] == Status.OK:
            tables.append(read_table(part).cast(table_schema))
    if videos and unforeseen == len(videos):
        shutil.rmtree(journal)
        raise UserError(f"every video of this shard failed; the first: {rows[0]['reason']} (traceback above)")
    ledger = pa.Table.from_pylist(rows, schema=pa.schema([*arrow(OUTCOME), *schema]))
    return ledger, None if table_schema is None else pa.concat_tables([table_schema.empty_table(), *tables])


def remove_journal(journal: Path) -> None:
    """Removes the journal: called when the outputs are in place."""
    shutil.rmtree(journal, ignore_errors=True)


def completed(path: Path) -> list[dict[str, Any]]:
    """The rows of a ledger whose video went well."""
    return [row for row in read_table(path).to_pylist() if row["status"] == Status.OK]


# The facts by which a ledger stands for the files that lie beside it and that no rule declares.
FILE_FACTS = (SIZE, SHA256)


def file_facts(path: Path) -> dict[str, Any]:
    """Size (bytes) and SHA-256 of a file, for its row in the ledger."""
    return {"size": path.stat().st_size, "sha256": sha256(path)}


def open_file(ledger: Path, row: dict[str, Any]) -> Path:
    """The file beside a ledger that one of its rows names: the one way to a shard's media and frames.

    Raises UserError when it is not there, or is not the one that the ledger names by size and hash.
    """
    if not row.keys() >= set(names(FILE_FACTS)):
        raise UserError(f"{ledger} was made by an older version of videobert: run videobert upgrade")
    path: Path = ledger.parent / row["path"]
    if not path.is_file():
        raise UserError(f"{path} is missing, though {ledger} lists it; delete that ledger and run again")
    if file_facts(path) != {name: row[name] for name in names(FILE_FACTS)}:
        raise UserError(
            f"{path} is not the file that {ledger} lists (its content differs); delete that ledger and run again"
        )
    return path


class LedgerInputs(Inputs):
    ledgers: list[Path]
    """The ledgers of the stage's shards (Parquet), in the order of the shards."""
    manifest: Path
    """The manifest (Parquet), which says which shards there are."""
    stage: str
    """The stage."""


class LedgerOutputs(Outputs):
    ledger: Path
    """What became of each video (Parquet): shard, video_id, status, reason."""


def ledger(inputs: LedgerInputs, outputs: LedgerOutputs) -> None:
    """Gather what became of each video in one stage, from the ledgers of its shards."""
    import pyarrow as pa
    import pyarrow.compute as pc

    parts = []
    shards = sorted(set(read_table(inputs.manifest, ["shard"])["shard"].to_pylist()))
    for shard, file in zip(shards, inputs.ledgers, strict=True):
        part = read_table(file, [*names(OUTCOME)])
        parts.append(part.add_column(0, "shard", pa.array([shard] * len(part), pa.string())))
    table = pa.concat_tables(parts).cast(arrow(LEDGER))
    write_table(table, outputs.ledger, {"stage": inputs.stage})
    counts = sorted(pc.value_counts(table["status"]).to_pylist(), key=lambda item: -item["counts"])
    print(f"{inputs.stage}: " + ", ".join(f"{item['counts']} {item['values']}" for item in counts), file=sys.stderr)
    again = [item["values"] for item in counts if item["values"] in (Status.BLOCKED, Status.TRANSIENT)]
    if inputs.stage == "download" and again:
        results = outputs.ledger.parents[1]
        print(
            f"To try the {' and '.join(again)} ones again: videobert retry {results} {' '.join(again)}, and this command "
            "once more (docs/your-own-videos.md says what helps).",
            file=sys.stderr,
        )


def _open_journal(journal: Path, provenance: dict[str, Any]) -> None:
    key = f"{provenance_key(provenance)} {FORMAT}"  # its rows have the columns of a format
    mark = journal / "provenance"
    if not mark.exists() or mark.read_text() != key:
        shutil.rmtree(journal, ignore_errors=True)
        journal.mkdir(parents=True)
        with atomic(mark) as temporary:
            temporary.write_text(key)


def _attempt(video: dict[str, Any], work: Callable[[dict[str, Any]], Result]) -> tuple[dict[str, Any], Any]:
    row = {"video_id": video["video_id"], "status": Status.OK, "reason": ""}
    try:
        facts, table = work(video)
        return {**row, **facts}, table
    except VideoError as error:
        print(one_line(f"{video['video_id']}: {error}", longest=1000), file=sys.stderr)
        return {**row, "status": error.status, "reason": one_line(error.reason)}, None
    except UserError:
        raise
    except Exception as error:
        traceback.print_exc()
        return {**row, "status": Status.FAILED, "reason": one_line(f"{type(error).__name__}: {error}")}, None


def _write(table: "pa.Table", path: Path) -> None:
    import pyarrow.parquet as pq

    with atomic(path) as temporary:
        pq.write_table(table, temporary)
