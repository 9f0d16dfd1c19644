"""What was seen in video files, kept beside an index, so that a run that was broken off goes on where it was."""

import hashlib
import json
from base64 import b64decode, b64encode
from pathlib import Path
from typing import Any

import numpy as np

from videobert.data.provenance import atomic, sha256
from videobert.model.processing_videobert import Video


class Notes:
    """The clips of files that were looked at, in a folder: a note goes by the file's content and by all that makes
    words of it, so that it never has to be thrown away. `features`: whether the model reads those, too."""

    def __init__(self, folder: Path, how: list[Any], features: bool):
        self.folder, self.how, self.features = folder, json.dumps(how, sort_keys=True), features
        self.places: dict[Path, Path] = {}

    def read(self, video: Path) -> Video | None:
        """None when there is no note, or none that can be read."""
        try:
            note = json.loads(self._place(video).read_text("utf-8"))
            words = np.array(note["words"], np.int32)
            features = (
                np.frombuffer(b64decode(note["features"]), "<f2").reshape(len(words), -1) if self.features else None
            )
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return Video(words, features)

    def write(self, video: Path, seen: Video) -> None:
        note: dict[str, Any] = {"words": seen.words.tolist()}
        if self.features and seen.features is not None:
            note["features"] = b64encode(seen.features.astype("<f2").tobytes()).decode()
        with atomic(self._place(video)) as temporary:
            temporary.write_text(json.dumps(note), "utf-8")

    def forget_others(self) -> None:
        """Removes the notes of files that were not asked for."""
        for note in set(self.folder.glob("*.json")) - set(self.places.values()):
            note.unlink(missing_ok=True)

    def _place(self, video: Path) -> Path:
        if video not in self.places:
            name = hashlib.sha256(f"{sha256(video)} {self.how}".encode()).hexdigest()
            self.places[video] = self.folder / f"{name}.json"
        return self.places[video]
