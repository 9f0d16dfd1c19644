"""Keeps the results of a small run for tests/test_upgrade.py: tests/results/FORMAT.

    .venv/bin/python scripts/keep_results.py

Run it once when FORMAT (videobert/data/provenance.py) has been raised, before the first release with it; the folders of
earlier formats stay as they are. The project that is run lies in tests/results/project.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from videobert.data.provenance import FORMAT
from videobert.workflow import snakefile

ROOT = Path(__file__).resolve().parents[1] / "tests" / "results"
CLIP_TIME = 1_600_000_000
# What no later stage and no command reads.
LEFT_OUT = shutil.ignore_patterns("index.html", "logs", "progress", "runs", ".lock", "checkpoint-*")


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "project"
        copy_project(folder)
        run(folder, "snakemake", "--snakefile", str(snakefile()), "--cores", "2", "report")
        run(folder, "videobert", "index", "clips/clip0.mp4", "--model", "results/pretrain", "--output", "index")
        keep(folder, ROOT / str(FORMAT))


def copy_project(folder: Path) -> None:
    """The project, its clips at a time of their own: it is part of what says whether a local file is the same."""
    shutil.copytree(ROOT / "project", folder)
    for file in (folder / "clips").iterdir():
        os.utime(file, (CLIP_TIME, CLIP_TIME))


def run(folder: Path, module: str, *words: str) -> None:
    subprocess.run([sys.executable, "-m", module, *words], cwd=folder, check=True)


def keep(folder: Path, target: Path) -> None:
    for link in [path for path in (folder / "results").rglob("*") if path.is_symlink()]:
        link.unlink()  # to the clips; the test puts them back
    target.mkdir()
    shutil.copy(folder / "config.yaml", target)
    shutil.copytree(folder / "results", target / "results", ignore=LEFT_OUT)
    shutil.copytree(folder / "index", target / "index")
    # What Snakemake remembers of each file: the command and the parameters that made it.
    shutil.copytree(folder / ".snakemake" / "metadata", target / "commands")


if __name__ == "__main__":
    main()
