"""Results of an earlier version, brought up to date: `videobert upgrade`.

A new version may write other columns than the one that made a results folder, and run other commands. Snakemake would make
everything anew: for a corpus of some size a thousand hours of a GPU. So the workflow refuses a folder of an older format
(`refuse_older`), and this command adds what is missing and tells Snakemake which files still hold: those that the settings of
today would make again, by the provenance that each carries.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

from videobert.config import check, own_values, read
from videobert.data.ledger import file_facts
from videobert.data.plan import rows_of
from videobert.data.provenance import FORMAT, OLD_KEY, DamagedFile, read_provenance, read_table, write_json, write_table
from videobert.data.schemas import SHA256, SIZE, arrow_type
from videobert.errors import Status, UserError
from videobert.layout import SHARDED, Layout, ModelFolder
from videobert.pipeline import READS
from videobert.process import acquire_lock
from videobert.stages.download import write_steps
from videobert.upstream import difference, list_changed, own_settings
from videobert.vision.s3d_weights import NAMED
from videobert.workflow import snakefile

# Set for the Snakemake that the upgrade itself starts: it neither refuses the folder nor waits for its lock.
UPGRADING = "VIDEOBERT_UPGRADING"


def refuse_older(layout: Layout) -> None:
    """Raises UserError when a results folder was made by an older version and has not been upgraded."""
    if _is_older(layout) and UPGRADING not in os.environ:
        raise UserError(
            f"{layout.results} was made by an older version of videobert: `videobert upgrade CONFIGFILE` keeps what is there "
            "(with the same configuration files as before); or set `results` to another folder"
        )


def upgrade(configfile: list[Path]) -> None:
    """Bring results of an older version up to date, so that the next run keeps them.

    videobert upgrade mine.yaml

    Give it the configuration that the results were made with, unchanged; change it afterwards. Nothing is deleted. It names
    each stage whose results would be different now, with the reason: the next run of the workflow reruns it, and the
    evaluation and the report.

    Args:
        configfile: the configuration files, as they are given to snakemake --configfile.
    """
    config: Any = check(read(configfile))
    layout = Layout(config.results)
    if not Path(layout.register).exists():
        raise UserError(f"{config.results} holds no results; run it where you run snakemake")
    if not _is_older(layout):
        print(f"{config.results} is up to date", file=sys.stderr)
        return
    if list_changed(config, layout):
        raise UserError(
            f"{config.corpus.videos} has changed since {config.results} was made: put the old list back, upgrade, and "
            "change it then"
        )
    with acquire_lock(Path(layout.lock)):
        shards = sorted(set(read_table(Path(layout.manifest), ["shard"])["shard"].to_pylist()))
        for stage in ("codebook", "vocabulary", "pretrain", "evaluate"):
            _rename_provenance(Path(layout.folder(stage)))
        for folder in sorted(Path(layout.folder("scaling")).glob("*")):
            _rename_provenance(folder)
        _hide_ledgers(layout)
        for shard in shards:
            _add_file_facts(layout, shard)
            _add_steps(config, layout, shard)
        kept, changed = _compare(config, layout, shards)
        print(
            f"telling Snakemake of {len(kept)} files that hold; it takes a tenth of a second for each job",
            file=sys.stderr,
        )
        _accept(kept, configfile)
        register = Path(layout.register)  # last: a broken upgrade starts anew
        write_table(read_table(register), register, read_provenance(register))
    for stage, reason in changed.items():
        print(f"{stage} will be made anew: {reason}", file=sys.stderr)
    print(f"{len(kept)} files are kept; go on with the same snakemake command as before", file=sys.stderr)


def _is_older(layout: Layout) -> bool:
    for file in map(Path, (layout.register, layout.manifest)):
        with suppress(DamagedFile):  # the other one tells it, too
            if file.exists():
                return bool(read_provenance(file).get("format", 1) < FORMAT)
    return False


# From format 1 to 2 -----------------------------------------------------------------------------------------------------


def _rename_provenance(folder: Path) -> None:
    """What was called `made`: a key of JSON files, and a file of its own beside a tokenizer and a model."""
    for file in sorted(folder.glob("*.json")):
        values = json.loads(file.read_text(encoding="utf-8"))
        new = Path(ModelFolder(folder).provenance) if file.name == "made.json" else file
        if OLD_KEY in values and not (new != file and new.exists()):
            provenance = values.pop(OLD_KEY)
            write_json(values, new, provenance)


def _add_file_facts(layout: Layout, shard: str) -> None:
    """The columns size and sha256 of the ledgers that stand for media and frames."""
    import pyarrow as pa

    ledgers = [layout.shard_ledger("download", shard), layout.kept_ledger(shard), layout.shard_ledger("frames", shard)]
    for ledger in map(Path, ledgers):
        if not ledger.exists():
            continue
        table = read_table(ledger)
        if SIZE.name in table.column_names:
            continue
        names = [row["path"] if row["status"] == Status.OK else None for row in table.to_pylist()]
        facts = [
            file_facts(ledger.parent / name) if name and (ledger.parent / name).is_file() else {} for name in names
        ]
        place = table.column_names.index("height") + 1 if "height" in table.column_names else table.num_columns
        for column in (SHA256, SIZE):
            values = pa.array([fact.get(column.name) for fact in facts], arrow_type(column.type))
            table = table.add_column(place, column.name, values)
        write_table(table, ledger, read_provenance(ledger))


def _add_steps(config: Any, layout: Layout, shard: str) -> None:
    """The annotated steps beside a shard's media."""
    ledger, steps = Path(layout.shard_ledger("download", shard)), Path(layout.steps(shard))
    if ledger.exists() and not steps.exists():
        corpus = config.corpus
        rows = rows_of(shard, Path(corpus.videos), Path(layout.register), corpus.shard_size, corpus.draw)
        write_steps(rows, steps)


# From format 2 to 3 -----------------------------------------------------------------------------------------------------


def _hide_ledgers(layout: Layout) -> None:
    """The shards' ledgers were in `_ledger`, which Hugging Face datasets takes for a part of the table beside it."""
    for stage in ("transcribe", "features", "tokens"):
        old, new = Path(layout.folder(stage), "_ledger"), Path(layout.shard_ledger(stage, "0000")).parent
        if old.is_dir() and not new.exists():
            old.rename(new)


# What still holds -------------------------------------------------------------------------------------------------------


class _Made(NamedTuple):
    """Files that one job made; the first carries their provenance."""

    stage: str
    shard: str | None
    settings: dict[str, Any]
    files: list[str]


def _compare(config: Any, layout: Layout, shards: list[str]) -> tuple[list[str], dict[str, str]]:
    """The files that today's settings would make again of files that hold, too; and why other stages' are made anew."""
    kept: list[str] = []
    broken: set[tuple[str, str | None]] = set()
    changed: dict[str, str] = {}
    for made in _outputs(config, layout, shards):
        if not all(Path(file).exists() for file in made.files):
            reason = f"{made.files[0]} is not complete"
        elif above := next((name for name, shard in _above(made, shards) if (name, shard) in broken), None):
            reason = f"{above} is made anew"
        else:
            # What lies at a path is not compared: it was not when the results were made.
            known = {name: value for name, value in made.settings.items() if not _names_a_path(value)}
            reason = difference(made.stage, known, Path(made.files[0])) if known else ""
        if reason:
            broken.add((made.stage, made.shard))
            changed.setdefault(made.stage, reason)
        else:
            kept += made.files
    return kept, changed


def _outputs(config: Any, layout: Layout, shards: list[str]) -> Iterator[_Made]:
    """What was made, in the order of the pipeline. Gathered ledgers and the report take seconds and are made anew."""
    for stage in READS:
        settings = own_settings(config, stage)
        if stage in SHARDED:
            for shard in shards:
                yield _Made(stage, shard, settings, layout.shard_files(stage, shard))
        else:
            yield _Made(stage, None, settings, layout.files(stage, shards))
    for task in config.evaluate.tasks:
        if task != "scaling":
            yield _Made(task, None, own_values(config, task), [layout.task(task)])
            continue
        for share, seed in product(config.scaling.shares, config.scaling.seeds):
            own = own_settings(config, "pretrain") | {"share": float(share), "seed": seed}
            yield _Made("pretrain", None, own, list(layout.scaling_model(float(share), seed).files().values()))


def _above(made: _Made, shards: list[str]) -> Iterator[tuple[str, str | None]]:
    """The stages, and their shards, that a job read from."""
    for stage in READS.get(made.stage, READS):
        if stage not in SHARDED:
            yield stage, None
        elif made.shard is not None:
            yield stage, made.shard
        else:
            yield from ((stage, shard) for shard in shards)


def _names_a_path(value: Any) -> bool:
    return isinstance(value, str) and value not in NAMED and Path(value).exists()


def _accept(files: list[str], configfile: list[Path]) -> None:
    """Has Snakemake record that these files were made by today's commands. They get a new time, in the order of the jobs."""
    if not files:  # Snakemake would take its default target
        return
    command = [
        sys.executable,
        "-m",
        "snakemake",
        "--snakefile",
        str(snakefile()),
        "--configfile",
        *map(str, configfile),
    ]
    command += ["--cores", "1", "--rerun-triggers", "mtime", "--touch", "--force", "--", *files]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, UPGRADING: "1"})
    if done.returncode:
        raise UserError(f"snakemake --touch failed:\n{done.stderr.strip()}")
