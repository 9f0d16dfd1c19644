"""Retrieval: a model that has learnt finds what is meant, controls do not, and the figures are those of a naive count."""

import json
from pathlib import Path

import numpy as np
import pytest

from videobert import kitchen
from videobert.artefact import made, read_table, write_table
from videobert.errors import UserError
from videobert.judge import Judge
from videobert.retrieval import (
    _first_hit,
    _of_median,
    alignments,
    chance,
    filled,
    nearest,
    retrieval,
    text_vectors,
    video_vectors,
    word_vectors,
)

TEMPLATE = "now let me show you how to [MASK] the [MASK]"
QUESTIONS = {"annotations": "kitchen", "template": TEMPLATE, "candidates": 20, "batch_size": 32, "seed": 0}
QUESTIONS |= {"threads": 1, "device": "cpu"}
SEARCHES = ["text_to_video", "video_to_text", "text_to_video_within", "video_to_text_within"]


@pytest.fixture(scope="module")
def measured(learnt, tmp_path_factory) -> Path:
    output = tmp_path_factory.mktemp("evaluate") / "retrieval.json"
    retrieval(**learnt, output=output, **QUESTIONS)
    return output


@pytest.fixture(scope="module")
def judge(learnt) -> Judge:
    return Judge(learnt["pretrain"], 32, "cpu")


@pytest.fixture(scope="module")
def steps(learnt, judge) -> tuple[list[tuple[str, str]], list[np.ndarray]]:
    """Some actions and, for each, what the video of such a step shows."""
    shown = {}
    for file in sorted(learnt["tokens"].glob("*.parquet")):
        for row in read_table(file).to_pylist():
            if row["kind"] == "text-video" and row["split"] == "test":
                number = int(row["video_id"].split("-")[1])
                step = next(step for step in kitchen.script(number).steps if step.sentence == row["text"])
                shown.setdefault(step.verb, (step.object, np.array(row["video_ids"]) + judge.words.words))
    return [(verb, thing) for verb, (thing, _) in shown.items()], [video for _, video in shown.values()]


def figures(path: Path) -> dict:
    return json.loads(path.read_text())["summary"]["retrieval"]


def test_steps_are_found_by_action_and_object(measured):
    rows = figures(measured)["steps"]
    assert rows["first_stage"]["r1"] > 8 * rows["chance"]["r1"]
    assert rows["first_stage"]["r5"] > 0.5
    assert rows["shuffled"]["r5"] < rows["first_stage"]["r5"] / 3
    assert rows["first_stage"]["median_rank"] < rows["chance"]["median_rank"] / 3


def test_a_sentence_and_its_video_find_each_other(measured):
    for search in SEARCHES:
        rows = figures(measured)[search]
        assert rows["first_stage"]["r1"] > 4 * max(rows["chance"]["r1"], rows["shuffled"]["r1"]), search
        low, high = rows["first_stage"]["r1_interval"]
        assert low <= rows["first_stage"]["r1"] <= high and low > rows["chance"]["r1"]


def test_the_keys_of_the_figures(measured):
    assert set(figures(measured)) == {*SEARCHES, "steps"}
    for name, rows in figures(measured).items():
        assert set(rows) == {"chance", "shuffled", "first_stage", "cross_encoder"}, name
        for row in rows.values():
            assert set(row) >= {"r1", "r5", "r10", "median_rank"}
        assert rows["cross_encoder"]["candidates"] <= 20
        assert rows["first_stage"]["count"] == rows["cross_encoder"]["count"]


def test_the_figures_follow_from_the_listed_ranks(measured):
    details = json.loads(measured.read_text())
    for search in SEARCHES:
        for stage in ("first_stage", "cross_encoder", "shuffled"):
            ranks = np.array([segment[search][stage] for segment in details["segments"]])
            row = figures(measured)[search][stage]
            assert [row["r1"], row["r5"], row["r10"]] == pytest.approx(
                [(ranks <= k).mean() for k in (1, 5, 10)], abs=1e-6
            )
            assert row["median_rank"] == np.median(ranks)
    counts = [action["relevant"] for action in details["steps"]]
    ranks = np.repeat([action["first_stage"] for action in details["steps"]], counts)
    assert figures(measured)["steps"]["first_stage"]["r5"] == pytest.approx((ranks <= 5).mean(), abs=1e-6)
    assert sum(counts) == figures(measured)["steps"]["first_stage"]["count"]


def test_the_second_stage_orders_the_candidates_by_the_alignment_head_alone(measured, learnt, tmp_path):
    """With all as candidates the first stage leaves no trace; with one, the second."""
    for candidates, stage in ((10_000, "naive"), (1, "first_stage")):
        retrieval(**learnt, output=tmp_path / "retrieval.json", **{**QUESTIONS, "candidates": candidates})
        listed = json.loads((tmp_path / "retrieval.json").read_text())["segments"]
        ranks = [segment["text_to_video"]["cross_encoder"] for segment in listed]
        expected = _naive(learnt) if stage == "naive" else [segment["text_to_video"][stage] for segment in listed]
        # What scores the same but for the last digit may tie in one batch, and not in another.
        assert np.abs(np.subtract(ranks, expected)).max() <= 1
        assert np.mean(np.array(ranks) == expected) > 0.9


def _naive(learnt: dict[str, Path]) -> list[float]:
    """Each test sentence with each test video, one pair at a time."""
    judge = Judge(learnt["pretrain"], 32, "cpu")
    rows = [row for file in sorted(learnt["tokens"].glob("*.parquet")) for row in read_table(file).to_pylist()]
    rows = [row for row in rows if row["kind"] == "text-video" and row["split"] == "test"]
    videos = [np.array(row["video_ids"]) + judge.words.words for row in rows]
    ranks = []
    for place, row in enumerate(rows):
        scores = judge.alignments([judge.sequence(np.array(row["text_ids"]), video) for video in videos])
        ranks.append(1 + np.sum(scores > scores[place]) + np.sum(np.delete(scores, place) == scores[place]) / 2)
    return ranks


def test_a_score_is_the_gain_in_the_log_probability_of_the_texts_words(judge, steps):
    """Against the model asked directly."""
    actions, videos = steps
    masked = [*judge.pieces("now let me show you how to"), judge.words.mask, *judge.pieces("the"), judge.words.mask]
    text = judge.pieces(" ".join(actions[0]))

    def asked(shown: list) -> np.ndarray:
        answers = judge.log_probabilities([judge.sequence(np.array(masked), video) for video in shown], 0)
        return np.stack(answers)[:, :, text]  # (videos, masks, words)

    samples = asked([np.repeat(judge.words.words + word, 4) for word in range(judge.words.visual_words)])
    expected = np.exp(samples).mean(0)
    information = (np.exp(samples) * (samples - np.log(expected))).mean(0) / expected
    weights = information * expected / (expected.sum(0) + 0.003)
    gains = asked(videos) - samples.mean(0)
    vectors = video_vectors(judge, videos, TEMPLATE)
    scores = vectors @ text_vectors(word_vectors(judge, TEMPLATE), [np.array([*text, *text])])[0]
    assert scores == pytest.approx((gains * weights).sum((1, 2)), abs=1e-2)
    assert vectors.dtype == np.float32 and vectors.shape == (len(videos), 2 * (judge.model.config.hidden_size + 1) + 1)


def test_a_users_own_words_find_the_step(judge, steps):
    actions, videos = steps
    texts = [judge.pieces(f"{verb} the {thing}") for verb, thing in actions]
    scores, rows = nearest(
        text_vectors(word_vectors(judge, TEMPLATE), texts), video_vectors(judge, videos, TEMPLATE), 3
    )
    assert np.mean([place in found for place, found in enumerate(rows)]) > 0.7
    assert (np.diff(scores) <= 0).all()


def test_a_vector_does_not_depend_on_its_neighbours(judge, steps):
    _, videos = steps
    together = video_vectors(judge, videos, TEMPLATE)
    alone = np.concatenate([video_vectors(judge, [video], TEMPLATE) for video in videos])
    assert together == pytest.approx(alone, abs=1e-4)


def test_a_long_video_keeps_the_masks_and_a_template_without_room_is_named(judge):
    long = np.arange(300) % judge.words.visual_words + judge.words.words
    assert np.isfinite(video_vectors(judge, [long], TEMPLATE)).all()
    with pytest.raises(UserError, match="template"):
        video_vectors(judge, [long], TEMPLATE * 9)


def test_the_nearest_are_exact_in_blocks_of_any_size(monkeypatch):
    random = np.random.default_rng(0)
    queries, index = (random.standard_normal((n, 8), dtype=np.float32) for n in (50, 333))
    whole = np.argsort(-(queries @ index.T), axis=1)[:, :7]
    assert (nearest(queries, index, 7)[1] == whole).all()
    monkeypatch.setattr("videobert.retrieval.BLOCK", 400)
    assert (nearest(queries, index, 7)[1] == whole).all()
    assert nearest(queries, index, 1000)[1].shape == (50, 333)


def test_alignments_are_in_the_order_of_the_pairs(judge, steps):
    actions, videos = steps
    texts = [judge.pieces(filled(TEMPLATE, *action)) for action in actions]
    pairs = np.random.default_rng(0).integers(len(texts), size=(60, 2))
    alone = [judge.alignments([judge.sequence(texts[text], videos[video])])[0] for text, video in pairs]
    assert alignments(judge, texts, videos, pairs) == pytest.approx(np.array(alone), abs=1e-4)


def test_ties_count_half_and_the_best_hit_counts():
    scores = np.array([[3.0, 2.0, 1.0, 0.0], [1.0, 1.0, 1.0, 1.0], [4.0, 3.0, 2.0, 1.0]])
    hits = np.array([[0, 0, 1, 0], [1, 0, 0, 0], [0, 1, 0, 1]], bool)
    assert _first_hit(scores, hits).tolist() == [3.0, 2.5, 2.0]


def test_chance_is_that_of_random_orders():
    sizes, relevant = np.array([12, 12, 5, 30]), np.array([1, 3, 2, 1])
    random = np.random.default_rng(0)
    ranks = np.array(
        [[random.permutation(size)[:hits].min() + 1 for size, hits in zip(sizes, relevant)] for _ in range(20_000)]
    )
    expected = chance(sizes, relevant)
    for place in (1, 5, 10):
        assert expected[f"r{place}"] == pytest.approx((ranks <= place).mean(), abs=0.01)
    assert expected["median_rank"] == np.median(ranks)
    assert chance(np.array([3]), np.array([1])) == {"r1": pytest.approx(1 / 3), "r5": 1, "r10": 1, "median_rank": 2}


def test_the_medians_interval_is_by_video():
    ranks = np.repeat([1.0, 9.0], 500)
    assert _of_median(ranks, np.repeat(np.arange(10), 100), 0) == [1.0, 9.0]
    assert _of_median(np.tile(np.arange(1.0, 10), 100), np.arange(900), 0) == [5.0, 5.0]


def test_the_same_bytes_twice(measured, learnt, tmp_path):
    retrieval(**learnt, output=tmp_path / "retrieval.json", **QUESTIONS)
    assert (tmp_path / "retrieval.json").read_bytes() == measured.read_bytes()
    assert str(learnt["pretrain"]) not in measured.read_text()


def test_what_cannot_be_measured_is_said(measured, learnt, tmp_path):
    output = tmp_path / "retrieval.json"
    with pytest.raises(UserError, match="twice"):
        retrieval(**learnt, output=output, **{**QUESTIONS, "template": "to [MASK] the onion"})
    retrieval(**learnt, output=output, **{**QUESTIONS, "annotations": None})
    assert "annotations is null" in figures(output)["steps"]["skipped"]
    assert figures(output)["text_to_video"] == figures(measured)["text_to_video"]
    # Test videos in which nobody speaks: steps are found all the same.
    tokens = tmp_path / "tokens"
    for file in sorted(learnt["tokens"].glob("*.parquet")):
        table = read_table(file)
        kinds, splits = table["kind"].to_pylist(), table["split"].to_pylist()
        keep = [kind == "video" or split == "train" for kind, split in zip(kinds, splits)]
        silent = table.filter(keep)
        write_table(silent, tokens / file.name, made(file))
    retrieval(**{**learnt, "tokens": tokens}, output=output, **QUESTIONS)
    assert "speech" in figures(output)["text_to_video"]["skipped"]
    assert figures(output)["steps"] == figures(measured)["steps"]
