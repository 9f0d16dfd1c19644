"""Reading tables of features: a file for each shard, all made by one network."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from videobert.data.provenance import common_provenance, read_provenance, read_table
from videobert.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa


@dataclass(frozen=True)
class FeatureTables:
    """Tables of features, checked to be of one network: `open_features` makes them."""

    files: list[Path]
    provenance: dict[str, Any]  # of the first; weights_sha256 and clip_seconds are those of all

    @property
    def dimension(self) -> int:
        """Numbers in a feature."""
        size: int = self.provenance["dimension"]
        return size

    def __iter__(self) -> Iterator[tuple["pa.Table", "npt.NDArray[np.float16]"]]:
        """Each shard's table without the features, and its features, float16 [rows, dimension]; one in memory at a time."""
        return map(read_features, self.files)


def open_features(files: list[Path]) -> FeatureTables:
    """Raises UserError when a file is missing, or when two were made by different networks."""
    for fact in ("weights_sha256", "clip_seconds"):
        common_provenance(files, fact)
    return FeatureTables(files, read_provenance(files[0]))


def read_features(path: Path) -> tuple["pa.Table", "npt.NDArray[np.float16]"]:
    """A shard's table without the features, and the features as float16 [rows, dimension]."""
    import numpy as np

    table = read_table(path)
    column = table["feature"]
    dimension = column.type.list_size
    parts = [chunk.flatten().to_numpy(zero_copy_only=False) for chunk in column.chunks]
    features = np.concatenate([np.empty(0, np.float16), *parts]).reshape(-1, dimension)
    if not np.isfinite(features).all():
        raise UserError(f"{path} has features that are not finite numbers; delete it and run again")
    return table.drop_columns(["feature"]), features


def rows_of_videos(table: "pa.Table") -> list[tuple[str, slice]]:
    """(video_id, its rows) of a table whose rows stand video by video, as every table of ours does."""
    import numpy as np

    if not len(table):
        return []
    column = table["video_id"].combine_chunks().dictionary_encode()
    index = column.indices.to_numpy()
    starts = np.flatnonzero(np.r_[True, index[1:] != index[:-1]])
    stops = np.r_[starts[1:], len(index)]
    names = column.dictionary.to_pylist()
    return [
        (names[index[start]], slice(start, stop)) for start, stop in zip(starts.tolist(), stops.tolist(), strict=True)
    ]
