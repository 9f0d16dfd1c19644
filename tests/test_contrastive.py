"""The contrastive objective: pairs of texts and videos that are read apart, and vectors that find each other."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from calls import only, pretrain, retrieval, shards
from small_model import SETTINGS
from synthetic import world
from torch.nn import functional as F
from transformers import AutoModelForPreTraining

from videobert.errors import UserError
from videobert.model import modeling_videobert
from videobert.model.configuration_videobert import VideoBertConfig
from videobert.model.examples import SEGMENTS, Examples
from videobert.model.modeling_videobert import VideoBertForPreTraining
from videobert.model.predictor import Predictor
from videobert.model.sequences import read_segments, read_vocabulary
from videobert.model.settings import PretrainSettings

WORDS = 96
CONTRASTIVE = {**SETTINGS, "contrastive_weight": 1.0, "batch_size": 16, "dropout": 0.0}


@pytest.fixture(scope="module")
def paths(tmp_path_factory) -> dict[str, Path]:
    return world(tmp_path_factory.mktemp("world"), videos=40, words=WORDS)


def examples(paths, split: str = "train", **settings) -> Examples:
    segments = read_segments(shards(paths["tokens"], paths["manifest"]), split)
    vocabulary = read_vocabulary(paths["vocabulary"] / "tokenizer.json", WORDS)
    return Examples(segments, vocabulary, only(PretrainSettings, {**CONTRASTIVE, **settings}))


def test_a_batch_has_pairs_of_several_segments_of_each_of_its_videos(paths):
    data = examples(paths)
    rows = [data[index] for index in range(32, 48)]
    batch = data.collate(rows)
    assert batch["input_ids"].shape[0] == 16 + 2 * 8 and batch["pairs"].shape == (8,)
    assert len(set(batch["pairs"].tolist())) == 8
    videos = Counter(int(data.segments.group[row]) for row in batch["pairs"].tolist())
    assert list(videos.values()) == [SEGMENTS, SEGMENTS]
    texts, clips = batch["token_type_ids"][16:24], batch["token_type_ids"][24:]
    assert not texts.any() and clips.any(1).all()
    assert (batch["labels"][16:] == -100).all() and (batch["alignment"][16:] == -100).all()
    # A pure function of the place, in any order, and the other examples are those without it.
    again = examples(paths)
    assert [again[index][1].row for index in (46, 32)] == [rows[14][1].row, rows[0][1].row]
    plain = examples(paths, contrastive_weight=0.0)
    assert all(np.array_equal(plain[index][0].input.ids, data[index][0].input.ids) for index in range(32, 48))
    assert plain[32][1] is None


def test_the_loss_asks_each_for_its_partner_and_not_for_itself_twice(paths):
    data = examples(paths)
    batch = data.collate([data[index] for index in range(16)])
    pretrained = VideoBertForPreTraining(config(data))
    pretrained.eval()
    loss = lambda: pretrained(**batch).contrastive_loss  # noqa: E731
    hidden = pretrained(**batch).last_hidden_state
    texts = pretrained.text_vectors(hidden[16:24])
    videos = pretrained.video_vectors(hidden[24:])
    torch.testing.assert_close(texts.norm(dim=1), torch.ones(8))
    scores = texts @ videos.T / 0.07
    expected = (F.cross_entropy(scores, torch.arange(8)) + F.cross_entropy(scores.T, torch.arange(8))) / 2
    torch.testing.assert_close(loss(), expected)
    batch["pairs"][1] = batch["pairs"][0]
    scores[0, 1] = scores[1, 0] = -torch.inf
    expected = (F.cross_entropy(scores, torch.arange(8)) + F.cross_entropy(scores.T, torch.arange(8))) / 2
    torch.testing.assert_close(loss(), expected)


def test_a_process_that_measures_alone_waits_for_no_other(paths, monkeypatch):
    data = examples(paths)
    model, batch = VideoBertForPreTraining(config(data)), data.collate([data[index] for index in range(16)])
    asked = []
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_rank", lambda: 0)
    monkeypatch.setattr(modeling_videobert, "all_gather", lambda part: asked.append(part) or [part])
    model.eval()(**batch)
    assert not asked
    model.train()(**batch)
    assert len(asked) == 3


def config(data: Examples, **changes):
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    words = data.vocabulary
    named = {
        "vocab_size": words.vocab_size,
        "visual_words": WORDS,
        "contrastive_weight": 1.0,
        "pad_token_id": words.pad,
    }
    return VideoBertConfig(**sizes, **named | changes)


def test_texts_find_their_videos_among_those_of_other_kitchens(paths, tmp_path):
    pretrain(**paths, output=tmp_path, **{**CONTRASTIVE, "max_steps": 200, "save_steps": 1000, "logging_steps": 50})
    curve = json.loads((tmp_path / "training.json").read_text(encoding="utf-8"))["curve"]
    assert curve[-1]["contrastive_loss"] < 0.6 * curve[0]["contrastive_loss"]
    data = examples(paths, "test", batch_size=32)
    batch = data.collate([data[index] for index in range(32)])
    model = AutoModelForPreTraining.from_pretrained(tmp_path).eval()
    with torch.no_grad():
        hidden = model(**batch).last_hidden_state
    scores = model.text_vectors(hidden[32:48]) @ model.video_vectors(hidden[48:]).T
    ranks = (scores > scores.diagonal().unsqueeze(1)).sum(1)
    assert (ranks < 5).float().mean() > 0.6  # by chance 5 of 16
    # As the first stage of the task retrieval asks it, beside the projection.
    retrieval(tokens=paths["tokens"], manifest=paths["manifest"], pretrain=tmp_path, output=tmp_path / "figures.json")
    figures = json.loads((tmp_path / "figures.json").read_text(encoding="utf-8"))["summary"]["retrieval"]
    predictor = Predictor(tmp_path, 32, "cpu")
    segments = data.segments
    texts = predictor.vectors_of_texts([segments.text_of(row).astype(np.int64) for row in data.pairs])
    videos = predictor.vectors_of_videos([segments.video_of(row) for row in data.pairs])
    for search, scores in (("text_to_video", texts @ videos.T), ("video_to_text", videos @ texts.T)):
        ranks = 1 + (scores > scores.diagonal()[:, None]).sum(1)
        assert figures[search]["first_stage"]["r5"] == pytest.approx((ranks <= 5).mean(), abs=0.005)
        assert figures[search]["first_stage"]["r5"] > 4 * figures[search]["chance"]["r5"]
        assert "projection" in figures[search]


def test_without_it_the_model_has_no_such_heads(paths):
    names = {name for name, _ in VideoBertForPreTraining(config(examples(paths))).named_parameters()}
    plain = VideoBertForPreTraining(config(examples(paths), contrastive_weight=0.0))
    more = names - {name for name, _ in plain.named_parameters()}
    assert more == {"text_projection.weight", "video_projection.weight", "logit_scale"}


def test_pairs_must_divide_evenly(paths, tmp_path):
    with pytest.raises(UserError, match=r"batch_size is 15, but must be a multiple of 2 .* times 2 with contrastive"):
        pretrain(**paths, output=tmp_path, **{**CONTRASTIVE, "batch_size": 15})
