"""Pretrained weights: fetched and looked at before the first job, since a run of days must not end on a name.

`videobert weights mine.yaml` does the same by hand, on the node of a cluster that reaches the network.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from videobert.config import check, read
from videobert.errors import UserError
from videobert.speech.weights import on_this_machine
from videobert.speech.whisper import ENGINES


def weights(configfile: list[Path], stages: str = "all") -> None:
    """Fetch the pretrained weights that a configuration names, and check that they can be loaded.

    videobert weights mine.yaml

    Args:
        configfile: the configuration files, as they are given to snakemake --configfile.
        stages: only those of these stages, with commas between them.
    """
    config = check(read(configfile))
    wanted = needed(config, list(_LOADERS) if stages == "all" else stages.split(","))
    missing = []
    for name, load in wanted.items():
        print(f"weights: {name}", file=sys.stderr)
        try:
            load()
        except UserError as error:
            missing.append(str(error))
    if missing:
        raise UserError("\n".join(missing))
    if not wanted:
        print("weights: all that this configuration names is installed already", file=sys.stderr)


def needed(config: Any, stages: list[str]) -> dict[str, Callable[[], object]]:
    """Setting and value -> a function that fetches and loads these weights, for what did not come with the packages."""
    found: dict[str, Callable[[], object]] = {}
    for stage in stages:
        found |= _LOADERS[stage](config) if stage in _LOADERS else {}
    return found


def _transcribe(config: Any) -> dict[str, Callable[[], object]]:
    engine, model = config.transcribe.engine, config.transcribe.model
    if engine == "captions" or on_this_machine(model):
        return {}
    return {f"transcribe.model: {model}": lambda: ENGINES[engine].find_weights(model)}


def _features(config: Any) -> dict[str, Callable[[], object]]:
    def load() -> object:
        from videobert.vision.s3d import load

        return load(config.features.weights)

    return {} if config.features.weights == "kitchen" else {f"features.weights: {config.features.weights}": load}


def _vocabulary(config: Any) -> dict[str, Callable[[], object]]:
    name = config.vocabulary.tokenizer

    def load() -> object:
        from videobert.model.tokenizer import pretrained

        return pretrained(name)

    return {f"vocabulary.tokenizer: {name}": load} if name else {}


def _pretrain(config: Any) -> dict[str, Callable[[], object]]:
    name, longest = config.pretrain.initial_model, config.pretrain.max_length

    def load() -> None:
        from videobert.model.initial_model import load_initial

        load_initial(name, longest)

    return {f"pretrain.initial_model: {name}": load} if name else {}


def _zero_shot(config: Any) -> dict[str, Callable[[], object]]:
    name = config.zero_shot.text_model

    def load() -> object:
        from videobert.model.initial_model import load

        return load(name, f"zero_shot.text_model: {name}", "null leaves the row out")

    return {f"zero_shot.text_model: {name}": load} if name else {}


_LOADERS: dict[str, Callable[[Any], dict[str, Callable[[], object]]]] = {
    "transcribe": _transcribe,
    "features": _features,
    "vocabulary": _vocabulary,
    "pretrain": _pretrain,
    "zero_shot": _zero_shot,
}
