"""The plan of a run, as the Snakefile uses it, and as the run's jobs find it.

Each job of a cluster parses the Snakefile again, and a job of download asks for the list's rows once more. With 300,000 videos
that took seconds of each of thousands of jobs: so a run writes its plan down, and its jobs read the rows of their shard.
"""

import hashlib
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

from videobert.data.limit import Draw
from videobert.data.manifest import Planned, list_file, plan, shards
from videobert.data.provenance import DamagedFile, read_provenance, read_table, write_table
from videobert.layout import Layout
from videobert.settings import Count, Inputs, NotNegative, Seed

Rows = list[dict[str, Any]]


class Plan:
    """The videos of a run by shard.

    Args:
        make: gives what `plan` does. It is called when all rows are asked for.
        written: the manifest's rows as the run wrote them down; None: there are none.
    """

    def __init__(self, make: Callable[[], Planned], written: Any = None) -> None:
        self._make, self._written = make, written

    @cached_property
    def _made(self) -> Planned:
        return self._make()

    @property
    def rows(self) -> Rows:
        """The manifest's rows."""
        return self._made.manifest

    @property
    def ledger(self) -> Rows:
        """What became of each row of the list."""
        return self._made.ledger

    @property
    def left_out(self) -> int:
        """How many videos of the list the limit leaves out."""
        return self._made.left_out

    @cached_property
    def shards(self) -> dict[str, int]:
        """How many videos each shard has, shards in order."""
        if self._written is None:
            return {shard: len(rows) for shard, rows in self._by_shard.items()}
        return _counted(self._written)

    def of(self, shard: str) -> Rows:
        """The rows of a shard."""
        return self._by_shard[shard] if self._written is None else _of(self._written, shard)

    @cached_property
    def _by_shard(self) -> dict[str, Rows]:
        return shards(self.rows)

    @cached_property
    def has_kitchen(self) -> bool:
        """Whether a video is of the kitchen."""
        if self._written is None:
            return any(row["source"].startswith("kitchen:") for row in self.rows)
        import pyarrow.compute as pc

        return bool(pc.any(pc.starts_with(self._written["source"], "kitchen:")).as_py())


class DrawInputs(Inputs):
    """For a job that reads the list itself: which videos are drawn. Without a limit it need not know."""

    limit: Count | None = None
    """How many videos are drawn, as for the stage corpus."""
    test_fraction: NotNegative = 0.0
    """The chance of a test video, as for the stage corpus."""
    seed: Seed = 0
    """The seed of the draws, as for the stage corpus."""

    @property
    def draw(self) -> Draw:
        return Draw(self.test_fraction, self.seed, self.limit)


def rows_of(shard: str, videos: Path, register: Path, shard_size: int, draw: Draw) -> Rows:
    """One shard's rows. Their split holds for this `test_fraction` and `seed`, which only a limit needs."""
    written = read_plan(register.parent.parent, videos, shard_size, draw)
    if written is not None:
        return _of(written, shard)
    return shards(plan(videos, register, shard_size, draw).manifest).get(shard, [])


def write_plan(results: str | Path, videos: Path, shard_size: int, draw: Draw, rows: Rows) -> None:
    """Writes down the manifest's rows for the jobs of this run."""
    import pyarrow as pa

    columns = {name: pa.array([row[name] for row in rows], pa.string()) for name in rows[0]}
    provenance = {"stage": "corpus", "settings": _settings(videos, shard_size, draw)}
    write_table(pa.table(columns), Path(Layout(results).plan), provenance)


def read_plan(results: str | Path, videos: Path, shard_size: int, draw: Draw) -> Any:
    """The table that `write_plan` wrote; None when there is none of this list."""
    path = Path(Layout(results).plan)
    try:
        return read_table(path) if path.exists() and _is_of(path, _settings(videos, shard_size, draw)) else None
    except DamagedFile:  # the list says the same
        return None


def videos_of_shards(path: Path) -> dict[str, int]:
    """How many videos each shard has, shards in order, by the file of a plan or a manifest."""
    return _counted(read_table(path, ["shard"]))


def _counted(table: Any) -> dict[str, int]:
    counts = table["shard"].value_counts().to_pylist()
    return dict(sorted((count["values"], count["counts"]) for count in counts))


def _is_of(path: Path, settings: dict[str, Any]) -> bool:
    return bool(read_provenance(path).get("settings") == settings)


def _settings(videos: Path, shard_size: int, draw: Draw) -> dict[str, Any]:
    """What a plan holds for: the list as it lies there."""
    try:
        content = list_file(videos).read_bytes()
    except OSError:  # who reads the list says what is wrong
        return {}
    drawn = draw._asdict() if draw.limit is not None else {}
    return {"videos": hashlib.sha256(content).hexdigest(), "shard_size": shard_size, **drawn}


def _of(table: Any, shard: str) -> Rows:
    import pyarrow.compute as pc

    rows: Rows = table.filter(pc.equal(table["shard"], shard)).to_pylist()
    return rows
