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
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from videobert.data.provenance import (
    make_provenance,
    read_table,
    write_json,
    write_table,
)
from videobert.data.tables import FeatureTables, open_features, rows_of_videos
from videobert.errors import UserError
from videobert.settings import Count, Execution, Inputs, Outputs, Seed, Settings
from videobert.vision.atlas import atlas_table, nearest_clips
from videobert.vision.collapse import collapse
from videobert.vision.quantizer import Codebook, assign, fit, save, squared_distances
from videobert.vision.sampling import Reservoir, hash_number, mix

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

VERSION = 1

CLIPS_PER_WORD = 8  # what an error message suggests; fewer make poor clusters


class CodebookSettings(Settings):
    """Features of the train videos to visual words, by a tree of k-means."""

    branching: Annotated[int, Field(ge=2, le=1024)] = 12
    """Children of each node of the tree. There are branching ** depth visual words, which must be fewer than the train
    clips. The paper: 12 and 4, 20,736 words, for 23,000 hours. As a rule, 10 to 50 clips per word."""
    depth: Annotated[int, Field(ge=1, le=8)] = 3
    """Levels of the tree."""
    sample: Count = 2_000_000
    """Train clips that are clustered, at most; drawn at random (memory: 4 KB per clip at 1,024 dimensions)."""
    batch_size: Count = 1024
    """Clips in a batch of MiniBatchKMeans."""
    seed: Seed = 0
    """Seed of the sample and of the clustering."""


class CodebookExecution(Execution):
    threads: Count = 1
    """Nodes of the tree that are clustered in parallel; the result does not depend on it."""


class CodebookInputs(Inputs):
    features: list[Path]
    """The tables of features (Parquet), one for each shard."""
    manifest: Path
    """The manifest (Parquet): which videos there are, and which are for training."""


class CodebookOutputs(Outputs):
    centroids: Path
    """The codebook (safetensors)."""
    statistics: Path
    """Statistics of the visual words (JSON)."""
    atlas: Path
    """The train clips nearest to the words used most (Parquet)."""


def codebook(
    inputs: CodebookInputs, outputs: CodebookOutputs, settings: CodebookSettings, execution: CodebookExecution
) -> None:
    """Cluster the features of the train videos into branching ** depth visual words."""
    from threadpoolctl import threadpool_limits

    videos = {row["video_id"]: row for row in read_table(inputs.manifest, ["video_id", "shard", "split"]).to_pylist()}
    splits = {video: row["split"] for video, row in videos.items()}
    tables = open_features(inputs.features)
    with threadpool_limits(1):
        vectors, digest, clips = _sample(tables, splits, settings)
        _check_size(clips, splits, settings)
        tree = fit(vectors, settings.branching, settings.depth, settings.batch_size, settings.seed, execution.threads)
        statistics, atlas = _describe(tree, tables, videos, vectors.mean(axis=0, dtype="float64"))
    provenance = make_provenance(
        "codebook",
        VERSION,
        settings.fingerprint(),
        {},
        ("scikit-learn",),
        execution=execution.model_dump(),
        weights_sha256=tables.provenance.get("weights_sha256"),
        clip_seconds=tables.provenance.get("clip_seconds"),
        dimension=tree.dimension,
        words=tree.words,
    )
    provenance["inputs"]["train features"] = digest  # of what was read of them, so that no test video is in it
    write_json({"fitted_on": len(vectors), **statistics}, outputs.statistics, provenance)
    write_table(atlas, outputs.atlas, provenance)
    save(tree, outputs.centroids, provenance)
    shares = statistics["quantisation_error"]
    print(
        f"{statistics['living_words']} of {tree.words} words live, {statistics['used_words']} used by {clips} "
        f"train clips, perplexity {statistics['perplexity']:.0f}; error, share of the variance: "
        + ", ".join(f"{split} {share:.3f}" for split, share in shares.items()),
        file=sys.stderr,
    )
    if warning := collapse(statistics):
        print(f"warning: {warning}", file=sys.stderr)


def _sample(
    tables: FeatureTables, splits: dict[str, str], settings: CodebookSettings
) -> tuple["npt.NDArray[np.float16]", str, int]:
    """A seeded sample of the train clips; a digest of all train features; their number."""
    import numpy as np

    reservoir = None
    digests: dict[str, bytes] = {}
    clips = 0
    for table, features in tables:
        if reservoir is None:
            reservoir = Reservoir(settings.sample, features.shape[1])
        index = table["clip"].to_numpy().astype(np.uint64)
        for video, rows in rows_of_videos(table):
            if splits.get(video) == "train":
                digests[video] = hashlib.sha256(features[rows].tobytes()).digest()
                clips += len(features[rows])
                reservoir.add(features[rows], mix(hash_number(f"{settings.seed}:{video}") + index[rows]))
    digest = hashlib.sha256(b"".join(video.encode() + digests[video] for video in sorted(digests))).hexdigest()
    return (reservoir.result() if reservoir else np.empty((0, 0), np.float16)), digest, clips


def _check_size(clips: int, splits: dict[str, str], settings: CodebookSettings) -> None:
    """Refuses a codebook that cannot be: no clips, or more words than clips to make them of."""
    words = settings.branching**settings.depth
    if not clips:
        train = sum(split == "train" for split in splits.values())
        if not train:
            raise UserError(
                f"no train clips: none of the {len(splits)} videos is in the split train; add videos, or lower "
                "corpus.test_fraction"
            )
        raise UserError(
            f"no train clips: none of the {train} train videos has features; the ledgers of download, frames and "
            "features say why"
        )
    check_words(clips, settings)
    if words > settings.sample:
        raise UserError(
            f"branching ** depth = {words} words but codebook.sample: {settings.sample} clips to make them of: "
            f"set codebook.sample: {words * CLIPS_PER_WORD}"
        )


def check_words(clips: int, settings: CodebookSettings) -> None:
    """Raises UserError when there are more words than train clips to make them of."""
    words = settings.branching**settings.depth
    if words <= clips:
        return
    fewer_branches, fewer_levels = _smaller(clips, settings.branching, settings.depth)
    if not fewer_levels:
        raise UserError(f"{words} words but only {clips} train clip: add videos")
    raise UserError(
        f"codebook.branching ** codebook.depth = {words} words but only {clips} train clips: "
        f"set codebook.branching: {fewer_branches} and codebook.depth: {fewer_levels} or fewer, or add videos"
    )


def tree_for(clips: int) -> tuple[int, int]:
    """branching and depth of a codebook that fits so many train clips, as the paper's 12 and 4 fit 55 million."""
    wanted = min(max(clips // 20, 2), 12**4)
    depth = next(depth for depth in range(1, 5) if wanted <= 12**depth)
    return max(2, int(wanted ** (1 / depth) + 1e-9)), depth


def _smaller(clips: int, branching: int, depth: int) -> tuple[int, int]:
    """The largest tree within this one that leaves CLIPS_PER_WORD clips a word, or (few clips) two words at least."""
    most = max(clips // CLIPS_PER_WORD, min(clips, 2))
    trees = [(b**d, -d, b) for d in range(1, depth + 1) for b in range(2, branching + 1) if b**d <= most]
    _, levels, branches = max(trees, default=(0, 0, 0))
    return branches, -levels


def _describe(
    tree: Codebook, tables: FeatureTables, videos: dict[str, dict[str, Any]], mean: "npt.NDArray[np.float64]"
) -> tuple[dict[str, Any], "pa.Table"]:
    """Statistics of the words, and the atlas: the train clips nearest to the words used most.

    A second pass over all features. Sums are taken video by video and then exactly, so that shards do not matter.
    """
    import numpy as np
    import pyarrow as pa

    counts = np.zeros(tree.words, np.int64)
    sums: dict[str, list[tuple[int, float, float]]] = {}
    nearest = None
    for table, features in tables:
        words = assign(features, tree)
        error = squared_distances(features, tree.centroids[-1], words)
        spread = squared_distances(features, mean[None].astype(np.float32), np.zeros_like(words))
        for video, rows in rows_of_videos(table):
            split = videos[video]["split"] if video in videos else ""
            sums.setdefault(split, []).append((len(words[rows]), error[rows].sum(), spread[rows].sum()))
        names = table["video_id"].to_pylist()
        train = np.array([name in videos and videos[name]["split"] == "train" for name in names], bool)
        counts += np.bincount(words[train], minlength=tree.words)
        table = table.append_column(
            "shard", pa.array([videos[name]["shard"] if name in videos else "" for name in names], pa.string())
        )
        nearest = nearest_clips(nearest, table, words, error, train)
    return _statistics(tree, counts, sums), atlas_table(nearest, counts)


def _statistics(
    tree: Codebook, counts: "npt.NDArray[np.int64]", sums: dict[str, list[tuple[int, float, float]]]
) -> dict[str, Any]:
    """How the words are used by train clips, and what of the features' variance they leave over, by split.

    Args:
        counts: (words,) train clips of each word.
        sums: for each split, the videos' (clips, squared error, squared distance to the mean).
    """
    import numpy as np

    totals = {split: [math.fsum(column) for column in zip(*rows, strict=True)] for split, rows in sums.items() if split}
    share = counts[counts > 0] / counts.sum()
    entropy = float(-(share * np.log2(share)).sum())
    return {
        "words": tree.words,
        "living_words": int(tree.alive[-1].sum()),
        "used_words": int((counts > 0).sum()),
        "entropy_bits": entropy,
        "perplexity": 2**entropy,
        "clips": {split: int(total[0]) for split, total in totals.items()},
        "quantisation_error": {split: total[1] / total[2] if total[2] else 0.0 for split, total in totals.items()},
        "counts": counts.tolist(),
    }
