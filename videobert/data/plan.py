"""The plan of a run, as the Snakefile uses it, and as the run's jobs and the next run find it.

Each job of a cluster parses the Snakefile again, and a job of download asks for the list's rows once more. With 300,000 videos
that took seconds of each of thousands of jobs: so a run writes its plan down, and its jobs read the rows of their shard. The
next run takes the whole of it, as long as the list, the register and the settings are the same.
"""

import hashlib
import inspect
from collections.abc import Callable
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from videobert.data import human_tables, limit, manifest, splits, text
from videobert.data.local_files import LocalFiles
from videobert.data.manifest import (
    SCHEME,
    Planned,
    captions_digest,
    digest,
    list_file,
    local_path,
    plan,
    shards,
    sources_digest,
)
from videobert.data.provenance import DamagedFile, read_provenance, read_table, write_table
from videobert.data.schemas import DETAILS, IDS, LEDGER, MANIFEST, names
from videobert.data.splits import Draw
from videobert.layout import Layout
from videobert.settings import Count, Inputs, NotNegative, Seed

Rows = list[dict[str, Any]]


class Written:
    """What a run wrote down: the file and what its provenance says. The rows are read when somebody asks for them."""

    def __init__(self, path: Path, facts: dict[str, Any]) -> None:
        self.path = path
        self.shards: dict[str, int] = facts["shards"]
        self.has_kitchen: bool = facts["has_kitchen"]
        self.digests: dict[str, Any] = facts["digests"]

    @cached_property
    def table(self) -> Any:
        """The manifest's rows (a pyarrow table)."""
        return read_table(self.path)


class Plan:
    """The videos of a run by shard.

    Args:
        make: gives what `plan` does. It is called when there is nothing written that says the same.
        written: what an earlier run or this one wrote down.
    """

    def __init__(self, make: Callable[[], Planned], written: Written | None = None) -> None:
        self._make, self.written = make, written

    @cached_property
    def _made(self) -> Planned:
        return self._make()

    @cached_property
    def rows(self) -> Rows:
        """The manifest's rows."""
        return self.written.table.to_pylist() if self.written else self._made.manifest

    @property
    def left_out(self) -> int:
        """How many videos of the list the limit leaves out."""
        return 0 if self.written else self._made.left_out

    def column(self, name: str) -> list[str]:
        """A column of the manifest's rows."""
        return self.written.table[name].to_pylist() if self.written else [row[name] for row in self.rows]

    @cached_property
    def shards(self) -> dict[str, int]:
        """How many videos each shard has, shards in order."""
        return self.written.shards if self.written else {shard: len(rows) for shard, rows in self._places.items()}

    def of(self, shard: str) -> Rows:
        """The rows of a shard."""
        return self._at(self._places[shard])

    def _at(self, places: list[int]) -> Rows:
        if not self.written:
            return [self.rows[place] for place in places]
        import pyarrow as pa

        rows: Rows = self.written.table.take(pa.array(places, pa.int64())).to_pylist()
        return rows

    @cached_property
    def _places(self) -> dict[str, list[int]]:
        """In which rows each shard stands."""
        found: dict[str, list[int]] = {}
        for place, shard in enumerate(self.column("shard")):
            found.setdefault(shard, []).append(place)
        return dict(sorted(found.items()))

    @cached_property
    def has_kitchen(self) -> bool:
        """Whether a video is of the kitchen."""
        if self.written:
            return self.written.has_kitchen
        return any(source.startswith("kitchen:") for source in self.column("source"))

    @property
    def kept(self) -> Rows:
        """The rows of videos that the register, or this plan, keeps in a split that they did not draw."""
        return self._at([place for place, split in enumerate(self.column("kept")) if split])

    @cached_property
    def local_files(self) -> list[str]:
        """The paths of the local files among the sources."""
        return [str(local_path(source)) for source in self.column("source") if _is_local(source)]

    # What decides whether something must be made again.

    def digest(self, file: str) -> str:
        """Of a file of the corpus: manifest, ids, details, ledger."""
        if self.written:
            return str(self.written.digests[file])
        if file == "ledger":
            return digest(self._made.ledger, *names(LEDGER))
        return digest(self.rows, *names({"manifest": MANIFEST, "ids": IDS, "details": DETAILS}[file]))

    def sources_digest(self, shard: str, files: LocalFiles | None, license: str | None) -> str:
        """Of a shard's download."""
        known = self.written.digests["sources"].get(shard) if self.written and not license else None
        return str(known or sources_digest(self.of(shard), files, license))

    def captions_digest(self, shard: str, files: LocalFiles) -> str:
        """Of a shard's captions, where the list names them."""
        return captions_digest(self.of(shard), files)

    def digests(self) -> dict[str, Any]:
        """All that depend on nothing but the list, for the next run."""
        files = {file: self.digest(file) for file in ("manifest", "ids", "details", "ledger")}
        remote = [shard for shard in self.shards if not any(_is_local(row["source"]) for row in self.of(shard))]
        return {**files, "sources": {shard: self.sources_digest(shard, None, None) for shard in remote}}


def _is_local(source: str) -> bool:
    return source.startswith("file://") or not SCHEME.match(source)


class DrawInputs(Inputs):
    """For a job that reads the list itself: which videos are drawn. Without a limit it need not know."""

    limit: Count | None = None
    """How many videos are drawn, as for the stage corpus."""
    test_fraction: NotNegative = 0.0
    """The chance of a test video, as for the stage corpus."""
    validation_fraction: NotNegative = 0.0
    """The chance of a validation video, as for the stage corpus."""
    seed: Seed = 0
    """The seed of the draws, as for the stage corpus."""

    @property
    def draw(self) -> Draw:
        return Draw(self.test_fraction, self.seed, self.limit, self.validation_fraction)


def rows_of(shard: str, videos: Path, register: Path, shard_size: int, draw: Draw) -> Rows:
    """One shard's rows. Their split holds for this `test_fraction` and `seed`, which only a limit needs."""
    written = PlanFile(register.parent.parent, videos, shard_size, draw).read()
    if written is not None:
        return _of(written.table, shard)
    return shards(plan(videos, register, shard_size, draw).manifest).get(shard, [])


class PlanFile:
    """The file in the results folder that holds the plan of a list, as long as the list and these settings are the same."""

    def __init__(self, results: str | Path, videos: Path, shard_size: int, draw: Draw) -> None:
        self.path, self.draw = Path(Layout(results).plan), draw
        drawn = draw._asdict() if draw.limit is not None else {}
        listed = _sha256(list_file(videos))  # who reads a list that is not there says what is wrong
        self.settings = {"videos": listed, "shard_size": shard_size, **drawn} if listed else {}

    def write(self, plan: Plan, register: Path) -> None:
        """Writes down a plan that was made, for the jobs of this run and for the next one."""
        if plan.written:
            return
        import pyarrow as pa

        rows = plan.rows
        columns = {name: pa.array([row[name] for row in rows], pa.string()) for name in rows[0]}
        facts = {"shards": plan.shards, "has_kitchen": plan.has_kitchen, "digests": {}}
        provenance = {"stage": "corpus", "settings": self.settings, "facts": facts}
        if self.draw.limit is None:  # a limit looks at what is downloaded as well, and is planned anew
            facts["digests"] = plan.digests()
            provenance["made_from"] = self._made_from(register)
        write_table(pa.table(columns), self.path, provenance)

    def read(self) -> Written | None:
        """What this run wrote down, for its jobs; None when there is nothing of this list."""
        return self._read({"settings": self.settings})

    def read_last(self, register: Path) -> Written | None:
        """What an earlier run wrote down; None when a plan that is made now may be another one."""
        if self.draw.limit is not None:
            return None
        return self._read({"settings": self.settings, "made_from": self._made_from(register)})

    def _read(self, expected: dict[str, Any]) -> Written | None:
        try:
            provenance = read_provenance(self.path) if self.path.exists() else {}
            if any(provenance.get(name) != value for name, value in expected.items()):
                return None
            return Written(self.path, provenance["facts"]) if "facts" in provenance else None
        except DamagedFile:  # the list says the same
            return None

    def _made_from(self, register: Path) -> dict[str, Any]:
        """What else a plan depends on: the draws, the places of earlier runs' videos, and how it is made."""
        return {**self.draw._asdict(), "register": _sha256(register), "code": _code()}


def videos_of_shards(path: Path) -> dict[str, int]:
    """How many videos each shard has, shards in order, by the file of a plan or a manifest."""
    counts = read_table(path, ["shard"])["shard"].value_counts().to_pylist()
    return dict(sorted((count["values"], count["counts"]) for count in counts))


@cache
def _code() -> str:
    """A hash of the modules that make a plan: nobody has to raise a version when one of them changes."""
    sources = (inspect.getsource(module) for module in (manifest, human_tables, splits, text, limit))
    return hashlib.sha256("".join(sources).encode()).hexdigest()


def _sha256(path: Path) -> str:
    """ "" where it is not there."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""


def _of(table: Any, shard: str) -> Rows:
    import pyarrow.compute as pc

    rows: Rows = table.filter(pc.equal(table["shard"], shard)).to_pylist()
    return rows
