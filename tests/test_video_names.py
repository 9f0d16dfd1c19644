"""Which video somebody means: by the list's own id, the safe one, or the source."""

from pathlib import Path

import pytest
from calls import corpus, run

from videobert.data.manifest import RENAMED
from videobert.data.provenance import read_table
from videobert.data.video_names import VideoNames, open_names
from videobert.evaluation.steps import Step, matched
from videobert.stages.tokens import _excluded

LISTS = Path(__file__).parent / "publiccases" / "lists"


def made(folder: Path, videos: Path) -> tuple[VideoNames, dict[str, str]]:
    """The names of a list's videos, and the safe id of each source."""
    register = folder / "register.parquet"
    files = {"output": folder / "manifest.parquet", "ledger": folder / "ledger.parquet", "register": register}
    settings = {"shard_size": 4, "test_fraction": 0.2, "seed": 0}
    corpus(videos, **files, **settings)
    run("corpus_ids", videos=str(videos), id_register=files["register"], ids=folder / "ids.parquet", **settings)
    rows = read_table(files["output"]).to_pylist()
    return open_names(files["output"], [folder / "ids.parquet"]), {row["source"]: row["video_id"] for row in rows}


def listed(folder: Path, *rows: tuple[str, str]) -> Path:
    (folder / "list.tsv").write_text(
        "\n".join(["id\tsource", *("\t".join(row) for row in rows)]) + "\n", encoding="utf-8"
    )
    return folder / "list.tsv"


def test_an_id_is_first_the_lists_own(tmp_path):
    names, safe = made(tmp_path, LISTS / "duplicate-ids.tsv")
    assert names.find("my.video 1") == [safe["kitchen:3"]] == ["my_video_1"]
    assert names.find("my_video_1") == [safe["kitchen:4"]] != ["my_video_1"]
    assert names.find(safe["kitchen:4"]) == names.find("kitchen:4") == names.find("kitchen:004") == [safe["kitchen:4"]]
    assert names.find("pasta") == [safe["kitchen:1"], safe["kitchen:2"]]
    assert names.find("kitchen:9") == names.find("nobody") == names.find("") == []


def test_ids_that_differ_in_capitals_alone_are_two(tmp_path):
    names, safe = made(tmp_path, listed(tmp_path, ("Abc", "kitchen:1"), ("abc", "kitchen:2")))
    assert names.find("Abc") == [safe["kitchen:1"]] and names.find("abc") == [safe["kitchen:2"]]
    assert names.find("ABC") == []


def test_an_address_names_its_video_in_every_spelling(tmp_path):
    names, _ = made(tmp_path, listed(tmp_path, ("soup", "https://www.youtube.com/watch?v=-_aB3")))
    for name in ("soup", "https://youtu.be/-_aB3", "https://youtu.be/-_aB3?t=3", "https://m.youtube.com/watch?v=-_aB3"):
        assert names.find(name) == ["soup"]


def test_a_name_that_is_not_kept_says_so(tmp_path):
    made(tmp_path, LISTS / "duplicate-ids.tsv")
    reasons = [row["reason"] for row in read_table(tmp_path / "ledger.parquet").to_pylist()]
    assert [bool(reason) for reason in reasons] == [False, True, False, True]
    assert reasons[3].startswith(f"{RENAMED}: it is called my_video_1-")


def test_without_the_lists_ids_safe_ones_and_sources_count(tmp_path):
    _, safe = made(tmp_path, LISTS / "duplicate-ids.tsv")
    names = open_names(tmp_path / "manifest.parquet", [])
    assert names.find("my_video_1") == names.find("kitchen:3") == [safe["kitchen:3"]]
    assert names.find("my.video 1") == []


def test_steps_take_every_name_and_what_matches_nothing_is_counted_and_named(tmp_path, capsys):
    names, safe = made(tmp_path, LISTS / "duplicate-ids.tsv")
    given = ["my.video 1", "my_video_1", "kitchen:1", "pasta", "nobody", "nobody"]
    found = matched([Step(name, 0, 1, "cut", "egg") for name in given], names, "evaluate.annotations: x")
    meant = [safe["kitchen:3"], safe["kitchen:4"], safe["kitchen:1"], "", "nobody", "nobody"]
    assert [step.video_id for step in found] == meant
    said = capsys.readouterr().err
    assert "evaluate.annotations: x: 3 of 6 steps name no video of the list, or several, by 2 ids: " in said
    assert "nobody (2), pasta (1); they are not measured" in said


@pytest.mark.parametrize(
    ("line", "sources"),
    [
        ("pasta", ("kitchen:1", "kitchen:2")),
        ("my.video 1 # asked for", ("kitchen:3",)),
        ("kitchen:4#mine", ("kitchen:4",)),
        ("# kitchen:4", ()),
    ],
)
def test_excluded_ids_take_every_name_of_a_video(tmp_path, line, sources):
    _, safe = made(tmp_path, LISTS / "duplicate-ids.tsv")
    (tmp_path / "exclude.txt").write_text(f"{line}\n", encoding="utf-8")
    excluded = _excluded(str(tmp_path / "exclude.txt"), tmp_path / "manifest.parquet", [tmp_path / "ids.parquet"])
    assert excluded == {safe[source] for source in sources}
