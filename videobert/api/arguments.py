"""What a caller may give: checked before anything slow begins, so nothing here needs torch."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral
from os import PathLike
from pathlib import Path
from typing import Any

from videobert.errors import Status, UserError, VideoError
from videobert.layout import ModelFolder
from videobert.media.decoding import LONGEST

# The paper's, as a whole sentence: without the full stop a model may take the last [MASK] for it.
TEMPLATE = "now let me show you how to [MASK] the [MASK]."

VideoPath = str | PathLike[str]
Seconds = float | None
# Of several videos: the same for all, or one for each.
ManySeconds = Seconds | Sequence[Seconds]


@dataclass(frozen=True)
class Cut:
    """A video from `start` to `end` seconds, its ends where they are None."""

    video: Path
    start: Seconds = None
    end: Seconds = None


def cuts(videos: VideoPath | Sequence[VideoPath], start: ManySeconds, end: ManySeconds) -> list[Cut]:
    """A cut for each video. Raises UserError for what are no videos, no seconds, or not one for each."""
    paths = listed(videos)
    for path in paths:
        if not isinstance(path, str | PathLike):
            raise UserError(f"the video is {path!r}, but must be the path of a file")
    starts, ends = _each("start", start, len(paths)), _each("end", end, len(paths))
    for first, last in zip(starts, ends, strict=True):
        check_times(first, last)
    return [Cut(Path(path), first, last) for path, first, last in zip(paths, starts, ends, strict=True)]


def _each(name: str, seconds: ManySeconds, count: int) -> list[Seconds]:
    """The seconds of each of so many videos."""
    if not isinstance(seconds, Sequence) or isinstance(seconds, str):
        return [seconds] * count
    if len(seconds) != count:
        raise UserError(f"{name} has {len(seconds)} values for {count} videos: give one for each, or one for all")
    return list(seconds)


def listed(given: Any) -> list[Any]:
    """One text or video, or several, as a list."""
    return [given] if isinstance(given, str | PathLike) or not isinstance(given, Sequence) else list(given)


def check_whole(name: str, value: Any, most: int | None = None) -> None:
    """Raises UserError for anything but a whole number from 1 (to `most`)."""
    whole = isinstance(value, Integral) and not isinstance(value, bool)
    if not whole or value < 1 or (most is not None and value > most):
        bound = "a whole number, 1 or more" if most is None else f"1 to {most}"
        raise UserError(f"{name} is {value!r}, but must be {bound}")


def check_times(start: Any, end: Any) -> None:
    """Raises UserError for what are no seconds of a video."""
    for name, value in (("start", start), ("end", end)):
        try:
            fits = value is None or bool(0 <= value <= LONGEST)  # NaN is within no bounds
        except (TypeError, ValueError):
            fits = False
        if not fits:
            raise UserError(f"{name} is {value!r}, but must be seconds of the video, 0 to {LONGEST}")
    if end is not None and end <= (start or 0):
        raise UserError(f"start {start or 0:g} and end {end:g} are no piece of a video: end must be later than start")


def check_text(text: Any) -> None:
    """Raises UserError for what is no text, such as bytes that a shell took from another encoding."""
    try:
        if isinstance(text, str) and text.encode():
            return
    except UnicodeEncodeError:
        raise UserError(f"the text {text!r} is not UTF-8: set the terminal's encoding to it") from None
    raise UserError(f"the text is {text!r}, but must be words")


def check_masks(text: Any) -> None:
    """Raises UserError for a text without a [MASK]."""
    check_text(text)
    if "[MASK]" not in text:
        raise UserError(f"the text has no [MASK] to fill: {text!r}; write for example {TEMPLATE!r}")


def check_query(text: Any) -> None:
    """Raises UserError for a text without a word."""
    check_text(text)
    if not any(map(str.isalnum, text)):
        raise UserError(f"the text {text!r} has no word to search for")


def check_file(video: Path) -> None:
    """Raises VideoError when there is no such file."""
    if not video.is_file():
        raise VideoError(Status.UNUSABLE, "there is no such file; give the path of a video")


def check_device(device: str) -> None:
    """Raises UserError for what is no device that a model runs on."""
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", device):
        raise UserError(f"device is {device!r}, but must be one of auto, cpu, cuda, or a GPU's number as in cuda:1")


def check_writable(folder: Path) -> None:
    """Makes the folder before the work. Raises UserError when nothing can be written there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        writable = os.access(folder, os.W_OK)
    except OSError:
        writable = False
    if not writable:
        raise UserError(f"{folder} cannot be written: give another folder with --output")


def find_decoder(model: ModelFolder, given: VideoPath | None = None) -> Path:
    """The folder of the decoder that the task captioning trained. Raises UserError when there is none."""
    if given is not None:
        if not (Path(given) / "model.safetensors").exists():
            raise UserError(f"{given} holds no decoder: give the folder captioning of a model's folder")
        return Path(given)
    places = [Path(parts.decoder) for parts in model.places()]
    for weights in places:
        if weights.exists():
            return weights.parent
    raise UserError(
        f"{places[0]} is missing, the decoder that writes captions: the task captioning trains it, which needs "
        "evaluate.annotations with a column sentence; give them and run snakemake captioning --cores all, or copy its "
        "folder from where the model was made"
    )
