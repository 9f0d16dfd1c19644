"""The checkpoints of a training: which are whole, which training each belongs to, and from which one it goes on.

The Trainer writes the files of a checkpoint in place, and a kill or a power cut may leave any part of them. So a checkpoint
counts when a mark is in it, the file `whole`, which is written when all others are on the disk. It holds, as JSON:

- `training`: what shapes the training. A checkpoint goes on under the same alone.
- `parts`: the packages' versions and the device, and from which step on. They move the rounding of sums and no more, so that
  a training goes on under others; but the model's provenance says so.
- `files`: size and SHA-256 of each file.

Until its model is written, nothing of a training is deleted but the older of its checkpoints and what a kill left
half-written. Checkpoints of another training and damaged ones are set aside, within the folder: it may be a link to another
disk.
"""

import hashlib
import json
import os
import re
import shutil
import sys
import zipfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from videobert.data.provenance import atomic, flush, provenance_key, settle, sha256

if TYPE_CHECKING:
    from transformers import TrainerCallback

WHOLE = "whole"
KEPT = 2  # the last one, and one to fall back on
# Before marks held anything, this file beside the checkpoints held a hash of the provenance, versions and names included.
FORMER_MARK = "provenance"
NEEDED = {"model.safetensors", "optimizer.pt", "scheduler.pt", "trainer_state.json"}


@dataclass(frozen=True)
class Training:
    """A training as its checkpoints know it."""

    shaped_by: dict[str, Any]  # the stage's version, settings, hashes of inputs and of the initial model
    made_with: dict[str, str]  # versions of packages, and the device
    former_key: str  # what FORMER_MARK would hold

    @property
    def name(self) -> str:
        """A short name, the same each time that this training is started: names its folder of TensorBoard's event files."""
        return _short_name(self.shaped_by)


def training_of(provenance: dict[str, Any]) -> Training:
    """The training that a model with this provenance comes of."""
    shaped_by = {name: value for name, value in provenance.items() if name not in ("packages", "execution")}
    # A folder may be renamed: the hash of the initial model's weights says which it is.
    shaped_by["settings"] = {name: value for name, value in provenance["settings"].items() if name != "initial_model"}
    made_with = {**provenance["packages"], "device": provenance["execution"]["device"]}
    return Training(shaped_by, made_with, provenance_key(provenance))


# Before the training --------------------------------------------------------------------------------------------------


def put_in_order(folder: Path, training: Training) -> None:
    """Leaves whole checkpoints of this training alone in `folder`, the newest one checked; says what it sets aside.

    What was set aside of this training earlier comes back.
    """
    _mark_former(folder, training)
    for path in checkpoints(folder):
        if not (path / WHOLE).exists():
            _remove(path)
    _set_others_aside(folder, training)
    for path in [path for aside in folder.glob("set-aside-*") for path in checkpoints(aside)]:
        if (recorded := _recorded(path)) and not _differences(recorded, training):
            _move(path, folder / path.name)
            with suppress(OSError):  # when more is in it
                path.parent.rmdir()
    while (last := newest(folder)) and (fault := _fault(last)):
        aside = _move(last, folder / f"damaged-{last.name}")
        print(
            f"pretrain: {last} is damaged ({fault}): it is kept as {aside}, to be deleted, and the one before it is taken, if "
            "there is one",
            file=sys.stderr,
        )


def newest(folder: Path) -> Path | None:
    """The newest whole checkpoint."""
    return max((path for path in checkpoints(folder) if (path / WHOLE).exists()), key=_step, default=None)


def parts_from(last: Path | None, training: Training) -> list[dict[str, Any]]:
    """What each part of a training that goes on from the checkpoint `last` is made with: from_step, packages, device."""
    parts: list[dict[str, Any]] = _read_mark(last)["parts"] if last else []
    step = _step(last) if last else 0
    if parts and parts[-1] == {**training.made_with, "from_step": parts[-1]["from_step"]}:
        return parts
    return [*parts, {"from_step": step, **training.made_with}]


def say_from_where(last: Path, parts: list[dict[str, Any]]) -> None:
    """One line on the checkpoint that the training goes on from; and what it is made with, where that changes here."""
    said = f"pretrain: going on from {last.name}"
    if parts[-1]["from_step"] == _step(last):
        before, now = map(_in_words, parts[-2:])
        said = f"pretrain: going on from {last.name}, made with {before}; from here on with {now}"
    print(said, file=sys.stderr)


def checkpoints(folder: Path) -> list[Path]:
    """The folders of checkpoints, whole or not, by their steps. A user's own copies (checkpoint-20-best) are none."""
    return sorted(
        (path for path in folder.glob("checkpoint-*") if re.fullmatch(r"checkpoint-\d+", path.name)), key=_step
    )


def best_weights(folder: Path) -> list[Path]:
    """The folders of the weights that were best on validation videos (validation.py). A user's own copies are none."""
    return [path for path in folder.glob("best-*") if re.fullmatch(r"best-[0-9a-f]{8}-\d+", path.name)]


def _step(path: Path) -> int:
    return int(path.name.split("-")[1])


def _in_words(part: dict[str, Any]) -> str:
    packages = ", ".join(f"{name} {part[name]}" for name in part if name not in ("from_step", "device"))
    return f"{packages} on {part['device']}"


# Of which training ----------------------------------------------------------------------------------------------------


def _set_others_aside(folder: Path, training: Training) -> None:
    told: dict[Path, list[str]] = {}
    for path in checkpoints(folder):
        recorded = _recorded(path)
        if recorded and (differences := _differences(recorded, training)):
            aside = folder / f"set-aside-{_short_name(recorded)}"
            _move(path, aside / path.name)
            told[aside] = differences
    for aside, differences in told.items():
        if "former" in differences:
            os.replace(folder / FORMER_MARK, aside / FORMER_MARK)
            differences = ["settings, inputs or versions of packages"]
        print(
            f"pretrain: the checkpoints in {folder} are of another training ({'; '.join(differences)}): they are kept in "
            f"{aside}, and the same settings and inputs go on with them; or delete that folder",
            file=sys.stderr,
        )


def _short_name(shaped_by: dict[str, Any]) -> str:
    """Eight hex digits of what shapes a training."""
    return hashlib.sha256(json.dumps(shaped_by, sort_keys=True).encode()).hexdigest()[:8]


def _recorded(path: Path) -> dict[str, Any]:
    """The training that a checkpoint is of, as its mark says; {} when nothing says it."""
    mark, former = _read_mark(path), path.parent / FORMER_MARK
    if not mark and former.exists():
        return {"former": former.read_text(encoding="utf-8")}
    training: dict[str, Any] = mark.get("training", {})
    return training


def _differences(recorded: dict[str, Any], training: Training) -> list[str]:
    """In what another training differs: its settings, with their values, and names of inputs."""
    theirs, ours = _flat(recorded), _flat(training.shaped_by)
    names = [name for name in {**ours, **theirs} if theirs.get(name) != ours.get(name)]
    return [f"{name}: {theirs[name]!r}" if name in recorded.get("settings", {}) else name for name in names]


def _flat(shaped_by: dict[str, Any]) -> dict[str, Any]:
    """The values of a training by their names. A setting that is not there is a later one: its default is what was done."""
    from videobert.model.settings import PretrainSettings  # pydantic is missing where benchmarks/gpu.py may run

    defaults = {name: field.default for name, field in PretrainSettings.model_fields.items() if name != "initial_model"}
    others = {name: value for name, value in shaped_by.items() if name not in ("settings", "inputs")}
    return {**defaults, **shaped_by.get("settings", {}), **shaped_by.get("inputs", {}), **others}


def _mark_former(folder: Path, training: Training) -> None:
    """Gives checkpoints of earlier versions, whose marks are empty, one that tells all: if they are of this training."""
    for former in [folder / FORMER_MARK, *folder.glob(f"set-aside-*/{FORMER_MARK}")]:
        if former.exists() and former.read_text(encoding="utf-8") == training.former_key:
            for path in checkpoints(former.parent):
                files = _files(path)
                if (
                    _is_empty(path / WHOLE)
                    and {file.name for file in files} >= NEEDED
                    and all(map(_is_readable, files))
                ):
                    mark_whole(path, training, parts_from(None, training))
            former.unlink()


def _is_empty(file: Path) -> bool:
    return file.exists() and not file.stat().st_size


def _is_readable(file: Path) -> bool:
    """Whether a file of a checkpoint holds what it should, by its own format: an earlier version noted no hashes."""
    from safetensors import safe_open

    try:
        if file.suffix == ".json":
            return bool(json.loads(file.read_text(encoding="utf-8")))
        if file.suffix == ".safetensors":
            with safe_open(file, "np") as tensors:
                return bool(tensors.keys())
        with zipfile.ZipFile(file) as archive:  # what torch.save writes
            return archive.testzip() is None
    except Exception:  # each format has its own
        return False


# Whole, and damaged ---------------------------------------------------------------------------------------------------


def marking(training: Training, parts: list[dict[str, Any]]) -> "TrainerCallback":
    """The Trainer's callback that marks each checkpoint that is written, and removes the older ones.

    The Trainer's own way (save_total_limit) removes them before the new one is on the disk, and takes any folder
    checkpoint-* for one of them.
    """
    import torch
    from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

    class Marking(TrainerCallback):
        def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
            if torch.distributed.is_initialized():
                torch.distributed.barrier()
            if state.is_world_process_zero:
                assert args.output_dir  # training_arguments sets it
                folder = Path(args.output_dir)
                mark_whole(folder / f"checkpoint-{state.global_step}", training, parts)
                for path in checkpoints(folder)[:-KEPT]:
                    _remove(path)

    return Marking()


def mark_whole(path: Path, training: Training, parts: list[dict[str, Any]]) -> None:
    """Marks a checkpoint as whole, once its files are on the disk. Raises MachineFault when the disk did not take them."""
    files = _files(path)
    for file in files:
        settle(file)
    with suppress(OSError):  # some network file systems do not flush folders
        flush(path)
        flush(path.parent)
    mark = {"training": training.shaped_by, "parts": parts, "files": {file.name: _facts(file) for file in files}}
    with atomic(path / WHOLE) as temporary:
        temporary.write_text(json.dumps(mark, indent=1, sort_keys=True), encoding="utf-8")


def _files(path: Path) -> list[Path]:
    return sorted(file for file in path.iterdir() if file.is_file() and file.name != WHOLE)


def _facts(file: Path) -> dict[str, Any]:
    return {"size": file.stat().st_size, "sha256": sha256(file)}


def _read_mark(path: Path) -> dict[str, Any]:
    """What the mark says; {} when it is empty or damaged."""
    try:
        mark: dict[str, Any] = json.loads((path / WHOLE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return mark


def _fault(path: Path) -> str:
    """What is wrong with a checkpoint, "" when it is as its mark says."""
    mark = _read_mark(path)
    for name, facts in mark.get("files", {}).items():
        file = path / name
        try:
            if _is_empty(file) and facts["size"]:
                return f"{name} is empty"
            if file.stat().st_size != facts["size"] or sha256(file) != facts["sha256"]:
                return f"{name} is not what was written"
        except OSError as error:
            return f"{name}: {error.strerror}"
    return "" if mark else f"{WHOLE} is empty or cut off"


# Files and folders ----------------------------------------------------------------------------------------------------


def _move(path: Path, target: Path) -> Path:
    """Moves a checkpoint, beside what lies there under the same name; gives its new place."""
    target.parent.mkdir(exist_ok=True)
    place, number = target, 1
    while place.exists():
        number += 1
        place = target.with_name(f"{target.name}.{number}")
    return path.rename(place)


def _remove(path: Path) -> None:
    """Removes a checkpoint. Its mark goes first, or a kill would leave half of it with a mark; and a disk that refuses is no
    reason to stop a training."""
    if path.is_symlink():  # what it leads to is the user's
        return path.unlink()
    with suppress(OSError):
        (path / WHOLE).unlink()
    return shutil.rmtree(path, ignore_errors=True)


def clear(folder: Path) -> None:
    """Removes a finished training's checkpoints, and the folder unless something else is in it or it is a link."""
    for path in (*checkpoints(folder), *best_weights(folder)):
        _remove(path)
    with suppress(OSError):
        (folder / FORMER_MARK).unlink(missing_ok=True)
        if not folder.is_symlink():
            folder.rmdir()
