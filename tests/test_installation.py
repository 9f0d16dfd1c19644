"""The package in empty environments, as other people install it: built, installed with each extra, and used from a folder
that holds nothing of this checkout.

It downloads and installs for minutes, so `make test` leaves it out and `make test-install` runs it (.ci/run does).
"""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from conftest import ROOT, SMALL

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif("VIDEOBERT_TEST_INSTALL" not in os.environ, reason="installs for minutes: make test-install"),
]
SOURCES = {"kitchen:0": "train", "kitchen:1": "train", "kitchen:4": "test"}
CONFIG = {
    "evaluate": {"tasks": ["objectives", "zero_shot", "captioning"], "threads": 1},
    "corpus": {"videos": "videos.tsv", "shard_size": 2},
}
# What needs the extra `pipeline`.
PIPELINE = ["accelerate", "faster_whisper", "pandas", "sklearn", "snakemake", "whisper", "yt_dlp"]


def run(folder: Path, *command: object, check: bool = True) -> subprocess.CompletedProcess:
    """Runs a command where nothing points to this checkout."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "VIDEOBERT"))}
    words = [str(word) for word in command]
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True)
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run(ROOT, sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, ".")
    return next(folder.glob("*.whl"))


def install(wheel: Path, folder: Path, extras: str) -> Path:
    """An empty environment with the package in it. Says how long that took and how large it is."""
    start = time.monotonic()
    run(folder.parent, sys.executable, "-m", "venv", folder)
    pip = [folder / "bin" / "python", "-m", "pip", "install", "--quiet"]
    run(folder.parent, *pip, "--constraint", ROOT / "requirements.lock", f"{wheel}{extras}")
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file() and not file.is_symlink())
    count = len(list(folder.glob("lib/*/site-packages/*.dist-info")))
    print(f"videobert{extras}: {time.monotonic() - start:.0f} s, {size / 1e6:,.0f} MB, {count} packages")
    return folder / "bin"


@pytest.fixture(scope="module")
def pipeline(wheel, tmp_path_factory) -> Path:
    return install(wheel, tmp_path_factory.mktemp("pipeline") / "venv", "[pipeline,kitchen]")


@pytest.fixture(scope="module")
def core(wheel, tmp_path_factory) -> Path:
    return install(wheel, tmp_path_factory.mktemp("core") / "venv", "")


@pytest.fixture(scope="module")
def made(pipeline, tmp_path_factory) -> Path:
    """A folder that was empty, after the installed workflow has run there."""
    folder = tmp_path_factory.mktemp("empty")
    write_inputs(folder)
    (folder / "small.yaml").write_text(yaml.safe_dump(SMALL | CONFIG), encoding="utf-8")
    snakefile = run(folder, pipeline / "videobert", "workflow").stdout.strip()
    run(folder, pipeline / "snakemake", "--snakefile", snakefile, "--cores", 2, "--configfile", "small.yaml")
    return folder


def write_inputs(folder: Path) -> None:
    rows = [f"{source}\t{split}" for source, split in SOURCES.items()]
    (folder / "videos.tsv").write_text("source\tsplit\n" + "\n".join(rows) + "\n", encoding="utf-8")


def small_kitchen() -> dict:
    config = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
    for section, changes in (SMALL | CONFIG).items():
        config[section] |= changes
    return config


def test_the_installed_workflow_runs_in_an_empty_folder(made):
    assert (made / "results/report/index.html").stat().st_size > 10_000
    assert set(json.loads((made / "results/evaluate/metrics.json").read_text(encoding="utf-8"))) >= {
        "alignment",
        "zero_shot",
        "captioning",
    }


def test_without_a_configuration_it_is_the_built_in_corpus_with_the_profile(pipeline, tmp_path):
    snakefile = run(tmp_path, pipeline / "videobert", "workflow").stdout.strip()
    planned = run(tmp_path, pipeline / "snakemake", "--snakefile", snakefile, "-n")
    assert "download_shard           6" in planned.stdout + planned.stderr
    assert str(Path(snakefile).parent / "profiles" / "default") in planned.stdout + planned.stderr


def test_another_workflow_takes_it_as_a_module(pipeline, made, tmp_path):
    """From scratch to the tokens; the caller's own rule reads them."""
    write_inputs(tmp_path)
    snakefile = run(tmp_path, pipeline / "videobert", "workflow").stdout.strip()
    own = small_kitchen() | {"results": "videos"}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({"videobert": own}), encoding="utf-8")
    (tmp_path / "Snakefile").write_text(MODULE.format(snakefile=snakefile), encoding="utf-8")
    command = [pipeline / "snakemake", "--cores", 2, "--show-failed-logs"]
    run(tmp_path, *command)
    tokens = sorted((made / "results/tokens").glob("*.parquet"))
    assert [file.read_bytes() for file in tokens] == [
        (tmp_path / "videos/tokens" / file.name).read_bytes() for file in tokens
    ]
    assert int((tmp_path / "count.txt").read_text(encoding="utf-8")) == len(tokens)
    # The lock holds here, too, where nothing of ours hears that the workflow starts.
    with open(tmp_path / "videos/.lock", encoding="utf-8") as lock:
        assert "process" in lock.read()
    again = run(tmp_path, *command)
    assert "Nothing to be done" in again.stdout + again.stderr


MODULE = """
configfile: "config.yaml"

module videobert:
    snakefile: "{snakefile}"
    config: config["videobert"]

use rule * from videobert as videobert_*

rule count:
    default_target: True
    input: rules.videobert_tokens.input
    output: "count.txt"
    shell: "ls videos/tokens/*.parquet | wc -l > {{output}}"
"""


def test_the_package_alone_asks_a_model_about_a_video(core, made, tmp_path):
    shutil.copytree(made / "results/pretrain", tmp_path / "model")
    shutil.copy(made / "results/download/0001/kitchen-4.mp4", tmp_path / "clip.mp4")
    missing = run(tmp_path, core / "python", "-c", MISSING.format(modules=PIPELINE)).stdout.split()
    assert missing == PIPELINE
    shape = run(tmp_path, core / "python", "-c", EMBED).stdout.split()
    assert shape == ["32", "True"]
    answers = run(tmp_path, core / "videobert", "fill", "[MASK] the onion", "--video", "clip.mp4", "--model", "model")
    assert answers.stdout.strip()


MISSING = "from importlib.util import find_spec; print(*(name for name in {modules} if find_spec(name) is None))"
EMBED = """
from videobert import VideoBert
vector = VideoBert.from_pretrained("model").embed("clip.mp4").output
print(len(vector), bool(abs(vector).sum() > 0))
"""


def test_a_stage_without_its_extra_says_what_to_install(core, tmp_path):
    files = [f"--{name}=x" for name in ("features", "manifest", "centroids", "statistics", "atlas")]
    done = run(tmp_path, core / "videobert", "codebook", *files, check=False)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "pip install 'videobert[pipeline]'" in done.stderr
