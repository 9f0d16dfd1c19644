"""Does the model use the video? The tasks' figures in one file, each beside the control that gives it meaning.

A task is a rule, a module and a section of the configuration of its own, so that a change of one measures nothing else
anew: objectives (masked accuracy, alignment), zero_shot (table 1 of the paper), probe (linear classifiers on frozen
features), retrieval (a video for a text, a text for a video), captioning (table 3), forecasting (the visual words to
come) and scaling (table 2: what more videos bring). Each writes `results/evaluate/TASK.json`; this stage merges their
summaries, and says by which protocol each was measured: version, seeds, label lists.
"""

import sys
from pathlib import Path
from typing import Any, Literal

from videobert.data.provenance import make_provenance, read_provenance, sha256, write_json
from videobert.errors import UserError
from videobert.model.card import write_card

VERSION = 2


def evaluate(
    results: Path,
    pretrain: Path,
    output: Path,
    tasks: list[Literal["objectives", "zero_shot", "probe", "retrieval", "captioning", "forecasting", "scaling"]],
) -> None:
    """Merge the tasks' figures, and write the model's card, README.md in its folder.

    Args:
        results: folder of the tasks' files, TASK.json.
        pretrain: folder of the model.
        output: metrics.json.
        tasks: what was measured.
    """
    import json

    metrics: dict[str, Any] = {}
    protocol: dict[str, Any] = {}
    files = {task: results / f"{task}.json" for task in tasks}
    for task, file in files.items():
        if not file.exists():
            raise UserError(f"{file} is missing: run snakemake --cores all {task}")
        task_result = json.loads(file.read_text())
        note = task_result["provenance"]
        metrics |= task_result["summary"]
        protocol[task] = {"version": note["version"], **note["settings"]}
        if "labels" in task_result:
            protocol[task]["labels"] = task_result["labels"]
    model = pretrain / "model.safetensors"
    for task, file in files.items():
        of = read_provenance(file).get("inputs", {})
        if task == "scaling":  # its models are others; what can be asked is that they are of this one's tokens
            if of.get("tokens") != read_provenance(model)["inputs"]["tokens"]:
                raise UserError(f"{file} is of other tokens than {pretrain}: run snakemake --cores all scaling")
        elif of.get("model") != sha256(model):
            raise UserError(f"{file} was measured on another model than {pretrain}: run snakemake --cores all {task}")
    write_card(pretrain, metrics)
    print(f"evaluate: {', '.join(tasks)} in {output}", file=sys.stderr)
    note = make_provenance("evaluate", VERSION, {"tasks": list(tasks)}, files)
    write_json({**metrics, "protocol": protocol}, output, note)
