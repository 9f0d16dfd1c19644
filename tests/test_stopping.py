"""A training that stops before its last step: it has saved the step, and ends in the bits of one that did not stop."""

import json
import os
import signal
from pathlib import Path

import pytest
from calls import pretrain
from small_model import SETTINGS
from synthetic import world
from test_pretrain import digests
from transformers import TrainerCallback

from videobert.errors import Unfinished, UserError
from videobert.model import callbacks, training
from videobert.stages import pretrain as stage


@pytest.fixture(scope="module")
def paths(tmp_path_factory) -> dict[str, Path]:
    return world(tmp_path_factory.mktemp("world"), videos=20)


@pytest.fixture(scope="module")
def undisturbed(paths, tmp_path_factory) -> Path:
    output = tmp_path_factory.mktemp("undisturbed")
    pretrain(**paths, output=output, **SETTINGS)
    return output


@pytest.fixture(autouse=True)
def sigterm():
    """A training that stops ignores SIGTERM from then on, since its process ends. Here it goes on, and children inherit that."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def at_step(monkeypatch):
    """Has functions called in certain steps, before the weights are looked at and saved."""
    functions = {}

    class At(TrainerCallback):
        def on_optimizer_step(self, args, state, control, model=None, **kwargs):
            functions.get(state.global_step + 1, lambda model: None)(model)

    def make(*arguments):
        trainer = training.make_trainer(*arguments)
        trainer.add_callback(At())
        return trainer

    monkeypatch.setattr(stage, "make_trainer", make)
    return functions.__setitem__


def saved(output: Path) -> list[str]:
    return sorted(path.parent.name for path in output.glob("checkpoints/checkpoint-*/whole"))


def test_sigterm_saves_the_step_and_the_curve_shows_nothing_of_it(paths, undisturbed, tmp_path, at_step):
    """Step 27 lies between two checkpoints and between two points of the curve."""
    output = tmp_path / "model"
    at_step(27, lambda model: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(Unfinished, match=r"step 27 of 60, which is saved: .*SIGTERM.*same command"):
        pretrain(**paths, output=output, **SETTINGS)
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_IGN, "a second one must not cut off what it says"
    assert saved(output) == ["checkpoint-20", "checkpoint-27"]
    pretrain(**paths, output=output, **SETTINGS)
    assert digests(output) == digests(undisturbed)


def test_it_stops_in_time_and_has_saved_by_then(paths, undisturbed, tmp_path, monkeypatch):
    """With a minute, less what is left for a save, it stops at once; what it is given does not show in the model."""
    output = tmp_path / "model"
    with pytest.raises(Unfinished, match="step 1 of 60, which is saved: its time is nearly over"):
        pretrain(**paths, output=output, **SETTINGS, runtime=1)
    monkeypatch.setattr(callbacks, "STARTING", 0.0)
    monkeypatch.setattr(callbacks, "FIRST_SAVE", 0.1)
    pretrain(**paths, output=output, **SETTINGS, runtime=1)
    assert digests(output) == digests(undisturbed)


@pytest.mark.parametrize("what", ["loss", "weights"])
def test_numbers_that_are_none_stop_it_at_the_last_good_checkpoint(paths, tmp_path, at_step, what):
    def spoil(model) -> None:
        for weights in model.parameters():
            weights.data.fill_(float("nan"))

    output = tmp_path / "model"
    # A loss that is logged where nothing is saved; in step 20 the loss was reckoned before.
    step, seen = (12, 15) if what == "loss" else (20, 20)
    at_step(step, spoil)
    with pytest.raises(UserError, match=rf"at step {seen}: nothing is saved of it.*learning_rate"):
        pretrain(**paths, output=output, **{**SETTINGS, "logging_steps": 5})
    assert saved(output) == ["checkpoint-10"]
    assert not (output / "model.safetensors").exists()


def test_a_batch_in_parts_trains_the_same_model(paths, tmp_path):
    curves = {}
    for parts in (1, 4):
        settings = {
            **SETTINGS,
            "dropout": 0.0,
            "max_steps": 10,
            "logging_steps": 2,
            "gradient_accumulation_steps": parts,
        }
        pretrain(**paths, output=tmp_path / str(parts), **settings)
        curves[parts] = json.loads((tmp_path / str(parts) / "training.json").read_text(encoding="utf-8"))["curve"]
    assert len(curves[1]) == 5
    for one, other in zip(curves[1], curves[4], strict=True):
        assert other == pytest.approx(one, abs=1e-4)
    with pytest.raises(UserError, match="batch_size is 8, but must be a multiple of 3 "):
        pretrain(**paths, output=tmp_path / "3", **{**SETTINGS, "gradient_accumulation_steps": 3})
