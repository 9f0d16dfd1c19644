"""The files of a run have their names in one place, and stages that are shared have theirs in the upstream run."""

import ast
import re
import subprocess
from functools import cache
from pathlib import Path

import pytest

from videobert.layout import Layout, ModelFolder

ROOT = Path(__file__).parents[1]
NAMES = [
    "manifest.parquet",
    "ledger.parquet",
    "tokenizer.json",
    "tokenizer_config.json",
    "provenance.json",
    "register.parquet",
    "statistics.json",
    "atlas.parquet",
    "centroids.safetensors",
]
NAMES += ["preprocessing.json", "training.json", "metrics.json", "steps.tsv", "index.html", "summary.txt"]


@cache
def spelled(path: Path) -> set[str]:
    """The texts of a source that have no blank: paths and names, but not docstrings and messages."""
    if path.suffix == ".py":
        nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        texts = {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    else:
        texts = set(re.findall(r"""["']([^"'\n]*)["']""", path.read_text(encoding="utf-8")))
    return {text for text in texts if not re.search(r"\s", text)}


@pytest.mark.parametrize("name", NAMES)
def test_no_other_module_and_no_rule_spells_a_file(name):
    sources = [*(ROOT / "videobert").rglob("*.py"), *(ROOT / "workflow").rglob("*.smk"), ROOT / "Snakefile"]
    found = [
        f"{path.relative_to(ROOT)}: {text}"
        for path in sources
        if path.name != "layout.py"
        for text in spelled(path)
        if text.rsplit("/", 1)[-1] == name
    ]
    assert found == []


def test_stages_that_are_shared_lie_in_the_upstream_run():
    files = Layout("results/b", "results/a", ["corpus", "features"])
    assert files.manifest == "results/a/corpus/manifest.parquet"
    assert files.table("features", "0003") == "results/a/features/0003.parquet"
    assert files.shard_ledger("features", "0003") == "results/a/features/.ledger/0003.parquet"
    assert files.ledger("features") == "results/a/ledger/features.parquet"
    assert files.centroids == "results/b/codebook/centroids.safetensors"
    assert Layout("results/b").manifest == "results/b/corpus/manifest.parquet"


def test_what_a_task_made_is_looked_for_in_the_model_folder_and_beside_it():
    for folder, beside in (("results/pretrain", "results/evaluate"), ("model", "./evaluate")):
        own, earlier = ModelFolder(folder).places()
        assert own.projection == f"{folder}/retrieval/projection.safetensors"
        assert earlier.projection == f"{beside}/retrieval/projection.safetensors"


def test_nothing_is_written_into_a_model_folder_that_is_another_runs():
    assert Layout("own").parts.decoder == "own/pretrain/captioning/model.safetensors"
    assert Layout("own", "other", ["tokens"]).parts.decoder == "own/pretrain/captioning/model.safetensors"
    assert Layout("own", "other", ["tokens", "pretrain"]).parts.decoder == "own/evaluate/captioning/model.safetensors"


def test_the_page_lists_the_files_of_a_model_folder():
    page = (ROOT / "docs/using-a-model.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1] for line in page.partition("## The model's folder")[2].splitlines() if line[:3] == "| `"]
    listed = [file for row in rows for file in re.findall("`(.+?)`", row)]
    assert sorted(listed) == sorted(file.removeprefix("model/") for file in ModelFolder("model").complete())


def test_it_imports_nothing_but_words_for_its_types():
    code = (ROOT / "videobert/layout.py").read_text(encoding="utf-8").split('"""')[2]
    assert {line.split()[1] for line in code.splitlines() if "import" in line} == {"collections.abc", "os"}


def test_text_is_read_and_written_as_utf_8_whatever_the_locale():
    """The linter's rule knows `open` and what it can tell to be a Path."""
    for path in [*(ROOT / "videobert").rglob("*.py"), *(ROOT / "scripts").glob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                named = any(keyword.arg == "encoding" for keyword in node.keywords)
                given = len(node.args) > {"read_text": 0, "write_text": 1}.get(node.func.attr, 99)
                assert named or given or node.func.attr not in ("read_text", "write_text"), f"{path}:{node.lineno}"


def test_make_clean_leaves_what_the_repository_ships_and_follows_a_link(tmp_path):
    for folder in (tmp_path / "disk", tmp_path / "project", tmp_path / "scratch"):
        folder.mkdir()
    (tmp_path / "project" / "results").symlink_to(tmp_path / "disk")
    (tmp_path / "disk" / "pretrain").mkdir()
    for file in ("disk/README.md", "disk/pretrain/README.md", "scratch/checkpoint"):
        (tmp_path / file).touch()
    (tmp_path / "disk" / "pretrain" / "checkpoints").symlink_to(tmp_path / "scratch")
    subprocess.run(["make", "-f", ROOT / "Makefile", "clean"], cwd=tmp_path / "project", check=True)
    assert [path.name for path in (tmp_path / "disk").iterdir()] == ["README.md"]
    assert (tmp_path / "scratch" / "checkpoint").exists()
