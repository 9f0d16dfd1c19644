"""Where S3D's weights come from: `kitchen` and `shapes` ship with the project, `kinetics400` is fetched once, all else is a path.

torch is imported only to fetch: whether the weights are here is asked before the first job of a run.
"""

import hashlib
from pathlib import Path

from videobert.data.cache import cache
from videobert.errors import UserError

SHIPPED = {name: Path(__file__).parent / "weights" / f"{name}.safetensors" for name in ("kitchen", "shapes")}
NAMED = (*SHIPPED, "kinetics400")  # by name, whatever lies in the working folder
# torchvision's file; the start of its SHA-256 is in the name.
KINETICS400 = "https://download.pytorch.org/models/s3d-d76dad2f.pth"


def cached_file() -> Path:
    """Where the file of `kinetics400` is kept."""
    return cache() / KINETICS400.rsplit("/", 1)[1]


def weights_file(weights: str) -> Path:
    """Where the file of a `weights` setting lies; fetches it when it must."""
    if weights in SHIPPED:
        return SHIPPED[weights]
    if weights == "kinetics400":
        return _fetch()
    if not Path(weights).is_file():
        raise UserError(
            f"features.weights: {weights} is no file; "
            "give kitchen, shapes, kinetics400 or a path to a .pth or .safetensors"
        )
    return Path(weights)


def _fetch() -> Path:
    """The file in the cache folder, downloaded when it is not there; its hash is in its name."""
    path = cached_file()
    prefix = path.stem.rsplit("-", 1)[1]
    if not path.exists():
        import torch

        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(KINETICS400, str(path), hash_prefix=prefix)
        except (OSError, RuntimeError) as error:
            raise UserError(
                f"features.weights: {path.name} could not be fetched ({error}); "
                f"download {KINETICS400} elsewhere and put it into {path.parent} (or set VIDEOBERT_CACHE to its folder)"
            ) from None
    with open(path, "rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if not found.startswith(prefix):
        raise UserError(f"{path} is damaged (SHA-256 {found[:8]}..., not {prefix}...); delete it and run again")
    return path
