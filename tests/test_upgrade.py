"""Files that last: results of every format are taken up by today's version, and nothing that holds is made anew.

tests/results has the results of a small run of each format; scripts/keep_results.py makes them.
"""

import hashlib
import json
import os
import re
import shutil
from pathlib import Path

import keep_results
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from conftest import snakemake

from videobert.config import SECTIONS
from videobert.data.ledger import completed, open_file
from videobert.data.provenance import FORMAT, read_provenance, read_table, write_table
from videobert.errors import UserError
from videobert.pipeline import STAGES, version
from videobert.settings import Settings
from videobert.upgrade import upgrade

KEPT = Path(__file__).parent / "results"
ORDER = ["corpus", "download", "transcribe", "frames", "features", "codebook", "vocabulary", "tokens", "pretrain"]
# Gathered in a second from what is there.
CHEAP = r"(\w+_ledger|evaluate|report|default)"

pytestmark = pytest.mark.slow


def restored(folder: Path, format_: int) -> Path:
    """The project as that version left it: results, media, times in the order of the pipeline, Snakemake's memory."""
    keep_results.copy_project(folder)
    shutil.copytree(KEPT / str(format_), folder, dirs_exist_ok=True)
    (folder / ".snakemake").mkdir()
    (folder / "commands").rename(folder / ".snakemake" / "metadata")
    for number in range(4):
        place = folder / "results/download" / f"{number // 2:04d}"
        (place / f"clip{number}.mp4").symlink_to(folder / "clips" / f"clip{number}.mp4")
        (place / f"clip{number}.en.vtt").symlink_to(folder / "clips" / f"clip{number}.vtt")
    (folder / "results/report/index.html").write_text("too large to keep", encoding="utf-8")
    (folder / "results/pretrain/README.md").rename(folder / "card")
    for time, stage in enumerate([*ORDER, "ledger", "evaluate", "report"], 1_700_000_000):
        for file in (folder / "results" / stage).rglob("*"):
            os.utime(file, (time, time), follow_symlinks=False)
    (folder / "card").rename(folder / "results/pretrain/README.md")
    return folder


def costly(rules: dict[str, int]) -> set[str]:
    return {rule for rule in rules if not re.fullmatch(CHEAP, rule)}


def weights(folder: Path) -> str:
    return hashlib.sha256((folder / "results/pretrain/model.safetensors").read_bytes()).hexdigest()


def test_the_present_format_is_kept():
    assert (KEPT / str(FORMAT)).is_dir(), "run scripts/keep_results.py"
    assert sorted(path.name for path in KEPT.glob("[0-9]*")) == [str(number) for number in range(1, FORMAT + 1)]


def test_results_of_this_format_are_left_alone(tmp_path, planned):
    """A rule whose parameters or inputs change makes a thousand hours of work anew: raise FORMAT with an upgrade for it."""
    folder = restored(tmp_path / "project", FORMAT)
    assert planned(folder, "report") == {}


@pytest.fixture
def older(tmp_path, monkeypatch) -> Path:
    """The format before the present one."""
    folder = restored(tmp_path / "project", FORMAT - 1)
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def oldest(tmp_path, monkeypatch) -> Path:
    """The format from which there is most to do."""
    folder = restored(tmp_path / "project", 1)
    monkeypatch.chdir(folder)
    return folder


def test_an_older_format_is_refused_then_upgraded_and_kept(older, planned):
    refused = snakemake(older, "-n", "report", check=False)
    assert "results was made by an older version of videobert: `videobert upgrade" in refused.stderr
    before = weights(older)
    upgrade([Path("config.yaml")])
    assert costly(planned(older, "report")) == set()
    assert weights(older) == before


def test_what_was_upgraded_is_kept_and_runs_to_its_end(oldest, planned, monkeypatch):
    """After an upgrade that was broken off: nothing said that the folder is of today's format before all was done."""

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("videobert.upgrade._accept", killed)
        with pytest.raises(KeyboardInterrupt):
            upgrade([Path("config.yaml")])
    assert "made by an older version" in snakemake(oldest, "-n", "report", check=False).stderr
    before = weights(oldest)
    upgrade([Path("config.yaml")])
    assert costly(planned(oldest, "report")) == set()
    for stage in ("download", "frames"):  # what reads them checks them by size and hash
        ledger = Path(f"results/{stage}/0000/ledger.parquet")
        assert all(open_file(ledger, row).stat().st_size > 10_000 for row in completed(ledger))
    assert costly(planned(oldest, "report", "--configfile", changed(oldest, "codebook", "branching", 3))) == {
        "codebook",
        "tokens_shard",
        "pretrain",
        "objectives",
    }
    snakemake(oldest, "report")
    assert weights(oldest) == before and planned(oldest, "report") == {}


def changed(folder: Path, section: str, key: str, value: object) -> str:
    overlay = folder / "changed.yaml"
    overlay.write_text(yaml.safe_dump({section: {key: value}}), encoding="utf-8")
    return str(overlay)


def test_what_does_not_hold_is_named_and_made_anew(oldest, planned, capsys):
    overlay = changed(oldest, "codebook", "branching", 3)
    upgrade([Path("config.yaml"), Path(overlay)])
    said = capsys.readouterr().err
    assert "codebook will be made anew: branching differs: 2 there, 3 here" in said
    assert "pretrain will be made anew: tokens is made anew" in said and "features will" not in said
    assert costly(planned(oldest, "report", "--configfile", overlay)) == {
        "codebook",
        "tokens_shard",
        "pretrain",
        "objectives",
    }


def test_a_list_that_changed_meanwhile_is_refused(oldest):
    with open("videos.tsv", "a", encoding="utf-8") as file:
        file.write("clips/other.mp4\ttrain\t\n")
    with pytest.raises(UserError, match=r"videos\.tsv has changed since results was made: put the old list back"):
        upgrade([Path("config.yaml")])


@pytest.mark.parametrize("format_", range(1, FORMAT + 1))
def test_models_and_indexes_of_every_format_answer(tmp_path, format_):
    """A model folder travels alone: nobody can upgrade it."""
    from videobert import VideoBert

    folder = restored(tmp_path / "project", format_)
    model = VideoBert.from_pretrained(folder / "results/pretrain")
    ((word, _), *_) = model.fill("we [MASK] the onion", folder / "clips/clip0.mp4")[0]
    assert word
    (found,) = model.search("slice the onion", folder / "index")
    assert found.start == 0.0


def test_a_newer_format_is_refused_in_one_line(tmp_path):
    for file, write in {
        "a.parquet": lambda path, text: pq.write_table(
            pa.table({"x": [1]}).replace_schema_metadata({"provenance": text}), path
        ),
        "a.json": lambda path, text: path.write_text(json.dumps({"provenance": json.loads(text)}), encoding="utf-8"),
    }.items():
        write(tmp_path / file, json.dumps({"stage": "features", "format": FORMAT + 1}))
        with pytest.raises(UserError, match=rf"{file} was made by a newer version of videobert \(format {FORMAT + 1};"):
            read_provenance(tmp_path / file)
    with pytest.raises(UserError, match="made by a newer version"):
        read_table(tmp_path / "a.parquet")


def test_what_is_written_carries_the_format(tmp_path):
    write_table(pa.table({"x": [1]}), tmp_path / "a.parquet", {"stage": "features", "format": 1})
    assert read_provenance(tmp_path / "a.parquet") == {"stage": "features", "format": FORMAT}


# Defaults ---------------------------------------------------------------------------------------------------------------


def defaults() -> dict[str, dict[str, object]]:
    """Of each stage and task: its version, and the defaults of what its result depends on."""
    found = {}
    for name, classes in SECTIONS.items():
        if name in STAGES and issubclass(classes[0], Settings):
            found[name] = {"version": version(name), "defaults": classes[0]().model_dump(mode="json")}
    return found


def test_a_default_that_changes_raises_the_stages_version():
    """The parameters of a rule leave out what is the default, so that a new setting reruns nothing: another default is no
    news to Snakemake, and the version of the stage must say it."""
    known = json.loads((KEPT / "defaults.json").read_text(encoding="utf-8"))
    now = defaults()
    for name, recorded in known.items():
        if recorded["version"] == now[name]["version"]:
            moved = {
                key: (value, now[name]["defaults"].get(key))
                for key, value in recorded["defaults"].items()
                if now[name]["defaults"].get(key) != value
            }
            assert not moved, f"{name}: raise its VERSION, then write tests/results/defaults.json anew: {moved}"
    assert known == now, f"write tests/results/defaults.json anew:\n{json.dumps(now, indent=1)}"
