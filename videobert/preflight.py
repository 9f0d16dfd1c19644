"""What can be known before the first job is checked before the first job.

`check` is called for each stage when the jobs are planned, a dry run's too; `start` when they are about to run.
"""

import json
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

from videobert.cli import parts
from videobert.config import part
from videobert.data.kitchen_notice import kitchen_notice
from videobert.data.manifest import local_path
from videobert.data.plan import Plan
from videobert.data.provenance import read_provenance, read_table
from videobert.data.splits import check_split
from videobert.data.video_names import names_of
from videobert.doctor import BYTES_PER_HOUR, SMALL_DISK, free_bytes
from videobert.errors import UserError
from videobert.evaluation.steps import matched, read_steps
from videobert.evaluation.task import AnnotatedInputs
from videobert.layout import Layout
from videobert.media.probing import total_duration
from videobert.model.launching import check_gpus
from videobert.pipeline import TASKS, function
from videobert.speech.weights import check_name
from videobert.speech.whisper import ENGINES
from videobert.stages.codebook import CodebookSettings, check_words
from videobert.weights import needed


class Preflight:
    """The checks of one run.

    Args:
        config: the checked configuration.
        plan: the videos.
        layout: where the run's files are.
    """

    def __init__(self, config: Any, plan: Plan, layout: Layout) -> None:
        self.config, self.plan, self.layout = config, plan, layout
        self.done: set[Callable[[], None]] = set()

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The manifest's rows, with `listed_id`."""
        return self.plan.rows

    def check(self, stage: str) -> None:
        """Checks what a planned stage needs, once. Raises UserError."""
        for check in self._checks(stage):
            if check not in self.done:
                self.done.add(check)
                check()

    def _checks(self, stage: str) -> list[Callable[[], None]]:
        if stage in TASKS:
            return [self._test_split, *([self._annotations] if _is_annotated(stage) else [])]
        known = {"codebook": [self._train_split, self._codebook], "transcribe": [self._speech], "features": [self._s3d]}
        return known.get(stage, [])

    def start(self, stages: set[str], runs_here: bool) -> None:
        """Checks what the stages that are about to run need of this machine. Raises UserError.

        Args:
            stages: their names.
            runs_here: whether they run on this machine, not on the nodes of a cluster.
        """
        if runs_here and "pretrain" in stages:
            self._gpus()
        if "download" in stages and self.plan.has_kitchen and not find_spec("hibari"):
            raise UserError("corpus.videos has kitchen videos: pip install 'videobert[kitchen]' brings their voice")
        free = free_bytes(Path(self.config.results))
        if "download" in stages and free < SMALL_DISK:
            hours = free / BYTES_PER_HOUR
            print(
                f"warning: {free / 1e9:.1f} GB free for {self.config.results}, which is about {hours:.1f} hours of video",
                file=sys.stderr,
            )
        if needed(self.config, sorted(stages)):
            _fetch_weights(self.config, stages)

    def _gpus(self) -> None:
        settings = self.config.pretrain
        if settings.nodes > 1:
            raise UserError(
                f"pretrain.nodes is {settings.nodes}, but this run submits no jobs: take --profile profiles/slurm, or set it to 1"
            )
        if settings.processes == 1 or settings.device == "cpu":
            return
        # In a process of its own: it imports torch.
        count = "import torch; print(torch.cuda.device_count())"
        done = subprocess.run([sys.executable, "-c", count], capture_output=True, text=True)
        check_gpus(settings.processes, int(done.stdout) if done.returncode == 0 else 0)

    def kitchen_notice(self) -> str:
        """What must be said of S3D's weights for these videos; "" when nothing."""
        sources = self.plan.column("source")
        kitchen = sum(source.startswith("kitchen:") for source in sources)
        return kitchen_notice(self.config.features.weights, len(sources), kitchen)

    def _test_split(self) -> None:
        check_split(self.plan.column("split"), "test")

    def _train_split(self) -> None:
        check_split(self.plan.column("split"), "train")

    def _annotations(self) -> None:
        """Columns, ids and splits of a user's table of steps."""
        annotations = self.config.evaluate.annotations
        if annotations in (None, "kitchen"):
            return
        where = f"evaluate.annotations: {annotations}"
        own = {row["video_id"]: row["listed_id"] for row in self.rows if row["listed_id"]}
        steps = matched(read_steps([Path(annotations)], annotations), names_of(self.rows, own), where)
        split = {row["video_id"]: row["split"] for row in self.rows}
        if not any(step.video_id in split for step in steps):
            raise UserError(
                f"{where} names no video of the list: its video_id is the list's id, the manifest's video_id or the source"
            )
        if not any(split.get(step.video_id) == "test" for step in steps):
            raise UserError(
                f"{where} has no step of a test video: annotate some, or give videos that it names the split test "
                "(column split of the list)"
            )
        if "captioning" in self.config.evaluate.tasks and not any(step.sentence for step in steps):
            print(f"{where} has no column sentence, so captioning is not measured", file=sys.stderr)

    def _speech(self) -> None:
        kind = ENGINES.get(self.config.transcribe.engine)  # none reads captions
        if kind and kind.sizes:
            check_name(self.config.transcribe.model, kind.is_here, kind.sizes)

    def _s3d(self) -> None:
        if notice := self.kitchen_notice():
            print(f"warning: {notice}", file=sys.stderr)

    def _codebook(self) -> None:
        """Whether the train videos can give as many clips as the codebook has words, where their lengths are known."""
        settings = part(self.config, CodebookSettings)
        if self._is_made(settings):
            return
        clip = self.config.features.clip_frames / self.config.frames.fps
        seconds = self._train_seconds(settings.needed_clips * clip)
        if seconds is not None:
            check_words(int(seconds / clip), settings)

    def _is_made(self, settings: CodebookSettings) -> bool:
        """Whether there is a codebook of this kind and size: then it is known to fit."""
        statistics = Path(self.layout.statistics)
        made = read_provenance(statistics).get("settings", {}) if statistics.exists() else {}
        made = {"kind": "tree", **made}  # earlier versions knew nothing else
        return all(made.get(name) == getattr(settings, name) for name in ("branching", "depth", "kind"))

    def _train_seconds(self, enough: float) -> float | None:
        """Length of all train videos, or of so many that it is enough; None when one is not known before the download."""
        columns = zip(*map(self.plan.column, ("video_id", "source", "split")), strict=True)
        known, total = self._downloaded(), 0.0
        files = []
        for video_id, source, split in columns:
            if split != "train":
                continue
            if video_id in known:
                total += known[video_id]
            elif source.startswith("kitchen:"):
                total += _kitchen_seconds(source)
            elif path := local_path(source):
                files.append(path)
            else:
                return None
            if total >= enough:
                return total
        rest = total_duration(files, enough - total)
        return None if rest is None else total + rest

    def _downloaded(self) -> dict[str, float]:
        """Lengths by video id, as far as videos were downloaded; a lost one has none."""
        ledgers = {Path(self.layout.shard_ledger("download", shard)) for shard in self.plan.shards}
        return {
            row["video_id"]: row["duration"] or 0.0
            for ledger in ledgers
            if ledger.exists()
            for row in read_table(ledger, ["video_id", "duration"]).to_pylist()
        }


def _is_annotated(task: str) -> bool:
    """Whether a task reads annotated steps."""
    return any(issubclass(class_, AnnotatedInputs) for class_ in parts(function(task)).values())


def _kitchen_seconds(source: str) -> float:
    from videobert.kitchen.sources import script_of

    return script_of(source).duration


def _fetch_weights(config: Any, stages: set[str]) -> None:
    """In a process of its own: it imports torch, and takes memory that the workflow would keep for days."""
    with NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as file:
        json.dump(config.model_dump(), file)
        file.flush()
        command = [sys.executable, "-m", "videobert", "weights", file.name, "--stages", ",".join(sorted(stages))]
        done = subprocess.run(command)
    if done.returncode:
        raise UserError("nothing was run: the weights that the configuration names must be there first (see above)")
