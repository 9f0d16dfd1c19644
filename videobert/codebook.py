"""Visual words: hierarchical k-means over the features of the train videos (section 3.2 of the paper).

A tree of MiniBatchKMeans: the first level splits all clips in `branching` clusters, the next splits each of those
again, `depth` times, which gives branching ** depth leaves; the paper's 12 children and 4 levels make 20,736 words. A
clip's word is the path of the nearest child at each level, read as a number in base `branching`. `assign` is the one
rule for that, in training and inference.

The tree is fitted on a seeded sample of the train videos' clips, taken in one pass in constant memory by giving each
clip a random priority that depends on the seed, its video and its index only. So neither the shards nor the test videos
can move a centroid. A node with fewer distinct clips than children leaves the surplus children dead: they keep their
number, so that words stay where they are, they hold their parent's centroid, and nothing is ever assigned to them.
"""

import hashlib
import json
import math
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from videobert.artefact import agreed, atomic, made, made_by, read_table, write_json, write_table
from videobert.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

VERSION = 1

ATLAS_WORDS = 64
ATLAS_CLIPS = 8
CLIPS_PER_WORD = 8  # what an error message suggests; fewer make poor clusters
ROWS = 4096  # clips in one matrix product: 16 MB at 1,024 dimensions, small enough for the allocator to reuse
NODE_SAMPLE = 1 << 17  # clips that one node is fitted on: thousands per child, more move its centroids by nothing


@dataclass(frozen=True)
class Codebook:
    """The tree. `centroids[l]`: float32 [branching ** (l + 1), dimension]; `alive[l]`: bool of the same length."""

    branching: int
    centroids: list["np.ndarray"]
    alive: list["np.ndarray"]

    @property
    def words(self) -> int:
        """Number of leaves, dead ones included: words are 0 … words - 1."""
        return len(self.centroids[-1])

    @property
    def dimension(self) -> int:
        """Size of a feature."""
        return self.centroids[-1].shape[1]


def codebook(
    features: Path,
    manifest: Path,
    output: Path,
    branching: int,
    depth: int,
    sample: int,
    batch_size: int,
    seed: int,
    threads: int,
) -> None:
    """Cluster the features of the train videos into branching ** depth visual words.

    Writes statistics.json, atlas.parquet and, last, centroids.safetensors.

    Args:
        features: folder of the features, a Parquet file for each shard.
        manifest: the manifest (Parquet): which videos are there, and which are for training.
        output: folder to write.
        branching: children of each node (the paper: 12).
        depth: levels of the tree (the paper: 4).
        sample: train clips to fit on, at most; memory is about sample x dimension x 4 bytes.
        batch_size: clips in a mini-batch of k-means.
        seed: seed of the sample and of the clustering.
        threads: nodes of the tree clustered side by side; the result does not depend on it.
    """
    if branching < 2 or depth < 1:
        raise UserError(f"codebook.branching: {branching} and codebook.depth: {depth}: at least 2 and 1 are needed")
    from threadpoolctl import threadpool_limits

    videos = read_table(manifest, ["video_id", "shard", "split"]).to_pylist()
    splits = {video["video_id"]: video["split"] for video in videos}
    files = [features / f"{shard}.parquet" for shard in sorted({video["shard"] for video in videos})]
    with threadpool_limits(1):
        vectors, digest, clips = _sample(files, splits, sample, seed)
        _check_size(clips, sample, branching, depth, splits, files)
        tree = fit(vectors, branching, depth, batch_size, seed, threads)
        statistics, atlas = _describe(tree, files, splits, vectors.mean(axis=0, dtype="float64"))
    settings = {"branching": branching, "depth": depth, "sample": sample, "batch_size": batch_size, "seed": seed}
    network = made(files[0])  # all agree
    note = made_by(
        "codebook",
        VERSION,
        settings,
        {},
        ("scikit-learn",),
        weights_sha256=network.get("weights_sha256"),
        clip_seconds=network.get("clip_seconds"),
        dimension=tree.dimension,
        words=tree.words,
    )
    note["inputs"]["train features"] = digest  # of what was read of them, so that no test video is in it
    write_json({"fitted_on": len(vectors), **statistics}, output / "statistics.json", note)
    write_table(atlas, output / "atlas.parquet", note)
    save(tree, output, note)
    shares = statistics["quantisation_error"]
    print(
        f"{statistics['used_words']} of {tree.words} words used by {clips} train clips, perplexity "
        f"{statistics['perplexity']:.0f}; error, share of the variance: "
        + ", ".join(f"{split} {share:.3f}" for split, share in shares.items()),
        file=sys.stderr,
    )


def assign(features: "np.ndarray", tree: Codebook) -> "np.ndarray":
    """The visual word of each clip: the nearest living child at each level, down the tree.

    Args:
        features: [N, dimension], any float type.
        tree: the codebook.

    Returns:
        int32 [N], 0 … words - 1.
    """
    import numpy as np

    node = np.zeros(len(features), np.int64)
    for centroids, alive in zip(tree.centroids, tree.alive, strict=True):
        node = _descend(features, node, centroids, alive, tree.branching)
    return node.astype(np.int32)


def load(folder: Path) -> Codebook:
    """Reads the codebook from its folder. Raises UserError when it is not there."""
    from safetensors.numpy import load_file

    path = folder / "centroids.safetensors"
    if not path.exists():
        raise UserError(f"{path} is missing: run the stage codebook first")
    tensors = load_file(path)
    levels = range(1, len(tensors) // 2 + 1)
    centroids = [tensors[f"centroids.{level}"] for level in levels]
    return Codebook(len(centroids[0]), centroids, [tensors[f"alive.{level}"].astype(bool) for level in levels])


def save(tree: Codebook, folder: Path, note: dict[str, Any]) -> None:
    """Writes centroids.safetensors: "centroids.1" … "centroids.depth" and "alive.1" … with the note as metadata."""
    import numpy as np
    from safetensors.numpy import save_file

    tensors = {f"centroids.{level}": array for level, array in enumerate(tree.centroids, 1)}
    tensors |= {f"alive.{level}": array.astype(np.uint8) for level, array in enumerate(tree.alive, 1)}
    with atomic(folder / "centroids.safetensors") as temporary:
        # One key only: safetensors keeps metadata in a hash map, whose order changes from run to run.
        save_file(tensors, temporary, metadata={"made": json.dumps(note, sort_keys=True)})


def fit(vectors: "np.ndarray", branching: int, depth: int, batch_size: int, seed: int, threads: int = 1) -> Codebook:
    """Fits the tree level by level.

    Args:
        vectors: [N, dimension], any float type; their order counts.
        branching, depth, batch_size, seed, threads: see `codebook`.
    """
    import numpy as np
    import sklearn.cluster  # noqa: F401 - a limit of threads holds only for libraries that are loaded by then
    from threadpoolctl import threadpool_limits
    from tqdm import tqdm

    node = np.zeros(len(vectors), np.int64)
    inherited = vectors.mean(axis=0, dtype=np.float64).astype(np.float32)[None]
    tree = Codebook(branching, [], [])
    nodes = sum(branching**level for level in range(depth))
    # Nodes side by side, each on one thread: faster than several threads in one small node, and the sums of a node are
    # taken in the same order however many threads there are.
    workers = ThreadPoolExecutor(threads, initializer=threadpool_limits, initargs=(1,))
    progress = tqdm(total=nodes, desc="codebook", unit="node", mininterval=1, file=sys.stderr)
    with threadpool_limits(1), workers as pool, progress as bar:
        for level in range(1, depth + 1):
            inherited = np.repeat(inherited, branching, axis=0)
            centroids = inherited.copy()
            alive = np.zeros(len(centroids), bool)
            groups = _groups(node)
            names = [f"{seed}:{level}:{parent}" for parent, _ in groups]
            split = partial(_split, vectors, branching, batch_size)
            for (parent, _), children in zip(groups, pool.map(split, [rows for _, rows in groups], names)):
                first = parent * branching
                centroids[first : first + len(children)] = children
                alive[first : first + len(children)] = True
                bar.update()
            bar.update(branching ** (level - 1) - len(groups))  # the dead ones took no time
            node = _descend(vectors, node, centroids, alive, branching)
            # A child that no clip chose has nothing to split below it; taking it away moves no clip.
            alive[np.bincount(node, minlength=len(alive)) == 0] = False
            inherited = np.where(alive[:, None], centroids, inherited)
            tree.centroids.append(inherited)
            tree.alive.append(alive)
    return tree


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


def _descend(
    features: "np.ndarray", node: "np.ndarray", centroids: "np.ndarray", alive: "np.ndarray", branching: int
) -> "np.ndarray":
    """One level down: the number of the nearest living child of each row's node.

    Rows are taken node by node, so that each node is one matrix product with its own few children.
    """
    import numpy as np

    # |x - c|² is least where x·c - |c|²/2 is greatest; the dead are infinitely far.
    offset = np.where(alive, -0.5 * np.einsum("kd,kd->k", centroids, centroids), -np.inf).astype(np.float32)
    chosen = np.empty_like(node)
    for parent, rows in _groups(node):
        children = slice(parent * branching, (parent + 1) * branching)
        for start in range(0, len(rows), ROWS):
            part = rows[start : start + ROWS]
            scores = features[part].astype(np.float32) @ centroids[children].T + offset[children]
            chosen[part] = children.start + scores.argmax(axis=1)
    return chosen


def _groups(node: "np.ndarray") -> list[tuple[int, "np.ndarray"]]:
    """(value, rows that have it) for each value that occurs, both in order."""
    import numpy as np

    order = np.argsort(node, kind="stable")
    values, starts = np.unique(node[order], return_index=True)
    return list(zip(values.tolist(), np.split(order, starts[1:]), strict=True)) if len(node) else []


def _split(vectors: "np.ndarray", branching: int, batch_size: int, rows: "np.ndarray", name: str) -> "np.ndarray":
    """Centroids of one node's children: `branching` of them, or each distinct point when there are no more."""
    import numpy as np
    from sklearn.cluster import MiniBatchKMeans

    # The rows are in random order (by priority), so the first are as good a sample as any.
    points = vectors[rows[:NODE_SAMPLE]].astype(np.float32)
    if len(points) <= 4 * branching:
        distinct = np.unique(points, axis=0)
        if len(distinct) <= branching:
            return distinct
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big")
    # reassignment_ratio=0: small clusters are wanted, they must not be thrown to where the crowd is (HuBERT's recipe).
    model = MiniBatchKMeans(
        branching, batch_size=batch_size, n_init=3, reassignment_ratio=0, compute_labels=False, random_state=seed
    )
    return model.fit(points).cluster_centers_


class _Reservoir:
    """Keeps the `size` vectors of the smallest priority among all that are added, in memory for 1.25 of them."""

    def __init__(self, size: int, dimension: int):
        import numpy as np

        self.size = size
        capacity = size + max(size // 4, 4 * ROWS)
        self.vectors = np.empty((capacity, dimension), np.float16)  # what is never filled costs no memory
        self.priority = np.empty(capacity, np.uint64)
        self.held = 0
        self.limit = np.uint64(2**64 - 1)

    def add(self, vectors: "np.ndarray", priority: "np.ndarray") -> None:
        hopeful = priority <= self.limit
        vectors, priority = vectors[hopeful], priority[hopeful]
        for start in range(0, len(vectors), ROWS):
            part = vectors[start : start + ROWS]
            if self.held + len(part) > len(self.vectors):
                self._shrink()
            place = slice(self.held, self.held + len(part))
            self.vectors[place], self.priority[place] = part, priority[start : start + ROWS]
            self.held = place.stop

    def result(self) -> "np.ndarray":
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


def _sample(files: list[Path], splits: dict[str, str], size: int, seed: int) -> tuple["np.ndarray", str, int]:
    """A seeded sample of the train clips, at most `size`; a digest of all train features; their number."""
    import numpy as np

    reservoir = None
    digests: dict[str, bytes] = {}
    clips = 0
    for path in files:
        table, features = read_features(path)
        for fact in ("weights_sha256", "clip_seconds"):
            agreed([files[0], path], fact)
        if reservoir is None:
            reservoir = _Reservoir(size, features.shape[1])
        index = table["clip"].to_numpy().astype(np.uint64)
        for video, rows in rows_of_videos(table):
            if splits.get(video) == "train":
                digests[video] = hashlib.sha256(features[rows].tobytes()).digest()
                clips += len(features[rows])
                reservoir.add(features[rows], _mix(_number(f"{seed}:{video}") + index[rows]))
    digest = hashlib.sha256(b"".join(video.encode() + digests[video] for video in sorted(digests))).hexdigest()
    return (reservoir.result() if reservoir else np.empty((0, 0), np.float16)), digest, clips


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


def _check_size(clips: int, sample: int, branching: int, depth: int, splits: dict[str, str], files: list[Path]) -> None:
    """Refuses a codebook that cannot be: no clips, or more words than clips to make them of."""
    words = branching**depth
    if not clips:
        train = sum(split == "train" for split in splits.values())
        if not train:
            raise UserError(
                f"no train clips: none of the {len(splits)} videos is in the split train; add videos, or lower "
                "corpus.test_fraction"
            )
        raise UserError(
            f"no train clips: none of the {train} train videos has features; the ledgers of download, frames and "
            f"features (beside {files[0]}) say why"
        )
    if words > clips:
        fewer_branches, fewer_levels = _smaller(clips, branching, depth)
        if not fewer_levels:
            raise UserError(f"{words} words but only {clips} train clip: add videos")
        raise UserError(
            f"branching ** depth = {words} words but only {clips} train clips: "
            f"set codebook.branching: {fewer_branches} and codebook.depth: {fewer_levels} or fewer, or add videos"
        )
    if words > sample:
        raise UserError(
            f"branching ** depth = {words} words but codebook.sample: {sample} clips to make them of: "
            f"set codebook.sample: {words * CLIPS_PER_WORD}"
        )


def _smaller(clips: int, branching: int, depth: int) -> tuple[int, int]:
    """The largest tree within this one that leaves CLIPS_PER_WORD clips a word, or (few clips) two words at least."""
    most = max(clips // CLIPS_PER_WORD, min(clips, 2))
    trees = [(b**d, -d, b) for d in range(1, depth + 1) for b in range(2, branching + 1) if b**d <= most]
    _, levels, branches = max(trees, default=(0, 0, 0))
    return branches, -levels


def _describe(
    tree: Codebook, files: list[Path], splits: dict[str, str], mean: "np.ndarray"
) -> tuple[dict[str, Any], "pa.Table"]:
    """Statistics of the words, and the atlas: the train clips nearest to the words used most.

    A second pass over all features. Sums are taken video by video and then exactly, so that shards do not matter.
    """
    import numpy as np

    counts = np.zeros(tree.words, np.int64)
    sums: dict[str, list[tuple[int, float, float]]] = {}
    nearest = None
    for path in files:
        table, features = read_features(path)
        words = assign(features, tree)
        error = _square_distances(features, tree.centroids[-1], words)
        spread = _square_distances(features, mean[None].astype(np.float32), np.zeros_like(words))
        for video, rows in rows_of_videos(table):
            split = splits.get(video)
            sums.setdefault(split, []).append((len(words[rows]), error[rows].sum(), spread[rows].sum()))
        train = np.array([splits.get(video) == "train" for video in table["video_id"].to_pylist()], bool)
        counts += np.bincount(words[train], minlength=tree.words)
        nearest = _nearest(nearest, table, path.stem, words, error, train)
    totals = {split: [math.fsum(column) for column in zip(*rows, strict=True)] for split, rows in sums.items() if split}
    share = counts[counts > 0] / counts.sum()
    entropy = float(-(share * np.log2(share)).sum())
    statistics = {
        "words": tree.words,
        "living_words": int(tree.alive[-1].sum()),
        "used_words": int((counts > 0).sum()),
        "entropy_bits": entropy,
        "perplexity": 2**entropy,
        "clips": {split: int(total[0]) for split, total in totals.items()},
        "quantisation_error": {split: total[1] / total[2] if total[2] else 0.0 for split, total in totals.items()},
        "counts": counts.tolist(),
    }
    return statistics, _atlas(nearest, counts)


def _square_distances(features: "np.ndarray", centroids: "np.ndarray", words: "np.ndarray") -> "np.ndarray":
    """|x - c|² of each row and its centroid, float64 [N]."""
    import numpy as np

    distances = np.empty(len(features))
    for start in range(0, len(features), ROWS):
        part = slice(start, start + ROWS)
        difference = features[part].astype(np.float32) - centroids[words[part]]
        distances[part] = np.einsum("nd,nd->n", difference, difference)
    return distances


def _nearest(
    before: "pa.Table | None",
    table: "pa.Table",
    shard: str,
    words: "np.ndarray",
    error: "np.ndarray",
    train: "np.ndarray",
) -> "pa.Table":
    """The ATLAS_CLIPS train clips nearest to each word, of this shard and those before."""
    import numpy as np
    import pyarrow as pa

    columns = {
        "word": pa.array(words, pa.int32()),
        "video_id": table["video_id"],
        "shard": pa.array(np.full(len(words), shard), pa.string()),
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


def _atlas(nearest: "pa.Table", counts: "np.ndarray") -> "pa.Table":
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
    columns = ["word", "rank", "count", "video_id", "shard", "clip", "start", "end", "distance"]
    return nearest.select(columns).take(pa.array(order))


def _number(text: str) -> "np.uint64":
    import numpy as np

    return np.uint64(int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big"))


def _mix(numbers: "np.ndarray") -> "np.ndarray":
    """splitmix64: neighbouring numbers to unrelated ones (Steele et al., 2014)."""
    import numpy as np

    mixed = numbers * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))
