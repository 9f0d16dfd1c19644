"""Reading tables of features."""

from pathlib import Path
from typing import TYPE_CHECKING

from videobert.data.provenance import read_table
from videobert.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa


def read_features(path: Path) -> tuple["pa.Table", "np.ndarray"]:
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
