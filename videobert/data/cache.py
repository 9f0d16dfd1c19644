"""The folder of fetched weights."""

import os
from pathlib import Path


def cache() -> Path:
    """$VIDEOBERT_CACHE, else ~/.cache/videobert."""
    return Path(os.environ.get("VIDEOBERT_CACHE") or Path.home() / ".cache" / "videobert")
