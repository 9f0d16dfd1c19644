"""Local files of the list: have they changed, and are they still there?

A file counts as changed when its content does: a project that was copied has other times. The content is known by the size and a
hash of three parts, which is kept and computed again only when the time has moved. What was there and is not stops the run: a
disk that is away looks like a thousand deleted files, and a video is taken out by its row in the list.
"""

import hashlib
import os
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from videobert.data.file_names import existing
from videobert.data.provenance import DamagedFile, read_table, write_table
from videobert.data.schemas import LOCAL_FILES, arrow
from videobert.errors import UserError

PART = 1 << 14  # bytes
AT_ONCE = 16  # files that are read at the same time: on a network disk each waits for its answers


@dataclass(frozen=True)
class Stamp:
    """What a file is like: bytes, time of modification (ns), hash."""

    size: int
    time: int
    content: str


class LocalFiles:
    """What local files are like now, and were like when `file` was written."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.before: dict[str, Stamp] = {}
        self.now: dict[str, Stamp | None] = {}
        try:
            rows = read_table(file).to_pylist() if file.exists() else []
        except DamagedFile as error:
            print(f"{error}; what the local files were like is not known", file=sys.stderr)
            rows = []
        self.before = {row["path"]: Stamp(row["size"], row["time"], row["content"]) for row in rows}

    def look(self, paths: Iterable[str]) -> None:
        """Looks at these files. Raises UserError when files are gone that were there before."""
        wanted = sorted(set(paths))
        _check_names(wanted)
        unknown = [path for path in wanted if path not in self.now]
        if len(unknown) > 10_000:
            print(f"looking at {len(unknown):,} local files", file=sys.stderr)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            self.now |= dict(zip(unknown, pool.map(self._stamp, unknown), strict=True))
        gone = [path for path in wanted if path in self.before and self.now[path] is None]
        if gone:
            raise UserError(_gone(gone, len([path for path in wanted if path in self.before])))

    def facts(self, path: str) -> list[Any]:
        """What decides whether a stage must read a file again: its size and content; nothing when it is not there."""
        self.look([path])
        stamp = self.now[path]
        return [stamp.size, stamp.content] if stamp else []

    def write(self) -> None:
        """Remembers what was looked at, for the next run."""
        import pyarrow as pa

        seen = self.before | {path: stamp for path, stamp in self.now.items() if stamp}
        if seen != self.before:
            rows = [{"path": path, **vars(stamp)} for path, stamp in sorted(seen.items())]
            write_table(pa.Table.from_pylist(rows, arrow(LOCAL_FILES)), self.file, {"stage": "corpus"})
            self.before = seen

    def _stamp(self, path: str) -> Stamp | None:
        try:
            found = existing(path)
            state = os.stat(found) if found else None
        except (OSError, ValueError):  # ValueError: a NUL in the name
            return None
        if found is None or state is None or not found.is_file():
            return None
        known = self.before.get(path)
        if known and (known.size, known.time) == (state.st_size, state.st_mtime_ns):
            return known
        return Stamp(state.st_size, state.st_mtime_ns, _content(found, state.st_size))


def _content(path: Path, size: int) -> str:
    digest = hashlib.sha256(str(size).encode())
    try:
        with open(path, "rb") as file:
            for place in (0, max(0, size // 2 - PART // 2), max(0, size - PART)):
                file.seek(place)
                digest.update(file.read(PART))
    except OSError:  # the stage that reads it says what is wrong
        return "not readable"
    return digest.hexdigest()


def _gone(gone: list[str], known: int) -> str:
    folder = os.path.commonpath([os.path.dirname(os.path.abspath(path)) for path in gone])
    return (
        f"{len(gone)} of {known} local files that were there are not there now, all in {folder} (the first: {gone[0]}): "
        "is its disk mounted? Nothing was changed. To take videos out, take their rows out of corpus.videos"
    )


def _check_names(paths: list[str]) -> None:
    """Raises UserError where this process cannot ask for a name, since its locale has no such letters."""
    if sys.getfilesystemencoding().lower() == "utf-8":
        return
    if other := next((path for path in paths if not path.isascii()), None):
        raise UserError(
            f"corpus.videos names {other!r}, and in the locale of this shell ({sys.getfilesystemencoding()}) that may be "
            "another file: set LC_ALL=C.UTF-8 (or PYTHONUTF8=1) and run again"
        )
