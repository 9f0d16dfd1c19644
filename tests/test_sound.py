"""The sound of strangers' files: which stream is heard, and each sound at its time, whatever the file's clock does."""

import wave
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
import pyarrow as pa
import pytest
from calls import transcribe, with_facts
from transport import restamped

from videobert.data.provenance import read_table, write_table
from videobert.errors import VideoError
from videobert.media.decoding import SAMPLE_RATE
from videobert.media.integrity import find_damage
from videobert.media.languages import language_code
from videobert.media.probing import probe
from videobert.media.sound import SoundStream, audio, choose_stream

CASES = Path(__file__).parent / "publiccases" / "sound"
RATE = 48_000
CLICK = 0.04  # seconds


def clicks(seconds: float, rate: int = RATE, begin: float = 0.0, pitch: int = 1000) -> np.ndarray:
    """A click at each half second (0.5, 1.5, ...) of a clock that says `begin` at first: float64 in [-1, 1]."""
    time = begin + np.arange(round(seconds * rate)) / rate
    return np.where((time - 0.5) % 1 < CLICK, 0.5 * np.sin(2 * np.pi * pitch * time), 0.0)


def write(path: Path, streams: list[np.ndarray], rate: int = RATE, codec: str = "pcm_s16le", pace: float = 1.0, **more):
    """Streams of [channels, samples] in pieces of 20 ms, whose stamps run `pace` times as fast as the sound."""
    with av.open(str(path), "w") as file:
        for number, sound in enumerate(streams):
            sound = np.atleast_2d(sound)
            stream = file.add_stream(codec, rate=rate, layout="stereo" if len(sound) == 2 else "mono")
            stream.metadata["language"] = more.get("languages", [""] * 9)[number]
            stream.disposition = av.stream.Disposition(int(number == more.get("default", 0)))
        for number, sound in enumerate(streams):
            clock = Clock(more.get("begin", 0.0), pace, more.get("jitter", 0.0))
            encode(file, file.streams[number], np.atleast_2d(sound), rate, clock)


class Clock(NamedTuple):
    """What stamps say: they begin, go at a pace, and every other one is late (seconds)."""

    begin: float
    pace: float
    jitter: float

    def at(self, seconds: float, number: int) -> float:
        return self.begin + self.pace * seconds + self.jitter * (number % 2)


def encode(file, stream, sound: np.ndarray, rate: int, clock: Clock) -> None:
    layout, step = stream.layout.name, rate // 50
    for place in range(0, sound.shape[1], step):
        piece = np.ascontiguousarray(sound[:, place : place + step], np.float32)
        if stream.format.name == "u8":
            whole = np.ascontiguousarray((piece * 127 + 128).astype(np.uint8).T.reshape(1, -1))
            frame = av.AudioFrame.from_ndarray(whole, format="u8", layout=layout)
        else:
            frame = av.AudioFrame.from_ndarray(piece, format="fltp", layout=layout)
        frame.sample_rate, frame.time_base = rate, Fraction(1, rate)
        frame.pts = round(clock.at(place / rate, place // step) * rate)
        file.mux(stream.encode(frame))
    file.mux(stream.encode(None))


def join(target: Path, *parts: Path) -> Path:
    target.write_bytes(b"".join(part.read_bytes() for part in parts))
    return target


def heard(path: Path, seconds: int = 60, language: str = "auto") -> list[float]:
    """When the clicks begin, in seconds."""
    return list(onsets(audio(path, seconds, choose_stream(path, language))))


def onsets(windows: Iterable[tuple[int, np.ndarray]]) -> Iterable[float]:
    for place, sound in windows:
        loud = np.flatnonzero(np.abs(sound) > 0.1)
        first = loud[np.diff(loud, prepend=-SAMPLE_RATE) > 0.3 * SAMPLE_RATE]
        yield from (place + first) / SAMPLE_RATE


def assert_at(found: list[float], expected: Iterable[float], within: float = 0.05) -> None:
    expected = list(expected)
    assert len(found) == len(expected), found
    np.testing.assert_allclose(found, expected, atol=within)


# --- the samples, as whole stages hear them ---


@pytest.fixture(scope="module")
def samples(shared) -> tuple[dict[str, dict], dict[str, list[dict]]]:
    """Of each sample its row in the ledger, and its sentences."""
    folder = shared("samples", transcribe_samples)
    ledger = {row["video_id"]: row for row in read_table(folder / "l.parquet").to_pylist()}
    said = read_table(folder / "o.parquet").to_pylist()
    return ledger, {name: [row for row in said if row["video_id"] == name] for name in ledger}


def transcribe_samples(folder: Path) -> None:
    common, rows = {"status": "ok", "reason": "", "captions": "", "duration": 0.0}, []
    write(folder / "quiet.mkv", [np.zeros(RATE)] * 2, languages=["ger", "eng"])
    for path in CASES.iterdir():
        (folder / path.name).symlink_to(path)
    for path in sorted(folder.iterdir()):
        rows.append(with_facts(folder, common | {"video_id": path.stem, "path": path.name}))
    write_table(pa.Table.from_pylist(rows), folder / "download.parquet", {})
    settings = {"engine": "faster-whisper", "model": "tiny.en", "language": "en", "beam_size": 1}
    settings |= {"device": "cpu", "compute_type": "auto", "threads": 1}
    transcribe(folder / "download.parquet", folder / "o.parquet", folder / "l.parquet", **settings)


SAID = [
    "To begin with, we crack the egg.",
    "Let me show you how to boil the pasta.",
    "Do not forget to flip the egg.",
    "Once you are ready, we slice the bread.",
]


@pytest.mark.parametrize("name", ["apac-first", "change", "late-live", "late-seekable", "overlap"])
def test_every_sentence_of_the_samples_is_heard_once(samples, name):
    ledger, said = samples
    assert ledger[name]["status"] == "ok"
    assert [row["text"] for row in said[name]] == SAID


# Where the voice begins, by the stamps of the packets that it is in. In the .ts files the second half's are 0.38 s early.
VOICES = {
    "apac-first": [0.46, 7.49, 12.55, 18.30],
    "change": [0.51, 7.54, 12.21, 17.96],
    "late-live": [5.46, 12.49, 17.55, 23.30],
    "late-seekable": [5.46, 12.49, 17.55, 23.30],
    "overlap": [0.51, 7.54, 12.19, 17.95],
}


@pytest.mark.parametrize("name", VOICES)
def test_the_samples_sound_when_their_stamps_say(name):
    path = next(CASES.glob(f"{name}.*"))
    ((place, sound),) = audio(path, 120, choose_stream(path, "en"))
    loud = np.flatnonzero(np.abs(sound) > 0.05)
    begins = loud[np.diff(loud, prepend=-SAMPLE_RATE) > 0.5 * SAMPLE_RATE] / SAMPLE_RATE
    assert place == 0
    assert_at(list(begins), VOICES[name])


def test_the_ledger_names_the_stream_that_was_heard(samples):
    ledger, _ = samples
    facts = {name: tuple(row[key] for key in ("sound_stream", "sound_streams")) for name, row in ledger.items()}
    assert facts == dict.fromkeys(ledger, (1, 1)) | {"apac-first": (2, 2), "quiet": (None, None)}
    assert ledger["apac-first"]["reason"] == "heard: sound stream 2 of 2"
    assert ledger["late-live"]["reason"] == ""
    assert ledger["quiet"]["reason"] == "there is no speech in it; heard: sound stream 2 of 2"


# --- unknown is not zero ---


def test_a_duration_that_no_header_says_is_counted():
    assert probe(CASES / "late-live.mkv")["duration"] == pytest.approx(25.0, abs=0.1)


def test_sound_that_begins_after_the_pictures_of_unknown_length_keeps_its_time():
    live, whole = (
        list(audio(CASES / name, 60, SoundStream(1, 1, ""))) for name in ("late-live.mkv", "late-seekable.mkv")
    )
    assert len(live) == len(whole) == 1
    assert np.array_equal(live[0][1], whole[0][1])


# --- a clock ---


@pytest.mark.parametrize("pace", [0.97, 1.0, 1.03])
def test_a_clock_that_drifts_is_followed(tmp_path, pace):
    write(tmp_path / "a.mkv", [clicks(30)], pace=pace)
    assert_at(heard(tmp_path / "a.mkv"), (np.arange(30) + 0.5) * pace)


@pytest.mark.parametrize("pace", [0.97, 1.03])
def test_it_is_followed_without_tearing_the_sound(tmp_path, pace):
    write(tmp_path / "a.mkv", [0.5 * np.sin(2 * np.pi * 400 * np.arange(10 * RATE) / RATE)], pace=pace)
    ((_, sound),) = audio(tmp_path / "a.mkv", 60, choose_stream(tmp_path / "a.mkv", "auto"))
    loudness = np.abs(sound[: len(sound) // 80 * 80]).reshape(-1, 80).max(axis=1)[1:-10]  # of 5 ms, two of its waves
    assert loudness.min() > 0.45 and np.abs(np.diff(sound)).max() < 0.1


@pytest.mark.parametrize("pace", [0.97, 1.03])
def test_so_it_is_where_the_rate_needs_no_change(tmp_path, pace):
    write(tmp_path / "a.mkv", [clicks(20, SAMPLE_RATE)], SAMPLE_RATE, pace=pace)
    assert_at(heard(tmp_path / "a.mkv"), (np.arange(20) + 0.5) * pace)


def test_stamps_that_are_a_little_off_change_nothing(tmp_path):
    write(tmp_path / "exact.mkv", [clicks(4)])
    write(tmp_path / "a.mkv", [clicks(4)], jitter=0.006)
    exact, found = (next(audio(tmp_path / name, 60, SoundStream(1, 1, "")))[1] for name in ("exact.mkv", "a.mkv"))
    assert np.array_equal(exact, found)


def test_a_hole_is_silence_of_its_length(tmp_path):
    write(tmp_path / "one.ts", [clicks(4)], codec="aac")
    write(tmp_path / "two.ts", [clicks(4, begin=44)], codec="aac", begin=44.0)
    path = join(tmp_path / "a.ts", tmp_path / "one.ts", tmp_path / "two.ts")
    assert_at(heard(path), [0.5, 1.5, 2.5, 3.5, 44.5, 45.5, 46.5, 47.5])
    assert_at(heard(path, seconds=20), [0.5, 1.5, 2.5, 3.5, 44.5, 45.5, 46.5, 47.5])  # not filled


def test_what_is_there_twice_is_heard_once_and_what_follows_keeps_its_time(tmp_path):
    write(tmp_path / "one.ts", [clicks(10)], codec="aac")
    write(tmp_path / "two.ts", [clicks(10, begin=6)], codec="aac", begin=6.0)
    path = join(tmp_path / "a.ts", tmp_path / "one.ts", tmp_path / "two.ts")
    assert_at(heard(path), np.arange(16) + 0.5)
    assert_at(heard(path, seconds=3), np.arange(16) + 0.5)


@pytest.mark.parametrize(("length", "begin"), [(4.0, 0.0), (20.0, 3.0)])
def test_recordings_that_were_joined_follow_upon_each_other(tmp_path, length, begin):
    """Each with a clock of its own, which begins at zero, or is set back by far."""
    write(tmp_path / "one.ts", [clicks(length)], codec="aac")
    write(tmp_path / "two.ts", [clicks(4)], codec="aac", begin=begin)
    path = join(tmp_path / "a.ts", tmp_path / "one.ts", tmp_path / "two.ts", tmp_path / "two.ts")
    assert_at(heard(path), np.arange(length + 8) + 0.5, within=0.1)  # AAC adds some silence to each


def test_one_damaged_stamp_moves_nothing(tmp_path):
    write(tmp_path / "a.ts", [clicks(4)], codec="aac")
    for seconds in (-3600, 3, 30, 3600):
        (tmp_path / "b.ts").write_bytes(restamped((tmp_path / "a.ts").read_bytes(), b"\xc0", 100, seconds))
        assert_at(heard(tmp_path / "b.ts"), np.arange(4) + 0.5)


def test_rate_and_channels_change_on_the_way(tmp_path):
    write(tmp_path / "one.ts", [clicks(4, 24_000)], 24_000, "aac")
    write(tmp_path / "two.ts", [np.stack([clicks(4)] * 2)], RATE, "aac", begin=4.0)
    path = join(tmp_path / "a.ts", *(tmp_path / f"{name}.ts" for name in ("one", "two")))
    assert_at(heard(path), np.arange(8) + 0.5)
    ((_, sound),) = audio(path, 60, choose_stream(path, "auto"))
    for time in heard(path):  # at its pitch, too
        click = sound[round(time * SAMPLE_RATE) :][: 3 * SAMPLE_RATE // 100]
        assert np.abs(np.fft.rfft(click * np.hanning(len(click)), SAMPLE_RATE)).argmax() == pytest.approx(1000, abs=30)


# --- which stream ---


def test_the_default_stream_is_heard_and_not_the_first(tmp_path):
    write(tmp_path / "a.mkv", [np.zeros(4 * RATE), clicks(4)], default=1)
    assert choose_stream(tmp_path / "a.mkv", "auto") == SoundStream(2, 2, "")
    assert_at(heard(tmp_path / "a.mkv"), np.arange(4) + 0.5)


@pytest.mark.parametrize(
    ("wanted", "number"),
    [("auto", 1), ("de", 1), ("en", 2), ("fr", 3), ("ja", 4)],  # the last is not there
)
def test_the_wanted_language_is_heard_by_its_tag(tmp_path, wanted, number):
    write(tmp_path / "a.mkv", [clicks(1)] * 4, languages=["ger", "en-GB", "fra", "und"])
    assert choose_stream(tmp_path / "a.mkv", wanted).number == number
    assert choose_stream(tmp_path / "a.mkv", wanted).of == 4


def test_tags_are_read_in_all_their_spellings():
    tags = {"eng": "en", "en-US": "en", "pt_BR": "pt", "ger": "de", "deu": "de", "FRE": "fr", "nob": "no", "xyz": "xyz"}
    tags |= {"": "", "und": "", "zxx": "", "yue": "yue", "haw": "haw"}
    assert {tag: language_code(tag) for tag in tags} == tags


def test_where_no_stream_decodes_the_reason_says_how_many_there_were(tmp_path):
    data = (CASES / "apac-first.mp4").read_bytes()
    (tmp_path / "a.mp4").write_bytes(data.replace(b"mp4a", b"apac").replace(b"esds", b"free"))
    with pytest.raises(VideoError, match="no_audio: nothing of the 2 sound streams decodes"):
        choose_stream(tmp_path / "a.mp4", "en")


def test_a_stream_that_no_decoder_knows_is_no_damage():
    assert find_damage(CASES / "apac-first.mp4", True, 60) == ""


@pytest.mark.parametrize(("name", "codec"), [("a.mp4", "aac"), ("a.mkv", "pcm_s16le"), ("a.mkv", "pcm_u8")])
def test_of_channels_that_cancel_each_other_one_is_heard(tmp_path, name, codec):
    write(tmp_path / name, [np.stack([clicks(4), -clicks(4)])], codec=codec)
    ((_, sound),) = audio(tmp_path / name, 60, choose_stream(tmp_path / name, "auto"))
    assert np.abs(sound).max() == pytest.approx(0.5, abs=0.1)
    assert_at(heard(tmp_path / name), np.arange(4) + 0.5)


def test_stereo_that_does_not_cancel_is_mixed(tmp_path):
    write(tmp_path / "a.mkv", [np.stack([clicks(4), 0.2 * clicks(4)])])
    ((_, sound),) = audio(tmp_path / "a.mkv", 60, choose_stream(tmp_path / "a.mkv", "auto"))
    assert np.abs(sound).max() == pytest.approx(0.3, abs=0.03)


def test_sound_of_channels_that_stand_nowhere_is_a_loss_with_its_reason(tmp_path):
    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setnchannels(20)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(bytes(20 * 2 * SAMPLE_RATE))
    with pytest.raises(VideoError, match=r"no_audio: its sound \(20 channels, 16000 Hz\) cannot be mixed"):
        heard(tmp_path / "a.wav")
