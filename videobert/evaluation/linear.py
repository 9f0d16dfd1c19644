"""Linear classifiers on frozen vectors of steps, with regularisation chosen by cross-validation over videos."""

from pathlib import Path
from typing import Any

import numpy as np

from videobert.data.provenance import read_provenance, read_table, sha256
from videobert.errors import UserError
from videobert.evaluation.scoring import Ranked
from videobert.evaluation.steps import Step, select_between

PACKAGES = ("torch", "transformers", "scikit-learn")


def mean_features(features: Path, tokens: Path, manifest: Path, steps: list[Step]) -> tuple[np.ndarray, list[Path]]:
    """(steps, dimension) float64: the mean S3D feature of each step's clips; and the files that were read.

    Raises UserError when a file is not the one that its shard's tokens were made of: its clips would not be the clips
    of the visual words.
    """
    from videobert.data.tables import read_features, rows_of_videos

    shards = dict(zip(*(read_table(manifest, [name])[name].to_pylist() for name in ("video_id", "shard")), strict=True))
    wanted: dict[str, list[int]] = {}
    for index, step in enumerate(steps):
        wanted.setdefault(step.video_id, []).append(index)
    means: list[np.ndarray | None] = [None] * len(steps)
    files = [features / f"{shard}.parquet" for shard in sorted({shards[name] for name in wanted})]
    for file in files:
        if read_provenance(tokens / file.name).get("inputs", {}).get("features") != sha256(file):
            raise UserError(f"{tokens / file.name} was made of other features than {file}: run the stage tokens again")
        table, vectors = read_features(file)
        middles = (table["start"].to_numpy() + table["end"].to_numpy()) / 2
        for name, rows in rows_of_videos(table):
            for index in wanted.get(name, []):
                inside = select_between(middles[rows], vectors[rows], steps[index].start, steps[index].end)
                means[index] = inside.mean(0, dtype=np.float64)
    return np.stack(means), files


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
        regularisation, folds, threads: see `probe`. The result does not depend on `threads`.

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
    vectors: Any, labels: np.ndarray, groups: np.ndarray, regularisation: list[float], folds: int, threads: int
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
