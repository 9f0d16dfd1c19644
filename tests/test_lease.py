"""Of two commands that make the same files, the second waits, and finds them made or makes them."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from videobert import lease as module
from videobert.lease import HELD, lease

# Holds the lease on a file until its standard input ends, then makes the file or not.
HOLD = """
import sys
from pathlib import Path
from videobert.lease import lease
output, command, makes = Path(sys.argv[1]), sys.argv[2], sys.argv[3] == "makes"
with lease([output], [command]) as is_done:
    print(is_done, flush=True)
    sys.stdin.read()
    if makes:
        output.write_text("made")
"""


def start(output: Path, command: str, makes: str = "makes") -> subprocess.Popen:
    words = [sys.executable, "-c", HOLD, str(output), command, makes]
    pipe = subprocess.PIPE
    return subprocess.Popen(words, stdin=pipe, stdout=pipe, stderr=pipe, text=True)


def end(process: subprocess.Popen) -> str:
    """Lets it go on to its end, and gives what it said."""
    said = "".join(process.communicate(""))
    assert process.returncode == 0, said
    return said


@pytest.mark.parametrize(
    ("command", "makes", "done"), [("same", "makes", True), ("other", "makes", False), ("same", "fails", False)]
)
def test_the_second_waits_and_finds_the_work_done_or_does_it(tmp_path, command, makes, done):
    output = tmp_path / "results" / "0000.parquet"
    first = start(output, "same", makes)
    assert first.stdout.readline() == "False\n"
    second = start(output, command)
    assert f"process {first.pid} on " in second.stderr.readline()
    assert second.poll() is None
    end(first)
    assert end(second) == f"{done}\n"
    assert [path.name for path in output.parent.iterdir()] == ["0000.parquet"]


def test_a_holder_that_was_killed_here_is_gone_at_once(tmp_path):
    first = start(tmp_path / "a", "same")
    first.stdout.readline()
    first.kill()
    first.wait()
    begun = time.monotonic()
    assert end(start(tmp_path / "a", "same")) == "False\n"
    assert time.monotonic() - begun < 20


def test_a_holder_elsewhere_is_gone_when_it_gives_no_sign_of_life(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(module, "LOOK", 0.01)
    held = tmp_path / ".a.lease"
    held.write_text(
        json.dumps({"host": "node7", "machine": "node7 x", "pid": 1, "command": ["same"]}), encoding="utf-8"
    )
    looks = []

    def look(path: Path) -> float:
        looks.append(path)
        return 1.0 if len(looks) < 3 else module.EXPIRED + 1

    monkeypatch.setattr(module, "_age", look)
    with lease([tmp_path / "a"], ["same"]) as is_done:
        assert not is_done and json.loads(held.read_text(encoding="utf-8"))["pid"] == os.getpid()
    assert len(looks) == 3 and "process 1 on node7 makes this already" in capsys.readouterr().err
    assert not held.exists()


def test_the_age_is_by_the_clock_of_the_disk_and_signs_of_life_renew_it(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "RENEWED", 0.05)
    held = tmp_path / ".a.lease"
    with lease([tmp_path / "a"], []):
        os.utime(held, (1, 1))
        deadline = time.monotonic() + 20
        while module._age(held) > 10 and time.monotonic() < deadline:
            time.sleep(0.02)
        assert module._age(held) < 10


def test_where_no_lease_can_be_had_the_work_is_done_without(tmp_path, monkeypatch):
    def refused(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refused)
    with lease([tmp_path / "a"], []) as is_done:
        assert not is_done and list(tmp_path.iterdir()) == []


def test_a_stages_command_holds_one(tmp_path):
    """It waits for another that makes the same, and goes on when that is killed."""
    (tmp_path / "videos.tsv").write_text("source\nkitchen:0\nkitchen:1\n", encoding="utf-8")
    manifest = tmp_path / "manifest.parquet"
    first = start(manifest, "same")
    first.stdout.readline()
    files = ["--manifest", manifest.name, "--id_register", "register.parquet", "--videos", "videos.tsv"]
    command = [sys.executable, "-m", "videobert", "corpus", *files]
    environment = {**os.environ, "PYTHONPATH": str(Path(module.__file__).parents[1])}
    second = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=tmp_path, env=environment)
    assert f"process {first.pid} on " in second.stderr.readline()
    assert second.poll() is None and not manifest.exists()
    first.kill()
    first.wait()
    assert second.wait(60) == 0 and manifest.exists()
    assert not list(tmp_path.glob(".*lease*"))


@pytest.mark.parametrize("variable", ["RANK", HELD])
def test_the_processes_of_one_training_do_not_wait_for_each_other(tmp_path, monkeypatch, variable):
    """Those of our launcher, which holds the lease, and those of a torchrun that a user has typed."""
    first = start(tmp_path / "a", "same")
    first.stdout.readline()
    monkeypatch.setenv(variable, "1")
    monkeypatch.setattr(module, "_acquire", lambda *_: pytest.fail("it waits"))
    with lease([tmp_path / "a"], ["same"]) as is_done:
        assert not is_done
    end(first)
