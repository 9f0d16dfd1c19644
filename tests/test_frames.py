"""Frames: the right picture at the right time and in the right colour, and broken or hostile media as ledger rows."""

import os
import re
import shutil
import struct
import subprocess
import sys
import threading
import time
import zlib
from fractions import Fraction
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import av
import numpy as np
import pyarrow as pa
import pytest
from calls import frames, with_facts
from transport import restamped

from videobert.data.provenance import read_provenance, read_table, write_table
from videobert.errors import UserError, VideoError
from videobert.media.ffmpeg import ffmpeg_binary
from videobert.media.normalising import WHOLE, FrameFormat, _complaint, _ffmpeg, normalise
from videobert.media.probing import probe

BITS = 8
pytestmark = pytest.mark.slow  # ffmpeg at work
X264 = ("-c:v", "libx264", "-preset", "ultrafast")


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
            video.codec_context.options = {"preset": "ultrafast"} if codec == "libx264" else {}
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


@cache
def numbers() -> list[np.ndarray]:
    return [barcode(i) for i in range(60)]


@cache
def encoders() -> str:
    return subprocess.run([ffmpeg_binary(), "-hide_banner", "-encoders"], capture_output=True, text=True).stdout


def encode(path: Path, *arguments: str, pictures: list[np.ndarray] | None = None, fps: int = 25, inputs=()) -> None:
    """A video of these pictures (numbers from 0, without), made by the ffmpeg at hand; input 0 are the pictures."""
    for name in (after for word, after in zip(arguments, arguments[1:]) if word.startswith("-c:")):
        if name != "copy" and f" {name} " not in encoders():
            pytest.skip(f"this machine's ffmpeg has no encoder {name}")
    pictures = numbers() if pictures is None else pictures
    height, width = pictures[0].shape[:2]
    raw = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", str(fps), "-i", "-"]
    remake(path, *raw, *inputs, *arguments, data=b"".join(picture.tobytes() for picture in pictures))


def remake(path: Path, *arguments: str, data: bytes = b"") -> None:
    command = [ffmpeg_binary(), "-y", "-hide_banner", "-loglevel", "error", *arguments, path]
    done = subprocess.run(command, input=data, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()


def shown(source: Path, **settings: int) -> list[int]:
    """The numbers that the frames show."""
    settings = {"fps": 20, "size": 224, "crf": 18, **settings}
    row = normalise(source, source.with_suffix(".frames.mp4"), FrameFormat(**settings))
    with av.open(str(source.with_suffix(".frames.mp4"))) as file:
        found = [read_barcode(frame.to_ndarray(format="rgb24")) for frame in file.decode(video=0)]
    assert row["frames"] == len(found) and row["reason"] == ""
    return found


def assert_in_time(found: list[int], fps: int = 25, fields: int = 1) -> None:
    """Nearest in time: never further away than half of either frame's length."""
    for i, number in enumerate(found):
        assert abs(number / fields / fps - i / 20) <= max(1 / fps, 1 / 20) / 2 + 1e-3, (i, number, found)


def write_ledger(folder: Path, paths: list[str]) -> Path:
    """A download ledger that names these files; the stage is given what the stage above gives."""
    rows = [{"video_id": path.split(".")[0], "status": "ok", "reason": "", "path": path} for path in paths]
    rows.append({"video_id": "taken_down", "status": "gone", "reason": "removed by the uploader", "path": ""})
    rows = [with_facts(folder, row) for row in rows]
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


@pytest.mark.parametrize("fps", [10, 25, 60])
def test_each_frame_is_what_was_shown_at_its_time(tmp_path, fps):
    write_video(tmp_path / "a.mp4", [barcode(i) for i in range(3 * fps)], fps=fps)
    row = run(tmp_path, ["a.mp4"])["a"]
    shown = [read_barcode(picture) for picture in pictures_of(tmp_path / "out" / row["path"])]
    assert row["status"] == "ok" and row["frames"] == len(shown) == 60 and row["duration"] == 3.0
    # Nearest in time: never further away than half of either frame's length.
    for i, number in enumerate(shown):
        assert abs(number / fps - i / 20) <= max(1 / fps, 1 / 20) / 2 + 1e-3, (i, number)
    assert read_provenance(tmp_path / "out" / "ledger.parquet")["settings"] == {"fps": 20, "size": 224, "crf": 18}


def test_variable_rate_and_late_start_keep_their_times(tmp_path):
    times = [0.5, 0.6, 1.5, 1.6, 3.0, 3.95]
    write_video(tmp_path / "a.mkv", [barcode(i) for i in range(6)], times, sound=4.0)
    row = run(tmp_path, ["a.mkv"])["a"]
    shown = [read_barcode(picture) for picture in pictures_of(tmp_path / "out" / row["path"])]
    for number, at in enumerate(times[1:5], start=1):
        assert abs(shown.index(number) - at * 20) <= 1, (number, at, shown)
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
    (tmp_path / "text.mp4").write_text("<html>Please log in</html>\n" * 200, encoding="utf-8")
    (tmp_path / "headless.mp4").write_bytes(whole[: len(whole) // 2])
    write_video(tmp_path / "silent.m4a", [], sound=2.0)
    (tmp_path / "playlist.mp4").write_text(
        f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{secret.as_uri()}\n#EXT-X-ENDLIST\n", encoding="utf-8"
    )
    (tmp_path / "script.mp4").write_text(f"ffconcat version 1.0\nfile '{secret}'\n", encoding="utf-8")
    names = ["zero.mp4", "text.mp4", "good.mp4", "headless.mp4", "silent.m4a", "playlist.mp4", "script.mp4"]
    rows = run(tmp_path, names)
    assert {name: row["status"] for name, row in rows.items()} == {
        name.split(".")[0]: "ok" if name == "good.mp4" else "unusable" for name in names
    }
    assert "no video stream" in rows["silent"]["reason"]
    assert all(row["reason"] and str(tmp_path) not in row["reason"] for row in rows.values() if row["status"] != "ok")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["good.mp4", "ledger.parquet"]


@pytest.fixture
def server():
    """A server on this machine that notes what it is asked for: nothing, if all is well."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()


def poses(secret: Path, address: str) -> dict[str, bytes]:
    """Files that say where to find the pictures instead of holding them."""
    playlist = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{}\n#EXT-X-ENDLIST\n"
    script = "ffconcat version 1.0\nfile '{}'\n"
    dash = (
        '<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" mediaPresentationDuration="PT2S"'
        ' profiles="urn:mpeg:dash:profile:isoff-on-demand:2011"><Period><AdaptationSet mimeType="video/mp4">'
        '<Representation id="1" bandwidth="1"><BaseURL>{}</BaseURL></Representation></AdaptationSet></Period></MPD>'
    )
    texts = {
        "hls_file": playlist.format(secret),
        "hls_name": playlist.format(secret.name),
        "hls_uri": playlist.format(secret.as_uri()),
        "hls_web": playlist.format(f"{address}/a.ts"),
        # The trick that once sent the first line of a file to a server.
        "hls_concat": playlist.format(f"concat:{address}/header.m3u8|file://{secret}"),
        "hls_key": "#EXTM3U\n#EXT-X-TARGETDURATION:2\n"
        f'#EXT-X-KEY:METHOD=AES-128,URI="{address}/key"\n#EXTINF:2,\n{secret}\n#EXT-X-ENDLIST\n',
        "concat_name": script.format(secret.name),
        "concat_file": script.format(secret),
        "concat_web": script.format(f"{address}/a.mp4"),
        "dash_file": dash.format(secret),
        "dash_web": dash.format(f"{address}/a.mp4"),
        "sdp": f"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\na=control:{address}\n"
        "m=video 5004 RTP/AVP 96\na=rtpmap:96 H264/90000\n",
        "rtsp": f"[Reference]\nRef1={address}/a.asf\nRef2=file://{secret}\n",
        "asx": f'<asx version="3.0"><entry><ref href="{address}/a.wmv"/></entry></asx>',
        "smil": f'<smil><body><video src="{address}/a.mp4"/></body></smil>',
        "xspf": f"<playlist><trackList><track><location>{address}/a</location></track></trackList></playlist>",
        "avs": f'DirectShowSource("{secret}")\n',
        "metadata": f";FFMETADATA1\ntitle={secret}\n",
        "lavfi": f"movie={secret}\n",
        "magick": f"push graphic-context\nimage over 0,0 0,0 '{address}/a.png'\npop graphic-context\n",
        "svg": f'<svg xmlns="http://www.w3.org/2000/svg"><image href="{address}/a.png"/></svg>',
        "plain": "the text of a file is no picture of it\n" * 100,
    }
    return {name: text.encode() for name, text in texts.items()} | {"reference": reference_movie(secret)}


def reference_movie(secret: Path) -> bytes:
    """The secret's index with an alias for the data: a QuickTime film may have its pictures in another file."""
    name, path = secret.name.encode(), str(secret).encode()
    record = bytes(10) + b"\x04disk".ljust(28, b"\0") + bytes(12) + bytes([len(name)]) + name.ljust(63, b"\0")
    record += bytes(16) + b"\0\x01\0\x01" + bytes(16)
    path = b"disk" + path.replace(b"/", b":")
    record += (2).to_bytes(2, "big") + len(path).to_bytes(2, "big") + path + b"\0" * (len(path) % 2) + b"\xff\xff\0\0"
    alias = (12 + len(record)).to_bytes(4, "big") + b"alis" + bytes(4) + record

    def rewritten(data: bytes) -> bytes:
        out, at = b"", 0
        while at < len(data):
            size, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
            body = data[at + 8 : at + size]
            if kind in (b"moov", b"trak", b"mdia", b"minf", b"dinf"):
                body = rewritten(body)
            if kind == b"dref":
                body = body[:8] + alias
            if kind != b"mdat":
                out += (8 + len(body)).to_bytes(4, "big") + kind + body
            at += size
        return out

    return rewritten(secret.read_bytes())


@pytest.fixture
def secret(tmp_path) -> Path:
    write_video(tmp_path / "secret.mp4", [barcode(173)] * 60)
    return tmp_path / "secret.mp4"


def opens(path: Path, **options: str) -> list[int]:
    """What a demuxer without our bounds shows of it."""
    with av.open(str(path), container_options=options) as file:
        return [read_barcode(frame.to_ndarray(format="rgb24")) for frame in file.decode(video=0)]


def test_a_file_shows_no_other_file_and_asks_no_server(tmp_path, secret, server):
    address, asked = server
    posing = poses(secret, address)
    for name, data in posing.items():
        (tmp_path / f"{name}.mp4").write_bytes(data)
    # These work where nobody looks: it is the bounds that stop them.
    assert opens(tmp_path / "concat_file.mp4", safe="0") == [173] * 60
    assert opens(tmp_path / "reference.mp4", enable_drefs="1", use_absolute_path="1") == [173] * 60
    (tmp_path / "wall.m3u8").write_bytes(posing["hls_web"])
    with pytest.raises(av.FFmpegError):
        opens(tmp_path / "wall.m3u8", protocol_whitelist="file,http,tcp", extension_picky="0")
    assert set(asked) == {"/a.ts"}
    asked.clear()
    rows = run(tmp_path, [f"{name}.mp4" for name in posing])
    rows.pop("taken_down", None)
    assert {row["status"] for row in rows.values()} == {"unusable"} and len(rows) == len(posing)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["ledger.parquet"]
    # The second wall: ffmpeg itself, if the probe had let them through.
    believed = {"stream": 0, "late": 0.0, "interlaced": False, "gap": 0.1, "duration": 2.0, "as_stamped": False}
    for name in posing:
        for suffix in ("mp4", "m3u8", "ffconcat", "mpd", "sdp", "avi"):
            if suffix in ("mp4", "avi") or name.split("_")[0] in {
                "m3u8": "hls",
                "ffconcat": "concat",
                "mpd": "dash",
            }.get(suffix, suffix):
                (tmp_path / f"wall.{suffix}").write_bytes(posing[name])
                with pytest.raises(VideoError, match="unusable"):
                    _ffmpeg(
                        tmp_path / f"wall.{suffix}",
                        tmp_path / "wall.out.mp4",
                        believed,
                        FrameFormat(20, 224, 18),
                        WHOLE,
                    )
    assert asked == []
    assert "173" not in str([row["reason"] for row in rows.values()])


def test_a_pattern_in_a_name_is_a_name(tmp_path):
    """To ffmpeg `%03d` in the name of a picture stands for numbers, and `a|b`, `concat:a` for several files."""
    write_video(tmp_path / "001.mp4", [barcode(173)] * 60)
    encode(tmp_path / "plain.mp4", *X264)
    for name in ("%03d.mp4", "concat:001.mp4", "-i.mp4", "a'b;c d$(e).mp4", "[0].mp4"):
        shutil.copy(tmp_path / "plain.mp4", tmp_path / name)
        assert_in_time(shown(tmp_path / name))
    with pytest.raises(VideoError, match="unusable"):
        normalise(tmp_path / "%02d.mp4", tmp_path / "out.mp4", FrameFormat(20, 224, 18))


def png(width: int, height: int) -> bytes:
    """A black picture of any size in little space."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    packer = zlib.compressobj(1)
    data = b"".join(packer.compress(bytes(width + 1)) for _ in range(height)) + packer.flush()
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def write_packets(path: Path, codec: str, packets: list[bytes], times: list[int]) -> None:
    """A file whose pictures are these bytes, whatever they are, at these milliseconds; it says that they are 64x64."""
    with av.open(str(path), "w") as file:
        stream = file.add_stream(codec, rate=25)
        stream.width = stream.height = 64
        stream.pix_fmt = "rgb24" if codec == "png" else "yuvj420p"
        for data, time in zip(packets, times, strict=True):
            packet = av.Packet(data)
            packet.stream, packet.time_base, packet.is_keyframe = stream, Fraction(1, 1000), True
            packet.pts = packet.dts = time
            file.mux(packet)


def index_bomb(path: Path) -> None:
    """Some kilobytes whose index has eighty million pictures of one byte."""
    encode(path, "-c:v", "rawvideo", pictures=[np.zeros((32, 32, 3), np.uint8)] * 3)
    data = bytearray(path.read_bytes())
    many = struct.pack(">I", 80_000_000)
    sizes, times, chunks = (data.index(kind) for kind in (b"stsz", b"stts", b"stsc"))
    data[sizes + 8 : sizes + 16] = struct.pack(">I", 1) + many
    data[times + 12 : times + 16] = many
    data[chunks + 16 : chunks + 20] = many
    path.write_bytes(data)


def test_bombs_are_refused_before_they_eat_memory(tmp_path):
    write_packets(tmp_path / "hidden.mov", "png", [png(20_000, 20_000)] * 2, [0, 40])
    # Sizes that ffmpeg itself would take.
    write_packets(tmp_path / "large.mov", "png", [png(12_000, 12_000)] * 2, [0, 40])
    encode(tmp_path / "small.avi", "-c:v", "mjpeg", pictures=[barcode(i) for i in range(3)])
    size = struct.pack(">HH", 240, 320)
    assert size in (tmp_path / "small.avi").read_bytes()
    data = (tmp_path / "small.avi").read_bytes().replace(size, struct.pack(">HH", 12_000, 12_000))
    (tmp_path / "inside.avi").write_bytes(data)
    index_bomb(tmp_path / "index.mov")
    for name in ("hidden.mov", "large.mov", "inside.avi", "index.mov"):
        row, megabytes, seconds = costs(tmp_path / name)
        assert row["reason"].startswith("unusable"), (name, row)
        assert megabytes < 700 and seconds < 20, (name, megabytes, seconds)


@pytest.mark.parametrize("name", ["fast.mp4", "fast.mkv", "fast.ts"])
def test_ten_thousand_pictures_a_second_are_refused(tmp_path, name):
    encode(tmp_path / name, *X264, pictures=[np.zeros((32, 32, 3), np.uint8)] * 11_000, fps=10_000)
    row, megabytes, _ = costs(tmp_path / name)
    assert megabytes < 200
    assert re.fullmatch(r"unusable: (10|9)\d+ pictures a second; more than 1000 are refused", row["reason"])


def test_a_high_rate_that_is_just_said_is_the_unit_of_a_clock(tmp_path):
    """Cameras in browsers write such files."""
    write_video(tmp_path / "said.mkv", [barcode(i) for i in range(30)], fps=10_000, times=[i / 25 for i in range(30)])
    assert_in_time(shown(tmp_path / "said.mkv")[:24])


def test_a_gap_of_a_day_is_not_filled(tmp_path):
    whole = tmp_path / "a.mkv"
    encode(tmp_path / "small.avi", "-c:v", "mjpeg", pictures=[np.zeros((64, 64, 3), np.uint8)] * 2)
    with av.open(str(tmp_path / "small.avi")) as file:
        pictures = [bytes(packet) for packet in file.demux(video=0) if packet.size]
    write_packets(whole, "mjpeg", pictures, [0, 20 * 3600 * 1000])
    with pytest.raises(VideoError, match=r"says that it lasts 20\.0 h"):
        normalise(whole, tmp_path / "out.mp4", FrameFormat(1, 64, 18))
    # A file that does not say so.
    remake(tmp_path / "live.mkv", "-i", whole, "-c", "copy", "-f", "matroska", "-live", "1")
    with pytest.raises(VideoError, match="lasts more than 12 h"):
        normalise(tmp_path / "live.mkv", tmp_path / "out.mp4", FrameFormat(1, 64, 18))
    assert not list(tmp_path.glob("*out.mp4"))


def test_a_gap_of_minutes_is_filled_in_little_memory(tmp_path):
    encode(tmp_path / "plain.avi", "-c:v", "mjpeg", pictures=[barcode(i) for i in range(40)])
    with av.open(str(tmp_path / "plain.avi")) as file:
        pictures = [bytes(packet) for packet in file.demux(video=0) if packet.size]
    times = [i * 40 for i in range(20)]
    write_packets(tmp_path / "a.mkv", "mjpeg", pictures, times + [200_000 + time for time in times])
    row, megabytes, _ = costs(tmp_path / "a.mkv", "20, 112, 18")
    assert row["frames"] == 4_016 and megabytes < 100
    with av.open(str(tmp_path / "out.mp4")) as file:
        found = [read_barcode(frame.to_ndarray(format="rgb24")) for frame in file.decode(video=0)]
    assert_in_time(found[:15])
    assert set(found[16:3_999]) == {19}
    assert_in_time([number - 20 for number in found[4_000:]])


def test_ffmpeg_stops_at_the_longest_video(tmp_path, monkeypatch):
    from videobert.media import decoding, normalising, probing

    write_video(tmp_path / "a.mp4", [barcode(i) for i in range(200)], fps=25)
    for module in (decoding, normalising, probing):
        monkeypatch.setattr(module, "LONGEST", 2, raising=False)
    believed = {"stream": 0, "late": 0.0, "interlaced": False, "gap": 0.1, "duration": 0.0, "as_stamped": False}
    _ffmpeg(tmp_path / "a.mp4", tmp_path / "out.mp4", believed, FrameFormat(20, 112, 18), WHOLE)
    assert decoding.count_frames(tmp_path / "out.mp4") == 41
    with pytest.raises(VideoError, match="it says that it lasts"):
        probing._facts(tmp_path / "a.mp4")


def test_one_damaged_clock_costs_one_picture(tmp_path):
    encode(tmp_path / "plain.avi", "-c:v", "mjpeg")
    with av.open(str(tmp_path / "plain.avi")) as file:
        pictures = [bytes(packet) for packet in file.demux(video=0) if packet.size]
    write_packets(tmp_path / "a.wmv", "mjpeg", pictures, [i * 40 for i in range(60)])
    # ASF writes the time of the 20th picture (and the 3.1 s that it adds to all times) beside the picture's size.
    size, time = len(pictures[20]).to_bytes(4, "little"), (800 + 3100).to_bytes(4, "little")
    data = (tmp_path / "a.wmv").read_bytes()
    assert size + time in data
    (tmp_path / "a.wmv").write_bytes(data.replace(size + time, size + (13_000_000).to_bytes(4, "little")))
    with av.open(str(tmp_path / "a.wmv")) as file:
        assert max(packet.pts for packet in file.demux(video=0) if packet.size) > 12_000_000
    found = shown(tmp_path / "a.wmv")
    assert len(found) == 48 and 20 not in found
    assert_in_time([20 if i == 16 else number for i, number in enumerate(found)])


def test_time_and_memory_have_bounds(tmp_path, monkeypatch):
    from videobert.media import normalising
    from videobert.media.bounded import run_bounded

    begun = time.monotonic()
    with pytest.raises(VideoError, match="not done with after"):
        run_bounded([sys.executable, "-c", "import time; time.sleep(600)"], 0.5, 1 << 30)
    endless = "while True: print('complaint ' * 100)"
    with pytest.raises(VideoError, match="not done with after"):
        run_bounded([sys.executable, "-c", endless], 1, 1 << 30)
    code, said = run_bounded([sys.executable, "-c", "bytes(2 << 30)"], 60, 1 << 30)
    assert code == 1 and said[-1] == "MemoryError"
    assert run_bounded([sys.executable, "-c", "import os; os.abort()"], 60, 1 << 30)[0] == -6
    assert time.monotonic() - begun < 500
    write_video(tmp_path / "a.mp4", [barcode(i % 256) for i in range(300)])
    monkeypatch.setattr(normalising, "_time_limit", lambda *_: 0.01)
    with pytest.raises(UserError, match=r"1 of 1 videos failed.*a: it was not done with after 0 s.*tries these alone"):
        run(tmp_path, ["a.mp4"])  # a busy machine looks the same
    rows = run(tmp_path, ["a.mp4"])
    assert (rows["a"]["status"], rows["a"]["reason"]) == ("unusable", "it was not done with after 0 s")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["ledger.parquet"]


def test_complaints_are_one_printable_line_without_this_machines_paths(tmp_path):
    said = ["\x1b[31m[h264 @ 0x55aa] \u202ebad\x00 picture in file:/home/me/a.mp4 " + "x" * 500, "more"]
    found = _complaint(said, Path("/home/me/a.mp4"))
    assert found.isprintable() and 190 < len(found) <= 200 and "[h264]" in found and "in a.mp4" in found


def test_a_video_that_breaks_off_is_kept_up_to_there(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (120, 120, 160, 3), np.uint8)  # even sizes in the file
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
    ledger, output = write_ledger(tmp_path, ["a.mp4", "b.mp4"]), tmp_path / "out" / "ledger.parquet"
    hidden = (tmp_path / "b.mp4").rename(tmp_path / "hidden")
    with pytest.raises(UserError, match=r"b\.mp4 is missing.*delete that ledger"):
        frames(ledger, output)
    assert not (tmp_path / "out" / "ledger.parquet").exists()
    done = (tmp_path / "out" / "a.mp4").stat().st_mtime_ns
    hidden.rename(tmp_path / "b.mp4")
    frames(ledger, output)
    assert read_table(output)["status"].to_pylist() == ["ok", "ok"]
    assert (tmp_path / "out" / "a.mp4").stat().st_mtime_ns == done  # not made a second time


STRANGE = {
    "vp9.webm": ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8"),
    "av1.mkv": ("-c:v", "libsvtav1", "-preset", "12"),
    "hevc10.mp4": ("-c:v", "libx265", "-pix_fmt", "yuv420p10le", "-x265-params", "log-level=none"),
    "h264_444.mp4": (*X264, "-pix_fmt", "yuv444p"),
    "mpeg2.mpg": ("-c:v", "mpeg2video", "-b:v", "2M"),
    "wmv2.wmv": ("-c:v", "wmv2", "-b:v", "2M"),
    "theora.ogv": ("-c:v", "libtheora", "-q:v", "8"),
    "mjpeg.avi": ("-c:v", "mjpeg", "-q:v", "3"),
    "rgb.mkv": ("-c:v", "ffv1", "-pix_fmt", "gbrp"),
    "full_range.mp4": (*X264, "-vf", "scale=out_range=full", "-color_range", "pc"),
    "flv.flv": X264,
    "ts.ts": X264,
    "fragments.mp4": (*X264, "-movflags", "frag_keyframe+empty_moov"),
    "no_duration.mkv": (*X264, "-f", "matroska", "-live", "1"),
    "b_frames.mp4": ("-c:v", "libx264", "-bf", "8", "-g", "250"),
    "odd.mkv": (*X264, "-pix_fmt", "yuv444p", "-vf", "crop=319:239"),
    "tall.mkv": ("-c:v", "ffv1", "-vf", "crop=239:iw*0.75"),
    "wide_pixels.mkv": ("-c:v", "ffv1", "-vf", "scale=160:240,setsar=2"),
    "thin_pixels.mp4": (*X264, "-vf", "scale=640:240,setsar=1/2"),
}


@pytest.mark.parametrize("name", STRANGE)
def test_codecs_containers_and_shapes_keep_their_times(tmp_path, name):
    encode(tmp_path / name, *STRANGE[name])
    found = shown(tmp_path / name)
    assert len(found) == pytest.approx(48, abs=1)  # MPEG's clocks leave room for one
    assert_in_time(found[:48])


def test_interlaced_pictures_are_taken_apart(tmp_path):
    # Every other field says the opposite: a picture of both is grey.
    fields = [barcode(i if i % 2 == 0 else 255 - i) for i in range(120)]
    weave = ("-vf", "tinterlace=interleave_top,setfield=tff", "-flags", "+ildct+ilme")
    for name, codec in (("a.mpg", ("-c:v", "mpeg2video", "-b:v", "9M")), ("a.mp4", ("-c:v", "libx264"))):
        encode(tmp_path / name, *codec, *weave, pictures=fields, fps=50)
        assert_in_time(shown(tmp_path / name)[:48], fields=2)
        picture = pictures_of(tmp_path / "a.frames.mp4")[30].astype(float)[90:130, 40:184]
        assert np.minimum(abs(picture - 20), abs(picture - 235)).mean() < 30, name


@pytest.mark.parametrize("turn", [90, 180, 270])
def test_turned_videos_are_upright(tmp_path, turn):
    lying = [np.ascontiguousarray(np.rot90(barcode(i, 240, 240), -turn // 90)) for i in range(60)]
    encode(tmp_path / "flat.mp4", *X264, pictures=lying)
    remake(tmp_path / "a.mp4", "-display_rotation", str(turn), "-i", tmp_path / "flat.mp4", "-c", "copy")
    assert_in_time(shown(tmp_path / "a.mp4"))


def test_turned_videos_of_oblong_pixels_keep_their_shape(tmp_path):
    rows, columns = np.mgrid[:240, :240]
    disc = np.zeros((240, 240, 3), np.uint8)
    disc[np.hypot((rows - 120) * 0.5, columns - 120) < 48] = 255  # stored lying: its pixels are half as high as wide
    encode(tmp_path / "flat.mp4", *X264, "-vf", "setsar=2/1", pictures=[disc] * 3)
    remake(tmp_path / "a.mp4", "-display_rotation", "90", "-i", tmp_path / "flat.mp4", "-c", "copy")
    normalise(tmp_path / "a.mp4", tmp_path / "out.mp4", FrameFormat(20, 224, 18))
    bright = pictures_of(tmp_path / "out.mp4")[0].mean(axis=2) > 128
    across = [np.ptp(np.flatnonzero(bright.any(axis=axis))) for axis in (0, 1)]
    assert abs(across[0] - across[1]) <= 3 and across[0] > 50


def test_of_several_streams_the_first_moving_one_counts(tmp_path):
    from PIL import Image

    Image.fromarray(barcode(255)).save(tmp_path / "cover.png")
    encode(tmp_path / "one.mp4", *X264)
    encode(tmp_path / "other.mp4", *X264, pictures=[barcode(255, 480, 640)] * 60)
    first, other, cover = ("-i", tmp_path / "one.mp4"), ("-i", tmp_path / "other.mp4"), ("-i", tmp_path / "cover.png")
    remake(tmp_path / "two.mkv", *first, *other, "-map", "0", "-map", "1", "-c", "copy")
    # The cover stands first in the file.
    art = ("-map", "0", "-map", "1", "-c:v:0", "mjpeg", "-c:v:1", "copy", "-disposition:v:0", "attached_pic")
    remake(tmp_path / "cover.mp4", *cover, *first, *art)
    attached = ("-metadata:s:t", "mimetype=image/png", "-metadata:s:t", "filename=cover.png")
    remake(tmp_path / "cover.mkv", *first, "-c", "copy", "-attach", tmp_path / "cover.png", *attached)
    for name in ("two.mkv", "cover.mp4", "cover.mkv"):
        assert_in_time(shown(tmp_path / name))


SOUND = ("-f", "lavfi", "-i", "sine=d=3.4")


@pytest.mark.parametrize("name", ["a.ts", "a.mpg", "a.mp4", "a.mkv", "a.flv"])
def test_pictures_that_begin_after_the_sound_keep_their_time(tmp_path, name):
    """Time zero is the file's start, for pictures and for sound: else a clip is not where its sentence is."""
    codecs = ("-c:v", "mpeg2video", "-c:a", "mp2") if name == "a.mpg" else (*X264, "-c:a", "aac")
    maps = ("-map", "0:v", "-map", "1:a", "-vf", "setpts=PTS+1/TB")
    encode(tmp_path / name, *maps, *codecs, inputs=SOUND)
    found = shown(tmp_path / name)
    assert found[:19] == [0] * 19
    for i, number in enumerate(found[22:66], 22):
        assert abs(number / 25 + 1 - i / 20) <= 0.05, (i, number)  # MPEG's sound begins a little late itself


@pytest.mark.parametrize("name", ["a.mp4", "a.ts", "a.mkv"])
def test_times_below_zero_and_far_above_are_shifted(tmp_path, name):
    encode(tmp_path / "plain.mp4", *X264)
    for offset in ("-0.5", "5000"):
        how = ("-copyts", "-avoid_negative_ts", "disabled", "-muxdelay", "0")
        if name == "a.mkv" and offset == "-0.5":
            continue  # Matroska has no times below zero
        remake(tmp_path / name, "-itsoffset", offset, "-i", tmp_path / "plain.mp4", "-c", "copy", *how)
        found = shown(tmp_path / name)
        # An edit list that begins before zero says that what is there is not shown.
        hidden = 12.5 if (name, offset) == ("a.mp4", "-0.5") else 0
        for i, number in enumerate(found[:30]):
            assert abs((number - hidden) / 25 - i / 20) <= 0.046, (offset, i, number)


def test_a_cut_without_encoding_begins_where_it_says(tmp_path):
    encode(tmp_path / "plain.mp4", *X264, "-g", "50", pictures=[barcode(i) for i in range(100)])
    remake(tmp_path / "cut.mp4", "-ss", "1", "-i", tmp_path / "plain.mp4", "-c", "copy")
    found = shown(tmp_path / "cut.mp4")  # pictures 0 to 24 are in the file, and not shown
    assert_in_time([number - 25 for number in found])


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.avi"])
def test_one_picture_is_a_video(tmp_path, name, count):
    encode(tmp_path / name, *X264, pictures=[barcode(40 + i) for i in range(count)])
    assert shown(tmp_path / name)[0] == 40


@pytest.mark.parametrize(("width", "height"), [(1, 1), (2, 2), (3, 501), (501, 3)])
def test_the_smallest_and_the_oddest_sizes(tmp_path, width, height):
    pictures = [np.full((height, width, 3), 200, np.uint8)] * 30
    encode(tmp_path / "a.mkv", "-c:v", "ffv1", pictures=pictures)
    normalise(tmp_path / "a.mkv", tmp_path / "out.mp4", FrameFormat(20, 224, 18))
    found = pictures_of(tmp_path / "out.mp4")
    assert len(found) == 24 and found[5].shape == (224, 224, 3) and abs(found[5].mean() - 200) < 4


def joined(folder: Path, pictures: list[np.ndarray], *how: str) -> Path:
    """The numbers 0 to 24 in the first second of a transport stream, and behind them another one of these pictures."""
    encode(folder / "one.ts", *X264, "-pix_fmt", "yuv420p", pictures=[barcode(i, 240, 240) for i in range(25)])
    encode(folder / "two.ts", *X264, "-pix_fmt", "yuv420p", *how, pictures=pictures)
    (folder / "a.ts").write_bytes((folder / "one.ts").read_bytes() + (folder / "two.ts").read_bytes())
    return folder / "a.ts"


def assert_joined(found: list[int]) -> None:
    assert len(found) == 40
    # Where the filters are set up anew, a frame may be its neighbour.
    assert abs(found[19] - 24) <= 1 and abs(found[20] - 25) <= 1
    assert_in_time([*found[:19], 24, 25, *found[21:]])


CHANGES = {
    "wider, all colours": ((360, 480), ("-pix_fmt", "yuv444p")),
    "smaller, ten bits": ((120, 160), ("-pix_fmt", "yuv420p10le")),
    "other range, oblong pixels": ((240, 120), ("-color_range", "pc", "-vf", "scale=out_range=full,setsar=2")),
}


@pytest.mark.parametrize("change", CHANGES)
def test_pictures_that_change_on_the_way(tmp_path, change):
    size, how = CHANGES[change]
    later = [barcode(i, *size) for i in range(25, 50)]
    assert_joined(shown(joined(tmp_path, later, "-output_ts_offset", "1", *how)))


def test_a_picture_that_is_turned_on_the_way(tmp_path):
    lying = [np.ascontiguousarray(np.rot90(barcode(i, 240, 240), -1)) for i in range(25, 50)]
    turn = ("-bsf:v", "h264_metadata=rotate=90:display_orientation=insert")
    assert_joined(shown(joined(tmp_path, lying, "-output_ts_offset", "1", *turn)))


def test_pieces_that_overlap_keep_their_times(tmp_path):
    later = [barcode(i, 240, 240) for i in range(15, 50)]
    path = joined(tmp_path, later, "-output_ts_offset", "0.6")
    assert_joined(shown(path))
    assert probe(path)["as_stamped"]
    # Not if another recording follows, which would not be shown.
    path.write_bytes(path.read_bytes() + (tmp_path / "one.ts").read_bytes())
    assert not probe(path)["as_stamped"] and shown(path)[-15:] == shown(tmp_path / "one.ts")[-15:]


def test_recordings_that_were_joined_follow_upon_each_other(tmp_path):
    """The second one's clock begins at zero, too; all that the file says of its duration is the last one's."""
    path = joined(tmp_path, [barcode(i, 240, 240) for i in range(25, 50)])
    assert_joined(shown(path))
    assert probe(path)["duration"] == pytest.approx(2.0, abs=0.1)


def test_so_they_do_when_the_clock_is_set_forward_again(tmp_path):
    """As behind an advertisement that has a clock of its own."""
    path = joined(tmp_path, [barcode(i, 240, 240) for i in range(25, 50)])
    later = [barcode(i, 240, 240) for i in range(50, 75)]
    encode(tmp_path / "three.ts", *X264, "-pix_fmt", "yuv420p", "-output_ts_offset", "15", pictures=later)
    path.write_bytes(path.read_bytes() + (tmp_path / "three.ts").read_bytes())
    found = shown(path)
    assert len(found) == 60
    assert_joined(found[:40])
    assert_in_time([0, 1, *(number - 50 for number in found[42:])])


@pytest.mark.parametrize("seconds", [-30, 30, 3600])
def test_one_damaged_stamp_of_a_clock_that_may_jump_moves_nothing(tmp_path, seconds):
    encode(tmp_path / "a.ts", *X264)
    (tmp_path / "b.ts").write_bytes(restamped((tmp_path / "a.ts").read_bytes(), b"\xe0", 30, seconds))
    facts = probe(tmp_path / "b.ts")
    assert facts["duration"] < 40 and not facts["as_stamped"]  # libavformat itself may take it for the end
    assert_in_time(shown(tmp_path / "b.ts"))


def test_a_hole_in_a_stream_whose_clock_may_jump_keeps_its_length(tmp_path):
    found = shown(joined(tmp_path, [barcode(i, 240, 240) for i in range(25, 50)], "-output_ts_offset", "14"))
    assert len(found) == 300 and set(found[21:279]) == {24}
    assert_joined([*found[:20], *found[280:]])


@pytest.mark.parametrize("name", ["a.ts", "a.mpg"])
def test_pictures_that_begin_after_all_that_is_read_at_first_are_found(tmp_path, name):
    """When the file is opened, neither their size nor their start is known."""
    codecs = ("-c:v", "mpeg2video", "-c:a", "mp2") if name == "a.mpg" else (*X264, "-c:a", "aac")
    maps = ("-map", "0:v", "-map", "1:a", "-vf", "setpts=PTS+12/TB")
    encode(tmp_path / name, *maps, *codecs, inputs=("-f", "lavfi", "-i", "sine=d=14.4"))
    with av.open(str(tmp_path / name)) as file:
        assert file.streams.video[0].codec_context.width == 0
    facts = probe(tmp_path / name)
    assert (facts["has_video"], facts["width"], facts["height"]) == (True, 320, 240)
    found = shown(tmp_path / name)
    assert set(found[:239]) == {0}
    for i, number in enumerate(found[242:285], 242):
        assert abs(number / 25 + 12 - i / 20) <= 0.07, (i, number)  # MPEG-PS says it to a picture


def test_pictures_of_unknown_length_are_shown_to_the_end(tmp_path):
    encode(tmp_path / "a.mkv", *X264, "-f", "matroska", "-live", "1")
    with av.open(str(tmp_path / "a.mkv")) as file:
        assert file.duration is None
    assert probe(tmp_path / "a.mkv")["duration"] == pytest.approx(2.4, abs=0.05)
    assert_in_time(shown(tmp_path / "a.mkv"))


def test_the_default_stream_of_pictures_is_shown_and_not_the_first(tmp_path):
    encode(tmp_path / "one.mp4", *X264)
    encode(tmp_path / "other.mp4", *X264, pictures=[barcode(255)] * 60)
    first, other = ("-i", tmp_path / "one.mp4"), ("-i", tmp_path / "other.mp4")
    maps = ("-map", "1", "-map", "0", "-disposition:v:0", "0", "-disposition:v:1", "default")
    remake(tmp_path / "a.mkv", *first, *other, *maps, "-c", "copy")
    assert_in_time(shown(tmp_path / "a.mkv"))


def test_ten_bits_and_the_full_range_keep_their_colours(tmp_path):
    colours = [(200, 30, 40), (30, 160, 60), (40, 60, 190), (220, 200, 40), (0, 0, 0), (255, 255, 255)]
    picture = np.repeat(np.repeat(np.array(colours, np.uint8), 40, axis=0)[None], 240, axis=0)
    matrix = "out_color_matrix=bt709"
    tags = ("-colorspace", "bt709", "-crf", "5")
    kinds = {
        "ten.mkv": ("-pix_fmt", "yuv420p10le", "-vf", f"scale={matrix}", "-color_range", "tv"),
        "full.mp4": ("-pix_fmt", "yuv420p", "-vf", f"scale={matrix}:out_range=full", "-color_range", "pc"),
        "both.mkv": ("-pix_fmt", "yuv422p10le", "-vf", f"scale={matrix}:out_range=full", "-color_range", "pc"),
    }
    for name, how in kinds.items():
        encode(tmp_path / name, *X264, *how, *tags, pictures=[picture] * 4)
        normalise(tmp_path / name, tmp_path / "out.mp4", FrameFormat(20, 224, 18))
        found = [pictures_of(tmp_path / "out.mp4")[1][112, round((i + 0.5) * 224 / 6)] for i in range(6)]
        assert np.abs(np.array(found, int) - np.array(colours)).max() <= 6, (name, found)


def test_eight_hours(tmp_path):
    """A picture every 100 s: all of them at their times, in little memory."""
    pictures = [barcode(i % 256, 64, 64) for i in range(289)]
    write_video(tmp_path / "a.mkv", pictures, [100.0 * i for i in range(289)], fps=1)
    (row, megabytes, _) = costs(tmp_path / "a.mkv", "1, 64, 18")
    assert row["frames"] >= 28_800 and megabytes < 300
    with av.open(str(tmp_path / "out.mp4")) as file:
        for i, frame in enumerate(file.decode(video=0)):
            if i % 50 == 20:
                assert read_small(frame.to_ndarray(format="gray")) == i // 100 % 256, i


def read_small(picture: np.ndarray) -> int:
    return sum((picture[20:44, 8 + 6 * bit + 2 : 8 + 6 * bit + 4].mean() > 128) << bit for bit in range(BITS))


def costs(source: Path, settings: str = "20, 224, 18") -> tuple[dict, int, float]:
    """What `normalise` says of a file in a process of its own, the megabytes and the CPU seconds that it and ffmpeg took."""
    program = f"""if True:
        import json, os, resource
        from pathlib import Path
        from memory import own_peak
        from videobert.errors import VideoError
        from videobert.media.normalising import FrameFormat, normalise
        source = Path({str(source)!r})
        try:
            row = normalise(source, source.with_name("out.mp4"), FrameFormat({settings}))
        except VideoError as error:
            row = {{"reason": str(error)}}
        most = max(own_peak(), resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024)
        print(json.dumps([row, most, sum(os.times()[:4])]))
    """
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    import json

    return tuple(json.loads(done.stdout.splitlines()[-1]))


BROKEN = {
    "mp4": (*X264, "-movflags", "+faststart"),
    "mov": (*X264, "-movflags", "+faststart"),
    "mkv": X264,
    "webm": ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "4M"),
    "avi": X264,
    "flv": X264,
    # These do not say how long they are: what is there is all that can be known of.
    "ts": X264,
    "mpg": ("-c:v", "mpeg2video", "-b:v", "4M"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_of_a_file_that_breaks_off_all_clips_that_decode_are_kept(tmp_path, kind):
    rng = np.random.default_rng(0)
    pictures = [np.maximum(barcode(i, 120, 160), rng.integers(0, 60, (120, 160, 3), np.uint8)) for i in range(120)]
    encode(tmp_path / f"whole.{kind}", *BROKEN[kind], pictures=pictures)
    data = (tmp_path / f"whole.{kind}").read_bytes()
    cut = tmp_path / f"cut.{kind}"
    cut.write_bytes(data[: len(data) * 6 // 10])
    row = normalise(cut, tmp_path / "out.mp4", FrameFormat(20, 224, 18))
    found = [read_barcode(picture) for picture in pictures_of(tmp_path / "out.mp4")]
    assert 50 <= row["frames"] <= 65
    assert_in_time(found[:50])
    if kind not in ("ts", "mpg"):
        assert row["reason"].startswith(f"partial: {row['frames'] / 20:.1f} of 4.8 s decode (")
