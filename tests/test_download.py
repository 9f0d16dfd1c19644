"""Bringing the media of a shard: rendered or linked. (What comes from the web is in test_web.py.)"""

import os
import unicodedata
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import yaml
from calls import download
from hostile_web import write_video

from videobert.data.provenance import read_provenance, read_table
from videobert.errors import UserError

SETTINGS = yaml.safe_load((Path(__file__).parents[1] / "config.yaml").read_text(encoding="utf-8"))["download"]


@pytest.mark.slow
def test_kitchen_videos_are_rendered(tmp_path):
    rows = run(tmp_path, {"k": "kitchen:3", "r": "kitchen:recipe-3"})
    for name, row in rows.items():
        assert (row["status"], row["path"], row["has_audio"], row["width"]) == ("ok", f"{name}.mp4", True, 320)
        assert 30 < row["duration"] < 90
    assert "yt-dlp" not in read_provenance(tmp_path / "media" / "ledger.parquet")["packages"]
    with av.open(str(tmp_path / "media" / "k.mp4")) as container:
        assert next(container.decode(video=0)).width == 320


def test_local_files_are_linked(tmp_path, monkeypatch):
    video = write_video(tmp_path / "My Onion.MP4")
    (tmp_path / "elsewhere").mkdir()
    outside = write_video(tmp_path / "elsewhere" / "b.mp4")
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path / "project")
    video = video.rename(tmp_path / "project" / video.name)
    rows = run(tmp_path / "project", {"absolute": str(video), "relative": "My Onion.MP4", "url": f"file://{outside}"})
    assert [row["status"] for row in rows.values()] == ["ok"] * 3
    assert rows["relative"]["path"] == "relative.mp4"
    links = [tmp_path / "project" / "media" / f"{name}.mp4" for name in rows]
    # What lies in the project's folder moves with it.
    assert [os.readlink(link) for link in links] == ["../My Onion.MP4", "../My Onion.MP4", str(outside)]
    assert {row["captions"] for row in rows.values()} == {""}
    assert rows["url"]["duration"] == pytest.approx(2.0, abs=0.1)


def test_names_in_another_spelling_or_with_wide_spaces_are_found(tmp_path):
    """A list in NFC, files in NFD, as macOS wrote them; exact names first."""
    nfc, nfd = (unicodedata.normalize(form, "Crêpes\u3000für\u00a0zwei") for form in ("NFC", "NFD"))
    (tmp_path / nfd).mkdir()
    video = write_video(tmp_path / nfd / f"{nfd}.mp4")
    both = [write_video(tmp_path / f"{form}.mp4") for form in ("é", "e\u0301")]
    sources = {
        "a": str(tmp_path / nfc / f"{nfc}.mp4"),
        "c": str(both[0]),
        "d": str(both[1]),
        "gone": str(tmp_path / nfc / "à.mp4"),
    }
    rows = run(tmp_path, sources)
    assert {name: row["status"] for name, row in rows.items()} == {"a": "ok", "c": "ok", "d": "ok", "gone": "gone"}
    targets = [os.readlink(tmp_path / "media" / f"{name}.mp4") for name in "acd"]
    assert targets == list(map(str, [video, *both]))


def test_what_is_no_video_is_in_the_ledger(tmp_path):
    (tmp_path / "text.mp4").write_text("This is no video.", encoding="utf-8")
    write_sound(tmp_path / "sound.wav")
    rows = run(
        tmp_path,
        {
            "missing": str(tmp_path / "missing.mp4"),
            "text": str(tmp_path / "text.mp4"),
            "sound": str(tmp_path / "sound.wav"),
            "folder": str(tmp_path),
        },
    )
    assert {key: row["status"] for key, row in rows.items()} == {"missing": "gone"} | dict.fromkeys(
        ("text", "sound", "folder"), "unusable"
    )
    assert all(row["reason"] and row["path"] is None for row in rows.values())
    assert files(tmp_path / "media") == ["ledger.parquet", "steps.tsv"]


def test_media_of_another_list_are_removed_and_nothing_else(tmp_path):
    video = write_video(tmp_path / "a.mp4")
    (tmp_path / "media").mkdir()
    (tmp_path / "media" / "mine.txt").write_text("not the pipeline's", encoding="utf-8")
    others = {name: str(write_video(tmp_path / f"{name}.mp4")) for name in ("old", "new")}
    run(tmp_path, {"old": others["old"], "kept": str(video)})
    run(tmp_path, {"new": others["new"], "kept": str(video)})
    assert files(tmp_path / "media") == ["kept.mp4", "ledger.parquet", "mine.txt", "new.mp4", "steps.tsv"]
    assert video.exists()


def test_same_list_gives_the_same_bytes(tmp_path):
    sources = {"a": str(write_video(tmp_path / "a.mp4")), "b": str(tmp_path / "missing.mp4")}
    run(tmp_path, sources, folder="one")
    run(tmp_path, sources, folder="two")
    assert (tmp_path / "one" / "ledger.parquet").read_bytes() == (tmp_path / "two" / "ledger.parquet").read_bytes()


def test_an_unknown_shard_is_an_error(tmp_path):
    with pytest.raises(UserError, match="no shard '0002'"):
        download(**listed(tmp_path, {"a": "a.mp4"}), shard="0002", output=tmp_path / "x", **SETTINGS)


def run(tmp_path: Path, sources: dict[str, str], captions: dict[str, str] | None = None, folder: str = "media") -> dict:
    """Downloads `sources` (by id) to tmp_path/folder; gives the ledger's rows by id."""
    output = tmp_path / folder / "ledger.parquet"
    download(**listed(tmp_path, sources, captions), shard="0000", output=output, **SETTINGS)
    return {row["video_id"]: row for row in read_table(output).to_pylist()}


def listed(tmp_path: Path, sources: dict[str, str], captions: dict[str, str] | None = None) -> dict[str, Any]:
    """Writes the list of videos; gives the arguments that name it. A video of the next shard stands at its end."""
    rows = [f"{key}\t{source}\t{(captions or {}).get(key, '')}" for key, source in sources.items()]
    videos = tmp_path / "videos.tsv"
    videos.write_text("\n".join(["id\tsource\tcaptions", *rows, "elsewhere\tkitchen:0\t"]) + "\n", encoding="utf-8")
    return {"videos": videos, "register": tmp_path / "register.parquet", "shard_size": len(sources)}


def files(folder: Path) -> list[str]:
    """What stands in a folder, but for the note of what was written there."""
    return sorted(path.name for path in folder.iterdir() if path.name not in (".written", ".ledger.parquet"))


def write_sound(path: Path) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=16000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 16000), np.int16), format="s16", layout="mono")
        frame.sample_rate = 16000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
