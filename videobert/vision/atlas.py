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
    distance: "npt.NDArray[np.float32]",
    shown: "npt.NDArray[np.bool_]",
) -> "pa.Table":
    """The ATLAS_CLIPS clips nearest to each word, of this shard and those before; of this one only the rows that are `shown`."""
    import numpy as np
    import pyarrow as pa

    columns = {
        "word": pa.array(words, pa.int32()),
        "video_id": table["video_id"],
        "shard": table["shard"],
        "clip": table["clip"],
        "start": table["start"],
        "end": table["end"],
        "distance": pa.array(distance, pa.float32()),
    }
    both = pa.table(columns).filter(pa.array(shown))
    both = pa.concat_tables([before, both]) if before is not None else both
    both = both.sort_by([(name, "ascending") for name in ("word", "distance", "video_id", "clip")])
    word = both["word"].to_numpy()
    rank = np.arange(len(word)) - np.searchsorted(word, word)
    return both.filter(pa.array(rank < ATLAS_CLIPS))


def most_used(words: "npt.NDArray[np.integer]", counts: "npt.NDArray[np.integer]") -> "npt.NDArray[np.intp]":
    """The places of the words that the atlas shows among `words`, which occur `counts` times; most used first."""
    import numpy as np

    return np.lexsort((words, -counts))[:ATLAS_WORDS]


def atlas_table(nearest: "pa.Table", words: "npt.NDArray[np.integer]", counts: "npt.NDArray[np.integer]") -> "pa.Table":
    """Rows of these words, in their order, which occur `counts` times; `rank` is 0 for the nearest clip."""
    import numpy as np
    import pyarrow as pa

    word = nearest["word"].to_numpy()
    rank = np.arange(len(word)) - np.searchsorted(word, word)
    by_word = np.argsort(words)
    place = by_word[np.searchsorted(words[by_word], word)]
    order = np.lexsort((rank, place))
    nearest = nearest.append_column("rank", pa.array(rank, pa.int32()))
    nearest = nearest.append_column("count", pa.array(counts[place], pa.int64()))
    return nearest.select(names(ATLAS)).cast(arrow(ATLAS)).take(pa.array(order))
