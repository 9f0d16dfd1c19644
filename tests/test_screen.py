"""What the screen shows of a run: stages, losses and failures, on a terminal and in a file; and that it cannot cost the run."""

import io
import json
import logging
import os
import pty
import re
import select
import time
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace

import pytest
from conftest import command, copy, environment
from rich.console import Console

from videobert.layout import Layout
from videobert.progress import Progress
from videobert.screen.display import Plain, Terminal, block, cells, head, plan_in_words
from videobert.screen.handler import Screen
from videobert.screen.run import LOSSES_TOLD, Line, Run

PLAN = [("download_shard", "0000"), ("download_shard", "0001"), ("download_ledger", ""), ("pretrain", "")]


class Fake:
    """A run in a folder, whose jobs do what a test says."""

    def __init__(self, folder: Path, plan: list[tuple[str, str]] = PLAN) -> None:
        self.layout = Layout(folder / "results")
        self.run = Run(self.layout, {"0000": 40, "0001": 32}, now=1000.0)
        self.run.plan(plan)

    def start(self, number: int, rule: str, shard: str = "", now: float = 1000.0) -> None:
        name = {"download_ledger": "ledger/download", "pretrain": "pretrain"}.get(rule, f"download/{shard}")
        self.run.start(number, rule, shard, self.layout.log(name), now)

    def write(self, job: str, **facts: object) -> None:
        file = Path(self.layout.progress(job))
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(asdict(Progress(job, **facts))), encoding="utf-8")

    def log(self, job: str, text: str) -> None:
        file = Path(self.layout.log(job))
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")

    def lose(self, count: int, **facts: object) -> list[Line]:
        """The job of shard 0000 says that it has lost so many, the last as it keeps them; what is told of it."""
        losses = [{"video_id": f"v{n}", "status": "gone", "reason": "dead"} | facts for n in range(count)]
        self.write("download/0000", unit="video", total=40, done=count, statuses={"gone": count}, losses=losses[-10:])
        return self.run.look(self.run.looked + 1)


def texts(lines: list[Line]) -> list[str]:
    return [line.text for line in lines]


def drawn(run: Run, width: int = 110) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(block(run))
    return console.file.getvalue()


# --- what is known of a run ---


def test_a_stage_is_shown_with_videos_rate_time_left_and_losses(tmp_path):
    fake = Fake(tmp_path)
    assert plan_in_words(fake.run) == "To do: download 72 videos, pretrain (4 jobs)"
    fake.start(1, "download_shard", "0000")
    statuses = {"ok": 17, "gone": 2, "no_speech": 1}
    fake.write("download/0000", unit="video", total=40, done=20, statuses=statuses, note="waiting 8 s for x.org")
    fake.run.look(1060.0)
    count = cells(fake.run.stages["download"], fake.run)
    assert count == (
        "20 of 72 videos",
        "20/min",
        "2 min 36 s left",
        "2 lost (2 gone), 1 silent",
        "waiting 8 s for x.org",
    )
    assert head(fake.run) == "0 of 4 jobs, 1 min; then pretrain"
    assert re.search(r"download +\S+ +20 of 72 videos +20/min +2 min 36 s left +2 lost", drawn(fake.run))
    assert max(map(len, drawn(fake.run, 60).splitlines())) <= 60, "a narrow terminal cuts, and wraps nothing"


def test_what_an_earlier_run_did_is_done_and_not_in_the_rate(tmp_path):
    fake = Fake(tmp_path)
    fake.start(1, "pretrain")
    fake.write("pretrain", unit="step", total=1000, done=700, resumed=600, note="loss 2.1")
    fake.run.look(1010.0)
    shown = cells(fake.run.stages["pretrain"], fake.run)
    assert shown == ("700 of 1,000 steps", "10/s", "30 s left", "", "loss 2.1")


def test_a_long_video_counts_while_it_is_heard(tmp_path):
    fake = Fake(tmp_path, [("transcribe_shard", "0001")])
    fake.run.start(1, "transcribe_shard", "0001", fake.layout.log("transcribe/0001"), 1000.0)
    fake.write("transcribe/0001", unit="video", total=2, done=0, fraction=0.5, note="1 h of 2 h of a video")
    fake.run.look(4600.0)
    shown = cells(fake.run.stages["transcribe"], fake.run)
    assert shown == ("0 of 2 videos", "0.5/h", "3 h left", "", "1 h of 2 h of a video")


def test_the_file_of_an_earlier_run_is_not_taken_for_this_ones(tmp_path):
    fake = Fake(tmp_path)
    fake.write("download/0000", unit="video", total=40, done=40, updated=900.0, statuses={"gone": 40})
    fake.start(1, "download_shard", "0000")
    assert fake.run.look(1001.0) == []
    assert fake.run.stages["download"].done == 0
    fake.write("download/0000", unit="video", total=40, done=1, updated=1002.0)
    fake.run.look(1003.0)
    assert fake.run.stages["download"].done == 1


def test_losses_are_told_when_they_happen_and_a_flood_is_counted(tmp_path):
    fake = Fake(tmp_path)
    fake.start(1, "download_shard", "0000")
    assert texts(fake.lose(1)) == ["download lost v0: gone: dead"]
    assert fake.lose(1) == [], "once"
    assert texts(fake.lose(3)) == ["download lost v1: gone: dead", "download lost v2: gone: dead"]
    flood = texts(fake.lose(40))
    assert flood[-1] == "download lost more; from here on they are only counted" and len(flood) == LOSSES_TOLD - 3 + 1
    assert fake.lose(40) == []


def test_strangers_words_are_no_commands_to_the_terminal(tmp_path):
    fake = Fake(tmp_path)
    fake.start(1, "download_shard", "0000")
    (line,) = fake.lose(1, reason="\x1b[2J\r[bold red]gone[/]\nhttp://x\u202e")
    assert line.text.isprintable() and "[bold red]gone[/]" in line.text
    terminal = Terminal(io.StringIO(), colors=False)
    terminal.say(line)
    terminal.end()
    assert "[bold red]gone[/]" in terminal.console.file.getvalue()


def test_a_stage_that_is_finished_says_its_counts_and_its_time(tmp_path):
    fake = Fake(tmp_path)
    fake.start(1, "download_shard", "0000")
    fake.start(2, "download_shard", "0001", now=1010.0)
    fake.write("download/0000", state="done", unit="video", total=40, done=40, resumed=5, statuses={"ok": 40})
    fake.write("download/0001", state="done", unit="video", total=32, done=32, statuses={"ok": 30, "gone": 2})
    assert fake.run.finish(1, 1020.0) == []
    assert texts(fake.run.finish(2, 1030.0)) == ["download: 72 videos (5 done before), 2 lost (2 gone), in 30 s"]
    # What the ledger says besides the counts, since all shards are of this run.
    fake.start(3, "download_ledger")
    fake.log("ledger/download", "download: 70 ok, 2 gone\nTo try the gone ones again: ...\n")
    assert texts(fake.run.finish(3, 1031.0)) == ["To try the gone ones again: ..."]


def test_where_no_ledger_is_asked_for_the_screen_says_how_to_try_again(tmp_path):
    fake = Fake(tmp_path, [("download_shard", "0001")])
    fake.start(1, "download_shard", "0001")
    fake.write(
        "download/0001", state="done", unit="video", total=32, done=32, statuses={"ok": 30, "blocked": 1, "gone": 1}
    )
    _, hint = texts(fake.run.finish(1, 1030.0))
    assert hint.startswith(f"To try the blocked ones again: videobert retry {fake.layout.results} blocked, ")


def test_a_ledger_of_more_than_this_run_has_done_says_its_counts_too(tmp_path):
    fake = Fake(tmp_path, [("download_shard", "0001"), ("download_ledger", "")])
    fake.start(3, "download_ledger")
    fake.log("ledger/download", "download: 70 ok, 2 gone\n")
    assert texts(fake.run.finish(3, 1031.0)) == ["download: 70 ok, 2 gone"]


@pytest.mark.parametrize(
    ("log", "facts", "exit_status", "reason"),
    [
        ("a warning\nvideobert pretrain: no row: give more videos\n", {}, "1", "no row: give more videos"),
        ("Traceback ...\nValueError: x\n", {"state": "failed", "error": "ValueError: x"}, "1", "ValueError: x"),
        ("", {"state": "running"}, "non-zero exit status 137", "it was killed, often for want of memory"),
        (
            "bash: python: not found\n",
            None,
            "non-zero exit status 127",
            "non-zero exit status 127: bash: python: not found",
        ),
    ],
)
def test_a_failed_job_is_a_line_with_its_reason_and_its_log(tmp_path, log, facts, exit_status, reason):
    fake = Fake(tmp_path)
    fake.start(1, "pretrain")
    fake.log("pretrain", log)
    if facts is not None:
        fake.write("pretrain", **facts)
    lines = texts(fake.run.fail(1, 1005.0, exit_status, show_log=True))
    assert lines[:2] == [f"pretrain failed: {reason}", f"    log: {fake.layout.log('pretrain')}"]
    assert [line.removeprefix("    | ") for line in lines[2:]] == log.splitlines()
    assert fake.run.last_line(1010.0).text.startswith("Failed: pretrain; 0 of 4 jobs done in 10 s.")


def test_the_end_says_what_became_of_the_run(tmp_path):
    fake = Fake(tmp_path, [("pretrain", "")])
    fake.start(1, "pretrain")
    fake.run.stop(1, 1004.0)
    assert (
        fake.run.last_line(1005.0, stopped=True).text
        == "Stopped: 0 of 1 job done in 5 s. The same command goes on from there."
    )
    fake.start(1, "pretrain")
    fake.run.finish(1, 1250.0)
    assert fake.run.last_line(1250.0).text == "Done: 1 job in 4 min 10 s."


# --- in a file ---


def test_in_a_file_there_are_plain_lines_now_and_then(tmp_path):
    fake = Fake(tmp_path)
    fake.start(1, "download_shard", "0000")
    fake.write("download/0000", unit="video", total=40, done=20)
    plain = Plain(io.StringIO())
    for second in range(1, 7200):
        fake.run.look(1000.0 + second)
        plain.show(fake.run)
    said = plain.stream.getvalue()
    assert said.splitlines()[:2] == [
        "download: 20 of 72 videos, 40/min, 1 min 18 s left",
        "0 of 4 jobs, 30 s; then pretrain",
    ]
    assert 20 < said.count("download:") < 80, "the longer a run, the rarer its lines"
    assert not re.search(r"[\x00-\x09\x0b-\x1f]", said)


# --- in Snakemake's place ---


@pytest.fixture
def log():
    """Snakemake's logger with its own screen, which writes into a text."""
    logger = logging.getLogger("snakemake.logging")
    before, level = logger.handlers[:], logger.level
    own = logging.StreamHandler(io.StringIO())
    own.name = "DefaultStreamHandler"
    logger.handlers[:] = [own]
    logger.setLevel(logging.INFO)
    yield logger
    logger.handlers[:] = before
    logger.setLevel(level)


def settings(**asked: object) -> SimpleNamespace:
    defaults = dict.fromkeys(("quiet", "verbose", "printshellcmds", "debug_dag"), None)
    return SimpleNamespace(**{**defaults, "nocolor": True, "show_failed_logs": True, **asked})


def take_over(fake: Fake, plan: object, **asked: object) -> Screen | None:
    fake.run = Run(fake.layout, {"0000": 40, "0001": 32}, now=time.time())
    return Screen.take_over(fake.run, plan, settings(**asked))


def job_info(log: logging.Logger, fake: Fake) -> None:
    told = {"jobid": 1, "rule_name": "pretrain", "wildcards": {}, "log": [fake.layout.log("pretrain")]}
    log.info(" Rule: pretrain, Jobid: 1", extra={"event": "job_info", **told})


def test_blocks_of_paths_go_and_what_matters_stays(tmp_path, log):
    fake, out = Fake(tmp_path), log.handlers[0].stream
    screen = take_over(fake, lambda: [("pretrain", "")])
    log.info("Building DAG of jobs...")
    log.info("stats", extra={"event": "run_info"})
    job_info(log, fake)
    log.info("Select jobs to execute...")
    log.warning("the disk is slow\x1b[2J")
    log.info("Finished jobid: 1", extra={"event": "job_finished", "job_id": 1})
    screen.finish()
    log.info("Complete log(s): x")
    assert out.getvalue().splitlines() == [
        "Building DAG of jobs...",
        "To do: pretrain (1 job)",
        "the disk is slow [2J",
        "pretrain: done in 0 s",
        "Done: 1 job in 0 s.",
        "Complete log(s): x",
    ]


@pytest.mark.parametrize("asked", [{"quiet": {"progress"}}, {"verbose": True}, {"printshellcmds": True}])
def test_who_asks_for_more_or_less_has_snakemakes_screen(tmp_path, log, asked):
    own = log.handlers[0]
    assert take_over(Fake(tmp_path), list, **asked) is None
    assert log.handlers == [own]


def test_under_another_logger_that_writes_the_screen_nothing_is_taken_over(tmp_path, log):
    log.handlers[0].name = "rich"
    assert take_over(Fake(tmp_path), list) is None


def test_a_screen_that_fails_gives_the_screen_back_and_the_run_goes_on(tmp_path, log):
    own = log.handlers[0]

    def broken():
        raise AttributeError("needrun_jobs")

    take_over(Fake(tmp_path), broken)
    log.info("Job stats", extra={"event": "run_info"})
    log.info("rule pretrain:")
    assert log.handlers == [own]
    said = own.stream.getvalue()
    assert "AttributeError: needrun_jobs" in said and said.endswith("Job stats\nrule pretrain:\n")


def test_a_job_that_a_cluster_has_ended_is_told_in_its_words(tmp_path, log):
    """Its own log is empty: the cluster cancelled it, or took it for too large."""
    fake, out = Fake(tmp_path), log.handlers[0].stream
    take_over(fake, lambda: [("pretrain", "")])
    log.info("stats", extra={"event": "run_info"})
    job_info(log, fake)
    ended = "SLURM-job '7' failed, SLURM status is: 'CANCELLED'. For further error details see the cluster/cloud log."
    logs = [fake.layout.log("pretrain"), "slurm/7.log"]
    log.error("Error in rule", extra={"event": "job_error", "jobid": 1, "rule_msg": ended, "log": logs})
    said = "pretrain failed: SLURM-job '7' failed, SLURM status is: 'CANCELLED'. (slurm/7.log)"
    assert said in out.getvalue()


# --- for real ---


def test_a_real_run_says_what_it_does_in_plain_lines(finished):
    said = (finished.parent / "screen.txt").read_text(encoding="utf-8")
    lines = said.splitlines()
    assert not re.search(r"[\x00-\x09\x0b-\x1f]", said), "no terminal, no bars and no colours"
    (to_do,) = (line for line in lines if line.startswith("To do: "))
    assert to_do.startswith("To do: corpus, download 9 videos, transcribe 9 videos, ")
    assert "download lost missing: gone: there is no file files/missing.mp4" in lines
    assert any(re.fullmatch(r"download: 9 videos, 3 lost \(2 unusable, 1 gone\), in \d.*", line) for line in lines)
    assert any(re.fullmatch(r"transcribe: 6 videos, 2 silent, in \d.*", line) for line in lines)
    assert any(re.fullmatch(r"pretrain: 60 steps, loss \S+, [\d,]+ tokens/s, in \d.*", line) for line in lines)
    end = next(number for number, line in enumerate(lines) if re.fullmatch(r"Done: \d+ jobs in \d.*", line))
    summary = (finished / "results/report/summary.txt").read_text(encoding="utf-8").splitlines()
    assert lines[end + 1 : end + 1 + len(summary)] == summary
    assert "input:" not in said and "Select jobs" not in said
    logged = "".join(path.read_text(encoding="utf-8") for path in (finished / ".snakemake/log").glob("*.log"))
    assert "rule pretrain:" in logged, "Snakemake's own words stand in its log"


def test_on_a_terminal_a_block_is_drawn_and_the_terminal_is_left_in_order(finished, tmp_path):
    folder = copy(finished, tmp_path / "project")
    said = in_terminal(command(folder, "vocabulary", "-R", "vocabulary"))
    assert re.search(r"\x1b\[1mvocabulary\x1b\[0m +for \d s", said), "the block"
    assert "\x1b[2K" in said and said.rfind("\x1b[?25h") > said.rfind("\x1b[?25l"), (
        "erased, and the cursor is shown again"
    )
    assert re.search(r"vocabulary: done in \d+ s", said) and "Done: 1 job in" in said.rpartition("\x1b[?25h")[2]


def in_terminal(words: list[str]) -> str:
    """What a command writes to a terminal."""
    process, terminal = pty.fork()
    if not process:
        os.execvpe(words[0], words, {**environment(), "TERM": "xterm-256color"})
    said = b""
    while select.select([terminal], [], [], 300)[0]:
        try:
            said += os.read(terminal, 1 << 16)
        except OSError:  # it has ended
            break
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 0, said
    return said.decode()
