"""Features in the place of visual words, or beside them: what the model reads, and what it may not see."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from calls import captioning, forecasting, objectives, only, pretrain, probe, retrieval, shards, zero_shot
from conftest import LEARN, SMALL, configure, copy, jobs, snakemake
from safetensors.torch import load_file
from small_model import SETTINGS
from synthetic import world
from transformers import AutoModelForPreTraining

from videobert import VideoBert
from videobert.data.provenance import read_table, write_json
from videobert.data.schemas import SEGMENTS_WITH_FEATURES, names
from videobert.data.tables import open_features
from videobert.errors import UserError
from videobert.model.configuration_videobert import VideoBertConfig
from videobert.model.examples import OTHER, Examples
from videobert.model.modeling_videobert import VideoBertForPreTraining
from videobert.model.predictor import Predictor
from videobert.model.processing_videobert import IGNORE, MASKED, NO_TEXT, Video, lay_out, pad_inputs
from videobert.model.sequences import mask_tokens, open_tokens, read_vocabulary, with_features
from videobert.model.settings import PretrainSettings
from videobert.upstream import difference

WORDS = 34
FEATURES = {**SETTINGS, "visual_input": "features", "regression_weight": 1.0}
PLACES = {"text_weight": 0.0, "alignment_weight": 0.0, "text_video_weight": 0.0}


@pytest.fixture(scope="module")
def paths(tmp_path_factory) -> dict[str, Path]:
    return world(tmp_path_factory.mktemp("world"), videos=20, words=WORDS)


@pytest.fixture(scope="module")
def trained(paths, tmp_path_factory) -> Path:
    output = tmp_path_factory.mktemp("pretrain")
    pretrain(**paths, output=output, **{**FEATURES, **LEARN, "hidden_size": 48, "max_steps": 180, "logging_steps": 20})
    return output


def examples(paths, split: str = "train", **settings) -> Examples:
    files = shards(paths["tokens"], paths["manifest"])
    segments = open_tokens(files).segments(split)
    segments = with_features(segments, open_features(shards(paths["features"], paths["manifest"])))
    vocabulary = read_vocabulary(paths["vocabulary"] / "tokenizer.json", WORDS)
    return Examples(segments, vocabulary, only(PretrainSettings, {**FEATURES, **settings}))


def small(visual_input: str) -> VideoBertForPreTraining:
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    config = VideoBertConfig(
        vocab_size=50, visual_words=20, visual_input=visual_input, feature_size=6, max_position_embeddings=24, **sizes
    )
    return VideoBertForPreTraining(config).eval()


@pytest.mark.parametrize(("visual_input", "sees"), [("words", "w"), ("features", "f"), ("both", "wf")])
def test_the_model_reads_what_it_is_told_to(visual_input, sees):
    model = small(visual_input)
    features = torch.randn(2, 6, generator=torch.Generator().manual_seed(1))
    ids = torch.tensor([[2, 10, 5, 52, 57, 3]])

    def read(ids, features) -> torch.Tensor:
        return model(ids, features=features).last_hidden_state

    as_it_is = read(ids, features)
    assert torch.equal(read(torch.tensor([[2, 10, 5, 52, 58, 3]]), features), as_it_is) == ("w" not in sees)
    assert torch.equal(read(ids, features.flip(0)), as_it_is) == ("f" not in sees)


def test_a_clip_of_a_batch_gets_its_own_feature(paths, trained):
    predictor = Predictor(trained, 32, "cpu", 1)
    segments = examples(paths, "test").segments
    rows = [predictor.sequence(segments.text_of(row), segments.video_of(row)) for row in range(20)]
    together = next(output.last_hidden_state for _, output in predictor.read(rows))
    for row, sequence in enumerate(rows):
        ((_, alone),) = predictor.read([sequence])
        torch.testing.assert_close(alone.last_hidden_state[0], together[row, : len(sequence.ids)], rtol=1e-4, atol=1e-5)


def test_what_a_masked_clip_shows_is_nowhere_in_the_input(paths):
    """Neither its word nor its feature; and what is predicted is the feature of just these clips."""
    data = examples(paths, **PLACES, video_mask_probability=0.4)
    for index in range(200):
        example, _ = data[index]
        row = int(data.rows[data._visit(index)])
        whole = data.segments.video_of(row)
        ids, labels = example.input.ids[2:-1], example.labels[2:-1]
        hidden, chosen = ids == data.vocabulary.mask, labels != IGNORE
        assert len(example.input.features) == (~hidden).sum()
        assert np.array_equal(example.features, whole.features[chosen])
        shown = np.zeros_like(whole.features)
        shown[~hidden] = example.input.features
        untouched = ~chosen
        assert np.array_equal(shown[untouched], whole.features[untouched])
        # One that was exchanged shows another clip of the corpus, its word with its feature.
        for place in np.flatnonzero(chosen & ~hidden & (ids != labels)):
            same = (data.segments.track == ids[place] - data.vocabulary.vocab_size) & (
                data.segments.features == shown[place]
            ).all(1)
            assert same.any()


def test_features_of_a_row_are_those_of_its_clips(paths):
    segments = examples(paths, "test").segments
    for name, shard in (("kitchen-4", "0000"), ("kitchen-14", "0001")):
        table, vectors = next(iter(open_features([paths["features"] / f"{shard}.parquet"])))
        own = vectors[np.array(table["video_id"].to_pylist()) == name]
        rows = [row for row in range(len(segments)) if segments.videos[segments.group[row]] == name]
        assert len(rows) > 5
        for row in rows:
            assert np.array_equal(segments.video_of(row).features, own[segments.clips_of(row)])


def test_a_video_keeps_its_features_through_what_is_done_to_it():
    video = Video(np.array([3, 4, 5]), np.arange(6, dtype=np.float16).reshape(3, 2))
    longer = video[1:].and_masks(2)
    assert longer.words.tolist() == [4, 5, MASKED, MASKED] and longer.features[:2].tolist() == [[2, 3], [4, 5]]
    laid = lay_out(NO_TEXT, longer.masked(np.array([True, False, False, False])), _vocabulary())
    assert laid.ids.tolist() == [1, 4, 3, 25, 3, 3, 2] and laid.features.tolist() == [[4, 5]]
    assert pad_inputs([laid, laid], _vocabulary())["features"].tolist() == [[4, 5], [4, 5]]


def _vocabulary():
    from videobert.model.processing_videobert import Vocabulary

    return Vocabulary(pad=0, cls=1, sep=2, mask=3, video=4, vocab_size=20, visual_words=10)


def test_it_learns_and_the_tasks_run_with_features_alone(paths, trained, tmp_path):
    curve = json.loads((trained / "training.json").read_text(encoding="utf-8"))["curve"]
    assert curve[-1]["video_loss"] < 0.85 * curve[0]["video_loss"]
    assert curve[-1]["regression_loss"] < 0.8 * curve[0]["regression_loss"]
    asked = {
        "tokens": paths["tokens"],
        "manifest": paths["manifest"],
        "pretrain": trained,
        "features": paths["features"],
    }
    steps, fast = {"annotations": "kitchen"}, {"regularisation": [0.1], "folds": 2}
    objectives(**asked, output=tmp_path / "objectives.json")
    zero_shot(**asked, **steps, **fast, output=tmp_path / "zero_shot.json")
    probe(**asked, **steps, **fast, output=tmp_path / "probe.json")
    retrieval(**asked, **steps, output=tmp_path / "retrieval.json")
    forecasting(**asked, output=tmp_path / "forecasting.json", context=6, horizon=2)
    captioning(**asked, **steps, output=tmp_path / "captioning.json", max_steps=5, hidden_size=32, num_beams=1)
    probed = json.loads((tmp_path / "probe.json").read_text(encoding="utf-8"))["summary"]["probe"]
    assert probed["videobert_mean"]["verb_top1"] > 3 * probed["chance"]["verb_top1"]
    del asked["features"]
    for task in (objectives, forecasting):
        with pytest.raises(UserError, match=r"the model reads features .* give the tables of them, --features"):
            task(**asked, output=tmp_path / "none.json")


def test_a_saved_model_has_what_its_features_are_standardised_by(paths, trained):
    network = AutoModelForPreTraining.from_pretrained(trained)
    train = examples(paths).segments.features.astype(np.float64)
    standardised = network.videobert.embeddings.standardise(torch.from_numpy(train))
    assert standardised.mean(0).abs().max() < 0.01
    moves = train.std(0) > 0.05
    assert np.allclose(standardised.std(0)[moves], 1, atol=0.05)


def test_the_features_must_be_those_of_the_tokens(paths, tmp_path):
    other = world(tmp_path / "other", videos=20, words=WORDS, noise=0.5)
    with pytest.raises(UserError, match="made of other features"):
        pretrain(**{**paths, "features": other["features"]}, output=tmp_path / "out", **FEATURES)


def test_words_alone_are_refused_and_a_model_of_words_needs_no_features(paths, trained, tmp_path):
    words = Video(np.array([1, 2, 3]))
    with pytest.raises(UserError, match=r"reads the features of clips \(pretrain.visual_input\)"):
        Predictor(trained, 32, "cpu", 1).sequence(NO_TEXT, words)
    pretrain(**paths, output=tmp_path, **{**SETTINGS, "max_steps": 2})
    plain = Predictor(tmp_path, 32, "cpu", 1)
    assert plain.sequence(NO_TEXT, Video(words.words, np.ones((3, 4), np.float16))).features is None
    assert not any("feature" in name or "standardise" in name for name in load_file(tmp_path / "model.safetensors"))


def test_hard_negatives_are_other_sentences_clips_of_the_same_video(paths):
    def partners(share: float) -> float:
        """The share of wrong partners that are of the text's own video."""
        data = examples(paths, hard_negatives=share, text_weight=0.0, video_weight=0.0, text_video_weight=0.0)
        near = []
        random = np.random.default_rng(0)
        for row in np.repeat(data.pairs, 4):
            other = data._wrong_partner(int(row), False, random)
            assert other != row
            near.append(data.segments.group[other] == data.segments.group[row])
        assert (data.kinds == OTHER).any()
        return float(np.mean(near))

    assert partners(0.0) == 0 and partners(1.0) == 1 and abs(partners(0.5) - 0.5) < 0.08


def test_clips_are_masked_in_a_row():
    random = np.random.default_rng(0)
    runs = []
    for _ in range(300):
        _, labels = mask_tokens(np.arange(30), 0.2, np.arange(30), MASKED, random, 3)
        chosen = np.flatnonzero(labels != IGNORE)
        assert len(chosen)
        runs += [len(run) for run in np.split(chosen, np.flatnonzero(np.diff(chosen) > 1) + 1) if run[-1] < 29]
    assert min(runs) >= 3
    assert abs(np.mean([run > 3 for run in runs]) - 0.2) < 0.15


def test_a_model_from_before_there_were_features_is_not_taken_over_for_one_that_reads_them(tmp_path):
    """Its provenance says nothing of settings that came later: they had the values that are the defaults now."""
    later = {"visual_input": "both", "contrastive_weight": 1.0, "hard_negatives": 0.5, "regression_weight": 0.3}
    settings = PretrainSettings().fingerprint()
    recorded = {name: value for name, value in settings.items() if name not in later}
    write_json({}, tmp_path / "provenance.json", {"stage": "pretrain", "version": 1, "settings": recorded})
    assert difference("pretrain", settings, tmp_path / "provenance.json") == ""
    for name, value in later.items():
        changed = PretrainSettings(**{name: value}).fingerprint()
        assert difference("pretrain", changed, tmp_path / "provenance.json") == f"{name} differs"


@pytest.mark.slow
def test_a_results_folder_becomes_a_model_of_features_that_finds_its_videos(finished, short, tmp_path):
    """As the built-in corpus has it: read beside the words, searched by the model's own vectors, in files and in results."""
    folder = copy(finished, tmp_path / "project")
    settings = {"visual_input": "both", "contrastive_weight": 1.0, "hard_negatives": 0.5, "max_steps": 20}
    configure(folder, pretrain={**SMALL["pretrain"], **settings})
    said = snakemake(folder, "retrieval").stdout
    assert "features_shard" not in said and "tokens" not in jobs(said)
    model = VideoBert.from_pretrained(folder / "results/pretrain", device="cpu", threads=1)
    assert model.fill("now we [MASK] it", short)[0][0][1] > 0
    assert len(model.forecast(short, top_k=3)) == 3
    assert model.index([short], tmp_path / "files") == model.index(
        [short], tmp_path / "files"
    )  # the second from its notes
    found = model.search("slice the tomato", tmp_path / "files", 3)
    seen = model.embed(short, start=found[0].start, end=found[0].end)
    assert found[0].score == pytest.approx(float(model.embed_text("slice the tomato") @ seen.vector), abs=1e-4)
    assert np.linalg.norm(seen.vector) == pytest.approx(1, abs=1e-5)
    texts = ["slice the tomato", "stir the soup"]
    assert model.similarity(texts, short).shape == model.alignment(texts, short).shape == (2, 1)
    assert model.index([folder / "results"], tmp_path / "all") > len(found)
    (best,) = model.search("stir the soup", tmp_path / "all", 1)
    assert -1 <= best.score <= 1 and best.end > best.start
    table = read_table(tmp_path / "all/segments.parquet")
    assert tuple(table.column_names) == names(SEGMENTS_WITH_FEATURES)
