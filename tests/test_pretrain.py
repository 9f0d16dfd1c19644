"""Pretraining: examples are pure functions of their index, a killed run ends in the same bits, mixtures are refused."""

import hashlib
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from calls import only, pretrain, shards
from safetensors.torch import load_file
from small_model import SETTINGS
from synthetic import SCHEMA, world

from videobert.data.provenance import read_provenance, write_table
from videobert.errors import UserError
from videobert.model.examples import Examples
from videobert.model.processing_videobert import IGNORE, Vocabulary
from videobert.model.sequences import Segments, read_segments, read_vocabulary
from videobert.model.settings import PretrainSettings

VISUAL = 96
PATHS = os.pathsep.join(map(str, (Path(__file__).parent, Path(__file__).parents[1])))
FILES = [
    "centroids.safetensors",
    "config.json",
    "provenance.json",
    "model.safetensors",
    "preprocessing.json",
    "tokenizer.json",
]
FILES += ["training.json", "training.png"]


@pytest.fixture(scope="module")
def paths(tmp_path_factory) -> dict[str, Path]:
    return world(tmp_path_factory.mktemp("world"), videos=20, words=VISUAL)


@pytest.fixture(scope="module")
def finished(paths, tmp_path_factory) -> Path:
    """A run that nothing disturbed."""
    output = tmp_path_factory.mktemp("pretrain")
    pretrain(**paths, output=output, **SETTINGS)
    return output


def examples(paths, **settings) -> Examples:
    segments = read_segments(shards(paths["tokens"], paths["manifest"]), "train")
    vocabulary = read_vocabulary(paths["vocabulary"] / "tokenizer.json", VISUAL)
    return Examples(segments, vocabulary, only(PretrainSettings, {**SETTINGS, **settings}))


def digests(folder: Path) -> dict[str, str]:
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in FILES}


def same(one: tuple, other: tuple) -> bool:
    return repr(one) == repr(other)


def test_an_example_is_a_pure_function_of_seed_and_index(paths):
    forwards, backwards = examples(paths), examples(paths)
    there = [forwards[index] for index in range(0, 480, 7)]
    back = [backwards[index] for index in reversed(range(0, 480, 7))][::-1]
    assert all(same(one, other) for one, other in zip(there, back, strict=True))
    other = examples(paths, seed=1)
    assert not all(same(other[index], forwards[index]) for index in range(10))


def test_an_epoch_visits_every_row_in_each_of_its_kinds(paths):
    data = examples(paths)
    first = [data._visit(index) for index in range(len(data.rows))]
    second = [data._visit(index + len(data.rows)) for index in range(len(data.rows))]
    assert sorted(first) == sorted(second) == list(range(len(data.rows)))
    assert first != second


def test_weight_zero_leaves_an_objective_out(paths):
    only = examples(paths, text_weight=0.0, video_weight=0.0, alignment_weight=0.0)
    for index in range(100):
        (_, types, _), labels, alignment, _ = only[index][0]
        assert types.any() and (labels != IGNORE).any() and alignment == IGNORE
    with pytest.raises(UserError, match="weight above 0"):
        examples(paths, text_weight=0.0, video_weight=0.0, alignment_weight=0.0, text_video_weight=0.0)


def test_layout_and_masks(paths):
    data = examples(paths, mask_probability=0.3, video_mask_probability=0.2)
    words = data.vocabulary
    counts = {0: [0, 0], 1: [0, 0]}
    fates = {"mask": 0, "kept": 0, "other": 0}
    kinds = set()
    for index in range(3000):
        (ids, types, _), labels, alignment, _ = data[index][0]
        assert len(ids) == len(types) == len(labels) <= SETTINGS["max_length"]
        assert ids[0] == words.cls and ids[-1] == words.sep
        has_text, has_video = int(ids[1] != words.video), int(types.any())
        kinds.add((has_text, has_video, alignment))
        if has_video:
            arrow = len(types) - types.sum() - 1
            assert ids[arrow] == words.video and labels[arrow] == IGNORE
        assert labels[0] == labels[-1] == IGNORE
        if alignment != IGNORE:
            assert (labels == IGNORE).all()
            continue
        for type_, present in ((0, has_text), (1, has_video)):
            inner = types == type_
            inner[[0, -1]] = False
            if has_video:
                inner[arrow] = False
            chosen = inner & (labels != IGNORE)
            assert chosen.any() == bool(present)
            counts[type_][0] += chosen.sum()
            counts[type_][1] += inner.sum()
            low, high = ((0, words.vocab_size), (words.vocab_size, words.vocab_size + VISUAL))[type_]
            assert ((labels[chosen] >= low) & (labels[chosen] < high)).all()
            visible = chosen & (ids != words.mask)
            assert ((ids[visible] >= low) & (ids[visible] < high)).all()
            fates["mask"] += (ids[chosen] == words.mask).sum()
            fates["kept"] += (ids[visible] == labels[visible]).sum()
            fates["other"] += (ids[visible] != labels[visible]).sum()
            assert (ids[inner & ~chosen] != words.mask).all()
    assert kinds == {(1, 1, IGNORE), (1, 1, 1), (1, 1, 0), (1, 0, IGNORE), (0, 1, IGNORE)}
    total = sum(fates.values())
    assert abs(fates["mask"] / total - 0.8) < 0.03
    assert abs(fates["kept"] / total - 0.1) < 0.02
    assert abs(counts[0][0] / counts[0][1] - 0.3) < 0.03
    assert counts[1][0] / counts[1][1] > 0.18  # a little more than asked for: at least one in each


def test_visual_words_are_thinned_by_a_stride(paths):
    pairs = {"text_weight": 0.0, "video_weight": 0.0, "text_video_weight": 0.0}
    data = examples(paths, video_stride=3, **pairs)
    lengths = set()
    for index in range(600):
        (ids, types, _), _, alignment, _ = data[index][0]
        if alignment == 1:
            whole = data.segments.video_of(data.rows[data._visit(index)]).words + data.vocabulary.vocab_size
            kept = ids[types == 1][:-1]
            strides = [whole[first::step] for step in (1, 2, 3) for first in range(min(step, len(whole)))]
            assert len(kept) and any(np.array_equal(kept, words) for words in strides)
            lengths.add(len(kept) / len(whole))
    assert len(lengths) > 3


def test_other_partners_come_from_other_videos(paths):
    data = examples(paths)
    random = np.random.default_rng(0)
    for row in data.pairs:
        other = data._of_another_video(row, data.pairs, random)
        assert data.segments.group[other] != data.segments.group[row] and data.segments.paired[other]


# A video of 20 clips whose visual words are their numbers, and one of 20 that goes on counting. Sentences: text ids, clips.
SAID = {
    "a": [([10, 11], range(3)), ([12], range(0)), ([13, 14], range(5, 7)), ([15], range(6, 10))],
    "b": [([16], range(1, 3)), ([17, 18], range(4, 5))],
}
WORDS = Vocabulary(pad=0, cls=2, sep=3, mask=4, video=5, vocab_size=30, visual_words=40)


def spoken(folder: Path, lookahead: int = 0) -> Segments:
    """The token table of SAID: a silence, a sentence too short for a clip, two that overlap."""
    rows = []
    for number, (video, sentences) in enumerate(SAID.items()):
        windows = [([], range(first, min(first + 8, 20))) for first in range(0, 20, 8)]
        for kind, segments in (("text-video", sentences), ("video", windows)):
            for text, clips in segments:
                row = {"video_id": video, "split": "train", "kind": kind, "start": 0.0, "end": 0.0, "text": ""}
                words = [20 * number + clip for clip in clips]
                rows.append({**row, "text_ids": text, "video_ids": words, "clips": list(clips)})
    write_table(pa.Table.from_pylist(rows, schema=SCHEMA), folder / "0000.parquet", {})
    return read_segments([folder / "0000.parquet"], "train", lookahead)


def compared(data: Examples, number: int = 600) -> set[tuple]:
    """(text ids, visual words, alignment) of the examples with video and text, which nothing masks."""
    seen = set()
    for index in range(number):
        (ids, *_), _, alignment, _ = data[index][0]
        if alignment != IGNORE:
            arrow = ids.tolist().index(WORDS.video)
            seen.add((tuple(ids[1:arrow]), tuple(ids[arrow + 1 : -1] - WORDS.vocab_size), alignment))
    return seen


def test_joined_sentences_cover_their_time_once(tmp_path):
    """Also the clips of a silence, and what is said too shortly for a clip; the last sentence of a video stays alone."""
    data = Examples(spoken(tmp_path), WORDS, only(PretrainSettings, {**SETTINGS, "concatenation": 1.0}))
    assert {(text, video) for text, video, alignment in compared(data) if alignment == 1} == {
        ((10, 11, 12, 13, 14), (0, 1, 2, 3, 4, 5, 6)),
        ((13, 14, 15), (5, 6, 7, 8, 9)),
        ((15,), (6, 7, 8, 9)),
        ((16, 17, 18), (21, 22, 23, 24)),
        ((17, 18), (24,)),
    }


def test_clips_after_the_second_sentence_may_join_the_joined(tmp_path):
    data = Examples(spoken(tmp_path, lookahead=2), WORDS, only(PretrainSettings, {**SETTINGS, "concatenation": 1.0}))
    joined = {video for text, video, alignment in compared(data) if text == (13, 14, 15) and alignment == 1}
    assert joined == {(5, 6, 7, 8, 9), (5, 6, 7, 8, 9, 10), (5, 6, 7, 8, 9, 10, 11)}


def test_the_length_does_not_tell_whose_video_it_is(tmp_path):
    """A joined text stands beside a joined video in false pairs as in true ones."""
    data = Examples(spoken(tmp_path), WORDS, only(PretrainSettings, {**SETTINGS, "concatenation": 0.5}))
    seen = compared(data, 2000)
    texts = {(10, 11, 12, 13, 14), (13, 14, 15), (16, 17, 18)}
    videos = {tuple(range(7)), tuple(range(5, 10)), tuple(range(21, 25))}
    assert {alignment for text, _, alignment in seen if text in texts} == {0, 1}
    assert all((text in texts) == (video in videos) for text, video, _ in seen)
    assert len({text for text, _, _ in seen} - texts) == 5


def test_sentences_alone_are_the_examples_of_earlier_versions(tmp_path):
    """The hash was taken before sentences could be joined: figures published then can still be made."""
    digest = hashlib.sha256()
    for lookahead, stride in ((0, 1), (2, 3)):
        data = Examples(
            spoken(tmp_path, lookahead), WORDS, only(PretrainSettings, {**SETTINGS, "video_stride": stride})
        )
        for index in range(300):
            (ids, types, _), labels, alignment, _ = data[index][0]
            digest.update(repr((ids.tolist(), types.tolist(), labels.tolist(), alignment)).encode())
    assert digest.hexdigest() == "7f05fd32afe002155bb4d9201f701965c1f8ccbefa7b141791e60140244ca353"


def test_the_output_is_a_model_folder(finished, paths):
    from transformers import AutoModelForPreTraining, AutoTokenizer

    model = AutoModelForPreTraining.from_pretrained(finished)
    assert model.config.visual_words == VISUAL and model.config.vocab_size == len(
        AutoTokenizer.from_pretrained(finished)
    )
    note = read_provenance(finished / "model.safetensors")
    assert note == json.loads((finished / "provenance.json").read_text(encoding="utf-8"))["provenance"]
    assert (
        note["inputs"]["codebook"]
        == hashlib.sha256((paths["codebook"] / "centroids.safetensors").read_bytes()).hexdigest()
    )
    assert str(paths["tokens"].parent) not in "".join(
        (finished / name).read_text(encoding="utf-8") for name in FILES if name.endswith("json")
    )
    assert sorted(path.name for path in finished.iterdir()) == sorted([*FILES, "tokenizer_config.json", "runs"])
    curve = json.loads((finished / "training.json").read_text(encoding="utf-8"))["curve"]
    assert [point["step"] for point in curve] == list(range(10, 61, 10))
    assert set(curve[-1]) == {
        "step",
        "loss",
        "text_loss",
        "video_loss",
        "text_video_loss",
        "alignment_loss",
        "grad_norm",
        "learning_rate",
    }
    assert curve[-1]["text_loss"] < curve[0]["text_loss"] - 0.5


@pytest.mark.slow
def test_a_killed_run_goes_on_and_ends_in_the_same_bits(finished, paths, tmp_path, capsys, caplog, monkeypatch):
    """Killed twice: after a checkpoint, and with a half-written one lying there."""
    output = tmp_path / "pretrain"
    arguments = {**paths, "output": output, **SETTINGS}
    code = f"from pathlib import Path, PosixPath; from calls import pretrain; pretrain(**{arguments!r})"
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": PATHS}
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL, env=environment)
    while not list(output.glob("checkpoints/checkpoint-*/whole")):
        assert process.poll() is None
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (output / "model.safetensors").exists()
    checkpoints = sorted((output / "checkpoints").glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]))
    broken = output / "checkpoints" / "checkpoint-55"
    shutil.copytree(checkpoints[0], broken)
    (broken / "whole").unlink()
    (broken / "model.safetensors").write_bytes(b"half")
    monkeypatch.setattr(logging.getLogger("transformers"), "propagate", True)
    pretrain(**arguments)
    said = capsys.readouterr().err
    assert "missing keys" not in caplog.text, "tied weights stand in a checkpoint once"
    assert "going on from checkpoint-" in said and "checkpoint-55" not in said
    assert digests(output) == digests(finished)
    assert not (output / "checkpoints").exists()


# As torchrun does it, but in forks of a process that has imported what both need.
TWO = """
from pathlib import Path, PosixPath
import transformers.trainer, videobert.model.training
from calls import pretrain
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

where = {{"rdzv_backend": "c10d", "rdzv_endpoint": "127.0.0.1:0", "local_addr": "127.0.0.1"}}
launched = LaunchConfig(min_nodes=1, max_nodes=1, nproc_per_node=2, start_method="fork", **where)
elastic_launch(launched, lambda: pretrain(**{arguments!r}))()
"""


@pytest.mark.slow
def test_two_processes_train_the_model_of_one(paths, tmp_path):
    """From the same examples: their shares differ in what is masked, and some have nothing of an objective at all."""
    curves, weights = {}, {}
    settings = {**SETTINGS, "dropout": 0.0, "max_steps": 10, "logging_steps": 2, "batch_size": 4}
    settings["share"] = 0.5  # the videos are drawn once for all processes
    settings["contrastive_weight"] = 1.0  # each process's pairs are wrong partners of the others'
    settings |= {
        "visual_input": "both",
        "regression_weight": 1.0,
    }  # one may have a batch in which no clip is shown or masked
    pretrain(**paths, output=tmp_path / "one", **settings)
    (tmp_path / "two.py").write_text(
        TWO.format(arguments={**paths, "output": tmp_path / "two", **settings}), encoding="utf-8"
    )
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": PATHS}
    done = subprocess.run([sys.executable, str(tmp_path / "two.py")], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    for name in ("one", "two"):
        curves[name] = json.loads((tmp_path / name / "training.json").read_text(encoding="utf-8"))["curve"]
        weights[name] = load_file(tmp_path / name / "model.safetensors")
    assert len(curves["one"]) == 5
    for one, two in zip(curves["one"], curves["two"], strict=True):
        assert two == pytest.approx(one, abs=1e-4)
    for name, tensor in weights["one"].items():
        # Attention does not depend on the bias of its keys: that has a gradient of rounding errors, which Adam blows up.
        if not name.endswith("key.bias"):
            torch.testing.assert_close(weights["two"][name], tensor, atol=1e-4, rtol=0)


def test_what_does_not_fit_together_is_refused(paths, tmp_path):
    other = world(tmp_path / "other", videos=4, words=VISUAL, seed=1)
    with pytest.raises(UserError, match="made with another"):
        pretrain(**{**paths, "codebook": other["codebook"]}, output=tmp_path / "out", **SETTINGS)
    with pytest.raises(UserError, match=r"multiple of pretrain\.logging_steps"):
        pretrain(**paths, output=tmp_path / "out", **{**SETTINGS, "save_steps": 15})
    if not torch.cuda.is_available():
        with pytest.raises(UserError, match="sees no GPU"):
            pretrain(**paths, output=tmp_path / "out", **{**SETTINGS, "device": "cuda"})


def test_an_empty_train_split_is_explained(tmp_path):
    from videobert.data.provenance import read_table

    paths = world(tmp_path / "world", videos=2, shards=1)
    file = paths["tokens"] / "0000.parquet"
    note, table = read_provenance(file), read_table(file)
    split = table.schema.get_field_index("split")
    write_table(table.set_column(split, "split", pa.array(["test"] * len(table))), file, note)
    with pytest.raises(UserError, match="test_fraction"):
        pretrain(**paths, output=tmp_path / "out", **SETTINGS)
