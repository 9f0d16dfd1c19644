"""Keeps the results of a small run for tests/test_upgrade.py: tests/results/FORMAT.

    .venv/bin/python scripts/keep_results.py

Run it once when FORMAT (videobert/data/provenance.py) has been raised, before the first release with it; the folders of
earlier formats stay as they are. The project that is run lies in tests/results/project.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from videobert.data.provenance import FORMAT
from videobert.workflow import snakefile

ROOT = Path(__file__).resolve().parents[1] / "tests" / "results"
# What no later stage and no command reads.
LEFT_OUT = shutil.ignore_patterns("index.html", "logs", "runs", ".lock", "checkpoint-*")


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "project"
        shutil.copytree(ROOT / "project", folder)
        run(folder, "snakemake", "--snakefile", str(snakefile()), "--cores", "2", "report")
        run(folder, "videobert", "index", "clips/clip0.mp4", "--model", "results/pretrain", "--output", "index")
        keep(folder, ROOT / str(FORMAT))


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
