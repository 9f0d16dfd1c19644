"""The workflow's own screen, in place of Snakemake's.

Snakemake writes a block of paths for each job, and nothing while it runs. Here its events move a `Run`, whose stages are shown
with videos done, rate, time left and losses; the blocks still go to the file in .snakemake/log. Warnings, errors and what else
Snakemake says stay on the screen.

The Snakefile puts this in place when jobs are about to run (`Screen.take_over`). It is no logger plugin that a profile names: a
plugin that cannot be imported breaks every command; it would also have to show what `-n`, `--lint` or `--list` say; it hears of
events in a thread of its own, late; and it knows neither the results folder nor the shards. Here nothing can break: where
Snakemake has no screen of its own to take over, or ours fails, Snakemake's is used.
"""

import logging
import re
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, TextIO, cast

from videobert.data.text import is_control
from videobert.screen.display import Display, open_display, plan_in_words
from videobert.screen.run import Line, Run

EVERY = 1.0  # seconds from one look at the progress files to the next
AT_A_TIME = 100  # files read a second: they may lie on a network disk
# What Snakemake says around jobs, to nobody's use; it stands in its log.
NOISE = (
    "Select jobs to execute",
    "Using shell:",
    "Conda environments: ignored",
    "Singularity containers: ignored",
    "Removing output files of failed job",
    "Touching output file",
    "Shutting down, this might take some time",
    "Auto-selected partition",
)
UNSAID = ("workflow_started", "resources_info")
NEWS = ("job_info", "job_started", "job_finished", "job_error", "progress", "shellcmd")
COMMAND_FAILED = "RuleException:\nCalledProcessError"
STOPPED = "Terminating processes on user request"


class Screen(logging.Handler):
    """A handler of Snakemake's log that shows a run."""

    def __init__(
        self,
        default: "logging.StreamHandler[TextIO]",
        run: Run,
        planned: Callable[[], Iterable[tuple[str, str]]],
        settings: Any,
    ) -> None:
        """
        Args:
            default: Snakemake's own handler, whose place this one takes.
            run: what is known of the run: nothing yet.
            planned: the jobs that will run, as `Run.plan` takes them; asked when Snakemake knows them.
            settings: Snakemake's settings of its output.
        """
        super().__init__()
        self.default = default
        self.run = run
        self.planned = planned
        self.settings = settings
        self.display: Display | None = None  # from the first job to the last
        self.stopped = False
        self.exit_status = ""  # of the job that has just failed
        self.over = threading.Event()

    @classmethod
    def take_over(cls, run: Run, planned: Callable[[], Iterable[tuple[str, str]]], settings: Any) -> "Screen | None":
        """Takes the place of Snakemake's own screen; None where it is to stay: under another logger that writes the screen, and
        where somebody asks to see more (-p, --verbose, --debug-dag) or less (--quiet)."""
        from snakemake.logging import logger

        default = next((handler for handler in logger.handlers if handler.name == "DefaultStreamHandler"), None)
        wants = settings.quiet or settings.verbose or settings.printshellcmds or settings.debug_dag
        if default is None or wants:
            return None
        screen = cls(cast("logging.StreamHandler[TextIO]", default), run, planned, settings)
        logger.removeHandler(default)
        logger.addHandler(screen)
        return screen

    # What Snakemake says --------------------------------------------------------------------------------------------------------

    def emit(self, record: logging.LogRecord) -> None:
        try:
            event = str(getattr(record, "event", None) or "")
            if event == "run_info":
                self._begin()
            elif self.display and event in NEWS:
                self._say(self._news(event, record))
            elif event not in UNSAID and not str(record.msg).startswith(NOISE):
                self._pass_on(record)
        except Exception as error:
            self._give_up(record, error)

    def _begin(self) -> None:
        self.run.plan(self.planned())
        self.display = open_display(self.default.stream, not self.settings.nocolor)
        self.display.say(Line(plan_in_words(self.run)))
        threading.Thread(target=self._look, daemon=True).start()

    def _news(self, event: str, record: logging.LogRecord) -> list[Line]:
        told = vars(record)
        now = time.time()
        if event == "job_info" and told["log"]:
            shard = str(dict(told["wildcards"] or {}).get("shard", ""))
            self.run.start(told["jobid"], told["rule_name"], shard, str(told["log"][0]), now)
        if event == "job_finished":
            return self.run.finish(told["job_id"], now)
        if event == "job_error" and self.stopped:
            self.run.stop(told["jobid"], now)
        elif event == "job_error":
            exit_status, self.exit_status = self.exit_status or _in_executors_words(told), ""
            return self.run.fail(told["jobid"], now, exit_status, self.settings.show_failed_logs)
        return []

    def _pass_on(self, record: logging.LogRecord) -> None:
        """What is not about a job stays as Snakemake says it."""
        if not self.display:
            self.default.handle(record)
            return
        text = self.default.format(record)
        self.stopped = self.stopped or text.startswith(STOPPED)
        if COMMAND_FAILED in text:  # the whole command, and one thing to know
            found = re.search(r"(non-zero exit status \d+|died with .*)", text)
            self.exit_status = found[1].removesuffix(".") if found else ""
        elif text and text != "None" and self.default.filter(record):
            tone = "bad" if record.levelno >= logging.WARNING else "aside"
            shown = "".join(" " if is_control(character) and character != "\n" else character for character in text)
            self.display.say(Line(shown, tone))

    def _say(self, lines: list[Line]) -> None:
        assert self.display
        if lines:
            self.display.show(
                self.run
            )  # first, or a stage that has finished would be shown below the line that says so
        for line in lines:
            self.display.say(line)

    # While it runs --------------------------------------------------------------------------------------------------------------

    def _look(self) -> None:
        while not self.over.wait(max(EVERY, self.run.running / AT_A_TIME)):
            self.acquire()
            try:
                if self.display and not self.over.is_set():
                    self._say(self.run.look(time.time()))
                    self.display.show(self.run)
            except Exception as error:
                self._give_up(None, error)
            finally:
                self.release()

    # The end --------------------------------------------------------------------------------------------------------------------

    def finish(self) -> None:
        """The last job has ended: says how, and leaves the screen to Snakemake."""
        self.acquire()
        try:
            self.over.set()
            if self.display:
                display, self.display = self.display, None
                display.end()
                display.say(self.run.last_line(time.time(), self.stopped))
        finally:
            self.release()

    def close(self) -> None:
        with suppress(Exception):
            self.finish()
        super().close()

    def _give_up(self, record: logging.LogRecord | None, error: Exception) -> None:
        """A screen must not cost a run: from here on Snakemake shows its own."""
        from snakemake.logging import logger

        self.over.set()
        display, self.display = self.display, None
        if display:
            with suppress(Exception):
                display.end()
        logger.removeHandler(self)
        logger.addHandler(self.default)
        logger.warning(f"The screen of videobert failed ({type(error).__name__}: {error}); this is Snakemake's own.")
        if record:
            self.default.handle(record)


def _in_executors_words(told: dict[str, Any]) -> str:
    """What a cluster says of a job that failed, and where its own log lies."""
    said = str(told.get("rule_msg") or "").split("For further error details")[0].strip()
    logs = [str(log) for log in (told.get("log") or [])[1:]]
    return f"{said} ({', '.join(logs)})" if said and logs else said
