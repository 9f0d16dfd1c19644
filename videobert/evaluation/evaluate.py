"""Does the model use the video? The tasks' figures in one file, each beside the control that gives it meaning.

A task is a rule, a module and a section of the configuration of its own, so that a change of one measures nothing else
anew: objectives (masked accuracy, alignment), zero_shot (table 1 of the paper), probe (linear classifiers on frozen
features), retrieval (a video for a text, a text for a video), captioning (table 3), forecasting (the visual words to
come) and scaling (table 2: what more videos bring). Each writes `results/evaluate/TASK.json`; this stage merges their
summaries, and says by which protocol each was measured: version, seeds, label lists.
"""

import sys
from pathlib import Path
from typing import Any

from videobert.data.provenance import make_provenance, read_json, read_provenance, read_table, sha256, write_json
from videobert.errors import UserError
from videobert.layout import ModelFolder
from videobert.model.card import write_card
from videobert.settings import Inputs, Outputs

VERSION = 2


class EvaluateInputs(Inputs):
    figures: list[Path]
    """The files of the tasks, TASK.json."""
    model: Path
    """model.safetensors; the rest of the model folder lies beside it."""
    details: list[Path] = []
    """What the list says of the videos (Parquet): the card names their licenses."""


class EvaluateOutputs(Outputs):
    metrics: Path
    """The figures of all tasks (JSON)."""
    card: Path
    """The model's card, README.md of the model folder."""


def evaluate(inputs: EvaluateInputs, outputs: EvaluateOutputs) -> None:
    """Merge the tasks' figures, and write the model's card."""
    metrics: dict[str, Any] = {}
    protocol: dict[str, Any] = {}
    for file in inputs.figures:
        if not file.exists():
            raise UserError(f"{file} is missing: run snakemake --cores all {file.stem}")
        result = read_json(file)
        provenance = result["provenance"]
        _check_model(file, provenance, inputs.model)
        metrics |= result["summary"]
        protocol[provenance["stage"]] = {"version": provenance["version"], **provenance["settings"]}
        if "labels" in result:
            protocol[provenance["stage"]]["labels"] = result["labels"]
    write_card(ModelFolder(inputs.model.parent), metrics, _licenses(inputs.details), outputs.card)
    print(f"evaluate: {', '.join(protocol)} in {outputs.metrics}", file=sys.stderr)
    files: dict[str, Path | list[Path]] = dict(zip(protocol, inputs.figures, strict=True))
    provenance = make_provenance("evaluate", VERSION, {"tasks": list(protocol)}, files)
    write_json({**metrics, "protocol": protocol}, outputs.metrics, provenance)


def _licenses(details: list[Path]) -> list[str]:
    return sorted({row["license"] for file in details for row in read_table(file, ["license"]).to_pylist()} - {""})


def _check_model(file: Path, provenance: dict[str, Any], model: Path) -> None:
    """Raises UserError when a task measured another model."""
    measured, task = provenance.get("inputs", {}), provenance["stage"]
    if task == "scaling":  # its models are others; what can be asked is that they are of this one's tokens
        if measured.get("tokens") != read_provenance(model)["inputs"]["tokens"]:
            raise UserError(f"{file} is of other tokens than {model.parent}: run snakemake --cores all scaling")
    elif measured.get("model") != sha256(model):
        raise UserError(f"{file} was measured on another model than {model.parent}: run snakemake --cores all {task}")
