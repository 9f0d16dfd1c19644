"""Masked accuracy and alignment: the other modality helps a model that has learnt; the same masks with and without it."""

import json

import pytest
from calls import objectives

QUESTIONS = {"mask_probability": 0.15, "batch_size": 32, "seed": 0, "threads": 1, "device": "cpu"}


@pytest.fixture(scope="module")
def measured(learnt, tmp_path_factory):
    output = tmp_path_factory.mktemp("evaluate") / "objectives.json"
    objectives(**learnt, output=output, **QUESTIONS)
    return output


@pytest.fixture(scope="module")
def seen(learnt, tmp_path_factory):
    """The figures of a model that was trained to foretell visual words, with few of them shown: those beside a masked word
    say more of it than a text."""
    output = tmp_path_factory.mktemp("evaluate") / "objectives.json"
    objectives(**learnt, output=output, **{**QUESTIONS, "mask_probability": 0.8})
    return output


def test_each_modality_helps_the_other(measured, seen):
    """The differences are 0.18 and 0.26 of hundreds of words."""
    text, video = (json.loads(path.read_text(encoding="utf-8"))["summary"]["masked"] for path in (measured, seen))
    names = {"text_given_video", "text_alone", "video_given_text", "video_alone"}
    assert set(text) == names | {f"{name}_interval" for name in names}
    for name in names:
        low, high = text[f"{name}_interval"]
        assert low <= text[name] <= high and high - low > 0.01
    assert text["text_given_video"] > text["text_alone"] + 0.05
    assert video["video_given_text"] > video["video_alone"] + 0.08


def test_the_same_masks_with_and_without_the_other(measured):
    masked = json.loads(measured.read_text(encoding="utf-8"))["masked"]
    assert masked["text_given_video"]["count"] == masked["text_alone"]["count"] > 50
    assert masked["video_given_text"]["count"] == masked["video_alone"]["count"] > 50


def test_alignment_is_balanced_and_has_an_interval(measured):
    alignment = json.loads(measured.read_text(encoding="utf-8"))["alignment"]
    both = (alignment["own_accepted"] + alignment["other_rejected"]) / 2
    assert alignment["accuracy"] == pytest.approx(both, abs=2e-6)
    low, high = alignment["accuracy_interval"]
    assert low <= alignment["accuracy"] <= high


def test_the_same_bytes_twice(measured, learnt, tmp_path):
    objectives(**learnt, output=tmp_path / "objectives.json", **QUESTIONS)
    assert (tmp_path / "objectives.json").read_bytes() == measured.read_bytes()
