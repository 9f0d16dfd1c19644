"""Linear probes: what is in the features is found, controls are controls, the strength is chosen on train videos alone."""

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from calls import probe
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from synthetic import world

from videobert.data.provenance import read_provenance, read_table, write_table
from videobert.data.tables import read_features
from videobert.errors import UserError
from videobert.evaluation.linear import classify
from videobert.evaluation.steps import Step
from videobert.kitchen import script as kitchen

STRENGTHS = [0.01, 0.1]
QUESTIONS = {"annotations": "kitchen", "regularisation": STRENGTHS, "folds": 3}
QUESTIONS |= {"batch_size": 32, "seed": 0, "threads": 1, "device": "cpu"}


@pytest.fixture(scope="module")
def measured(learnt, features, shared) -> Path:
    make = lambda folder: probe(**learnt, features=features, output=folder / "probe.json", **QUESTIONS)  # noqa: E731
    return shared("probe", make) / "probe.json"


def figures(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))["summary"]["probe"]


def test_the_rows_and_their_order_of_worth(measured):
    rows = figures(measured)
    learnt = {"videobert_cls", "videobert_mean", "s3d", "random_weights", "visual_words"}
    assert set(rows) == learnt | {"chance", "most_frequent"}
    for name in learnt:
        assert rows[name]["verb_top1"] > 2 * rows["most_frequent"]["verb_top1"], name
        low, high = rows[name]["verb_top1_interval"]
        assert low <= rows[name]["verb_top1"] <= high  # the best have all right
        assert rows[name]["verb_top5"] >= rows[name]["verb_top1"]
    assert rows["chance"]["verb_top1"] == pytest.approx(1 / len(kitchen.VERBS), abs=1e-6)


def test_of_few_steps_the_model_learns_more_than_a_random_one(learnt, features, tmp_path):
    """Words of one verb are alike to the model (by its centroids and by training), and unrelated in a random table: what
    was not among the steps to learn from is then unknown. Of many steps both learn everything."""
    lines = steps_of([number for number in range(60) if not kitchen.is_test(number)][:4])
    lines += steps_of(filter(kitchen.is_test, range(60)))
    (tmp_path / "steps.tsv").write_text(
        "\n".join(["video_id\tstart\tend\tverb\tobject", *lines]) + "\n", encoding="utf-8"
    )
    questions = {**QUESTIONS, "annotations": str(tmp_path / "steps.tsv")}
    probe(**learnt, features=features, output=tmp_path / "probe.json", **questions)
    rows = figures(tmp_path / "probe.json")
    assert rows["videobert_mean"]["verb_top1"] > rows["random_weights"]["verb_top1"] + 0.05  # it is 0.17
    low, high = rows["random_weights"]["verb_top1_interval"]
    assert low < rows["random_weights"]["verb_top1"] < high


def steps_of(numbers: Iterable[int]) -> list[str]:
    steps = [(number, step) for number in numbers for step in kitchen.script(number).steps]
    return [f"kitchen-{n}\t{step.start}\t{step.end}\t{step.verb}\t{step.object}" for n, step in steps]


def test_s3d_is_a_logistic_regression_on_the_mean_of_the_steps_clips(measured, features):
    """Computed once more, with nothing of ours but the kitchen's scripts."""
    clips: dict[str, list] = {}
    for file in sorted(features.glob("*.parquet")):
        table, vectors = read_features(file)
        for row, vector in zip(table.to_pylist(), vectors.astype(float)):
            clips.setdefault(row["video_id"], []).append(((row["start"] + row["end"]) / 2, vector))
    rows = {True: ([], []), False: ([], [])}
    for number in range(60):
        for step in kitchen.script(number).steps:
            here = clips[f"kitchen-{number}"]
            inside = [vector for middle, vector in here if step.start <= middle < step.end]
            inside = inside or [min(here, key=lambda clip: abs(clip[0] - (step.start + step.end) / 2))[1]]
            rows[kitchen.is_test(number)][0].append(np.mean(inside, axis=0))
            rows[kitchen.is_test(number)][1].append(step.verb)
    (train, verbs), (test, truth) = rows[False], rows[True]
    scaler = StandardScaler().fit(train)
    strength = json.loads(measured.read_text(encoding="utf-8"))["regularisation"]["s3d"]["verb"]
    assert strength in STRENGTHS
    model = LogisticRegression(C=strength, max_iter=1000).fit(scaler.transform(train), verbs)
    assert figures(measured)["s3d"]["count"] == len(truth)
    assert figures(measured)["s3d"]["verb_top1"] == pytest.approx(model.score(scaler.transform(test), truth), abs=1e-6)


def test_the_most_frequent_is_that_of_the_train_steps(measured):
    train, test = [], []
    for number in range(60):
        (test if kitchen.is_test(number) else train).extend(step.verb for step in kitchen.script(number).steps)
    best = min(set(train), key=lambda verb: (-train.count(verb), verb))
    assert figures(measured)["most_frequent"]["verb_top1"] == pytest.approx(test.count(best) / len(test), abs=1e-6)
    assert json.loads(measured.read_text(encoding="utf-8"))["train_steps"] == len(train)


def test_the_same_bytes_twice_and_with_two_threads(measured, learnt, features, tmp_path):
    probe(**learnt, features=features, output=tmp_path / "probe.json", **{**QUESTIONS, "threads": 2})
    two, one = (
        json.loads((tmp_path / "probe.json").read_text(encoding="utf-8")),
        json.loads(measured.read_text(encoding="utf-8")),
    )
    assert (two["provenance"].pop("execution")["threads"], one["provenance"].pop("execution")["threads"]) == (2, 1)
    assert two == one


def test_the_strength_is_chosen_across_videos_not_within_them():
    """Each video has its own mark, which names its steps' verb: worth all within a video, nothing in another."""
    random = np.random.default_rng(0)
    steps, rows = [], []
    for video in range(40):
        verb = "cut" if video % 2 else "stir"
        for _ in range(6):
            steps.append(Step(f"v{video}", 0.0, 1.0, verb, "egg"))
            rows.append([*(5.0 * (np.arange(40) == video)), (1.0 if verb == "cut" else -1.0) + random.normal()])
    vectors = np.array(rows)
    strengths = [1e-4, 1e3]
    _, chosen = classify(vectors, steps, vectors, strengths, 5, 1)
    assert chosen == {"verb": 1e-4, "object": None}
    apart = [Step(f"{index}", 0.0, 1.0, step.verb, step.object) for index, step in enumerate(steps)]
    assert classify(vectors, apart, vectors, strengths, 5, 1)[1]["verb"] == 1e3


@pytest.mark.parametrize(
    ("videos", "verbs"),
    [
        ("a", ["cut"]),  # one step
        ("aaa", ["cut", "stir", "cut"]),  # one video
        ("ab", ["cut", "stir"]),  # either video left out leaves one label
        ("abc", ["cut", "stir", "whisk"]),  # each label once
        ("abbb", ["cut", "cut", "cut", "cut"]),  # one label
    ],
)
def test_a_few_steps_are_enough_to_go_on(videos, verbs):
    steps = [Step(video, 0.0, 1.0, verb, "egg") for video, verb in zip(videos, verbs, strict=True)]
    vectors = np.random.default_rng(0).normal(size=(len(steps), 3))
    ranked, _ = classify(vectors, steps, vectors[:1], STRENGTHS, 5, 1)
    assert {label for label, _ in ranked["verb"][0]} == set(verbs)
    assert sum(share for _, share in ranked["verb"][0]) == pytest.approx(1)
    assert ranked["object"] == [[("egg", 1.0)]]


def test_features_of_other_clips_are_refused(learnt, features, tmp_path):
    other = tmp_path / "features"
    for file in sorted(features.glob("*.parquet")):
        write_table(read_table(file).slice(1), other / file.name, read_provenance(file))
    with pytest.raises(UserError, match=r"0000\.parquet was made of other features than .*: run the stage tokens"):
        probe(**learnt, features=other, output=tmp_path / "probe.json", **QUESTIONS)
    with pytest.raises(UserError, match=r"features/0000\.parquet is missing"):
        probe(**learnt, features=tmp_path / "none/features", output=tmp_path / "probe.json", **QUESTIONS)


def test_what_cannot_be_measured_is_said(learnt, features, tmp_path):
    output = tmp_path / "probe.json"
    probe(**learnt, features=features, output=output, **{**QUESTIONS, "annotations": None})
    assert "annotations is null" in figures(output)["skipped"]
    test = next(number for number in range(60) if kitchen.is_test(number))
    step = kitchen.script(test).steps[0]
    rows = [f"kitchen-{test}\t{step.start}\t{step.end}\t{step.verb}\t{step.object}"]
    (tmp_path / "steps.tsv").write_text(
        "\n".join(["video_id\tstart\tend\tverb\tobject", *rows]) + "\n", encoding="utf-8"
    )
    questions = {**QUESTIONS, "annotations": str(tmp_path / "steps.tsv")}
    probe(**learnt, features=features, output=output, **questions)
    assert "no step of a train video" in figures(output)["skipped"]
    elsewhere = world(tmp_path / "other", videos=5, words=50)
    with pytest.raises(UserError, match="codebook"):
        probe(
            **{**learnt, "tokens": elsewhere["tokens"], "manifest": elsewhere["manifest"]},
            features=features,
            output=output,
            **QUESTIONS,
        )
