"""How far a job is: what its file and its log say, and that it costs the job nothing."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pytest

from videobert import progress
from videobert.amounts import duration_in_words, left_in_words, losses_in_words, rate_in_words
from videobert.data.ledger import process_videos
from videobert.data.schemas import PROGRESS, names
from videobert.devices import resolve_device
from videobert.errors import Status, Unfinished, UserError, VideoError
from videobert.progress import LOSSES_KEPT, read_progress

ENDS = {
    "a": None,
    "b": VideoError(Status.GONE, "there is no file b.mp4"),
    "c": VideoError(Status.NO_SPEECH, "there is no speech in it"),
    "d": None,
}


def work_through(folder: Path, videos: str = "abcd") -> progress.Progress:
    """The job of a shard, whose videos end as ENDS says; what its file says at the end."""

    def work(video: dict) -> tuple[dict, None]:
        if error := ENDS[video["video_id"]]:
            raise error
        return {}, None

    file = folder / "progress/download/0007.json"
    with progress.job("download", file):
        process_videos([{"video_id": name} for name in videos], work, folder / "journal", {"stage": "x"}, pa.schema([]))
    return read_progress(file)


def test_a_shards_file_counts_what_became_of_its_videos(tmp_path):
    said = work_through(tmp_path)
    assert (said.job, said.state, said.unit, said.done, said.total) == ("download/0007", "done", "video", 4, 4)
    assert said.statuses == {"ok": 2, "gone": 1, "no_speech": 1}
    assert said.losses == [{"video_id": "b", "status": "gone", "reason": "there is no file b.mp4"}]
    assert said.lost == 1, "a silent video is not lost"
    assert said.pid == os.getpid() and abs(said.updated - time.time()) < 60
    assert list(json.loads((tmp_path / "progress/download/0007.json").read_text(encoding="utf-8"))) == list(
        names(PROGRESS)
    )
    assert not list((tmp_path / "progress/download").glob(".*")), "what is written on the way is gone"


def test_what_an_earlier_run_has_done_is_done_and_counts_for_no_rate(tmp_path):
    work_through(tmp_path, "abc")
    said = work_through(tmp_path, "abcd")
    assert (said.done, said.resumed, said.statuses["gone"]) == (4, 3, 1)
    assert said.losses == [], "it was said when it was lost"


def test_a_job_that_fails_says_why_in_a_line(tmp_path):
    file = tmp_path / "progress/codebook.json"

    def end(error: BaseException) -> tuple[str, str, int]:
        with suppress(type(error)), progress.job("codebook", file):
            progress.begin("node", 5)
            progress.advance()
            raise error
        said = read_progress(file)
        return said.state, said.error, said.done

    assert end(UserError("too few clips:\nadd videos")) == ("failed", "too few clips: add videos", 1)
    assert end(ZeroDivisionError("division by zero")) == ("failed", "ZeroDivisionError: division by zero", 1)
    assert end(KeyboardInterrupt()) == ("stopped", "", 1)
    assert end(Unfinished("step 3 is saved")) == ("stopped", "step 3 is saved", 1)


def test_a_command_writes_its_file_while_it_works_and_a_killed_one_says_that_it_runs(tmp_path):
    """A real process, looked at from outside, as the screen and another node do."""
    file = tmp_path / "0000.json"
    program = (
        "import sys, time; from pathlib import Path; from videobert import progress\n"
        "with progress.job('x', Path(sys.argv[1])):\n"
        "    progress.begin('step', 100, resumed=40); progress.reach(50); progress.note('loss 2'); time.sleep(60)"
    )
    job = subprocess.Popen([sys.executable, "-c", program, str(file)])
    for _ in range(600):
        said = read_progress(file)
        if said and said.done == 50:
            break
        time.sleep(0.1)
    job.send_signal(signal.SIGKILL)
    job.wait()
    said = read_progress(file)
    assert (said.pid, said.state, said.done, said.resumed, said.note) == (job.pid, "running", 50, 40, "loss 2")


def test_a_disk_that_takes_no_file_costs_the_job_nothing(tmp_path):
    (tmp_path / "progress").write_text("no folder", encoding="utf-8")
    with progress.job("download", tmp_path / "progress/download/0000.json"):
        progress.begin("video", 1)
        progress.outcome("a", "ok", "")


def test_gpu_seconds_are_those_of_all_runs_of_a_job_and_of_each_process(tmp_path, monkeypatch):
    file = tmp_path / "progress/pretrain.json"

    def seconds(device: str) -> float:
        with progress.job("pretrain", file):
            progress.runs_on(device)
            progress._work.progress.started -= 100
        return read_progress(file).gpu_seconds

    assert seconds("cpu") == 0
    assert 99 <= seconds("cuda:1") < 150  # the start is rounded
    monkeypatch.setenv("WORLD_SIZE", "4")
    assert 498 <= seconds("cuda") < 600, "what an earlier run of the job took is not forgotten"
    assert 498 <= seconds("cpu") < 600
    assert read_progress(file).device == "cpu"


def test_a_device_that_is_resolved_stands_in_the_file(tmp_path):
    file = tmp_path / "progress/features/0000.json"
    with progress.job("features", file):
        resolve_device("cpu")
    assert read_progress(file).device == "cpu"


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        '{"unit": "video"}',
        '"text"',
        '{"job": "a", "total": "many"}',
        '{"job": "a", "statuses": [1]}',
        '{"losses": [1]}',
    ],
)
def test_a_file_that_cannot_be_read_is_none(tmp_path, content):
    (tmp_path / "a.json").write_text(content, encoding="utf-8")
    assert read_progress(tmp_path / "a.json") is None


def test_a_file_of_another_version_is_read(tmp_path):
    (tmp_path / "a.json").write_text('{"job": "pretrain", "later": 1}', encoding="utf-8")
    assert read_progress(tmp_path / "a.json").job == "pretrain"


def test_a_file_keeps_the_last_losses_alone(tmp_path):
    with progress.job("download", tmp_path / "a.json"):
        progress.begin("video", 300)
        for number in range(300):
            progress.outcome(str(number), "gone", "dead")
    said = read_progress(tmp_path / "a.json")
    assert said.statuses == {"gone": 300} and [loss["video_id"] for loss in said.losses] == [
        str(number) for number in range(300 - LOSSES_KEPT, 300)
    ]


def test_a_log_has_a_line_now_and_then_and_no_bar(capsys, monkeypatch):
    with progress.job("download", None):
        progress.begin("video", 1000)
        for number in range(1000):
            progress.outcome(str(number), "ok", "")
        assert capsys.readouterr().err == "", "a thousand videos in less than a minute are no line"
        monkeypatch.setattr(progress, "LINES", 0.0)
        progress.begin("video", 4)
        progress.outcome("a", "gone", "")
    said = capsys.readouterr().err
    assert (
        said.startswith("download: 1 of 4 videos, 1 lost (1 gone), ") and said.endswith(" left\n") and "\r" not in said
    )


def test_amounts_in_words():
    durations = [0, 59.4, 60, 250, 3599, 3600, 7500, 86400, 273600]
    words = ["0 s", "59 s", "1 min", "4 min 10 s", "59 min 59 s", "1 h", "2 h 5 min", "1 d", "3 d 4 h"]
    assert [*map(duration_in_words, durations)] == words
    assert [rate_in_words(rate) for rate in (0, 18.2, 2.5, 0.151, 0.01)] == ["", "18/s", "2.5/s", "9.1/min", "36/h"]
    assert left_in_words(30, 0.5) == "1 min left" and left_in_words(3, 0) == left_in_words(0, 1) == ""
    counts = {"ok": 60, "gone": 2, "blocked": 1200, "no_speech": 3, "no_audio": 2, "excluded": 1}
    assert losses_in_words(counts) == "1,202 lost (1,200 blocked, 2 gone), 5 silent, 1 excluded"
    assert losses_in_words({"ok": 3}) == ""
