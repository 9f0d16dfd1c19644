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

ROOT = Path(__file__).resolve().parents[1]
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=int, nargs="+", default=[1200, 12_000, 100_000, 312_000])
    parser.add_argument("--shards", type=int, default=1200)
    options = parser.parse_args()
    print("| videos | new | again | a job's own | MB |\n| --- | --- | --- | --- | --- |")
    first: list[float] = []
    for videos in options.videos:
        with tempfile.TemporaryDirectory() as scratch:
            found = measure(Path(scratch), videos, options.shards)
        first = first or found[:2]
        cells = [f"{seconds:.1f} s ({seconds / base:.2f})" for seconds, base in zip(found[:2], first, strict=True)]
        print(f"| {videos:,} | {' | '.join(cells)} | {found[2]:.2f} s | {found[3]:.0f} |", flush=True)


def measure(folder: Path, videos: int, shards: int) -> list[float]:
    """Processor seconds of a new plan, of one that was written down, of a job, and the most memory (MB)."""
    write_list(folder / "videos.tsv", videos)
    config = {"corpus": {"videos": "videos.tsv", "shard_size": videos // shards}, "features": {"weights": "kitchen"}}
    (folder / "overlay.json").write_text(json.dumps(config), encoding="utf-8")
    new, memory = run(folder, "-n", "--quiet", "all", "pretrain")
    # A run that only makes the manifest: it writes the plan down, then the register, with which a plan is made once more.
    run(folder, "--cores", "2", "corpus")
    run(folder, "--cores", "2", "--force", "corpus")
    again, _ = run(folder, "-n", "--quiet", "all", "pretrain")
    job = ["--mode", "remote", "--target-jobs", "frames_shard:shard=0001", "--allowed-rules", "frames_shard", "--force"]
    own, _ = run(folder, "-n", "--quiet", "all", *job)
    return [new, again, own, memory]


def write_list(path: Path, videos: int) -> None:
    draw = random.Random(0)
    rows = (
        f"https://www.youtube.com/watch?v={''.join(draw.choices(LETTERS, k=11))}\tHow to cook dish {n}"
        for n in range(videos)
    )
    path.write_text("source\ttitle\n" + "\n".join(rows) + "\n", encoding="utf-8")


def run(folder: Path, *arguments: str) -> tuple[float, float]:
    """Processor seconds and MB of a Snakemake command."""
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
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ)
    _, status, used = os.wait4(process.pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0, command
    scale = 1 if sys.platform == "darwin" else 1024
    return used.ru_utime + used.ru_stime, used.ru_maxrss * scale / 1e6


if __name__ == "__main__":
    main()
