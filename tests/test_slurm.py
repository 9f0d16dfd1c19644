"""The workflow on a real Slurm (slurm.py), through profiles/slurm: the same bytes as here, after a kill, too.

Skipped unless VIDEOBERT_TEST_SLURM=1: it starts Slurm on this machine, as root (make test-slurm).
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import slurm
from conftest import ROOT, configure, environment, snakemake
from test_workflow import artefacts

ASKED = os.environ.get("VIDEOBERT_TEST_SLURM") == "1"
WHY = slurm.missing() if ASKED else "starts Slurm here, as root: make test-slurm"
pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(WHY), reason=WHY)]
# Without accounting, and with a node that answers at once.
FLAGS = ["--slurm-status-command", "squeue", "--slurm-no-account", "--slurm-init-seconds-before-status-checks", "1"]
FLAGS += ["--seconds-between-status-checks", "1", "--latency-wait", "10"]


@pytest.fixture(scope="module")
def cluster():
    slurm.start()
    yield
    slurm.stop()


def project(folder: Path) -> Path:
    folder.mkdir()
    (folder / "videos.tsv").write_text("source\tsplit\nkitchen:0\ttrain\nkitchen:4\ttest\n", encoding="utf-8")
    configure(folder, corpus={"shard_size": 1})
    return folder


def start(folder: Path, log: Path) -> subprocess.Popen:
    files = ["--snakefile", ROOT / "Snakefile", "--directory", folder, "--profile", ROOT / "profiles/slurm"]
    command = [sys.executable, "-m", "snakemake", *map(str, files), *FLAGS, "tokens"]
    with open(log, "w", encoding="utf-8") as file:
        return subprocess.Popen(command, stdout=file, stderr=file, env=environment(), cwd=folder)


def test_a_workflow_that_was_killed_is_finished_with_the_bytes_of_a_local_run(cluster, tmp_path):
    """Its jobs go on when it is killed, and the next run submits the same shards again."""
    folder, log = project(tmp_path / "cluster"), tmp_path / "log"
    first = start(folder, log)
    deadline = time.monotonic() + 300
    while not list((folder / "results").glob("download/*/.*.lease")):
        assert first.poll() is None and time.monotonic() < deadline, log.read_text(encoding="utf-8")
        time.sleep(0.1)
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert start(folder, log).wait(900) == 0, log.read_text(encoding="utf-8")
    said = log.read_text(encoding="utf-8")
    assert "has been submitted with SLURM jobid" in said and "RuntimeWarning" not in said
    here = project(tmp_path / "here")
    snakemake(here, "tokens")
    assert artefacts(folder) == artefacts(here)
