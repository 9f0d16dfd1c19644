"""Evaluation: the tasks' figures in one file, with the protocol by which each was measured, and in the model's card."""

import json
import shutil

import numpy as np
import pytest
import yaml
from calls import evaluate

from videobert.data.provenance import sha256, write_json
from videobert.errors import UserError
from videobert.evaluation.scoring import means
from videobert.evaluation.steps import Step
from videobert.evaluation.task import in_words


def note(task: str, model: str) -> dict:
    return {"stage": task, "version": 3, "settings": {"seed": 5}, "inputs": {"model": model}}


@pytest.fixture
def model(learnt, tmp_path):
    """A copy of a trained model's folder."""
    folder = shutil.copytree(learnt["pretrain"], tmp_path / "pretrain")
    (folder / "README.md").unlink(missing_ok=True)
    return folder


def test_the_figures_of_all_tasks_stand_beside_their_protocol(model, tmp_path):
    provenance = sha256(model / "model.safetensors")
    alignment = {"alignment": {"accuracy": 0.9, "accuracy_interval": [0.85, 0.95]}}
    write_json({"summary": alignment}, tmp_path / "objectives.json", note("objectives", provenance))
    labels = {"verb": ["cut"], "object": ["onion"]}
    rows = {
        "chance": {"verb_top1": 0.0625},
        "cross_modal": {"verb_top1": 0.5, "verb_top1_interval": [0.4, 0.6], "count": 9},
    }
    zero_shot = {"summary": {"zero_shot": rows}, "labels": labels}
    write_json(zero_shot, tmp_path / "zero_shot.json", note("zero_shot", provenance))
    skipped = {"summary": {"retrieval": {"steps": {"skipped": "no annotations"}}}}
    write_json(skipped, tmp_path / "retrieval.json", note("retrieval", provenance))
    evaluate(tmp_path, model, tmp_path / "metrics.json", ["objectives", "zero_shot", "retrieval"])
    metrics = json.loads((tmp_path / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["alignment"] == alignment["alignment"] and metrics["zero_shot"] == rows
    assert metrics["protocol"]["objectives"] == {"version": 3, "seed": 5}
    assert metrics["protocol"]["zero_shot"] == {"version": 3, "seed": 5, "labels": labels}
    assert set(metrics["provenance"]["inputs"]) == {"objectives", "zero_shot", "retrieval"}

    _, front, card = (model / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    assert yaml.safe_load(front)["library_name"] == "videobert"
    lines = card.splitlines()
    assert "| chance | 0.06 |  |" in lines
    assert "| cross modal | 0.50 (0.40 – 0.60) | 9 |" in lines
    table = lines.index("| chance | 0.06 |  |")
    assert lines[table - 2 : table] == ["|  | verb top-1 | count |", "| --- | --- | --- |"]
    assert lines[table + 1].startswith("| cross modal")  # a blank line would end the table
    assert "steps: not measured: no annotations." in lines
    assert provenance in card and "48 videos" in card and str(tmp_path) not in card


@pytest.mark.parametrize("videos", [1, 2, 9, 10])
def test_too_few_videos_bear_no_interval(videos):
    steps = [Step(f"video {number}", 0.0, 1.0, "cut", "onion", "") for number in range(videos) for _ in range(3)]
    figures = means(steps, {"verb_top1": np.arange(3.0 * videos) % 2, "object_top1": np.ones(3 * videos)}, 0)
    if videos < 10:
        assert figures.keys() == {"count", "verb_top1", "object_top1", "no_interval"}
        assert figures["no_interval"] == f"{videos} test video{'s' * (videos > 1)}, where an interval needs 10"
        assert in_words({"zero_shot": figures}) == "zero_shot 0.50/1.00" or videos % 2
    else:
        low, high = figures["verb_top1_interval"]
        assert low < 0.5 < high and figures["object_top1_interval"] == [1.0, 1.0] and "no_interval" not in figures


def test_the_card_says_why_there_is_no_interval(model, tmp_path):
    why = "1 test video, where an interval needs 10"
    rows = {name: {"verb_top1": 0.5, "count": 3, "no_interval": why} for name in ("language_prior", "cross_modal")}
    provenance = sha256(model / "model.safetensors")
    write_json({"summary": {"zero_shot": rows}}, tmp_path / "zero_shot.json", note("zero_shot", provenance))
    evaluate(tmp_path, model, tmp_path / "metrics.json", ["zero_shot"])
    lines = (model / "README.md").read_text(encoding="utf-8").splitlines()
    assert lines.count(f"Without intervals: {why}.") == 1 and "| cross modal | 3 | 0.50 |" in lines


def test_a_task_that_was_not_measured_is_named(model, tmp_path):
    with pytest.raises(UserError, match=r"zero_shot\.json is missing: run snakemake --cores all zero_shot"):
        evaluate(tmp_path, model, tmp_path / "metrics.json", ["zero_shot"])


def test_figures_of_another_model_are_refused(model, tmp_path):
    write_json({"summary": {}}, tmp_path / "objectives.json", note("objectives", "0" * 64))
    with pytest.raises(UserError, match=r"objectives\.json was measured on another model"):
        evaluate(tmp_path, model, tmp_path / "metrics.json", ["objectives"])
    assert not (model / "README.md").exists()
