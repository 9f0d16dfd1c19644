"""How long the first stage of retrieval takes over a million segments, against scikit-learn's exact search.

The vectors are random, of unit length: an exact search reads every number whatever they are, and at unit length the
nearest by scikit-learn's Euclidean distance are those of the largest dot product, so that both must find the same.

    python benchmarks/retrieval.py --segments 1000000 --dimension 128 --threads 1
"""

import argparse
import time
from collections.abc import Callable

import numpy as np


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--segments", type=int, default=1_000_000)
    parser.add_argument("--dimension", type=int, default=128, help="the model's hidden_size")
    parser.add_argument("--candidates", type=int, default=100)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()

    import sklearn
    import torch
    from sklearn.neighbors import NearestNeighbors
    from threadpoolctl import threadpool_limits

    from videobert.model.projection import nearest

    torch.set_num_threads(options.threads)
    random = np.random.default_rng(0)
    index = _unit(random.standard_normal((options.segments, options.dimension), dtype=np.float32))
    peer = NearestNeighbors(n_neighbors=options.candidates, algorithm="brute").fit(index)
    print(
        f"{options.segments:,} vectors of {options.dimension} numbers ({index.nbytes / 1e9:.1f} GB), the "
        f"{options.candidates} nearest, {options.threads} threads, torch {torch.__version__}, scikit-learn {sklearn.__version__}"
    )
    for count in (1, 32):
        queries = _unit(random.standard_normal((count, options.dimension), dtype=np.float32))
        with threadpool_limits(options.threads):
            runs = _alternately(
                lambda asked: nearest(asked, index, options.candidates)[1],
                lambda asked: peer.kneighbors(asked, return_distance=False),
                queries,
                options.repeats,
            )
        (found, ours), (known, theirs) = runs
        same = np.mean([len(set(one) & set(two)) / len(one) for one, two in zip(found, known, strict=True)])
        print(
            f"{count:3} queries at a time: videobert {_milliseconds(ours, count)}, scikit-learn "
            f"{_milliseconds(theirs, count)} a query; {np.median(theirs) / np.median(ours):.1f} times; "
            f"{same:.2%} of the found are the same"
        )


def _unit(vectors: np.ndarray) -> np.ndarray:
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


def _alternately(
    one: Callable, two: Callable, queries: np.ndarray, repeats: int
) -> list[tuple[np.ndarray, list[float]]]:
    """(result, seconds of each run) of both, in turn, so that a busy machine slows both; the first runs do not count."""
    results = [one(queries), two(queries)]
    seconds: list[list[float]] = [[], []]
    for _ in range(repeats):
        for place, function in enumerate((one, two)):
            start = time.perf_counter()
            results[place] = function(queries)
            seconds[place].append(time.perf_counter() - start)
    return list(zip(results, seconds, strict=True))


def _milliseconds(seconds: list[float], count: int) -> str:
    low, middle, high = (1000 / count * value for value in (min(seconds), np.median(seconds), max(seconds)))
    return f"{middle:.0f} ms ({low:.0f} to {high:.0f})"


if __name__ == "__main__":
    main()
