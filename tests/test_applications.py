"""What a user does with a model: from a raw video, by the road of the training, to an answer; in Python and the shell.

Two kitchen videos go through every stage for real, and a small model is trained on them.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from test_pretrain import SETTINGS

from videobert import VideoBert
from videobert.__main__ import main
from videobert.data.provenance import read_table, sha256
from videobert.errors import UserError
from videobert.kitchen.script import script
from videobert.kitchen.video import render

ROOT = Path(__file__).parents[1]
TEXT = "now let me show you how to [MASK] the [MASK]"


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> Path:
    """A results folder of two videos, with a model."""
    from videobert.stages.codebook import codebook
    from videobert.stages.corpus import corpus
    from videobert.stages.download import download
    from videobert.stages.features import features
    from videobert.stages.frames import frames
    from videobert.stages.pretrain import pretrain
    from videobert.stages.tokens import tokens
    from videobert.stages.transcribe import transcribe
    from videobert.stages.vocabulary import vocabulary

    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    folder = tmp_path_factory.mktemp("project")
    results, shard = folder / "results", "0000.parquet"
    videos, manifest, register = folder / "videos.tsv", results / "corpus/manifest.parquet", folder / "register.parquet"
    videos.write_text("source\tsplit\nkitchen:0\ttrain\nkitchen:1\ttest\n")
    corpus(videos, manifest, results / "ledger.parquet", register, 2, 0.0, 0)
    media, shown = results / "download/0000/ledger.parquet", results / "frames/0000/ledger.parquet"
    download(videos, register, 2, "0000", media, **config["download"])
    heard = results / "transcribe" / shard
    transcribe(media, heard, results / "ledger.parquet", **{**config["transcribe"], "device": "cpu"})
    frames(media, shown)
    features(shown, results / "features" / shard, results / "ledger.parquet", device="cpu")
    numbers = {"sample": 1000, "batch_size": 64, "seed": 0, "threads": 1}
    codebook(results / "features", manifest, results / "codebook", branching=3, depth=2, **numbers)
    vocabulary(results / "transcribe", manifest, results / "vocabulary", None, 300)
    paths = {name: results / name for name in ("features", "codebook", "vocabulary")}
    place = {"manifest": manifest, "shard": "0000", "output": results / "tokens" / shard}
    tokens(heard, **{**paths, "features": results / "features" / shard}, **place, ledger=results / "ledger.parquet",
           segment_length=16, exclude=None)  # fmt: skip
    changes = {"max_length": 40, "max_steps": 60, "save_steps": 60, "learning_rate": 0.003}
    inputs = {**paths, "tokens": results / "tokens", "frames": results / "frames", "manifest": manifest}
    pretrain(**inputs, output=results / "pretrain", **{**SETTINGS, **changes})
    return results


@pytest.fixture(scope="module")
def video(tmp_path_factory) -> Path:
    """The first of the videos as a raw file."""
    path = tmp_path_factory.mktemp("raw") / "a video.mp4"
    render(0, path)
    return path


@pytest.fixture(scope="module")
def model(results, tmp_path_factory) -> VideoBert:
    """The model's folder, moved away from all that it was made of."""
    moved = shutil.copytree(results / "pretrain", tmp_path_factory.mktemp("elsewhere") / "model")
    return VideoBert.from_pretrained(moved, device="cpu", threads=1)


def words_in_tokens(results: Path) -> list[int]:
    rows = read_table(results / "tokens/0000.parquet").to_pylist()
    return [
        word for row in rows if row["kind"] == "video" and row["video_id"] == "kitchen-0" for word in row["video_ids"]
    ]


def test_a_raw_video_has_the_visual_words_that_it_has_in_training(results, model, video):
    clips = model.clips(video)
    assert clips.words.tolist() == words_in_tokens(results)
    table = read_table(results / "features/0000.parquet")
    rows = [row for row in table.to_pylist() if row["video_id"] == "kitchen-0"]
    assert np.array_equal(clips.features, np.array([row["feature"] for row in rows], np.float16))
    assert clips.start.tolist() == [row["start"] for row in rows]
    assert clips.end.tolist() == [row["end"] for row in rows]


@pytest.mark.parametrize(
    ("start", "end", "first", "last"), [(6.0, 13.4, 4, 9), (0.8, 0.9, 0, 1), (10.0, 10.1, 6, 7), (31.0, None, 21, None)]
)
def test_a_cut_has_the_visual_words_of_the_whole(results, model, video, start, end, first, last):
    """Those of the clips whose middle lies in it, or of the nearest."""
    clips = model.clips(video, start, end)
    assert clips.words.tolist() == words_in_tokens(results)[first:last]
    assert clips.start[0] == first * 1.5 and (last is None or clips.end[-1] == last * 1.5)


def test_fill_gives_words_for_each_mask_and_uses_the_video(model, video):
    filled = model.fill(TEXT, video, start=6, end=12, top=3)
    assert [len(mask) for mask in filled] == [3, 3]
    for mask in filled:
        shares = [share for _, share in mask]
        assert shares == sorted(shares, reverse=True) and shares[-1] > 0 and sum(shares) <= 1
        assert not {"[MASK]", "[>]", "[SEP]"} & {word for word, _ in mask}
    prior = model.fill(TEXT, top=3)
    assert prior != filled and [len(mask) for mask in prior] == [3, 3]
    # Asked for all words, the shares are a distribution, but for the special tokens' part.
    everything = model.fill("[MASK]", top=10_000)[0]
    assert 0.9 < sum(share for _, share in everything) <= 1 + 1e-5


def test_special_tokens_in_a_users_text_are_text(model):
    assert model.predictor.vocabulary.sep not in model.predictor.masked("cut [SEP] the [MASK]")
    assert (model.predictor.masked("cut [SEP] the [MASK]") == model.predictor.vocabulary.mask).sum() == 1


def test_a_long_video_is_cut_and_the_user_told(model, video, capsys):
    model.fill(TEXT, video)
    assert "so the first" in capsys.readouterr().err


def test_forecast_ranks_what_the_model_expects_at_the_next_place(model, video):
    next_words = model.forecast(video, end=15, top=4)
    shares = [one.probability for one in next_words]
    assert len(shares) == 4 and shares == sorted(shares, reverse=True) and 0 < sum(shares) <= 1
    assert all(one.path == [one.word // 3, one.word % 3] and one.text for one in next_words)
    # The same question, asked of transformers' model itself.
    import torch

    words = model.predictor.vocabulary
    seen = words.vocab_size + model.clips(video, end=15).words.astype(int)
    ids = torch.tensor([[words.cls, words.video, *seen, words.mask, words.sep]])
    types = torch.tensor([[0, 0] + [1] * (len(seen) + 2)])
    hidden = model.predictor.model(input_ids=ids, token_type_ids=types).last_hidden_state[0, -2]
    expected = model.predictor.model.video_logits(hidden).softmax(-1).detach()
    assert next_words[0].word == int(expected.argmax())
    assert next_words[0].probability == pytest.approx(float(expected.max()), abs=1e-5)


def test_embed_gives_the_documented_shapes(model, video):
    found = model.embed(video)
    count = len(found.clips.words)
    assert found.clips.features.shape == (count, model.codebook.dimension)
    assert found.output.shape == (model.predictor.model.config.hidden_size,)
    assert np.isfinite(found.output).all()
    assert not np.allclose(found.output, model.embed(video, end=6).output)


def test_a_video_is_found_in_an_index_of_files_and_of_results(results, model, video, tmp_path):
    step = script(0).steps[2]
    count = model.index([video], tmp_path / "files")
    assert count == -(-len(words_in_tokens(results)) // 4)
    found = model.search(step.sentence, tmp_path / "files", top=3)
    assert len(found) == 3 and {one.video for one in found} == {str(video)}
    scores = [one.score for one in found]
    assert scores == sorted(scores, reverse=True)
    # The score is the alignment head's for this text and this segment.
    words = model.clips(video, found[0].start, found[0].end).words
    sequence = model.predictor.sequence(
        model.predictor.pieces(step.sentence), model.predictor.vocabulary.vocab_size + words.astype(int)
    )
    assert found[0].score == pytest.approx(float(model.predictor.alignments([sequence])[0]), abs=1e-4)

    # With the projection of the stage retrieval the order is its own.
    from videobert.evaluation.retrieval import retrieval
    from videobert.model.projection import projected, read_projection, text_vectors

    paths = {name: results / name for name in ("pretrain", "tokens")}
    output = results / "evaluate/retrieval.json"
    settings = {"annotations": None, "template": TEXT, "candidates": 5, "batch_size": 8, "seed": 0, "threads": 1}
    retrieval(**paths, manifest=results / "corpus/manifest.parquet", output=output, device="cpu", **settings)
    projection = read_projection(results / "evaluate/retrieval", results / "pretrain")
    rows = read_table(tmp_path / "files/segments.parquet").to_pylist()
    vectors = projected(projection, np.array([row["vector"] for row in rows], np.float32))
    order = np.argsort(-(vectors @ text_vectors(projection, [model.predictor.pieces(step.sentence)])[0]))
    moved = shutil.copytree(model.folder, tmp_path / "moved")
    shutil.copytree(results / "evaluate/retrieval", moved / "retrieval")
    for folder in (results / "pretrain", moved):
        asked = VideoBert.from_pretrained(folder, device="cpu")
        found = asked.search(step.sentence, tmp_path / "files", top=3)
        assert [one.start for one in found] == [rows[place]["start"] for place in order[:3]]
    with open(moved / "model.safetensors", "r+b") as weights:
        weights.seek(-4, 2)
        weights.write(b"\0\0\0\1")
    other = VideoBert.from_pretrained(moved, device="cpu")
    other.index([video], tmp_path / "other")
    with pytest.raises(UserError, match="was fitted to another model"):
        other.search(step.sentence, tmp_path / "other")

    assert model.index([results], tmp_path / "results") > count
    both = [read_table(tmp_path / name / "segments.parquet").to_pylist() for name in ("files", "results")]
    ours = [row for row in both[1] if row["video"] == "kitchen-0"]
    assert [{**row, "video": ""} for row in both[0]] == [{**row, "video": ""} for row in ours]


def test_the_s3d_weights_must_be_those_of_the_training(model, video, tmp_path):
    from videobert.vision.s3d import KITCHEN

    def with_weights(name: str, digest: str) -> VideoBert:
        folder = Path(shutil.copytree(model.folder, tmp_path / digest[:6] / name))
        path = folder / "preprocessing.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"weights": name, "weights_sha256": digest}))
        return VideoBert.from_pretrained(folder, device="cpu")

    wrong = with_weights("kitchen", "0" * 64)
    wrong.fill(TEXT)  # text needs no S3D
    with pytest.raises(
        UserError, match=r"kitchen\.safetensors has SHA-256 .*, but the model's visual words are of S3D"
    ):
        wrong.fill(TEXT, video)
    own = with_weights("mine.safetensors", sha256(KITCHEN))
    with pytest.raises(UserError, match=r"mine\.safetensors is missing: put S3D's weights there"):
        own.clips(video)
    shutil.copyfile(KITCHEN, own.folder / "mine.safetensors")
    assert own.clips(video, 0, 3).words.tolist() == model.clips(video, 0, 3).words.tolist()


def test_mistakes_are_one_line_that_says_what_to_do(model, video, results, tmp_path):
    (tmp_path / "playlist.mp4").write_text("#EXTM3U\n#EXTINF:1,\n/etc/hostname\n")
    model.index([video], tmp_path / "index", clips=18)
    other = shutil.copytree(model.folder, tmp_path / "other")
    with open(other / "model.safetensors", "r+b") as weights:
        weights.seek(-4, 2)
        weights.write(b"\0\0\0\1")
    for ask, said in (
        (lambda: VideoBert.from_pretrained(tmp_path), r"model\.safetensors is missing"),
        (lambda: model.fill("cut the onion"), r"no \[MASK\] to fill"),
        (lambda: model.fill(TEXT, tmp_path / "none.mp4"), r"none\.mp4 is no file"),
        (lambda: model.fill(TEXT, tmp_path / "playlist.mp4"), r"playlist\.mp4: not a readable media file"),
        (lambda: model.embed(video, 20, 10), r"start 20 and end 10"),
        (lambda: model.embed(video, start=1000), r"start is 1000 s, but .* is \d+\.\d s long"),
        (lambda: model.index([tmp_path], tmp_path / "index"), r"is no results folder"),
        (lambda: model.index([video], tmp_path / "index", clips=0), r"clips is 0, but must be 1 to"),
        (lambda: model.search("cut", tmp_path / "none"), r"make the index with videobert index"),
        (lambda: model.search(" ", tmp_path / "index"), r"has no word to search for"),
        (lambda: VideoBert.from_pretrained(other).search("cut", tmp_path / "index"), r"made with another model"),
    ):
        with pytest.raises(UserError, match=said) as error:
            ask()
        assert "\n" not in str(error.value)


def test_a_caption_is_written_by_the_decoder_beside_the_model(results, model, video, monkeypatch, tmp_path, capsys):
    from test_captioning import SETTINGS as CAPTIONING

    from videobert.evaluation.captioning import captioning

    with pytest.raises(UserError, match="run snakemake --cores all captioning"):
        model.caption(video)
    paths = {name: results / name for name in ("pretrain", "tokens", "features")}
    with monkeypatch.context() as shell:
        shell.setenv("PATH", "")  # without Java METEOR is left out, and with it ten seconds
        output = results / "evaluate/captioning.json"
        captioning(
            **paths, manifest=results / "corpus/manifest.parquet", output=output, **{**CAPTIONING, "max_steps": 20}
        )
    folder = results / "evaluate/captioning"
    sentence = VideoBert.from_pretrained(results / "pretrain", device="cpu").caption(video, 6, 12)
    assert sentence and sentence == model.caption(video, 6, 12, decoder=folder)
    # A moved model takes it from its own folder.
    moved = shutil.copytree(model.folder, tmp_path / "moved")
    shutil.copytree(folder, moved / "captioning")
    assert VideoBert.from_pretrained(moved, device="cpu").caption(video, 6, 12) == sentence
    main(["caption", str(video), "--start", "6", "--end", "12", "--model", str(moved), "--json"])
    assert json.loads(capsys.readouterr().out)["caption"] == sentence


# --- the commands ---


@pytest.fixture
def shell(model, monkeypatch, capsys):
    """Calls `videobert` as a shell would; gives what it printed."""

    def call(*words: object) -> str:
        main([*map(str, words), "--model", str(model.folder)])
        return capsys.readouterr().out

    return call


def test_the_commands_print_tables_and_json(shell, video, tmp_path):
    told = shell("fill", TEXT, "--video", video, "--start", 6, "--end", 12, "--top", 2)
    assert told.splitlines()[0].split() == ["[MASK]", "1", "[MASK]", "2"] and len(told.splitlines()) == 3
    data = json.loads(shell("fill", TEXT, "--video", video, "--start", 6, "--end", 12, "--top", 2, "--json"))
    assert [len(mask) for mask in data["masks"]] == [2, 2] and set(data["masks"][0][0]) == {"word", "probability"}
    assert json.loads(shell("forecast", video, "--end", 12, "--json"))["next"][0]["probability"] > 0
    assert "visual word" in shell("forecast", video, "--end", 12)
    index = tmp_path / "index"
    assert json.loads(shell("index", video, video, "--output", index, "--json"))["segments"] > 2
    found = json.loads(shell("search", "slice the onion", "--index", index, "--top", 2, "--json"))["segments"]
    assert len(found) == 2 and found[0]["video"] == str(video) and found[0]["start"] < found[0]["end"]
    lines = shell("search", "slice the onion", "--index", index).splitlines()
    assert lines[0].split() == ["score", "from", "to", "video"] and lines[1].endswith(str(video))


def test_a_commands_mistake_ends_in_one_line(model):
    command = [sys.executable, "-m", "videobert", "forecast", "none.mp4", "--model", str(model.folder)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.splitlines()[-1] == "videobert forecast: none.mp4 is no file; give the path of a video"
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("tool", ["fill", "search", "index", "forecast", "caption"])
def test_help_teaches_with_an_example(tool, capsys):
    with pytest.raises(SystemExit):
        main([tool, "--help"])
    assert f"\nvideobert {tool} " in capsys.readouterr().out


def test_importing_the_package_stays_light():
    code = (
        "import sys, videobert; assert not {'torch', 'numpy', 'transformers'} & set(sys.modules); videobert.VideoBert"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
