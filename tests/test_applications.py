"""What a user does with a model: from a raw video, by the road of the training, to an answer; in Python and the shell.

Of the small project of conftest.py, which has gone through every stage.
"""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import cut, kitchen_video

from videobert import VideoBert
from videobert.__main__ import main
from videobert.data.provenance import FORMAT, read_table, sha256
from videobert.errors import UserError
from videobert.kitchen.script import script
from videobert.layout import ModelFolder
from videobert.model.processing_videobert import Video

once = pytest.mark.usefixtures("looked_once")
TEXT = "now let me show you how to [MASK] the [MASK]"


@pytest.fixture(scope="module")
def results(finished) -> Path:
    """The results of a project that ran from its list of videos to the report."""
    return finished / "results"


@pytest.fixture(scope="module")
def video(shared) -> Path:
    """The first of the project's videos as a raw file."""
    return kitchen_video(shared, 0)


@pytest.fixture(scope="module")
def model(results, tmp_path_factory) -> VideoBert:
    """The model's folder, moved away from all that it was made of, and without what the tasks fitted to it."""
    without = shutil.ignore_patterns("retrieval", "captioning")
    moved = shutil.copytree(results / "pretrain", tmp_path_factory.mktemp("elsewhere") / "model", ignore=without)
    return VideoBert.from_pretrained(moved, device="cpu", threads=1)


def words_in_tokens(results: Path) -> list[int]:
    rows = read_table(results / "tokens/0000.parquet").to_pylist()
    return [
        word for row in rows if row["kind"] == "video" and row["video_id"] == "kitchen-0" for word in row["video_ids"]
    ]


@once
def test_a_raw_video_has_the_visual_words_that_it_has_in_training(results, model, video):
    clips = model.clips(video)
    assert clips.words.tolist() == words_in_tokens(results)
    table = read_table(results / "features/0000.parquet")
    rows = [row for row in table.to_pylist() if row["video_id"] == "kitchen-0"]
    assert np.array_equal(clips.features, np.array([row["feature"] for row in rows], np.float16))
    assert clips.start.tolist() == [row["start"] for row in rows]
    assert clips.end.tolist() == [row["end"] for row in rows]


@pytest.mark.parametrize(
    ("start", "end", "first", "last"), [(6.0, 13.4, 4, 9), (0.8, 0.9, 0, 1), (10.0, 10.1, 6, 7), (43.0, None, 29, None)]
)
def test_a_cut_has_the_visual_words_of_the_whole(results, model, video, start, end, first, last):
    """Those of the clips whose middle lies in it, or of the nearest."""
    clips = model.clips(video, start=start, end=end)
    assert clips.words.tolist() == words_in_tokens(results)[first:last]
    assert clips.start[0] == first * 1.5 and (last is None or clips.end[-1] == last * 1.5)


@once
def test_fill_gives_words_for_each_mask_and_uses_the_video(model, short):
    filled = model.fill(TEXT, short, start=6, end=12, top_k=3)
    assert [len(mask) for mask in filled] == [3, 3]
    for mask in filled:
        shares = [share for _, share in mask]
        assert shares == sorted(shares, reverse=True) and shares[-1] > 0 and sum(shares) <= 1
        assert not {"[MASK]", "[>]", "[SEP]"} & {word for word, _ in mask}
    prior = model.fill(TEXT, top_k=3)
    assert prior != filled and [len(mask) for mask in prior] == [3, 3]
    # Asked for all words, the shares are a distribution, but for the special tokens' part.
    everything = model.fill("[MASK]", top_k=10_000)[0]
    assert 0.9 < sum(share for _, share in everything) <= 1 + 1e-5


def test_special_tokens_in_a_users_text_are_text(model):
    assert model.predictor.vocabulary.sep not in model.predictor.masked("cut [SEP] the [MASK]")
    assert (model.predictor.masked("cut [SEP] the [MASK]") == model.predictor.vocabulary.mask).sum() == 1


@once
def test_a_long_video_is_cut_and_the_user_told(model, video, capsys):
    model.fill(TEXT, video)
    assert "so the first" in capsys.readouterr().err


@once
def test_forecast_ranks_what_the_model_expects_at_the_next_place(model, short):
    next_words = model.forecast(short, end=12, top_k=4)
    shares = [one.probability for one in next_words]
    assert len(shares) == 4 and shares == sorted(shares, reverse=True) and 0 < sum(shares) <= 1
    assert all(one.path == [one.word // 4, one.word % 4] and one.text for one in next_words)
    # The same question, asked of transformers' model itself.
    import torch

    words = model.predictor.vocabulary
    seen = words.vocab_size + model.clips(short, end=12).words.astype(int)
    ids = torch.tensor([[words.cls, words.video, *seen, words.mask, words.sep]])
    types = torch.tensor([[0, 0] + [1] * (len(seen) + 2)])
    hidden = model.predictor.model(input_ids=ids, token_type_ids=types).last_hidden_state[0, -2]
    expected = model.predictor.model.video_logits(hidden).softmax(-1).detach()
    assert next_words[0].word == int(expected.argmax())
    assert next_words[0].probability == pytest.approx(float(expected.max()), abs=1e-5)


@once
def test_embed_gives_the_documented_shapes(model, short):
    found = model.embed(short)
    count = len(found.clips.words)
    assert found.clips.features.shape == (count, model.reader.codebook.dimension)
    assert found.output.shape == (model.predictor.model.config.hidden_size,)
    assert np.isfinite(found.output).all()
    assert not np.allclose(found.output, model.embed(short, end=6).output)


@once
def test_a_video_is_found_in_an_index_of_files_and_of_results(results, model, video, tmp_path, capsys):
    step = script(0).steps[2]
    count = model.index([video], tmp_path / "files")
    model.matcher.warned = False  # said once
    capsys.readouterr()
    assert count == -(-len(words_in_tokens(results)) // 4)
    found = model.search(step.sentence, tmp_path / "files", top_k=3)
    assert len(found) == 3 and {one.video for one in found} == {str(video)}
    model.search(step.sentence, tmp_path / "files")
    said = capsys.readouterr().err
    assert said.count("the search goes without its projection: it takes longer and finds") == 1
    assert f"{model.folder}/retrieval/projection.safetensors is missing: run snakemake retrieval, or copy it" in said
    assert "if it ran, the report says why it was not measured" in said
    scores = [one.score for one in found]
    assert scores == sorted(scores, reverse=True)
    # The score is the alignment head's for this text and this segment.
    seen = model.clips(video, start=found[0].start, end=found[0].end).video
    sequence = model.predictor.sequence(model.predictor.pieces(step.sentence), seen)
    assert found[0].score == pytest.approx(float(model.predictor.alignments([sequence])[0]), abs=1e-4)

    # With the projection of the stage retrieval the order is its own.
    from videobert.model.projection import projected, read_projection, text_vectors

    projection = read_projection(Path(ModelFolder(results / "pretrain").parts.projection), results / "pretrain")
    rows = read_table(tmp_path / "files/segments.parquet").to_pylist()
    vectors = projected(projection, np.array([row["vector"] for row in rows], np.float32))
    order = np.argsort(-(vectors @ text_vectors(projection, [model.predictor.pieces(step.sentence)])[0]))
    moved = shutil.copytree(model.folder, tmp_path / "moved")
    shutil.copytree(results / "pretrain/retrieval", moved / "retrieval")
    for folder in (results / "pretrain", moved):
        asked = VideoBert.from_pretrained(folder, device="cpu")
        found = asked.search(step.sentence, tmp_path / "files", top_k=3)
        assert "projection" not in capsys.readouterr().err
        assert [one.start for one in found] == [rows[place]["start"] for place in order[:3]]
    with open(moved / "model.safetensors", "r+b") as weights:
        weights.seek(-4, 2)
        weights.write(b"\0\0\0\1")
    other = VideoBert.from_pretrained(moved, device="cpu")
    other.index([video], tmp_path / "other")
    found = other.search(step.sentence, tmp_path / "other")
    said = capsys.readouterr().err
    assert (
        "without its projection" in said
        and f"{moved}/retrieval/projection.safetensors was fitted to another model" in said
    )
    moved_away = shutil.copytree(moved, tmp_path / "without", ignore=shutil.ignore_patterns("retrieval"))
    assert found == VideoBert.from_pretrained(moved_away, device="cpu").search(step.sentence, tmp_path / "other")

    assert model.index([results], tmp_path / "results") > count
    both = [read_table(tmp_path / name / "segments.parquet").to_pylist() for name in ("files", "results")]
    ours = [row for row in both[1] if row["video"] == "kitchen-0"]
    assert [{**row, "video": ""} for row in both[0]] == [{**row, "video": ""} for row in ours]


def test_what_transformers_saves_is_not_the_whole_folder(model, tmp_path):
    model.predictor.model.save_pretrained(tmp_path / "new")
    lacking = "lacks tokenizer.json, centroids.safetensors, preprocessing.json: transformers' save_pretrained writes the network"
    with pytest.raises(UserError, match=lacking) as error:
        VideoBert.from_pretrained(tmp_path / "new")
    assert "\n" not in str(error.value)
    # With the files that the line names it is a model.
    for name in ("tokenizer.json", "centroids.safetensors", "preprocessing.json"):
        shutil.copyfile(model.folder / name, tmp_path / "new" / name)
    assert VideoBert.from_pretrained(tmp_path / "new", device="cpu").fill(TEXT) == model.fill(TEXT)


@pytest.fixture
def looked_at(monkeypatch) -> list[Path]:
    """The files whose clips were looked at."""
    from videobert.vision import embedding

    calls: list[Path] = []
    monkeypatch.setattr(
        embedding, "embed_video", lambda *given, really=embedding.embed_video: _noting(calls, really, *given)
    )
    return calls


def _noting(calls, really, *given):
    calls.append(given[1])
    return really(*given)


@once
def test_a_file_that_cannot_be_indexed_is_left_out_with_its_reason(model, short, tmp_path, capsys):
    text, brief, gone = tmp_path / "text.mp4", tmp_path / "brief.mp4", tmp_path / "gone.mp4"
    text.write_text("#!/bin/sh\necho I am no video\n", encoding="utf-8")
    cut(short, brief, 0.5)
    count = model.index([text, short, brief, gone], tmp_path / "index")
    said = capsys.readouterr().err
    assert count == model.index([short], tmp_path / "alone")
    assert {row["video"] for row in read_table(tmp_path / "index/segments.parquet").to_pylist()} == {str(short)}
    rows = read_table(tmp_path / "index/videos.parquet").to_pylist()
    assert [(row["video"], row["status"], row["segments"]) for row in rows] == [
        (str(text), "unusable", 0),
        (str(short), "ok", count),
        (str(brief), "too_short", 0),
        (str(gone), "unusable", 0),
    ]
    for row in rows:
        assert bool(row["reason"]) == (row["status"] != "ok")
        assert (f"{row['video']} is left out: {row['reason']}" in said) == (row["status"] != "ok")
    assert f"3 of 4 videos left out: {tmp_path / 'index/videos.parquet'} says why" in said
    with pytest.raises(UserError, match=r"none of the videos holds a clip; the first: .*text\.mp4: not a readable"):
        model.index([text, gone], tmp_path / "none")
    main(["index", str(short), str(gone), "--output", str(tmp_path / "index"), "--model", str(model.folder), "--json"])
    (lost,) = json.loads(capsys.readouterr().out)["left_out"]
    assert lost == {"video": str(gone), "reason": "there is no such file; give the path of a video"}


def test_an_index_that_was_broken_off_goes_on_where_it_was(model, short, tmp_path, looked_at, monkeypatch):
    first, other, index = tmp_path / "first.mp4", tmp_path / "other.mp4", tmp_path / "index"
    cut(short, first, 3)
    cut(short, other, 4)
    model.index([other, first], tmp_path / "whole")
    with monkeypatch.context() as broken:
        broken.setattr("videobert.vision.quantizer.assign", _interrupt_second())
        with pytest.raises(KeyboardInterrupt):
            model.index([other, first], index)
    del looked_at[:]
    model.index([other, first], index)
    assert len(looked_at) == 1
    assert (index / "segments.parquet").read_bytes() == (tmp_path / "whole/segments.parquet").read_bytes()
    # A file that changed is looked at again, one that was renamed is not, and notes that cannot be read are as none.
    moved = tmp_path / "moved.mp4"
    moved.write_bytes(other.read_bytes())
    cut(short, other, 2)
    model.index([moved, other], index)
    assert len(looked_at) == 2
    for note in (index / ".notes").iterdir():
        note.write_text("", encoding="utf-8")
    model.index([moved, other], index)
    assert len(looked_at) == 4 and len(list((index / ".notes").iterdir())) == 2


def _interrupt_second():
    from videobert.vision.quantizer import assign

    def interrupted(*given, calls=[]):  # noqa: B006
        calls.append(given)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return assign(*given)

    return interrupted


@once
def test_the_s3d_weights_must_be_those_of_the_training(model, short, tmp_path):
    from videobert.vision.s3d_weights import SHIPPED

    def with_weights(name: str, digest: str) -> VideoBert:
        folder = Path(shutil.copytree(model.folder, tmp_path / digest[:6] / name))
        path = folder / "preprocessing.json"
        path.write_text(
            json.dumps(json.loads(path.read_text(encoding="utf-8")) | {"weights": name, "weights_sha256": digest}),
            encoding="utf-8",
        )
        return VideoBert.from_pretrained(folder, device="cpu")

    wrong = with_weights("kitchen", "0" * 64)
    wrong.fill(TEXT)  # text needs no S3D
    with pytest.raises(
        UserError, match=r"kitchen\.safetensors has SHA-256 .*, but the model's visual words are of S3D"
    ):
        wrong.fill(TEXT, short)
    own = with_weights("mine.safetensors", sha256(SHIPPED["kitchen"]))
    with pytest.raises(UserError, match=r"mine\.safetensors is missing: put S3D's weights there"):
        own.clips(short)
    shutil.copyfile(SHIPPED["kitchen"], own.folder / "mine.safetensors")
    assert own.clips(short, start=0, end=3).words.tolist() == model.clips(short, start=0, end=3).words.tolist()


@once
def test_mistakes_are_one_line_that_says_what_to_do(model, short, results, tmp_path):
    (tmp_path / "playlist.mp4").write_text("#EXTM3U\n#EXTINF:1,\n/etc/hostname\n", encoding="utf-8")
    model.index([short], tmp_path / "index", clips=18)
    other = shutil.copytree(model.folder, tmp_path / "other")
    with open(other / "model.safetensors", "r+b") as weights:
        weights.seek(-4, 2)
        weights.write(b"\0\0\0\1")
    for ask, said in (
        (lambda: VideoBert.from_pretrained(tmp_path), r"model\.safetensors is missing"),
        (lambda: model.fill("cut the onion"), r"no \[MASK\] to fill"),
        (
            lambda: model.fill(TEXT, tmp_path / "none.mp4"),
            r"none\.mp4: there is no such file; give the path of a video",
        ),
        (lambda: model.fill(TEXT, tmp_path / "playlist.mp4"), r"playlist\.mp4: not a readable media file"),
        (lambda: model.embed(short, start=20, end=10), r"start 20 and end 10"),
        (lambda: model.embed(short, start=1000), r"start is 1000 s, but .* is \d+\.\d s long"),
        (lambda: model.index([tmp_path], tmp_path / "index"), r"is no results folder"),
        (lambda: model.index([short], tmp_path / "index", clips=0), r"clips is 0, but must be 1 to"),
        (lambda: model.search("cut", tmp_path / "none"), r"make the index with videobert index"),
        (lambda: model.search(" ", tmp_path / "index"), r"has no word to search for"),
        (lambda: VideoBert.from_pretrained(other).search("cut", tmp_path / "index"), r"made with another model"),
    ):
        with pytest.raises(UserError, match=said) as error:
            ask()
        assert "\n" not in str(error.value)


def test_a_question_that_nothing_answers_is_said(results, model, tmp_path, capsys):
    model.index([results], tmp_path)
    asked = VideoBert.from_pretrained(results / "pretrain", device="cpu", threads=1)
    for searcher in (model, asked):  # without the projection, and with it
        for nothing in ("zzz", "zzz 日"):  # letters that no sentence had
            with pytest.raises(UserError, match=rf"^the model knows no word of '{nothing}', .* zzz \(nearest: none\)"):
                searcher.search(nothing, tmp_path)
        capsys.readouterr()
        assert searcher.search("slice the zzz", tmp_path)
        assert "never met zzz (nearest: none); the search goes by the other words" in capsys.readouterr().err
        with pytest.raises(UserError, match="has no word to search for"):
            searcher.search("?!", tmp_path)
    # A piece of the vocabulary that no train sentence has, and one that they all have.
    from videobert.model.projection import read_projection

    projection = read_projection(Path(ModelFolder(results / "pretrain").parts.projection), results / "pretrain")
    never, always = (
        next(word for word in map(model.predictor.tokenizer.id_to_token, np.flatnonzero(ids)) if word.isalpha())
        for ids in (~projection.known, projection.rarity == 0)
    )
    with pytest.raises(UserError, match=rf"it never met {never} \(nearest: "):
        asked.search(never, tmp_path)
    with pytest.raises(UserError, match=f"every sentence has the words of '{always}', so they find nothing"):
        asked.search(always, tmp_path)


def test_words_that_are_known_in_part():
    from videobert.model.predictor import Predictor

    class Pieces:
        names = ["[PAD]", "[UNK]", "onion", "##s", "be", "##an", "stir", "slice"]

        def encode(self, text, add_special_tokens):
            from tokenizers import Tokenizer, models, pre_tokenizers

            real = Tokenizer(models.WordPiece({name: i for i, name in enumerate(self.names)}, unk_token="[UNK]"))
            real.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
            return real.encode(text)

        def id_to_token(self, id_):
            return self.names[id_]

    predictor = Predictor.__new__(Predictor)
    predictor.tokenizer = Pieces()
    known = np.array([False, False, True, False, True, False, True, True])
    assert [word for word, _ in predictor.words("onions, bean!")] == ["onions", "bean"]
    assert predictor.unknown_words("onions", known) == []  # more than half of it is known
    assert predictor.unknown_words("stir beans zebra onion", known) == ["beans", "zebra"]
    assert predictor.nearest_words("slices", known) == ["slice"]
    assert predictor.nearest_words("xyz", known) == []


NO_TIMES = [float("nan"), float("inf"), -float("inf"), -1, -0.5, 1e300, "12"]


@pytest.mark.parametrize("number", NO_TIMES)
@pytest.mark.parametrize("name", ["start", "end"])
def test_what_is_no_second_of_a_video_is_one_line(model, short, name, number):
    questions = [
        model.clips,
        model.embed,
        model.forecast,
        lambda video, **cut: model.fill(TEXT, video, **cut),
    ]
    for ask in questions[: 1 if name == "end" else None]:
        with pytest.raises(UserError, match=rf"^{name} is .*, but must be seconds of the video, 0 to 43200$"):
            ask(short, **{name: number})


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -1, 0, 2.5, "3", None])
def test_what_is_no_count_is_one_line(model, short, tmp_path, number):
    for name, ask in (
        ("top_k", lambda: model.fill(TEXT, top_k=number)),
        ("top_k", lambda: model.forecast(short, top_k=number)),
        ("top_k", lambda: model.search("cut", tmp_path, top_k=number)),
        ("clips", lambda: model.index([short], tmp_path / "index", clips=number)),
        ("threads", lambda: VideoBert.from_pretrained(model.folder, threads=number)),
    ):
        if (name, number) != ("threads", None):
            with pytest.raises(UserError, match=rf"^{name} is {number!r}, but must be "):
                ask()
    assert not (tmp_path / "index").exists()


@once
def test_a_model_folder_that_is_copied_elsewhere_answers_as_in_place(results, model, short, tmp_path, capsys):
    with pytest.raises(
        UserError,
        match=r"captioning/model\.safetensors is missing, the decoder that writes captions: the task captioning",
    ):
        model.caption(short)
    model.index([results], tmp_path / "index")
    capsys.readouterr()

    def answers(folder: Path) -> tuple[list, str]:
        asked = VideoBert.from_pretrained(folder, device="cpu", threads=1)
        return asked.search("slice the tomato", tmp_path / "index", 30), asked.caption(short, start=6, end=12)

    hits, sentence = answers(results / "pretrain")
    assert (
        hits and sentence and sentence == model.caption(short, start=6, end=12, decoder=results / "pretrain/captioning")
    )
    moved = shutil.copytree(results / "pretrain", tmp_path / "moved")
    assert answers(moved) == (hits, sentence)
    # Of earlier versions: what the tasks fitted lies among the results.
    earlier = shutil.copytree(model.folder, tmp_path / "earlier/pretrain")
    for task in ("retrieval", "captioning"):
        shutil.copytree(results / "pretrain" / task, tmp_path / "earlier/evaluate" / task)
    assert answers(earlier) == (hits, sentence)
    assert "projection" not in capsys.readouterr().err
    main(["caption", str(short), "--start", "6", "--end", "12", "--model", str(moved), "--json"])
    assert json.loads(capsys.readouterr().out)["caption"] == sentence


def test_a_model_folder_holds_the_files_that_are_listed(results):
    folder = results / "pretrain"
    found = {str(path) for path in folder.rglob("*") if path.is_file() and "runs" not in path.parts}
    assert found == set(ModelFolder(folder).complete())


@pytest.mark.parametrize("part", ["model.safetensors", "preprocessing.json"])
def test_a_model_folder_of_a_newer_format_is_refused(model, tmp_path, part):
    folder = shutil.copytree(model.folder, tmp_path / "model")
    content = (folder / part).read_bytes()
    newer = content.replace(f'"format": {FORMAT}'.encode(), b'"format": 9').replace(
        f'\\"format\\": {FORMAT}'.encode(), b'\\"format\\": 9'
    )
    assert newer != content
    (folder / part).write_bytes(newer)
    with pytest.raises(
        UserError, match=rf"{part} was made by a newer version of videobert \(format 9; .* up to {FORMAT}\)"
    ):
        VideoBert.from_pretrained(folder, device="cpu")


# --- damaged files ---


@pytest.fixture(scope="module")
def whole(results, model, tmp_path_factory) -> tuple[Path, Path]:
    """A model folder with all its parts, and an index."""
    folder = tmp_path_factory.mktemp("damaged")
    shutil.copytree(results / "pretrain", folder / "model")
    model.index([results], folder / "index")
    return folder / "model", folder / "index"


def use(folder: Path, index: Path) -> object:
    """What needs every file of a model folder."""
    from videobert.model.captioner import caption, read_decoder

    asked = VideoBert.from_pretrained(folder, device="cpu", threads=1)
    caption(asked.predictor, read_decoder(folder / "captioning", folder), [Video(np.array([1, 2]))])
    return asked.search("slice the tomato", index)


def flipped(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 0x55]) + data[place + 1 :]


HARMS = {
    "empty": lambda data: b"",
    "half": lambda data: data[: len(data) // 2],
    "its end lost": lambda data: data[:-7],
    "flipped first": lambda data: flipped(data, 0),
    "flipped in the middle": lambda data: flipped(data, len(data) // 2),
}
PARTS = ["model.safetensors", "config.json", "tokenizer.json", "centroids.safetensors", "preprocessing.json"]
PARTS += ["captioning/model.safetensors", "captioning/config.json", "../index/segments.parquet"]


@pytest.mark.parametrize("harm", HARMS)
@pytest.mark.parametrize("part", PARTS)
def test_a_damaged_file_is_one_line(whole, part, harm, tmp_path):
    # In JSON that no hash holds, which may stay readable; in bytes that readers skip; and in numbers whose hash nothing holds.
    perhaps = [
        (part, "flipped in the middle") for part in ("preprocessing.json", "config.json", "captioning/config.json")
    ]
    perhaps += [
        ("captioning/model.safetensors", "flipped in the middle"),
        ("../index/segments.parquet", "flipped first"),
    ]
    folder, index = shutil.copytree(whole[0], tmp_path / "model"), shutil.copytree(whole[1], tmp_path / "index")
    path = folder / part
    path.write_bytes(HARMS[harm](path.read_bytes()))
    said = ""
    try:
        use(folder, index)
    except UserError as error:
        said = str(error)
        assert re.search(rf"{path.name}|made with another model", said) and "\n" not in said and len(said) < 500
    assert said or (part, harm) in perhaps


def test_a_configuration_that_does_not_fit_its_weights_is_one_line(whole, tmp_path, capfd):
    folder = shutil.copytree(whole[0], tmp_path / "model")
    path = folder / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    for name, value, said in (
        ("num_hidden_layers", 3, r"does not fit .* \(see videobert\.encoder\.layer\.2\."),
        ("num_hidden_layers", 1, r"does not fit .* \(see videobert\.encoder\.layer\.1\."),
        ("hidden_size", 64, r"does not fit .* \(see "),
        ("vocab_size", 7, r"does not fit .* \(see text_bias\)"),
        ("visual_words", 17, r"does not fit .* \(see video_bias\)"),
        ("num_attention_heads", 4, r"does not fit .* \(num_attention_heads is another\)"),
        ("hidden_act", "no", r"cannot be read together"),
        ("layer_norm_eps", "x", r"cannot be read together"),
    ):
        path.write_text(json.dumps({**config, name: value}), encoding="utf-8")
        with pytest.raises(UserError, match=said) as error:
            VideoBert.from_pretrained(folder, device="cpu")
        assert str(path) in str(error.value) and "\n" not in str(error.value)
    assert "LOAD REPORT" not in capfd.readouterr().err


def test_parts_of_another_model_are_said(whole, tmp_path, capsys):
    folder = shutil.copytree(whole[0], tmp_path / "model")
    lacking = json.loads((folder / "preprocessing.json").read_text(encoding="utf-8"))
    del lacking["crf"], lacking["fps"]
    (folder / "preprocessing.json").write_text(json.dumps(lacking), encoding="utf-8")
    with pytest.raises(UserError, match=r"preprocessing\.json lacks crf, fps: copy the folder anew"):
        VideoBert.from_pretrained(folder, device="cpu")
    shutil.copyfile(whole[0] / "preprocessing.json", folder / "preprocessing.json")
    VideoBert.from_pretrained(folder, device="cpu")
    assert "README.md" not in capsys.readouterr().err
    weights = folder / "model.safetensors"
    weights.write_bytes(flipped(weights.read_bytes(), weights.stat().st_size - 100))
    VideoBert.from_pretrained(folder, device="cpu")
    assert f"{folder}/README.md is of other weights than {weights}" in capsys.readouterr().err
    # A projection that cannot be read is none.
    folder = shutil.copytree(whole[0], tmp_path / "again")
    projection = folder / "retrieval/projection.safetensors"
    projection.write_bytes(projection.read_bytes()[:-7])
    assert use(folder, whole[1])
    said = capsys.readouterr().err
    assert (
        f"without its projection: it takes longer and finds less. {projection} is not a readable safetensors file"
        in said
    )


# --- the commands ---


@pytest.fixture
def shell(model, monkeypatch, capsys):
    """Calls `videobert` as a shell would; gives what it printed."""

    def call(*words: object) -> str:
        main([*map(str, words), "--model", str(model.folder)])
        return capsys.readouterr().out

    return call


@once
def test_the_commands_print_tables_and_json(shell, short, tmp_path):
    told = shell("fill", TEXT, "--video", short, "--start", 6, "--end", 12, "--top_k", 2)
    assert told.splitlines()[0].split() == ["[MASK]", "1", "[MASK]", "2"] and len(told.splitlines()) == 3
    data = json.loads(shell("fill", TEXT, "--video", short, "--start", 6, "--end", 12, "--top_k", 2, "--json"))
    assert [len(mask) for mask in data["masks"]] == [2, 2] and set(data["masks"][0][0]) == {"word", "probability"}
    assert json.loads(shell("forecast", short, "--end", 12, "--json"))["next"][0]["probability"] > 0
    assert "visual word" in shell("forecast", short, "--end", 12)
    index = tmp_path / "index"
    assert json.loads(shell("index", short, short, "--output", index, "--json"))["segments"] > 2
    found = json.loads(shell("search", "slice the onion", "--index", index, "--top_k", 2, "--json"))["segments"]
    assert len(found) == 2 and found[0]["video"] == str(short) and found[0]["start"] < found[0]["end"]
    lines = shell("search", "slice the onion", "--index", index).splitlines()
    assert lines[0].split() == ["score", "from", "to", "video"] and lines[1].endswith(str(short))


def test_a_commands_mistake_ends_in_one_line(model):
    command = [sys.executable, "-m", "videobert", "forecast", "none.mp4", "--model", str(model.folder)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1 and done.stdout == ""
    assert (
        done.stderr.splitlines()[-1] == "videobert forecast: none.mp4: there is no such file; give the path of a video"
    )
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("flag", ["--start", "--end", "--top_k"])
@pytest.mark.parametrize("number", ["nan", "inf", "-1"])
def test_a_commands_wrong_number_is_one_line(shell, short, flag, number, capsys):
    with pytest.raises(SystemExit) as ended:
        shell("forecast", short, flag, number)
    said = str(ended.value.code) + capsys.readouterr().err
    assert flag.removeprefix("--") in said and "Traceback" not in said


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


def test_a_reader_that_has_enough_ends_a_command_quietly():
    # This reader is gone before anything comes; of `head` it would depend on how much fits into the pipe.
    pipe = f"{sys.executable} -m videobert config | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", pipe], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_package_and_a_model_say_what_they_are(model):
    import videobert

    assert {"VideoBert", "VideoBertForPreTraining"} <= {*dir(videobert)} and "Any" not in dir(videobert)
    assert repr(model).startswith(f"VideoBert({str(model.folder)!r}: ") and "visual words, on cpu)" in repr(model)
    with pytest.raises(TypeError):
        model.fill("a [MASK]", "clip.mp4", 2)  # top? start?
