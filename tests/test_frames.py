"""Frames: the right picture at the right time and in the right colour, and broken or hostile media as ledger rows."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pyarrow as pa
import pytest

from videobert.artefact import made, read_table, write_table
from videobert.errors import UserError
from videobert.frames import frames

BITS = 8


def barcode(number: int, height: int = 240, width: int = 320) -> np.ndarray:
    """A grey picture whose middle says its number in black and white bars, readable after cropping and scaling."""
    picture = np.full((height, width, 3), 128, np.uint8)
    side = min(height, width) * 3 // 4
    left, top = (width - side) // 2, (height - side) // 2
    for bit in range(BITS):
        bar = slice(left + side * bit // BITS, left + side * (bit + 1) // BITS)
        picture[top : top + side, bar] = 235 if number >> bit & 1 else 20
    return picture


def read_barcode(picture: np.ndarray) -> int:
    height, width = picture.shape[:2]
    side = min(height, width) * 3 / 4
    at = [round((width - side) / 2 + side * (bit + 0.5) / BITS) for bit in range(BITS)]
    return sum(
        (picture[height // 2 - 8 : height // 2 + 8, x - 2 : x + 2].mean() > 128) << bit for bit, x in enumerate(at)
    )


def write_video(
    path: Path,
    pictures: list[np.ndarray],
    times: list[float] | None = None,
    fps: int = 30,
    sound: float = 0.0,
    codec: str = "libx264",
    sar: Fraction = Fraction(1),
    **options: str,
) -> None:
    """A video of these pictures at these times (seconds; every 1/fps without), with this many seconds of sound."""
    times = [i / fps for i in range(len(pictures))] if times is None else times
    with av.open(str(path), "w", options=options) as file:
        if pictures:
            video = file.add_stream(codec, rate=fps)
            video.height, video.width, video.pix_fmt = *pictures[0].shape[:2], "yuv420p"
            video.codec_context.sample_aspect_ratio = sar
            video.codec_context.time_base = Fraction(1, 1000)
        if sound:
            audio = file.add_stream("aac", rate=16000, layout="mono")
            for start in range(0, int(sound * 16000), 1024):
                wave = (np.sin(np.arange(start, start + 1024) / 10) * 8000).astype(np.int16)[None]
                frame = av.AudioFrame.from_ndarray(wave, format="s16", layout="mono")
                frame.sample_rate, frame.pts, frame.time_base = 16000, start, Fraction(1, 16000)
                file.mux(audio.encode(frame))
            file.mux(audio.encode(None))
        for picture, time in zip(pictures, times, strict=True):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = round(time * 1000), Fraction(1, 1000)
            file.mux(video.encode(frame))
        if pictures:
            file.mux(video.encode(None))


def write_ledger(folder: Path, paths: list[str]) -> Path:
    """A download ledger that names these files; the stage is given what the stage above gives."""
    rows = [{"video_id": path.split(".")[0], "status": "ok", "reason": "", "path": path} for path in paths]
    rows.append({"video_id": "taken_down", "status": "gone", "reason": "removed by the uploader", "path": ""})
    write_table(pa.Table.from_pylist(rows), folder / "ledger.parquet", {"stage": "download"})
    return folder / "ledger.parquet"


def run(folder: Path, paths: list[str], output: Path | None = None, **settings: int) -> dict[str, dict]:
    output = output or folder / "out" / "ledger.parquet"
    frames(write_ledger(folder, paths), output, **settings)
    return {row["video_id"]: row for row in read_table(output).to_pylist()}


def pictures_of(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as file:
        assert all(abs(f.time - i / 20) < 1e-6 for i, f in enumerate(file.decode(video=0)))
    with av.open(str(path)) as file:
        return [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]


@pytest.mark.parametrize("fps", [10, 25, 30, 60])
def test_each_frame_is_what_was_shown_at_its_time(tmp_path, fps):
    write_video(tmp_path / "a.mp4", [barcode(i) for i in range(3 * fps)], fps=fps)
    row = run(tmp_path, ["a.mp4"])["a"]
    shown = [read_barcode(picture) for picture in pictures_of(tmp_path / "out" / row["path"])]
    assert row["status"] == "ok" and row["frames"] == len(shown) == 60 and row["duration"] == 3.0
    # Nearest in time: never further away than half of either frame's length.
    for i, number in enumerate(shown):
        assert abs(number / fps - i / 20) <= max(1 / fps, 1 / 20) / 2 + 1e-3, (i, number)
    assert made(tmp_path / "out" / "ledger.parquet")["settings"] == {"fps": 20, "size": 224, "crf": 18}


def test_variable_rate_and_late_start_keep_their_times(tmp_path):
    times = [0.5, 0.6, 1.5, 1.6, 3.0, 3.95]
    write_video(tmp_path / "a.mkv", [barcode(i) for i in range(6)], times, sound=4.0)
    row = run(tmp_path, ["a.mkv"])["a"]
    shown = [read_barcode(picture) for picture in pictures_of(tmp_path / "out" / row["path"])]
    for number, time in enumerate(times[1:5], start=1):
        assert abs(shown.index(number) - time * 20) <= 1, (number, time, shown)
    assert shown[0] == 0 and shown[29] == 1 and shown[40] == 3


def test_colours_survive_whatever_the_source_says_of_itself(tmp_path):
    colours = [(200, 30, 40), (30, 160, 60), (40, 60, 190), (220, 200, 40), (16, 16, 16), (240, 240, 240)]
    columns = np.repeat(np.array(colours, np.uint8), 40, axis=0)
    picture = np.repeat(columns[None], 240, axis=0)
    for name, matrix in (("bt601", 5), ("bt709", 1)):
        with av.open(str(tmp_path / f"{name}.mp4"), "w") as file:
            video = file.add_stream("libx264", rate=20, options={"crf": "5"})
            video.width, video.height, video.pix_fmt = 240, 240, "yuv420p"
            video.codec_context.colorspace = matrix
            for _ in range(4):
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
                frame = frame.reformat(format="yuv420p", dst_colorspace=matrix)
                frame.colorspace = matrix
                file.mux(video.encode(frame))
            file.mux(video.encode(None))
    rows = run(tmp_path, ["bt601.mp4", "bt709.mp4"])
    for row in rows.values():
        with av.open(str(tmp_path / "out" / row["path"])) as file:
            context = file.streams.video[0].codec_context
            assert (context.colorspace, context.color_range) == (1, 1)  # BT.709, studio range
        shown = pictures_of(tmp_path / "out" / row["path"])[1]
        found = [shown[112, round((i + 0.5) * 224 / 6)] for i in range(6)]
        assert np.abs(np.array(found, int) - np.array(colours)).max() <= 6, (row["video_id"], found)


@pytest.mark.parametrize(("height", "width", "sar"), [(240, 426, 1), (426, 240, 1), (240, 240, Fraction(16, 9))])
def test_the_middle_is_kept_in_its_shape(tmp_path, height, width, sar):
    picture = np.zeros((height, width, 3), np.uint8)
    rows, columns = np.mgrid[:height, :width]
    # A disc of 80 % of the square that is kept, as seen on the screen.
    square = min(height, width * float(sar))
    picture[np.hypot(rows - height / 2, (columns - width / 2) * float(sar)) < 0.4 * square] = 255
    write_video(tmp_path / "a.mp4", [picture] * 3, sar=Fraction(sar))
    row = run(tmp_path, ["a.mp4"], size=112)["a"]
    bright = pictures_of(tmp_path / "out" / row["path"])[0].mean(axis=2) > 128
    assert bright.shape == (112, 112)
    for axis in (0, 1):
        across = np.flatnonzero(bright.any(axis=axis))
        assert abs(across[0] - 11) <= 2 and abs(across[-1] - 100) <= 2


def test_broken_and_hostile_files_cost_only_themselves(tmp_path, capfd):
    secret = tmp_path / "secret.mp4"
    write_video(secret, [barcode(7)] * 60)
    write_video(tmp_path / "good.mp4", [barcode(i) for i in range(60)])
    whole = secret.read_bytes()
    (tmp_path / "zero.mp4").write_bytes(b"")
    (tmp_path / "text.mp4").write_text("<html>Please log in</html>\n" * 200)
    (tmp_path / "headless.mp4").write_bytes(whole[: len(whole) // 2])
    write_video(tmp_path / "silent.m4a", [], sound=2.0)
    (tmp_path / "playlist.mp4").write_text(
        f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{secret.as_uri()}\n#EXT-X-ENDLIST\n"
    )
    (tmp_path / "script.mp4").write_text(f"ffconcat version 1.0\nfile '{secret}'\n")
    names = ["zero.mp4", "text.mp4", "good.mp4", "headless.mp4", "silent.m4a", "playlist.mp4", "script.mp4"]
    rows = run(tmp_path, names)
    assert {name: row["status"] for name, row in rows.items()} == {
        name.split(".")[0]: "ok" if name == "good.mp4" else "unusable" for name in names
    }
    assert "no video stream" in rows["silent"]["reason"]
    assert all(row["reason"] and str(tmp_path) not in row["reason"] for row in rows.values() if row["status"] != "ok")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["good.mp4", "ledger.parquet"]


@pytest.mark.parametrize("name", ["playlist.m3u8", "script.ffconcat", "playlist.mp4", "script.mkv"])
def test_ffmpeg_itself_refuses_playlists(tmp_path, name):
    """The probe refuses them first; this is the second wall."""
    from videobert.errors import Loss
    from videobert.frames import _ffmpeg

    write_video(tmp_path / "secret.mp4", [barcode(7)] * 60)
    text = {
        "playlist": "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nsecret.mp4\n#EXT-X-ENDLIST\n",
        "script": "ffconcat version 1.0\nfile secret.mp4\n",
    }
    (tmp_path / name).write_text(text[name.split(".")[0]])
    with pytest.raises(Loss, match="unusable"):
        _ffmpeg(tmp_path / name, tmp_path / "out.mp4", {"late": 0.0, "interlaced": False, "duration": 2.0}, 20, 224, 18)


def test_a_video_that_breaks_off_is_kept_up_to_there(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (120, 240, 320, 3), np.uint8)  # even sizes in the file
    write_video(tmp_path / "whole.mp4", list(noise), movflags="+faststart")
    data = (tmp_path / "whole.mp4").read_bytes()
    (tmp_path / "most.mp4").write_bytes(data[: len(data) * 6 // 10])
    (tmp_path / "hardly.mp4").write_bytes(data[: len(data) // 10])
    rows = run(tmp_path, ["most.mp4", "hardly.mp4"])
    assert rows["most"]["status"] == "ok" and rows["most"]["reason"].startswith("partial: 2.")
    assert 38 <= rows["most"]["frames"] <= 50
    assert rows["most"]["frames"] == len(pictures_of(tmp_path / "out" / "most.mp4"))
    assert rows["hardly"]["status"] == "unusable"
    assert str(tmp_path) not in rows["most"]["reason"] and "0x" not in rows["most"]["reason"].split("(")[1][:20]


def test_sound_that_outlasts_the_pictures_is_no_damage(tmp_path):
    write_video(tmp_path / "a.mp4", [barcode(i) for i in range(60)], sound=8.0)
    row = run(tmp_path, ["a.mp4"])["a"]
    assert (row["status"], row["reason"], row["frames"]) == ("ok", "", 40)


def test_same_bytes_again_and_strays_are_swept(tmp_path):
    for name in "ab":
        write_video(tmp_path / f"{name}.mp4", [barcode(i) for i in range(40)])
    first, second = tmp_path / "one" / "ledger.parquet", tmp_path / "two" / "ledger.parquet"
    run(tmp_path, ["a.mp4", "b.mp4"], first)
    second.parent.mkdir()
    for stray in ("old.mp4", ".1a2b3c4d-half.mp4"):
        (second.parent / stray).write_bytes(b"left over")
    run(tmp_path, ["a.mp4", "b.mp4"], second)
    assert sorted(path.name for path in second.parent.iterdir()) == ["a.mp4", "b.mp4", "ledger.parquet"]
    for name in ("a.mp4", "b.mp4", "ledger.parquet"):
        assert (first.parent / name).read_bytes() == (second.parent / name).read_bytes(), name


def test_missing_media_stop_the_stage_and_what_was_done_is_kept(tmp_path):
    for name in "ab":
        write_video(tmp_path / f"{name}.mp4", [barcode(i) for i in range(40)])
    hidden = (tmp_path / "b.mp4").rename(tmp_path / "hidden")
    with pytest.raises(UserError, match=r"b\.mp4 is missing.*delete that ledger"):
        run(tmp_path, ["a.mp4", "b.mp4"])
    assert not (tmp_path / "out" / "ledger.parquet").exists()
    done = (tmp_path / "out" / "a.mp4").stat().st_mtime_ns
    hidden.rename(tmp_path / "b.mp4")
    rows = run(tmp_path, ["a.mp4", "b.mp4"])
    assert [row["status"] for row in rows.values()] == ["ok", "ok"]
    assert (tmp_path / "out" / "a.mp4").stat().st_mtime_ns == done  # not made a second time
