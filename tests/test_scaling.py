"""Scaling: shares are nested draws, all videos are as ever, figures are those of the models one by one."""

import json
import shutil
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from calls import evaluate, pretrain, scaling, shards, zero_shot
from small_model import SETTINGS
from test_pretrain import FILES, digests
from test_zero_shot import QUESTIONS, TEMPLATE

from videobert.data.provenance import read_provenance, read_table, write_table
from videobert.errors import UserError
from videobert.evaluation.scoring import interval
from videobert.layout import ModelFolder
from videobert.model.card import write_card
from videobert.model.sequences import Segments, read_segments, sample_videos
from videobert.stages import pretrain as stage

SECTION = {**SETTINGS, "max_steps": 20, "learning_rate": 0.005}
SHARES, SEEDS = [0.05, 0.1], [0, 1]
ASKED = {"template": TEMPLATE, "annotations": "kitchen", "batch_size": 32, "seed": 0, "threads": 1, "device": "cpu"}
FIGURES = ("verb_top1", "verb_top5", "object_top1", "object_top5")


@pytest.fixture(scope="module")
def paths(learnt) -> dict[str, Path]:
    """What pretraining reads of the small world."""
    folder = learnt["tokens"].parent
    names = ("tokens", "codebook", "vocabulary", "features", "frames")
    return {**{name: folder / name for name in names}, "manifest": learnt["manifest"]}


@pytest.fixture(scope="module")
def models(paths, shared) -> list[Path]:
    """A model for each share and seed: of three videos, and of five."""
    grid = [(share, seed) for share in SHARES for seed in SEEDS]

    def make(folder: Path) -> None:
        for share, seed in grid:
            pretrain(**paths, output=folder / f"{share}-{seed}", **{**SECTION, "share": share, "seed": seed})

    folder = shared("models", make)
    return [folder / f"{share}-{seed}" for share, seed in grid]


@pytest.fixture(scope="module")
def grid(learnt, models) -> dict:
    where = {"tokens": learnt["tokens"], "manifest": learnt["manifest"]}
    return {**where, "models": models, "shares": SHARES, "seeds": SEEDS, **ASKED}


@pytest.fixture(scope="module")
def measured(grid, shared) -> Path:
    make = lambda folder: scaling(**grid, output=folder / "scaling.json")  # noqa: E731
    return shared("scaling", make) / "scaling.json"


def figures(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))["summary"]["scaling"]


def test_a_smaller_share_lies_in_a_larger_one():
    videos = [f"video-{number}" for number in range(100)]
    draws = [sample_videos(videos, share, 3) for share in (0.001, 0.07, 0.1, 0.255, 0.9, 1.0)]
    assert [len(draw) for draw in draws] == [1, 7, 10, 26, 90, 100]  # a begun video counts; 0.07 * 100 > 7 does not
    assert all(set(small) < set(large) for small, large in zip(draws, draws[1:]))
    assert set(sample_videos(videos[::-1], 0.1, 3)) == set(draws[2])  # whatever the order of the list
    assert set(sample_videos(videos, 0.1, 4)) != set(draws[2])
    # A video more changes little: the others keep their places.
    assert len(set(sample_videos([*videos, "another"], 0.25, 3)) ^ set(sample_videos(videos, 0.25, 3))) <= 3


def test_a_share_has_all_rows_of_its_videos_and_no_others(paths):
    files = shards(paths["tokens"], paths["manifest"])
    every, part = read_segments(files, "train", 2), read_segments(files, "train", 2, 0.2, 5)
    assert len(part.videos) == 10 and len(every.videos) == 48  # 9.6
    kept = [row for row in range(len(every)) if every.videos[every.group[row]] in part.videos]
    assert len(kept) == len(part)
    for row, before in enumerate(kept):
        assert part.videos[part.group[row]] == every.videos[every.group[before]]
        assert np.array_equal(part.text_of(row), every.text_of(before))
        assert np.array_equal(part.video_of(row), every.video_of(before))
        assert np.array_equal(part.clips_of(row), every.clips_of(before))
    other = read_segments(files, "train", 2, 0.2, 6)
    assert set(other.videos) != set(part.videos)


def test_a_share_of_1_are_all_videos(paths):
    files = shards(paths["tokens"], paths["manifest"])
    every, part = read_segments(files, "train", 2), read_segments(files, "train", 2, 1.0, 5)
    for field in fields(Segments):
        assert np.array_equal(getattr(every, field.name), getattr(part, field.name)), field.name


def test_a_model_says_how_many_videos_it_saw(models, tmp_path):
    assert read_provenance(models[2] / "model.safetensors")["settings"]["share"] == 0.1
    assert [
        json.loads((folder / "training.json").read_text(encoding="utf-8"))["corpus"]["videos"] for folder in models
    ] == [3, 3, 5, 5]
    folder = shutil.copytree(models[2], tmp_path / "model")
    write_card(ModelFolder(folder), {}, [], folder / "README.md")
    card = (tmp_path / "model/README.md").read_text(encoding="utf-8")
    assert "5 videos (a share of 0.1 of the train videos), " in card


def test_a_share_out_of_range_is_refused(paths, tmp_path):
    for share in (0, 1.5):
        with pytest.raises(UserError, match=r"share is .*, but must be"):
            pretrain(**paths, output=tmp_path, **{**SETTINGS, "share": share})


def test_a_run_that_broke_off_goes_on_with_its_own_share_alone(paths, tmp_path, monkeypatch, capsys):
    settings = {**SETTINGS, "share": 0.3, "max_steps": 20}
    pretrain(**paths, output=tmp_path / "whole", **settings)
    with monkeypatch.context() as patch:
        patch.setattr(stage, "_write", lambda *_: exec("raise KeyboardInterrupt"))
        with pytest.raises(KeyboardInterrupt):
            pretrain(**paths, output=tmp_path / "broken", **settings)
    (tmp_path / "broken/checkpoints/checkpoint-20/whole").unlink()
    shutil.copytree(tmp_path / "broken", tmp_path / "other")
    capsys.readouterr()
    pretrain(**paths, output=tmp_path / "broken", **settings)
    assert "going on from checkpoint-10" in capsys.readouterr().err
    assert digests(tmp_path / "broken") == digests(tmp_path / "whole")
    pretrain(**paths, output=tmp_path / "other", **{**settings, "share": 0.4})
    said = capsys.readouterr().err
    assert "of another training (share: 0.3)" in said and "going on" not in said


def test_the_figures_are_those_of_the_models_one_by_one(measured, learnt, features, models, tmp_path):
    """Asked by zero_shot, and put together here."""
    alone, hits = [], []
    for folder in models:
        output = tmp_path / f"{folder.name}.json"
        where = {"tokens": learnt["tokens"], "manifest": learnt["manifest"], "features": features}
        zero_shot(pretrain=folder, **where, output=output, **QUESTIONS)
        alone.append(json.loads(output.read_text(encoding="utf-8"))["summary"]["zero_shot"])
        steps = json.loads(output.read_text(encoding="utf-8"))["predictions"]
        first = [step["verb"] == step["cross_modal"]["verb"][0][0] for step in steps]
        five = [step["object"] in dict(step["cross_modal"]["object"]) for step in steps]
        hits.append({"verb_top1": np.array(first, float), "object_top5": np.array(five, float)})
    # Or nothing would be compared.
    assert len({tuple(row["cross_modal"][figure] for figure in FIGURES) for row in alone}) == len(models)
    found = figures(measured)
    assert found["chance"] == alone[0]["chance"]
    for name in ("cross_modal", "language_prior"):
        assert set(found[name]) == {"0.05", "0.1"}
        for place, (share, videos) in enumerate((("0.05", 3), ("0.1", 5))):
            row, seeds = found[name][share], [one[name] for one in alone[2 * place : 2 * place + 2]]
            assert row["videos"] == videos and row["count"] == seeds[0]["count"]
            for figure in FIGURES:
                values = [one[figure] for one in seeds]
                assert row[figure] == pytest.approx(np.mean(values), abs=2e-6)
                assert row[f"{figure}_spread"] == pytest.approx(abs(values[0] - values[1]) / 2**0.5, abs=2e-6)
    groups = np.array([step["video_id"] for step in steps])
    for place, share in enumerate(("0.05", "0.1")):
        for figure in ("verb_top1", "object_top5"):
            mean = (hits[2 * place][figure] + hits[2 * place + 1][figure]) / 2
            bounds = found["cross_modal"][share][f"{figure}_interval"]
            assert bounds == pytest.approx(interval(mean, groups, 0), abs=2e-6)
    of_models = json.loads(measured.read_text(encoding="utf-8"))["models"]
    assert [(one["share"], one["seed"], one["videos"]) for one in of_models] == [
        (0.05, 0, 3),
        (0.05, 1, 3),
        (0.1, 0, 5),
        (0.1, 1, 5),
    ]
    for one, row in zip(of_models, alone, strict=True):
        for figure in FIGURES:
            assert one["cross_modal"][figure] == row["cross_modal"][figure]
            assert one["cross_modal"][f"{figure}_interval"] == row["cross_modal"][f"{figure}_interval"]


def test_the_main_model_is_the_one_of_all_videos(grid, learnt, tmp_path):
    """One seed has no spread; what a model that has learnt sees is not its language prior."""
    scaling(**{**grid, "shares": [1.0], "seeds": [0], "models": [learnt["pretrain"]]}, output=tmp_path / "s.json")
    row, without = (figures(tmp_path / "s.json")[name]["1.0"] for name in ("cross_modal", "language_prior"))
    assert row["videos"] == 48 and not [key for key in row if "spread" in key]
    assert row["verb_top1"] > 0.6 and without["verb_top1"] < 0.3 * row["verb_top1"]


def test_the_same_bytes_twice(measured, grid, tmp_path):
    scaling(**grid, output=tmp_path / "scaling.json")
    assert (tmp_path / "scaling.json").read_bytes() == measured.read_bytes()
    assert str(grid["models"][0].parent) not in measured.read_text(encoding="utf-8")
    assert not set(FILES) ^ {path.name for path in grid["models"][0].iterdir()} - {"runs", "tokenizer_config.json"}


def test_no_annotations_need_no_models_and_give_a_reason(grid, tmp_path):
    scaling(**{**grid, "models": [], "annotations": None}, output=tmp_path / "scaling.json")
    assert "annotations is null" in figures(tmp_path / "scaling.json")["skipped"]


def test_models_that_are_no_curve_are_refused(grid, paths, models, learnt, tmp_path):
    def refused(message: str, **changes) -> None:
        with pytest.raises(UserError, match=message + ".*run snakemake --cores all scaling"):
            scaling(**{**grid, **changes}, output=tmp_path / "scaling.json")
        assert not (tmp_path / "scaling.json").exists()

    refused("0.1-0 has share and seed", models=[models[2], models[1], models[0], models[3]])
    refused("3 models were given for 2 shares", models=models[:3])
    settings = {**SECTION, "share": 0.1, "seed": 1, "max_steps": 10}
    pretrain(**paths, output=tmp_path / "other", **settings)
    refused("other was pretrained with other tokens or settings", models=[*models[:3], tmp_path / "other"])
    tokens = tmp_path / "tokens"
    for file in shards(grid["tokens"], grid["manifest"]):
        write_table(read_table(file), tokens / file.name, {**read_provenance(file), "settings": {"segment_length": 8}})
    refused("tokens has other tokens", tokens=tokens)


def test_the_figures_of_all_tasks_are_of_one_models_tokens(measured, learnt, tmp_path):
    """Not of the one model, since scaling has many."""
    results, metrics = measured.parent, tmp_path / "metrics.json"
    pretrain = shutil.copytree(learnt["pretrain"], tmp_path / "pretrain")
    evaluate(results, pretrain, metrics, ["scaling"])
    assert json.loads(metrics.read_text(encoding="utf-8"))["scaling"] == figures(measured)
    assert json.loads(metrics.read_text(encoding="utf-8"))["protocol"]["scaling"]["shares"] == SHARES
    card = (pretrain / "README.md").read_text(encoding="utf-8")
    assert "cross modal, 0.05" in card
    data = json.loads(measured.read_text(encoding="utf-8"))
    data["provenance"]["inputs"]["tokens"][1] = "0" * 64
    (tmp_path / "scaling.json").write_text(json.dumps(data), encoding="utf-8")
    with pytest.raises(UserError, match=r"scaling\.json is of other tokens than .*run snakemake --cores all scaling"):
        evaluate(tmp_path, pretrain, metrics, ["scaling"])
