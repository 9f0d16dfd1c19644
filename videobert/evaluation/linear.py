"""Linear classifiers on frozen vectors of steps, with regularisation chosen by cross-validation over videos."""

from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from videobert.data.tables import FeatureTables, rows_of_videos
from videobert.evaluation.scoring import Ranked
from videobert.evaluation.steps import Step, select_between
from videobert.settings import Positive, Settings

PACKAGES = ("torch", "transformers", "scikit-learn")


class ProbeSettings(Settings):
    """Verbs and objects of annotated steps, learnt by linear classifiers from frozen features."""

    regularisation: Annotated[list[Positive], Field(min_length=1)] = [0.001, 0.01, 0.1, 1.0]
    """Inverse regularisation strengths of the classifiers to choose from (scikit-learn's C). Add smaller ones when the
    smallest is chosen, larger ones when the largest is: probe.json shows which one was."""
    folds: Annotated[int, Field(ge=2)] = 5
    """Folds of the cross-validation on the train videos that chooses one. More take longer and choose a little
    better."""


def mean_features(tables: FeatureTables, steps: list[Step]) -> npt.NDArray[np.float64]:
    """(steps, dimension) float64: the mean S3D feature of each step's clips."""
    wanted: dict[str, list[int]] = {}
    for index, step in enumerate(steps):
        wanted.setdefault(step.video_id, []).append(index)
    means: dict[int, npt.NDArray[np.float64]] = {}
    for table, vectors in tables:
        middles = (table["start"].to_numpy() + table["end"].to_numpy()) / 2
        for name, rows in rows_of_videos(table):
            for index in wanted.get(name, []):
                inside = select_between(middles[rows], vectors[rows], steps[index].start, steps[index].end)
                means[index] = inside.mean(0, dtype=np.float64)
    return np.stack([means[index] for index in range(len(steps))])


def classify(
    vectors: Any,
    steps: list[Step],
    questions: Any,
    regularisation: list[float],
    folds: int,
    threads: int,
) -> tuple[Ranked, dict[str, float | None]]:
    """Learns the verbs and the objects of `steps` from their `vectors`, and ranks them for each of the `questions`.

    Args:
        vectors: (steps, dimension) array or sparse matrix.
        steps: the annotated steps of the train videos.
        questions: (n, dimension), of the same kind.
        regularisation, folds, threads: see the task probe. The result does not depend on `threads`.

    Returns:
        (the rankings of the labels that `steps` have, the strength chosen for the verb and for the object: None where
        the steps have one label only).
    """
    ranked: Ranked = {}
    chosen: dict[str, float | None] = {}
    groups = np.array([step.video_id for step in steps])
    for part in ("verb", "object"):
        labels = np.array([getattr(step, part) for step in steps])
        if len(set(labels)) == 1:  # nothing to tell apart
            ranked[part], chosen[part] = [[(str(labels[0]), 1.0)]] * questions.shape[0], None
            continue
        model = _fit(vectors, labels, groups, sorted(regularisation), folds, threads)
        shares = model.predict_proba(questions)
        order = np.argsort(-shares, axis=1, kind="stable")
        ranked[part] = [
            [(str(model.classes_[index]), float(share[index])) for index in row]
            for row, share in zip(order, shares, strict=True)
        ]
        chosen[part] = float(model[-1].C)
    return ranked, chosen


def _fit(
    vectors: Any,
    labels: npt.NDArray[np.str_],
    groups: npt.NDArray[np.str_],
    regularisation: list[float],
    folds: int,
    threads: int,
) -> Any:
    """The classifier with the strength that names most labels of the videos left out; of equals, the strongest."""
    from joblib import parallel_config
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV, GroupKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from threadpoolctl import threadpool_limits

    # Sparse counts are scaled and not centred, or they would be sparse no more.
    scaler = StandardScaler(with_mean=isinstance(vectors, np.ndarray))
    model = make_pipeline(scaler, LogisticRegression(C=regularisation[0], max_iter=1000))
    folds = min(folds, len(set(groups)))
    parts = list(GroupKFold(folds).split(vectors, labels, groups)) if folds > 1 else []
    parts = [(learn, ask) for learn, ask in parts if len(set(labels[learn])) > 1]
    # Each fit on one thread, so that its sums are taken in one order; several fits side by side.
    with threadpool_limits(1), parallel_config("threading", n_jobs=threads):
        if not parts:  # one video, or one label in all others: nothing to choose by
            return model.fit(vectors, labels)
        search = GridSearchCV(model, {"logisticregression__C": regularisation}, cv=parts, scoring="accuracy")
        return search.fit(vectors, labels).best_estimator_
