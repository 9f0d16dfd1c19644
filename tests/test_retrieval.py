"""Retrieval: a model that has learnt finds what is meant, controls do not, and the figures are those of a naive count."""

import json
from pathlib import Path

import numpy as np
import pytest
from calls import retrieval

from videobert.data.provenance import read_provenance, read_table, write_table
from videobert.errors import UserError
from videobert.evaluation.retrieval import _first_hit, _of_median, chance, filled
from videobert.kitchen import script as kitchen
from videobert.model.predictor import Predictor
from videobert.model.processing_videobert import NO_TEXT, Video, joined
from videobert.model.projection import Projection, alignments, fit_projection, nearest, text_vectors, video_vectors

TEMPLATE = "now let me show you how to [MASK] the [MASK]"
QUESTIONS = {"annotations": "kitchen", "template": TEMPLATE, "candidates": 20, "batch_size": 32, "seed": 0}
QUESTIONS |= {"threads": 1, "device": "cpu"}
SEARCHES = ["text_to_video", "video_to_text", "text_to_video_within", "video_to_text_within"]


@pytest.fixture(scope="module")
def measured(learnt, shared) -> Path:
    make = lambda folder: retrieval(**learnt, output=folder / "retrieval.json", **QUESTIONS)  # noqa: E731
    return shared("retrieval", make) / "retrieval.json"


@pytest.fixture(scope="module")
def predictor(learnt) -> Predictor:
    return Predictor(learnt["pretrain"], 32, "cpu")


def rows_of(learnt: dict[str, Path], split: str) -> list[dict]:
    rows = [row for file in sorted(learnt["tokens"].glob("*.parquet")) for row in read_table(file).to_pylist()]
    return [row for row in rows if row["kind"] == "text-video" and row["split"] == split]


def pairs(predictor: Predictor, learnt: dict[str, Path], split: str) -> tuple[list[np.ndarray], list[Video]]:
    rows = rows_of(learnt, split)
    videos = [Video(np.array(row["video_ids"])) for row in rows]
    return [np.array(row["text_ids"]) for row in rows], videos


@pytest.fixture(scope="module")
def projection(predictor, learnt) -> Projection:
    return fit_projection(predictor, *pairs(predictor, learnt, "train"))


def figures(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))["summary"]["retrieval"]


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
    details = json.loads(measured.read_text(encoding="utf-8"))
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


def test_in_the_second_stage_the_alignment_head_rejects_what_the_vectors_found(learnt, tmp_path):
    """Among all as candidates both are asked; with one, the second changes nothing. Of the first twenty videos."""
    few = {**learnt, "tokens": tmp_path / "tokens"}
    for file in sorted(learnt["tokens"].glob("*.parquet")):
        table = read_table(file)
        keep = [int(video.removeprefix("kitchen-")) < 20 for video in table["video_id"].to_pylist()]
        write_table(table.filter(keep), few["tokens"] / file.name, read_provenance(file))
    for candidates, stage in ((10_000, "naive"), (1, "first_stage")):
        retrieval(**few, output=tmp_path / "retrieval.json", **{**QUESTIONS, "candidates": candidates})
        listed = json.loads((tmp_path / "retrieval.json").read_text(encoding="utf-8"))["segments"]
        ranks = [segment["text_to_video"]["cross_encoder"] for segment in listed]
        expected = _naive(few) if stage == "naive" else [segment["text_to_video"][stage] for segment in listed]
        # What scores the same but for the last digit may tie in one batch, and not in another.
        assert len(ranks) > 20 and np.abs(np.subtract(ranks, expected)).max() <= 1
        assert np.mean(np.array(ranks) == expected) > 0.9


def _naive(learnt: dict[str, Path]) -> list[float]:
    """Each test sentence with each test video, unsorted."""
    predictor = Predictor(learnt["pretrain"], 32, "cpu")
    texts, videos = pairs(predictor, learnt, "test")
    projection = fit_projection(predictor, *pairs(predictor, learnt, "train"))
    near = text_vectors(projection, texts) @ video_vectors(predictor, projection, videos).T
    ranks = []
    for place, text in enumerate(texts):
        logits = predictor.alignments([predictor.sequence(text, video) for video in videos])
        own = near[place].astype(float)
        scores = (own - own.mean()) / own.std() + np.log(1 / (1 + np.exp(-logits)))
        ranks.append(1 + np.sum(scores > scores[place]) + np.sum(np.delete(scores, place) == scores[place]) / 2)
    return ranks


def test_the_vectors_are_those_of_scikit_learn(predictor, projection, learnt):
    """The cosine of the texts' tf-idf weights and those that Ridge expects of the videos."""
    from sklearn.linear_model import Ridge

    def outputs(videos: list[Video]) -> np.ndarray:
        means = []
        for video in videos:
            ((_, output),) = predictor.read([predictor.sequence(NO_TEXT, video)])
            means.append(output.last_hidden_state[0, 2:-1].mean(0).numpy())
        return (np.array(means) - projection.centre) / projection.scale

    def weights(texts: list[np.ndarray]) -> np.ndarray:
        table = np.zeros((len(texts), predictor.vocabulary.vocab_size))
        for row, text in zip(table, texts):
            row[text] = projection.rarity[text]
        return table / np.linalg.norm(table, axis=1, keepdims=True)

    (said, shown), (texts, videos) = (pairs(predictor, learnt, split) for split in ("train", "test"))
    expected = Ridge(alpha=0.1 * len(said)).fit(outputs(shown), weights(said))
    expected = expected.predict(outputs(videos)) - expected.intercept_
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    found = text_vectors(projection, texts) @ video_vectors(predictor, projection, videos).T
    assert found == pytest.approx(weights(texts) @ expected.T, abs=1e-3)
    # What every sentence has says nothing; what one in sixteen has, much.
    often, seldom = (predictor.pieces(word)[0] for word in ("the", "slice"))
    assert projection.rarity[often] < 0.1 and projection.rarity[seldom] > 2


def test_a_users_own_words_find_the_step(predictor, projection, learnt):
    """Few words, many, and some that nobody has said in the kitchen."""
    _, videos = pairs(predictor, learnt, "test")
    index = video_vectors(predictor, projection, videos)
    assert index.dtype == np.float32 and index.shape == (len(videos), predictor.model.config.hidden_size)
    shown = [row["text"] for row in rows_of(learnt, "test")]
    for query in ("{}", "{} the", "I will {} now", "zzz {} zzz"):
        texts = [predictor.pieces(query.format(verb)) for verb in kitchen.VERBS]
        scores, found = nearest(text_vectors(projection, texts), index, 3)
        right = [f"{verb} the" in shown[place] for verb, places in zip(kitchen.VERBS, found) for place in places]
        assert np.mean(right) > 0.6, query
        assert (np.diff(scores) <= 0).all()
    assert np.isfinite(text_vectors(projection, [np.empty(0, np.int64), predictor.pieces("zzz")])).all()


def test_a_vector_does_not_depend_on_its_neighbours(predictor, projection, learnt):
    _, videos = pairs(predictor, learnt, "test")
    together = video_vectors(predictor, projection, videos)
    alone = np.concatenate([video_vectors(predictor, projection, [video]) for video in videos])
    assert together == pytest.approx(alone, abs=1e-4)
    assert np.isfinite(video_vectors(predictor, projection, [joined([videos[0]] * 300)])).all()


def test_the_nearest_are_exact_in_blocks_of_any_size(monkeypatch):
    random = np.random.default_rng(0)
    queries, index = (random.standard_normal((n, 8), dtype=np.float32) for n in (50, 333))
    whole = np.argsort(-(queries @ index.T), axis=1)[:, :7]
    assert (nearest(queries, index, 7)[1] == whole).all()
    monkeypatch.setattr("videobert.model.projection.BLOCK", 400)
    assert (nearest(queries, index, 7)[1] == whole).all()
    assert nearest(queries, index, 1000)[1].shape == (50, 333)


def test_alignments_are_in_the_order_of_the_pairs(predictor, learnt):
    texts, videos = pairs(predictor, learnt, "test")
    asked = np.random.default_rng(0).integers(len(texts), size=(60, 2))
    alone = [predictor.alignments([predictor.sequence(texts[text], videos[video])])[0] for text, video in asked]
    assert alignments(predictor, texts, videos, asked) == pytest.approx(np.array(alone), abs=1e-4)
    assert filled(TEMPLATE, "slice", "onion") == "now let me show you how to slice the onion"


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
    assert str(learnt["pretrain"]) not in measured.read_text(encoding="utf-8")


def test_what_cannot_be_measured_is_said(measured, learnt, tmp_path):
    output = tmp_path / "retrieval.json"
    with pytest.raises(UserError, match="twice"):
        retrieval(**learnt, output=output, **{**QUESTIONS, "template": "to [MASK] the onion"})
    retrieval(**learnt, output=output, **{**QUESTIONS, "annotations": None})
    assert "annotations is null" in figures(output)["steps"]["skipped"]
    assert figures(output)["text_to_video"] == figures(measured)["text_to_video"]
    # Test videos in which nobody speaks: steps are found all the same. Nobody in the train videos: nothing can be.
    for silent in ("test", "train"):
        tokens = tmp_path / silent
        for file in sorted(learnt["tokens"].glob("*.parquet")):
            table = read_table(file)
            kinds, splits = table["kind"].to_pylist(), table["split"].to_pylist()
            keep = [kind == "video" or split != silent for kind, split in zip(kinds, splits)]
            write_table(table.filter(keep), tokens / file.name, read_provenance(file))
    retrieval(**{**learnt, "tokens": tmp_path / "test"}, output=output, **QUESTIONS)
    assert "speech" in figures(output)["text_to_video"]["skipped"]
    assert figures(output)["steps"] == figures(measured)["steps"]
    assert (tmp_path / "pretrain/retrieval/projection.safetensors").exists()
    (tmp_path / "retrieval").mkdir()  # as earlier versions kept it
    retrieval(**{**learnt, "tokens": tmp_path / "train"}, output=output, **QUESTIONS)
    assert "no train video has both" in figures(output)["skipped"]
    # Those of the runs before are no longer what the settings say.
    assert not (tmp_path / "retrieval").exists()
    assert not (tmp_path / "pretrain/retrieval/projection.safetensors").exists()
