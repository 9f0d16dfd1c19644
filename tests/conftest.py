"""A small project that runs the whole workflow, shared by the tests that need real results.

Two shards: three narrated kitchen videos, a silent one, two test videos, and five files such as strangers have: cut off,
without sound, empty, a text named .mp4, and one that is not there.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]

# Small enough for minutes, large enough to be real.
SMALL = {
    "corpus": {"videos": "videos.tsv", "shard_size": 6},
    "codebook": {"branching": 4, "depth": 2},
    "vocabulary": {"size": 300},
    "pretrain": {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 64,
        "max_steps": 60,
        "save_steps": 10,
        "logging_steps": 10,
        "warmup_steps": 5,
        "threads": 1,
    },
    "scaling": {"shares": [0.5, 1.0], "seeds": [0]},  # one model beside the main one
    "captioning": {"hidden_size": 32, "intermediate_size": 64, "max_steps": 20},
    "evaluate": {
        "tasks": ["objectives", "zero_shot", "probe", "retrieval", "captioning", "forecasting", "scaling"],
        "threads": 1,
    },
    "report": {"words": 4, "examples": 2},
}
SOURCES = ["kitchen:0", "kitchen:4", "kitchen:7", "files/cut.mp4", "files/mute.mp4", "files/empty.mp4"]
SOURCES += ["kitchen:1", "kitchen:9", "kitchen:2", "files/text.mp4", "files/missing.mp4"]
SPLITS = {"kitchen:4": "test", "kitchen:9": "test"}


def snakemake(folder: Path, *arguments: str, check: bool = True) -> subprocess.CompletedProcess:
    """Runs Snakemake as a user would, in `folder`, and gives what it printed."""
    done = subprocess.run(command(folder, *arguments), capture_output=True, text=True, env=environment())
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


def command(folder: Path, *arguments: str) -> list[str]:
    files = ["--snakefile", ROOT / "Snakefile", "--directory", folder]
    return [str(word) for word in (sys.executable, "-m", "snakemake", *files, "--cores", "2", *arguments)]


def environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1"}


def configure(folder: Path, **sections: dict) -> None:
    """Writes config.yaml: the shipped one, made small, with these sections' keys changed."""
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    for changes in (SMALL, sections):
        for section, values in changes.items():
            config[section] = {**config[section], **values} if isinstance(values, dict) else values
    (folder / "config.yaml").write_text(yaml.safe_dump(config))


def project(folder: Path, files: Path, sources: list[str] = SOURCES) -> Path:
    """A project folder: the list, the files it names, config.yaml."""
    folder.mkdir(parents=True)
    shutil.copytree(files, folder / "files")
    rows = [f"{source}\t{SPLITS.get(source, 'train')}" for source in sources]
    (folder / "videos.tsv").write_text("source\tsplit\n" + "\n".join(rows) + "\n")
    configure(folder)
    return folder


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files such as strangers have, made of a kitchen video."""
    import av

    from videobert.kitchen.video import render

    folder = tmp_path_factory.mktemp("strangers")
    whole = folder / "whole.mp4"
    render(5, whole)
    data = whole.read_bytes()
    (folder / "cut.mp4").write_bytes(data[: len(data) // 2])
    (folder / "empty.mp4").write_bytes(b"")
    (folder / "text.mp4").write_text("#!/bin/sh\necho I am no video\n")
    with av.open(str(whole)) as source, av.open(str(folder / "mute.mp4"), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    whole.unlink()
    return folder


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, files: Path) -> Path:
    """A project that has run from nothing to the report, undisturbed. Tests must not change it: take a `copy`."""
    folder = project(tmp_path_factory.mktemp("finished") / "project", files)
    snakemake(folder, "report")
    return folder


# Masked pairs alone ground the words in some hundred steps; alignment would take thousands.
LEARN = {
    "hidden_size": 128,
    "num_attention_heads": 4,
    "intermediate_size": 256,
    "text_weight": 0.0,
    "video_weight": 0.0,
    "alignment_weight": 0.0,
    "mask_probability": 0.5,
    "max_steps": 350,
    "batch_size": 32,
    "learning_rate": 0.002,
    "warmup_steps": 30,
    "save_steps": 1000,
    "logging_steps": 100,
}


@pytest.fixture(scope="session")
def learnt(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The folders of a small world (synthetic.py) and of a model that was trained on it."""
    from synthetic import world
    from test_pretrain import SETTINGS

    from videobert.stages.pretrain import pretrain

    folder = tmp_path_factory.mktemp("world")
    paths = world(folder, videos=60, words=66, noise=0.1)
    pretrain(**paths, output=folder / "pretrain", **{**SETTINGS, **LEARN})
    return {"tokens": paths["tokens"], "manifest": paths["manifest"], "pretrain": folder / "pretrain"}


@pytest.fixture(scope="session")
def features(learnt: dict[str, Path]) -> Path:
    """The features that the small world's tokens were made of."""
    return learnt["tokens"].parent / "features"


def copy(folder: Path, target: Path) -> Path:
    """A copy with its times and Snakemake's memory of what was made how."""
    return Path(shutil.copytree(folder, target, symlinks=True))
