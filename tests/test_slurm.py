"""The workflow on a real Slurm (slurm.py), through profiles/slurm: whatever happens to it, the same bytes as here.

Skipped unless VIDEOBERT_TEST_SLURM=1: it starts Slurm on this machine, as root (make test-slurm).
"""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
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
    configure(folder, corpus={"shard_size": 2}, pretrain={"device": "cpu", "dropout": 0.0})
    return folder


class Cluster:
    """A workflow on the cluster, in a folder; what it says is in `log`."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.log = folder, folder / "log"

    def start(self, *arguments: str) -> subprocess.Popen:
        files = ["--snakefile", ROOT / "Snakefile", "--directory", self.folder, "--profile", ROOT / "profiles/slurm"]
        command = [sys.executable, "-m", "snakemake", *map(str, files), *FLAGS, *arguments]
        with open(self.log, "a", encoding="utf-8") as file:
            return subprocess.Popen(command, stdout=file, stderr=file, env=environment(), cwd=self.folder)

    def run(self, *arguments: str) -> int:
        return self.start(*arguments).wait(600)

    @property
    def said(self) -> str:
        return self.log.read_text(encoding="utf-8")

    def until(self, process: subprocess.Popen, happens: Callable[[], object]) -> None:
        deadline = time.monotonic() + 300
        while not happens():
            assert process.poll() is None and time.monotonic() < deadline, self.said
            time.sleep(0.1)


def running(rule: str) -> list[tuple[str, str]]:
    """The jobs of a rule that run: (id, node)."""
    said = subprocess.run(["squeue", "-h", "-t", "running", "-o", "%i %N %k"], capture_output=True, text=True).stdout
    return [(line.split()[0], line.split()[1]) for line in said.splitlines() if f"rule_{rule}" in line]


def scontrol(*words: str) -> None:
    subprocess.run(["scontrol", *words], check=True)


def test_whatever_happens_to_a_workflow_it_makes_the_bytes_of_a_local_run(cluster, tmp_path):
    """In turn: Snakemake is killed while a job runs, a job is cancelled, a node is drained while one runs there, one takes more
    memory than it asked for, and a training runs out of time, twice."""
    there = Cluster(project(tmp_path / "cluster"))
    assert there.run("tokens", "--set-resources", "features_shard:slurm_partition=gpus")
    assert (
        "slurm_partition of features_shard is 'gpus', but this cluster has no gpus: it has main, short." in there.said
    )
    assert "submitted" not in there.said
    # The plugin chooses partitions by a file with what they have.
    partitions = there.folder / "partitions.yaml"
    generate = Path(sys.executable).parent / "generate-slurm-partition-config"  # activated or not
    subprocess.run([generate, "-o", partitions], check=True)
    # Its jobs go on when it is killed, and the next run submits the same shards again.
    first = there.start("tokens")
    there.until(first, lambda: list((there.folder / "results").glob("download/*/.*.lease")))
    first.send_signal(signal.SIGKILL)
    first.wait()
    # 300 MB are too little at the first attempt. In a minute, less what is left for a checkpoint, there is time for one step.
    needs = ["features_shard:mem_mb=300*10**(attempt-1)", "pretrain:runtime=max(1,60*(attempt-2))"]
    second = there.start("tokens", "pretrain", "--slurm-partition-config", str(partitions), "--set-resources", *needs)
    there.until(second, lambda: running("transcribe_shard"))
    subprocess.run(["scancel", running("transcribe_shard")[0][0]], check=True)
    there.until(second, lambda: running("frames_shard"))
    node = running("frames_shard")[0][1]
    scontrol("update", f"nodename={node}", "state=drain", "reason=test")
    there.until(second, lambda: running("features_shard"))
    assert running("features_shard")[0][1] != node
    scontrol("update", f"nodename={node}", "state=resume")
    assert second.wait(600) == 0, there.said
    assert {"transcribe", "features", "pretrain"} == set(re.findall(r"^(\w+)\S* failed: \S", there.said, re.MULTILINE))
    said = re.findall("stopped at step ([12]) of 60, which is saved: it", there.said)
    assert list(dict.fromkeys(said)) == ["1", "2"], there.said
    assert "RuntimeWarning" not in there.said
    jobs = subprocess.run(["scontrol", "show", "job"], capture_output=True, text=True).stdout
    assert "Partition=short" in jobs and "Partition=main" in jobs

    here = project(tmp_path / "here")
    snakemake(here, "tokens", "pretrain")
    assert artefacts(there.folder) == artefacts(here)
