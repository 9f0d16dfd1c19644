"""Captioning: each row uses the video, the control does not, the scores are the package's, and the decoder can be kept."""

import dataclasses
import json
import os
import shutil
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from calls import captioning, shards, steps_files
from synthetic import NETWORK

from videobert.data.provenance import read_provenance, read_table, write_table
from videobert.errors import UserError
from videobert.evaluation import caption_scores
from videobert.evaluation.caption_scores import corpus_bleu, meteor, scores, tokenize
from videobert.evaluation.captioning import _seen
from videobert.evaluation.scoring import resampled
from videobert.evaluation.steps import Step, clips_of_videos, read_steps, select_between
from videobert.kitchen import script as kitchen
from videobert.model.captioner import ROWS, caption, memories_of, read_decoder
from videobert.model.predictor import Predictor
from videobert.model.sequences import read_segments

SETTINGS = {
    "annotations": "kitchen",
    "template": "now let's [MASK] the [MASK] to the [MASK], and then [MASK] the [MASK]",
    "hidden_size": 64,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 128,
    "dropout": 0.1,
    "max_length": 32,
    "max_steps": 60,
    "train_batch_size": 32,
    "learning_rate": 0.006,
    "num_beams": 3,
    "batch_size": 64,
    "seed": 0,
    "threads": 1,
    "device": "cpu",
}
SEEING = [row for row in ROWS if row != "no_video"]
needs_java = pytest.mark.skipif(not shutil.which("java"), reason="no Java here")


@pytest.fixture(scope="module")
def paths(learnt, features) -> dict[str, Path]:
    """The small world with its S3D features: each visual word's centroid and some noise."""
    return {**learnt, "features": features}


# What speaks as METEOR's program does: a line of counts for a pair; of all counts, the score of each, and that of all.
JAVA = """#!/usr/bin/env python3
import sys
for line in sys.stdin:
    asked, *parts = line.split(" ||| ")
    print("\\n".join(["9 8 7"] if asked == "SCORE" else ["0.1"] * len(parts) + ["0.2"]), flush=True)
"""


def java(folder: Path, program: str) -> str:
    """A PATH on which this program comes first for Java."""
    (folder / "java").write_text(program, encoding="utf-8")
    (folder / "java").chmod(0o755)
    return f"{folder}:{os.environ['PATH']}"


@pytest.fixture(scope="module")
def measured(paths, shared) -> Path:
    def make(folder: Path) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PATH", java(folder, JAVA))
            captioning(**paths, output=folder / "captioning.json", **SETTINGS)

    return shared("captions", make) / "captioning.json"


@pytest.fixture
def no_java(monkeypatch) -> None:
    """The real METEOR takes ten seconds to start: once is enough."""
    monkeypatch.setenv("PATH", "")


def figures(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))["summary"]["captioning"]


def test_the_rows_see_the_video_and_the_control_does_not(measured):
    rows, captions = figures(measured), json.loads(measured.read_text(encoding="utf-8"))["captions"]
    assert set(rows) == set(ROWS)
    assert len({step["written"]["no_video"] for step in captions}) == 1
    named = {row: np.mean([step["verb"] in step["written"][row].lower().split() for step in captions]) for row in ROWS}
    assert named["no_video"] < 0.2
    for row in SEEING:
        assert named[row] > 0.6
        assert rows[row]["cider"] > rows["no_video"]["cider"] + 0.3


def test_the_figures_their_intervals_and_the_steps_behind_them(measured):
    details = json.loads(measured.read_text(encoding="utf-8"))
    narrated = [number for number in range(60) if kitchen.is_narrated(number)]
    said = {split: [n for n in narrated if kitchen.is_test(n) == (split == "test")] for split in ("train", "test")}
    counts = {split: sum(len(kitchen.script(number).steps) for number in said[split]) for split in said}
    assert details["count"] == counts
    silent = [number for number in range(60) if not kitchen.is_narrated(number)]
    assert not any(kitchen.is_test(number) for number in silent)
    assert details["left_out"]["train"] == {
        "without_sentence": sum(len(kitchen.script(number).steps) for number in silent),
        "without_clips": 0,
    }
    for row, values in figures(measured).items():
        assert values["count"] == counts["test"]
        for name in ("bleu3", "bleu4", "rouge_l", "cider"):
            low, high = values[f"{name}_interval"]
            assert 0 <= low < values[name] < high
        assert values["cider"] == pytest.approx(np.mean([step["cider"][row] for step in details["captions"]]), abs=1e-5)
    difference = details["cider_differences"]["videobert - s3d"]
    apart = figures(measured)["videobert"]["cider"] - figures(measured)["s3d"]["cider"]
    assert difference["difference"] == pytest.approx(apart, abs=2e-6)
    sentences = [step.sentence for number in said["test"] for step in kitchen.script(number).steps]
    assert sorted(step["sentence"] for step in details["captions"]) == sorted(sentences)


SAID = ["now let 's slice the red onion", "first we stir the soup slowly", "do n't whisk the eggs"]
NEAR = ["now we slice the red onions", "we stirred the broth", "first we slowly stir the soup"]


@needs_java
def test_meteor_is_the_packages_and_java_is_gone():
    """The score of NEAR is the one that the class Meteor of pycocoevalcap 1.2 gave."""
    found, reason = meteor(SAID, {"near": NEAR, "same": SAID, "other": ["pour water on it"] * 3})
    assert found == pytest.approx({"near": 0.19132191331399412, "same": 1.0, "other": 0.0}, abs=1e-9) and not reason
    assert not [child for child in psutil.Process().children(recursive=True) if child.name() == "java"]


def test_without_java_meteor_alone_is_missing(measured, paths, tmp_path, no_java, capsys):
    """And the rest comes out the same, byte by byte, with the decoder."""
    captioning(**paths, output=tmp_path / "captioning.json", **SETTINGS)
    ours, theirs = (json.loads(path.read_text(encoding="utf-8")) for path in (tmp_path / "captioning.json", measured))
    assert "needs Java" in ours["skipped"]["meteor"] and "needs Java" in capsys.readouterr().err
    for row in ROWS:
        assert ours["summary"]["captioning"][row]["meteor"] is None
        assert theirs["summary"]["captioning"][row]["meteor"] == 0.2
        ours["summary"]["captioning"][row].pop("meteor"), theirs["summary"]["captioning"][row].pop("meteor")
        ours["results"][row].pop("meteor"), theirs["results"][row].pop("meteor")
    ours.pop("skipped"), theirs.pop("skipped", None)
    assert json.dumps(ours) == json.dumps(theirs)
    assert str(paths["pretrain"]) not in measured.read_text(encoding="utf-8")
    ours, theirs = (folder / "pretrain/captioning" for folder in (tmp_path, measured.parent))
    names = {path.name for path in ours.iterdir()}
    assert names == {"config.json", "generation_config.json", "model.safetensors"}
    for name in names:
        assert (ours / name).read_bytes() == (theirs / name).read_bytes(), name
    assert read_provenance(ours / "model.safetensors")["settings"]["num_beams"] == 3


@pytest.mark.parametrize(("program", "seconds"), [("exec sleep 600", 1), ("echo no memory >&2; exit 1", 30)])
def test_a_java_that_hangs_or_dies_costs_meteor_only(tmp_path, monkeypatch, program, seconds):
    before = set(psutil.Process().children())
    monkeypatch.setenv("PATH", java(tmp_path, f"#!/bin/sh\n{program}\n"))
    monkeypatch.setattr(caption_scores, "METEOR_SECONDS", seconds)
    started = time.monotonic()
    figures_, reason = meteor(["slice the onion"] * 3, {"row": ["slice the tomato"] * 3})
    assert figures_ == {} and "failed, or took more than" in reason
    assert time.monotonic() - started < 500  # it was ended
    assert set(psutil.Process().children()) <= before


def test_scores_are_those_of_the_package(measured, capsys):
    captions = json.loads(measured.read_text(encoding="utf-8"))["captions"]
    capsys.readouterr()
    references = [tokenize(step["sentence"]) for step in captions]
    written = [tokenize(step["written"]["s3d"]) for step in captions]
    groups = np.array([step["video_id"] for step in captions])
    ours, ciders = scores(references, written, groups, 0)
    assert capsys.readouterr().out == ""  # the package likes to print
    from pycocoevalcap.bleu.bleu import Bleu
    from pycocoevalcap.cider.cider import Cider
    from pycocoevalcap.rouge.rouge import Rouge

    said, wrote = ({i: [text] for i, text in enumerate(texts)} for texts in (references, written))
    bleu, _ = Bleu().compute_score(said, wrote, verbose=0)
    assert [ours["bleu3"], ours["bleu4"]] == pytest.approx(bleu[2:])
    assert ours["cider"] == pytest.approx(Cider().compute_score(said, wrote)[0]) == pytest.approx(ciders.mean())
    assert ours["rouge_l"] == pytest.approx(Rouge().compute_score(said, wrote)[0])
    # A resample's BLEU is that of its captions.
    parts = np.array([[1, 0, 0, 0, 3, 2, 1, 0, 3, 3], [5, 3, 2, 1, 5, 4, 3, 2, 5, 6]], float)
    sums = resampled(parts, np.array(["a", "b"]), 0)
    assert {tuple(row) for row in sums} == {tuple(2 * parts[0]), tuple(parts.sum(0)), tuple(2 * parts[1])}
    assert corpus_bleu(parts[1])[0] == pytest.approx(np.exp(1 - 6 / 5))
    perfect, _ = scores(references, references, groups, 0)
    assert [perfect["bleu4"], perfect["rouge_l"], perfect["cider"]] == pytest.approx([1, 1, 10], abs=1e-6)
    wrong, _ = scores(references, ["x y z w v"] * len(references), groups, 0)
    assert [wrong["bleu4"], wrong["rouge_l"], wrong["cider"]] == pytest.approx([0, 0, 0], abs=1e-4)
    empty, _ = scores(references, [""] * len(references), groups, 0)
    assert [empty["bleu4"], empty["cider"]] == pytest.approx([0, 0], abs=1e-6)
    assert not {"pycocoevalcap.spice", "pycocoevalcap.eval", "pycocotools"} & set(sys.modules)


SENTENCES = [
    "Now let's slice the red-hot onion, nice and slowly!",
    "Don't stir it; you can't, and I'll say why: it's hot.",
    'Add 1.5 cups of "flour", 2 eggs and salt.',
    "We're gonna cook the chef's soup - they've said so.",
    "You cannot whisk the crème brûlée at 10:30 ...",
]


def test_tokens():
    assert tokenize(SENTENCES[0]) == "now let 's slice the red-hot onion nice and slowly"
    assert tokenize(SENTENCES[1]) == "do n't stir it you ca n't and i 'll say why it 's hot"
    assert tokenize("(The onion) don’t_") == "the onion do n't"


@needs_java
def test_tokens_are_those_of_the_penn_treebanks_tokenizer():
    from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

    theirs = PTBTokenizer().tokenize({i: [{"caption": text}] for i, text in enumerate(SENTENCES)})
    assert [tokenize(text) for text in SENTENCES] == [theirs[i][0] for i in range(len(SENTENCES))]


def test_the_kept_decoder_writes_the_captions_of_its_row(measured, paths, learnt, tmp_path):
    predictor = Predictor(paths["pretrain"], 7, "cpu", 1)
    decoder = read_decoder(measured.with_name("pretrain") / "captioning", paths["pretrain"])
    captions = json.loads(measured.read_text(encoding="utf-8"))["captions"][:20]
    segments = read_segments(shards(paths["tokens"], paths["manifest"]), "test")
    clips = clips_of_videos(segments)
    videos = [select_between(*clips[step["video_id"]], step["start"], step["end"]) for step in captions]
    assert caption(predictor, decoder, videos) == [step["written"]["videobert"] for step in captions]
    with pytest.raises(UserError, match="is missing: run snakemake"):
        read_decoder(tmp_path, paths["pretrain"])
    other = shutil.copytree(paths["pretrain"], tmp_path / "other")
    with open(other / "model.safetensors", "ab") as weights:
        weights.write(b" ")
    with pytest.raises(UserError, match="for another model"):
        read_decoder(measured.with_name("pretrain") / "captioning", other)


def test_the_search_is_the_same_without_its_cache(measured, paths):
    from transformers import DynamicCache, EncoderDecoderCache

    decoder = read_decoder(measured.with_name("pretrain") / "captioning", paths["pretrain"])
    memory = torch.randn(5, 4, decoder.config.memory_size, generator=torch.Generator().manual_seed(0))
    mask = torch.tensor([[1, 1, 1, 1], [1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0], [1, 1, 1, 1]])
    seen, first = decoder.look(memory, mask), torch.full((5, 1), decoder.config.bos_token_id)
    cache = EncoderDecoderCache(DynamicCache(), DynamicCache())
    with torch.inference_mode():
        cached = decoder.generate(first, past_key_values=cache, **seen)
        assert torch.equal(cached, decoder.generate(first, use_cache=False, **seen))
        # What stands where no clip is changes nothing.
        memory[mask == 0] = 1e3
        assert torch.equal(cached, decoder.generate(first, use_cache=False, **decoder.look(memory, mask)))


def test_every_part_is_of_the_steps_own_clips(paths):
    predictor = Predictor(paths["pretrain"], 32, "cpu", 1)
    clips = clips_of_videos(read_segments(shards(paths["tokens"], paths["manifest"]), "test"))
    steps = [
        step for step in read_steps(steps_files("kitchen", paths["manifest"]), "kitchen") if step.video_id in clips
    ][:6]
    numbered = {name: np.arange(len(words), dtype=np.float32)[:, None] for name, (_, words) in clips.items()}
    shown = _seen(predictor, SETTINGS["template"], steps, clips, numbered)
    for index, step in enumerate(steps):
        middles, _ = clips[step.video_id]
        assert (
            shown["s3d"][index][:, 0].tolist()
            == select_between(middles, np.arange(len(middles)), step.start, step.end).tolist()
        )
    width = predictor.model.config.hidden_size
    for row, size in (("no_video", 1), ("s3d", 1), ("videobert", 6 * width), ("videobert_s3d", 6 * width + 1)):
        assert {memory.shape[1] for memory in memories_of(shown, ROWS[row])} == {size}
    # VideoBERT reads a step alone as it does among others, and a longer one as far as it can.
    alone = _seen(predictor, SETTINGS["template"], steps[1:2], clips, numbered)
    for part in shown:
        assert np.allclose(alone[part][0], shown[part][1], atol=1e-4)
    long = [dataclasses.replace(steps[0], start=0.0, end=1e4)]
    room = predictor.model.config.max_position_embeddings - 3 - 16
    assert {len(part[0]) for part in _seen(predictor, SETTINGS["template"], long, clips, numbered).values()} == {room}


def test_a_table_with_sentences_gives_the_kitchens_captions(measured, paths, tmp_path, no_java):
    header, lines = "video_id\tstart\tend\tverb\tobject\tsentence", []
    for row in read_table(paths["manifest"]).to_pylist():
        for step in kitchen.script(int(row["source"].split(":")[1])).steps:
            lines.append(f"{row['video_id']}\t{step.start}\t{step.end}\t{step.verb}\t{step.object}\t{step.sentence}")
    table, output = tmp_path / "steps.tsv", tmp_path / "captioning.json"
    table.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    questions = {**paths, "output": output, **SETTINGS, "annotations": str(table), "max_steps": 2}
    captioning(**questions)
    theirs = json.loads(measured.read_text(encoding="utf-8"))
    ours = json.loads(output.read_text(encoding="utf-8"))
    assert ours["count"] == theirs["count"] and ours["left_out"] == theirs["left_out"]
    assert [step["sentence"] for step in ours["captions"]] == [step["sentence"] for step in theirs["captions"]]
    decoder = tmp_path / "pretrain/captioning/model.safetensors"
    assert str(tmp_path) not in output.read_text(encoding="utf-8") and decoder.exists()
    (tmp_path / "captioning").mkdir()  # as earlier versions kept it
    table.write_text("\n".join(line.rsplit("\t", 1)[0] for line in [header, *lines]) + "\n", encoding="utf-8")
    captioning(**questions)
    assert "a column sentence" in figures(output)["skipped"]
    assert not decoder.exists() and not (tmp_path / "captioning").exists()  # one of other settings would mislead
    captioning(**{**questions, "annotations": None})
    assert "annotations is null" in figures(output)["skipped"]


def test_what_cannot_be_measured_is_said(paths, tmp_path):
    questions = {**paths, "output": tmp_path / "captioning.json", **SETTINGS}
    with pytest.raises(UserError, match=r"must hold \[MASK\]"):
        captioning(**{**questions, "template": "cut the onion"})
    with pytest.raises(UserError, match="no clip has room"):
        captioning(**{**questions, "template": "the [MASK] " * 20})
    with pytest.raises(UserError, match="multiple of"):
        captioning(**{**questions, "hidden_size": 65})
    features = shutil.copytree(paths["features"], tmp_path / "features")
    last = sorted(features.iterdir())[-1]
    write_table(read_table(last), last, {"stage": "features", "weights_sha256": "kinetics400"})
    with pytest.raises(UserError, match="weights_sha256"):
        captioning(**{**questions, "features": features})
    write_table(read_table(last), last, {"stage": "features", **NETWORK, "version": 0})
    with pytest.raises(UserError, match="made of other features"):
        captioning(**{**questions, "features": features})
    assert not questions["output"].exists()


def test_a_step_without_a_sentence_is_a_step():
    assert Step("a", 0.0, 1.0, "cut", "bread").sentence == ""
