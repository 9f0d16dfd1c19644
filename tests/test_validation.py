"""Validation videos: they are measured while a model trains, change nothing of how it trains, and choose its weights."""

import json
import os
import shutil
import signal
from pathlib import Path

import pyarrow as pa
import pytest
import torch
from calls import only, pretrain, shards
from small_model import SETTINGS
from synthetic import world
from test_pretrain import digests
from test_stopping import at_step as at_step  # a fixture
from transformers import AutoModelForPreTraining

from videobert.data.provenance import read_provenance, read_table, write_table
from videobert.errors import Unfinished
from videobert.model.examples import Examples
from videobert.model.sequences import read_segments, read_vocabulary
from videobert.model.settings import PretrainSettings
from videobert.stages import pretrain as stage

MEASURED = {**SETTINGS, "eval_steps": 6}


@pytest.fixture(scope="module")
def paths(tmp_path_factory) -> dict[str, Path]:
    """The test videos are for validation here."""
    paths = world(tmp_path_factory.mktemp("world"), videos=20)
    for file in sorted(paths["tokens"].glob("*.parquet")):
        note, table = read_provenance(file), read_table(file)
        place = table.schema.get_field_index("split")
        splits = ["validation" if split == "test" else split for split in table["split"].to_pylist()]
        write_table(table.set_column(place, "split", pa.array(splits)), file, note)
    return paths


@pytest.fixture(scope="module")
def measured(paths, tmp_path_factory) -> Path:
    output = tmp_path_factory.mktemp("measured")
    pretrain(**paths, output=output, **MEASURED)
    return output


def facts(output: Path) -> dict:
    return json.loads((output / "training.json").read_text(encoding="utf-8"))


def spoil(model) -> None:
    for weights in model.parameters():
        weights.data.mul_(3)


def test_the_model_has_the_weights_that_were_best_on_them(paths, tmp_path, at_step):
    at_step(57, spoil)  # the last measurement is bad
    pretrain(**paths, output=tmp_path, **MEASURED)
    validation = facts(tmp_path)["validation"]
    curve, best = validation["curve"], validation["best"]
    assert [point["step"] for point in curve] == list(range(6, 61, 6))
    lowest = min(curve, key=lambda point: point["loss"])
    assert best["step"] == lowest["step"] < 60 and best["loss"] == pytest.approx(lowest["loss"], abs=1e-6)
    assert {"text_loss", "video_loss", "text_video_loss", "alignment_loss"} < set(curve[0])
    segments = read_segments(shards(paths["tokens"], paths["manifest"]), "validation")
    words = read_vocabulary(paths["vocabulary"] / "tokenizer.json", 96)
    examples = Examples(segments, words, only(PretrainSettings, MEASURED))
    rows = [examples[index] for index in range(len(examples.rows))]
    with torch.no_grad():
        loss = AutoModelForPreTraining.from_pretrained(tmp_path)(**examples.collate(rows)).loss
    assert float(loss) == pytest.approx(best["loss"], abs=1e-3)
    assert not (tmp_path / "checkpoints").exists()


def test_measuring_changes_nothing_of_the_training(paths, measured, tmp_path):
    pretrain(**paths, output=tmp_path, **SETTINGS)
    assert facts(tmp_path)["curve"] == facts(measured)["curve"] and "validation" not in facts(tmp_path)


def test_a_training_that_was_stopped_knows_what_was_best_before(paths, tmp_path, at_step):
    """Step 27 lies between two measurements, and the best weights are those of step 18."""
    output, undisturbed = tmp_path / "model", tmp_path / "undisturbed"
    at_step(19, spoil)
    pretrain(**paths, output=undisturbed, **MEASURED)
    assert facts(undisturbed)["validation"]["best"]["step"] == 18
    at_step(27, lambda model: os.kill(os.getpid(), signal.SIGTERM))
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Unfinished):
        pretrain(**paths, output=output, **MEASURED)
    signal.signal(signal.SIGTERM, before)
    assert [path.name.split("-")[2] for path in output.glob("checkpoints/best-*")] == ["18"]
    pretrain(**paths, output=output, **MEASURED)
    assert digests(output) == digests(undisturbed)


def test_checkpoints_may_come_before_the_first_measurement(paths, tmp_path):
    pretrain(
        **paths, output=tmp_path, **{**SETTINGS, "max_steps": 20, "save_steps": 5, "logging_steps": 5, "eval_steps": 15}
    )
    assert [point["step"] for point in facts(tmp_path)["validation"]["curve"]] == [15, 20]


def test_best_weights_that_somebody_deleted_cost_no_training(paths, tmp_path, monkeypatch, capsys):
    """A disk was swept between the last step and the model."""
    settings = {**MEASURED, "max_steps": 20}
    with monkeypatch.context() as patch:
        patch.setattr(stage, "_write", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            pretrain(**paths, output=tmp_path, **settings)
    for best in tmp_path.glob("checkpoints/best-*"):
        shutil.rmtree(best)
    pretrain(**paths, output=tmp_path, **settings)
    assert "is gone, the best weights so far" in capsys.readouterr().err
    assert facts(tmp_path)["validation"]["best"]["step"] == 20


def test_without_such_videos_the_last_step_is_kept_and_it_says_so(tmp_path, capsys):
    paths = world(tmp_path / "world", videos=4)
    for steps in (None, 5):
        pretrain(**paths, output=tmp_path / str(steps), **{**SETTINGS, "max_steps": 10, "eval_steps": steps})
    assert "no video is for validation" in capsys.readouterr().err
    assert facts(tmp_path / "None")["curve"] == facts(tmp_path / "5")["curve"]
    assert "validation" not in facts(tmp_path / "5")
