"""Media of strangers: what is in them, when it is heard, and what is refused."""

import os
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from videobert.errors import VideoError
from videobert.media.bounded import call_isolated
from videobert.media.decoding import SAMPLE_RATE
from videobert.media.integrity import find_damage
from videobert.media.probing import probe
from videobert.media.sound import audio, choose_stream


def write(path: Path, seconds: float = 2.0, late: float = 0.0, picture: bool = True, sound: bool = True) -> None:
    """A grey video with a tone that begins `late` seconds after the pictures."""
    with av.open(str(path), "w") as file:
        if picture:
            video = file.add_stream("libx264", rate=10)
            video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        if sound:
            tone = file.add_stream("aac", rate=44100, layout="stereo")
        if picture:
            for _ in range(int(seconds * 10)):
                grey = np.full((48, 64, 3), 90, np.uint8)
                file.mux(video.encode(av.VideoFrame.from_ndarray(grey, format="rgb24")))
            file.mux(video.encode(None))
        if sound:
            for start in range(0, int((seconds - late) * 44100) - 1024, 1024):
                wave = np.sin(2 * np.pi * 440 * np.arange(start, start + 1024) / 44100) * 0.5
                stereo = np.stack([wave, wave]).astype(np.float32)
                frame = av.AudioFrame.from_ndarray(stereo, format="fltp", layout="stereo")
                frame.sample_rate, frame.time_base = 44100, Fraction(1, 44100)
                frame.pts = start + round(late * 44100)
                file.mux(tone.encode(frame))
            file.mux(tone.encode(None))


def windows(path: Path, seconds: int) -> list[tuple[int, np.ndarray]]:
    return list(audio(path, seconds, choose_stream(path, "auto")))


def whole(path: Path) -> np.ndarray:
    """The sound of a short file: one window, from the beginning."""
    ((place, sound),) = windows(path, 60)
    assert place == 0
    return sound


def test_probe_says_what_is_there(tmp_path):
    write(tmp_path / "both.mp4")
    found = probe(tmp_path / "both.mp4")
    assert found.pop("duration") == pytest.approx(2.0, abs=0.1)
    assert 0.1 <= found.pop("gap") < 0.5  # pictures are not stored in the order of their times
    assert found == {
        "width": 64,
        "height": 48,
        "has_audio": True,
        "has_video": True,
        "stream": 0,
        "late": 0.0,
        "interlaced": False,
        "promised": 0.0,
        "as_stamped": False,
    }
    write(tmp_path / "mute.mkv", sound=False)
    assert not probe(tmp_path / "mute.mkv")["has_audio"]
    write(tmp_path / "song.m4a", picture=False)
    assert (probe(tmp_path / "song.m4a")["has_video"], probe(tmp_path / "song.m4a")["width"]) == (False, 0)


@pytest.mark.parametrize("late", [0.0, 0.7])
def test_sound_is_mono_16_khz_and_keeps_its_time(tmp_path, late):
    write(tmp_path / "a.mkv", late=late)
    heard = whole(tmp_path / "a.mkv")
    assert heard.dtype == np.float32 and heard.ndim == 1
    assert len(heard) == pytest.approx(2.0 * SAMPLE_RATE, abs=0.1 * SAMPLE_RATE)
    begins = np.flatnonzero(np.abs(heard) > 0.1)[0] / SAMPLE_RATE
    assert begins == pytest.approx(late, abs=0.05)
    spectrum = np.abs(np.fft.rfft(heard[SAMPLE_RATE : SAMPLE_RATE + 8000]))
    assert spectrum.argmax() * 2 == 440  # bins are 2 Hz wide
    assert np.abs(heard).max() == pytest.approx(0.5, abs=0.1)


def test_sound_comes_in_windows_without_a_gap(tmp_path):
    write(tmp_path / "a.mkv", seconds=4.0, late=0.7)
    found = windows(tmp_path / "a.mkv", 1)
    assert [round(place / SAMPLE_RATE) for place, _ in found] == [0, 1, 2, 3]
    assert [place for place, _ in found[1:]] == [place + len(sound) for place, sound in found[:-1]]
    assert np.array_equal(np.concatenate([sound for _, sound in found]), whole(tmp_path / "a.mkv"))


def test_a_hole_longer_than_a_window_is_not_filled(tmp_path):
    """A file can claim to begin after years: no silence is made for them."""
    write(tmp_path / "a.mkv", seconds=6.0, late=3.5)
    ((place, sound),) = windows(tmp_path / "a.mkv", 3)
    assert place / SAMPLE_RATE == pytest.approx(3.5, abs=0.05)
    assert len(sound) / SAMPLE_RATE == pytest.approx(2.5, abs=0.1)


def test_a_hole_parts_two_windows(tmp_path):
    with av.open(str(tmp_path / "a.mka"), "w") as file:
        tone = file.add_stream("flac", rate=SAMPLE_RATE, layout="mono")
        for start in (0, 8 * SAMPLE_RATE):
            frame = av.AudioFrame.from_ndarray(np.full((1, SAMPLE_RATE), 9000, np.int16), format="s16", layout="mono")
            frame.sample_rate, frame.time_base, frame.pts = SAMPLE_RATE, Fraction(1, SAMPLE_RATE), start
            file.mux(tone.encode(frame))
        file.mux(tone.encode(None))
    (before, one), (after, two) = windows(tmp_path / "a.mka", 3)
    assert (before, after / SAMPLE_RATE) == (0, pytest.approx(8.0, abs=0.05))
    assert len(one) + len(two) == pytest.approx(2 * SAMPLE_RATE, abs=100)


def test_of_a_broken_sound_track_the_rest_is_heard_at_its_time(tmp_path):
    write(tmp_path / "a.ts", seconds=4.0, picture=False)
    data = bytearray((tmp_path / "a.ts").read_bytes())
    packets = len(data) // 188
    for packet in range(packets // 3, packets // 2):  # what is said of the packets stays, what is in them is noise
        data[188 * packet + 40 : 188 * packet + 188] = np.random.default_rng(packet).bytes(148)
    (tmp_path / "hole.ts").write_bytes(data)
    heard = np.abs(whole(tmp_path / "hole.ts"))
    assert len(heard) == pytest.approx(4.0 * SAMPLE_RATE, abs=0.2 * SAMPLE_RATE)
    assert heard[: SAMPLE_RATE // 2].max() > 0.3 and heard[-SAMPLE_RATE // 2 :].max() > 0.3
    (tmp_path / "cut.ts").write_bytes((tmp_path / "a.ts").read_bytes()[: len(data) // 2])
    assert 1.0 < len(whole(tmp_path / "cut.ts")) / SAMPLE_RATE < 3.0


def test_what_cannot_be_heard_says_why(tmp_path):
    write(tmp_path / "mute.mp4", sound=False)
    with pytest.raises(VideoError, match="no_audio: no sound stream"):
        whole(tmp_path / "mute.mp4")
    (tmp_path / "text.mp4").write_text("<html>Please log in</html>" * 50, encoding="utf-8")
    for function in (whole, probe):
        with pytest.raises(VideoError, match="unusable: not a readable media file"):
            function(tmp_path / "text.mp4")


@pytest.mark.parametrize("name", ["list.m3u8", "list.mp4", "script.ffconcat", "script.mp4"])
def test_playlists_do_not_open_other_files(tmp_path, name):
    write(tmp_path / "secret.mp4")
    text = {
        "list": "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nsecret.mp4\n#EXT-X-ENDLIST\n",
        "script": "ffconcat version 1.0\nfile secret.mp4\n",
    }
    (tmp_path / name).write_text(text[name.split(".")[0]], encoding="utf-8")
    for function in (whole, probe):
        with pytest.raises(VideoError, match="unusable"):
            function(tmp_path / name)


def dies(path: str) -> None:
    os.abort()


def hungers(path: str) -> int:
    return len(bytearray(1 << 31))


def sleeps(path: str) -> None:
    time.sleep(600)


def refuses(path: str, word: str) -> None:
    raise VideoError("gone", f"{word} {path}")


def test_a_stream_that_begins_late_is_left_out_and_the_others_are_read(tmp_path):
    """In FLV each tag names its codec; PyAV does not know a stream that is not there from the beginning."""
    write(tmp_path / "a.flv", 10)
    data = bytearray((tmp_path / "a.flv").read_bytes())
    tags, place = [], 13
    while place < len(data):  # type, size of the data, time and stream; the data; the size again
        tags.append(place)
        place += 11 + int.from_bytes(data[place + 1 : place + 4]) + 4
    odd = [tag for tag in tags if data[tag] == 9 and tag > len(data) // 2][3]
    data[odd + 11] = data[odd + 11] & 0xF0 | 3  # another codec for one picture
    (tmp_path / "late.flv").write_bytes(data)
    facts = probe(tmp_path / "late.flv")
    assert facts["has_video"] and facts["has_audio"] and facts["duration"] == pytest.approx(10, abs=0.5)
    find_damage(tmp_path / "late.flv", True, 30)
    heard = sum(len(window) for _, window in windows(tmp_path / "late.flv", 10))
    assert heard == pytest.approx(10 * SAMPLE_RATE, abs=0.2 * SAMPLE_RATE)


def test_what_a_file_does_to_its_reader_costs_the_file_alone(tmp_path):
    """A crash in a decoder, a bomb, an endless loop: the reader is a process of its own."""

    def lost(function, *arguments, seconds: float = 120) -> VideoError:
        with pytest.raises(VideoError) as loss:
            call_isolated(function, tmp_path / "a b.mp4", *arguments, seconds=seconds, memory=1 << 30)
        return loss.value

    assert "SIGABRT" in lost(dies).reason
    assert "not done" in lost(sleeps, seconds=2).reason
    assert lost(hungers).status == "unusable"
    assert (lost(refuses, "no").status, lost(refuses, "no").reason) == ("gone", f"no {tmp_path}/a b.mp4")
