"""Pretrained weights are fetched where there is a network, before the first job, and found without one from then on."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, command, configure, environment, snakemake
from hub import hub
from test_initial_model import bert  # noqa: F401 - a fixture

from videobert.config import check
from videobert.data.provenance import read_json
from videobert.errors import UserError
from videobert.process import OFFLINE, work_offline
from videobert.speech.weights import ctranslate2_is_here, openai_is_here
from videobert.weights import needed, weights

SHOW = f"""
rule shown:
    output: "shown"
    shell: "printenv {OFFLINE} > {{output}} || true"
"""
INCLUDED = f'include: "{ROOT}/Snakefile"'
AS_A_MODULE = f"""
module videobert:
    snakefile: "{ROOT}/Snakefile"
    config: {{"corpus": {{"videos": "kitchen"}}}}
use rule * from videobert as videobert_*
"""


# As a cluster's executor starts a job there.
ON_A_NODE = ["--mode", "remote", "--no-hooks", "--target-jobs", "shown:", "--allowed-rules", "shown"]


@pytest.fixture
def folder(tmp_path) -> Path:
    (tmp_path / "videos.tsv").write_text("source\nkitchen:0\nkitchen:1\n", encoding="utf-8")
    configure(tmp_path)
    return tmp_path


@pytest.mark.slow
def test_what_the_target_has_fetched_is_found_without_a_network(folder, bert):  # noqa: F811
    whisper = folder / "whisper"
    whisper.mkdir()
    for name in ("model.bin", "config.json", "tokenizer.json", "vocabulary.txt"):
        (whisper / name).write_text("{}", encoding="utf-8")
    name = "user/bert"
    configure(
        folder,
        transcribe={"model": "base.en"},
        vocabulary={"tokenizer": name},
        pretrain={"initial_model": name},
        zero_shot={"text_model": name},
    )
    variables = {**environment(), "HF_HOME": str(folder / "cache"), "NO_PROXY": "127.0.0.1", "PYTHONPATH": str(ROOT)}
    variables.pop(OFFLINE, None)
    with hub({name: bert, "Systran/faster-whisper-base.en": whisper}) as address:
        variables["HF_ENDPOINT"] = address
        done = subprocess.run(command(folder, "weights"), env=variables, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = read_json(folder / "results/weights.json")["weights"]
    assert {Path(file).name for file in found[0]["files"]} == {file.name for file in whisper.iterdir()}
    for entry in found[2:]:
        assert {"config.json", "model.safetensors", "tokenizer.json"} <= {Path(file).name for file in entry["files"]}
    again = [sys.executable, "-m", "videobert", "weights", "config.yaml", "--record", "again.json"]
    done = subprocess.run(again, cwd=folder, env=variables | {OFFLINE: "1"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert read_json(folder / "again.json")["weights"] == found
    log = (folder / "results/logs/weights.log").read_text(encoding="utf-8")
    assert len(done.stdout) > 1000 and done.stdout in log
    checked = subprocess.run(["sha256sum", "--check", "--quiet"], input=done.stdout, text=True)
    assert checked.returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("snakefile", "words", "said"),
    [(INCLUDED, [], "1\n"), (INCLUDED, ON_A_NODE, "1\n"), (AS_A_MODULE, [], ""), (AS_A_MODULE, ON_A_NODE, "")],
    ids=["here", "on a node", "as a module", "as a module on a node"],
)
def test_jobs_ask_no_hub_where_the_workflow_has_fetched_the_weights(folder, snakefile, words, said):
    """As a module it has not: nobody calls its `onstart`."""
    (folder / "Snakefile").write_text(snakefile + SHOW, encoding="utf-8")
    snakemake(folder, "--snakefile", folder / "Snakefile", "shown", *words)
    assert (folder / "shown").read_text(encoding="utf-8") == said


def test_the_target_asks_the_hub_and_runs_whenever_it_is_asked_for(folder, planned):
    planned_ = snakemake(folder, "-n", "-p", "weights").stdout
    assert f"env -u {OFFLINE} python -m videobert weights /dev/stdin --record results/weights.json" in planned_
    assert set(planned(folder, "tokens")) & {"weights"} == set()


def test_a_users_own_word_on_the_hub_holds(monkeypatch):
    monkeypatch.setenv(OFFLINE, "0")
    work_offline()
    assert os.environ[OFFLINE] == "0"


def test_without_a_network_all_that_is_missing_is_named_at_once(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv(OFFLINE, "")  # so that it is put back
    monkeypatch.delenv(OFFLINE)
    monkeypatch.setattr("videobert.weights.reaches", lambda url: False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)  # it was imported before
    (tmp_path / "config.yaml").write_text(
        "transcribe: {engine: captions}\nvocabulary: {tokenizer: user/none}\nzero_shot: {text_model: user/none}\n",
        encoding="utf-8",
    )
    with pytest.raises(UserError) as error:
        weights([tmp_path / "config.yaml"])
    named = [line.split(" ")[0] for line in str(error.value).split("\n")]
    assert named == ["vocabulary.tokenizer:", "zero_shot.text_model:"] and os.environ[OFFLINE] == "1"
    assert capsys.readouterr().err.count("does not answer; looking on this machine alone") == 1


def test_what_lies_here_for_one_engine_must_be_fetched_for_the_other(tmp_path, monkeypatch):
    monkeypatch.setenv("VIDEOBERT_CACHE", str(tmp_path))
    (tmp_path / "small.en.pt").touch()
    (tmp_path / "faster-whisper-base.en").mkdir()
    assert openai_is_here("small.en") and not ctranslate2_is_here("small.en") and not ctranslate2_is_here("base.en")
    (tmp_path / "faster-whisper-base.en/model.bin").touch()
    assert ctranslate2_is_here("base.en") and not openai_is_here("base.en")
    for engine, count in (("faster-whisper", 0), ("openai-whisper", 1)):
        config = check({"transcribe": {"engine": engine, "model": "base.en"}})
        assert len(needed(config, ["transcribe"])) == count
