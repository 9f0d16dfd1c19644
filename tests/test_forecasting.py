"""Forecasting: figures are those of a naive computation, a text says what is to be seen, and the future is not shown."""

import json
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from calls import forecasting
from conftest import NOISE, WORDS
from synthetic import visual_words

from videobert.data.provenance import read_provenance, read_table, write_table
from videobert.errors import UserError
from videobert.evaluation.forecasting import _followers, _most_frequent
from videobert.kitchen import script as kitchen
from videobert.model.predictor import Predictor

QUESTIONS = {"context": 6, "horizon": 3, "batch_size": 32, "seed": 0, "threads": 1, "device": "cpu"}


@pytest.fixture(scope="module")
def measured(learnt, shared) -> Path:
    make = lambda folder: forecasting(**learnt, output=folder / "forecasting.json", **QUESTIONS)  # noqa: E731
    return shared("forecasting", make) / "forecasting.json"


def figures(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))["summary"]["forecasting"]


def tracks(test: bool) -> list[list[int]]:
    scripts = [kitchen.script(number) for number in range(60) if kitchen.is_test(number) == test]
    return [visual_words(script, WORDS, NOISE, 0) for script in scripts]


def test_a_text_says_what_is_to_be_seen(measured):
    rows = figures(measured)["of_text"]
    assert set(rows) == {"chance", "most_frequent", "no_text", "shuffled_text", "videobert"}
    assert rows["chance"]["top1"] == pytest.approx(1 / WORDS, abs=1e-6)
    for control in ("chance", "most_frequent", "no_text", "shuffled_text"):
        assert rows["videobert"]["top1"] > 1.5 * rows[control]["top1"], control
        assert rows["videobert"]["top5"] > rows[control]["top5"] + 0.1, control
    low, high = rows["videobert"]["top1_interval"]
    assert low < rows["videobert"]["top1"] < high
    assert len({row["count"] for name, row in rows.items() if name != "chance"}) == 1


def test_the_controls_of_the_next_word_are_those_of_a_naive_computation(measured):
    rows = figures(measured)["next"]
    assert set(rows) == {"chance", "most_frequent", "repeat_last", "bigram", "videobert"}
    train, test = tracks(False), tracks(True)
    seen = Counter(word for track in train for word in track)
    frequent = sorted(seen, key=lambda word: (-seen[word], word))
    for ahead in (1, 2, 3):
        right = {"most_frequent": [], "repeat_last": [], "bigram": []}
        after: dict[int, Counter] = {}
        for track in train:
            for first, second in zip(track, track[ahead:]):
                after.setdefault(first, Counter())[second] += 1
        for track in test:
            for place in range(1, len(track) - ahead + 1):
                last, truth = track[place - 1], track[place - 1 + ahead]
                followers = after.get(last, Counter())
                best = min(followers, key=lambda word: (-followers[word], word), default=frequent[0])
                right["most_frequent"].append(truth == frequent[0])
                right["repeat_last"].append(truth == last)
                right["bigram"].append(truth == best)
        for name, values in right.items():
            assert rows[name]["top1_by_distance"][ahead - 1] == pytest.approx(np.mean(values), abs=1e-6), (name, ahead)
        if ahead == 1:
            assert rows["videobert"]["count"] == len(right["bigram"])
    for name in ("most_frequent", "repeat_last", "bigram", "videobert"):
        assert rows[name]["top1"] == rows[name]["top1_by_distance"][0]
        assert rows[name]["top5"] >= rows[name]["top1"]


def test_the_model_sees_what_comes_next(measured):
    rows = figures(measured)["next"]
    for control in ("chance", "most_frequent"):
        assert rows["videobert"]["top1"] > 2 * rows[control]["top1"], control
        assert rows["videobert"]["top5"] > rows[control]["top5"] + 0.1, control
    near, *_, far = rows["videobert"]["top5_by_distance"]
    assert near > far


def test_the_models_next_word_is_its_answer_to_the_clips_so_far(measured, learnt):
    """Asked once more, one clip at a time, of the bare model."""
    predictor = Predictor(learnt["pretrain"], 32, "cpu")
    right, answers = [], []
    for track in tracks(True):
        for place in range(1, len(track)):
            given = [word + predictor.vocabulary.vocab_size for word in track[max(0, place - 6) : place]]
            ids = [
                predictor.vocabulary.cls,
                predictor.vocabulary.video,
                *given,
                *[predictor.vocabulary.mask] * 3,
                predictor.vocabulary.sep,
            ]
            types = [0, 0] + [1] * (len(ids) - 2)
            with torch.inference_mode():
                hidden = predictor.model(torch.tensor([ids]), token_type_ids=torch.tensor([types])).last_hidden_state[0]
                answers.append(predictor.model.video_logits(hidden[2 + len(given)]).softmax(-1))
            right.append(int(answers[-1].argmax()) == track[place])
    assert figures(measured)["next"]["videobert"]["top1"] == pytest.approx(np.mean(right), abs=0.01)
    first, last = (json.loads(measured.read_text(encoding="utf-8"))["examples"]["next"][index] for index in (0, -1))
    for example, answer in ((first, answers[0]), (last, answers[-1])):
        words, shares = zip(*example["predicted"][0], strict=True)
        assert list(words) == answer.topk(5).indices.tolist()
        assert shares == pytest.approx(answer.topk(5).values.tolist(), abs=1e-5)


def test_the_examples_name_the_clips(measured):
    examples = json.loads(measured.read_text(encoding="utf-8"))["examples"]
    assert 10 < len(examples["next"]) <= 48 and 10 < len(examples["of_text"]) <= 48
    for example in examples["next"]:
        track = visual_words(kitchen.script(int(example["video_id"].split("-")[1])), WORDS, NOISE, 0)
        clips = example["clips"]
        assert example["words"] == [track[clip] for clip in clips] and len(clips) <= 6
        assert all(second == first + 1 for first, second in pairwise(clips))
        assert example["truth"] == track[clips[-1] + 1 : clips[-1] + 4]
        assert len(example["predicted"]) == 3 and all(len(ranked) == 5 for ranked in example["predicted"])
    for example in examples["of_text"]:
        track = visual_words(kitchen.script(int(example["video_id"].split("-")[1])), WORDS, NOISE, 0)
        assert example["truth"] == [track[clip] for clip in example["clips"]]
        shares = [share for _, share in example["predicted"]]
        assert shares == sorted(shares, reverse=True) and 0 < sum(shares) <= 1 + 1e-6
        assert example["text"].split()


def test_the_same_bytes_twice(measured, learnt, tmp_path):
    forecasting(**learnt, output=tmp_path / "forecasting.json", **QUESTIONS)
    assert (tmp_path / "forecasting.json").read_bytes() == measured.read_bytes()


def test_the_lowest_words_follow_those_that_were_seen():
    assert _most_frequent([np.array([7, 1, 7])], 96).tolist() == [7, 1, 0, 2, 3]
    assert _most_frequent([np.array([1, 1])], 3).tolist() == [1, 0, 2]


def test_words_that_nothing_followed_get_the_most_frequent():
    train = [np.array([7, 8, 7, 8, 7, 9])]
    frequent = np.array([7, 8, 9])
    assert _followers(train, np.array([7, 9]), 1, frequent).tolist() == [[8, 9, 7, -1, -1], [7, 8, 9, -1, -1]]
    assert _followers(train, np.array([7]), 10, frequent).tolist() == [[7, 8, 9, -1, -1]]


def test_what_cannot_be_measured_is_said(learnt, tmp_path):
    import pyarrow.compute as pc

    output = tmp_path / "forecasting.json"
    with pytest.raises(UserError, match=r"forecasting\.context \(40\).*32: lower them, or raise pretrain\.max_length"):
        forecasting(**learnt, output=output, **{**QUESTIONS, "context": 40})
    for file in sorted(learnt["tokens"].glob("*.parquet")):
        table = read_table(file)
        write_table(
            table.filter(pc.equal(table["kind"], "video")), tmp_path / "tokens" / file.name, read_provenance(file)
        )
    forecasting(**{**learnt, "tokens": tmp_path / "tokens"}, output=output, **QUESTIONS)
    assert "no test video has a sentence" in figures(output)["of_text"]["skipped"]
    assert figures(output)["next"]["videobert"]["count"] > 100
