"""Pretrained weights: fetched and looked at before the first job, since a run of days must not end on a name.

`videobert weights mine.yaml` does the same by hand, and `snakemake weights` for the configuration of a run: on the node of a
cluster that reaches the network.
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from videobert.config import check, read
from videobert.data.provenance import sha256, write_json
from videobert.doctor import hub_address, reaches
from videobert.errors import UserError
from videobert.process import OFFLINE, work_offline
from videobert.speech.whisper import ENGINES
from videobert.vision.s3d_weights import NAMED, SHIPPED


class Weights(NamedTuple):
    """Weights that a configuration names."""

    setting: str
    name: str
    """The setting's value: a name that is known here or on the model hub, or a path."""
    find: Callable[[], Path]
    """Fetches them and checks that they can be loaded; gives their file or folder. Raises UserError."""
    is_here: bool = False
    """Whether they came with the packages or lie on this machine as they must: nothing is left to check before a run."""


def weights(configfile: list[Path], stages: str = "all", record: Path | None = None) -> None:
    """Fetch the pretrained weights that a configuration names, and check that they can be loaded.

    videobert weights mine.yaml

    It prints where they lie, and the SHA-256 of each file as sha256sum does.

    Args:
        configfile: the configuration files, as they are given to snakemake --configfile.
        stages: only those of these stages, with commas between them.
        record: where to write the same (JSON).
    """
    config = check(read(configfile))
    wanted = named(config, list(_NAMED) if stages == "all" else stages.split(","))
    if _ask_hub(wanted) and OFFLINE not in os.environ and not reaches(hub_address()):
        print(f"weights: {hub_address()} does not answer; looking on this machine alone", file=sys.stderr)
        work_offline()  # the hub's library would try again for half a minute, of each setting
    places, missing = {}, []
    for one in wanted:
        print(f"weights: {one.setting}: {one.name}", file=sys.stderr)
        try:
            places[one] = one.find()
        except UserError as error:
            missing.append(str(error))
    if missing:
        raise UserError("\n".join(missing))
    if not places:
        print("weights: this configuration names none", file=sys.stderr)
    # After all of them: two settings may name the same BERT, and need different files of it.
    hashes = {place: _hashes(place) for place in places.values()}
    for files in hashes.values():
        print("".join(f"{hash_}  {file}\n" for file, hash_ in files.items()), end="")
    if record:
        found = [{"setting": one.setting, "name": one.name, "files": hashes[place]} for one, place in places.items()]
        write_json({"weights": found}, record, {"stage": "weights"})


def _ask_hub(wanted: list[Weights]) -> bool:
    """Whether some of these are names on the model hub."""
    return any(not (one.is_here or one.name in NAMED or Path(one.name).exists()) for one in wanted)


def _hashes(place: Path) -> dict[str, str]:
    """SHA-256 of a file, or of the files that lie in a folder (not of those below it: they are of a training), by path."""
    files = sorted(file for file in place.iterdir() if file.is_file()) if place.is_dir() else [place]
    return {str(file): sha256(file) for file in files}


def needed(config: Any, stages: list[str]) -> list[Weights]:
    """The weights of these stages that must be fetched or checked before the first job."""
    return [one for one in named(config, stages) if not one.is_here]


def named(config: Any, stages: list[str]) -> list[Weights]:
    """The weights that a configuration names for these stages."""
    return [one for stage in stages if stage in _NAMED for one in _NAMED[stage](config)]


def _transcribe(config: Any) -> list[Weights]:
    engine, model = config.transcribe.engine, config.transcribe.model
    if engine == "captions":
        return []
    kind = ENGINES[engine]
    return [Weights("transcribe.model", model, lambda: kind.find_weights(model), kind.is_here(model))]


def _features(config: Any) -> list[Weights]:
    name = config.features.weights

    def find() -> Path:
        from videobert.vision.s3d import load
        from videobert.vision.s3d_weights import weights_file

        load(name)
        return weights_file(name)

    return [Weights("features.weights", name, find, name in SHIPPED)]


def _vocabulary(config: Any) -> list[Weights]:
    def load(name: str) -> None:
        from videobert.model.tokenizer import pretrained

        pretrained(name)

    return _bert("vocabulary.tokenizer", config.vocabulary.tokenizer, load)


def _pretrain(config: Any) -> list[Weights]:
    def load(name: str) -> None:
        from videobert.model.initial_model import load_initial

        load_initial(name, config.pretrain.max_length)

    return _bert("pretrain.initial_model", config.pretrain.initial_model, load)


def _zero_shot(config: Any) -> list[Weights]:
    def load(name: str) -> None:
        from videobert.model.initial_model import load

        load(name, f"zero_shot.text_model: {name}", "null leaves the row out")

    return _bert("zero_shot.text_model", config.zero_shot.text_model, load)


def _bert(setting: str, name: str | None, load: Callable[[str], None]) -> list[Weights]:
    """The files of a BERT, whose folder is its own or that of the hub's cache."""
    if name is None:
        return []

    def find() -> Path:
        from huggingface_hub import snapshot_download

        load(name)
        return Path(name) if Path(name).is_dir() else Path(snapshot_download(name, local_files_only=True))

    return [Weights(setting, name, find)]


_NAMED: dict[str, Callable[[Any], list[Weights]]] = {
    "transcribe": _transcribe,
    "features": _features,
    "vocabulary": _vocabulary,
    "pretrain": _pretrain,
    "zero_shot": _zero_shot,
}
