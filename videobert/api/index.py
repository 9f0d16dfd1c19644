"""An index of many videos: what `VideoBert.index` writes and `VideoBert.search` reads."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from videobert.api.videos import VideoReader
from videobert.data.provenance import read_provenance, read_table, sha256, write_table
from videobert.data.schemas import INDEXED, arrow, names
from videobert.data.schemas import SEGMENTS as COLUMNS
from videobert.errors import Status, UserError, VideoError
from videobert.evaluation.steps import clips_of_videos
from videobert.layout import Layout, ModelFolder
from videobert.model.predictor import Predictor, check_same_codebook
from videobert.model.processing_videobert import Ids
from videobert.model.sequences import open_tokens
from videobert.vision.notes import Notes

if TYPE_CHECKING:
    import pyarrow as pa

SEGMENTS = "segments.parquet"
VIDEOS = "videos.parquet"
NOTES = ".notes"  # what was seen in each file, in an index's folder: the next run goes on from there

# (starts of the clips, their ends, their visual words)
_Seen = tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], Ids]


class IndexWriter:
    """Writes an index of what a model sees in videos. A run that was broken off goes on where it was."""

    def __init__(self, reader: VideoReader, predictor: Predictor, files: ModelFolder, output: Path):
        self.reader, self.predictor, self.files, self.output = reader, predictor, files, output
        self.notes = Notes(output / NOTES, [reader.preprocessing, sha256(Path(files.centroids))])

    def write(self, videos: Sequence[str | Path], clips: int) -> int:
        """Writes the index of these videos in segments of so many clips; returns the number of segments."""
        import pyarrow as pa

        from videobert.model.projection import mean_outputs

        rows: list[dict[str, Any]] = []
        ledger: list[dict[str, Any]] = []
        for name, seen in self._videos(videos):
            parts = [] if isinstance(seen, VideoError) else list(_segments(name, *seen, clips))
            status, reason = (seen.status, seen.reason) if isinstance(seen, VideoError) else (Status.OK, "")
            ledger.append({"video": name, "status": status, "reason": reason, "segments": len(parts)})
            rows += parts
        lost = [row for row in ledger if row["status"] != Status.OK]
        if not rows:
            first = f"; the first: {lost[0]['video']}: {lost[0]['reason']}" if lost else ""
            raise UserError(f"nothing to index: none of the videos holds a clip{first}")
        vectors = mean_outputs(self.predictor, [self.predictor.joint(np.array(row["words"])) for row in rows])
        table = pa.Table.from_pylist(rows, arrow(COLUMNS[:-1]))
        column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1])
        provenance = {"stage": "index", "version": 1, "clips": clips, "model": sha256(Path(self.files.weights))}
        table = table.append_column(COLUMNS[-1].name, column)
        write_table(table, self.output / SEGMENTS, provenance)
        write_table(pa.Table.from_pylist(ledger, arrow(INDEXED)), self.output / VIDEOS, provenance)
        self.notes.forget_others()
        if lost:
            print(
                f"{len(lost)} of {len(ledger)} videos left out: {self.output / VIDEOS} says why",
                file=sys.stderr,
            )
        return len(rows)

    def _videos(self, videos: Sequence[str | Path]) -> Iterator[tuple[str, "_Seen | VideoError"]]:
        """(name, what is seen in it or what is wrong with it) of each video."""
        places = list(map(Path, videos))
        results = {place: list(self._of_results(place)) for place in places if place.is_dir()}
        for place in places:
            if place in results:
                yield from results[place]
                continue
            try:
                yield str(place), self._noted(place)
            except VideoError as error:
                print(f"{place} is left out: {error.reason}", file=sys.stderr)
                yield str(place), error

    def _noted(self, video: Path) -> _Seen:
        """What is seen in a file, looked up where an earlier run has noted it."""
        words = self.notes.read(video) if video.is_file() else None
        if words is None:
            words = self.reader.clips(video).words
            self.notes.write(video, words)
        seconds = self.reader.preprocessing["clip_seconds"]
        starts = np.arange(len(words)) * seconds
        return starts, starts + seconds, words

    def _of_results(self, results: Path) -> Iterator[tuple[str, _Seen]]:
        layout = Layout(results)
        if not Path(layout.manifest).exists():
            raise UserError(
                f"{results} is no results folder, having no corpus/manifest.parquet; give videos or results"
            )
        shards = sorted(set(read_table(Path(layout.manifest), ["shard"])["shard"].to_pylist()))
        tokens = open_tokens([Path(layout.table("tokens", shard)) for shard in shards])
        check_same_codebook(tokens.provenance, tokens.files[0], Path(self.files.weights))
        half = self.reader.preprocessing["clip_seconds"] / 2
        for split in ("train", "validation", "test"):
            for name, (middles, words) in clips_of_videos(tokens.segments(split)).items():
                yield name, (middles - half, middles + half, words)


def _segments(
    name: str, starts: npt.NDArray[np.float64], ends: npt.NDArray[np.float64], words: Ids, clips: int
) -> Iterator[dict[str, Any]]:
    """A video's rows of the index."""
    for first in range(0, len(words), clips):
        part = words[first : first + clips]
        times = {"start": float(starts[first]), "end": float(ends[first + len(part) - 1])}
        yield {"video": name, **times, "words": part.tolist()}


def read_index(index: Path, model: ModelFolder, size: int) -> "pa.Table":
    """The segments of an index. Raises UserError when it is missing, damaged, or made with another model.

    Args:
        index: its folder.
        model: the model's folder.
        size: numbers in a vector.
    """
    path = index / SEGMENTS
    if not path.exists():
        raise UserError(f"{path} is missing: make the index with videobert index VIDEO --output {index}")
    if read_provenance(path).get("model") != sha256(Path(model.weights)):
        raise UserError(f"{path} was made with another model than {model.folder}: make it again")
    table = read_table(path)
    if tuple(table.column_names) != names(COLUMNS) or not len(table):
        raise UserError(f"{path} does not have the columns of an index: make it again")
    vectors = table["vector"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    if len(vectors) != size * len(table) or not np.isfinite(vectors).all():
        raise UserError(f"{path} is damaged: make it again")
    return table
