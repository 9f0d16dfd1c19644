"""Bringing the media of a shard: rendered, linked, fetched by the real yt-dlp from a server on this machine."""

import functools
import http.server
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from videobert.artefact import made, read_table
from videobert.download import download
from videobert.errors import UserError

FORMAT = "bv*[height<=480]+ba/b[height<=480]/b"
PAGE = "<title>Onions</title><video src='{video}'><track kind='subtitles' srclang='en' src='{track}'></video>"


@pytest.fixture
def site(tmp_path):
    """A folder and its address; `/status/503/...` answers with that status, and `asked` notes every path."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def do_GET(self):
            server.asked.append(self.path)
            if self.path.startswith("/status/"):
                self.send_error(int(self.path.split("/")[2]))
                return
            super().do_GET()

        def log_message(self, *_):
            pass

    folder = tmp_path / "www"
    folder.mkdir()
    write_video(folder / "onion.mp4")
    (folder / "en.vtt").write_text("WEBVTT\n\n00:00.500 --> 00:01.500\nSlice the onion.\n")
    (folder / "page.html").write_text(PAGE.format(video="onion.mp4", track="en.vtt"))
    (folder / "lost_captions.html").write_text(PAGE.format(video="onion.mp4", track="nowhere.vtt"))
    (folder / "two.html").write_text(PAGE.format(video="onion.mp4", track="") * 2)
    (folder / "text.html").write_text("<html><title>Onions</title>A text about onions.</html>")
    (folder / "text.mp4").write_text("This is no video.")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(folder)))
    server.asked = []
    server.address = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_kitchen_videos_are_rendered(tmp_path):
    rows = run(tmp_path, {"k": "kitchen:3"})
    row = rows["k"]
    assert (row["status"], row["path"], row["has_audio"], row["width"]) == ("ok", "k.mp4", True, 320)
    assert 30 < row["duration"] < 90
    assert "yt-dlp" not in made(tmp_path / "media" / "ledger.parquet")["packages"]
    with av.open(str(tmp_path / "media" / "k.mp4")) as container:
        assert next(container.decode(video=0)).width == 320


def test_local_files_are_linked(tmp_path, monkeypatch):
    video = write_video(tmp_path / "My Onion.MP4")
    (tmp_path / "onion.srt").write_text("1\n00:00:00,000 --> 00:00:01,000\nOnions.\n")
    monkeypatch.chdir(tmp_path)
    rows = run(
        tmp_path,
        {"absolute": str(video), "relative": "My Onion.MP4", "url": f"file://{write_video(tmp_path / 'b.mp4')}"},
        {"relative": "onion.srt", "absolute": "missing.vtt"},
    )
    assert [row["status"] for row in rows.values()] == ["ok"] * 3
    assert rows["relative"]["path"] == "relative.mp4"
    link = tmp_path / "media" / "relative.mp4"
    assert link.is_symlink() and os.readlink(link) == str(video)
    assert rows["relative"]["captions"] == "relative.en.srt"
    assert (tmp_path / "media" / "relative.en.srt").read_text().endswith("Onions.\n")
    assert rows["absolute"]["captions"] == ""
    assert rows["url"]["duration"] == pytest.approx(2.0, abs=0.1)


def test_what_is_no_video_is_in_the_ledger(tmp_path):
    (tmp_path / "text.mp4").write_text("This is no video.")
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
    assert files(tmp_path / "media") == ["ledger.parquet"]


def test_urls_are_fetched_with_their_captions(tmp_path, site):
    names = {"page": "page.html", "direct": "onion.mp4", "uncaptioned": "lost_captions.html"}
    rows = run(tmp_path, {key: f"{site.address}/{name}" for key, name in names.items()})
    assert {key: (row["status"], row["path"], row["captions"]) for key, row in rows.items()} == {
        "page": ("ok", "page.mp4", "page.en.vtt"),
        "direct": ("ok", "direct.mp4", ""),
        "uncaptioned": ("ok", "uncaptioned.mp4", ""),
    }
    assert rows["page"]["title"].startswith("Onions")
    media = tmp_path / "media"
    assert (media / "page.mp4").read_bytes() == (tmp_path / "www" / "onion.mp4").read_bytes()
    assert "Slice the onion." in (media / "page.en.vtt").read_text()
    assert "/nowhere.vtt" in site.asked
    assert files(media) == ["direct.mp4", "ledger.parquet", "page.en.vtt", "page.mp4", "uncaptioned.mp4"]
    assert "yt-dlp" in made(media / "ledger.parquet")["packages"]


def test_losses_have_their_class(tmp_path, site):
    wanted = {"missing.mp4": "gone", "status/410/a": "gone", "status/403/a": "blocked", "status/429/a": "blocked"}
    wanted |= {"status/503/a": "transient", "text.html": "unusable", "text.mp4": "unusable", "two.html": "unusable"}
    sources = {f"v{number}": f"{site.address}/{name}" for number, name in enumerate(wanted)}
    rows = run(tmp_path, sources | {"refused": "http://127.0.0.1:9/a.mp4"})
    assert [row["status"] for row in rows.values()] == [*wanted.values(), "transient"]
    assert "404" in rows["v0"]["reason"]
    assert not any("ERROR" in row["reason"] or " 0x" in row["reason"] for row in rows.values())


def test_a_killed_download_goes_on_where_it_was(tmp_path, site):
    """The second video's server hangs until the kill; what came before is not asked for again."""
    sources = {"first": f"{site.address}/page.html", "second": f"{site.address}/onion.mp4"}
    undisturbed = run(tmp_path, sources, folder="undisturbed")
    site.asked.clear()
    hang = threading.Event()
    serve = site.RequestHandlerClass.func.do_GET

    def hanging(handler):
        if handler.path == "/onion.mp4" and (tmp_path / "media" / ".journal" / "first.json").exists():
            hang.wait()
        serve(handler)

    site.RequestHandlerClass.func.do_GET = hanging
    arguments = [f"--{key}={value}" for key, value in listed(tmp_path, sources).items()]
    arguments += ["--shard=0000", f"--output={tmp_path / 'media' / 'ledger.parquet'}"]
    process = subprocess.Popen(
        [sys.executable, "-m", "videobert", "download", *arguments, f"--format={FORMAT}", "--captions=[en]"],
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 60
    while not (tmp_path / "media" / ".journal" / "first.json").exists():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    hang.set()
    assert not (tmp_path / "media" / "ledger.parquet").exists()
    site.asked.clear()
    assert run(tmp_path, sources) == undisturbed
    assert "/onion.mp4" in site.asked and "/page.html" not in site.asked
    pair = [tmp_path / folder / "ledger.parquet" for folder in ("media", "undisturbed")]
    assert pair[0].read_bytes() == pair[1].read_bytes()
    assert files(tmp_path / "media") == files(tmp_path / "undisturbed")


def test_media_of_another_list_are_removed_and_nothing_else(tmp_path):
    video = write_video(tmp_path / "a.mp4")
    (tmp_path / "media").mkdir()
    (tmp_path / "media" / "mine.txt").write_text("not the pipeline's")
    others = {name: str(write_video(tmp_path / f"{name}.mp4")) for name in ("old", "new")}
    run(tmp_path, {"old": others["old"], "kept": str(video)})
    run(tmp_path, {"new": others["new"], "kept": str(video)})
    assert files(tmp_path / "media") == ["kept.mp4", "ledger.parquet", "mine.txt", "new.mp4"]
    assert video.exists()


def test_same_list_gives_the_same_bytes(tmp_path):
    sources = {"a": str(write_video(tmp_path / "a.mp4")), "b": str(tmp_path / "missing.mp4")}
    run(tmp_path, sources, folder="one")
    run(tmp_path, sources, folder="two")
    assert (tmp_path / "one" / "ledger.parquet").read_bytes() == (tmp_path / "two" / "ledger.parquet").read_bytes()


def test_an_unknown_shard_is_an_error(tmp_path):
    with pytest.raises(UserError, match="no shard '0002'"):
        download(**listed(tmp_path, {"a": "a.mp4"}), shard="0002", output=tmp_path / "x", format=FORMAT, captions=[])


def run(tmp_path: Path, sources: dict[str, str], captions: dict[str, str] | None = None, folder: str = "media") -> dict:
    """Downloads `sources` (by id) to tmp_path/folder; gives the ledger's rows by id."""
    output = tmp_path / folder / "ledger.parquet"
    download(**listed(tmp_path, sources, captions), shard="0000", output=output, format=FORMAT, captions=["en"])
    return {row["video_id"]: row for row in read_table(output).to_pylist()}


def listed(tmp_path: Path, sources: dict[str, str], captions: dict[str, str] | None = None) -> dict[str, Any]:
    """Writes the list of videos; gives the arguments that name it. A video of the next shard stands at its end."""
    rows = [f"{key}\t{source}\t{(captions or {}).get(key, '')}" for key, source in sources.items()]
    videos = tmp_path / "videos.tsv"
    videos.write_text("\n".join(["id\tsource\tcaptions", *rows, "elsewhere\tkitchen:0\t"]) + "\n")
    return {"videos": videos, "register": tmp_path / "register.parquet", "shard_size": len(sources)}


def files(folder: Path) -> list[str]:
    """What stands in a folder, but for the note of what was written there."""
    return sorted(path.name for path in folder.iterdir() if path.name != ".written")


def write_video(path: Path) -> Path:
    """Two seconds of 64x64 at 10 fps, without sound."""
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=10, width=64, height=64, pix_fmt="yuv420p")
        for shade in range(0, 200, 10):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.full((64, 64, 3), shade, np.uint8))))
        container.mux(stream.encode(None))
    return path


def write_sound(path: Path) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=16000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 16000), np.int16), format="s16", layout="mono")
        frame.sample_rate = 16000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
