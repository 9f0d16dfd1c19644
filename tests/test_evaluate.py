"""Evaluation: the tasks' figures in one file, with the protocol by which each was measured."""

import json

import pytest

from videobert.artefact import write_json
from videobert.errors import UserError
from videobert.evaluate import evaluate


def note(task: str) -> dict:
    return {"stage": task, "version": 3, "settings": {"seed": 5}}


def test_the_figures_of_all_tasks_stand_beside_their_protocol(tmp_path):
    write_json({"summary": {"alignment": {"accuracy": 0.9}}}, tmp_path / "objectives.json", note("objectives"))
    labels = {"verb": ["cut"], "object": ["onion"]}
    zero_shot = {"summary": {"zero_shot": {"chance": {"verb_top1": 1.0}}}, "labels": labels}
    write_json(zero_shot, tmp_path / "zero_shot.json", note("zero_shot"))
    evaluate(tmp_path, tmp_path / "metrics.json", ["objectives", "zero_shot"])
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["alignment"] == {"accuracy": 0.9} and metrics["zero_shot"] == {"chance": {"verb_top1": 1.0}}
    assert metrics["protocol"]["objectives"] == {"version": 3, "seed": 5}
    assert metrics["protocol"]["zero_shot"] == {"version": 3, "seed": 5, "labels": labels}
    assert set(metrics["made"]["inputs"]) == {"objectives", "zero_shot"}


def test_a_task_that_was_not_measured_is_named(tmp_path):
    with pytest.raises(UserError, match=r"zero_shot\.json is missing: run snakemake --cores all zero_shot"):
        evaluate(tmp_path, tmp_path / "metrics.json", ["zero_shot"])
