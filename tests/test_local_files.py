"""Local files of the list: content counts and not the time, and what was there and is not stops the run."""

import os
import shutil
from pathlib import Path

import pytest

from videobert.data import local_files
from videobert.data.local_files import PART, LocalFiles
from videobert.data.manifest import captions_digest, sources_digest
from videobert.errors import UserError


@pytest.fixture
def video(tmp_path: Path) -> Path:
    (tmp_path / "videos").mkdir()
    path = tmp_path / "videos" / "a.mp4"
    path.write_bytes(os.urandom(5 * PART))
    return path


def seen(folder: Path, *paths: Path) -> list[list]:
    """What these files are like, as a run sees and remembers it."""
    files = LocalFiles(folder / "files.parquet")
    facts = [files.facts(str(path)) for path in paths]
    files.write()
    return facts


def test_another_time_is_no_other_content_and_the_file_is_not_read_again_for_nothing(
    tmp_path: Path, video: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Path] = []
    content = local_files._content
    monkeypatch.setattr(local_files, "_content", lambda path, size: (read.append(path), content(path, size))[1])
    first = seen(tmp_path, video)
    assert seen(tmp_path, video) == first and len(read) == 1
    os.utime(video, (1, 1))  # as tar, cp -r and rsync without -t leave it
    assert seen(tmp_path, video) == first and len(read) == 2
    assert seen(tmp_path, video) == first and len(read) == 2


@pytest.mark.parametrize("place", [0, 5 * PART // 2, 5 * PART - 1])
def test_a_file_of_the_same_size_with_other_content_is_another(tmp_path: Path, video: Path, place: int) -> None:
    first = seen(tmp_path, video)
    with open(video, "r+b") as file:
        file.seek(place)
        byte = file.read(1)
        file.seek(place)
        file.write(bytes([byte[0] ^ 255]))
    assert seen(tmp_path, video) != first


def test_a_disk_that_is_away_stops_the_run_with_one_line(tmp_path: Path, video: Path) -> None:
    others = [Path(shutil.copy(video, video.with_name(f"{number}.mp4"))) for number in range(3)]
    outside = Path(shutil.copy(video, tmp_path / "outside.mp4"))
    every = [str(path) for path in (video, *others, outside)]
    before = seen(tmp_path, *map(Path, every))
    video.parent.rename(tmp_path / "away")
    with pytest.raises(
        UserError, match=r"^4 of 5 local files that were there are not there now, all in .*videos \("
    ) as caught:
        LocalFiles(tmp_path / "files.parquet").look(every)
    assert "\n" not in str(caught.value) and "is its disk mounted" in str(caught.value)
    LocalFiles(tmp_path / "files.parquet").look([str(outside)])  # the others were taken out of the list
    (tmp_path / "away").rename(video.parent)
    assert seen(tmp_path, *map(Path, every)) == before


def test_a_file_that_was_never_there_stops_nothing(tmp_path: Path, video: Path) -> None:
    assert seen(tmp_path, video.with_name("never.mp4")) == [[]]
    assert seen(tmp_path, video.with_name("never.mp4"), video)[1]


def test_a_locale_that_may_name_other_files_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_files.sys, "getfilesystemencoding", lambda: "iso8859-1")
    LocalFiles(tmp_path / "files.parquet").look(["a.mp4"])
    with pytest.raises(UserError, match=r"names 'é\.mp4', and in the locale .*iso8859-1.* set LC_ALL=C\.UTF-8"):
        LocalFiles(tmp_path / "files.parquet").look(["é.mp4"])


def test_of_the_list_each_stage_is_run_again_for_what_it_uses_alone(tmp_path: Path, video: Path) -> None:
    captions = tmp_path / "a.srt"
    captions.write_text("1\n00:00:00,000 --> 00:00:01,000\nCut the egg.\n", encoding="utf-8")
    row = {"video_id": "a", "source": str(video), "license": "CC-BY", "captions": str(captions), "title": "t"}

    def digests(**changes: str) -> tuple[str, str]:
        files = LocalFiles(tmp_path / "files.parquet")
        rows = [row | changes]
        return sources_digest(rows, files, "CC"), captions_digest(rows, files)

    download, transcribe = digests()
    assert digests(title="another") == digests(license="CC0") == (download, transcribe)
    assert digests(license="all rights reserved")[0] != download
    assert digests(source="kitchen:1")[0] != download and digests(source="kitchen:1")[1] == transcribe
    captions.write_text(captions.read_text(encoding="utf-8").replace("egg", "pie"), encoding="utf-8")
    assert digests()[0] == download and digests()[1] != transcribe
    assert digests(captions="")[0] == download


def test_what_a_power_cut_left_of_the_memory_stops_nothing(tmp_path: Path, video: Path) -> None:
    first = seen(tmp_path, video)
    (tmp_path / "files.parquet").write_bytes(b"")
    assert seen(tmp_path, video) == first and (tmp_path / "files.parquet").stat().st_size
