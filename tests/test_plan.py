"""The plan that a run writes down for its jobs: the same videos, and none of another list."""

from pathlib import Path

import pytest
from conftest import configure, snakemake

from videobert.data import plan as module
from videobert.data.limit import Draw
from videobert.data.manifest import plan
from videobert.data.plan import Plan, read_plan, rows_of, write_plan
from videobert.resources import need

ALL = Draw(0.2, 0)


@pytest.fixture
def videos(tmp_path) -> Path:
    path = tmp_path / "videos.tsv"
    path.write_text("source\ttitle\n" + "".join(f"kitchen:{n}\tVideo {n}\n" for n in range(7)), encoding="utf-8")
    return path


@pytest.fixture
def register(tmp_path) -> Path:
    return tmp_path / "results/corpus/register.parquet"


def nobody():
    raise AssertionError("the list was read")


def test_jobs_find_the_rows_of_their_shard_without_reading_the_list(tmp_path, videos, register, monkeypatch):
    made = Plan(lambda: plan(videos, register, 3, ALL))
    write_plan(tmp_path / "results", videos, 3, ALL, made.rows)
    monkeypatch.setattr(module, "plan", lambda *_: nobody())
    written = Plan(nobody, read_plan(tmp_path / "results", videos, 3, ALL))
    assert written.shards == made.shards == {"0000": 3, "0001": 3, "0002": 1}
    assert written.has_kitchen and made.has_kitchen
    for shard in made.shards:
        assert written.of(shard) == made.of(shard) == rows_of(shard, videos, register, 3, ALL)
    assert rows_of("0009", videos, register, 3, ALL) == []


@pytest.mark.parametrize("change", ["list", "shard size", "damage"])
def test_what_was_written_for_another_list_is_not_taken(tmp_path, videos, register, change):
    rows = plan(videos, register, 3, ALL).manifest
    write_plan(tmp_path / "results", videos, 3, ALL, rows)
    size = 2 if change == "shard size" else 3
    if change == "list":
        videos.write_text("source\nkitchen:9\n", encoding="utf-8")
    if change == "damage":
        (tmp_path / "results/corpus/.plan.parquet").write_bytes(b"")
    expected = {"list": ["kitchen-9"], "shard size": ["kitchen-0", "kitchen-1"]}
    ids = [row["video_id"] for row in rows_of("0000", videos, register, size, ALL)]
    assert ids == expected.get(change, ["kitchen-0", "kitchen-1", "kitchen-2"])
    assert read_plan(tmp_path / "results", videos, size, ALL) is None


def test_a_job_of_a_cluster_takes_it(tmp_path, videos, register):
    """Here a shard of a hundred videos is written down; the list has three. A workflow's own process reads the list."""
    configure(tmp_path, corpus={"shard_size": 3})
    rows = plan(videos, register, 3, ALL).manifest
    write_plan(tmp_path / "results", videos, 3, ALL, rows * 33)
    target = [
        "--mode",
        "remote",
        "--target-jobs",
        "frames_shard:shard=0001",
        "--allowed-rules",
        "frames_shard",
        "--force",
    ]
    job, main = (snakemake(tmp_path, "-n", *words).stdout for words in (target, ["frames"]))
    assert f"runtime={need('frames').runtime(99, 1)}," in job
    assert (
        f"runtime={need('frames').runtime(3, 1)}," in main and f"runtime={need('frames').runtime(99, 1)}," not in main
    )
