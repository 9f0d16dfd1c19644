"""The atlas of visual words: the train clips nearest to the words used most."""

from typing import TYPE_CHECKING

from videobert.data.schemas import ATLAS, arrow, names

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa


ATLAS_WORDS = 64


ATLAS_CLIPS = 8


def nearest_clips(
    before: "pa.Table | None",
    table: "pa.Table",
    words: "npt.NDArray[np.integer]",
    error: "npt.NDArray[np.floating]",
    train: "npt.NDArray[np.bool_]",
) -> "pa.Table":
    """The ATLAS_CLIPS train clips nearest to each word, of this shard and those before."""
    import numpy as np
    import pyarrow as pa

    columns = {
        "word": pa.array(words, pa.int32()),
        "video_id": table["video_id"],
        "shard": table["shard"],
        "clip": table["clip"],
        "start": table["start"],
        "end": table["end"],
        "distance": pa.array(np.sqrt(error), pa.float32()),
    }
    both = pa.table(columns).filter(pa.array(train))
    both = pa.concat_tables([before, both]) if before is not None else both
    both = both.sort_by([(name, "ascending") for name in ("word", "distance", "video_id", "clip")])
    word = both["word"].to_numpy()
    rank = np.arange(len(word)) - np.searchsorted(word, word)
    return both.filter(pa.array(rank < ATLAS_CLIPS))


def atlas_table(nearest: "pa.Table", counts: "npt.NDArray[np.integer]") -> "pa.Table":
    """Rows of the words used most, most used first; `rank` is 0 for the nearest clip."""
    import numpy as np
    import pyarrow as pa

    word = nearest["word"].to_numpy()
    rank = np.arange(len(word)) - np.searchsorted(word, word)
    place = np.empty(len(counts), np.int64)
    place[np.lexsort((np.arange(len(counts)), -counts))] = np.arange(len(counts))
    order = np.lexsort((rank, place[word]))
    order = order[place[word[order]] < ATLAS_WORDS]
    nearest = nearest.append_column("rank", pa.array(rank, pa.int32()))
    nearest = nearest.append_column("count", pa.array(counts[word], pa.int64()))
    return nearest.select(names(ATLAS)).cast(arrow(ATLAS)).take(pa.array(order))
