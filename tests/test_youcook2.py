"""YouCook II: the list and the labels that a user gets from the official file, and what becomes of odd entries."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest
from calls import corpus

from videobert.__main__ import main
from videobert.data.provenance import read_table
from videobert.errors import UserError
from videobert.evaluation.steps import Step, _read_table
from videobert.evaluation.youcook2 import verb_and_object, youcook2

# The official format, with sentences in its manner.
SENTENCES = {
    "-_aB3xYz012": ("training", ["cut the tomatoes into thin slices", "toast the bread slices in the toaster"]),
    "Qm0v1Rk2T3s": ("training", ["add 2 tbsp of olive oil to a hot pan", "finely chop the green onions"]),
    "bN7wE5uHc4g": ("training", ["peel and chop the potatoes", "boil the potatoes and mash them"]),
    "k2L9pF0dS8a": ("training", ["crack three eggs into a bowl", "whisk until smooth and pour the mixture into a pan"]),
    "x1C3vB5nM7q": ("training", ["season with salt and pepper", "now the sushi is ready"]),
    "tY6uI8oP0lK": ("validation", ["add chopped tomatoes, garlic and oregano to the pan", "drain the pasta"]),
    "zA1sD2fG3hJ": (
        "validation",
        ["take out the chicken pieces", 'top with "panko"', 'slice the "red" onion\tand\nthe carrot'],
    ),
    "000e1234567": ("validation", ["add a pinch of salt", "add the filling to the wrapper"]),
    "Wq4Er5Ty6Ui": ("testing", []),
}


def official(changes: dict | None = None) -> dict:
    database = {}
    for number, (video_id, (subset, sentences)) in enumerate(SENTENCES.items()):
        database[video_id] = {
            "duration": 199.0,
            "subset": subset,
            "recipe_type": str(101 + number),
            "video_url": f"https://www.youtube.com/watch?v={video_id}",
            "annotations": [
                {"segment": [10 * step, 10 * step + 8], "id": step, "sentence": sentence}
                for step, sentence in enumerate(sentences)
            ],
        }
    return {"database": database | (changes or {})}


def convert(folder: Path, content: object, **settings: int) -> Path:
    path = folder / "annotations.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    youcook2(path, folder / "youcook2", **settings)
    return folder / "youcook2"


def rows(path: Path) -> list[dict[str, str]]:
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def one(folder: Path, subset: str = "validation", **step: object) -> Path:
    """The official file with one more video of one step."""
    video = {"subset": subset, "annotations": [{"segment": [1, 2], "id": 0, "sentence": "peel the carrots", **step}]}
    return convert(folder, official({"newVideo_-1": video}))


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("place the bacon slices on a baking pan and cook them in an oven", "place bacon"),
        ("Chopped onions? No: chopping the 2 LARGE onions.", "chop onion"),
        ("in a mixing bowl add the flour and two eggs", "add flour"),
        ("add a pinch of salt", "add salt"),
        ("add 2 tablespoons oil", "add oil"),
        ("rub oil on the top of the dough", "rub oil"),
        ("spread butter on both sides of the bread", "spread butter"),
        ("peel, wash and chop the potatoes", "peel potato"),
        ("add the peeled, chopped tomatoes", "add tomato"),
        ("use a knife to cut the leaves", "cut leaf"),
        ("roll out the dough", "roll dough"),
        ("cut the roll in half", "cut roll"),
        ("take one of the eggs", "take egg"),
        ("spread jelly on the bread", "spread jelly"),
        ("soak seaweed", "soak seaweed"),
        ("add in the boiling water", "add water"),
        ("add the filling to the wrapper", "add filling"),
        ("fry the fish in hot oil", "fry fish"),
        ("the man is grating cheese", "grate cheese"),
        ("blend until smooth and pour the mixture into a glass", "pour mixture"),
        ("sautéed shallots and radishes", "saute shallot"),
        ("add berries", "add berry"),
        ("drain the molasses", "drain molasses"),
        ("add asparagus", "add asparagus"),
        ("season with salt and pepper", "season "),
        ("transfer it to a plate", "transfer "),
        ("serve hot", "serve "),
        ("dip it in hot melted butter", "dip "),
        ("now the sushi is ready", " "),
        ("", " "),
    ],
)
def test_the_rule_finds_what_is_done_to_what(sentence, expected):
    assert " ".join(verb_and_object(sentence)) == expected


def test_the_list_has_the_official_split_and_the_labels_ids(tmp_path):
    made = convert(tmp_path, official())
    outputs = {name: tmp_path / f"{name}.parquet" for name in ("output", "ledger", "register")}
    corpus(made / "videos.tsv", **outputs, shard_size=4, test_fraction=0.5, seed=0)
    manifest = {row["video_id"]: row for row in read_table(outputs["output"]).to_pylist()}
    splits = {"training": "train", "validation": "test"}
    assert {video: row["split"] for video, row in manifest.items()} == {
        video: splits[subset] for video, (subset, _) in SENTENCES.items() if subset != "testing"
    }
    assert manifest["-_aB3xYz012"]["source"] == "https://www.youtube.com/watch?v=-_aB3xYz012"
    assert {row["video_id"] for row in rows(made / "labels.tsv")} <= set(manifest)


def test_evaluate_reads_the_labels(tmp_path):
    made = convert(tmp_path, official())
    steps = _read_table(made / "labels.tsv")
    assert replace(steps[0], sentence="") == Step("-_aB3xYz012", 0.0, 8.0, "cut", "tomato")
    assert Step("zA1sD2fG3hJ", 20.0, 28.0, "slice", "onion", 'slice the "red" onion and the carrot') in steps
    assert Step("000e1234567", 0.0, 8.0, "add", "salt") in [replace(step, sentence="") for step in steps]
    assert all(step.verb and step.object and step.sentence for step in steps)


def test_every_step_is_labelled_or_left_out_with_a_reason_and_counted(tmp_path, capsys):
    made = convert(tmp_path, official())
    reasons = {(row["video_id"], row["sentence"]): row["reason"] for row in rows(made / "left_out.tsv")}
    assert reasons == {
        ("x1C3vB5nM7q", "season with salt and pepper"): "no object found",
        ("x1C3vB5nM7q", "now the sushi is ready"): "no verb found",
        ("zA1sD2fG3hJ", 'top with "panko"'): "no object found",
        ("Wq4Er5Ty6Ui", ""): "testing: its sentences are not published",
    }
    total = sum(len(sentences) for _, sentences in SENTENCES.values())
    assert len(rows(made / "labels.tsv")) + 3 == total
    said = capsys.readouterr().err
    assert f"8 videos (train 5, test 3); {total - 3} steps with" in said
    assert "left out: 2 (no object found)" in said
    assert "left out: 1 (no verb found)" in said


def test_only_the_most_common_verbs_and_objects_are_labels(tmp_path):
    # Onion, potato and tomato come twice, the others once; the alphabet decides between equals.
    made = convert(tmp_path, official(), objects=2)
    assert {row["object"] for row in rows(made / "labels.tsv")} == {"onion", "potato"}
    made = convert(tmp_path, official(), verbs=1, objects=3)
    assert [(row["verb"], row["object"]) for row in rows(made / "labels.tsv")] == [("add", "tomato")]
    rare = {row["sentence"]: row["reason"] for row in rows(made / "left_out.tsv")}
    assert rare["drain the pasta"] == "verb not among the 1 most common and object not among the 3 most common"
    assert rare["add a pinch of salt"] == "object not among the 3 most common"


@pytest.mark.parametrize("segment", [[8, 3], [5, 5], [-1, 4], [4], ["1", "2"], [True, 2], [0, float("nan")], None, 7])
def test_a_step_without_usable_times_is_left_out(tmp_path, segment):
    made = one(tmp_path, segment=segment)
    (row,) = [row for row in rows(made / "left_out.tsv") if row["video_id"] == "newVideo_-1"]
    assert row["reason"] == "segment is not [start, end] in seconds, start before end"
    assert row["sentence"] == "peel the carrots"


@pytest.mark.parametrize("sentence", ["", "  ", None, 5])
def test_a_step_without_a_sentence_is_left_out(tmp_path, sentence):
    made = one(tmp_path, sentence=sentence)
    assert [row["reason"] for row in rows(made / "left_out.tsv") if row["video_id"] == "newVideo_-1"] == ["no sentence"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("no json", "annotations.json cannot be read as JSON"),
        ("[1]", 'annotations.json has no "database"'),
        ({"database": {}}, 'annotations.json has no "database"'),
        (official({"a": {"subset": "train"}}), "annotations.json, video 'a': subset is 'train'; allowed are training,"),
        (official({"a": {"subset": ["x"]}}), "annotations.json, video 'a': subset is ['x']"),
        (official({"a": {}}), "annotations.json, video 'a': subset is None"),
        (official({"a": 5}), "annotations.json, video 'a': its entry must have"),
        (
            official({"a": {"subset": "training", "annotations": {}}}),
            "annotations.json, video 'a': its entry must have",
        ),
        (official({"../a": {"subset": "training"}}), "annotations.json, video '../a': a YouTube id has"),
        ({"database": {"a": {"subset": "testing"}}}, "annotations.json has no training or validation video"),
        ({"database": {"a": {"subset": "training"}}}, "annotations.json has no step with a sentence"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_line_and_leaves_nothing(tmp_path, content, message):
    with pytest.raises(UserError) as error:
        convert(tmp_path, content)
    assert message in str(error.value)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "youcook2").exists()


def test_the_same_file_gives_the_same_bytes(tmp_path):
    made = convert(tmp_path, official())
    first = {path.name: path.read_bytes() for path in made.iterdir()}
    convert(tmp_path, official())
    assert {path.name: path.read_bytes() for path in made.iterdir()} == first
    assert sorted(first) == ["labels.tsv", "left_out.tsv", "videos.tsv"]


def test_the_command_takes_the_file_as_it_is_and_names_a_missing_one(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("official.json").write_text(json.dumps(official()), encoding="utf-8")
    main(["youcook2", "official.json", "--output", "made", "--objects", "3"])
    assert len({row["object"] for row in rows(Path("made/labels.tsv"))}) == 3
    with pytest.raises(SystemExit, match=r"^videobert youcook2: none\.json does not exist; .*trainval\.json"):
        main(["youcook2", "none.json"])
    main(["--help"])
    assert "youcook2" in capsys.readouterr().out
