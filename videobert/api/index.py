"""An index of many videos: what `VideoBert.index` writes and `VideoBert.search` reads."""

import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from videobert.api.arguments import Cut, VideoPath, check_file
from videobert.api.matching import Matcher
from videobert.api.notes import Notes
from videobert.api.videos import VideoReader
from videobert.data.ledger import titles
from videobert.data.provenance import read_json, read_provenance, read_table, sha256, write_json, write_table
from videobert.data.schemas import INDEXED, arrow, names
from videobert.data.schemas import SEGMENTS as COLUMNS
from videobert.data.tables import open_features
from videobert.errors import Status, UserError, VideoError
from videobert.evaluation.steps import clips_of_videos
from videobert.layout import Layout, ModelFolder
from videobert.model.predictor import check_same_codebook
from videobert.model.processing_videobert import NO_VIDEO, Video
from videobert.model.sequences import open_tokens, with_features

if TYPE_CHECKING:
    import pyarrow as pa

SEGMENTS = "segments.parquet"
VIDEOS = "videos.parquet"
MODEL = "model.json"  # where the model's folder lies, from the index's folder
NOTES = ".notes"  # what was seen in each file, in an index's folder: the next run goes on from there


@dataclass(frozen=True)
class _Video:
    """What is known of a video: the starts of its clips, their ends (seconds), the clips; or what is wrong with it."""

    name: str
    starts: npt.NDArray[np.float64]
    ends: npt.NDArray[np.float64]
    seen: Video
    title: str = ""
    path: str = ""
    error: VideoError | None = None

    def segments(self, clips: int) -> list[dict[str, Any]]:
        """Its rows of the index."""
        return [
            {
                "video": self.name,
                "start": float(self.starts[first]),
                "end": float(self.ends[first : first + clips][-1]),
                "seen": self.seen[first : first + clips],
            }
            for first in range(0, len(self.seen), clips)
        ]

    def row(self, segments: int) -> dict[str, Any]:
        """Its row of the table of videos."""
        status, reason = (self.error.status, self.error.reason) if self.error else (Status.OK, "")
        return {
            "video": self.name,
            "status": status,
            "reason": reason,
            "segments": segments,
            "title": self.title,
            "path": self.path,
        }


class IndexWriter:
    """Writes an index of what a model sees in videos. A run that was broken off goes on where it was."""

    def __init__(self, reader: VideoReader, matcher: Matcher, files: ModelFolder, output: Path):
        self.reader, self.matcher, self.files, self.output = reader, matcher, files, output
        self.predictor = matcher.predictor
        self.notes = Notes(
            output / NOTES, [reader.preprocessing, sha256(Path(files.centroids))], self.predictor.reads_features
        )

    def write(self, videos: Sequence[VideoPath], clips: int) -> int:
        """Writes the index of these videos in segments of so many clips; returns the number of segments."""
        import pyarrow as pa

        rows: list[dict[str, Any]] = []
        ledger: list[dict[str, Any]] = []
        for video in self._videos(videos):
            segments = video.segments(clips)
            ledger.append(video.row(len(segments)))
            rows += segments
        lost = [row for row in ledger if row["status"] != Status.OK]
        if not rows:
            first = f"; the first: {lost[0]['video']}: {lost[0]['reason']}" if lost else ""
            raise UserError(f"nothing to index: none of the videos holds a clip{first}")
        seen = [row.pop("seen") for row in rows]
        vectors = self.matcher.summarise(seen)
        table = pa.Table.from_pylist(rows, arrow(COLUMNS[:3]))
        table = table.append_column("words", pa.array([video.words for video in seen], pa.list_(pa.int32())))
        column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1])
        provenance = {"stage": "index", "version": 1, "clips": clips, "model": sha256(Path(self.files.weights))}
        table = table.append_column("vector", column)
        if self.predictor.reads_features:
            flat = [video.features.ravel() for video in seen]
            table = table.append_column("features", pa.array(flat, pa.list_(pa.float16())))
        write_table(table, self.output / SEGMENTS, provenance)
        write_table(pa.Table.from_pylist(ledger, arrow(INDEXED)), self.output / VIDEOS, provenance)
        model = os.path.relpath(Path(self.files.folder).resolve(), self.output.resolve())
        write_json({"folder": model}, self.output / MODEL, provenance)
        self.notes.forget_others()
        if lost:
            print(
                f"{len(lost)} of {len(ledger)} videos left out: {self.output / VIDEOS} says why",
                file=sys.stderr,
            )
        return len(rows)

    def _videos(self, videos: Sequence[VideoPath]) -> Iterator[_Video]:
        places = list(map(Path, videos))
        results = {place: list(self._of_results(place)) for place in places if place.is_dir()}
        for place in places:
            if place in results:
                yield from results[place]
            else:
                yield self._of_file(place)

    def _of_file(self, file: Path) -> _Video:
        """What is seen in a file, looked up where an earlier run has noted it."""
        try:
            check_file(file)
            seen = self.notes.read(file)
            if seen is None:
                seen = self.reader.clips(Cut(file)).video
                self.notes.write(file, seen)
        except VideoError as error:
            print(f"{file} is left out: {error.reason}", file=sys.stderr)
            return _Video(str(file), np.empty(0), np.empty(0), NO_VIDEO, path=str(file), error=error)
        seconds = self.reader.preprocessing["clip_seconds"]
        starts = np.arange(len(seen)) * seconds
        return _Video(str(file), starts, starts + seconds, seen, path=str(file))

    def _of_results(self, results: Path) -> Iterator[_Video]:
        """The videos of a results folder, from its tables of tokens."""
        layout = check_results(results)
        shards = sorted(set(read_table(Path(layout.manifest), ["shard"])["shard"].to_pylist()))
        tokens = open_tokens([Path(layout.table("tokens", shard)) for shard in shards])
        check_same_codebook(tokens.provenance, tokens.files[0], Path(self.files.weights))
        features = None
        if self.predictor.reads_features:
            features = open_features([Path(layout.table("features", shard)) for shard in shards])
            tokens.check_made_of(features.files)
        half = self.reader.preprocessing["clip_seconds"] / 2
        known = _titles_and_paths(layout, shards)
        for split in ("train", "validation", "test"):
            segments = tokens.segments(split)
            if features:
                segments = with_features(segments, features)
            for name, (middles, video) in clips_of_videos(segments).items():
                yield _Video(name, middles - half, middles + half, video, *known.get(name, ("", "")))


def _titles_and_paths(layout: Layout, shards: list[str]) -> dict[str, tuple[str, str]]:
    """The title of each video and the path of its file; what a results folder still has."""
    ledgers = [Path(layout.shard_ledger("download", shard)) for shard in shards]
    paths = {
        row["video_id"]: str(ledger.parent / row["path"])
        for ledger in ledgers
        if ledger.exists()
        for row in read_table(ledger, ["video_id", "path"]).to_pylist()
        if row["path"] and (ledger.parent / row["path"]).exists()
    }
    called = titles(ledgers, layout.details)
    return {video: (called.get(video, ""), paths.get(video, "")) for video in {*called, *paths}}


@dataclass(frozen=True)
class Index:
    """The segments of an index: their table, what `Matcher.summarise` gave of them (n, hidden_size), and the videos by name."""

    path: Path
    table: "pa.Table"
    summaries: npt.NDArray[np.float32]
    videos: dict[str, dict[str, Any]]

    def clips(self) -> list[Video]:
        """The clips of each segment, read when they are asked for: a search by vectors needs none."""
        table = read_table(self.path, ["words", "features"])
        words = [np.array(row) for row in table["words"].to_pylist()]
        if "features" not in table.column_names:
            return [Video(row) for row in words]
        features = [np.array(row, np.float16) for row in table["features"].to_pylist()]
        return [Video(row, part.reshape(len(row), -1)) for row, part in zip(words, features, strict=True)]

    def segment(self, row: int) -> dict[str, Any]:
        """The video of a segment, its start and end, title and path."""
        (found,) = self.table.select(["video", "start", "end"]).slice(row, 1).to_pylist()
        video = self.videos.get(found["video"], {})
        return {**found, "title": video.get("title") or "", "path": video.get("path") or ""}


def read_index(index: Path, model: ModelFolder, size: int) -> Index:
    """Reads an index. Raises UserError when it is missing, damaged, or made with another model.

    Args:
        index: its folder.
        model: the model's folder.
        size: numbers in a vector.
    """
    check_index(index, model)
    path = index / SEGMENTS
    table = read_table(path, list(names(COLUMNS)))
    if tuple(table.column_names) != names(COLUMNS) or not len(table):
        raise UserError(f"{path} does not have the columns of an index: make it again")
    vectors = table["vector"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    if len(vectors) != size * len(table) or not np.isfinite(vectors).all():
        raise UserError(f"{path} is damaged: make it again")
    videos = {row["video"]: row for row in read_table(index / VIDEOS).to_pylist()} if (index / VIDEOS).exists() else {}
    return Index(path, table, vectors.reshape(len(table), size), videos)


def check_results(results: Path) -> Layout:
    """The files of a results folder. Raises UserError when it is none."""
    layout = Layout(results)
    if not Path(layout.manifest).exists():
        raise UserError(f"{results} is no results folder, having no corpus/manifest.parquet; give videos or results")
    return layout


def check_index(index: Path, model: ModelFolder) -> None:
    """Raises UserError when an index is missing, or made with another model."""
    path = _segments(index)
    if read_provenance(path).get("model") != sha256(Path(model.weights)):
        raise UserError(f"{path} was made with another model than {model.folder}: make it again, or name its model")


def model_of_index(index: Path) -> Path | None:
    """The folder of the model that an index was made with, or where it was; None when an earlier version made the index.

    Raises UserError when there is no index."""
    remembered = _segments(index).with_name(MODEL)
    return Path(os.path.normpath(index.resolve() / read_json(remembered)["folder"])) if remembered.exists() else None


def _segments(index: Path) -> Path:
    path = index / SEGMENTS
    if not path.exists():
        raise UserError(f"{path} is missing: make the index with videobert index VIDEO --output {index}")
    return path
