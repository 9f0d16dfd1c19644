"""A folder to start from: `videobert init mine --videos clips/` writes a list, a configuration that fits the videos and the
machine, and what Snakemake needs to run there.

Nothing is asked that can be found out. Each value that differs from the default says why, so that it can be changed.
"""

import math
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from videobert.amounts import duration_in_words
from videobert.config import check
from videobert.data.manifest import COLUMNS, local_path, read_list
from videobert.data.provenance import atomic
from videobert.doctor import cores, free_bytes, gpu, hub_address, reaches
from videobert.errors import UserError
from videobert.media.probing import total_duration
from videobert.speech.weights import ctranslate2_is_here
from videobert.stages.codebook import tree_for
from videobert.vision.s3d_weights import KINETICS400, cached_file
from videobert.workflow import snakefile

ENDINGS = {".mp4", ".mkv", ".webm", ".mov", ".avi", ".m4v", ".mpg", ".mpeg", ".ts", ".flv", ".wmv", ".ogv", ".3gp"}
GUESS = 300.0  # seconds of a video whose length only the download will tell
CLIP = 1.5  # seconds
LIST = "videos.tsv"
HOUR = 3600.0


def init(folder: Path, videos: Path | None = None) -> None:
    """Make a folder for your own videos: a list, a commented configuration, and what Snakemake needs to run there.

    videobert init mine --videos clips/
    videobert init mine --videos list.tsv

    The settings fit the number and length of the videos and this machine (cores, GPU, network). Nothing is overwritten.

    Args:
        folder: the folder to make.
        videos: a folder with video files, or a list (TSV, CSV or Parquet with a column source); none: an empty list to fill.
    """
    if folder.exists() and any(folder.iterdir()):
        raise UserError(f"{folder} already exists and is not empty: give another name")
    rows = _rows(videos) if videos else []
    machine = look_at_machine()
    length = _length([row["source"] for row in rows])
    config = propose(len(rows), length, machine)
    check({name: {key: value for key, (value, _) in section.items()} for name, section in config.items()})
    known = f"{len(rows)} videos, about {duration_in_words(length)}" if rows else "a list that is still empty"
    where = f"{machine.cores} cores and {machine.gpu or 'no GPU'}"
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / LIST, as_tsv(rows))
    _write(folder / "config.yaml", as_yaml(config, f"For {known}, on {where}."))
    _write(folder / "Snakefile", SNAKEFILE)
    (folder / "profiles" / "default").mkdir(parents=True)
    shutil.copy(snakefile().parent / "profiles" / "default" / "profile.yaml", folder / "profiles" / "default")
    _say_next(folder, len(rows), length, machine)


# What there is --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Machine:
    """What of this machine decides about settings."""

    cores: int
    gpu: str  # its name; "" without one
    free: int  # bytes on the disk
    hub: bool  # whether models by name can be had
    kinetics: bool  # whether S3D's weights for real videos can be had


def look_at_machine() -> Machine:
    """Cores, GPU, disk, network."""
    kinetics = cached_file().exists() or reaches(KINETICS400)
    return Machine(cores(), gpu(), free_bytes(Path.cwd()), reaches(hub_address()), kinetics)


def _rows(videos: Path) -> list[dict[str, str]]:
    """The rows of a list, or one for each video file of a folder. Paths are absolute, since the new folder is another place."""
    if videos.is_dir():
        files = sorted(path for path in videos.rglob("*") if path.suffix.lower() in ENDINGS and path.is_file())
        if not files:
            raise UserError(f"{videos} has no video files ({', '.join(sorted(ENDINGS))})")
        rows = [{"source": str(path.resolve())} for path in files]
    elif not videos.exists():
        raise UserError(f"{videos} does not exist: give a folder with video files, or a list")
    else:
        rows = [{**row, "source": _absolute(row["source"])} for row in read_list(videos)]
        rows = [{**row, "captions": str(Path(row["captions"]).resolve()) if row["captions"] else ""} for row in rows]
    wrong = next((value for row in rows for value in row.values() if set("\t\n\r") & set(value)), None)
    if wrong:
        raise UserError(f"{videos}: {wrong!r} has a tab or a line break in it: rename it")
    return rows


def _absolute(source: str) -> str:
    path = local_path(source)
    return source if path is None else str(path.resolve())


def _length(sources: list[str]) -> float:
    """Seconds of all videos: what local files say, and a guess for the others."""
    paths = [local_path(source) for source in sources]
    files = [path for path in paths if path is not None]
    known = total_duration(files, math.inf)
    return (GUESS * len(files) if known is None else known) + GUESS * (len(paths) - len(files))


# What to propose ------------------------------------------------------------------------------------------------------


def propose(videos: int, seconds: float, machine: Machine) -> dict[str, dict[str, tuple[Any, str]]]:
    """For each section, key -> (value, why).

    Args:
        videos: how many; 0 when the list is still empty.
        seconds: their length together; 0 when it is not known.
        machine: what there is.
    """
    hours = seconds / HOUR if videos else 100.0
    clips = int(0.8 * hours * HOUR / CLIP)  # of the train videos
    branching, depth = tree_for(clips)
    per_shard = max(1, min(100, math.ceil(videos / (4 * machine.cores)))) if videos else 32
    return {
        "corpus": {
            "videos": (LIST, "the list: a column source, and title, split, captions, license if you like"),
            "shard_size": (per_shard, "videos in a batch, the unit of a job; keep it: a change reruns everything"),
        },
        "transcribe": _speech(machine),
        "features": _features(machine),
        "codebook": {
            "branching": (
                branching,
                f"{branching} ** {depth} = {branching**depth} visual words for about {clips:,} clips",
            ),
            "depth": (depth, "more words are worth it from 10 to 50 clips for each"),
        },
        "vocabulary": _vocabulary(machine),
        "pretrain": _pretrain(clips, hours, machine),
        "evaluate": {
            "annotations": (None, "a table of video_id, start, end, verb, object, if you have labelled steps"),
            "tasks": (
                ["objectives", "zero_shot", "retrieval", "forecasting"],
                "without annotations zero_shot only shows guesses",
            ),
        },
    }


def _speech(machine: Machine) -> dict[str, tuple[Any, str]]:
    if not machine.hub and ctranslate2_is_here("tiny.en"):
        return {
            "model": (
                "tiny.en",
                "the one that is installed: the model hub does not answer here. Take small.en or larger",
            ),
        }
    model = "small.en" if machine.gpu else "base.en"
    return {
        "model": (model, "larger ones (small.en, medium.en, large-v3) err less and take longer"),
        "language": ("en", "for another, take a model without .en"),
    }


def _features(machine: Machine) -> dict[str, tuple[Any, str]]:
    if machine.kinetics:
        weights = ("kinetics400", "S3D trained on real videos, fetched once")
    else:
        weights = (
            "kitchen",
            "WRONG for real videos, and only to try the pipeline: kinetics400 cannot be fetched here. "
            "Put its file where `videobert doctor` says, and write kinetics400",
        )
    return {
        "weights": weights,
        "batch_size": (32 if machine.gpu else 2, "clips at a time: 1 or 2 on a CPU, 32 or more on a GPU"),
    }


def _vocabulary(machine: Machine) -> dict[str, tuple[Any, str]]:
    if machine.hub:
        return {"tokenizer": ("bert-base-uncased", "its words; null trains a vocabulary on the transcripts")}
    return {
        "tokenizer": (
            None,
            "trained on the transcripts: the model hub, which has bert-base-uncased, does not answer here",
        ),
        "size": (5000, "word pieces at most"),
    }


def _pretrain(clips: int, hours: float, machine: Machine) -> dict[str, tuple[Any, str]]:
    large = hours >= 100 and machine.gpu and machine.hub
    sizes: dict[str, tuple[Any, str]] = {
        "initial_model": ("bert-base-uncased", "the encoder starts from a BERT of text"),
        "learning_rate": (5e-5, "small, since it starts from a BERT"),
    }
    if not large:
        width, layers = (128, 2) if hours < 10 else (256, 4)
        sizes = {
            "initial_model": (None, "a small model from nothing; with 100 hours and a GPU take bert-base-uncased"),
            "hidden_size": (width, "BERT-Base has 768"),
            "num_hidden_layers": (layers, "BERT-Base has 12"),
            "num_attention_heads": (4, "BERT-Base has 12"),
            "intermediate_size": (4 * width, "BERT-Base has 3072"),
            "learning_rate": (1e-3, "lower it (1.0e-4) for larger models"),
        }
    steps = min(100_000, max(500, round(clips * 20 / 32 / 100) * 100))
    logging = max(10, steps // 100)
    return sizes | {
        "max_length": (128, "tokens of a sequence; longer ones are cut. BERT's limit is 512"),
        "max_steps": (steps, "steps of batch_size sequences; the curve in the report shows whether more would help"),
        "batch_size": (32, "sequences in a step"),
        "warmup_steps": (min(1000, steps // 10), "a tenth of the steps"),
        "bf16": (bool(machine.gpu), "faster on recent GPUs"),
        "save_steps": (5 * logging, "steps between checkpoints: a kill loses at most that many"),
        "logging_steps": (logging, "steps between points of the training curve; save_steps must be a multiple of it"),
        "threads": (machine.cores, "CPU threads"),
    }


# What is written ------------------------------------------------------------------------------------------------------


def as_tsv(rows: list[dict[str, str]]) -> str:
    """The list as text, with the columns in which something stands."""
    used = [column for column in COLUMNS if column in ("source", "title") or any(row.get(column) for row in rows)]
    return "".join("\t".join(cells) + "\n" for cells in [used, *([row.get(name, "") for name in used] for row in rows)])


def as_yaml(config: dict[str, dict[str, tuple[Any, str]]], heading: str) -> str:
    """The configuration as text, each value with its reason."""
    import yaml

    lines = [
        f"# {heading} Written by videobert init.",
        "# Keys that are left out have their defaults: `videobert config` prints all with what they do.",
        "",
        "results: results",
    ]
    for name, section in config.items():
        lines += ["", f"{name}:"]
        for key, (value, why) in section.items():
            text = yaml.safe_dump(value, default_flow_style=True, width=10**6, allow_unicode=True).split("\n")[0]
            lines += [f"  # {why}", f"  {key}: {text}"]
    return "\n".join(lines) + "\n"


SNAKEFILE = """\
# The workflow of the installed videobert; config.yaml beside this file holds the settings.

from videobert.workflow import snakefile


include: str(snakefile().parent / "workflow" / "Snakefile")


# An included file's default target is thrown away.
rule default:
    default_target: True
    input:
        rules.all.input,
"""


def _write(path: Path, text: str) -> None:
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _say_next(folder: Path, videos: int, seconds: float, machine: Machine) -> None:
    said = [f"{folder}/config.yaml has the settings, each with its reason; {folder}/{LIST} is the list."]
    if videos:
        said.append(f"{videos} videos, about {duration_in_words(seconds)}; {machine.free / 1e9:,.0f} GB free.")
    else:
        said.append(f"Fill {folder}/{LIST}: a line for each video, a URL or a path in the column source.")
    if not machine.kinetics:
        said.append("S3D's weights for real videos cannot be fetched here: `videobert doctor` says what to do.")
    said.append(f"Then:\n\n    cd {folder}\n    snakemake report --cores {machine.cores}\n")
    print("\n".join(said), file=sys.stderr)
