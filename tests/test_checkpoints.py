"""A training that was broken off goes on: after a power cut, with other devices and versions, over links; and loses nothing."""

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import pytest
from calls import pretrain
from small_model import SETTINGS as SMALL
from synthetic import world
from tensorboard.backend.event_processing.event_multiplexer import EventMultiplexer
from test_initial_model import bert  # noqa: F401 (a fixture)
from transformers import TrainerCallback

from videobert.data import provenance as provenance_
from videobert.data.provenance import provenance_key, read_provenance
from videobert.errors import UserError
from videobert.model.checkpoints import Training, newest, put_in_order
from videobert.stages import pretrain as stage

SETTINGS = {**SMALL, "max_steps": 40, "logging_steps": 5}
FILES = ["config.json", "model.safetensors", "optimizer.pt", "rng_state.pth", "scheduler.pt", "trainer_state.json"]
FILES += ["training_args.bin"]


class BrokenOff(Exception):
    pass


def train(paths: dict[str, Path], output: Path, stop: int | None = None, **changes: object) -> Path:
    """Runs the stage; `stop`: it is broken off in that step."""
    make = stage.make_trainer

    class Stop(TrainerCallback):
        def on_step_end(self, args, state, control, **kwargs):
            if state.global_step == stop:
                raise BrokenOff

    def stopping(*arguments):
        trainer = make(*arguments)
        trainer.add_callback(Stop())
        return trainer

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stage, "make_trainer", stopping)
        if stop:
            with pytest.raises(BrokenOff):
                pretrain(**paths, output=output, **{**SETTINGS, **changes})
        else:
            pretrain(**paths, output=output, **{**SETTINGS, **changes})
    return output


@pytest.fixture(scope="module")
def paths(tmp_path_factory) -> dict[str, Path]:
    return world(tmp_path_factory.mktemp("world"), videos=20)


@pytest.fixture(scope="module")
def undisturbed(paths, tmp_path_factory) -> Path:
    return train(paths, tmp_path_factory.mktemp("undisturbed"))


@pytest.fixture(scope="module")
def broken_off(paths, tmp_path_factory) -> Path:
    """In step 28: the checkpoints are 10 and 20, the last point of the curve is 25."""
    return train(paths, tmp_path_factory.mktemp("broken"), stop=28)


@pytest.fixture
def output(broken_off, tmp_path) -> Path:
    return shutil.copytree(broken_off, tmp_path / "pretrain")


def weights(folder: Path) -> bytes:
    """The numbers alone: the header carries the provenance."""
    data = (folder / "model.safetensors").read_bytes()
    return data[8 + int.from_bytes(data[:8], "little") :]


def curve(folder: Path) -> list[dict]:
    return json.loads((folder / "training.json").read_text())["curve"]


def tensorboard(folder: Path) -> list[list[tuple[int, float]]]:
    """The points of the loss that TensorBoard shows, for each of its runs, the longest run first."""
    events = EventMultiplexer().AddRunsFromDirectory(str(folder / "runs")).Reload()
    curves = [events.Scalars(run, "train/loss") for run in events.Runs()]
    shown = [[(point.step, pytest.approx(point.value, abs=1e-5)) for point in points] for points in curves]
    return sorted(shown, key=len, reverse=True)


def points(folder: Path) -> list[tuple[int, float]]:
    return [(point["step"], point["loss"]) for point in curve(folder)]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def marked(folder: Path) -> dict:
    return json.loads((folder / "whole").read_text())


def of(output: Path) -> Training:
    """The training that lies in a folder."""
    return Training(marked(output / "checkpoints/checkpoint-20")["training"], {}, "")


# What decides, and what does not --------------------------------------------------------------------------------------


def test_how_often_is_saved_and_logged_is_followed_and_throws_nothing_away(paths, output, undisturbed, capsys):
    train(paths, output, stop=38, save_steps=4, logging_steps=2)
    assert "going on from checkpoint-20\n" in capsys.readouterr().err
    assert names(output / "checkpoints") == ["checkpoint-32", "checkpoint-36"]
    train(paths, output, save_steps=30, logging_steps=10)
    assert "going on from checkpoint-36\n" in capsys.readouterr().err
    assert [point["step"] for point in curve(output)] == [5, 10, 15, 20, 22, 24, 26, 28, 30, 32, 34, 36, 40]
    assert tensorboard(output) == [points(output)]  # one run, though it was resumed twice
    assert weights(output) == weights(undisturbed)
    assert "parts" not in read_provenance(output / "model.safetensors")


def test_other_versions_go_on_and_are_recorded(paths, output, undisturbed, capsys, monkeypatch):
    monkeypatch.setattr(provenance_, "version", lambda name: "99.0" if name == "torch" else version(name))
    train(paths, output, stop=38)
    (said,) = [line for line in capsys.readouterr().err.splitlines() if "going on" in line]
    assert f"checkpoint-20, made with torch {version('torch')}, " in said and "from here on with torch 99.0, " in said
    train(paths, output)  # once more, with the same: no third part
    assert "going on from checkpoint-30\n" in capsys.readouterr().err
    parts = read_provenance(output / "model.safetensors")["parts"]
    assert [(part["from_step"], part["torch"]) for part in parts] == [(0, version("torch")), (20, "99.0")]
    assert {part["device"] for part in parts} == {"cpu"}
    assert weights(output) == weights(undisturbed)


def test_the_initial_models_folder_may_be_renamed(bert, tmp_path, capsys):  # noqa: F811
    paths = world(tmp_path / "world", videos=8, bert=bert)
    first, second = (shutil.copytree(bert, tmp_path / name) for name in ("here", "there"))
    train(paths, tmp_path / "out", stop=12, initial_model=str(first))
    train(paths, tmp_path / "out", stop=15, initial_model=str(second))
    assert "going on from checkpoint-10\n" in capsys.readouterr().err


def test_checkpoints_of_other_settings_are_kept_and_taken_up_again(paths, output, undisturbed, capsys):
    before = {path.name: path.read_bytes() for path in (output / "checkpoints/checkpoint-20").iterdir()}
    shutil.copytree(output / "checkpoints/checkpoint-20", output / "checkpoints/checkpoint-20-mine")
    train(paths, output, stop=38, seed=1)
    (said,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("pretrain:")]
    (aside,) = (output / "checkpoints").glob("set-aside-*")
    assert "(seed: 0)" in said and str(aside) in said
    assert names(aside) == ["checkpoint-10", "checkpoint-20"]
    assert {path.name: path.read_bytes() for path in (aside / "checkpoint-20").iterdir()} == before
    train(paths, output)
    assert "going on from checkpoint-20\n" in capsys.readouterr().err
    assert weights(output) == weights(undisturbed)
    ours, other = tensorboard(output)  # a run for each of the two trainings
    assert ours == points(output) == points(undisturbed)
    assert [step for step, _ in other] == list(range(5, 36, 5))
    # What is left is the user's own copy, and the other training, to be taken up as well.
    assert not aside.exists()
    (other,) = (output / "checkpoints").glob("set-aside-*")
    assert names(output / "checkpoints") == ["checkpoint-20-mine", other.name]
    assert names(other) == ["checkpoint-20", "checkpoint-30"]


def test_a_setting_of_a_later_version_at_its_default_changes_no_training(output):
    training = of(output)
    for step in (10, 20):
        mark = marked(output / f"checkpoints/checkpoint-{step}")
        del mark["training"]["settings"]["video_stride"]  # as an earlier version would have written it
        (output / f"checkpoints/checkpoint-{step}/whole").write_text(json.dumps(mark))
    put_in_order(output / "checkpoints", training)
    assert newest(output / "checkpoints").name == "checkpoint-20"
    training.shaped_by["settings"]["video_stride"] = 2
    put_in_order(output / "checkpoints", training)
    assert newest(output / "checkpoints") is None


# Power cuts -----------------------------------------------------------------------------------------------------------


def empty(file: Path) -> None:
    file.write_bytes(b"")


def cut_off(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def zeros(file: Path) -> None:
    file.write_bytes(bytes(file.stat().st_size))


@pytest.mark.parametrize("name", [*FILES, "whole"])
@pytest.mark.parametrize("damage", [empty, cut_off, zeros, os.remove])
def test_a_damaged_file_costs_one_checkpoint(damage: Callable, name, output, capsys):
    folder, training = output / "checkpoints", of(output)
    assert set(names(folder / "checkpoint-20")) == {*FILES, "whole"}
    damage(folder / "checkpoint-20" / name)
    put_in_order(folder, training)
    assert newest(folder) == folder / "checkpoint-10"
    said = capsys.readouterr().err
    if (name, damage) == ("whole", os.remove):  # as after any kill
        assert not said and names(folder) == ["checkpoint-10"]
    else:
        assert said.count("\n") == 1 and str(folder / "checkpoint-20") in said and name in said
        assert names(folder) == ["checkpoint-10", "damaged-checkpoint-20"]


def test_a_training_with_a_damaged_checkpoint_ends_in_the_same_bits(paths, output, undisturbed, capsys):
    empty(output / "checkpoints/checkpoint-20/optimizer.pt")
    train(paths, output)
    said = capsys.readouterr().err
    assert "optimizer.pt is empty" in said and "going on from checkpoint-10\n" in said
    assert weights(output) == weights(undisturbed) and points(output) == points(undisturbed)
    assert tensorboard(output) == [points(output)]


def test_when_all_are_damaged_it_starts_anew_and_keeps_them(output, capsys):
    for step in (10, 20):
        cut_off(output / f"checkpoints/checkpoint-{step}/model.safetensors")
    put_in_order(output / "checkpoints", Training(marked(output / "checkpoints/checkpoint-10")["training"], {}, ""))
    assert newest(output / "checkpoints") is None
    assert names(output / "checkpoints") == ["damaged-checkpoint-10", "damaged-checkpoint-20"]
    assert capsys.readouterr().err.count("is damaged") == 2


def test_a_checkpoint_is_on_the_disk_before_it_is_marked(paths, tmp_path, monkeypatch):
    synced, sync = [], os.fsync

    def noted(handle: int) -> None:
        path = Path(os.readlink(f"/proc/self/fd/{handle}"))
        if not (tmp_path / "checkpoints/checkpoint-10/whole").exists():
            synced.append(path)
        sync(handle)

    monkeypatch.setattr(os, "fsync", noted)
    train(paths, tmp_path, stop=15)
    folder = tmp_path / "checkpoints/checkpoint-10"
    assert {folder / name for name in FILES} | {folder, folder.parent} <= set(synced)


def test_a_disk_that_does_not_take_a_checkpoint_is_named(paths, output, undisturbed, monkeypatch):
    def full(handle: int) -> None:
        if "checkpoint-30" in (path := os.readlink(f"/proc/self/fd/{handle}")) and path.endswith("optimizer.pt"):
            raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(UserError, match=r"checkpoint-30/optimizer.pt cannot be written: No space left"):
            train(paths, output)
    assert newest(output / "checkpoints").name == "checkpoint-20"
    train(paths, output)
    assert weights(output) == weights(undisturbed)


# Earlier versions -----------------------------------------------------------------------------------------------------


def former(output: Path, undisturbed: Path) -> Training:
    """Makes the checkpoints those of an earlier version: empty marks, one hash beside them."""
    told = {
        name: value for name, value in read_provenance(undisturbed / "model.safetensors").items() if name != "format"
    }
    key = provenance_key(told)
    training = Training(of(output).shaped_by, {"torch": "99.0"}, key)
    for step in (10, 20):
        empty(output / f"checkpoints/checkpoint-{step}/whole")
    (output / "checkpoints/provenance").write_text(key)
    return training


def test_a_training_of_an_earlier_version_goes_on(paths, output, undisturbed, capsys):
    training = former(output, undisturbed)
    put_in_order(output / "checkpoints", replace(training, former_key="of other settings"))
    (aside,) = (output / "checkpoints").glob("set-aside-*")
    assert names(aside) == ["checkpoint-10", "checkpoint-20", "provenance"]
    train(paths, output)
    assert "going on from checkpoint-20\n" in capsys.readouterr().err and not aside.exists()
    assert weights(output) == weights(undisturbed)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", [empty, cut_off])
def test_of_an_earlier_version_too_a_damaged_file_costs_one_checkpoint(damage, name, output, undisturbed):
    training = former(output, undisturbed)
    damage(output / "checkpoints/checkpoint-20" / name)
    put_in_order(output / "checkpoints", training)
    assert newest(output / "checkpoints").name == "checkpoint-10"


# Links ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("moved", [["checkpoints", "runs", "segments"], ["."]])
def test_links_are_followed_and_stay(moved, paths, output, undisturbed, tmp_path):
    """Of folders that were moved to another disk in the middle of a training."""
    links = {Path(os.path.normpath(output / name)): tmp_path / f"scratch-{name}" for name in moved}
    for link, scratch in links.items():
        shutil.move(link, scratch)
        link.symlink_to(scratch)
        (scratch / "theirs").mkdir()
    train(paths, output)
    assert all(link.is_symlink() and (scratch / "theirs").is_dir() for link, scratch in links.items())
    assert weights(output) == weights(undisturbed)
    if "checkpoints" in moved:
        assert names(tmp_path / "scratch-checkpoints") == ["theirs"]


def test_a_link_to_a_folder_that_was_swept_away(paths, tmp_path, undisturbed):
    output = tmp_path / "pretrain"
    output.mkdir()
    for name in ("checkpoints", "runs", "segments"):
        (output / name).symlink_to(tmp_path / f"swept-{name}")
    train(paths, output)
    assert weights(output) == weights(undisturbed) and names(tmp_path / "swept-checkpoints") == []
    (output / "runs").unlink()
    (output / "runs").symlink_to(tmp_path / "not-mounted/runs")
    with pytest.raises(UserError, match=r"pretrain/runs is a link to .*not-mounted/runs, which is not there"):
        train(paths, output)


def test_a_disk_that_removes_nothing_costs_no_model(paths, tmp_path, undisturbed, monkeypatch, capsys):
    """As an NFS does, where a deleted file is open."""

    def refuse(path: Path, ignore_errors: bool = False) -> None:
        if not ignore_errors:
            raise OSError(39, "Directory not empty", str(path))

    monkeypatch.setattr(shutil, "rmtree", refuse)
    train(paths, tmp_path)
    assert weights(tmp_path) == weights(undisturbed)
    assert f"the model is written, but {tmp_path / 'segments'} cannot be removed" in capsys.readouterr().err


# Modes ----------------------------------------------------------------------------------------------------------------


def test_files_are_readable_for_whom_the_umask_says(paths, tmp_path, monkeypatch):
    before = os.umask(0o027)
    monkeypatch.setattr(provenance_, "_UMASK", 0o027)  # which is read once, at the start of a process
    try:
        train(paths, tmp_path, stop=15)
        modes = {path: path.stat().st_mode & 0o777 for path in (tmp_path / "checkpoints/checkpoint-10").iterdir()}
        assert len(modes) == len(FILES) + 1
        train(paths, tmp_path)
    finally:
        os.umask(before)
    modes |= {path: path.stat().st_mode & 0o777 for path in tmp_path.rglob("*") if path.is_file()}
    assert tmp_path / "model.safetensors" in modes
    assert set(modes.values()) == {0o640}
