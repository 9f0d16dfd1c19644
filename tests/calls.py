"""The stages and tasks as the tests call them: with folders, as the tests lay them out, and settings by their names.

The workflow hands over files (workflow/rules); here a folder stands for the files that a stage writes into it.
"""

import csv
from pathlib import Path
from typing import Any

from videobert.data.provenance import read_table
from videobert.kitchen.sources import script_of
from videobert.layout import Parts
from videobert.pipeline import function


def run(name: str, **values: Any) -> None:
    """A command by its name, with all its values by theirs."""
    from videobert.cli import call  # pydantic is missing where benchmarks/gpu.py may run

    call(function(name), **values)


def with_facts(folder: Path, row: dict[str, Any]) -> dict[str, Any]:
    """A row of a ledger with size and hash of its file, as the stages write them; of a file that is not there, of none."""
    from videobert.data.ledger import file_facts

    path = folder / (row["path"] or "")
    return row | (file_facts(path) if path.is_file() else {"size": None, "sha256": None})


def only(class_: Any, values: dict[str, Any]) -> Any:
    """A class of settings with those of the values that it has."""
    return class_(**{name: value for name, value in values.items() if name in class_.model_fields})


def shards(folder: Path, manifest: Path) -> list[Path]:
    """The tables of all shards of the manifest."""
    return [folder / f"{shard}.parquet" for shard in sorted(set(read_table(manifest)["shard"].to_pylist()))]


def corpus(videos: Path, output: Path, ledger: Path, register: Path, **settings: Any) -> None:
    run("corpus", videos=str(videos), manifest=output, id_register=register, **settings)
    details = ledger.with_name(f"details-{ledger.name}")
    run("corpus_ledger", videos=str(videos), ledger=ledger, details=details, id_register=register, **settings)


def download(register: Path, output: Path, **values: Any) -> None:
    values = {name: str(value) if name == "cookies" and value else value for name, value in values.items()}
    run("download", id_register=register, ledger=output, steps=output.parent / "steps.tsv", **values)


def transcribe(download: Path, output: Path, ledger: Path, **settings: Any) -> None:
    run("transcribe", download=download, table=output, ledger=ledger, **_texts(settings))


def frames(download: Path, output: Path, *settings: int, **named: Any) -> None:
    run("frames", download=download, ledger=output, **dict(zip(("fps", "size", "crf"), settings)), **named)


def features(frames: Path, output: Path, ledger: Path, **settings: Any) -> None:
    settings = {"weights": "kitchen", **_texts(settings)}
    run("features", frames=frames, table=output, ledger=ledger, **settings)


def codebook(features: Path, manifest: Path, output: Path, *settings: int, **named: int) -> None:
    names = {"centroids": "centroids.safetensors", "statistics": "statistics.json", "atlas": "atlas.parquet"}
    files = {name: output / file for name, file in names.items()}
    order = ("branching", "depth", "sample", "batch_size", "seed", "threads")
    run(
        "codebook",
        features=shards(features, manifest),
        manifest=manifest,
        **files,
        **dict(zip(order, settings)),
        **named,
    )


def vocabulary(transcribe: Path, manifest: Path, output: Path, tokenizer: str | None = None, size: int = 300) -> None:
    files = {"tokenizer_json": output / "tokenizer.json", "provenance": output / "provenance.json"}
    run(
        "vocabulary",
        transcripts=shards(transcribe, manifest),
        manifest=manifest,
        tokenizer=tokenizer,
        size=size,
        **files,
    )


def tokens(transcribe: Path, codebook: Path, vocabulary: Path, output: Path, **values: Any) -> None:
    files = {"centroids": codebook / "centroids.safetensors", "tokenizer": vocabulary / "tokenizer.json"}
    run("tokens", transcripts=transcribe, table=output, **files, **_texts(values, "exclude"))


def pretrain(
    tokens: Path,
    codebook: Path,
    vocabulary: Path,
    features: Path,
    frames: Path,
    manifest: Path,
    output: Path,
    **values: Any,
) -> None:
    tables = shards(tokens, manifest)
    first = tables[0]
    reads = values.get("visual_input", "words") != "words" or values.get("regression_weight", 0) > 0
    run(
        "pretrain",
        tokens=tables,
        manifest=manifest,
        centroids=codebook / "centroids.safetensors",
        tokenizer=vocabulary / "tokenizer.json",
        features=shards(features, manifest) if reads else [features / first.name],
        frames=frames / first.stem / "ledger.parquet",
        model=output / "model.safetensors",
        **_texts(values, "initial_model"),
    )


def task(name: str, pretrain: Path, tokens: Path, manifest: Path, output: Path, **values: Any) -> None:
    """Any task; `features` is the folder of features, `annotations` a path, "kitchen" or None."""
    files: dict[str, Any] = {"tokens": shards(tokens, manifest), "manifest": manifest, "figures": output}
    if "features" in values:
        files["features"] = shards(values.pop("features"), manifest)
    if "annotations" in values:
        files["steps"] = steps_files(values["annotations"], manifest)
    run(name, model=pretrain / "model.safetensors", **files, **_texts(values, "annotations", "text_model"))


def objectives(**values: Any) -> None:
    task("objectives", **values)


def zero_shot(**values: Any) -> None:
    task("zero_shot", **values)


def probe(**values: Any) -> None:
    task("probe", **values)


def retrieval(output: Path, **values: Any) -> None:
    """Its projection goes into a model folder beside the figures."""
    task("retrieval", output=output, projection=Path(Parts(output.parent / "pretrain").projection), **values)


def captioning(output: Path, **values: Any) -> None:
    """Its decoder goes into a model folder beside the figures."""
    task("captioning", output=output, decoder=Path(Parts(output.parent / "pretrain").decoder), **values)


def forecasting(**values: Any) -> None:
    task("forecasting", **values)


def scaling(models: list[Path], tokens: Path, manifest: Path, output: Path, **values: Any) -> None:
    files = {"tokens": shards(tokens, manifest), "manifest": manifest, "figures": output}
    files["models"] = [folder / "model.safetensors" for folder in models]
    steps = steps_files(values["annotations"], manifest)
    run("scaling", steps=steps, **files, **_texts(values, "annotations"))


def evaluate(results: Path, pretrain: Path, output: Path, tasks: list[str]) -> None:
    run(
        "evaluate",
        figures=[results / f"{task}.json" for task in tasks],
        model=pretrain / "model.safetensors",
        metrics=output,
        card=pretrain / "README.md",
    )


def report(results: Path, output: Path, summary: Path, words: int, examples: int) -> None:
    run("report", results=results, page=output, summary=summary, words=words, examples=examples)


def steps_files(annotations: Path | str | None, manifest: Path) -> list[Path]:
    """The tables of steps of a setting evaluate.annotations, as the rules find them."""
    if annotations is None:
        return []
    if annotations != "kitchen":
        return [Path(annotations)]
    path = manifest.parent / "kitchen-steps.tsv"
    if not path.exists():
        write_kitchen_steps(manifest, path)
    return [path]


def write_kitchen_steps(manifest: Path, path: Path) -> None:
    """What the stage download writes of the kitchen's videos."""
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter="\t", lineterminator="\n")
        writer.writerow(["video_id", "start", "end", "verb", "object", "sentence"])
        for row in read_table(manifest, ["video_id", "source"]).to_pylist():
            if row["source"].startswith("kitchen:"):
                for step in script_of(row["source"]).steps:
                    writer.writerow([row["video_id"], step.start, step.end, step.verb, step.object, step.sentence])


def _texts(values: dict[str, Any], *names: str) -> dict[str, Any]:
    """Paths among the settings as text, which is what a configuration holds."""
    paths = (*names, "weights", "model", "tokenizer")
    return {name: str(value) if name in paths and isinstance(value, Path) else value for name, value in values.items()}
