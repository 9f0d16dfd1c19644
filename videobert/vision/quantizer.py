"""The quantizer: k-means, level by level, that turns a clip's feature into a visual word.

In a tree (section 3.2 of the paper) the first level splits all clips in `branching` clusters, the next splits each of those
again, `depth` times. In a residual codebook each level has `branching` centroids in all, which were fitted on what the levels
before left over. In both a clip's word is the nearest child of each level, read as a number in base `branching`.

A node with fewer distinct clips than children leaves the surplus children dead: they keep their number and hold their
parent's centroid, and nothing is ever assigned to them. (The parent of a residual level is the mean of what was left over.)
"""

import hashlib
import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from videobert import progress
from videobert.data.provenance import as_text, atomic, damaged
from videobert.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


ROWS = 4096  # clips in one matrix product: 16 MB at 1,024 dimensions, small enough for the allocator to reuse


NODE_SAMPLE = 1 << 17  # clips that one node is fitted on: thousands per child, more move its centroids by nothing


RESIDUAL = "residual"  # the tensor that marks such a file


Kind = Literal["tree", "residual"]


@dataclass(frozen=True)
class Codebook:
    """The centroids of each level. `centroids[l]`: float32 [branching ** (l + 1), dimension] in a tree, [branching, dimension]
    in a residual codebook; `alive[l]`: bool of the same length."""

    branching: int
    centroids: list["npt.NDArray[np.float32]"]
    alive: list["npt.NDArray[np.bool_]"]
    kind: Kind = "tree"

    @property
    def depth(self) -> int:
        """Number of levels."""
        return len(self.centroids)

    @property
    def words(self) -> int:
        """Number of words, those included that can never be given: words are 0 … words - 1."""
        count: int = self.branching**self.depth
        return count

    @property
    def living_words(self) -> int:
        """Words that can be given: the living leaves, or combinations of living centroids."""
        if self.kind == "tree":
            return int(self.alive[-1].sum())
        return math.prod(int(alive.sum()) for alive in self.alive)

    @property
    def dimension(self) -> int:
        """Size of a feature."""
        size: int = self.centroids[-1].shape[1]
        return size

    def digits(self, words: "npt.NDArray[np.integer]") -> "npt.NDArray[np.int64]":
        """The child of each level that words (n,) name: (n, depth), the first level first."""
        import numpy as np

        powers = self.branching ** np.arange(self.depth - 1, -1, -1, dtype=np.int64)
        return words[:, None] // powers % self.branching

    def vectors(self, words: "npt.NDArray[np.integer]") -> "npt.NDArray[np.float32]":
        """What clips of words (n,) look like, (n, dimension): the leaf's centroid, or the sum of one centroid of each level."""
        import numpy as np

        if self.kind == "tree":
            leaves: npt.NDArray[np.float32] = self.centroids[-1][words]
            return leaves
        vectors = np.zeros((len(words), self.dimension), np.float32)
        for centroids, digits in zip(self.centroids, self.digits(words).T, strict=True):
            vectors += centroids[digits]
        return vectors

    def upper(self, levels: int) -> "Codebook":
        """The codebook of the first levels alone; its word for a clip is `words // branching ** (depth - levels)`."""
        return Codebook(self.branching, self.centroids[:levels], self.alive[:levels], self.kind)


def assign(features: "npt.NDArray[np.floating]", codebook: Codebook) -> "npt.NDArray[np.int32]":
    """The visual word of each clip: the nearest living child at each level.

    Args:
        features: [N, dimension], any float type.
        codebook: of either kind.

    Returns:
        int32 [N], 0 … words - 1.
    """
    import numpy as np

    words = np.zeros(len(features), np.int64)
    if codebook.kind == "tree":
        for centroids, alive in zip(codebook.centroids, codebook.alive, strict=True):
            words = _descend(features, words, centroids, alive, codebook.branching)
        return words.astype(np.int32)
    for start in range(0, len(features), ROWS):
        part = slice(start, start + ROWS)
        left = features[part].astype(np.float32)
        for centroids, alive in zip(codebook.centroids, codebook.alive, strict=True):
            digits = _take_away(left, centroids, alive)
            words[part] = words[part] * codebook.branching + digits
    return words.astype(np.int32)


def load(path: Path) -> Codebook:
    """Reads the codebook, centroids.safetensors. Raises UserError when it is not there."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    if not path.exists():
        raise UserError(f"{path} is missing: run the stage codebook first")
    try:
        tensors = load_file(path)
        levels = range(1, len(tensors) // 2 + 1)
        centroids = [tensors[f"centroids.{level}"] for level in levels]
        alive = [tensors[f"alive.{level}"].astype(bool) for level in levels]
        return Codebook(len(centroids[0]), centroids, alive, "residual" if RESIDUAL in tensors else "tree")
    except (SafetensorError, KeyError, IndexError, OSError, ValueError) as error:
        raise damaged(path, error) from None


def save(codebook: Codebook, path: Path, provenance: dict[str, Any]) -> None:
    """Writes centroids.safetensors: "centroids.1" … "centroids.depth" and "alive.1" … with the provenance. The mark "residual"
    stands in a file of that kind; without it, as in those of earlier versions, it is a tree."""
    import numpy as np
    from safetensors.numpy import save_file

    tensors = {f"centroids.{level}": array for level, array in enumerate(codebook.centroids, 1)}
    tensors |= {f"alive.{level}": array.astype(np.uint8) for level, array in enumerate(codebook.alive, 1)}
    if codebook.kind == "residual":
        tensors[RESIDUAL] = np.ones(1, np.uint8)
    with atomic(path) as temporary:
        # One key only: safetensors keeps metadata in a hash map, whose order changes from run to run.
        save_file(tensors, temporary, metadata={"provenance": as_text(provenance)})


def fit(
    vectors: "npt.NDArray[np.floating]", branching: int, depth: int, batch_size: int, seed: int, threads: int = 1
) -> Codebook:
    """Fits the tree level by level.

    Args:
        vectors: [N, dimension], any float type; their order counts.
        branching, depth, batch_size, seed, threads: see the stage codebook.
    """
    import numpy as np
    import sklearn.cluster  # noqa: F401 - a limit of threads holds only for libraries that are loaded by then
    from threadpoolctl import threadpool_limits

    node = np.zeros(len(vectors), np.int64)
    inherited = vectors.mean(axis=0, dtype=np.float64).astype(np.float32)[None]
    tree = Codebook(branching, [], [])
    nodes = sum(branching**level for level in range(depth))
    # Nodes side by side, each on one thread: faster than several threads in one small node, and the sums of a node are
    # taken in the same order however many threads there are.
    workers = ThreadPoolExecutor(threads, initializer=threadpool_limits, initargs=(1,))
    progress.begin("node", nodes)
    with threadpool_limits(1), workers as pool:
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
                progress.advance()
            progress.advance(branching ** (level - 1) - len(groups))  # the dead ones took no time
            node = _descend(vectors, node, centroids, alive, branching)
            # A child that no clip chose has nothing to split below it; taking it away moves no clip.
            alive[np.bincount(node, minlength=len(alive)) == 0] = False
            inherited = np.where(alive[:, None], centroids, inherited)
            tree.centroids.append(inherited)
            tree.alive.append(alive)
    return tree


def fit_residual(
    vectors: "npt.NDArray[np.floating]", branching: int, depth: int, batch_size: int, seed: int
) -> Codebook:
    """Fits a residual codebook level by level, each on what the levels before left over of the first NODE_SAMPLE clips.

    Args:
        vectors: [N, dimension], any float type; their order counts.
        branching, depth, batch_size, seed: see the stage codebook.
    """
    import numpy as np
    import sklearn.cluster  # noqa: F401 - a limit of threads holds only for libraries that are loaded by then
    from threadpoolctl import threadpool_limits

    left = vectors[:NODE_SAMPLE].astype(np.float32)
    codebook = Codebook(branching, [], [], "residual")
    progress.begin("level", depth)
    with threadpool_limits(1):  # the sums are taken in the same order on every machine
        for level in range(1, depth + 1):
            mean = left.mean(axis=0, dtype=np.float64).astype(np.float32)
            children = _split(left, branching, batch_size, np.arange(len(left)), f"{seed}:{level}:0")
            centroids = np.concatenate([children, np.repeat(mean[None], branching - len(children), axis=0)])
            alive = np.arange(branching) < len(children)
            digits = _take_away(left, centroids, alive)
            alive[np.bincount(digits, minlength=branching) == 0] = False
            centroids[~alive] = mean
            codebook.centroids.append(centroids)
            codebook.alive.append(alive)
            progress.advance()
    return codebook


def _take_away(
    left: "npt.NDArray[np.float32]", centroids: "npt.NDArray[np.float32]", alive: "npt.NDArray[np.bool_]"
) -> "npt.NDArray[np.int64]":
    """The nearest living centroid of each row; what it explains is taken away from `left`, in place."""
    import numpy as np

    digits = _descend(left, np.zeros(len(left), np.int64), centroids, alive, len(centroids))
    for start in range(0, len(left), ROWS):
        part = slice(start, start + ROWS)
        left[part] -= centroids[digits[part]]
    return digits


def _descend(
    features: "npt.NDArray[np.floating]",
    node: "npt.NDArray[np.int64]",
    centroids: "npt.NDArray[np.float32]",
    alive: "npt.NDArray[np.bool_]",
    branching: int,
) -> "npt.NDArray[np.int64]":
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


def _groups(node: "npt.NDArray[np.int64]") -> list[tuple[int, "npt.NDArray[np.intp]"]]:
    """(value, rows that have it) for each value that occurs, both in order."""
    import numpy as np

    order = np.argsort(node, kind="stable")
    values, starts = np.unique(node[order], return_index=True)
    return list(zip(values.tolist(), np.split(order, starts[1:]), strict=True)) if len(node) else []


def _split(
    vectors: "npt.NDArray[np.floating]", branching: int, batch_size: int, rows: "npt.NDArray[np.intp]", name: str
) -> "npt.NDArray[np.float32]":
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
    centres: npt.NDArray[np.float32] = model.fit(points).cluster_centers_
    return centres


def squared_distances(
    features: "npt.NDArray[np.floating]", codebook: Codebook, words: "npt.NDArray[np.integer]"
) -> "npt.NDArray[np.float64]":
    """|x - c|² of each row and the vector of its word, float64 [N]."""
    import numpy as np

    distances = np.empty(len(features))
    for start in range(0, len(features), ROWS):
        part = slice(start, start + ROWS)
        difference = features[part].astype(np.float32) - codebook.vectors(words[part])
        distances[part] = np.einsum("nd,nd->n", difference, difference)
    return distances
