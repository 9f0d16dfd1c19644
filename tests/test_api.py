"""`VideoBert` as a user of Hugging Face expects it: devices, saving, the hub, lists, texts beside videos."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import documented
from hub import COMMIT, hub

from videobert import VideoBert, VideoBertConfig, VideoBertForPreTraining
from videobert.api import Clips
from videobert.api.folder import find_folder
from videobert.data.provenance import read_table, sha256
from videobert.errors import UserError
from videobert.layout import ModelFolder
from videobert.model.processing_videobert import Video
from videobert.model.projection import fit_projection, save_projection

pytestmark = pytest.mark.usefixtures("looked_once")
TEXT = "now let me show you how to [MASK] the [MASK]"


@pytest.fixture(scope="module")
def folder(finished) -> Path:
    """A model's folder with all its parts."""
    return finished / "results/pretrain"


@pytest.fixture(scope="module")
def model(folder) -> VideoBert:
    return VideoBert.from_pretrained(folder, device="cpu", threads=1)


def refused(ask, said: str) -> None:
    with pytest.raises(UserError, match=said) as error:
        ask()
    assert "\n" not in str(error.value)


# --- lists ---


def test_a_list_gives_the_answers_of_each(model, short):
    videos, cuts = [short, str(short)], {"start": [0, 6], "end": [3, 12]}
    first, second = {"start": 0, "end": 3}, {"start": 6, "end": 12}
    filled = model.fill([TEXT, "[MASK] the onion"], short, **second, top_k=3)
    assert [len(masks) for masks in filled] == [2, 1]
    assert words_of(filled[0]) == words_of(model.fill(TEXT, short, **second, top_k=3))
    assert model.caption(videos, **cuts)[1] == model.caption(short, **second)
    forecasts, alone = model.forecast(videos, **cuts, top_k=2)[1], model.forecast(short, **second, top_k=2)
    assert [(one.word, one.path, one.text) for one in forecasts] == [(one.word, one.path, one.text) for one in alone]
    embeddings, alone = model.embed(videos, **cuts), model.embed(short, **first)
    assert np.allclose(embeddings[0].output, alone.output, atol=1e-5)
    assert not np.allclose(embeddings[1].output, alone.output, atol=1e-5)
    assert [len(clips.words) for clips in model.clips(videos, start=3, end=6)] == [2, 2]
    assert model.fill([]) == model.embed([]) == model.caption([]) == model.forecast([]) == model.clips([]) == []


def words_of(masks: list) -> list[list[str]]:
    return [[word for word, _ in mask] for mask in masks]


def test_lists_that_do_not_fit_are_one_line(model, short):
    refused(lambda: model.clips([short, short], start=[1]), "^start has 1 values for 2 videos: give one for each")
    refused(lambda: model.embed([short], end=[3, 4]), "^end has 2 values for 1 videos")
    refused(lambda: model.caption([short, 3]), "^the video is 3, but must be the path of a file")
    refused(lambda: model.fill([TEXT, "none"]), r"no \[MASK\] to fill: 'none'")
    refused(lambda: model.embed([short, "none.mp4"]), "^none.mp4: there is no such file")
    refused(lambda: model.clips([short], start="2"), "^start is '2', but must be seconds")


# --- what a model of Hugging Face has ---


def test_the_parts_inside_are_those_of_transformers(model):
    assert isinstance(model.config, VideoBertConfig) and isinstance(model.model, VideoBertForPreTraining)
    assert model.model.config is model.config and model.device == torch.device("cpu")
    ids = model.tokenizer("slice the onion", add_special_tokens=False)["input_ids"]
    assert ids == model.predictor.pieces("slice the onion").tolist()


def test_a_model_moves_as_a_whole(folder, short):
    moved = VideoBert.from_pretrained(folder, device=torch.device("cpu"), threads=1)
    before = moved.fill(TEXT, short, end=3)
    used = []
    moved.model.to = lambda device: used.append(device)
    assert moved.to("cpu") is moved and used == ["cpu"] and moved.predictor.device == moved.reader.device == "cpu"
    assert moved.fill(TEXT, short, end=3) == before
    refused(lambda: moved.to("tpu"), "^device is 'tpu', but must be one of auto, cpu, cuda, or")
    refused(lambda: VideoBert.from_pretrained(folder, device="gpu"), "^device is 'gpu', but must be one of")
    if not torch.cuda.is_available():
        refused(lambda: moved.to("cuda:1"), "^device is cuda:1, but torch sees no GPU here")


def test_clips_and_embeddings_are_short_in_a_notebook(model, short):
    embedding = model.embed(short, start=3, end=9)
    assert repr(embedding.clips) == "Clips(4 clips, 3 to 9 s, features (4, 256))"
    assert repr(embedding) == f"Embedding({embedding.clips!r}, output (32,), vector (32,))"


# --- saving ---


def test_a_saved_model_is_whole_and_answers_the_same(model, folder, short, tmp_path, capsys):
    model.save_pretrained(tmp_path / "a/new")
    saved = VideoBert.from_pretrained(str(tmp_path / "a/new"), device="cpu", threads=1)
    assert saved.fill(TEXT, short, end=3) == model.fill(TEXT, short, end=3)
    assert saved.caption(short, end=3) == model.caption(short, end=3)
    assert np.array_equal(saved.embed_text("slice the tomato"), model.embed_text("slice the tomato"))
    files = {str(path) for path in (tmp_path / "a/new").rglob("*") if path.is_file()}
    assert files == set(ModelFolder(tmp_path / "a/new").complete())
    assert sha256(tmp_path / "a/new/model.safetensors") == sha256(folder / "model.safetensors")
    assert {path.name for path in (tmp_path / "a").iterdir()} == {"new"}
    # Its own files are replaced; others are not touched.
    saved.save_pretrained(tmp_path / "a/new")
    (tmp_path / "a/new/thesis.txt").write_text("years", encoding="utf-8")
    refused(
        lambda: saved.save_pretrained(tmp_path / "a/new"), r"^.*/new holds files that are no model's \(.*thesis\.txt\)"
    )
    refused(lambda: saved.save_pretrained(tmp_path / "a/new/thesis.txt"), r"thesis\.txt is a file: give a folder")
    assert (tmp_path / "a/new/thesis.txt").exists() and not capsys.readouterr().err


def test_the_card_promises_no_pipeline_of_transformers(folder):
    """`transformers.pipeline` knows none for this model."""
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "library_name: videobert" in card and "pipeline_tag" not in card


def test_a_model_that_was_trained_on_is_saved_as_it_is_now(folder, tmp_path, capsys):
    model = VideoBert.from_pretrained(folder, device="cpu", threads=1)
    with torch.no_grad():
        model.model.text_bias += torch.arange(len(model.model.text_bias)) / 10
    model.save_pretrained(tmp_path / "tuned")
    said = capsys.readouterr().err
    assert "the weights have changed, so what was made for the ones before is left out: README.md, " in said
    tuned = VideoBert.from_pretrained(tmp_path / "tuned", device="cpu", threads=1)
    assert tuned.fill(TEXT) == model.fill(TEXT) != VideoBert.from_pretrained(folder, device="cpu").fill(TEXT)
    assert not (tmp_path / "tuned/retrieval").exists() and not capsys.readouterr().err
    refused(
        lambda: tuned.embed_text("slice"),
        r"cannot be compared without the projection: .*projection\.safetensors is missing",
    )


def test_a_save_that_breaks_off_leaves_what_was_there(model, tmp_path, monkeypatch):
    model.save_pretrained(tmp_path / "model")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "model").rglob("*")}

    def full(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("videobert.api.folder.shutil.copyfile", full)
    with pytest.raises(KeyboardInterrupt):
        model.save_pretrained(tmp_path / "model")
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "model").rglob("*")} == before
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


# --- texts beside videos ---


def test_similarity_is_the_score_of_search(model, short, tmp_path):
    model.index([short], tmp_path)
    found = model.search("slice the tomato", tmp_path, top_k=2)
    for one in found:
        score = model.similarity("slice the tomato", short, start=one.start, end=one.end)
        assert score.shape == (1, 1) and score[0, 0] == pytest.approx(one.score, abs=1e-5)
    texts, videos = ["slice the tomato", "stir the soup"], [short, short]
    scores = model.similarity(texts, videos, start=[0, 6], end=[6, 12])
    vectors = np.array([one.vector for one in model.embed(videos, start=[0, 6], end=[6, 12])])
    assert scores.shape == (2, 2) and np.allclose(model.embed_text(texts) @ vectors.T, scores, atol=1e-5)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-4)
    assert np.linalg.norm(model.embed_text(texts), axis=1).max() <= 1 + 1e-5
    assert model.embed_text(texts[0]).shape == (model.config.hidden_size,)


def test_alignment_is_the_probability_of_the_head(model, short):
    texts = ["slice the tomato", "stir the soup"]
    found = model.alignment(texts, short, end=6)
    seen = model.clips(short, end=6).video
    logits = model.predictor.alignments(
        [model.predictor.sequence(model.predictor.pieces(text), seen) for text in texts]
    )
    assert found.shape == (2, 1) and np.allclose(found[:, 0], 1 / (1 + np.exp(-logits)), atol=1e-5)
    refused(lambda: model.alignment("?!", short), "has no word to search for")
    refused(lambda: model.similarity(["slice", "zzz"], short), "^the model knows no word of 'zzz'")


def test_a_text_fits_its_own_video_best(learnt, tmp_path, monkeypatch):
    """Of a model that has learnt; its videos are made-up visual words, so they are given in the place of files."""
    folder = shutil.copytree(learnt["pretrain"], tmp_path / "model")
    rows = [row for file in sorted(learnt["tokens"].glob("*.parquet")) for row in read_table(file).to_pylist()]
    rows = [row for row in rows if row["kind"] == "text-video"]
    model = VideoBert.from_pretrained(folder, device="cpu", threads=1)
    train = [row for row in rows if row["split"] == "train"]
    videos = [Video(np.array(row["video_ids"])) for row in train]
    projection = fit_projection(model.predictor, [np.array(row["text_ids"]) for row in train], videos)
    note = {"inputs": {"model": sha256(folder / "model.safetensors")}}
    save_projection(projection, Path(ModelFolder(folder).parts.projection), note)

    test = {f"{number}.mp4": row for number, row in enumerate(rows) if row["split"] == "test"}
    test = dict(list(test.items())[:40])

    def seen(cut):
        words = np.array(test[str(cut.video)]["video_ids"], np.int32)
        return Clips(np.arange(len(words)) * 1.5, np.arange(1, len(words) + 1) * 1.5, np.empty((len(words), 0)), words)

    monkeypatch.setattr(model.reader, "clips", seen)
    scores = model.similarity([row["text"] for row in test.values()], list(test))
    own, others = np.diag(scores), scores[~np.eye(len(scores), dtype=bool)]
    assert own.mean() > others.mean() + 0.2
    assert (own > np.median(scores, axis=1)).mean() > 0.9
    assert scores.max() <= 1 + 1e-5


def test_the_examples_of_the_documentation_run(finished, shared, tmp_path, monkeypatch):
    blocks = re.findall(r"```python\n(.*?)```", documented(finished, shared, tmp_path), re.DOTALL)
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    for block in blocks:
        exec(block, names)
    assert len(blocks) == 5 and (tmp_path / "copy/model.safetensors").is_file()
    assert names["text"] @ names["video"] == pytest.approx(
        VideoBert.from_pretrained("copy", "cpu").similarity("slice the onion", "clip.mp4")[0, 0], abs=1e-5
    )


# --- the hub ---

FIND = """
import sys
from videobert.api.folder import find_folder
from videobert.errors import UserError
for given in sys.argv[1:]:
    model, _, revision = given.partition("@")
    try:
        print(find_folder(model, revision or None))
    except UserError as error:
        print(error)
"""


def find(address: str, cache: Path, *models: str, **environment: str) -> list[str]:
    """Where a fresh Python finds models on the hub of this address: it is read when huggingface_hub is imported."""
    variables = {**os.environ, "HF_ENDPOINT": address, "HF_HOME": str(cache), "NO_PROXY": "127.0.0.1", **environment}
    command = [sys.executable, "-c", FIND, *models]
    done = subprocess.run(command, env=variables, cwd=cache.parent, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_a_model_is_loaded_from_the_hub_and_from_its_cache(model, folder, tmp_path, monkeypatch):
    uploaded = shutil.copytree(folder, tmp_path / "uploaded")
    (uploaded / "checkpoints").mkdir()
    (uploaded / "checkpoints/large").write_bytes(b"0")
    cache = tmp_path / "cache"
    with hub({"user/model": uploaded}) as address:
        fetched, *refusals = find(address, cache, "user/model", "user/none", "user/model@v7")
    assert refusals == [
        f"user/none is neither a folder here nor a model on the hub ({address}); a private model needs HF_TOKEN",
        f"user/model has no revision v7 on the hub ({address})",
    ]
    assert not list(cache.rglob("checkpoints"))
    # The hub is away: what was fetched is there, the rest is one line.
    again, refusal = find(address, cache, f"user/model@{COMMIT}", "user/other")
    assert again == fetched
    assert refusal.startswith(f"user/other is no folder here, and could not be fetched from the hub, {address} (")
    (line,) = find(address, tmp_path / "empty", "user/model", HF_HUB_OFFLINE="1")
    assert "(HF_HUB_OFFLINE is set)" in line
    monkeypatch.setattr("videobert.api.folder._fetch", lambda model, revision: Path(fetched))
    assert VideoBert.from_pretrained("user/model", "cpu", revision="main").fill(TEXT) == model.fill(TEXT)


def test_a_download_that_was_changed_on_the_way_is_refused(folder, tmp_path):
    with hub({"user/model": folder}, damaged="model.safetensors") as address:
        (line,) = find(address, tmp_path / "cache", "user/model")
    assert "model.safetensors is damaged: delete " in line


def test_a_mistyped_path_is_no_question_for_the_hub(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results").mkdir()
    monkeypatch.setattr("videobert.api.folder._fetch", lambda *_: pytest.fail("asked the hub"))
    for given in ("results/pretrein", "nothing", "./user/model", "/user/model", "a/b/c", Path("results/none")):
        refused(
            lambda given=given: find_folder(given, None), "is neither a folder here nor the id of a model on the hub"
        )
    refused(lambda: find_folder("results", "main"), "^results is a folder, which has no revision main")
