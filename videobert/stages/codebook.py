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
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from videobert.data.provenance import (
    common_provenance,
    make_provenance,
    read_provenance,
    read_table,
    write_json,
    write_table,
)
from videobert.data.tables import read_features, rows_of_videos
from videobert.errors import UserError
from videobert.vision.atlas import atlas_table, nearest_clips
from videobert.vision.quantizer import Codebook, assign, fit, save, squared_distances
from videobert.vision.sampling import Reservoir, hash_number, mix

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

VERSION = 1

CLIPS_PER_WORD = 8  # what an error message suggests; fewer make poor clusters


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
    network = read_provenance(files[0])  # all agree
    note = make_provenance(
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


def _sample(files: list[Path], splits: dict[str, str], size: int, seed: int) -> tuple["np.ndarray", str, int]:
    """A seeded sample of the train clips, at most `size`; a digest of all train features; their number."""
    import numpy as np

    reservoir = None
    digests: dict[str, bytes] = {}
    clips = 0
    for path in files:
        table, features = read_features(path)
        for fact in ("weights_sha256", "clip_seconds"):
            common_provenance([files[0], path], fact)
        if reservoir is None:
            reservoir = Reservoir(size, features.shape[1])
        index = table["clip"].to_numpy().astype(np.uint64)
        for video, rows in rows_of_videos(table):
            if splits.get(video) == "train":
                digests[video] = hashlib.sha256(features[rows].tobytes()).digest()
                clips += len(features[rows])
                reservoir.add(features[rows], mix(hash_number(f"{seed}:{video}") + index[rows]))
    digest = hashlib.sha256(b"".join(video.encode() + digests[video] for video in sorted(digests))).hexdigest()
    return (reservoir.result() if reservoir else np.empty((0, 0), np.float16)), digest, clips


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
        error = squared_distances(features, tree.centroids[-1], words)
        spread = squared_distances(features, mean[None].astype(np.float32), np.zeros_like(words))
        for video, rows in rows_of_videos(table):
            split = splits.get(video)
            sums.setdefault(split, []).append((len(words[rows]), error[rows].sum(), spread[rows].sum()))
        train = np.array([splits.get(video) == "train" for video in table["video_id"].to_pylist()], bool)
        counts += np.bincount(words[train], minlength=tree.words)
        nearest = nearest_clips(nearest, table, path.stem, words, error, train)
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
    return statistics, atlas_table(nearest, counts)
