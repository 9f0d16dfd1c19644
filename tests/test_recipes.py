"""Recipes: steps that follow from each other, and a voice that does not say all that is shown, nor show all that it says."""

import csv
from collections import Counter, defaultdict
from itertools import pairwise
from pathlib import Path
from random import Random

import pytest
from test_transcribe import run, words, write_ledger, write_sound

from videobert.data.kitchen_sources import kitchen_source
from videobert.data.manifest import identity_of, list_file
from videobert.data.provenance import read_table
from videobert.kitchen import script as kitchen
from videobert.kitchen.recipes import DISHES, FEWEST_STEPS, FIRST_NUMBER, MOST_STEPS, choose_pair, recipe
from videobert.kitchen.script import COMBINATIONS, HELD_OUT, OBJECTS, VERBS, Script, is_test
from videobert.kitchen.sources import script_of
from videobert.kitchen.voice import SAMPLE_RATE, load_voice, sound, speed
from videobert.stages.download import write_steps

RECIPES = [recipe(number) for number in range(300)]
NARRATED = [script for script in RECIPES if script.narrated]


def pairs(script: Script) -> list[tuple[str, str]]:
    return [(step.verb, step.object) for step in script.steps]


# Dishes ---------------------------------------------------------------------------------------------------------------


def test_a_recipe_is_a_function_of_its_number_and_shares_nothing_with_the_other_video():
    assert [recipe(number) for number in range(300)] == RECIPES
    assert len({script.steps for script in RECIPES}) == len({script.number for script in RECIPES}) == 300
    assert RECIPES[17].number != kitchen.script(17).number and RECIPES[17].steps != kitchen.script(17).steps
    assert min(script.number for script in RECIPES) >= FIRST_NUMBER
    with pytest.raises(ValueError, match="not -1"):
        recipe(-1)


def test_steps_are_such_as_the_kitchen_has():
    shown = [pair for script in RECIPES for pair in pairs(script)]
    assert set(shown) <= set(COMBINATIONS)
    assert {verb for verb, _ in shown} == set(VERBS)
    assert {thing for _, thing in shown} == set(OBJECTS)
    assert {len(script.steps) for script in RECIPES} == set(range(FEWEST_STEPS, MOST_STEPS + 1))


def test_held_out_pairs_are_shown_and_spoken_of_in_test_videos_only():
    test = [pair for script in RECIPES if is_test(script.number) for pair in pairs(script)]
    train = [pair for script in RECIPES if not is_test(script.number) for pair in pairs(script)]
    assert not HELD_OUT & set(train)
    assert set(test) >= HELD_OUT
    for verb, thing in HELD_OUT:
        assert (verb in {v for v, _ in train}) and (thing in {o for _, o in train})
        assert not any(f"{verb} the {thing}" in remark.sentence for script in RECIPES for remark in script.remarks)


def test_every_way_of_every_dish_can_be_shown():
    for dish in DISHES.values():
        ways = [
            step.removesuffix("?") for line in dish.steps for chain in line.split(" + ") for step in chain.split(", ")
        ]
        for step in ways:
            verbs, thing = step.split(" ")
            things = dish.choices[thing.strip("{}")] if "{" in thing else [thing]
            for verb in verbs.split("|"):
                assert any((verb, one) in COMBINATIONS for one in things), step
            assert any(choose_pair(f"{verbs} {one}", False, Random(0)) for one in things)


def test_choices_stay():
    """Who peels the carrot boils no potato."""
    soups = [script for script in RECIPES if script.title.startswith("Soup")]
    roots = [{thing for _, thing in pairs(script)} & {"carrot", "potato"} for script in soups]
    assert all(len(found) == 1 for found in roots)
    assert len(set(map(frozenset, roots))) == 2


def test_a_step_tells_what_follows():
    """The verb after a verb and an object, by what most often followed in other videos; by the most frequent verb alone."""
    follows: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for script in RECIPES[:240]:
        for step, following in pairwise(script.steps):
            follows[step.verb, step.object][following.verb] += 1
    asked = [
        ((step.verb, step.object), following.verb)
        for script in RECIPES[240:]
        for step, following in pairwise(script.steps)
    ]
    right = sum(follows[step].most_common(1)[0][0] == verb for step, verb in asked if follows[step]) / len(asked)
    frequent = Counter(verb for _, verb in asked).most_common(1)[0][1] / len(asked)
    assert right > 0.4 > 0.2 > frequent


# Narration ------------------------------------------------------------------------------------------------------------


def test_some_steps_have_no_sentence_and_some_sentences_no_step():
    steps = [step for script in NARRATED for step in script.steps]
    assert 1 / 8 < sum(not step.sentence for step in steps) / len(steps) < 1 / 4
    remarks = sum(len(script.remarks) for script in NARRATED)
    assert 1 / 11 < remarks / sum(len(script.spoken) for script in NARRATED) < 1 / 6
    for script in RECIPES:
        assert script.narrated == (script.number % 10 != 7) == bool(script.spoken)
        for step in script.steps:
            assert not step.sentence or f" {step.verb} the {step.object}" in step.sentence
        for remark in script.remarks:
            assert not any(f"{verb} the {thing}" in remark.sentence for verb, thing in pairs(script))
            assert any(f"{verb} the {thing}" in remark.sentence for verb, thing in COMBINATIONS)


def test_times_increase_and_sentences_keep_their_distance():
    for script in RECIPES:
        assert 45 <= script.duration <= 62
        for step, following in pairwise(script.steps):
            assert step.end <= following.start
        assert all(4.45 <= step.end - step.start <= 12 for step in script.steps)
        assert script.steps[-1].end <= script.duration
        starts = sorted(spoken.speech_start for spoken in script.spoken)
        assert all(start >= 0 for start in starts)
        assert all(later - earlier >= 3.75 for earlier, later in pairwise(starts))  # a sentence takes 3.1 s at most


def test_remarks_lie_over_steps_without_a_sentence_and_in_pauses():
    meanwhile = 0
    for script in RECIPES:
        for remark in script.remarks:
            over = [step for step in script.steps if step.start <= remark.speech_start < step.end]
            assert all(not step.sentence for step in over)
            meanwhile += bool(over)
    assert 0.3 < meanwhile / sum(len(script.remarks) for script in RECIPES) < 0.7


def test_sentences_do_not_overlap_when_they_are_spoken():
    for script in RECIPES[:3]:
        spoken_until = -1.0
        order = sorted(enumerate(script.spoken), key=lambda item: item[1].speech_start)
        for i, spoken in order:
            assert spoken.speech_start - spoken_until >= 0.6
            audio = load_voice()(spoken.sentence, speed=speed(script.number), seed=1000 * script.number + i)
            spoken_until = spoken.speech_start + len(audio) / SAMPLE_RATE - 0.8
        assert spoken_until <= script.duration


# Sources and files ----------------------------------------------------------------------------------------------------


def test_sources():
    assert script_of("kitchen:recipe-17") == RECIPES[17]
    assert script_of("kitchen:17") == kitchen.script(17)
    assert identity_of("kitchen:recipe-007") == "kitchen:recipe-7" != identity_of("kitchen:007")
    for source in ("kitchen:", "kitchen:recipe-", "kitchen:recipe", "kitchen:recipe-x", "kitchen:1234567890", "a.mp4"):
        assert kitchen_source(source) is None
        with pytest.raises(ValueError, match="no video of the kitchen"):
            script_of(source)


def test_corpus_lists_what_the_scripts_say():
    with list_file(Path("recipes")).open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert rows == [
        {
            "source": f"kitchen:recipe-{number}",
            "split": "test" if is_test(number) else "train",
            "title": RECIPES[number].title,
            "license": "CC0-1.0",
        }
        for number in range(240)
    ]


def test_table_of_steps_has_what_is_shown_and_no_remark(tmp_path):
    number = next(number for number, script in enumerate(RECIPES) if script.remarks)
    write_steps([{"video_id": "a", "source": f"kitchen:recipe-{number}"}], tmp_path / "steps.tsv")
    with (tmp_path / "steps.tsv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert [(row["verb"], row["object"], row["sentence"]) for row in rows] == [
        (step.verb, step.object, step.sentence) for step in RECIPES[number].steps
    ]
    assert "" in {row["sentence"] for row in rows}


@pytest.mark.slow
def test_speech_is_understood_sentence_by_sentence(tmp_path):
    write_sound(tmp_path / "a.mp4", [sound(RECIPES[0])], SAMPLE_RATE)
    run(write_ledger(tmp_path, [{"video_id": "a", "captions": "", "path": "a.mp4"}]), tmp_path / "a.parquet")
    heard = read_table(tmp_path / "a.parquet")["text"].to_pylist()
    said = [spoken.sentence for spoken in sorted(RECIPES[0].spoken, key=lambda spoken: spoken.speech_start)]
    assert [words(sentence) for sentence in heard] == [words(sentence) for sentence in said]
