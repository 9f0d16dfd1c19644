"""A seeded sample of vectors in one pass and constant memory, whatever their order."""

import hashlib
from typing import TYPE_CHECKING

from videobert.vision.quantizer import ROWS

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


class Reservoir:
    """Keeps the `size` vectors of the smallest priority among all that are added, in memory for 1.25 of them."""

    def __init__(self, size: int, dimension: int):
        import numpy as np

        self.size = size
        capacity = size + max(size // 4, 4 * ROWS)
        self.vectors = np.empty((capacity, dimension), np.float16)  # what is never filled costs no memory
        self.priority = np.empty(capacity, np.uint64)
        self.held = 0
        self.limit = np.uint64(2**64 - 1)

    def add(self, vectors: "npt.NDArray[np.float16]", priority: "npt.NDArray[np.uint64]") -> None:
        hopeful = priority <= self.limit
        vectors, priority = vectors[hopeful], priority[hopeful]
        for start in range(0, len(vectors), ROWS):
            part = vectors[start : start + ROWS]
            if self.held + len(part) > len(self.vectors):
                self._shrink()
            place = slice(self.held, self.held + len(part))
            self.vectors[place], self.priority[place] = part, priority[start : start + ROWS]
            self.held = place.stop

    def result(self) -> "npt.NDArray[np.float16]":
        """The vectors, in order of priority: the same whatever the order in which they came."""
        import numpy as np

        self._shrink()
        return self.vectors[np.argsort(self.priority[: self.held])]

    def _shrink(self) -> None:
        import numpy as np

        if self.held <= self.size:
            return
        best = np.zeros(self.held, bool)
        best[np.argpartition(self.priority[: self.held], self.size - 1)[: self.size]] = True
        # In place: the best of the overhang go where the others stood.
        free, moving = np.flatnonzero(~best[: self.size]), self.size + np.flatnonzero(best[self.size :])
        self.vectors[free], self.priority[free] = self.vectors[moving], self.priority[moving]
        self.held = self.size
        self.limit = self.priority[: self.held].max()


def hash_number(text: str) -> "np.uint64":
    import numpy as np

    return np.uint64(int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big"))


def mix(numbers: "npt.NDArray[np.uint64]") -> "npt.NDArray[np.uint64]":
    """splitmix64: neighbouring numbers to unrelated ones (Steele et al., 2014)."""
    import numpy as np

    mixed = numbers * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))
