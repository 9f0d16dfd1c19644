"""The plan that a run writes down for its jobs: the same videos, and none of another list."""

from pathlib import Path

import pytest
from conftest import configure, snakemake

from videobert.data import plan as module
from videobert.data.local_files import LocalFiles
from videobert.data.manifest import Planned, plan
from videobert.data.plan import Plan, PlanFile, rows_of
from videobert.data.splits import Draw
from videobert.resources import need

ALL = Draw(0.2, 0)


@pytest.fixture
def videos(tmp_path) -> Path:
    path = tmp_path / "videos.tsv"
    rows = "".join(f"kitchen:{n}\tVideo {n}\tcc\n" for n in range(7))
    path.write_text(f"source\ttitle\tlicense\n{rows}", encoding="utf-8")
    return path


@pytest.fixture
def register(tmp_path) -> Path:
    return tmp_path / "results/corpus/register.parquet"


def nobody():
    raise AssertionError("the list was read")


def test_jobs_find_the_rows_of_their_shard_without_reading_the_list(tmp_path, videos, register, monkeypatch):
    made = Plan(lambda: plan(videos, register, 3, ALL))
    PlanFile(tmp_path / "results", videos, 3, ALL).write(made, register)
    monkeypatch.setattr(module, "plan", lambda *_: nobody())
    written = Plan(nobody, PlanFile(tmp_path / "results", videos, 3, ALL).read())
    assert written.shards == made.shards == {"0000": 3, "0001": 3, "0002": 1}
    assert written.has_kitchen and made.has_kitchen
    for shard in made.shards:
        assert written.of(shard) == made.of(shard) == rows_of(shard, videos, register, 3, ALL)
    assert rows_of("0009", videos, register, 3, ALL) == []


@pytest.mark.parametrize("change", ["list", "shard size", "damage"])
def test_what_was_written_for_another_list_is_not_taken(tmp_path, videos, register, change):
    PlanFile(tmp_path / "results", videos, 3, ALL).write(Plan(lambda: plan(videos, register, 3, ALL)), register)
    size = 2 if change == "shard size" else 3
    if change == "list":
        videos.write_text("source\nkitchen:9\n", encoding="utf-8")
    if change == "damage":
        (tmp_path / "results/corpus/.plan.parquet").write_bytes(b"")
    expected = {"list": ["kitchen-9"], "shard size": ["kitchen-0", "kitchen-1"]}
    ids = [row["video_id"] for row in rows_of("0000", videos, register, size, ALL)]
    assert ids == expected.get(change, ["kitchen-0", "kitchen-1", "kitchen-2"])
    assert PlanFile(tmp_path / "results", videos, size, ALL).read() is None


def test_a_job_of_a_cluster_takes_it(tmp_path, videos, register):
    """Here a shard of a hundred videos is written down; the list has three. A workflow's own process reads the list."""
    configure(tmp_path, corpus={"shard_size": 3})
    many = Plan(lambda: Planned(plan(videos, register, 3, ALL).manifest * 33, []))
    PlanFile(tmp_path / "results", videos, 3, ALL).write(many, videos)  # of another register
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


def test_the_next_run_takes_it_while_a_new_plan_would_be_the_same(tmp_path, videos, register, monkeypatch):
    few = Draw(0.001, 0)  # no video draws test, so one is moved
    made, results = Plan(lambda: plan(videos, register, 3, few)), tmp_path / "results"
    taken = lambda draw=few: PlanFile(results, videos, 3, draw).read_last(register)  # noqa: E731
    assert taken() is None
    PlanFile(results, videos, 3, few).write(made, register)
    again = Plan(nobody, taken())
    assert again.rows == made.rows and again.shards == made.shards and again.of("0001") == made.of("0001")
    assert again.kept == made.kept != [] and again.local_files == made.local_files == []
    for file in ("manifest", "ids", "details", "ledger"):
        assert again.digest(file) == made.digest(file)
    files = LocalFiles(tmp_path / "files.parquet")
    for license in (None, "cc"):
        assert again.sources_digest("0002", files, license) == made.sources_digest("0002", files, license)
    # Another draw, another version of the code, and places that are remembered by now.
    assert taken(Draw(0.5, 0)) is None and taken(few._replace(seed=1)) is None and taken(few._replace(limit=3)) is None
    with monkeypatch.context() as patch:
        patch.setattr(module, "_code", lambda: "other")
        assert taken() is None
    register.write_bytes(b"")
    assert taken() is None


def test_local_files_count_when_a_plan_is_taken_up_again(tmp_path, register):
    """Their content may have changed since."""
    videos, clip, results = tmp_path / "videos.tsv", tmp_path / "a.mp4", tmp_path / "results"
    rows = [f"{clip}\t{tmp_path / 'a.srt'}\ttest", "kitchen:1\t\ttrain"]  # none is moved to another split
    videos.write_text("\n".join(["source\tcaptions\tsplit", *rows]), encoding="utf-8")
    clip.write_bytes(b"1")
    made = Plan(lambda: plan(videos, register, 1, ALL))
    PlanFile(results, videos, 1, ALL).write(made, register)
    again = Plan(nobody, PlanFile(results, videos, 1, ALL).read_last(register))
    assert again.local_files == made.local_files == [str(clip)]
    assert [row["video_id"] for row in again.kept] == [row["video_id"] for row in made.kept]
    looks = [LocalFiles(tmp_path / "files.parquet")]
    before = {shard: again.sources_digest(shard, looks[0], None) for shard in again.shards}
    assert before == {shard: made.sources_digest(shard, looks[0], None) for shard in made.shards}
    clip.write_bytes(b"2")
    (tmp_path / "a.srt").write_bytes(b"2")
    looks.append(LocalFiles(tmp_path / "files.parquet"))
    assert again.sources_digest("0000", looks[1], None) != before["0000"]
    assert again.sources_digest("0001", looks[1], None) == before["0001"]
    assert again.captions_digest("0000", looks[0]) != again.captions_digest("0001", looks[0])
