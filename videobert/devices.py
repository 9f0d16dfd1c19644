"""Where a network runs: what `device: auto` comes to, and what float32 means there."""

from collections.abc import Iterator
from contextlib import contextmanager

from videobert import progress
from videobert.errors import UserError


def resolve_device(device: str, setting: str = "device") -> str:
    """cpu, cuda or a certain GPU (cuda:1); the job's progress file says it, too.

    Raises UserError that names the setting when torch does not see the GPU.
    """
    import torch

    if device.startswith("cuda") and not torch.cuda.is_available():
        raise UserError(f"{setting} is {device}, but torch sees no GPU here: set it to auto or cpu")
    if device.startswith("cuda:") and int(device.removeprefix("cuda:")) >= (count := torch.cuda.device_count()):
        raise UserError(f"{setting} is {device}, but torch sees GPUs up to cuda:{count - 1} here")
    found = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
    progress.runs_on(found)
    return found


@contextmanager
def whole_float32() -> Iterator[None]:
    """Convolutions in float32 as a CPU computes them: by default torch rounds their input on a GPU to TF32, 10 bits."""
    import torch

    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before
