"""The folder of a model: found on this machine or on the model hub, and written anew."""

import json
import re
import shutil
import sys
from contextlib import suppress
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from videobert.data.provenance import atomic, read_provenance, sha256, with_provenance
from videobert.data.text import one_line
from videobert.errors import UserError
from videobert.layout import ModelFolder
from videobert.model.predictor import check_whole, write_pretrained
from videobert.vision.s3d_weights import NAMED

if TYPE_CHECKING:
    from videobert.model.modeling_videobert import VideoBertForPreTraining

HUB_ID = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")
TRAINING_ONLY = ["checkpoints/*", "runs/*", "segments/*"]  # of a folder that was uploaded as the training left it


# Finding ------------------------------------------------------------------------------------------------------------------


def find_folder(model: str | PathLike[str], revision: str | None) -> Path:
    """The folder of a model: the path of one, or user/model on the hub. Raises UserError when there is none."""
    is_hub_id = isinstance(model, str) and HUB_ID.fullmatch(model)
    # In results/pretrein, results is a folder here: a mistyped path, and not for the hub to answer.
    if is_hub_id and not Path(model).parent.exists():
        return _fetch(str(model), revision)
    if not Path(model).is_dir():
        raise UserError(
            f"{model} is neither a folder here nor the id of a model on the hub (user/model); the stage pretrain makes a "
            "model's folder, results/pretrain"
        )
    if revision is not None:
        raise UserError(f"{model} is a folder, which has no revision {revision}: revisions are of models on the hub")
    return Path(model)


def _fetch(model: str, revision: str | None) -> Path:
    """The model's folder in the hub's cache, downloaded where it must be.

    huggingface_hub's own variables hold: HF_TOKEN, HF_HOME, HF_ENDPOINT, HF_HUB_OFFLINE.
    """
    from huggingface_hub import constants, errors, snapshot_download

    try:
        folder = Path(snapshot_download(model, revision=revision, ignore_patterns=TRAINING_ONLY))
    except errors.GatedRepoError:
        raise UserError(f"{model}: accept its terms at {constants.ENDPOINT}/{model}, then set HF_TOKEN") from None
    except errors.RepositoryNotFoundError:
        raise UserError(
            f"{model} is neither a folder here nor a model on the hub ({constants.ENDPOINT}); a private model needs HF_TOKEN"
        ) from None
    except errors.RevisionNotFoundError:
        raise UserError(f"{model} has no revision {revision} on the hub ({constants.ENDPOINT})") from None
    except Exception as error:  # the network fails in the ways of many libraries; the mend is one
        if isinstance(error, MemoryError):
            raise
        why = (
            "HF_HUB_OFFLINE is set"
            if constants.HF_HUB_OFFLINE
            else one_line(str(error.__cause__ or error), longest=120)
        )
        raise UserError(
            f"{model} is no folder here, and could not be fetched from the hub, {constants.ENDPOINT} ({why}); check the network, "
            "or give the path of a model's folder"
        ) from None
    _check_blobs(folder)
    return folder


def _check_blobs(folder: Path) -> None:
    """Raises UserError when a large file is not what the hub said: its name in the cache is its SHA-256."""
    for file in folder.rglob("*"):
        name = file.resolve().name
        if file.is_symlink() and re.fullmatch(r"[0-9a-f]{64}", name) and sha256(file) != name:
            raise UserError(f"{file} is damaged: delete {file.resolve()} and load the model again")


# Writing ------------------------------------------------------------------------------------------------------------------


def save(network: "VideoBertForPreTraining", source: ModelFolder, target: Path) -> None:
    """Writes a whole model folder: the network as it is now, the other files as they lie in `source`.

    Parts and card belong to the weights that they were made for: they are left out, and that is said, when the weights
    were changed. Raises UserError when `source` lacks a file, or when `target` holds other files than a model's.
    """
    check_whole(source, ["weights", "config", "tokenizer", "centroids", "preprocessing"])
    _check_target(target)
    with atomic(target.resolve()) as temporary:  # through a link to another disk, too
        temporary.mkdir()
        new = ModelFolder(temporary)
        unchanged = _write_network(network, source, new)
        carried = {getattr(source, name): getattr(new, name) for name in CARRIED}
        fitted = _fitted(source, new)
        if unchanged:
            carried |= fitted
        for path, copy in (carried | _own_weights(source, new)).items():
            if Path(path).is_file():
                Path(copy).parent.mkdir(exist_ok=True)
                shutil.copyfile(path, copy)
    left = [Path(path).name for path in fitted if not unchanged and Path(path).is_file()]
    if left:
        print(
            f"{target}: the weights have changed, so what was made for the ones before is left out: {', '.join(sorted({*left}))}",
            file=sys.stderr,
        )


CARRIED = ("tokenizer", "tokenizer_config", "centroids", "preprocessing", "training", "plot", "provenance")


def _fitted(source: ModelFolder, new: ModelFolder) -> dict[str, str]:
    """What was made for the weights: the card and the parts of the tasks, wherever they lie, with their new places."""
    fitted = {source.card: new.card}
    for name, copy in vars(new.parts).items():
        places = [getattr(parts, name) for parts in source.places()]
        fitted[next((place for place in places if Path(place).is_file()), places[0])] = copy
    return fitted


def _own_weights(source: ModelFolder, new: ModelFolder) -> dict[str, str]:
    """S3D's weights, where the user has put them into the folder."""
    weights = json.loads(Path(source.preprocessing).read_text("utf-8"))["weights"]
    name = Path(weights).name
    return {} if weights in NAMED else {f"{source.folder}/{name}": f"{new.folder}/{name}"}


def _check_target(target: Path) -> None:
    """Raises UserError when a folder is there that is no model's: it is replaced as a whole."""
    if not target.exists():
        return
    if not target.is_dir():
        raise UserError(f"{target} is a file: give a folder to write the model to")
    there = ModelFolder(target)
    own = {*there.complete()}
    with suppress(OSError, ValueError, KeyError):
        own |= {*_own_weights(there, there)}
    others = sorted(str(path) for path in target.rglob("*") if not path.is_dir() and str(path) not in own)
    if others:
        raise UserError(f"{target} holds files that are no model's ({others[0]}): give a new folder, or an empty one")


def _write_network(network: "VideoBertForPreTraining", source: ModelFolder, new: ModelFolder) -> bool:
    """Writes weights and configuration; whether the weights are those of `source`, which are then copied as they are."""
    from safetensors.torch import load_file

    saved = Path(new.folder) / ".saved"
    write_pretrained(network, saved)
    shutil.copyfile(saved / "config.json", new.config)
    now, before = load_file(saved / "model.safetensors"), load_file(source.weights)
    unchanged = now.keys() == before.keys() and all(now[name].equal(before[name]) for name in now)
    if unchanged:
        shutil.copyfile(source.weights, new.weights)
    else:
        provenance = {**read_provenance(Path(source.weights)), "trained_on_from": sha256(Path(source.weights))}
        Path(new.weights).write_bytes(with_provenance((saved / "model.safetensors").read_bytes(), provenance))
    shutil.rmtree(saved)
    return unchanged
