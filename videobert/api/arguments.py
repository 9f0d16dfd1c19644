"""What a caller may give: checked before anything slow begins, so nothing here needs torch."""

import os
from numbers import Integral
from pathlib import Path
from typing import Any, Literal, get_args

from videobert.errors import UserError
from videobert.media.decoding import LONGEST

Device = Literal["auto", "cpu", "cuda"]


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


def check_device(device: Any) -> None:
    """Raises UserError for what is no device that a model runs on."""
    if device not in get_args(Device):
        raise UserError(f"device is {device!r}, but must be one of {', '.join(get_args(Device))}")


def check_writable(folder: Path) -> None:
    """Makes the folder before the work. Raises UserError when nothing can be written there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        writable = os.access(folder, os.W_OK)
    except OSError:
        writable = False
    if not writable:
        raise UserError(f"{folder} cannot be written: give another folder with --output")
