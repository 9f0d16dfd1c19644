"""The files of a run have their names in one place, and stages that are shared have theirs in the upstream run."""

from pathlib import Path

import pytest

from videobert.layout import Layout, ModelFolder

ROOT = Path(__file__).parents[1]
NAMES = ["manifest.parquet", "register.parquet", "statistics.json", "atlas.parquet", "centroids.safetensors"]
NAMES += ["preprocessing.json", "training.json", "metrics.json", "steps.tsv", "index.html", "summary.txt"]


@pytest.mark.parametrize("name", NAMES)
def test_no_other_module_and_no_rule_spells_a_file(name):
    sources = [*(ROOT / "videobert").rglob("*.py"), *(ROOT / "workflow").rglob("*.smk"), ROOT / "Snakefile"]
    quoted = (f'"{name}"', f"/{name}", f"'{name}'")
    found = [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for path in sources
        if path.name != "layout.py"
        for line in path.read_text().splitlines()
        if any(text in line for text in quoted) and not _is_prose(line)
    ]
    assert found == []


def _is_prose(line: str) -> bool:
    """A comment, a docstring's line or a message names files as readers know them."""
    return (
        line.strip().startswith(("#", '"""'))
        or "having no" in line
        or "{results}" in line
        or " " in line.split("/")[0].strip()
    )


def test_stages_that_are_shared_lie_in_the_upstream_run():
    files = Layout("results/b", "results/a", ["corpus", "features"])
    assert files.manifest == "results/a/corpus/manifest.parquet"
    assert files.table("features", "0003") == "results/a/features/0003.parquet"
    assert files.shard_ledger("features", "0003") == "results/a/features/_ledger/0003.parquet"
    assert files.ledger("features") == "results/a/ledger/features.parquet"
    assert files.centroids == "results/b/codebook/centroids.safetensors"
    assert Layout("results/b").manifest == "results/b/corpus/manifest.parquet"


def test_what_a_task_made_is_looked_for_in_the_model_folder_and_beside_it():
    assert ModelFolder("results/pretrain").task("retrieval") == (
        "results/pretrain/retrieval",
        "results/evaluate/retrieval",
    )
    assert ModelFolder("model").task("retrieval") == ("model/retrieval", "./evaluate/retrieval")


def test_it_imports_nothing():
    assert "import" not in (ROOT / "videobert/layout.py").read_text().split('"""')[2]
