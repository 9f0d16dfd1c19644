"""videobert status: how far a run is, from its results folder alone, for somebody on any machine."""

import io
import json
import math
import os
import pty
import re
import select
import signal
import sys
import time
from dataclasses import asdict
from pathlib import Path

import pyarrow as pa
import pytest
from rich.console import Console

from videobert import progress
from videobert.__main__ import main
from videobert.data.ledger import process_videos, remove_journal
from videobert.data.manifest import Planned
from videobert.data.plan import Plan, PlanFile
from videobert.data.provenance import write_table
from videobert.data.splits import Draw
from videobert.errors import VideoError
from videobert.layout import PER_VIDEO, Layout
from videobert.pipeline import STAGES
from videobert.progress import SILENT, Progress
from videobert.status import reading
from videobert.status.look import Look
from videobert.status.reading import disk_clock
from videobert.status.terminal import block
from videobert.status.watch import Watch

VIDEOS = {"0000": "abcd", "0001": "efgh"}
ELSEWHERE = "node7.cluster"


class Run:
    """A run in a results folder, of two shards of four videos."""

    def __init__(self, folder: Path) -> None:
        self.results = folder / "results"
        self.layout = Layout(self.results)
        (folder / "videos.tsv").write_text("source\n", encoding="utf-8")
        rows = [
            {"video_id": video, "shard": shard, "source": ""} for shard, videos in VIDEOS.items() for video in videos
        ]
        made = Plan(lambda: Planned(rows, []))
        PlanFile(self.results, folder / "videos.tsv", 4, Draw(0.2, 0, limit=8)).write(made, folder / "none")

    def finish(self, stage: str, shard: str, videos: str | None = None, **lost: tuple[str, str]) -> None:
        """A job does a shard: what it leaves behind. `lost` says the status and the reason of a video."""

        def work(video: dict) -> tuple[dict, None]:
            if video["video_id"] in lost:
                raise VideoError(*lost[video["video_id"]])
            return {}, None

        rows = [{"video_id": video} for video in videos or VIDEOS[shard]]
        with progress.job(stage, Path(self.layout.progress(f"{stage}/{shard}"))):
            journal = Path(self.layout.journal(stage, shard))
            ledger, _ = process_videos(rows, work, journal, {"stage": stage}, pa.schema([]))
            write_table(ledger, Path(self.layout.shard_ledger(stage, shard)), {"stage": stage})
            remove_journal(journal)

    def says(self, job: str, silent: float = 0.0, **facts: object) -> Path:
        """What a job on another machine wrote so many seconds ago."""
        file = Path(self.layout.progress(job))
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(asdict(Progress(job, **{"host": ELSEWHERE, "pid": 1, **facts}))), encoding="utf-8")
        os.utime(file, (time.time() - silent, time.time() - silent))
        return file


@pytest.fixture
def run(tmp_path) -> Run:
    return Run(tmp_path)


@pytest.fixture
def shown(capsys):
    """What the command prints where there is no terminal."""

    def show(results: Path, *flags: str) -> str:
        capsys.readouterr()
        main(["status", str(results), *flags])
        return capsys.readouterr().out

    return show


def row(text: str, stage: str) -> str:
    """A stage's row, with one space where there are more."""
    (found,) = (line for line in text.splitlines() if line.split()[:1] == [stage] and " lost " not in line[:20])
    return " ".join(found.split())


# --- how far it is ---


def test_shards_and_videos_are_counted_by_the_ledgers_and_the_jobs_that_are_not_finished(run, shown):
    run.finish("download", "0000", b=("gone", "there is no file b.mp4"))
    run.says("download/0001", unit="video", total=4, done=3, statuses={"ok": 2, "blocked": 1})
    text = shown(run.results)
    assert row(text, "download").startswith("download 1 of 2 7 of 8 videos")
    assert "2 lost (1 gone, 1 blocked)" in row(text, "download")
    assert [line.split()[0] for line in text.splitlines()[1 : 1 + len(STAGES)]] == [*STAGES], "in their order"


def test_a_stage_of_which_nothing_is_there_is_not_known(run, shown):
    assert row(shown(run.results), "features") == "features -"
    stages = {stage["stage"]: stage for stage in json.loads(shown(run.results, "--json"))["stages"]}
    unknown = ("shards_done", "done", "lost", "statuses", "rate", "seconds_left", "gpu_hours")
    assert {stages["features"][key] for key in unknown} == {None}


def test_what_a_stage_has_lost_does_not_come_to_the_next(run, shown):
    run.finish("download", "0000", b=("gone", "dead"))
    run.says("frames/0001", unit="video", total=4, done=1)
    assert row(shown(run.results), "frames").startswith("frames 0 of 2 1 of 7 videos")


def test_tokens_lose_no_video_a_second_time(run, shown):
    run.finish("tokens", "0000", a=("empty", "neither a sentence nor a clip"))
    assert row(shown(run.results), "tokens") == "tokens 1 of 2 4 of 8 videos"


def test_outputs_that_were_deleted_are_not_done_whatever_their_job_said(run, shown):
    run.finish("download", "0000")
    Path(run.layout.shard_ledger("download", "0000")).unlink()
    run.finish("download", "0001")
    assert row(shown(run.results), "download") == "download 1 of 2 4 of 8 videos"


def test_a_job_on_another_machine_has_rate_time_left_and_host(run, shown):
    """Its clock is a day behind, and its process id is nobody's here."""
    then = time.time() - 86400
    run.says("download/0000", unit="video", total=4, done=2, working_since=then, started=then - 5, updated=then + 60)
    run.says("download/0001", unit="video", total=4, done=1, working_since=then, started=then, updated=then + 60)
    assert row(shown(run.results), "download") == f"download 0 of 2 3 of 8 videos 3.0/min 1 min 40 s 2 on {ELSEWHERE}"


def test_the_rate_counts_what_this_run_has_done_and_shards_that_ended_meanwhile(run, shown):
    now = time.time()
    times = {"started": now - 60, "working_since": now - 60, "updated": now}
    run.finish("download", "0000")
    run.says("download/0001", unit="video", total=4, done=3, resumed=1, **times)
    ended = {"working_since": now - 90, "updated": now - 30}
    run.says("download/0000", unit="video", total=4, done=4, state="done", **ended)
    assert "3.0/min 20 s 1 on" in row(shown(run.results), "download"), "four and two videos in two minutes of jobs"
    ended = {"working_since": now - 150, "updated": now - 90}
    run.says("download/0000", unit="video", total=4, done=4, state="done", **ended)
    assert "2.0/min 30 s 1 on" in row(shown(run.results), "download"), "of before"


def test_the_training_says_its_steps_and_its_loss(run, shown):
    now = time.time()
    times = {"working_since": now - 100, "started": now - 130, "updated": now}
    run.says("pretrain", unit="step", total=1000, done=700, resumed=600, note="loss 2.1", **times)
    assert row(shown(run.results), "pretrain") == f"pretrain - 700 of 1,000 steps 1.0/s 5 min 1 on {ELSEWHERE} loss 2.1"
    Path(run.layout.model.weights).parent.mkdir()
    Path(run.layout.model.weights).touch()
    run.says("pretrain", unit="step", total=1000, done=1000, note="loss 1.9", state="done")
    assert row(shown(run.results), "pretrain") == "pretrain done 1,000 of 1,000 steps loss 1.9"
    Path(run.layout.model.weights).unlink()
    assert row(shown(run.results), "pretrain") == "pretrain -", "it is to be trained again"


def test_the_first_file_of_a_job_is_that_of_its_rule():
    layout = Layout("results")
    for stage in ("corpus", "codebook", "vocabulary", "pretrain"):
        assert layout.first_file(stage) == layout.files(stage, [])[0]
    assert layout.first_file("tokens/0003") == layout.shard_files("tokens", "0003")[0]
    assert layout.first_file("scaling/0.5-0") == layout.scaling_model(0.5, 0).weights
    assert layout.first_file("retrieval") == layout.task("retrieval")


def test_gpu_hours_are_summed_where_they_are_known(run, shown):
    assert json.loads(shown(run.results, "--json"))["gpu_hours"] is None
    run.says("frames/0000", state="done")
    run.says("features/0000", state="done", device="cuda", gpu_seconds=5400.0)
    run.says("features/0001", device="cuda", gpu_seconds=1800.0)
    run.says("pretrain", silent=9999, device="cpu", gpu_seconds=900.0)
    assert "GPU hours used: 2.25 (features 2.00, pretrain 0.25)" in shown(run.results)
    said = json.loads(shown(run.results, "--json"))
    hours = {stage["stage"]: stage["gpu_hours"] for stage in said["stages"]}
    assert said["gpu_hours"] == 2.25 and hours["features"] == 2.0 and hours["frames"] is None


# --- what went wrong ---


def test_a_job_that_is_silent_is_gone_whatever_its_clock_says(run, shown):
    run.says("features/0001", silent=SILENT + 60, updated=time.time() + 9999, unit="video", total=4, done=2)
    text = shown(run.results)
    assert f"features/0001 is gone: it ran on {ELSEWHERE}, and has given no sign of life for 3 min" in text
    assert f"    log: {run.layout.log('features/0001')}" in text
    assert row(text, "features").startswith("features 0 of 2 2 of 8 videos"), "its journal is there"
    assert text.splitlines()[-1] == "no job is running"
    run.says("features/0001", silent=SILENT - 60, updated=5.0)
    assert "1 job running" in shown(run.results)


def test_a_killed_job_whose_output_is_there_is_done(run, shown):
    run.finish("download", "0000")
    run.says("download/0000", silent=9999, unit="video", total=4, done=3)
    assert "gone" not in shown(run.results)


def test_a_failed_job_says_why_and_where_its_log_is(run, shown):
    run.says("codebook", silent=7200, state="failed", error="too few clips: add videos")
    run.says("frames/0000", silent=7200, state="stopped")
    lines = shown(run.results).splitlines()
    place = lines.index("codebook failed 2 h ago: too few clips: add videos")
    assert lines[place + 1] == f"    log: {run.layout.log('codebook')}"
    assert lines[-1] == "no job is running; 1 job stopped, to be gone on with"


def test_hundreds_of_failed_jobs_are_counted(run, shown):
    for number in range(300):
        run.says(f"scaling/0.5-{number}", state="failed", error="no GPU")
    text = shown(run.results)
    assert text.count(" failed ") == 5 and "    and 295 more" in text


def test_the_last_losses_are_told_with_their_reasons_and_the_others_counted(run, shown):
    for shard, seconds in (("0000", 300), ("0001", 200)):
        run.finish("download", shard, **{video: ("gone", f"dead link {video}") for video in VIDEOS[shard][:3]})
        ledger = run.layout.shard_ledger("download", shard)
        os.utime(ledger, (time.time() - seconds,) * 2)
    losses = [{"video_id": "d", "status": "unusable", "reason": "cut off"}]
    run.says("frames/0000", unit="video", total=1, statuses={"unusable": 1}, losses=losses)
    lines = shown(run.results).splitlines()
    place = lines.index("frames lost d: unusable: cut off")
    assert lines[place + 1 : place + 6] == [
        *(f"download lost {video}: gone: dead link {video}" for video in "gfec"),
        "    and 2 more",
    ]


def test_of_many_ledgers_those_that_were_written_last_are_told(run, shown):
    for number, (stage, shard) in enumerate((stage, shard) for stage in PER_VIDEO for shard in VIDEOS):
        run.finish(stage, shard, **{VIDEOS[shard][0]: ("unusable", f"reason {number}")})
        os.utime(run.layout.shard_ledger(stage, shard), (1e9 + number, 1e9 + number))
    text = shown(run.results)
    assert re.findall(r"reason (\d)", text) == ["7", "6", "5", "4", "3"] and "    and 3 more" in text


def test_a_damaged_ledger_is_a_line_and_no_end(run, shown):
    run.finish("download", "0000")
    run.finish("download", "0001")
    damaged = Path(run.layout.shard_ledger("download", "0001"))
    damaged.write_bytes(b"PAR1 no more")
    text = shown(run.results)
    assert f"{damaged} is not a readable Parquet file" in text
    assert row(text, "download").startswith("download 2 of 2 4 of 4 videos")
    assert json.loads(shown(run.results, "--json"))["unreadable"]


def test_strangers_words_are_no_commands_to_the_terminal(run, shown):
    hostile = "\x1b[2J\r[bold red]gone[/]\nhttp://x\u202e"
    write_table(
        pa.table({"video_id": ["a"], "status": ["gone"], "reason": [hostile]}),
        Path(run.layout.shard_ledger("download", "0000")),
        {},
    )
    run.says("download/0001", host=hostile, note=hostile, losses=[{"video_id": hostile}], error=hostile)
    run.says("codebook", state="failed", error=hostile)
    run.says("pretrain", silent=9999, host=hostile)
    for text in (shown(run.results), shown(run.results, "--json")):
        assert all(line.isprintable() for line in text.splitlines()), text
        assert "[bold red]gone[/]" in text
    assert drawn(Watch(run.layout).look(), 200).isprintable()


def drawn(look: Look, width: int, height: float = math.inf) -> str:
    """What a terminal gets, in one line and without its own colours."""
    console = Console(file=io.StringIO(), width=width, markup=False, highlight=False)
    console.print(block(look, width, height))
    return console.file.getvalue().replace("\n", " ")


# --- for scripts, and where there is little ---


def test_json_says_everything(run, shown):
    run.finish("download", "0000", b=("gone", "dead"))
    now = time.time()
    times = {"started": now - 60, "working_since": now - 60, "updated": now}
    run.says("download/0000", unit="video", total=4, done=4, state="done", **times)
    run.says("download/0001", unit="video", total=4, done=2, device="cpu", **times)
    said = json.loads(shown(run.results, "--json"))
    assert said["results"] == str(run.results) and said["running"] == 1 and abs(said["time"] - now) < 60
    assert said["losses"] == [{"stage": "download", "video_id": "b", "status": "gone", "reason": "dead"}]
    assert [stage["stage"] for stage in said["stages"]] == [*STAGES]
    download = said["stages"][1]
    assert download.pop("rate") == pytest.approx(6 / 120, rel=0.1)
    assert download == {
        "stage": "download",
        "is_done": False,
        "shards": 2,
        "shards_done": 1,
        "unit": "video",
        "total": 8,
        "done": 6,
        "lost": 1,
        "statuses": {"ok": 3, "gone": 1},
        "running": 1,
        "hosts": [ELSEWHERE],
        "seconds_left": pytest.approx(40, rel=0.1),
        "note": "",
        "gpu_hours": 0.0,
    }
    (job,) = said["jobs"]
    assert (job["job"], job["state"], job["host"], job["done"], job["total"], job["device"]) == (
        "download/0001",
        "running",
        ELSEWHERE,
        2,
        4,
        "cpu",
    )
    assert job["log"] == run.layout.log("download/0001") and job["seconds_silent"] < 60


def test_a_run_that_has_only_begun_has_nothing_done(tmp_path, shown):
    (tmp_path / "results").mkdir()
    (tmp_path / "results/.lock").touch()
    text = shown(tmp_path / "results")
    assert row(text, "download") == "download -" and text.splitlines()[-1] == "no job is running"


def test_without_a_plan_the_manifest_says_the_shards(run, shown):
    run.finish("download", "0000")
    Path(run.layout.plan).rename(run.layout.manifest)
    assert row(shown(run.results), "corpus") == "corpus done 8 of 8 videos"
    assert row(shown(run.results), "download") == "download 1 of 2 4 of 8 videos"


@pytest.mark.parametrize(("folder", "said"), [("nowhere", "there is no folder"), (".", "is no results folder")])
def test_another_folder_is_one_line(tmp_path, folder, said):
    with pytest.raises(SystemExit) as ended:
        main(["status", str(tmp_path / folder)])
    assert said in str(ended.value) and "videobert status results" in str(ended.value)
    assert "\n" not in str(ended.value)


def test_a_reader_who_may_not_write_goes_by_the_own_clock(run, monkeypatch, shown):
    def refuse(**_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(reading.tempfile, "TemporaryFile", refuse)
    run.says("frames/0000")
    run.says("frames/0001", silent=SILENT + 30)
    text = shown(run.results)
    assert "frames/0001 is gone" in text and "1 job running" in text


def test_the_age_of_a_file_is_by_the_clock_of_the_disk(run, monkeypatch, shown):
    run.says("frames/0000")
    monkeypatch.setattr(reading.time, "time", lambda: time.monotonic())  # this machine's is decades behind
    assert disk_clock(run.layout.progress_folder) > 1e9
    assert "1 job running" in shown(run.results)


def test_looking_leaves_nothing_behind(run, shown):
    run.finish("download", "0000")
    before = sorted(run.results.rglob("*"))
    shown(run.results)
    assert sorted(run.results.rglob("*")) == before


def test_a_second_look_reads_what_has_changed_alone(run):
    run.finish("download", "0000", b=("gone", "dead"))
    run.finish("download", "0001")
    watch, read = Watch(run.layout), []
    for files in (watch.plans, watch.progress, watch.ledgers, watch.reasons):
        parse = files.parse
        files.parse = lambda path, parse=parse: (read.append(path.name), parse(path))[1]
    watch.look()
    assert len(read) == 6, "plan, two progress files, two ledgers, the reasons of one"
    read.clear()
    watch.look()
    assert read == []
    run.finish("download", "0001", f=("gone", "dead"))
    assert watch.look().stages[1].lost == 2
    assert sorted(read) == ["0001.json", "ledger.parquet", "ledger.parquet"]


def test_a_finished_run_is_done(finished, shown):
    said = json.loads(shown(finished / "results", "--json"))
    assert [stage["stage"] for stage in said["stages"] if not stage["is_done"]] == []
    assert said["jobs"] == said["unreadable"] == [] and said["gpu_hours"] is not None
    counts = {stage["stage"]: (stage["done"], stage["total"], stage["lost"]) for stage in said["stages"]}
    assert counts["download"] == (9, 9, 3) and counts["transcribe"] == (6, 6, 0)
    assert {loss["video_id"] for loss in said["losses"]} == {"missing", "text", "empty"}


# --- on a terminal ---


def test_on_a_terminal_it_is_drawn_once_when_nothing_runs(run):
    run.finish("download", "0000")
    said = in_terminal(run.results, stop=False)
    assert "download" in said and "\x1b[?25l" not in said, "nothing that is drawn anew"


def test_on_a_terminal_it_is_live_until_ctrl_c(run):
    run.says("download/0000", unit="video", total=4, done=2)
    said = in_terminal(run.results, stop=True)
    assert said.rfind("\x1b[?25h") > said.rfind("\x1b[?25l") >= 0, "the cursor is shown again"
    end = re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", said[said.rfind("\x1b[?25h") :])
    assert "2 of 8 videos" in end and end.strip().endswith("1 job running"), "the last look stays"


def in_terminal(results: Path, stop: bool) -> str:
    """What the command writes to a terminal; with Ctrl-C when it has drawn something."""
    process, terminal = pty.fork()
    if not process:
        command = [sys.executable, "-m", "videobert", "status", str(results)]
        os.execvpe(command[0], command, {**os.environ, "TERM": "xterm-256color", "COLUMNS": "100"})
    said = b""
    while select.select([terminal], [], [], 60)[0]:
        try:
            said += os.read(terminal, 1 << 16)
        except OSError:  # it has ended
            break
        if stop and b"job running" in said:
            os.kill(process, signal.SIGINT)
            stop = False
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 0, said
    return said.decode()


def test_a_narrow_terminal_cuts_the_losses_and_wraps_no_row(run):
    run.finish("download", "0000", b=("gone", "dead"))
    run.says("download/0001", unit="video", total=4, done=1, note="waiting 8 s for x.org")
    run.says("pretrain", unit="step", total=1000, done=700, note="loss 2.1")
    look = Watch(run.layout).look()
    assert "loss 2.1" in drawn(look, 80) and ELSEWHERE not in drawn(look, 80)
    assert ELSEWHERE in drawn(look, 120) and "1 lost (1 gone), waiting 8 s for x.org" in drawn(look, 140)


def test_a_low_terminal_shows_the_stages_that_have_begun(run):
    run.finish("download", "0000")
    look = Watch(run.layout).look()
    assert "report" in drawn(look, 80, height=40)
    assert "download" in drawn(look, 80, height=15) and "report" not in drawn(look, 80, height=15)


def test_ctrl_c_ends_the_first_look_as_well(run, monkeypatch, shown):
    def interrupt(_: Watch) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Watch, "look", interrupt)
    assert shown(run.results) == ""
