"""How long Snakemake plans, and how much memory it takes, as the list of videos grows: the shards stay as many, so do the jobs.

Each list is planned twice by a dry run of `snakemake pretrain`: new, as it is, and again, after runs of the stage corpus have
written their plan down. A job's own planning is that of a job as an executor starts it. Processor seconds; in brackets the
ratio to the smallest list's.

    PYTHONPATH=. python benchmarks/plan.py --videos 1200 12000 100000 312000 --shards 1200
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=int, nargs="+", default=[1200, 12_000, 100_000, 312_000])
    parser.add_argument("--shards", type=int, default=1200)
    options = parser.parse_args()
    print("| videos | new | MB | again | MB | a job's own | MB |\n| --- | --- | --- | --- | --- | --- | --- |")
    first: list[Used] = []
    for videos in options.videos:
        with tempfile.TemporaryDirectory() as scratch:
            found = measure(Path(scratch), videos, options.shards)
        first = first or found
        cells = [
            f"{used.seconds:.1f} s ({used.seconds / one.seconds:.2f}) | {used.memory:.0f}"
            for used, one in zip(found, first)
        ]
        print(f"| {videos:,} | {' | '.join(cells)} |", flush=True)


class Used(NamedTuple):
    """Processor seconds and MB."""

    seconds: float
    memory: float


def measure(folder: Path, videos: int, shards: int) -> list[Used]:
    """Of a new plan, of one that was written down, and of a job."""
    write_list(folder / "videos.tsv", videos)
    config = {"corpus": {"videos": "videos.tsv", "shard_size": videos // shards}}
    (folder / "overlay.json").write_text(json.dumps(config), encoding="utf-8")
    new = run(folder, "pretrain", "-n", "-q")
    # The first run writes the register, with which a plan is made once more; the second one writes that down.
    run(folder, "corpus", "--cores", "2")
    run(folder, "corpus", "--cores", "2", "--force")
    again = run(folder, "pretrain", "-n", "-q")
    job = ["--mode", "remote", "--target-jobs", "frames_shard:shard=0001", "--allowed-rules", "frames_shard", "--force"]
    return [new, again, run(folder, *job, "-n", "-q")]


def write_list(path: Path, videos: int) -> None:
    draw = random.Random(0)
    rows = (
        f"https://www.youtube.com/watch?v={''.join(draw.choices(LETTERS, k=11))}\tHow to cook dish {n}"
        for n in range(videos)
    )
    path.write_text("source\ttitle\n" + "\n".join(rows) + "\n", encoding="utf-8")


def run(folder: Path, *arguments: str) -> Used:
    files = ["--snakefile", str(ROOT / "Snakefile"), "--directory", str(folder), "--configfile"]
    command = [
        sys.executable,
        "-m",
        "snakemake",
        *arguments,
        *files,
        str(ROOT / "config.yaml"),
        str(folder / "overlay.json"),
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0, command
    return Used(used.ru_utime + used.ru_stime, used.ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6)


if __name__ == "__main__":
    main()
