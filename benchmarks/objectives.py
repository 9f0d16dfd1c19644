"""What an objective, an input or a codebook brings: a row for each variant of the configuration, over several seeds.

    PYTHONPATH=. .venv/bin/python benchmarks/objectives.py results base features.yaml both.yaml --seeds 0 1 2

`results` is a finished run (of `make demo`, say), whose tokens and features are read; each further word is an overlay of
config.yaml, or `base` for config.yaml itself. Each model goes to build/objectives/OVERLAY-SEED with the figures of all tasks;
what is there is not made again. An overlay with a section `codebook` or `tokens` has its own codebook and tokens made first.
Two models are trained side by side, each on one thread. The table has the mean over the seeds, and their spread in brackets.
"""

import argparse
import json
import multiprocessing
import os
import shutil
import sys
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from videobert import config as configuration
from videobert.cli import call
from videobert.data.provenance import read_table
from videobert.layout import Layout, Parts
from videobert.pipeline import function

TASKS = ("zero_shot", "objectives", "probe", "retrieval", "forecasting", "captioning")
OUTPUT = Path("build/objectives")

# Column: the task, and where its figure lies in the summary.
COLUMNS = {
    "verb": ("zero_shot", "zero_shot cross_modal verb_top1"),
    "object": ("zero_shot", "zero_shot cross_modal object_top1"),
    "unseen verb": ("zero_shot", "zero_shot cross_modal_held_out verb_top1"),
    "unseen object": ("zero_shot", "zero_shot cross_modal_held_out object_top1"),
    "S3D verb": ("zero_shot", "zero_shot s3d_supervised verb_top1"),
    "S3D object": ("zero_shot", "zero_shot s3d_supervised object_top1"),
    "masked with text": ("objectives", "masked video_given_text"),
    "masked without": ("objectives", "masked video_alone"),
    "alignment": ("objectives", "alignment accuracy"),
    "probe verb": ("probe", "probe videobert_mean verb_top1"),
    "probe object": ("probe", "probe videobert_mean object_top1"),
    "counts verb": ("probe", "probe visual_words verb_top1"),
    "counts object": ("probe", "probe visual_words object_top1"),
    "first R@1": ("retrieval", "retrieval text_to_video first_stage r1"),
    "first R@5": ("retrieval", "retrieval text_to_video first_stage r5"),
    "second R@1": ("retrieval", "retrieval text_to_video cross_encoder r1"),
    "second R@5": ("retrieval", "retrieval text_to_video cross_encoder r5"),
    "steps R@1": ("retrieval", "retrieval steps first_stage r1"),
    "forecast": ("forecasting", "forecasting next videobert top1"),
    "last again": ("forecasting", "forecasting next repeat_last top1"),
    "bigram": ("forecasting", "forecasting next bigram top1"),
    "CIDEr S3D": ("captioning", "captioning s3d cider"),
    "CIDEr VideoBERT": ("captioning", "captioning videobert cider"),
    "CIDEr both": ("captioning", "captioning videobert_s3d cider"),
    "seconds": ("pretrain", "seconds"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("overlays", nargs="+")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--config", type=Path, default=Path("config.yaml"))
    parser.add_argument("--output", type=Path, default=OUTPUT)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--columns", nargs="+", default=list(COLUMNS), choices=list(COLUMNS), metavar="COLUMN")
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    with multiprocessing.get_context("spawn").Pool(options.processes, maxtasksperchild=1) as pool:
        wanted = [(options, overlay, seed) for overlay, seed in product(options.overlays, options.seeds)]
        pool.map(make, wanted, chunksize=1)
    print("| variant | " + " | ".join(options.columns) + " |")
    print("| --- |" + " --- |" * len(options.columns))
    for overlay in options.overlays:
        print(f"| {Path(overlay).stem} | " + " | ".join(cells(options, overlay)) + " |")


def make(wanted: tuple[argparse.Namespace, str, int]) -> None:
    """Trains and measures one model."""
    options, overlay, seed = wanted
    folder = options.output / f"{Path(overlay).stem}-{seed}"
    files = [options.config] if overlay == "base" else [options.config, Path(overlay)]
    config = configuration.check(configuration.read(files))
    source = Layout(options.results)
    shards = sorted(set(read_table(Path(source.manifest), ["shard"])["shard"].to_pylist()))
    features = [Path(source.table("features", shard)) for shard in shards]
    steps = [Path(source.steps(shard)) for shard in shards]
    centroids, tokens = Path(source.centroids), [Path(source.table("tokens", shard)) for shard in shards]
    given = {} if overlay == "base" else yaml.safe_load(Path(overlay).read_text(encoding="utf-8"))
    if "codebook" in given or "tokens" in given:
        centroids, tokens = codes(config, source, shards, options.output / f"{Path(overlay).stem}-codes")
    model = folder / "pretrain" / "model.safetensors"
    common = {"tokens": tokens, "manifest": Path(source.manifest)}
    own = configuration.own_values(config, "pretrain") | {"seed": seed, "threads": 1, "device": "cpu"}
    if not model.exists():
        began = os.times()
        call(
            function("pretrain"),
            **common,
            **own,
            centroids=centroids,
            tokenizer=Path(source.tokenizer),
            features=features,
            frames=Path(source.shard_ledger("frames", shards[0])),
            model=model,
        )
        ended = os.times()
        seconds = ended.user + ended.system - began.user - began.system
        (folder / "pretrain.json").write_text(json.dumps({"summary": {"seconds": seconds}}), encoding="utf-8")
    for task in TASKS:
        figures = folder / f"{task}.json"
        if figures.exists():
            continue
        files = {"model": model, **common, "figures": figures, "features": features}
        if task in ("zero_shot", "probe", "retrieval", "captioning"):
            files["steps"] = steps
        parts = Parts(folder / "pretrain")
        files |= {
            "retrieval": {"projection": Path(parts.projection)},
            "captioning": {"decoder": Path(parts.decoder)},
        }.get(task, {})
        call(function(task), **files, **configuration.own_values(config, task) | {"threads": 1, "device": "cpu"})


def codes(config: Any, source: Layout, shards: list[str], folder: Path) -> tuple[Path, list[Path]]:
    """Codebook and tokens of a configuration, made from another run's features and transcripts."""
    centroids = folder / "codebook" / "centroids.safetensors"
    tokens = [folder / "tokens" / f"{shard}.parquet" for shard in shards]
    if (folder / "done").exists():
        return centroids, tokens
    unfinished = folder.with_name(f"{folder.name}-{os.getpid()}")
    centroids_ = unfinished / "codebook" / "centroids.safetensors"
    call(
        function("codebook"),
        features=[Path(source.table("features", shard)) for shard in shards],
        manifest=Path(source.manifest),
        centroids=centroids_,
        statistics=centroids_.with_name("statistics.json"),
        atlas=centroids_.with_name("atlas.parquet"),
        **configuration.own_values(config, "codebook"),
    )
    for shard in shards:
        call(
            function("tokens"),
            transcripts=Path(source.table("transcribe", shard)),
            features=Path(source.table("features", shard)),
            centroids=centroids_,
            tokenizer=Path(source.tokenizer),
            manifest=Path(source.manifest),
            shard=shard,
            table=unfinished / "tokens" / f"{shard}.parquet",
            ledger=unfinished / "tokens" / f".{shard}.ledger.parquet",
            **configuration.own_values(config, "tokens"),
        )
    (unfinished / "done").touch()
    try:
        unfinished.rename(folder)
    except OSError:  # another process was faster, with the same bytes
        shutil.rmtree(unfinished)
    return centroids, tokens


def cells(options: argparse.Namespace, overlay: str) -> list[str]:
    """A variant's cells: the mean over the seeds, and their standard deviation."""
    found = []
    for column in options.columns:
        task, place = COLUMNS[column]
        values = []
        for seed in options.seeds:
            path = options.output / f"{Path(overlay).stem}-{seed}" / f"{task}.json"
            summary = json.loads(path.read_text(encoding="utf-8"))["summary"]
            for key in place.split():
                summary = summary.get(key, {})
            values.append(summary if isinstance(summary, float | int) else np.nan)
        digits = 0 if np.mean(values) > 20 else 2
        spread = f" ({np.std(values, ddof=1):.{digits}f})" if len(values) > 1 else ""
        found.append(f"{np.mean(values):.{digits}f}{spread}")
    return found


if __name__ == "__main__":
    sys.exit(main())
