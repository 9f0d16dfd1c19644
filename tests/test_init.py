"""videobert init and doctor: a folder that runs as it is, and what of the machine is missing, with the fix."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from hostile_web import write_video

from videobert import doctor as doctors
from videobert import init as start
from videobert.config import check
from videobert.data.manifest import read_list
from videobert.errors import UserError
from videobert.init import Machine, init, propose
from videobert.stages.codebook import CodebookSettings, check_words, tree_for

LAPTOP = Machine(cores=4, gpu="", free=50 * 10**9, hub=True, kinetics=True)
OFFLINE = Machine(cores=2, gpu="", free=50 * 10**9, hub=False, kinetics=False)
SERVER = Machine(cores=32, gpu="NVIDIA H100", free=10**13, hub=True, kinetics=True)


def settings(machine: Machine, videos: int, hours: float):
    """The proposed configuration, which the pipeline must take."""
    proposed = propose(videos, hours * 3600, machine)
    return check({name: {key: value for key, (value, _) in section.items()} for name, section in proposed.items()})


def test_what_is_proposed_fits_the_videos_and_the_machine():
    few, some, many = settings(LAPTOP, 5, 0.05), settings(LAPTOP, 300, 30), settings(SERVER, 100_000, 9000)
    assert few.features.weights == some.features.weights == "kinetics400"
    assert few.features.batch_size == 2 and many.features.batch_size == 32 and many.pretrain.bf16
    assert few.pretrain.initial_model is None and many.pretrain.initial_model == "bert-base-uncased"
    assert few.pretrain.max_steps < some.pretrain.max_steps < many.pretrain.max_steps == 100_000
    words = [one.codebook.branching**one.codebook.depth for one in (few, some, many)]
    assert words[0] < 10 and 500 < words[1] < 5000 and words[2] == 20_736
    assert many.corpus.shard_size == 100 and few.corpus.shard_size == 1
    assert few.evaluate.annotations is None


def test_without_a_network_what_is_installed_is_proposed_and_said():
    config = settings(OFFLINE, 5, 0.05)
    assert (config.transcribe.model, config.features.weights, config.vocabulary.tokenizer) == (
        "tiny.en",
        "kitchen",
        None,
    )
    why = propose(5, 180, OFFLINE)["features"]["weights"][1]
    assert why.startswith("WRONG for real videos")


@pytest.mark.parametrize("clips", [2, 3, 10, 39, 40, 500, 10_000, 10**6, 10**8])
def test_the_proposed_tree_fits_the_clips(clips):
    branching, depth = tree_for(clips)
    check_words(clips, CodebookSettings(branching=branching, depth=depth))
    assert branching**depth <= max(2, clips / 20) and branching**depth <= 12**4


def test_a_folder_of_videos_becomes_a_project_that_can_be_run(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(start, "look_at_machine", lambda: OFFLINE)
    clips = tmp_path / "my clips"
    (clips / "more").mkdir(parents=True)
    write_video(clips / "b.mp4", seconds=20)
    write_video(clips / "more" / "ä #1.mkv.mp4", seconds=20)
    (clips / "notes.txt").write_text("no video", encoding="utf-8")
    init(tmp_path / "mine", clips)
    mine = tmp_path / "mine"
    listed = (mine / "videos.tsv").read_text(encoding="utf-8").splitlines()
    assert listed == ["source\ttitle", f"{clips}/b.mp4\t", f"{clips}/more/ä #1.mkv.mp4\t"]
    said = capsys.readouterr().err
    assert "2 videos, about 40 s" in said and "cd " in said and "snakemake report --cores 2" in said
    run = [sys.executable, "-m", "snakemake", "report", "--cores", "2", "-n"]
    planned = subprocess.run(run, cwd=mine, capture_output=True, text=True)
    assert planned.returncode == 0, planned.stderr
    assert re.search(r"download_shard +2", planned.stdout + planned.stderr)
    assert "profiles/default" in planned.stderr  # without it, a kill would leave a lock
    with pytest.raises(UserError, match="already exists and is not empty"):
        init(mine)


def test_a_list_is_copied_with_paths_that_hold_in_the_new_folder(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(start, "look_at_machine", lambda: LAPTOP)
    monkeypatch.chdir(tmp_path)
    write_video(tmp_path / "a.mp4", seconds=6)
    table = "id,source,captions,license\nx,a.mp4,a.vtt,CC0\n,https://example.com/b.mp4,,\n,kitchen:1,,\n"
    (tmp_path / "list.csv").write_text(table, encoding="utf-8")
    init(Path("one"), Path("list.csv"))
    assert (tmp_path / "one" / "videos.tsv").read_text(encoding="utf-8").splitlines() == [
        "source\tid\tcaptions\ttitle\tlicense",
        f"{tmp_path}/a.mp4\tx\t{tmp_path}/a.vtt\t\tCC0",
        "https://example.com/b.mp4\t\t\t\t",
        "kitchen:1\t\t\t\t",
    ]
    assert read_list(tmp_path / "one" / "videos.tsv")[0]["source"] == f"{tmp_path}/a.mp4"
    init(Path("two"))
    assert (tmp_path / "two" / "videos.tsv").read_text(encoding="utf-8") == "source\ttitle\n"
    assert "a line for each video, a URL or a path" in capsys.readouterr().err


def test_what_is_no_source_of_videos_is_refused_before_anything_is_written(tmp_path):
    (tmp_path / "empty").mkdir()
    for videos, message in (("none", "does not exist"), ("empty", "has no video files")):
        with pytest.raises(UserError, match=message):
            init(tmp_path / "mine", tmp_path / videos)
    assert not (tmp_path / "mine").exists()


def test_the_doctor_names_each_thing_and_what_would_mend_it(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(doctors, "reaches", lambda url: False)
    monkeypatch.setenv("VIDEOBERT_CACHE", str(tmp_path))
    doctors.doctor(tmp_path / "results")
    said = capsys.readouterr().out
    for line in ("ok       ffmpeg", "GB free for", "missing  model hub", "missing  S3D weights", "ok       yt-dlp"):
        assert line in said
    assert f"put it into {tmp_path}" in said


def test_the_doctor_fails_where_no_run_can_work(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(doctors, "reaches", lambda url: False)
    monkeypatch.setattr(doctors, "ffmpeg_version", lambda: 1 / 0)
    with pytest.raises(UserError, match="fix first, no run works without: ffmpeg"):
        doctors.doctor(tmp_path)
    assert "BROKEN   ffmpeg" in capsys.readouterr().out


def test_an_old_yt_dlp_is_said(monkeypatch):
    monkeypatch.setattr(doctors, "version", lambda name: "2020.01.01.5")
    finding = doctors._yt_dlp()
    assert finding.state == "missing" and "days old" in finding.text and "pip install --upgrade yt-dlp" in finding.fix
