"""Stages that a run shares with a finished one: the key `upstream` of the configuration.

A stage is shared when its settings and its version are those of the finished run, all its files are there, and all stages
that it reads are shared. So two codebooks or eight pretrainings do not download and encode twice. The comparison needs no
file but the provenance that each output carries.
"""

from pathlib import Path
from typing import Any

from videobert.config import SECTIONS, part
from videobert.data.manifest import plan
from videobert.data.provenance import read_provenance, read_table
from videobert.data.schemas import MANIFEST, names
from videobert.errors import UserError
from videobert.layout import Layout
from videobert.pipeline import READS, version
from videobert.vision.s3d_weights import NAMED
from videobert.web.options import DownloadExecution

# Settings that earlier versions did not have, and so did not record: they did what the defaults do.
LATER = (
    "kind",
    "visual_input",
    "hard_negatives",
    "contrastive_weight",
    "regression_weight",
    "video_mask_span",
    "eval_steps",
)
SIZES = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")


def shared_stages(config: Any, shards: list[str]) -> dict[str, str]:
    """For each stage "" when it is shared with the upstream run, else why not.

    Raises UserError when `upstream` is no results folder, or is `results` itself.
    """
    upstream = Layout(config.upstream)
    if not Path(upstream.manifest).exists():
        raise UserError(f"upstream: {config.upstream} is no finished run: it has no corpus/manifest.parquet")
    if Path(config.upstream).resolve() == Path(config.results).resolve():
        raise UserError("upstream and results are the same folder: set results to another one")
    reasons: dict[str, str] = {}
    for stage, reads in READS.items():
        above = next((name for name in reads if reasons[name]), None)
        reasons[stage] = f"{above} is made anew" if above else _difference(config, upstream, stage, shards)
    return reasons


def _difference(config: Any, upstream: Layout, stage: str, shards: list[str]) -> str:
    """Why a stage whose inputs are shared is not, "" when it is."""
    files = upstream.files(stage, shards)
    if missing := next((file for file in files if not Path(file).exists()), None):
        return f"{missing} is missing"
    if stage == "corpus" and list_changed(config, upstream):
        return f"{config.corpus.videos} is another list"
    if stage == "tokens" and config.tokens.exclude:
        return "tokens.exclude names a file, which may have changed"
    settings = own_settings(config, stage)
    for key, value in settings.items():
        if isinstance(value, str) and value not in NAMED and Path(value).exists():
            return f"{key} names a path, and what lies there may have changed"
    return difference(stage, settings, Path(files[0]))


def list_changed(config: Any, layout: Layout) -> bool:
    """Whether the list has other videos, shards or splits than a run's manifest. Titles and the like do not count."""
    corpus = config.corpus
    rows = plan(Path(corpus.videos), Path(layout.register), corpus.shard_size, corpus.draw).manifest
    columns = names(MANIFEST)
    there = read_table(Path(layout.manifest), list(columns)).to_pylist()
    here = [{column: row[column] for column in columns} for row in rows]
    return bool(there != here)


def own_settings(config: Any, stage: str) -> dict[str, Any]:
    """What the result of a stage depends on, as its provenance records it."""
    settings = part(config, SECTIONS[stage][0]).fingerprint()
    if stage == "download":
        settings["options"] = part(config, DownloadExecution).selection()
    return {name: value for name, value in settings.items() if (stage, name) != ("corpus", "videos")}


def difference(stage: str, settings: dict[str, Any], file: Path) -> str:
    """In what a file differs from what the stage makes with these settings now: its version, a setting; "" in nothing."""
    provenance = read_provenance(file)
    if provenance.get("version") != version(stage):
        return f"{file} is of version {provenance.get('version')}, this is {version(stage)}"
    recorded = provenance["settings"]
    own_sizes = settings.get("initial_model") is None  # else they are the checkpoint's
    for key, value in settings.items():
        if key not in recorded:
            # What did not matter is not recorded (a size beside a tokenizer that is taken, a model beside captions).
            if key == "tokenizer" and value is not None:
                return f"{key} differs"
            if key in LATER and value != SECTIONS[stage][0].model_fields[key].default:
                return f"{key} differs"
        elif recorded[key] != value and value != "auto" and (own_sizes or key not in SIZES):
            return f"{key} differs: {recorded[key]!r} there, {value!r} here"
    return ""
