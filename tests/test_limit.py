"""`corpus.limit`: a draw of the list goes through every stage first, and nothing of it is done twice when the others follow."""

import csv
import re
from pathlib import Path

import pytest
from calls import corpus
from conftest import configure, jobs, snakemake

from videobert.data.local_files import LocalFiles
from videobert.data.manifest import plan, shards, sources_digest
from videobert.data.plan import Plan, PlanFile, rows_of
from videobert.data.provenance import read_provenance, read_table
from videobert.data.splits import Draw
from videobert.layout import Layout

ENCODED = ("download", "transcribe", "frames", "features")


class Project:
    """A list, and the results folder in which the stage corpus takes it up."""

    def __init__(self, folder: Path):
        self.list, self.layout = folder / "list.tsv", Layout(folder / "results")
        self.register = Path(self.layout.register)
        self.files = LocalFiles(folder / "files.parquet")

    def write(self, videos: list[str], splits: dict[str, str] | None = None) -> None:
        with open(self.list, "w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, delimiter="\t")
            writer.writerows([("source", "split"), *((video, (splits or {}).get(video, "")) for video in videos)])

    def corpus(self, limit: int | None, shard_size: int = 32, test_fraction: float = 0.2, seed: int = 0) -> list[dict]:
        """The manifest's rows."""
        settings = {"shard_size": shard_size, "test_fraction": test_fraction, "seed": seed, "limit": limit}
        corpus(self.list, Path(self.layout.manifest), Path(self.layout.ledger("corpus")), self.register, **settings)
        return read_table(Path(self.layout.manifest)).to_pylist()

    def digests(self, rows: list[dict]) -> dict[str, str]:
        """Of each shard what decides whether it is downloaded again."""
        return {
            shard: sources_digest([{"license": "", **row} for row in own], self.files, None)
            for shard, own in shards(rows).items()
        }

    def download(self, *names: str) -> None:
        """Shards have been downloaded."""
        for shard in names:
            ledger = Path(self.layout.kept_ledger(shard))
            ledger.parent.mkdir(parents=True)
            ledger.touch()


@pytest.fixture
def project(tmp_path) -> Project:
    return Project(tmp_path)


def kitchen(count: int) -> list[str]:
    return [f"kitchen:{number}" for number in range(count)]


def sources(rows: list[dict]) -> set[str]:
    return {row["source"] for row in rows}


def places(rows: list[dict]) -> dict[str, str]:
    return {row["source"]: row["shard"] for row in rows}


def test_the_draw_is_seeded_and_minds_no_order(project, capsys):
    project.write([*kitchen(200), "gopher:x", "kitchen:007"])
    rows = project.corpus(limit=20)
    assert len(rows) == 20 and set(places(rows).values()) == {"0000"}
    assert "corpus.limit: 20 of 200 videos" in capsys.readouterr().err
    # What is left out is no loss: the ledger has rows of the others, and of what cannot be used.
    ledger = read_table(Path(project.layout.ledger("corpus"))).to_pylist()
    assert {row["source"] for row in ledger} >= sources(rows) | {"gopher:x"} and len(ledger) <= 22
    project.register.unlink(), Path(project.layout.manifest).unlink()
    project.write([*reversed(kitchen(200)), "gopher:x"])
    assert sources(project.corpus(limit=20)) == sources(rows)
    assert sources(project.corpus(limit=20, seed=1)) != sources(rows)


@pytest.mark.parametrize("seed", range(5))
def test_both_splits_are_drawn_where_the_list_has_both(project, seed):
    project.write(kitchen(300))
    for test_fraction in (0.01, 0.99):
        rows = plan(project.list, project.register, 32, Draw(test_fraction, seed, 3)).manifest
        assert {row["split"] for row in rows} == {"train", "test"} and not any(row["kept"] for row in rows)
    project.write(kitchen(300), dict.fromkeys(kitchen(300), "train") | {"kitchen:150": "test"})
    assert "kitchen:150" in sources(plan(project.list, project.register, 32, Draw(0.2, seed, 2)).manifest)


def test_the_others_come_after_in_shards_of_their_own(project):
    project.write(kitchen(100))
    drawn = project.corpus(limit=20)
    digest = project.digests(drawn)["0000"]
    for limit, count in ((30, 30), (None, 100), (1000, 100)):
        rows = project.corpus(limit)
        assert len(rows) == count and places(drawn).items() <= places(rows).items()
        assert project.digests(rows)["0000"] == digest
    assert sorted(len(own) for own in shards(rows).values()) == [6, 10, 20, 32, 32]
    # More than a shard's are as many shards as they need.
    project.register.unlink(), Path(project.layout.manifest).unlink()
    assert sorted(len(own) for own in shards(project.corpus(40, shard_size=16)).values()) == [8, 16, 16]


def test_what_was_downloaded_stays_and_counts_first(project):
    project.write(kitchen(64))
    all_ = project.corpus(limit=None)
    project.download("0000")
    first = {source: shard for source, shard in places(all_).items() if shard == "0000"}
    assert places(project.corpus(limit=20)) == first
    more = places(project.corpus(limit=40))
    assert first.items() <= more.items() and sorted(set(more.values())) == ["0000", "0002"] and len(more) == 40
    # The jobs of this shard begin: nothing moves under them.
    project.download("0002")
    assert places(project.corpus(limit=40)) == more
    # The shard that lost some had done nothing yet.
    lifted = places(project.corpus(limit=None))
    assert more.items() <= lifted.items() and sorted(set(lifted.values())) == ["0000", "0001", "0002"]


def test_a_run_that_was_killed_before_its_download_finds_the_same_shards(project):
    project.write(kitchen(64))
    first = project.corpus(limit=20)
    assert project.corpus(limit=20) == first
    assert places(first).items() <= places(project.corpus(limit=40)).items()


def test_jobs_find_the_videos_that_are_drawn_with_the_plan_and_without(project):
    project.write(kitchen(50))
    draw = Draw(0.2, 0, 10)
    made = Plan(lambda: plan(project.list, project.register, 4, draw))
    expected = {shard: made.of(shard) for shard in made.shards}
    assert made.left_out == 40 and len(expected) == 3
    for _ in ("without", "with"):
        for shard in expected:
            assert rows_of(shard, project.list, project.register, 4, draw) == expected[shard]
        PlanFile(project.layout.results, project.list, 4, draw).write(made, project.register)
    assert PlanFile(project.layout.results, project.list, 4, draw).read() is not None
    for other in (draw._replace(limit=11), draw._replace(limit=None), draw._replace(seed=1)):
        assert PlanFile(project.layout.results, project.list, 4, other).read() is None
    # By hand, after the stage corpus: the register knows.
    project.corpus(limit=10, shard_size=4)
    ids = [row["video_id"] for row in rows_of("0001", project.list, project.register, 4, Draw(0.0, 0))]
    assert ids == [row["video_id"] for row in expected["0001"]]


def test_without_a_limit_nothing_is_written_otherwise_than_before_there_was_one(project):
    project.write(kitchen(3))
    for limit in (None, 2):
        project.corpus(limit)
        for file in (project.layout.manifest, project.layout.register, project.layout.ledger("corpus")):
            assert ("limit" in read_provenance(Path(file))["settings"]) == (limit is not None)


@pytest.mark.slow
def test_only_the_new_shards_are_planned_when_the_limit_is_lifted(tmp_path):
    """Outputs that stand for those of finished jobs, of which Snakemake is told that they hold."""
    project = Project(tmp_path)
    project.write(kitchen(7))
    configure(tmp_path, corpus={"videos": "list.tsv", "shard_size": 3, "limit": 2})
    assert "corpus.limit: 2 of 7 videos" in snakemake(tmp_path, "results/corpus/manifest.parquet").stderr
    project.download("0000")
    layout = Layout("results")
    files = [file for stage in ENCODED for file in layout.shard_files(stage, "0000")]
    for file in files:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text("fake", encoding="utf-8")
    snakemake(tmp_path, "--touch", "--force", *files)
    assert not jobs(snakemake(tmp_path, "-n", *files).stdout)
    configure(tmp_path, corpus={"videos": "list.tsv", "shard_size": 3})
    said = snakemake(tmp_path, "-n", "transcribe", "features").stdout
    planned = jobs(said)
    assert {stage: planned[f"{stage}_shard"] for stage in ENCODED} == dict.fromkeys(ENCODED, 2)
    assert set(re.findall(r"shard=(\d+)", said)) == {"0001", "0002"} and planned["corpus"] == 1
