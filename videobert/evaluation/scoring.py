"""Accuracies with 95 % intervals, by a bootstrap over videos: the segments of one video are no independent draws."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from videobert.evaluation.steps import Step

DIGITS = 6


RESAMPLES = 1000


TOP = 5


# An interval of fewer videos would promise what it does not keep: of figures that are normally distributed over the videos it
# holds the truth in 90 % of the cases with 10 videos, in 84 % with 5, in 73 % with 3, and with one it has no width.
FEWEST_VIDEOS = 10


# For the verb and the object: for each step, (label, probability among the labels), best first.
Ranked = dict[str, list[list[tuple[str, float]]]]


def chance(labels: dict[str, list[str]]) -> dict[str, float]:
    """What guessing among the labels of the verb and of the object gives."""
    return {f"{part}_top{top}": min(1.0, top / len(names)) for part, names in labels.items() for top in (1, TOP)}


def accuracies(steps: list[Step], ranked: Ranked, seed: int) -> dict[str, Any]:
    """Top-1 and top-5 accuracy of the rankings, with intervals. A label that is not among the ranked ones is missed."""
    return means(steps, hits(steps, ranked), seed)


def hits(steps: list[Step], ranked: Ranked) -> dict[str, npt.NDArray[np.float64]]:
    """For each accuracy, (steps,) 1.0 where the label is the first or among the first five, else 0.0."""
    found = {}
    for part, rankings in ranked.items():
        for top in (1, TOP):
            best = [[label for label, _ in ranking[:top]] for ranking in rankings]
            right = [getattr(step, part) in labels for step, labels in zip(steps, best, strict=True)]
            found[f"{part}_top{top}"] = np.array(right, float)
    return found


def means(steps: list[Step], values: dict[str, npt.NDArray[np.float64]], seed: int) -> dict[str, Any]:
    """The mean of each of the `values` (steps,) with its interval, and the count of steps."""
    groups = np.array([step.video_id for step in steps])
    result: dict[str, Any] = {"count": len(steps)}
    for name, row in values.items():
        result[name] = float(row.mean())
        result |= bounds(f"{name}_interval", groups, partial(interval, row, groups, seed))
    return result


def bounds(name: str, groups: npt.NDArray[Any], make: Callable[[], list[float]]) -> dict[str, Any]:
    """{name: the interval}; of too few videos, `groups` (n,), the reason why there is none, as `no_interval`."""
    videos = len(np.unique(groups))
    if videos >= FEWEST_VIDEOS:
        return {name: make()}
    return {"no_interval": f"{videos} test video{'s' * (videos != 1)}, where an interval needs {FEWEST_VIDEOS}"}


def interval(values: npt.NDArray[np.float64], groups: npt.NDArray[Any], seed: int) -> list[float]:
    """The 95 % interval of the mean of `values` (n,), by a bootstrap over the videos, `groups` (n,)."""
    sums = resampled(np.stack([values, np.ones(len(values))], axis=1), groups, seed)
    return middle(sums[:, 0] / sums[:, 1])


def middle(numbers: npt.NDArray[np.floating] | list[float]) -> list[float]:
    """Between which two the middle 95 % of the numbers (n,) lie."""
    return [float(bound) for bound in np.quantile(numbers, [0.025, 0.975])]


def resampled(parts: npt.NDArray[Any], groups: npt.NDArray[Any], seed: int) -> npt.NDArray[np.float64]:
    """Sums (RESAMPLES, k) of the columns of `parts` (n, k), each over videos drawn with replacement, `groups` (n,)."""
    _, numbers = np.unique(groups, return_inverse=True)
    sums = np.zeros((numbers.max() + 1, parts.shape[1]))
    np.add.at(sums, numbers, parts)
    draws = np.random.default_rng([seed, 9]).integers(len(sums), size=(RESAMPLES, len(sums)))
    totals: npt.NDArray[np.float64] = sums[draws].sum(1)
    return totals


def rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(item) for item in value]
    return round(value, DIGITS) if isinstance(value, float) else value
