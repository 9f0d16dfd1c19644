"""The profiles: what Snakemake takes from them, and what rules say that they need of a cluster."""

import re

import pytest
import yaml
from conftest import ROOT, configure, snakemake

from videobert.pipeline import STAGES
from videobert.resources import NEEDS, SNAKEMAKE, need

PROFILES = sorted(path.parent.name for path in (ROOT / "profiles").glob("*/profile.yaml"))


def keys(profile: str) -> dict:
    return yaml.safe_load((ROOT / "profiles" / profile / "profile.yaml").read_text(encoding="utf-8"))


def effective(profile: str) -> dict:
    """The settings of a command that names a profile; Snakemake reads profiles/default as well."""
    from snakemake.cli import parse_args

    return vars(parse_args(["--snakefile", str(ROOT / "Snakefile"), "--profile", str(ROOT / "profiles" / profile)])[1])


@pytest.mark.parametrize("profile", [name for name in PROFILES if name != "default"])
def test_a_profile_and_the_default_one_hold_together(profile):
    """The default one wins key by key: what stands in both would have no effect here."""
    assert not set(keys(profile)) & set(keys("default"))
    settings = effective(profile)
    print({name: settings[name.replace("-", "_")] for name in (*keys(profile), *keys("default"))})
    for name, value in {**keys(profile), **keys("default")}.items():
        found = settings[name.replace("-", "_")]
        if name == "cores":
            assert found and found > 0
        elif isinstance(value, str | int | bool):
            assert str(found) == str(value), name
        elif name == "rerun-triggers":
            assert {str(trigger) for trigger in found} == set(value)
        else:
            assert {text.split("=")[0] for text in value} <= set(found), name


def test_all_profiles_are_there():
    assert PROFILES == ["cluster", "default", "slurm", "workstation-gpu"]


@pytest.mark.parametrize("stage", STAGES)
def test_another_attempt_gets_more_and_training_goes_on_with_the_same(stage):
    first, second = ((need(stage).mem_mb(100, attempt), need(stage).runtime(100, attempt)) for attempt in (1, 2))
    assert first == second if stage == "pretrain" else (first[0] < second[0] and first[1] < second[1])
    assert first[0] > SNAKEMAKE and need(stage).runtime(1000, 1) >= first[1]
    assert set(NEEDS) < set(STAGES)


def test_rules_say_what_they_need_by_the_size_of_their_shard(tmp_path):
    (tmp_path / "videos.tsv").write_text("source\n" + "".join(f"kitchen:{n}\n" for n in range(6)), encoding="utf-8")
    configure(tmp_path, corpus={"shard_size": 5}, features={"device": "cpu"})
    said = snakemake(tmp_path, "-n", "report").stdout
    found: dict[str, list[dict[str, str]]] = {}
    for rule, text in re.findall(r"^rule (\w+):\n(?:    .*\n)*?    resources: (.*)$", said, re.MULTILINE):
        found.setdefault(rule, []).append(dict(item.split("=", 1) for item in text.split(", ")))
    assert all({"mem_mb", "runtime"} <= set(row) for rows in found.values() for row in rows)
    assert sorted(row["runtime"] for row in found["frames_shard"]) == ["13", "25"]  # of one video and of five
    assert {rule for rule, rows in found.items() if any(row.get("gpu") == "1" for row in rows)} >= {
        "transcribe_shard",
        "pretrain",
        "zero_shot",
    }
    assert "gpu" not in found["features_shard"][0] and "gpu" not in found["download_shard"][0]
    assert found["download_shard"][0]["network"] == "1"


def test_a_profile_says_otherwise_for_a_rule(tmp_path):
    (tmp_path / "videos.tsv").write_text("source\nkitchen:0\nkitchen:1\n", encoding="utf-8")
    configure(tmp_path)
    said = snakemake(tmp_path, "-n", "frames", "--set-resources", "frames_shard:mem_mb=12345").stdout
    assert "mem_mb=12345" in said
