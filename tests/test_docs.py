"""The documentation says what the code says: the picture, the generated pages, the messages that are quoted, the links."""

import ast
import re
import sys
from functools import cache
from pathlib import Path

import pytest

from videobert.data.schemas import files
from videobert.errors import Status
from videobert.layout import Layout
from videobert.pipeline import STAGES, TOOLS

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
sys.path.insert(0, str(DOCS))

import generate  # noqa: E402 - it lies beside the pages

WRITTEN = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.glob("*.md"))]


def test_the_picture_is_what_the_stages_read():
    assert (DOCS / "pipeline.svg").read_text(encoding="utf-8") == generate.picture(), "python docs/generate.py"


def test_every_stage_and_task_has_its_place_in_the_picture():
    assert {*generate.PLACES, *generate.TASKS} == STAGES.keys()


def test_the_page_of_files_names_every_file_and_column():
    page = generate.files_page()
    for stage, group in files(Layout("results")).items():
        for file in group:
            assert generate.repeated(stage, file) or f"`{file.path}`\n: {file.about}" in page
            assert all(f"| `{column.name}` | " in page for column in file.columns)


def test_every_word_of_the_ledgers_is_explained():
    assert generate.STATUSES.keys() == set(Status)
    assert all(f"| `{word}` | " in generate.files_page() for word in Status)


def test_the_page_of_commands_names_every_command():
    page = generate.commands_page()
    for name in [*STAGES, *TOOLS]:
        assert re.search(rf"^##+ videobert {name}$", page, re.MULTILINE)


def test_pages_are_written_once(tmp_path):
    generate.write_pages(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert {path.name for path in before} == generate.pages().keys()
    generate.write_pages(tmp_path)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before


@cache
def messages() -> list[str]:
    """The texts of the package's errors, "…" where a value stands; and the phrases that others are made of."""
    texts = []
    for path in (ROOT / "videobert").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                parts = [part.value if isinstance(part, ast.Constant) else "…" for part in node.values]
                texts.append("".join(map(str, parts)))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.append(node.value)
    return texts


def quoted() -> list[str]:
    """The messages that the page explains: the terms of its lists."""
    page = (DOCS / "troubleshooting.md").read_text(encoding="utf-8")
    terms = re.findall(r"^(`.+`)\n: ", page, re.MULTILINE)
    return [re.sub(r"^`+ ?| ?`+$", "", term) for term in terms]


# Made of several texts: of the code's phrases for a key, a value and a hint.
JOINED = {
    "config: … is not a key of …; did you mean …?": "… is not a key of …; …",
    "… is …, but must be …": "… is …, but must be ……",
}


@pytest.mark.parametrize("message", quoted())
def test_every_message_that_is_explained_is_one_of_the_code(message):
    fragments = [fragment for fragment in JOINED.get(message, message).split("…") if fragment]
    pattern = ".*".join(map(re.escape, fragments))
    assert any(re.search(pattern, text, re.DOTALL) for text in messages())


def test_many_messages_are_explained():
    assert len(quoted()) > 40


@pytest.mark.parametrize("page", WRITTEN, ids=lambda path: path.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        file, _, anchor = target.partition("#")
        if re.match(r"https?:", target):
            continue
        place = page.parent / file if file else page
        name = place.relative_to(DOCS / "generated").name if place.parent == DOCS / "generated" else None
        text = generate.pages()[name] if name else place.read_text(encoding="utf-8") if place.suffix == ".md" else ""
        assert name or place.exists(), target
        titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
        assert not anchor or anchor in {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles}, (
            target
        )


def test_every_page_is_in_the_table_of_contents():
    listed = set(re.findall(r"^[\w/-]+$", (DOCS / "index.md").read_text(encoding="utf-8"), re.MULTILINE))
    written = {path.stem for path in DOCS.glob("*.md")} - {"index"}
    generated = {f"generated/{Path(name).stem}" for name in generate.pages()} - {"generated/floors"}
    assert written | generated <= listed


def test_the_readme_takes_two_minutes():
    assert len((ROOT / "README.md").read_text(encoding="utf-8")) < 5000
