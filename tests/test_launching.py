"""A stage in several processes: through the rule, killed and gone on with; and what is said where they cannot be had."""

import json
import os
import shutil
import signal
import subprocess
import time

import pytest
import torch
from calls import pretrain
from conftest import command, configure, copy, environment, snakemake

from videobert.config import of_stage
from videobert.errors import UserError
from videobert.lease import HELD
from videobert.model import launching
from videobert.model.launching import launch
from videobert.model.settings import PretrainExecution


@pytest.mark.slow
def test_two_processes_of_the_rule_are_killed_and_train_the_model_of_one(finished, tmp_path):
    folder = copy(finished, tmp_path / "two")
    shutil.rmtree(folder / "results/pretrain")
    settings = {"dropout": 0.0, "max_steps": 80, "save_steps": 20, "seed": 1}
    configure(folder, pretrain=settings | {"processes": 2})
    checkpoints = folder / "results/pretrain/checkpoints"
    first = subprocess.Popen(command(folder, "pretrain"), stderr=subprocess.DEVNULL, env=environment())
    while not list(checkpoints.glob("checkpoint-*/whole")):
        assert first.poll() is None
        time.sleep(0.02)
    first.send_signal(signal.SIGKILL)
    first.wait()
    snakemake(folder, "pretrain")
    log = (folder / "results/logs/pretrain.log").read_text(encoding="utf-8")
    assert "going on from checkpoint-" in log and "Warning" not in log
    results, model = folder / "results", tmp_path / "model"
    inputs = {name: results / name for name in ("tokens", "codebook", "vocabulary", "features", "frames")}
    one = of_stage([folder / "config.yaml"], "pretrain") | {"processes": 1}
    pretrain(**inputs, manifest=results / "corpus/manifest.parquet", output=model, **one)
    curves = [json.loads((place / "training.json").read_text()) for place in (results / "pretrain", model)]
    assert [facts["provenance"]["execution"]["processes"] for facts in curves] == [2, 1]
    assert len(curves[0]["curve"]) == 8
    for two, alone in zip(curves[0]["curve"], curves[1]["curve"], strict=True):
        assert two == pytest.approx(alone, abs=1e-3)


@pytest.fixture(autouse=True)
def unlaunched(monkeypatch):
    """The environment as it was, after the launcher's part of it."""
    for name in (HELD, launching.RENDEZVOUS, "SLURM_JOB_ID"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


def test_what_cannot_be_had_is_said_in_a_line(monkeypatch):
    with pytest.raises(UserError, match=r"pretrain\.nodes is 2, but this is no job of Slurm: .*profiles/slurm"):
        launch(PretrainExecution(nodes=2), ["pretrain"])
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    with pytest.raises(UserError, match=r"pretrain\.processes is 4, but there are 3 GPUs"):
        launch(PretrainExecution(processes=4), ["pretrain"])


def test_the_nodes_of_a_job_meet_at_its_first_one(tmp_path, monkeypatch):
    """srun is called once for each node; it gets the command, and where they meet."""
    (tmp_path / "srun").write_text(
        '#!/bin/sh\necho "$VIDEOBERT_RENDEZVOUS [$VIDEOBERT_WORKFLOW] $@" > "$0.said"\nexit 75\n'
    )
    (tmp_path / "srun").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_JOB_ID", "12345")
    monkeypatch.setenv("VIDEOBERT_WORKFLOW", "1")  # Snakemake's process on this node: on others it would be found gone
    with pytest.raises(SystemExit) as ended:
        launch(PretrainExecution(nodes=2, processes=4, threads=3), ["pretrain", "--seed=1"])
    assert ended.value.code == 75
    said = (tmp_path / "srun.said").read_text()
    assert said.split()[0].endswith(":22345") and said.split()[1] == "[]"
    assert "--nodes=2 --ntasks=2 --ntasks-per-node=1 --cpus-per-task=12" in said and "--gpus-per-node=4" in said
    assert said.rstrip().endswith("-m videobert pretrain --seed=1")


def test_rules_ask_for_the_processes_and_nodes_of_a_training(tmp_path):
    (tmp_path / "videos.tsv").write_text("source\nkitchen:0\nkitchen:1\n", encoding="utf-8")
    configure(tmp_path, pretrain={"processes": 2, "nodes": 4, "threads": 4}, features={"device": "cpu"})
    said = snakemake(tmp_path, "-n", "pretrain", "--cores", "64").stdout
    job = said.split("\nrule pretrain:\n")[1].split("\n\n")[0]
    assert "threads: 8" in job
    wanted = dict(item.split("=") for item in job.split("resources: ")[1].split("\n")[0].split(", "))
    assert {name: wanted[name] for name in ("gpu", "nodes", "tasks", "mpi", "tasks_per_gpu")} == {
        "gpu": "8",
        "nodes": "4",
        "tasks": "4",
        "mpi": "srun",
        "tasks_per_gpu": "0",
    }
    done = snakemake(tmp_path, "pretrain", check=False)
    assert done.returncode and "pretrain.nodes is 4, but this run submits no jobs" in done.stderr
