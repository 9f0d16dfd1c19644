"""What the evaluation's tasks share: the model that answers, the annotated steps, intervals, and a task's file.

A task measures on the test split alone. Its file, `results/evaluate/TASK.json`, holds a `summary`, which the stage
evaluate merges into metrics.json, and the details behind it. Each figure that is a mean over the test set stands beside
its 95 % interval, by a bootstrap over videos: the segments of one video are no independent draws.
"""

import sys
from pathlib import Path
from typing import Any

from videobert.data.provenance import make_provenance, write_json
from videobert.evaluation.scoring import rounded
from videobert.model.sequences import token_files

# The annotated steps --------------------------------------------------------------------------------------------------


# Figures and files ----------------------------------------------------------------------------------------------------


def inputs_of(pretrain: Path, tokens: Path, manifest: Path, annotations: str | None) -> dict[str, Path | list[Path]]:
    """What a task's figures follow from, for its note."""
    inputs: dict[str, Path | list[Path]] = {
        "model": pretrain / "model.safetensors",
        "tokens": token_files(tokens, manifest),
    }
    if annotations not in (None, "kitchen"):
        inputs["annotations"] = Path(annotations)
    return inputs


NO_TRUTH = "evaluate.annotations is null: there is nothing to compare with"


def write_task(
    task: str,
    version: int,
    output: Path,
    summary: dict[str, Any],
    details: dict[str, Any],
    settings: dict[str, Any],
    inputs: dict[str, Path | list[Path]],
    packages: tuple[str, ...] = ("torch", "transformers"),
) -> None:
    """Writes a task's file: what goes into metrics.json, the details, and how they were made."""
    note = make_provenance(task, version, settings, inputs, packages)
    write_json(rounded({"summary": summary, **details}), output, note)
    print(f"{task}: {in_words(summary)}", file=sys.stderr)


def in_words(summary: dict[str, Any]) -> str:
    """A task's summary in one line: the figures of each row, without counts and intervals."""
    parts = []
    for name, value in summary.items():
        if isinstance(value, dict):
            figures = [f"{item:.2f}" for item in value.values() if isinstance(item, float)]
            parts.append(f"{name} {'/'.join(figures)}" if figures else in_words(value))
        elif isinstance(value, str):
            parts.append(value)
    return ", ".join(filter(None, parts))
