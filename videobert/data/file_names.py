"""Files by names that are spelled in two ways.

"é" is one character (NFC) or two (NFD: e and an accent). Systems keep names as they were written, macOS used to write NFD, and
a list that was copied from elsewhere says the other. The name as it stands counts first.
"""

import os
import unicodedata
from functools import lru_cache
from pathlib import Path


def existing(path: str | Path) -> Path | None:
    """The file or folder that a path names, exactly or in the other spelling; None when there is none."""
    if os.path.exists(path):  # Path.exists() raises an error at a name that is too long
        return Path(path)
    if str(path).isascii() or "\0" in str(path):
        return None
    found = Path(Path(path).anchor)
    for part in Path(path).parts[bool(Path(path).anchor) :]:
        exact = os.path.lexists(found / part)
        spelled = part if exact else _spellings(found, _changed(found)).get(unicodedata.normalize("NFC", part))
        if spelled is None:
            return None
        found = found / spelled
    return found if os.path.exists(found) else None


def _changed(folder: Path) -> int:
    try:
        return os.stat(folder).st_mtime_ns
    except OSError:
        return 0


@lru_cache(maxsize=64)
def _spellings(folder: Path, changed: int) -> dict[str, str]:
    """The names in a folder by their NFC; read again when the folder has changed."""
    try:
        return {unicodedata.normalize("NFC", name): name for name in os.listdir(folder)}
    except OSError:
        return {}
