"""Work through the videos of a shard: one row for each in the ledger, whatever happens to it.

The shard is the unit of a job, the video the unit of failure and of resumption. `process_videos` calls `work` for one video
after the other, and says how far it is (videobert/progress.py). What a video gives (a row of facts, and for some stages a table)
is kept in a journal, a hidden folder beside the output, so that a job that is killed or fails goes on where it was.

What goes wrong has three ends. A `VideoError` is the video's own: a row. A fault of the machine (videobert/machine.py) ends the
job at once, and no video has a row for it. Anything else, and a bound that a video reached, may be either: the job does the
other videos, then fails and names these. The next job tries them alone; what fails again has a row, and `videobert retry`
takes it up. When all videos of a shard fail so, it is not the videos.

A ledger is a Parquet file with a row for each video of the shard: `video_id`, `status` (a word of
`Status`), `reason` (a sentence), and what the stage adds.
"""

import json
import shutil
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from videobert import progress
from videobert.data.provenance import FORMAT, atomic, provenance_key, read_provenance, read_table, sha256, write_table
from videobert.data.schemas import LEDGER, OUTCOME, SHA256, SIZE, arrow, names
from videobert.data.text import one_line
from videobert.errors import KEPT, BoundError, Status, UserError, VideoError
from videobert.machine import MachineFault, machine_fault
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

    _open_journal(journal, provenance)
    rows, tables = [], []
    progress.begin("video", len(videos))
    for video in videos:
        entry = _Entry(journal, video["video_id"])
        kept = entry.read(table_schema)
        result = kept or _attempt(video, work)
        if not kept:
            entry.write(*result)
        row, table = result
        progress.outcome(row["video_id"], row["status"], row["reason"], resumed=bool(kept))
        rows.append(row)
        if table_schema is not None and table is not None:
            tables.append(table.cast(table_schema))
    _refuse_doubtful(rows, journal)
    ledger = pa.Table.from_pylist(rows, schema=pa.schema([*arrow(OUTCOME), *schema]))
    return ledger, None if table_schema is None else pa.concat_tables([table_schema.empty_table(), *tables])


class _Entry:
    """What a video gave, in a journal: its row, and its part of the table."""

    def __init__(self, journal: Path, video_id: str) -> None:
        self.row = journal / f"{video_id}.json"
        self.part = journal / f"{video_id}.parquet"
        self.doubt = journal / f"{video_id}.doubt"  # the video was tried with others, and failed as it should not

    def read(self, table_schema: "pa.Schema | None") -> Result | None:
        """None when there is nothing, or what a power cut left of it."""
        try:
            row = json.loads(self.row.read_text(encoding="utf-8"))
            wanted = table_schema is not None and row["status"] == Status.OK
            return row, read_table(self.part) if wanted else None
        except (FileNotFoundError, ValueError, UserError, KeyError):
            return None

    def write(self, row: dict[str, Any], table: "pa.Table | None") -> None:
        if row.get("doubtful") and not self.doubt.exists():
            with atomic(self.doubt) as temporary:
                temporary.touch()
            return
        row.pop("doubtful", None)
        if table is not None:
            write_table(table, self.part, {})  # the journal says what it is of
        with atomic(self.row) as temporary:
            temporary.write_text(json.dumps(row), encoding="utf-8")


def remove_journal(journal: Path) -> None:
    """Removes the journal: called when the outputs are in place."""
    shutil.rmtree(journal, ignore_errors=True)


def reopen_journal(journal: Path, ledger: Path, table: Path | None, again: Collection[str]) -> list[str]:
    """Makes a finished shard's journal anew, without the videos whose status is one of `again`; gives their statuses.

    The next job does these alone. Nothing is written when there is none.

    Args:
        journal: the stage's journal of this shard.
        ledger: the shard's ledger.
        table: the shard's table, where the stage writes one.
        again: statuses.
    """
    import pyarrow.compute as pc

    rows = read_table(ledger).to_pylist()
    lost = [row["status"] for row in rows if row["status"] in again]
    if not lost:
        return []
    provenance = {name: value for name, value in read_provenance(ledger).items() if name != "format"}
    _open_journal(journal, provenance)
    parts = read_table(table) if table else None
    for row in rows:
        if row["status"] not in again:
            wanted = parts is not None and row["status"] == Status.OK
            part = parts.filter(pc.equal(parts["video_id"], row["video_id"])) if parts and wanted else None
            _Entry(journal, row["video_id"]).write(row, part)
    return lost


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
    """The manifest (Parquet): shards and sources."""
    details: Path
    """Titles that the list gives (Parquet)."""
    downloads: list[Path] = []
    """The ledgers of the downloads (Parquet), which have the titles that sites give."""
    stage: str
    """The stage."""


class LedgerOutputs(Outputs):
    ledger: Path
    """What became of each video (Parquet): stage, shard, video_id, status, reason, source, title."""


def ledger(inputs: LedgerInputs, outputs: LedgerOutputs) -> None:
    """Gather what became of each video in one stage, from the ledgers of its shards."""
    import pyarrow as pa

    videos = {row["video_id"]: row for row in read_table(inputs.manifest, ["video_id", "source", "shard"]).to_pylist()}
    called = titles(inputs.downloads, inputs.details)
    rows = [
        {
            **row,
            "stage": inputs.stage,
            "shard": shard,
            "source": videos[row["video_id"]]["source"] if row["video_id"] in videos else "",
            "title": called.get(row["video_id"], ""),
        }
        for shard, file in zip(sorted({row["shard"] for row in videos.values()}), inputs.ledgers, strict=True)
        for row in read_table(file, [*names(OUTCOME)]).to_pylist()
    ]
    table = pa.Table.from_pylist(rows, arrow(LEDGER))
    write_table(table, outputs.ledger, {"stage": inputs.stage})
    counts: Counter[str] = Counter(table.to_pydict()["status"])
    said: Counter[str] = Counter()
    for status, count in counts.items():
        said[KEPT.get(status, status)] += count
    print(f"{inputs.stage}: " + ", ".join(f"{count} {word}" for word, count in said.most_common()), file=sys.stderr)
    if hint := retry_hint(inputs.stage, counts, outputs.ledger.parent.parent):
        print(hint, file=sys.stderr)


def titles(downloads: Iterable[str | Path], details: str | Path) -> dict[str, str]:
    """What the videos are called: by the list, else by the site or the kitchen; of the files that are there.

    Args:
        downloads: the ledgers of the downloads.
        details: what the list says of the videos.
    """
    return {
        row["video_id"]: row["title"]
        for file in map(Path, (*downloads, details))
        if file.exists()
        for row in read_table(file, ["video_id", "title"]).to_pylist()
        if row["title"]
    }


def retry_hint(stage: str, statuses: Mapping[str, int], results: str | Path) -> str:
    """How to try again what may succeed then; "" where nothing was lost in such a way."""
    again = [Status.FAILED, *([Status.BLOCKED, Status.TRANSIENT] if stage == "download" else [])]
    lost = [status for status, _ in Counter(statuses).most_common() if status in again]
    if not lost:
        return ""
    help_ = " (docs/your-own-videos.md says what helps)" if set(lost) - {Status.FAILED} else ""
    return (
        f"To try the {' and '.join(lost)} ones again: videobert retry {results} {' '.join(lost)}, and this command once "
        f"more{help_}."
    )


def _open_journal(journal: Path, provenance: dict[str, Any]) -> None:
    key = f"{provenance_key(provenance)} {FORMAT}"  # its rows have the columns of a format
    mark = journal / "provenance"
    if not mark.exists() or mark.read_text(encoding="utf-8") != key:
        shutil.rmtree(journal, ignore_errors=True)
        journal.mkdir(parents=True)
        with atomic(mark) as temporary:
            temporary.write_text(key, encoding="utf-8")


def _refuse_doubtful(rows: list[dict[str, Any]], journal: Path) -> None:
    """Raises UserError when videos failed that are not known to be at fault."""
    doubtful = [row for row in rows if row.get("doubtful")]
    first = f"{doubtful[0]['video_id']}: {doubtful[0]['reason']}" if doubtful else ""
    if len(rows) > 1 and len(doubtful) == len(rows):
        shutil.rmtree(journal)  # so that the next job tries them as it did this time
        raise UserError(f"every video of this shard failed, so it is hardly the videos; the first: {first} (see above)")
    if doubtful:
        raise UserError(
            f"{len(doubtful)} of {len(rows)} videos failed in a way that nobody foresaw; the first: {first} (see above). The "
            "others are done and kept. Run the same command again: it tries these alone, and leaves out what fails again"
        )


def _attempt(video: dict[str, Any], work: Callable[[dict[str, Any]], Result]) -> Result:
    row = {"video_id": video["video_id"], "status": Status.OK, "reason": ""}
    try:
        facts, table = work(video)
        return {**row, **facts}, table
    except VideoError as error:
        print(one_line(f"{video['video_id']}: {error}", longest=1000), file=sys.stderr)
        doubt = {"doubtful": True} if isinstance(error, BoundError) else {}
        return {**row, "status": error.status, "reason": one_line(error.reason), **doubt}, None
    except MachineFault as error:
        raise MachineFault(f"{video['video_id']} is not done: {error}") from None
    except UserError:
        raise
    except Exception as error:
        if fault := machine_fault(error, f"{video['video_id']} is not done"):
            raise fault from error
        traceback.print_exc()
        reason = one_line(f"{type(error).__name__}: {error}")
        return {**row, "status": Status.FAILED, "reason": reason, "doubtful": True}, None
