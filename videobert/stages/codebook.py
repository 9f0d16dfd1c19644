"""Visual words: k-means over the features of the train videos, level by level.

The paper's (section 3.2) is a tree of MiniBatchKMeans: the first level splits all clips in `branching` clusters, the next
splits each of those again, `depth` times, which gives branching ** depth leaves; the paper's 12 children and 4 levels make
20,736 words. The other kind is residual: each level has `branching` centroids in all, fitted on what the levels before left
over, and a clip is the sum of one centroid of each. In both a clip's word is the nearest child at each level, read as a number
in base `branching`. `assign` is the one rule for that, in training and inference.

It is fitted on a seeded sample of the train videos' clips, taken in one pass in constant memory by giving each
clip a random priority that depends on the seed, its video and its index only. So neither the shards nor the test videos
can move a centroid. A node with fewer distinct clips than children leaves the surplus children dead: they keep their
number, so that words stay where they are, they hold their parent's centroid, and nothing is ever assigned to them.
"""

import hashlib
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import Field, model_validator

from videobert.data.provenance import (
    make_provenance,
    read_table,
    write_json,
    write_table,
)
from videobert.data.tables import FeatureTables, open_features, rows_of_videos
from videobert.errors import UserError
from videobert.settings import Count, Execution, Inputs, Outputs, Seed, Settings
from videobert.vision.atlas import atlas_table, most_used, nearest_clips
from videobert.vision.collapse import collapse
from videobert.vision.quantizer import (
    NODE_SAMPLE,
    Codebook,
    Kind,
    assign,
    fit,
    fit_residual,
    save,
    squared_distances,
)
from videobert.vision.sampling import Reservoir, hash_number, mix

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

VERSION = 1

CLIPS_PER_WORD = 8  # what an error message suggests; fewer make poor clusters


LIMIT = 2**31  # words are written as int32


class CodebookSettings(Settings):
    """Features of the train videos to visual words, by k-means."""

    kind: Kind = "tree"
    """What words are made of. tree: k-means within k-means, the paper's; each leaf is a word, with an embedding of its own.
    residual: `depth` codebooks of `branching` centroids, each fitted on what the ones before left over; a word is one
    centroid of each, so 3 times 64 make 262,144 words. It says more of a clip with fewer numbers to learn (docs/objectives.md
    has figures): the model adds up the embeddings of the centroids, each of which many clips share, and predicts each level by
    itself."""
    branching: Annotated[int, Field(ge=2, le=1024)] = 12
    """Children of each node of the tree, or centroids of each level of a residual codebook. There are branching ** depth visual
    words; in a tree they must be fewer than the train clips. The paper: 12 and 4, 20,736 words, for 23,000 hours. As a rule,
    10 to 50 clips per word of a tree."""
    depth: Annotated[int, Field(ge=1, le=8)] = 3
    """Levels."""
    sample: Count = 2_000_000
    """Train clips that are clustered, at most; drawn at random (memory: 4 KB per clip at 1,024 dimensions)."""
    batch_size: Count = 1024
    """Clips in a batch of MiniBatchKMeans."""
    seed: Seed = 0
    """Seed of the sample and of the clustering."""

    @property
    def needed_clips(self) -> int:
        """Train clips without which this codebook cannot be: a clip for each word of a tree, some for each centroid of a
        residual codebook's level."""
        return self.branching**self.depth if self.kind == "tree" else self.branching * CLIPS_PER_WORD

    @model_validator(mode="after")
    def _words_are_numbers(self) -> Self:
        words = self.branching**self.depth
        if self.kind == "residual" and words >= LIMIT:
            raise ValueError(
                f"codebook.branching ** codebook.depth is {words}, but a residual codebook can have {LIMIT - 1} words at most: "
                "make one of them smaller"
            )
        return self


class CodebookExecution(Execution):
    threads: Count = 1
    """Nodes of the tree that are clustered in parallel; the result does not depend on it. The levels of a residual codebook are
    fitted one after the other."""


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
        how = (settings.branching, settings.depth, settings.batch_size, settings.seed)
        if settings.kind == "tree":
            fitted, made = len(vectors), fit(vectors, *how, execution.threads)
        else:
            fitted, made = min(len(vectors), NODE_SAMPLE), fit_residual(vectors, *how)
        statistics, atlas = _describe(made, tables, videos, vectors.mean(axis=0, dtype="float64"))
    provenance = make_provenance(
        "codebook",
        VERSION,
        settings.fingerprint(),
        {},
        ("scikit-learn",),
        execution=execution.model_dump(),
        weights_sha256=tables.provenance.get("weights_sha256"),
        clip_seconds=tables.provenance.get("clip_seconds"),
        dimension=made.dimension,
        words=made.words,
    )
    provenance["inputs"]["train features"] = digest  # of what was read of them, so that no test video is in it
    write_json({"fitted_on": fitted, **statistics}, outputs.statistics, provenance)
    write_table(atlas, outputs.atlas, provenance)
    save(made, outputs.centroids, provenance)
    shares = statistics["quantisation_error"]
    print(
        f"{statistics['living_words']} of {made.words} words live, {statistics['used_words']} used by {clips} "
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
    """Refuses a codebook that cannot be: no clips, or too few of them."""
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
    if settings.needed_clips > settings.sample:
        raise UserError(_too_small_a_sample(settings))


def _too_small_a_sample(settings: CodebookSettings) -> str:
    few = f"codebook.sample: {settings.sample} clips to make them of: set codebook.sample:"
    if settings.kind == "residual":
        return f"{settings.branching} centroids a level but {few} {settings.needed_clips}"
    words = settings.branching**settings.depth
    return f"branching ** depth = {words} words but {few} {words * CLIPS_PER_WORD}"


def check_words(clips: int, settings: CodebookSettings) -> None:
    """Raises UserError when there are too few train clips for the words, or for a residual codebook's centroids."""
    if settings.needed_clips <= clips:
        return
    if settings.kind == "residual":
        most = clips // CLIPS_PER_WORD
        remedy = f"set codebook.branching: {most} or less, or add videos" if most > 1 else "add videos"
        raise UserError(
            f"codebook.branching: {settings.branching} centroids a level but only {clips} train clips: {remedy}"
        )
    words = settings.branching**settings.depth
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
    codebook: Codebook, tables: FeatureTables, videos: dict[str, dict[str, Any]], mean: "npt.NDArray[np.float64]"
) -> tuple[dict[str, Any], "pa.Table"]:
    """Statistics of the words, and the atlas: the train clips nearest to the words used most.

    A second pass over all features. Sums are taken video by video and then exactly, so that shards do not matter. Which words
    are used most is known at its end: until then each clip's word and distance are kept, 8 bytes a clip.
    """
    import numpy as np

    middle = Codebook(1, [mean[None].astype(np.float32)], [np.ones(1, bool)])  # one word, the mean of all clips
    # What is left over is measured after each level of a residual codebook; only the lowest level of a tree is its words.
    measured = range(1, codebook.depth + 1) if codebook.kind == "residual" else [codebook.depth]
    sums: dict[str, list[tuple[float, ...]]] = {}
    train_words, distances = [], []
    for table, features in tables:
        words = assign(features, codebook)
        spread = squared_distances(features, middle, np.zeros_like(words))
        errors = [
            squared_distances(features, codebook.upper(level), words // codebook.branching ** (codebook.depth - level))
            for level in measured
        ]
        for video, rows in rows_of_videos(table):
            split = videos[video]["split"] if video in videos else ""
            sums.setdefault(split, []).append(
                (len(words[rows]), spread[rows].sum(), *(error[rows].sum() for error in errors))
            )
        names = table["video_id"].to_pylist()
        train = np.array([name in videos and videos[name]["split"] == "train" for name in names], bool)
        train_words.append(np.where(train, words, -1))
        distances.append(np.sqrt(errors[-1]).astype(np.float32))
    used, counts = np.unique(np.concatenate(train_words), return_counts=True)
    used, counts = used[used >= 0], counts[used >= 0]
    atlas = _atlas(tables, videos, train_words, distances, used, counts)
    return _statistics(codebook, used, counts, sums), atlas


def _atlas(
    tables: FeatureTables,
    videos: dict[str, dict[str, Any]],
    train_words: list["npt.NDArray[np.int32]"],
    distances: list["npt.NDArray[np.float32]"],
    used: "npt.NDArray[np.int32]",
    counts: "npt.NDArray[np.int64]",
) -> "pa.Table":
    """The train clips nearest to the words used most.

    Args:
        train_words, distances: for each shard, (clips,) the words of the train clips, -1 for others; and how far they are.
        used, counts: (used words,) the words of train clips, and how many have each.
    """
    import numpy as np
    import pyarrow as pa

    best = most_used(used, counts)
    nearest = None
    for path, words, distance in zip(tables.files, train_words, distances, strict=True):
        table = read_table(path, ["video_id", "clip", "start", "end"])
        names = table["video_id"].to_pylist()
        shards = pa.array([videos[name]["shard"] if name in videos else "" for name in names], pa.string())
        shown = np.isin(words, used[best])
        nearest = nearest_clips(nearest, table.append_column("shard", shards), words, distance, shown)
    return atlas_table(nearest, used[best], counts[best])


def _statistics(
    codebook: Codebook,
    used: "npt.NDArray[np.int32]",
    counts: "npt.NDArray[np.int64]",
    sums: dict[str, list[tuple[float, ...]]],
) -> dict[str, Any]:
    """How the words are used by train clips, and what of the features' variance they leave over, by split.

    Args:
        used, counts: (used words,) the words of train clips, and how many have each.
        sums: for each split, the videos' (clips, squared distance to the mean, squared error after each measured level).
    """
    totals = {split: [math.fsum(column) for column in zip(*rows, strict=True)] for split, rows in sums.items() if split}
    entropy = _entropy(counts)
    statistics = {
        "words": codebook.words,
        "living_words": codebook.living_words,
        "used_words": len(used),
        "entropy_bits": entropy,
        "perplexity": 2**entropy,
        "clips": {split: int(total[0]) for split, total in totals.items()},
        "quantisation_error": _left_over(totals, -1),
    }
    if codebook.kind == "tree":
        return statistics | {"counts": _spread_out(used, counts, codebook.words).tolist()}
    levels = []
    for place, (alive, digits) in enumerate(zip(codebook.alive, codebook.digits(used).T, strict=True)):
        of_centroids = _spread_out(digits, counts, codebook.branching)
        level = {
            "living": int(alive.sum()),
            "used": int((of_centroids > 0).sum()),
            "perplexity": 2 ** _entropy(of_centroids),
            "quantisation_error": _left_over(totals, 2 + place),
            "counts": of_centroids.tolist(),
        }
        levels.append(level)
    return statistics | {"levels": levels}


def _left_over(totals: dict[str, list[float]], place: int) -> dict[str, float]:
    """By split, the squared error at a place of `totals`, as a share of the squared distance to the mean."""
    return {split: total[place] / total[1] if total[1] else 0.0 for split, total in totals.items()}


def _spread_out(
    numbers: "npt.NDArray[np.integer]", counts: "npt.NDArray[np.int64]", size: int
) -> "npt.NDArray[np.int64]":
    """The counts of each of 0 … size - 1, of numbers that occur."""
    import numpy as np

    every = np.zeros(size, np.int64)
    np.add.at(every, numbers, counts)
    return every


def _entropy(counts: "npt.NDArray[np.int64]") -> float:
    """Of how often words are used, in bits."""
    import numpy as np

    share = counts[counts > 0] / counts.sum()
    return float(-(share * np.log2(share)).sum())
