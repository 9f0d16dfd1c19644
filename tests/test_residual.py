"""Residual codebooks: levels fitted on what is left over, words that are combinations, a model that reads and predicts levels."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from calls import codebook, forecasting, objectives, only, pretrain, shards
from safetensors.numpy import load_file
from safetensors.torch import load_file as load_tensors
from small_model import SETTINGS
from synthetic import world
from test_codebook import DIMENSION, FILE, VIDEOS, digests, planted, run
from torch.nn import functional as F

from videobert.data.provenance import read_provenance, read_table, sha256, write_json, write_table
from videobert.errors import UserError
from videobert.model.configuration_videobert import VideoBertConfig
from videobert.model.examples import Examples
from videobert.model.modeling_videobert import VideoBertForPreTraining, digits_of
from videobert.model.predictor import Predictor
from videobert.model.sequences import read_segments, read_vocabulary
from videobert.model.settings import PretrainSettings
from videobert.model.visual_answers import VisualAnswer, best_of
from videobert.report.page import _codebook, _visual_words
from videobert.stages import codebook as stage
from videobert.stages.codebook import CodebookSettings, check_words
from videobert.upstream import difference
from videobert.vision.collapse import collapse
from videobert.vision.quantizer import assign, fit, fit_residual, load

RESIDUAL = {"kind": "residual", "branching": 4, "depth": 3}
QUESTIONS = {"batch_size": 32, "seed": 0, "threads": 1, "device": "cpu"}


def sums(videos: list[str], seed: int, clips: int = 60) -> dict[str, np.ndarray]:
    """Clips that are a sum of one of four far points, one of four nearer and one of four near ones."""
    random = np.random.default_rng(seed)
    parts = [scale * random.standard_normal((4, DIMENSION)) for scale in (30, 6, 1)]
    return {v: sum(part[random.integers(0, 4, clips)] for part in parts) for v in videos}


# The codebook -----------------------------------------------------------------------------------------------------------


def test_sums_are_told_better_than_by_a_tree_of_as_many_centroids(tmp_path):
    vectors = sums(list(VIDEOS), seed=0)
    residual = statistics(run(tmp_path / "residual", VIDEOS, vectors, **RESIDUAL))
    tree = statistics(run(tmp_path / "tree", VIDEOS, vectors, branching=12, depth=1))
    for split in ("train", "test"):
        assert residual["quantisation_error"][split] < 0.2 * tree["quantisation_error"][split]
        by_level = [level["quantisation_error"][split] for level in residual["levels"]]
        assert by_level == sorted(by_level, reverse=True) and by_level[-1] == residual["quantisation_error"][split]


def statistics(folder: Path) -> dict:
    return json.loads((folder / "statistics.json").read_text(encoding="utf-8"))


def test_the_statistics_are_those_of_a_naive_count(tmp_path):
    vectors = sums(list(VIDEOS), seed=1)
    folder = run(tmp_path, VIDEOS, vectors, **RESIDUAL)
    found, made = statistics(folder), load(folder / FILE)
    train = np.concatenate([vectors[v] for v in VIDEOS if VIDEOS[v][1] == "train"]).astype(np.float16)
    words = assign(train, made)
    assert (found["words"], found["used_words"], found["fitted_on"]) == (64, len(set(words.tolist())), len(train))
    assert found["living_words"] == np.prod([alive.sum() for alive in made.alive]) and "counts" not in found
    left = train.astype(np.float32)
    for level, digits in enumerate(made.digits(words).T):
        said = found["levels"][level]
        counts = np.bincount(digits, minlength=4)
        assert said["counts"] == counts.tolist() and said["used"] == (counts > 0).sum()
        share = counts[counts > 0] / len(train)
        assert said["perplexity"] == pytest.approx(np.exp(-(share * np.log(share)).sum()))
        left = left - made.centroids[level][digits]
        error = (left**2).sum() / ((train.astype(np.float32) - train.mean(0, dtype=np.float64)) ** 2).sum()
        assert said["quantisation_error"]["train"] == pytest.approx(error, rel=1e-3)
    atlas = read_table(folder / "atlas.parquet").to_pandas()
    used, counts = np.unique(words, return_counts=True)
    assert atlas["word"].drop_duplicates().tolist() == used[np.argsort(-counts, kind="stable")].tolist()
    assert dict(zip(atlas["word"], atlas["count"])) == dict(zip(used, counts))


def test_a_word_is_the_nearest_centroid_of_each_level_in_turn():
    random = np.random.default_rng(3)
    made = fit_residual(random.standard_normal((900, DIMENSION)), branching=5, depth=3, batch_size=256, seed=0)
    made.alive[1][2] = False
    clips = random.standard_normal((500, DIMENSION)).astype(np.float32)
    for clip, word in zip(clips, assign(clips, made), strict=True):
        path, left = [], clip
        for centroids, alive in zip(made.centroids, made.alive, strict=True):
            path.append(min(np.flatnonzero(alive), key=lambda digit: ((left - centroids[digit]) ** 2).sum()))
            left = left - centroids[path[-1]]
        assert word == 25 * path[0] + 5 * path[1] + path[2]
        assert made.digits(np.array([word])).tolist() == [path]
        np.testing.assert_allclose(made.vectors(np.array([word]))[0], clip - left, atol=1e-5)
    assert assign(clips[:0], made).shape == (0,)


def test_the_first_level_is_a_trees():
    clips = np.random.default_rng(0).standard_normal((600, DIMENSION))
    tree, made = fit(clips, 6, 1, 128, seed=4), fit_residual(clips, 6, 2, 128, seed=4)
    assert np.array_equal(made.centroids[0], tree.centroids[0]) and np.array_equal(made.alive[0], tree.alive[0])


def test_what_is_explained_leaves_dead_centroids():
    clips = np.concatenate([np.repeat(np.eye(3, DIMENSION), 6, axis=0), np.eye(1, DIMENSION) + 5])
    made = fit_residual(clips, branching=5, depth=3, batch_size=64, seed=0)
    assert [int(alive.sum()) for alive in made.alive] == [4, 1, 1]
    np.testing.assert_allclose(made.vectors(assign(clips, made)), clips, atol=1e-5)
    later = made.digits(assign(np.random.default_rng(0).standard_normal((1000, DIMENSION)) * 9, made))
    assert all(alive[digits].all() for alive, digits in zip(made.alive, later.T, strict=True))


def test_same_bytes_twice_whatever_the_shards_and_the_threads(tmp_path):
    vectors = planted(list(VIDEOS), seed=0, clips=60, spread=2)
    settings = RESIDUAL | {"sample": 300}  # fewer than the 480 train clips: the sample counts
    first = digests(run(tmp_path / "a", VIDEOS, vectors, **settings))
    assert digests(run(tmp_path / "b", VIDEOS, vectors, **settings)) == first
    threaded = run(tmp_path / "c", VIDEOS, vectors, **settings, threads=2)  # it differs in what says so
    one, other = load(tmp_path / "a" / "codebook" / FILE), load(threaded / FILE)
    assert all(np.array_equal(a, b) for a, b in zip(one.centroids, other.centroids, strict=True))
    others = {v: (f"000{9 - n}", VIDEOS[v][1]) for n, v in enumerate(reversed(VIDEOS))}
    resharded = digests(run(tmp_path / "d", others, vectors, **settings))
    assert resharded.pop("atlas.parquet") and resharded.items() <= first.items()  # the atlas names the shards
    assert digests(run(tmp_path / "e", VIDEOS, vectors, **settings, seed=2)) != first


def test_the_file_says_the_kind_and_one_without_is_a_tree(tmp_path):
    vectors = planted(list(VIDEOS), seed=0)
    residual, tree = (run(tmp_path / kind, VIDEOS, vectors, kind=kind) / FILE for kind in ("residual", "tree"))
    assert load(residual).kind == "residual" and load(tree).kind == "tree"
    assert load(residual).words == load(tree).words == 9
    shapes = {name: tensor.shape for name, tensor in load_file(residual).items()}
    assert shapes == {"residual": (1,)} | {
        f"{name}.{level}": (3, *size) for name, size in (("centroids", (DIMENSION,)), ("alive", ())) for level in (1, 2)
    }
    assert "residual" not in load_file(tree)


def test_a_tree_of_an_earlier_version_is_not_taken_for_a_residual_codebook(tmp_path):
    settings = CodebookSettings(kind="residual", branching=4, depth=3).fingerprint()
    recorded = {key: value for key, value in settings.items() if key != "kind"}
    write_json({}, tmp_path / "statistics.json", {"version": stage.VERSION, "settings": recorded})
    assert difference("codebook", settings, tmp_path / "statistics.json") == "kind differs"
    assert difference("codebook", settings | {"kind": "tree"}, tmp_path / "statistics.json") == ""


def test_many_combinations_take_no_room(tmp_path):
    """2 ** 28 words of 480 clips."""
    vectors = planted(list(VIDEOS), seed=0, clips=60, spread=2)
    folder = run(tmp_path, VIDEOS, vectors, kind="residual", branching=16, depth=7)
    assert statistics(folder)["words"] == 2**28 and statistics(folder)["used_words"] <= 480
    assert sum(path.stat().st_size for path in folder.iterdir()) < 200_000


def test_what_cannot_be_is_said_in_one_line(tmp_path):
    vectors = planted(list(VIDEOS), seed=0)
    for settings, said in (
        ({"branching": 64, "depth": 6}, r"is 68719476736, but a residual codebook can have 2147483647 words at most"),
        (
            {"branching": 51, "depth": 5},
            r"51 centroids a level but only 320 train clips: set codebook\.branching: 40 or",
        ),
        ({"branching": 4, "sample": 20}, r"4 centroids a level but codebook\.sample: 20 .*: set codebook\.sample: 32"),
    ):
        with pytest.raises((UserError, ValueError), match=said):
            run(tmp_path, VIDEOS, vectors, kind="residual", **settings)
    check_words(320, CodebookSettings(kind="residual", branching=40, depth=5))  # a hundred million words


def test_a_level_that_has_collapsed_is_said(tmp_path, capsys):
    folder = run(tmp_path / "healthy", VIDEOS, sums(list(VIDEOS), seed=0), **RESIDUAL)
    assert collapse(statistics(folder)) == "" and "warning" not in capsys.readouterr().err
    still = {v: np.ones((40, DIMENSION)) for v in VIDEOS}
    run(tmp_path / "still", VIDEOS, still, **RESIDUAL)
    said = capsys.readouterr().err
    assert "collapsed: 1 of 4 centroids of level 1 live, used as if there were 1.0" in said


def test_the_report_tells_the_levels(tmp_path):
    found = statistics(run(tmp_path, VIDEOS, sums(list(VIDEOS), seed=0), **RESIDUAL))
    told = dict(_codebook(found))
    assert told["words"] == "64" and {"perplexity of level 3 (4 of 4 used)", "error after level 2, train"} <= set(told)
    assert _visual_words(found) == f"visual words ({found['used_words']} used)"


# The model --------------------------------------------------------------------------------------------------------------

WORDS, LEVELS, BRANCHING = 30, 3, 5


def network(**settings) -> VideoBertForPreTraining:
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    config = VideoBertConfig(
        vocab_size=WORDS,
        visual_words=BRANCHING**LEVELS,
        visual_levels=LEVELS,
        max_position_embeddings=24,
        **sizes | settings,
    )
    return VideoBertForPreTraining(config).eval()


def test_a_word_is_read_as_the_sum_of_its_levels():
    model = network()
    tables = model.videobert.embeddings
    assert tables.video.weight.shape == (15, 16) and model.video_decoder.weight is tables.video.weight
    words = torch.tensor([[0, 7, 124, 60]])
    for word, vector in zip(words[0].tolist(), tables.look_up(WORDS + words)[0], strict=True):
        rows = [word // 25, 5 + word // 5 % 5, 10 + word % 5]
        torch.testing.assert_close(vector, tables.video.weight[rows].sum(0))
    with pytest.raises(IndexError):
        tables.look_up(torch.tensor([[WORDS + 15 * 25]]))


def test_the_loss_of_a_clip_is_the_sum_over_its_levels():
    model = network()
    ids = torch.tensor([[2, 5, WORDS + 3, 4, 4, 3]])
    labels = torch.tensor([[-100, -100, -100, WORDS + 7, WORDS + 124, -100]])
    output = model(ids, token_type_ids=torch.tensor([[0, 0, 1, 1, 1, 1]]), labels=labels)
    assert output.video_logits.shape == (2, 15)
    by_hand = [
        sum(F.cross_entropy(scores[5 * level : 5 * level + 5], torch.tensor(digit)) for level, digit in enumerate(path))
        for scores, path in zip(output.video_logits, ([0, 1, 2], [4, 4, 4]), strict=True)
    ]
    torch.testing.assert_close(output.video_loss, sum(by_hand) / 2)
    assert [digits.tolist() for digits in digits_of(torch.tensor([7, 124]), 3, 5)] == [[0, 4], [1, 4], [2, 4]]


def test_sums_of_embeddings_start_where_the_clips_lie():
    """The distances of words are those of their vectors, and the whole is as large as other embeddings."""
    clips = np.random.default_rng(0).standard_normal((800, 8)) * [9, 3, 3, 1, 1, 1, 1, 1] + 20
    made = fit_residual(clips, BRANCHING, LEVELS, 256, seed=0)
    model = network()
    model.start_from_centroids(torch.from_numpy(np.concatenate(made.centroids)), seed=0)
    every = np.arange(BRANCHING**LEVELS)
    found = model.videobert.embeddings.look_up(WORDS + torch.from_numpy(every)[None])[0].detach()
    distances, theirs = (torch.pdist(part) for part in (found, torch.from_numpy(made.vectors(every))))
    ratio = distances / theirs
    assert ratio.std() < 1e-4 * ratio.mean()
    assert found.std().item() == pytest.approx(model.config.initializer_range, rel=0.1)
    # What clips of all levels have in common is in none of them: an offset would drown the positions.
    used = found[torch.from_numpy(assign(clips, made)).long()]
    assert used.mean(0).norm() < 0.5 * used.std(0).norm()
    lower = model.videobert.embeddings.video.weight[BRANCHING:].detach().norm(dim=1)
    norms = torch.from_numpy(np.linalg.norm(np.concatenate(made.centroids[1:]), axis=1))
    torch.testing.assert_close(lower / norms, torch.full_like(norms, ratio.mean().item()), rtol=1e-3, atol=0)


def test_it_is_saved_and_resized_like_any_other(tmp_path):
    model = network()
    model.save_pretrained(tmp_path)
    again = VideoBertForPreTraining.from_pretrained(tmp_path).eval()
    assert again.config.visual_branching == BRANCHING
    ids = torch.tensor([[2, 6, 5, WORDS + 124, 3]])
    before = model(ids).last_hidden_state
    torch.testing.assert_close(again(ids).last_hidden_state, before)
    again.resize_token_embeddings(WORDS + 2)
    moved = torch.where(ids >= WORDS, ids + 2, ids)
    torch.testing.assert_close(again(moved).last_hidden_state, before)


@pytest.mark.parametrize("top", [1, 4, 30, 1000])
def test_the_best_words_are_those_of_all_combinations(top):
    random = np.random.default_rng(0)
    levels = torch.from_numpy(random.standard_normal((3, 7, 6)).astype(np.float32)).log_softmax(-1).numpy()
    every = levels[0][:, :, None, None] + levels[1][:, None, :, None] + levels[2][:, None, None]
    every = every.reshape(7, -1)
    order = np.argsort(-every, axis=1, kind="stable")[:, :top]
    words, scores = VisualAnswer(levels).best(top)
    np.testing.assert_array_equal(words, order)
    np.testing.assert_array_equal(scores, np.take_along_axis(every, order, 1))
    whole, tree = VisualAnswer(levels), VisualAnswer(every[None])
    mean = np.exp(every).mean(0)
    for answer in (whole, tree):
        words, scores = answer.best_on_average(5)
        assert words.tolist() == [np.argsort(-mean, kind="stable")[:5].tolist()]
        np.testing.assert_allclose(np.exp(scores[0]), np.sort(mean)[::-1][:5], rtol=1e-5)


def test_of_equals_the_first_is_best():
    words, scores = best_of(np.array([[1.0, 3.0, 3.0, 3.0, 2.0], [0, 0, 0, 0, 0]], np.float32), 2)
    assert words.tolist() == [[1, 2], [0, 1]] and scores.tolist() == [[3, 3], [0, 0]]
    words, _ = best_of(np.array([[0.1, 0.4, 0.2, 0.3]], np.float32), 5)
    assert words.tolist() == [[1, 3, 2, 0]]


# From features to figures -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def paths(tmp_path_factory) -> dict[str, Path]:
    """The small world, its clips in words of a residual codebook."""
    folder = tmp_path_factory.mktemp("residual")
    paths = world(folder / "world", videos=20, words=96)
    paths["codebook"] = folder / "codebook"
    codebook(paths["features"], paths["manifest"], paths["codebook"], 16, 3, kind="residual")
    made = load(paths["codebook"] / FILE)
    for file in shards(paths["tokens"], paths["manifest"]):
        features = read_table(paths["features"] / file.name)
        words = assign(np.stack(features["feature"].to_pylist()), made)
        of_clip = dict(zip(zip(features["video_id"].to_pylist(), features["clip"].to_pylist()), words, strict=True))
        rows = read_table(file).to_pylist()
        for row in rows:
            row["video_ids"] = [of_clip[row["video_id"], clip] for clip in row["clips"]]
        note = read_provenance(file) | {"codebook_sha256": sha256(paths["codebook"] / FILE)}
        write_table(pa.Table.from_pylist(rows, schema=read_table(file).schema), file, note)
    return paths


@pytest.fixture(scope="module")
def trained(paths, tmp_path_factory) -> Path:
    output = tmp_path_factory.mktemp("pretrain")
    pretrain(**paths, output=output, **SETTINGS | {"freeze_visual_embeddings": True})
    return output


def test_it_trains_and_frozen_embeddings_stay(trained, paths):
    curve = json.loads((trained / "training.json").read_text(encoding="utf-8"))["curve"]
    assert curve[0]["video_loss"] < 3 * np.log(16) + 0.5  # of three levels, by guessing
    assert curve[-1]["video_loss"] < curve[0]["video_loss"] - 0.3
    tensors = load_tensors(trained / "model.safetensors")
    assert tensors["video_bias"].shape == (48,) and not {"video_decoder.weight"} & set(tensors)
    config = VideoBertConfig.from_pretrained(trained)
    assert (config.visual_words, config.visual_levels, config.visual_branching) == (4096, 3, 16)
    started = VideoBertForPreTraining(config)
    started.start_from_centroids(
        torch.from_numpy(np.concatenate(load(paths["codebook"] / FILE).centroids)), SETTINGS["seed"]
    )
    torch.testing.assert_close(
        tensors["videobert.embeddings.video.weight"], started.videobert.embeddings.video.weight.detach()
    )


def test_its_tasks_are_measured(trained, paths, tmp_path):
    inputs = {"pretrain": trained, "tokens": paths["tokens"], "manifest": paths["manifest"], **QUESTIONS}
    objectives(**inputs, output=tmp_path / "objectives.json", mask_probability=0.15)
    forecasting(**inputs, output=tmp_path / "forecasting.json", context=6, horizon=3)
    masked = json.loads((tmp_path / "objectives.json").read_text(encoding="utf-8"))["masked"]
    assert masked["video_alone"]["count"] > 20
    told = json.loads((tmp_path / "forecasting.json").read_text(encoding="utf-8"))
    assert told["summary"]["forecasting"]["next"]["chance"]["top1"] == pytest.approx(1 / 4096, abs=1e-6)
    # Asked once more, of all combinations.
    predictor = Predictor(trained, 32, "cpu")
    for example in told["examples"]["next"][:5]:
        ids = [predictor.vocabulary.vocab_size + word for word in example["words"]]
        special = predictor.vocabulary
        ids = torch.tensor([[special.cls, special.video, *ids, special.mask, special.mask, special.mask, special.sep]])
        with torch.inference_mode():
            hidden = predictor.model(ids).last_hidden_state[0, -4]
            one, two, three = predictor.model.video_logits(hidden).view(3, 16).softmax(-1)
        shares = (one[:, None, None] * two[:, None] * three).flatten()
        words, said = zip(*example["predicted"][0], strict=True)
        assert list(words) == shares.topk(5).indices.tolist()
        assert said == pytest.approx(shares.topk(5).values.tolist(), abs=1e-5)
    for example in told["examples"]["of_text"]:
        assert len(example["predicted"]) == 5 and all(0 <= word < 4096 for word, _ in example["predicted"])


def test_clips_are_exchanged_for_what_is_seen(paths):
    """And nothing is made for each of a billion combinations."""
    segments = read_segments(shards(paths["tokens"], paths["manifest"]), "train")
    vocabulary = read_vocabulary(paths["vocabulary"] / "tokenizer.json", 2**30, 3)
    data = Examples(segments, vocabulary, only(PretrainSettings, SETTINGS | {"video_mask_probability": 0.9}))
    seen, exchanged = set(segments.video.tolist()), 0
    for index in range(200):
        (ids, types, _), labels, *_ = data[index][0]
        swapped = (types == 1) & (labels >= 0) & (ids != labels) & (ids != vocabulary.mask)
        exchanged += swapped.sum()
        assert set((ids[swapped] - vocabulary.vocab_size).tolist()) <= seen
    assert exchanged > 20
