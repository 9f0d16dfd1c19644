"""What was seen in video files, kept beside an index, so that a run that was broken off goes on where it was."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from videobert.data.provenance import atomic, sha256


class Notes:
    """The visual words of files that were looked at, in a folder: a note goes by the file's content and by all that makes
    words of it, so that it never has to be thrown away."""

    def __init__(self, folder: Path, how: list[Any]):
        self.folder, self.how = folder, json.dumps(how, sort_keys=True)
        self.places: dict[Path, Path] = {}

    def read(self, video: Path) -> npt.NDArray[np.int32] | None:
        """None when there is no note, or none that can be read."""
        try:
            return np.array(json.loads(self._place(video).read_text("utf-8"))["words"], np.int32)
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def write(self, video: Path, words: npt.NDArray[np.int32]) -> None:
        with atomic(self._place(video)) as temporary:
            temporary.write_text(json.dumps({"words": words.tolist()}), "utf-8")

    def forget_others(self) -> None:
        """Removes the notes of files that were not asked for."""
        for note in set(self.folder.glob("*.json")) - set(self.places.values()):
            note.unlink(missing_ok=True)

    def _place(self, video: Path) -> Path:
        if video not in self.places:
            name = hashlib.sha256(f"{sha256(video)} {self.how}".encode()).hexdigest()
            self.places[video] = self.folder / f"{name}.json"
        return self.places[video]
