"""What an objective, an input or a codebook brings: a row for each variant of the configuration, over several seeds.

    PYTHONPATH=. .venv/bin/python benchmarks/objectives.py results base features.yaml both.yaml --seeds 0 1 2

`results` is a finished run (of `make demo`, say), whose tokens and features are read; each further word is an overlay of
config.yaml, or `base` for config.yaml itself. Each model goes to build/objectives/OVERLAY-SEED with the figures of all tasks;
what is there is not made again. An overlay with a section `codebook` or `tokens` has its own codebook and tokens made first. Two
models are trained side by side, each on one thread. The table has the mean over the seeds, and their spread in brackets.
"""

import argparse
import json
import multiprocessing
import os
import shutil
import sys
from copy import copy
from dataclasses import dataclass
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
ONE_THREAD = {"threads": 1, "device": "cpu"}

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
    wanted = [Wanted(options, overlay, seed) for overlay, seed in product(options.overlays, options.seeds)]
    for one in wanted:
        one.check_same()
    with multiprocessing.get_context("spawn").Pool(options.processes, maxtasksperchild=1) as pool:
        pool.map(make, wanted, chunksize=1)
    print("| variant | " + " | ".join(options.columns) + " |")
    print("| --- |" + " --- |" * len(options.columns))
    for overlay in options.overlays:
        print(f"| {Path(overlay).stem} | " + " | ".join(cells(options, overlay)) + " |")


@dataclass(frozen=True)
class Wanted:
    """A model that is wanted: what the command line says, the overlay, and the seed."""

    options: argparse.Namespace
    overlay: str
    seed: int

    @property
    def overlays(self) -> list[Path]:
        return [] if self.overlay == "base" else [Path(self.overlay)]

    @property
    def config(self) -> Any:
        return configuration.check(configuration.read([self.options.config, *self.overlays]))

    def folder(self, what: int | str) -> Path:
        folder: Path = self.options.output / f"{Path(self.overlay).stem}-{what}"
        return folder

    def check_same(self) -> None:
        """Ends where the folder holds what was made with other settings: the overlay has changed since."""
        settings = {stage: configuration.own_values(self.config, stage) for stage in ("codebook", "tokens", "pretrain")}
        noted, file = json.dumps(settings, sort_keys=True), self.folder(self.seed) / "settings.json"
        if file.exists() and file.read_text(encoding="utf-8") != noted:
            raise SystemExit(f"{file.parent} was made with other settings: delete it and {self.folder('codes')}")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(noted, encoding="utf-8")


def make(wanted: Wanted) -> None:
    """Trains and measures one model."""
    config, source, folder = wanted.config, Source(wanted.options.results), wanted.folder(wanted.seed)
    changed = {name for file in wanted.overlays for name in yaml.safe_load(file.read_text(encoding="utf-8"))}
    if changed & {"codebook", "tokens"}:
        source = with_own_codes(config, source, wanted.folder("codes"))
    pretrain(configuration.own_values(config, "pretrain") | {"seed": wanted.seed}, source, folder)
    for task in TASKS:
        if not (folder / f"{task}.json").exists():
            measure(task, configuration.own_values(config, task), source, folder)


class Source:
    """The files of a finished run that are read, as the commands name them; `centroids` and `tokens` may be others."""

    def __init__(self, results: Path) -> None:
        self.run = Layout(results)
        self.shards = sorted(set(read_table(Path(self.run.manifest), ["shard"])["shard"].to_pylist()))
        self.features = [Path(self.run.table("features", shard)) for shard in self.shards]
        self.centroids = Path(self.run.centroids)
        self.tokens = [Path(self.run.table("tokens", shard)) for shard in self.shards]

    @property
    def common(self) -> dict[str, Any]:
        """What pretraining and each task read."""
        return {"tokens": self.tokens, "manifest": Path(self.run.manifest), "features": self.features}


def pretrain(settings: dict[str, Any], source: Source, folder: Path) -> None:
    """Trains the model, unless it is there, and notes the processor seconds that it took."""
    model = folder / "pretrain" / "model.safetensors"
    if model.exists():
        return
    files = {
        "centroids": source.centroids,
        "tokenizer": Path(source.run.tokenizer),
        "frames": Path(source.run.shard_ledger("frames", source.shards[0])),
        "model": model,
    }
    began = os.times()
    call(function("pretrain"), **source.common, **files, **settings, **ONE_THREAD)
    ended = os.times()
    seconds = ended.user + ended.system - began.user - began.system
    (folder / "pretrain.json").write_text(json.dumps({"summary": {"seconds": seconds}}), encoding="utf-8")


def measure(task: str, settings: dict[str, Any], source: Source, folder: Path) -> None:
    """Writes a task's figures."""
    files: dict[str, Any] = {"model": folder / "pretrain" / "model.safetensors", "figures": folder / f"{task}.json"}
    parts = Parts(folder / "pretrain")
    if task in ("zero_shot", "probe", "retrieval", "captioning"):
        files["steps"] = [Path(source.run.steps(shard)) for shard in source.shards]
    if task == "retrieval":
        files["projection"] = Path(parts.projection)
    if task == "captioning":
        files["decoder"] = Path(parts.decoder)
    call(function(task), **source.common, **files, **settings, **ONE_THREAD)


def with_own_codes(config: Any, source: Source, folder: Path) -> Source:
    """The source with a codebook and tokens of this configuration, made of its features and transcripts."""
    if not folder.exists():
        unfinished = folder.with_name(f"{folder.name}-{os.getpid()}")
        make_codes(config, source, unfinished)
        try:
            unfinished.rename(folder)
        except OSError:  # another process was faster, with the same bytes
            shutil.rmtree(unfinished)
    changed = copy(source)
    changed.centroids = folder / "centroids.safetensors"
    changed.tokens = [folder / "tokens" / f"{shard}.parquet" for shard in source.shards]
    return changed


def make_codes(config: Any, source: Source, folder: Path) -> None:
    manifest = Path(source.run.manifest)
    call(
        function("codebook"),
        features=source.features,
        manifest=manifest,
        centroids=folder / "centroids.safetensors",
        statistics=folder / "statistics.json",
        atlas=folder / "atlas.parquet",
        **configuration.own_values(config, "codebook"),
    )
    for shard, features in zip(source.shards, source.features, strict=True):
        call(
            function("tokens"),
            transcripts=Path(source.run.table("transcribe", shard)),
            features=features,
            centroids=folder / "centroids.safetensors",
            tokenizer=Path(source.run.tokenizer),
            manifest=manifest,
            shard=shard,
            table=folder / "tokens" / f"{shard}.parquet",
            ledger=folder / "tokens" / f".{shard}.ledger.parquet",
            **configuration.own_values(config, "tokens"),
        )


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
