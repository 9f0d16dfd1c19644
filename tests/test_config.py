"""What a user who mistypes the configuration sees, and that every stage's section and command agree."""

import copy
import importlib
import inspect
import re
from pathlib import Path

import pytest
import yaml

from videobert.__main__ import HOMES, STAGES, TOOLS
from videobert.config import PLACE, check, flags
from videobert.errors import UserError

ROOT = Path(__file__).parents[1]
SCHEMA = ROOT / "workflow/schemas/config.schema.yaml"
CONFIG = yaml.safe_load((ROOT / "config.yaml").read_text())


def changed(key: str, value: object) -> dict:
    config = copy.deepcopy(CONFIG)
    *sections, name = key.split(".")
    place = config
    for section in sections:
        place = place[section]
    place[name] = value
    return config


def test_the_shipped_configuration_is_valid():
    check(CONFIG, SCHEMA)


def test_every_overlay_is_valid_on_top_of_it():
    for overlay in (ROOT / "configs").glob("*.yaml"):
        config = copy.deepcopy(CONFIG)
        for section, values in yaml.safe_load(overlay.read_text()).items():
            config[section] = {**config[section], **values} if isinstance(values, dict) else values
        check(config, SCHEMA)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("frames.fps", 0, "frames.fps is 0, but must be at least 1"),
        ("codebook.branching", 1, "codebook.branching is 1, but must be at least 2"),
        ("corpus.videos", "", "corpus.videos is '', but must be not empty"),
        ("frames.fsp", 20, "frames.fsp is not a key of section frames; did you mean fps?"),
        ("featurs", {}, "featurs is not a key of the configuration; did you mean features?"),
        (
            "pretrain.learning_rate",
            "1e-4",
            "pretrain.learning_rate is '1e-4', but must be a number; write it as 0.0001",
        ),
        ("features.device", "gpu", "features.device is 'gpu', but must be one of auto, cpu, cuda"),
        ("transcribe.language", False, "transcribe.language is False, but must be text"),
        (
            "pretrain.hidden_size",
            130,
            "pretrain.hidden_size is 130, but must be a multiple of pretrain.num_attention_heads",
        ),
        ("captioning.hidden_size", 130, "captioning.hidden_size is 130, but must be a multiple of"),
        ("captioning.template", "cut it", "must hold [MASK] at least once"),
        ("retrieval.template", "cut the [MASK]", "retrieval.template is 'cut the [MASK]', but must hold [MASK] twice"),
        ("retrieval.candidates", 0, "retrieval.candidates is 0, but must be at least 1"),
        ("pretrain.share", 0, "pretrain.share is 0, but must be more than 0"),
        ("scaling.shares", [0.5, 1.5], "scaling.shares.1 is 1.5, but must be at most 1"),
        ("scaling.seeds", [], "scaling.seeds is [], but must be a list of at least 1"),
        ("scaling.seeds", [0, 0], "scaling.seeds is [0, 0], but must be a list without doubles"),
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
        check(changed(key, value), SCHEMA)
    assert message in str(error.value)
    assert str(error.value).count("\n") == 0


def test_a_missing_key_is_named():
    config = copy.deepcopy(CONFIG)
    del config["corpus"]["videos"]
    with pytest.raises(UserError, match=r"corpus\.videos is missing"):
        check(config, SCHEMA)


def arguments(stage: str) -> set[str]:
    return set(inspect.signature(getattr(importlib.import_module(f"videobert.{HOMES[stage]}"), stage)).parameters)


def shared() -> set[str]:
    """What the tasks of the evaluation take from its section beside their own."""
    return set.union(*[arguments(task) - set(CONFIG[task]) for task in CONFIG["evaluate"]["tasks"]])


@pytest.mark.parametrize("stage", [stage for stage in STAGES if stage != "ledger"])
def test_config_keys_are_the_commands_arguments(stage):
    """One word everywhere: a key without an argument would be a flag that the command refuses."""
    assert set(CONFIG[stage]) <= arguments(stage) | (shared() if stage == "evaluate" else set())
    schema = yaml.safe_load(SCHEMA.read_text())["properties"][stage]
    assert set(schema["properties"]) == set(schema["required"]) == set(CONFIG[stage])


def test_every_key_is_explained():
    lines = (ROOT / "config.yaml").read_text().splitlines()
    bare = [
        line
        for before, line in zip(lines, lines[1:])
        if re.match(r"  \w+:", line) and not before.lstrip().startswith("#") and not re.match(r"  \w+:", before)
    ]
    assert not [line for line in bare if line.split(":")[0].strip() not in ("seed", "device", "threads", "batch_size")]


def test_flags_leave_out_the_place_and_quote_the_rest():
    assert flags({"device": "cuda", "threads": 8, "b": "$(rm -rf /); it's", "a": [1, "x"]}) == (
        "--a='[1, \"x\"]' --b='$(rm -rf /); it'\"'\"'s'"
    )
    assert set(PLACE) == {"device", "threads"}


def lock() -> dict[str, str]:
    pins = re.findall(r"^([\w.-]+)==(\S+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    return {name.lower().replace("_", "-"): version for name, version in pins}


@pytest.mark.parametrize("stage", [stage for stage in STAGES if stage != "ledger"])
def test_the_conda_files_pins_are_the_locks(stage):
    (packages,) = [
        item["pip"]
        for item in yaml.safe_load((ROOT / f"envs/{stage}.yaml").read_text())["dependencies"]
        if isinstance(item, dict)
    ]
    assert packages
    for pin in packages:
        name, version = pin.split("==")
        assert lock()[name] == version, pin


def test_the_projects_pins_are_the_locks():
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for pin in project["dependencies"] + project["optional-dependencies"]["dev"]:
        name, version = re.match(r"([\w.-]+)(?:\[\w+\])?==(\S+)", pin).groups()
        assert lock()[name.lower()] == version, pin


def test_no_tool_has_the_name_of_a_stage():
    """Both are `videobert NAME`: one would hide the other."""
    assert not set(STAGES) & set(TOOLS)
