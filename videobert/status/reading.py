"""Thousands of small files, read once: a second look reads those alone that have changed since.

A results folder of 1,200 shards has 6,000 ledgers and as many progress files, often on a network disk that takes a millisecond
for each question; so several are asked at a time.
"""

import os
import tempfile
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from videobert.data.text import one_line
from videobert.errors import UserError

AT_A_TIME = 8

Value = TypeVar("Value")


@dataclass(frozen=True)
class Said(Generic[Value]):
    """What a file says."""

    mark: tuple[int, int, int]
    """Inode, time and size: a file that has the same ones has not changed."""
    time: float
    """When it was written, by the clock of the disk."""
    value: Value | None
    """None: it cannot be read."""
    problem: str = ""
    """Why not."""


class Files(Generic[Value]):
    """Files of one kind, which `parse` reads."""

    def __init__(self, parse: Callable[[Path], Value | None]) -> None:
        self.parse = parse
        self.known: dict[str, Said[Value]] = {}

    def read(self, paths: Iterable[str]) -> dict[str, Said[Value]]:
        """What those of them say that are there, by path."""
        paths = list(paths)
        with ThreadPoolExecutor(AT_A_TIME) as pool:
            found = zip(paths, pool.map(self._read, paths), strict=True)
            self.known = {path: said for path, said in found if said}
        return self.known

    def _read(self, path: str) -> Said[Value] | None:
        try:
            stat = os.stat(path)
        except OSError:
            return None
        mark = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
        before = self.known.get(path)
        if before and before.mark == mark:
            return before
        try:
            return Said(mark, stat.st_mtime, self.parse(Path(path)))
        except (UserError, OSError) as error:
            gone = not os.path.exists(path)  # just now, since its job runs again
            return None if gone else Said(mark, stat.st_mtime, None, one_line(str(error)))


def disk_clock(folder: str) -> float:
    """Now, by the clock of the disk that holds a folder: it gives files their times, and hosts may differ.

    By this machine's clock where the folder is not there or takes no file.
    """
    try:
        with tempfile.TemporaryFile(dir=folder) as sample:
            return os.fstat(sample.fileno()).st_mtime
    except OSError:
        return time.time()
