"""The list of videos: ids, duplicates, splits, and shards that stay where they are."""

import csv
from pathlib import Path

import pytest
from calls import corpus

from videobert.data.local_files import LocalFiles
from videobert.data.manifest import LONGEST_ID, plan, read_list, shards, sources_digest
from videobert.data.plan import rows_of
from videobert.data.provenance import read_table
from videobert.data.schemas import MANIFEST, names
from videobert.data.splits import Draw, check_split, split_of
from videobert.errors import UserError

ALL = Draw(0.2, 0)


def write(path: Path, rows: list[dict[str, str]]) -> Path:
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, sorted({key for row in rows for key in row}), delimiter="\t")
        writer.writeheader()
        writer.writerows(rows)
    return path


def run(folder: Path, videos: Path, **settings: float) -> list[dict]:
    arguments = {"shard_size": 3, "test_fraction": 0.2, "seed": 0, **settings}
    corpus(videos, folder / "manifest.parquet", folder / "ledger.parquet", folder / "register.parquet", **arguments)
    return read_table(folder / "manifest.parquet").to_pylist()


def sources(folder: Path, rows: list[dict]) -> str:
    """What decides whether they are downloaded again."""
    return sources_digest([{"license": "", **row} for row in rows], LocalFiles(folder / "files.parquet"), None)


def kitchen(*numbers: int) -> list[dict[str, str]]:
    return [{"source": f"kitchen:{number}"} for number in numbers]


def test_reads_tsv_csv_and_parquet_alike(tmp_path):
    import pandas as pd

    table = pd.DataFrame({"source": ["kitchen:1", "kitchen:2"], "title": ["Crêpes, hot", ""]})
    table.to_csv(tmp_path / "a.tsv", sep="\t", index=False)
    table.to_csv(tmp_path / "a.csv", index=False, encoding="utf-8-sig")
    table.to_parquet(tmp_path / "a.parquet")
    expected = read_list(tmp_path / "a.tsv")
    assert [row["title"] for row in expected] == ["Crêpes, hot", ""]
    assert expected == read_list(tmp_path / "a.csv")
    assert expected == read_list(tmp_path / "a.parquet")


def test_ids_are_clean_unique_and_short(tmp_path):
    sources = [
        "/a/../x; rm -rf ~.mp4",
        "/b/x; rm -rf ~.mp4",
        "https://youtu.be/-_aB3",
        f"/c/{'long' * 50}.mp4",
        "kitchen:7",
    ]
    rows = run(tmp_path, write(tmp_path / "list.tsv", [{"source": source} for source in sources]))
    ids = [row["video_id"] for row in rows]
    assert len(set(map(str.lower, ids))) == len(sources)
    assert all(set(name) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") for name in ids)
    assert all(len(name) <= LONGEST_ID for name in ids)
    assert "-_aB3" in ids  # YouTube's id as it is: annotations know it by that
    assert "kitchen-7" in ids


def test_a_video_listed_twice_is_one_video_and_reported(tmp_path):
    sources = [
        "https://www.youtube.com/watch?v=abc",
        "https://youtu.be/abc?t=3",
        "kitchen:7",
        "kitchen:007",
        "",
        "gopher:x",
    ]
    rows = run(tmp_path, write(tmp_path / "list.tsv", [{"source": source, "title": "t"} for source in sources]))
    assert [row["video_id"] for row in rows] == ["abc", "kitchen-7"]
    ledger = {
        row["source"]: (row["status"], row["reason"]) for row in read_table(tmp_path / "ledger.parquet").to_pylist()
    }
    assert ledger["https://youtu.be/abc?t=3"] == ("duplicate", "the same video as abc")
    assert ledger["kitchen:007"] == ("duplicate", "the same video as kitchen-7")
    assert ledger[""][0] == ledger["gopher:x"][0] == "unusable"


def test_addresses_that_lead_nowhere_and_names_that_turn_are_set_aside(tmp_path):
    reasons = {f"http://{host}/a.mp4": "no valid URL" for host in ("", "[::1", "..", "x" * 300)}
    reasons |= {"a\u202egpj.mp4": "control characters", f"{'ftp' * 40}://host/a.mp4": "not a kind of source"}
    reasons |= {f"a{character}b.mp4": "control characters" for character in "\x07\x1b\x85\u2028\u2066"}
    good = [
        "a\u3000b.mp4",
        "a\u00a0b.mp4",
        "a\u200bb.mp4",
        "e\u0301.mp4",
        "http://[::1]:80/a.mp4",
        "HTTPS://EXAMPLE.org/b.mp4",
        "http://☃.example/c.mp4",
        "/d/👩\u200d🍳.mp4",
    ]
    run(tmp_path, write(tmp_path / "list.tsv", [{"source": source, "title": "t"} for source in [*reasons, *good]]))
    rows = read_table(tmp_path / "ledger.parquet").to_pylist()
    assert [row["status"] for row in rows] == ["unusable"] * len(reasons) + ["ok"] * len(good)
    assert all(reason in row["reason"] for row, reason in zip(rows, reasons.values()))


def test_appended_videos_leave_the_shards_alone(tmp_path):
    first = run(tmp_path, write(tmp_path / "list.tsv", kitchen(*range(7))))
    # New rows on top, one old row gone: everything that stays has its shard, and digests tell who has work.
    second = run(tmp_path, write(tmp_path / "list.tsv", kitchen(100, 101, *range(1, 7))))
    before, after = ({row["video_id"]: row["shard"] for row in rows} for rows in (first, second))
    assert all(after[video] == before[video] for video in after if video in before)
    assert {after["kitchen-100"], after["kitchen-101"]} == {"0003"}
    digests = [{shard: sources(tmp_path, rows) for shard, rows in shards(plan_).items()} for plan_ in (first, second)]
    assert [shard for shard in digests[0] if digests[0][shard] != digests[1].get(shard)] == ["0000"]
    # A video that comes back finds its place again.
    third = run(tmp_path, write(tmp_path / "list.tsv", kitchen(*range(7))))
    assert {row["video_id"]: row["shard"] for row in third} == before


@pytest.mark.parametrize("size", [0, 40, None])
def test_a_register_that_a_power_cut_left_empty_or_that_is_lost_costs_no_shard(tmp_path, size, capsys):
    (tmp_path / "corpus").mkdir()
    folder = tmp_path / "corpus"
    videos = write(tmp_path / "list.tsv", kitchen(*range(7)))
    before = run(folder, videos)
    register = folder / "register.parquet"
    register.write_bytes(register.read_bytes()[:size]) if size is not None else register.unlink()
    rows = plan(write(tmp_path / "list.tsv", kitchen(100, *range(7))), register, 3, ALL).manifest
    assert {row["video_id"]: row["shard"] for row in before}.items() < {
        row["video_id"]: row["shard"] for row in rows
    }.items()
    assert {row["shard"] for row in rows if row["video_id"] == "kitchen-100"} == {"0003"}
    assert ("register.parquet is not a readable Parquet file" in capsys.readouterr().err) == (size is not None)


def test_the_plan_is_the_same_before_and_after_it_is_written(tmp_path):
    videos = write(tmp_path / "list.tsv", kitchen(*range(5)))
    before = plan(videos, tmp_path / "register.parquet", 3, ALL)
    columns = names(MANIFEST)
    assert run(tmp_path, videos) == [{name: row[name] for name in columns} for row in before[0]]
    assert plan(videos, tmp_path / "register.parquet", 3, ALL) == before
    assert [row["video_id"] for row in rows_of("0001", videos, tmp_path / "register.parquet", 3, ALL)] == [
        "kitchen-3",
        "kitchen-4",
    ]


def test_the_split_is_a_seeded_hash_of_the_id_unless_given(tmp_path):
    rows = kitchen(*range(400))
    rows[5]["split"] = "validation"
    manifest = run(tmp_path, write(tmp_path / "list.tsv", rows), seed=1)
    assert manifest[5]["split"] == "validation"
    assert all(
        row["split"] == split_of(row["video_id"], Draw(0.2, 1)) for row in manifest if row["split"] != "validation"
    )
    assert 0.14 < sum(row["split"] == "test" for row in manifest) / 400 < 0.26
    assert {split_of(f"v{i}", Draw(0.2, 1)) == split_of(f"v{i}", Draw(0.2, 2)) for i in range(50)} == {True, False}


def test_validation_videos_are_drawn_from_those_for_training(tmp_path):
    videos = write(tmp_path / "list.tsv", kitchen(*range(400)))
    before, after = run(tmp_path, videos), run(tmp_path, videos, validation_fraction=0.25)
    moved = [(one["split"], other["split"]) for one, other in zip(before, after, strict=True)]
    assert {*moved} == {("test", "test"), ("train", "train"), ("train", "validation")}
    assert 0.19 < moved.count(("train", "validation")) / sum(one == "train" for one, _ in moved) < 0.31
    assert [row["shard"] for row in before] == [row["shard"] for row in after]


def test_a_file_in_another_spelling_is_there_and_is_watched(tmp_path):
    (tmp_path / "e\u0301.mp4").write_bytes(b"broken")
    rows = run(tmp_path, write(tmp_path / "list.tsv", [{"source": str(tmp_path / "é.mp4")}]))
    before = sources(tmp_path, rows)
    (tmp_path / "e\u0301.mp4").write_bytes(b"whole and longer")
    assert sources(tmp_path, rows) != before
    (tmp_path / "e\u0301.mp4").unlink()
    with pytest.raises(UserError, match="none of the local files exists"):
        run(tmp_path, tmp_path / "list.tsv")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("none.tsv", None, "none.tsv does not exist"),
        ("list.txt", "source\nkitchen:1\n", "is not a .tsv, .csv or .parquet file"),
        ("list.tsv", "", "cannot be read"),
        ("list.csv", "url,title\nx,y\n", "has no column named source; its columns are: url, title"),
        ("list.csv", "source,title\nkitchen:1,a,b\nkitchen:2,c,d\n", "rows with more columns than its header names"),
        (
            "list.tsv",
            "source\tsplit\nkitchen:1\tTrain\n",
            "row 2, column split: 'Train' is no split; allowed are train, validation, test",
        ),
        ("list.tsv", "source\n/no/such/file.mp4\n", "no usable video"),
        ("list.tsv", "source\ttitle\n\tx\n", "no usable video"),
        ("list.parquet", "no parquet", "cannot be read"),
    ],
)
def test_a_list_that_cannot_be_used_is_one_line(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(UserError) as error:
        run(tmp_path, tmp_path / name)
    assert message in str(error.value)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "manifest.parquet").exists()


def test_a_small_list_has_a_test_video_and_keeps_it(tmp_path, capsys):
    """None of these draws below 0.05; later ones that do are test videos beside it."""
    small = kitchen(4, 5, 6)
    first = run(tmp_path, write(tmp_path / "list.tsv", small), test_fraction=0.05)
    (test,) = [row["video_id"] for row in first if row["split"] == "test"]
    assert (
        f"{test} is a test video, since the draws of this small list left none; it stays one" in capsys.readouterr().err
    )
    later = run(tmp_path, write(tmp_path / "list.tsv", [*kitchen(*range(10, 200)), *small]), test_fraction=0.05)
    splits = {row["video_id"]: row["split"] for row in later}
    assert splits[test] == "test" and sum(split == "test" for split in splits.values()) > 1
    assert all(splits[row["video_id"]] == row["split"] for row in first)
    # Another fraction or seed is another draw.
    again = {row["video_id"]: row["split"] for row in run(tmp_path, tmp_path / "list.tsv", test_fraction=0.04)}
    assert again == {video: split_of(video, Draw(0.04, 0)) for video in again}


def test_where_all_draw_test_one_is_for_training(tmp_path):
    rows = run(tmp_path, write(tmp_path / "list.tsv", kitchen(1, 2, 3)), test_fraction=0.999)
    assert sorted(row["split"] for row in rows) == ["test", "test", "train"]


def test_a_list_whose_splits_lack_one_is_refused(tmp_path):
    for splits, wanted, message in (
        (("train", "train"), "test", "no video is in the split test, which the tasks"),
        (("test", "test"), "train", "no video is in the split train"),
        (("test",), "train", "its only video is in the split test"),
    ):
        with pytest.raises(UserError, match=message):
            check_split(splits, wanted)
    check_split(["train"], "train")
