"""A raw video file as clips, with their features and visual words.

A video takes the road of the training videos: the same frames (ffmpeg), the same S3D and the same codebook, with the
settings that the model folder's preprocessing.json names; so a video has the visual words here that it has in the tokens
table. Everything but S3D's weights lies in the model folder, and those are checked by their hash.
"""

import json
import sys
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from videobert.api.answers import Clips
from videobert.api.arguments import Cut, check_file
from videobert.data.provenance import damaged, read_provenance, sha256
from videobert.data.schemas import PREPROCESSING, names
from videobert.errors import Status, UserError, VideoError
from videobert.layout import ModelFolder
from videobert.model.predictor import COPY_ANEW

if TYPE_CHECKING:
    from videobert.vision.s3d import S3D


class VideoReader:
    """Reads videos as the model folder says. `preprocessing` holds its settings, `codebook` the visual words."""

    def __init__(self, files: ModelFolder, device: str):
        from videobert.vision.quantizer import load

        self.folder, self.device = Path(files.folder), device
        self.preprocessing = _read_preprocessing(Path(files.preprocessing))
        self.codebook = load(Path(files.centroids))

    def to(self, device: str) -> None:
        """Has S3D run on another device: cpu, cuda, cuda:1."""
        self.device = device
        self.__dict__.pop("_network", None)  # loaded again when it is needed

    def clips(self, cut: Cut) -> Clips:
        """The clips whose middle lies in [start, end) seconds; the nearest when there is none.

        Raises VideoError when the fault is the file's, UserError when it is not.
        """
        from videobert.media.normalising import FrameFormat, Span, normalise
        from videobert.vision.embedding import embed_video
        from videobert.vision.quantizer import assign

        how, seconds = self.preprocessing, self.preprocessing["clip_seconds"]
        video, (first, last) = cut.video, self._span(cut)
        with TemporaryDirectory() as scratch:
            frames = Path(scratch) / "frames.mp4"
            span = Span(first * how["clip_frames"], None if last is None else last * how["clip_frames"])
            facts = normalise(video, frames, FrameFormat(how["fps"], how["size"], how["crf"]), span)
            if facts["reason"]:
                print(f"{video}: {facts['reason']}", file=sys.stderr)
            if facts["frames"] < how["clip_frames"]:
                raise VideoError(
                    Status.TOO_SHORT, f"it has {facts['duration']:.2f} s there, less than a clip of {seconds:g} s"
                )
            network, preprocessing = self._network
            batch_size = 2 if self.device == "cpu" else 32
            features = embed_video(network, frames, how["clip_frames"], batch_size, preprocessing)
        begins = (first + np.arange(len(features))) * seconds
        return Clips(begins, begins + seconds, features, assign(features, self.codebook))

    def _span(self, cut: Cut) -> tuple[int, int | None]:
        """The first clip, and the one after the last (none: to the video's end)."""
        from videobert.media.probing import probe

        check_file(cut.video)
        begin, end, seconds = cut.start or 0.0, cut.end, self.preprocessing["clip_seconds"]
        duration = probe(cut.video)["duration"]
        if duration and begin >= duration:
            raise UserError(f"start is {begin:g} s, but {cut.video} is {duration:.1f} s long")
        first = max(0, int(np.ceil(begin / seconds - 0.5)))
        if end is None:
            return first, None
        last = int(np.ceil(end / seconds - 0.5))
        nearest = int((begin + end) / 2 / seconds)
        return (first, last) if first < last else (nearest, nearest + 1)

    @cached_property
    def _network(self) -> tuple["S3D", dict[str, Any]]:
        """S3D with the weights of the training, and what its input must look like; text alone needs none."""
        from videobert.vision.s3d import load
        from videobert.vision.s3d_weights import NAMED, weights_file

        weights, wanted = self.preprocessing["weights"], self.preprocessing["weights_sha256"]
        if weights not in NAMED:  # those lie in no model folder
            path = self.folder / Path(weights).name  # of a stranger's model no file elsewhere
            if not path.is_file():
                raise UserError(
                    f"{path} is missing: put S3D's weights there (SHA-256 {wanted}), a copy of the training's"
                )
            weights = str(path)
        path = weights_file(weights)
        if sha256(path) != wanted:
            raise UserError(
                f"{path} has SHA-256 {sha256(path)[:12]}, but the model's visual words are of S3D weights with "
                f"{wanted[:12]}: put that file there"
            )
        network, preprocessing, _ = load(weights, self.device, self.preprocessing["precision"])
        return network, preprocessing


def _read_preprocessing(path: Path) -> dict[str, Any]:
    """Raises UserError when the file is damaged, of a newer format, or lacks what this version needs."""
    read_provenance(path)
    try:
        content: dict[str, Any] = json.loads(path.read_text("utf-8"))
        lacking = sorted({*names(PREPROCESSING)} - {*content, "provenance"})
    except (ValueError, TypeError) as error:
        raise damaged(path, error) from None
    if lacking:
        raise UserError(f"{path} lacks {', '.join(lacking)}: {COPY_ANEW}")
    return content
