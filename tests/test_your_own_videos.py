"""docs/your-own-videos.md as a user goes through it: a list from the web, lost videos, another try; and names that
strangers chose, which must be harmless wherever they go. The real workflow, against a server on 127.0.0.1."""

import re
import subprocess
import sys
import urllib.parse
from pathlib import Path

import pandas as pd
import pytest
from calls import report
from conftest import ROOT, configure, environment, snakemake
from hostile_web import PAGE, web, write_video

from videobert.data.provenance import read_table

pytestmark = pytest.mark.slow  # the workflow at work
NAMES = {
    "shell": "; rm -rf ~; $(touch pwned) `touch pwned` && touch pwned | touch pwned",
    "path": "../../../../../tmp/pwned",
    "lines": "a\nb\r\n# c\td",
    "nul": "nul\0nul",
    "long": "x" * 300,
    "emoji": "🍲 soup 👩‍🍳",
    "direction": "\u202egpj.exe\u2066\u200f",
    "option": "-rf",
    "html": "\"'><script>alert(1)</script><img src=x onerror=alert(1)>",
    "template": "{config} {{ x }} {% x %} %(title)s ${HOME}",
    "terminal": "\x1b[2J\x1b]0;title\x07\x9b",
}


@pytest.fixture(scope="module")
def site():
    with web() as server:
        yield server


def test_names_of_strangers_are_harmless(tmp_path, site):
    """As ids, titles, file names, captions, titles of pages, parts of URLs: in paths, the shell, the page, Parquet."""
    folder = tmp_path / "project"
    (folder / "files").mkdir(parents=True)
    video = write_video(folder / "onion.mp4")
    rows = []
    for key, name in NAMES.items():
        site.pages[f"/{key}"] = ("text/html", PAGE.format(title=name, video="/plain/1.mp4", track="").encode())
        rows.append({"id": name, "title": "", "source": f"{site.address}/{key}", "captions": name})
        rows.append({"id": name, "title": name, "source": f"{site.address}/forbidden/{urllib.parse.quote(name)}.mp4"})
        rows.append({"id": "", "title": name, "source": f"{site.address}/{name}"})
        file = folder / "files" / (name.replace("/", "_").replace("\0", "")[:200] + ".mp4")
        file.write_bytes(video.read_bytes())
        rows.append({"id": "", "title": name, "source": f"files/{file.name}"})
    pd.DataFrame(rows).to_parquet(folder / "videos.parquet")
    settings = {"retries": 0, "max_blocked": 1, "time_limit": 60}
    configure(folder, corpus={"videos": "videos.parquet", "shard_size": 100}, download=settings)
    before = outside(tmp_path)
    printed = snakemake(folder, "download").stdout
    assert outside(tmp_path) - before <= {"project/.snakemake"}
    results = folder / "results"
    stored = [path for path in (results / "download" / "0000").iterdir() if not path.name.startswith(".")]
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,64}(\.en)?\.(mp4|parquet|tsv)", path.name) for path in stored)
    ledger = read_table(results / "download" / "0000" / "ledger.parquet").to_pylist()
    pages = [row for row in ledger if urllib.parse.urlparse(row["source"]).path.strip("/") in NAMES]
    assert [row["status"] for row in pages] == ["ok"] * len(NAMES)
    locals_ = [row for row in ledger if row["source"].startswith("files/")]
    assert len(locals_) == len(NAMES) - 3 and {row["status"] for row in locals_} == {"ok"}
    aside = read_table(results / "ledger" / "corpus.parquet").to_pylist()
    assert {row["reason"] for row in aside if row["status"] == "unusable"} == {"source has control characters"}
    details = read_table(results / "corpus" / "details.parquet").to_pylist()
    titles = [row["title"] for row in [*ledger, *details] if row["title"]]
    assert "🍲 soup 👩‍🍳" in titles and max(map(len, titles)) == 300
    report(results, results / "report.html", results / "summary.txt", words=1, examples=1)
    page = (results / "report.html").read_text(encoding="utf-8")
    assert "<script>alert" not in page and "<img src=x" not in page and "&lt;script&gt;alert" in page
    logs = "".join(path.read_text(encoding="utf-8") for path in (results / "logs").rglob("*.log"))
    facts = "".join(str(value) for row in [*ledger, *aside, *details] for value in row.values())
    for text in (facts, page, logs, printed, (results / "summary.txt").read_text(encoding="utf-8")):
        assert not set(text) & set("\0\x1b\x07\x9b\u202e\u2066\u200f")
    assert not list(tmp_path.rglob("pwned"))


def outside(tmp_path: Path) -> set[str]:
    """Every file and folder, but for the results and Snakemake's own."""
    paths = (str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*"))
    return {path for path in paths if not path.startswith(("project/results", "project/.snakemake/"))}


def test_lost_videos_get_another_try_and_nothing_else_does(tmp_path, site):
    folder = tmp_path / "project"
    folder.mkdir()
    kinds = ["plain", "not_found", "plain", "forbidden", "plain", "forbidden", "plain", "plain"]
    sources = [f"{site.address}/{kind}/{n}.mp4" for n, kind in enumerate(kinds)]
    (folder / "videos.tsv").write_text("\n".join(["source", *sources]) + "\n", encoding="utf-8")
    corpus = {"videos": "videos.tsv", "shard_size": 4}
    configure(folder, corpus=corpus, download={"retries": 0, "max_blocked": 1})
    said = snakemake(folder, "download")
    assert "download: 8 videos, 3 lost (2 blocked, 1 gone), in " in said.stdout + said.stderr
    assert "videobert retry results blocked, and this command" in said.stdout + said.stderr
    # How the site is asked changes nothing that is there.
    cookies = folder / "cookies.txt"
    cookies.write_text("127.0.0.1\tFALSE\t/\tFALSE\t4102444800\tsession\tsecret-cookie-17\n", encoding="utf-8")
    manners = {"cookies": "cookies.txt", "proxy": None, "ratelimit": 10**7, "sleep_interval": 0.01, "retries": 1}
    manners |= {"time_limit": 50, "max_blocked": 0.9, "options": {"socket_timeout": 9, "username": "cook"}}
    configure(folder, corpus=corpus, download=manners)
    assert "Nothing to be done" in snakemake(folder, "download", "-n").stdout
    # The blocked ones once more: their shard runs, and asks for them alone.
    for number in (3, 5):
        site.answers[f"/forbidden/{number}.mp4"] = "plain"
    retry = [sys.executable, "-m", "videobert", "retry", "results", "blocked", "transient"]
    environ = {**environment(), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(retry, cwd=folder, capture_output=True, text=True, env=environ)
    assert done.returncode == 0 and "2 blocked, 0 transient, in 2 of 2 shards" in done.stderr, done.stderr
    del site.asked[:], site.headers[:]
    said = snakemake(folder, "download", "--printshellcmds")
    assert "download: 7 ok, 1 gone" in said.stdout + said.stderr
    assert {path for path, _ in site.asked} == {"/forbidden/3.mp4", "/forbidden/5.mp4"}
    assert {headers["Cookie"] for headers in site.headers} == {"session=secret-cookie-17"}
    # The cookies went to the site and nowhere else.
    cookies.unlink()
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert not any(b"secret-cookie-17" in path.read_bytes() for path in files)
    assert "secret-cookie-17" not in said.stdout + said.stderr
