"""Real yt-dlp against a web on 127.0.0.1 that behaves as the real one does: nothing is lost, nothing lies."""

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hostile_web import BAD, GOOD, video, wait_for, web, write_video

from videobert.artefact import read_table
from videobert.download import KEPT, download
from videobert.errors import UserError
from videobert.retry import retried, retry

ROOT = Path(__file__).parents[1]
SETTINGS = yaml.safe_load((ROOT / "config.yaml").read_text())["download"] | {"retries": 1, "max_filesize": 5_000_000}


@pytest.fixture
def site():
    with web() as server:
        yield server


def test_of_200_videos_every_good_one_arrives_and_every_bad_one_has_its_class(tmp_path, site):
    """A third is bad, in every way that there is. Four shards run side by side."""
    count, shards = 200, 4
    bad = [kind for _, kind in zip(range(count // 3), list(BAD) * count)]
    good = [kind for _, kind in zip(range(count - len(bad)), GOOD * count)]
    kinds = dict(enumerate(random.Random(0).sample([*good, *bad], count)))
    videos = listed(tmp_path, {f"v{n}": f"{site.address}/{kind}/{n}.mp4" for n, kind in kinds.items()}, count // shards)
    jobs = [start(videos, f"{shard:04d}", tmp_path, max_blocked=1) for shard in range(shards)]
    assert [job.wait() for job in jobs] == [0] * shards
    found = {}
    for shard in range(shards):
        folder = tmp_path / f"{shard:04d}"
        for row in read_table(folder / "ledger.parquet").to_pylist():
            number = int(row["video_id"][1:])
            found[number] = row["status"]
            if row["status"] == "ok":
                assert row["reason"] == "" or kinds[number] == "no_captions"
                assert digest((folder / row["path"]).read_bytes()) == digest(video(number)), kinds[number]
                assert bool(row["captions"]) == (kinds[number] == "page")
            else:
                assert len(row["reason"]) > 10 and " 0x" not in row["reason"] and "ERROR" not in row["reason"]
    assert found == {number: BAD.get(kind, "ok") for number, kind in kinds.items()}


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def listed(tmp_path: Path, sources: dict[str, str], shard_size: int = 100, **columns: dict[str, str]) -> dict[str, Any]:
    """Writes the list of videos; gives the arguments that name it."""
    rows = ["\t".join(["id", "source", *columns])]
    rows += [
        "\t".join([key, source, *(column.get(key, "") for column in columns.values())])
        for key, source in sources.items()
    ]
    path = tmp_path / "videos.tsv"
    path.write_text("\n".join(rows) + "\n")
    return {"videos": path, "register": tmp_path / "register.parquet", "shard_size": shard_size}


def run(tmp_path: Path, videos: dict[str, Any], **settings: Any) -> dict[str, dict[str, Any]]:
    """Downloads the first shard; gives the ledger's rows by id."""
    output = tmp_path / "0000" / "ledger.parquet"
    output.unlink(missing_ok=True)  # as Snakemake does
    download(**videos, shard="0000", output=output, **{**SETTINGS, **settings})
    return {row["video_id"]: row for row in read_table(output).to_pylist()}


def start(videos: dict[str, Any], shard: str, tmp_path: Path, **settings: Any) -> subprocess.Popen:
    """Downloads a shard as the workflow does, in a process of its own."""
    given = {**videos, "shard": shard, "output": tmp_path / shard / "ledger.parquet", **SETTINGS, **settings}
    texts = {key: value if isinstance(value, str) else json.dumps(value, default=str) for key, value in given.items()}
    flags = [f"--{key}={text.strip(chr(34)) if isinstance(given[key], Path) else text}" for key, text in texts.items()]
    with open(tmp_path / f"{shard}.log", "w") as log:
        return subprocess.Popen([sys.executable, "-m", "videobert", "download", *flags], cwd=ROOT, stderr=log)
