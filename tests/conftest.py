"""What several tests read is made once a run, on disk, and shared by all of pytest's processes.

`make test` spreads the tests over processes (pytest-xdist), and a session fixture would be made in each of them. So a
fixture that costs seconds asks `shared` for a folder: `shared("name", make)` calls `make(folder)` in the process that
comes first, under a lock; the others wait and read what it made. When the processes end, they compare what lies there
with what was made: a test that writes into a shared folder fails the run. Take a `copy` first.

A test that reads anything shared is slow by that, and so is one that fetches from a `site`, or has `@pytest.mark.slow`
(or `pytestmark` in its module); `make test-fast` runs the others. Tests run in random order, whose seed is printed first:
`--randomly-seed=N` runs the same order again, but for what the processes take from each other. With `-p no:randomly` they
run as they stand.

The most expensive of what is shared is `finished`, a small project that has run the whole workflow. Two shards: two
narrated kitchen videos, two test videos, and five files such as strangers have: cut off and without speech, without sound,
empty, a text named .mp4, and one that is not there.
"""

import functools
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from filelock import FileLock
from forks import Forks

ROOT = Path(__file__).parents[1]

# Two processes of tests on two cores: a library that takes both for itself only makes the other wait. And sums have the
# same last bits on every machine.
os.environ["OMP_NUM_THREADS"] = "1"


class Shared:
    """What several tests read: each folder is made by the process that asks first, and read by all."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.asked: set[Path] = set()
        folder.mkdir(exist_ok=True)

    def __call__(self, name: str, make: Callable[[Path], object]) -> Path:
        """The folder of this name, filled by `make`. It must not be written to afterwards."""
        folder, state = self.folder / name, self.folder / f"{name}.state"
        with FileLock(f"{folder}.lock"):
            if not state.exists():
                # Tried once: what failed here would fail in every process, for minutes each.
                assert not folder.exists(), f"{name} could not be made; see the first test that asked for it"
                folder.mkdir()
                make(folder)
                state.write_text(json.dumps(contents(folder)), encoding="utf-8")
        self.asked.add(folder)
        return folder

    def check(self) -> None:
        """Fails when a test has changed something."""
        for folder in sorted(self.asked):
            expected, found = (
                json.loads((folder.parent / f"{folder.name}.state").read_text(encoding="utf-8")),
                contents(folder),
            )
            changed = sorted(name for name in {*expected, *found} if expected.get(name) != found.get(name))
            assert not changed, f"a test wrote into what all share, {folder}: {', '.join(changed[:9])}; take a copy"


def contents(folder: Path) -> dict[str, list[int]]:
    """Size and time of each file. Snakemake writes a log of every dry run, and nothing else, into its own folder."""
    files = (path for path in folder.rglob("*") if path.is_file() and ".snakemake" not in path.parts)
    return {str(path.relative_to(folder)): [path.stat().st_size, path.stat().st_mtime_ns] for path in files}


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shared]:
    base = tmp_path_factory.getbasetemp()
    shared = Shared((base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "shared")
    yield shared
    shared.check()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks what is slow. One test that needs the finished workflow comes first, the others last, so that one process makes it
    while the others have something else to do."""
    needs = {item: {*getattr(item, "fixturenames", ())} for item in items}
    for item in items:
        if {"shared", "site"} & needs[item]:  # a server on this machine
            item.add_marker(pytest.mark.slow)
    reading = [item for item in items if {"finished", "shared"} <= needs[item]]
    items[:] = [*reading[:1], *(item for item in items if item not in {*reading}), *reading[1:]]


# Small enough for minutes, large enough to be real.
SMALL = {
    "corpus": {"videos": "videos.tsv", "shard_size": 5},
    "codebook": {"branching": 4, "depth": 2},
    "vocabulary": {"size": 300},
    "pretrain": {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 64,
        "max_steps": 60,
        "save_steps": 10,
        "logging_steps": 10,
        "warmup_steps": 5,
        "learning_rate": 0.003,
        "max_length": 40,
        "threads": 1,
        # As the paper has it; test_visual_input.py has what the built-in corpus uses besides.
        "visual_input": "words",
        "hard_negatives": 0.0,
        "contrastive_weight": 0.0,
    },
    "scaling": {"shares": [0.5, 1.0], "seeds": [0]},  # one model beside the main one
    "captioning": {"hidden_size": 32, "intermediate_size": 64, "max_steps": 20},
    "evaluate": {
        "tasks": ["objectives", "zero_shot", "probe", "retrieval", "captioning", "forecasting", "scaling"],
        "threads": 1,
    },
    "report": {"words": 4, "examples": 2},
}
SOURCES = ["kitchen:0", "files/cut.mp4", "files/mute.mp4", "kitchen:4", "files/text.mp4"]
SOURCES += ["kitchen:1", "kitchen:9", "files/empty.mp4", "files/missing.mp4"]
SPLITS = {"kitchen:4": "test", "kitchen:9": "test"}


def snakemake(folder: Path, *arguments: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Runs Snakemake with the project's Snakefile in `folder`, in a fork, and gives what it printed."""
    done = forks()(*words(folder, *arguments))
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


@functools.cache
def forks() -> Forks:
    """It ends with this process, when its standard input does."""
    return Forks(environment())


def command(folder: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "snakemake", *words(folder, *arguments)]


def words(folder: Path, *arguments: str) -> list[str]:
    files = ["--snakefile", ROOT / "Snakefile", "--directory", folder]
    return [str(word) for word in (*files, "--cores", "2", *arguments)]


def environment() -> dict[str, str]:
    """That of a user but for Java, which fails at once: METEOR is tried in test_captioning.py."""
    return {**os.environ, "PATH": f"{Path(__file__).parent / 'failing_java'}:{os.environ['PATH']}"}


@pytest.fixture
def planned() -> Callable[..., dict[str, int]]:
    """What would run in a folder: rule -> number of jobs."""
    return lambda folder, *arguments: jobs(snakemake(folder, "-n", *arguments).stdout)


def jobs(said: str) -> dict[str, int]:
    """What a dry run says would run: rule -> number of jobs."""
    table = said.split("Job stats:")[1].split("\n\n")[0] if "Job stats:" in said else ""
    return {
        rule: int(count)
        for rule, count in re.findall(r"^(\w+) +(\d+)$", table, re.MULTILINE)
        if rule not in ("total", "default")
    }


def configure(folder: Path, **sections: dict) -> None:
    """Writes config.yaml: the shipped one, made small, with these sections' keys changed."""
    config = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
    for changes in (SMALL, sections):
        for section, values in changes.items():
            config[section] = {**config[section], **values} if isinstance(values, dict) else values
    (folder / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")


def project(folder: Path, files: Path, sources: list[str] = SOURCES) -> Path:
    """A project folder: the list, the files it names, config.yaml."""
    folder.mkdir(parents=True)
    shutil.copytree(files, folder / "files")
    rows = [f"{source}\t{SPLITS.get(source, 'train')}" for source in sources]
    (folder / "videos.tsv").write_text("source\tsplit\n" + "\n".join(rows) + "\n", encoding="utf-8")
    configure(folder)
    return folder


def kitchen_video(shared: Shared, number: int) -> Path:
    """A rendered video of the kitchen."""
    from videobert.kitchen.script import script
    from videobert.kitchen.video import render

    return shared(f"kitchen-{number}", lambda folder: render(script(number), folder / "a video.mp4")) / "a video.mp4"


def short_video(shared: Shared) -> Path:
    """The first 14 seconds of one: each question has a video decoded and looked at from beginning to end."""
    make = lambda folder: cut(kitchen_video(shared, 0), folder / "a short video.mp4", 14)  # noqa: E731
    return shared("short", make) / "a short video.mp4"


@pytest.fixture(scope="session")
def short(shared: Shared) -> Path:
    return short_video(shared)


@pytest.fixture(scope="session")
def files(shared: Shared) -> Path:
    """Files such as strangers have, made of a kitchen video."""
    return shared("strangers", lambda folder: strangers(kitchen_video(shared, 7), folder))


def strangers(whole: Path, folder: Path) -> None:
    data = whole.read_bytes()
    (folder / "cut.mp4").write_bytes(data[: len(data) // 2])
    (folder / "empty.mp4").write_bytes(b"")
    (folder / "text.mp4").write_text("#!/bin/sh\necho I am no video\n", encoding="utf-8")
    # Ten seconds without sound are enough; the second must not be the same file.
    cut(whole, folder / "mute.mp4", 10, sound=False)
    cut(whole, folder / "later.mp4", 12, sound=False)


def cut(whole: Path, path: Path, seconds: float, sound: bool = True) -> None:
    """The beginning of a video, packet by packet."""
    import av

    with av.open(str(whole)) as source, av.open(str(path), "w") as target:
        streams = [stream for stream in source.streams if sound or stream.type == "video"]
        copies = {stream.index: target.add_stream_from_template(stream) for stream in streams}
        for packet in source.demux(streams):
            if packet.dts is not None and packet.dts * packet.time_base < seconds:
                packet.stream = copies[packet.stream.index]
                target.mux(packet)


@pytest.fixture(scope="session")
def finished(shared: Shared, files: Path) -> Path:
    """A project that has run from nothing to the report, undisturbed, by the bare command: without a target the Snakefile's
    default is made. Tests must not change it: take a `copy`. Beside it lies what the run said, screen.txt."""

    def make(folder: Path) -> None:
        done = subprocess.run(
            command(project(folder / "project", files)), capture_output=True, text=True, env=environment()
        )
        assert done.returncode == 0, done.stdout + done.stderr
        (folder / "screen.txt").write_text(done.stderr, encoding="utf-8")

    return shared("finished", make) / "project"


@pytest.fixture(scope="session")
def looks() -> dict[tuple, Any]:
    return {}


@pytest.fixture
def looked_once(looks: dict[tuple, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """A process looks at a cut of a video once, for all models of the same S3D and visual words: that takes a second or more."""
    from videobert.api.videos import VideoReader

    look = VideoReader.clips

    def clips(reader: VideoReader, cut: Any) -> Any:
        path = Path(cut.video).resolve()
        time = path.exists() and path.stat().st_mtime_ns
        words = [level.tobytes() for level in reader.codebook.centroids]
        key = (path, time, cut.start, cut.end, str(reader.preprocessing), *words)
        if key not in looks:
            looks[key] = look(reader, cut)
        return looks[key]

    monkeypatch.setattr(VideoReader, "clips", clips)


def documented(finished: Path, shared: Shared, folder: Path) -> str:
    """docs/using-a-model.md; a folder gets the files that its examples name: results and clip.mp4."""
    (folder / "results").symlink_to(finished / "results")
    (folder / "clip.mp4").symlink_to(short_video(shared))
    return (ROOT / "docs/using-a-model.md").read_text(encoding="utf-8")


# Masked pairs ground the words in some hundred steps; alignment would take thousands. Half of the visual words, one or two
# of each verb, are masked, with a text and without: so the model foretells them as well.
WORDS, NOISE = 34, 0.1
LEARN = {
    "hidden_size": 96,
    "num_attention_heads": 4,
    "intermediate_size": 192,
    "dropout": 0.0,
    "text_weight": 0.0,
    "alignment_weight": 0.0,
    "video_mask_probability": 0.5,
    "max_steps": 300,
    "batch_size": 32,
    "learning_rate": 0.005,
    "warmup_steps": 30,
    "save_steps": 1000,
    "logging_steps": 100,
}


@pytest.fixture(scope="session")
def learnt(shared: Shared) -> dict[str, Path]:
    """The folders of a small world (synthetic.py) and of a model that was trained on it."""
    from calls import pretrain
    from small_model import SETTINGS
    from synthetic import world

    def make(folder: Path) -> None:
        paths = world(folder, videos=60, words=WORDS, noise=NOISE)
        pretrain(**paths, output=folder / "pretrain", **{**SETTINGS, **LEARN})

    folder = shared("learnt", make)
    return {"tokens": folder / "tokens", "manifest": folder / "manifest.parquet", "pretrain": folder / "pretrain"}


@pytest.fixture(scope="session")
def features(learnt: dict[str, Path]) -> Path:
    """The features that the small world's tokens were made of."""
    return learnt["tokens"].parent / "features"


def copy(folder: Path, target: Path) -> Path:
    """A copy with its times and Snakemake's memory of what was made how."""
    return Path(shutil.copytree(folder, target, symlinks=True))
