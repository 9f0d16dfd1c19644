"""Where a network runs: what `device: auto` comes to."""

from videobert.errors import UserError


def resolve_device(device: str, setting: str = "device") -> str:
    """cpu or cuda. Raises UserError that names the setting when cuda is asked for and torch sees no GPU."""
    import torch

    if device == "cuda" and not torch.cuda.is_available():
        raise UserError(f"{setting} is cuda, but torch sees no GPU here: set it to auto or cpu")
    return ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
