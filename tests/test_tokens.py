"""Segments: which clips belong to a sentence, windows that cover every clip, exclusion, and what does not fit."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from calls import tokens

from videobert.data.provenance import read_provenance, read_table, sha256, write_table
from videobert.errors import UserError
from videobert.model.tokenizer import train
from videobert.vision.quantizer import Codebook, assign, load, save

DIMENSION = 4
SENTENCES = pa.schema(
    [("video_id", pa.string()), ("start", pa.float64()), ("end", pa.float64()), ("text", pa.string())]
)


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> Path:
    """A codebook of nine words, and a vocabulary."""
    folder = tmp_path_factory.mktemp("provenance")
    random = np.random.default_rng(0)
    levels = [random.standard_normal((3**level, DIMENSION)).astype(np.float32) for level in (1, 2)]
    tree = Codebook(3, levels, [np.ones(len(level), bool) for level in levels])
    save(tree, folder / "codebook" / "centroids.safetensors", {"weights_sha256": "net", "clip_seconds": 1.5})
    train(["now slice the tomato", "whisk the eggs"] * 3, 200).save_pretrained(folder / "vocabulary")
    return folder


def write(folder: Path, sentences: dict[str, list[tuple]], clips: dict[str, int], splits=None, weights="net") -> dict:
    """Inputs of one shard: sentences (start, end, text) and numbers of clips by video; and the arguments to read them."""
    videos = sorted({*sentences, *clips, *(splits or {})}, reverse=True)
    splits = dict.fromkeys(videos, "train") | (splits or {})
    manifest = [{"video_id": v, "shard": "0000", "split": splits[v], "source": f"{v}.mp4"} for v in videos]
    manifest.append({"video_id": "elsewhere", "shard": "0001", "split": "train", "source": "elsewhere.mp4"})
    write_table(pa.Table.from_pylist(manifest), folder / "manifest.parquet", {})
    rows = [dict(zip(SENTENCES.names, (v, *row))) for v in sentences for row in sentences[v]]
    write_table(pa.Table.from_pylist(rows, SENTENCES), folder / "transcribe.parquet", {})
    index = np.concatenate([np.empty(0, np.int32), *(np.arange(n, dtype=np.int32) for n in clips.values())])
    flat = np.random.default_rng(len(index)).standard_normal(len(index) * DIMENSION).astype(np.float16)
    table = pa.table(
        {
            "video_id": pa.array([v for v, number in clips.items() for _ in range(number)], pa.string()),
            "clip": pa.array(index, pa.int32()),
            "start": pa.array(index * 1.5, pa.float32()),
            "end": pa.array(index * 1.5 + 1.5, pa.float32()),
            "feature": pa.FixedSizeListArray.from_arrays(pa.array(flat, pa.float16()), DIMENSION),
        }
    )
    write_table(table, folder / "features.parquet", {"weights_sha256": weights, "clip_seconds": 1.5})
    return {
        "transcribe": folder / "transcribe.parquet",
        "features": folder / "features.parquet",
        "manifest": folder / "manifest.parquet",
        "output": folder / "tokens.parquet",
        "ledger": folder / "ledger.parquet",
    }


def run(folders: Path, arguments: dict, **settings) -> tuple[list[dict], dict[str, dict]]:
    """The stage: its rows, and its ledger by video."""
    settings = {"shard": "0000", "segment_length": 4, "exclude": None} | settings
    tokens(codebook=folders / "codebook", vocabulary=folders / "vocabulary", **arguments, **settings)
    ledger = {row["video_id"]: row for row in read_table(arguments["ledger"]).to_pylist()}
    return read_table(arguments["output"]).to_pylist(), ledger


def test_a_segments_clips_are_those_whose_middle_lies_in_the_sentence(tmp_path, folders):
    random = np.random.default_rng(0)
    clips = {f"v{n}": int(random.integers(0, 40)) for n in range(12)}
    sentences = {}
    for video in clips:
        # Multiples of a quarter second: starts and ends often fall on a middle (0.75, 2.25, ...) exactly.
        times = np.sort(random.integers(0, 4 * 70, (int(random.integers(0, 15)), 2)) / 4, axis=1)
        sentences[video] = [(start, end, f"slice the tomato {n}") for n, (start, end) in enumerate(times.tolist())]
    rows, _ = run(folders, write(tmp_path, sentences, clips))

    found = {(row["video_id"], row["text"]): row for row in rows if row["kind"] == "text-video"}
    assert len(found) == sum(map(len, sentences.values()))
    for video, own in sentences.items():
        for start, end, text in own:
            inside = [clip for clip in range(clips[video]) if start <= 1.5 * clip + 0.75 < end]
            row = found[video, text]
            assert (row["clips"], row["start"], row["end"]) == (inside, start, end)
    assert sum(not row["clips"] for row in found.values()) > 3  # too short for any clip: the text stays
    in_order = [(row["video_id"], row["kind"], row["start"]) for row in rows]
    assert in_order == sorted(in_order)


def test_words_are_those_of_the_codebook_and_text_has_no_special_tokens(tmp_path, folders):
    from transformers import AutoTokenizer

    arguments = write(tmp_path, {"a": [(0, 6, "Slice the TOMATO.")], "b": [(0, 3, "[CLS] the [MASK] [>]")]}, {"a": 9})
    rows, _ = run(folders, arguments)
    features = read_table(arguments["features"])["feature"].to_pylist()
    words = assign(np.array(features), load(folders / "codebook" / "centroids.safetensors")).tolist()
    assert len(set(words)) > 2
    for row in rows:
        assert row["video_ids"] == [words[clip] for clip in row["clips"]]
    tokenizer = AutoTokenizer.from_pretrained(folders / "vocabulary")
    assert tokenizer.convert_ids_to_tokens(rows[0]["text_ids"])[:3] == ["slice", "the", "tomato"]
    assert rows[0]["clips"] == [0, 1, 2, 3]
    written = next(row for row in rows if row["video_id"] == "b")
    assert not set(written["text_ids"]) & {tokenizer.cls_token_id, tokenizer.mask_token_id, 5}
    assert written["text_ids"] and written["clips"] == []


def test_every_clip_stands_in_exactly_one_video_row(tmp_path, folders):
    clips = {"a": 9, "b": 4, "c": 1, "d": 0, "e": 8}
    rows, _ = run(folders, write(tmp_path, {"a": [(0, 3, "whisk")]}, clips, {"b": "test"}))
    windows = [row for row in rows if row["kind"] == "video"]
    for video, number in clips.items():
        own = [row["clips"] for row in windows if row["video_id"] == video]
        assert [clip for window in own for clip in window] == list(range(number))
        assert all(len(window) == 4 for window in own[:-1])
    assert all((row["start"], row["end"]) == (1.5 * row["clips"][0], 1.5 * row["clips"][-1] + 1.5) for row in windows)
    assert all(row["text"] == "" and row["text_ids"] == [] for row in windows)
    assert {row["video_id"] for row in rows if row["split"] == "test"} == {"b"}


def test_excluded_videos_give_no_row(tmp_path, folders):
    sentences = {"a": [(0, 3, "whisk")], "b": [(0, 3, "slice")], "c": [(0, 3, "slice"), (3, 4, "  ")]}
    arguments = write(tmp_path, sentences, {"a": 3, "b": 3, "d": 2}, {"e": "train"})
    (tmp_path / "exclude.txt").write_text("# takedowns\n\nb  # asked for by its maker\nelsewhere\n", encoding="utf-8")
    rows, ledger = run(folders, arguments, exclude=tmp_path / "exclude.txt")
    assert sorted({row["video_id"] for row in rows}) == ["a", "c", "d"]
    assert {v: (row["status"], row["sentences"], row["clips"]) for v, row in ledger.items()} == {
        "a": ("ok", 1, 3),
        "b": ("excluded", 0, 0),
        "c": ("ok", 1, 0),
        "d": ("ok", 0, 2),
        "e": ("empty", 0, 0),
    }
    assert ledger["e"]["reason"] == "neither a sentence nor a clip"
    with pytest.raises(UserError, match=r"tokens.exclude: .*gone\.txt does not exist"):
        run(folders, arguments, exclude=tmp_path / "gone.txt")


def test_an_excluded_id_that_names_no_video_is_an_error(tmp_path, folders):
    """A takedown is a duty: the video would stay in."""
    arguments = write(tmp_path, {"a": [(0, 3, "whisk")]}, {"a": 3})
    (tmp_path / "exclude.txt").write_bytes("a\n\n# asked for\nA # capitals\nnobody\n".encode("utf-16"))
    with pytest.raises(UserError, match=r"exclude\.txt names 2 that are no video of the list: A # capitals, nobody; "):
        run(folders, arguments, exclude=tmp_path / "exclude.txt")
    assert not arguments["output"].exists()


def test_features_of_another_network_are_refused(tmp_path, folders):
    arguments = write(tmp_path, {}, {"a": 3}, weights="other")
    with pytest.raises(
        UserError, match=r"features\.parquet was made with weights_sha256 = 'other'.*centroids\.safetensors"
    ):
        run(folders, arguments)
    assert not arguments["output"].exists()


def test_the_note_names_codebook_and_vocabulary(tmp_path, folders):
    arguments = write(tmp_path, {"a": [(0, 3, "whisk")]}, {"a": 3})
    run(folders, arguments)
    first = arguments["output"].read_bytes()
    note = read_provenance(arguments["output"])
    assert note["codebook_sha256"] == sha256(folders / "codebook/centroids.safetensors")
    assert note["vocabulary_sha256"] == sha256(folders / "vocabulary/tokenizer.json")
    assert note["words"] == 9
    run(folders, arguments)
    assert arguments["output"].read_bytes() == first


def test_a_shard_without_anything_gives_an_empty_table(tmp_path, folders):
    rows, ledger = run(folders, write(tmp_path, {}, {}, {"a": "train"}))
    assert rows == [] and ledger["a"]["status"] == "empty"
    schema = read_table(tmp_path / "tokens.parquet").schema
    full = write(tmp_path, {"a": [(0, 3, "whisk")]}, {"a": 3})
    run(folders, full)
    assert read_table(full["output"]).schema.equals(schema)
    assert schema.names == ["video_id", "split", "kind", "start", "end", "text", "text_ids", "video_ids", "clips"]


def test_what_is_missing_is_named(tmp_path, folders):
    arguments = write(tmp_path, {}, {"a": 3})
    with pytest.raises(UserError, match="has no shard '0007'"):
        run(folders, arguments, shard="0007")
    with pytest.raises(UserError, match="segment_length is 0, but must be at least 1"):
        run(folders, arguments, segment_length=0)
    arguments["features"].unlink()
    with pytest.raises(UserError, match=r"features\.parquet is missing"):
        run(folders, arguments)
