"""Looks at a results folder, as often as somebody asks, and reads what has changed since."""

import os
import time
from collections import Counter
from pathlib import Path

from videobert.data.plan import videos_of_shards
from videobert.data.provenance import read_table
from videobert.errors import is_loss
from videobert.layout import SHARDED, Layout
from videobert.pipeline import STAGES
from videobert.progress import read_progress
from videobert.status.counting import Counts, Found
from videobert.status.jobs import Job
from videobert.status.look import Look, Loss
from videobert.status.reading import Files, disk_clock

LOSSES_SHOWN = 5


class Watch:
    """Somebody who looks at the results folder of `layout`."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.plans = Files(videos_of_shards)
        self.progress = Files(read_progress)
        self.ledgers = Files(_counts)
        self.reasons = Files(_losses)

    def look(self) -> Look:
        layout = self.layout
        now = disk_clock(layout.progress_folder)
        plans = self.plans.read([layout.plan, layout.manifest])
        videos = next((said.value for said in plans.values() if said.value), {})
        shards = [layout.shard_ledger(stage, shard) for stage in SHARDED for shard in videos]
        found = Found(layout, videos, self.ledgers.read([*shards, layout.ledger("corpus")]), self._jobs(now))
        said = [one.problem for one in plans.values()] + [one.problem for one in found.ledgers.values()]
        stages = [found.stage(name) for name in STAGES]
        return Look(layout.results, time.time(), stages, self._last_losses(found, now), [*filter(None, said)])

    def _jobs(self, now: float) -> dict[str, Job]:
        """The jobs that have begun, by name."""
        folder = self.layout.progress_folder
        files = (os.path.join(above, name) for above, _, names in os.walk(folder) for name in names)
        found = {}
        for path, said in self.progress.read(sorted(file for file in files if file.endswith(".json"))).items():
            name = os.path.relpath(path, folder).removesuffix(".json")
            if said.value and name.partition("/")[0] in STAGES:
                is_done = os.path.exists(self.layout.first_file(name))
                found[name] = Job(name, said.value, max(now - said.time, 0.0), is_done)
        return found

    def _last_losses(self, found: Found, now: float) -> list[Loss]:
        """Those of jobs that are not finished and of ledgers, by the times of these files."""
        newest = dict(found.ledgers_with_losses()[:LOSSES_SHOWN])
        reasons = self.reasons.read(newest)
        said = [(now - one.time, newest[path], one.value or []) for path, one in reasons.items()]
        said += [(job.silent, job.stage, job.progress.losses) for job in found.jobs.values() if job.is_unfinished]
        said.sort(key=lambda one: one[0])
        losses = [{"stage": stage, **_texts(loss)} for _, stage, losses in said for loss in reversed(losses)]
        return losses[:LOSSES_SHOWN]


def _counts(ledger: Path) -> Counts:
    counts = read_table(ledger, ["status"])["status"].value_counts().to_pylist()
    return Counter({count["values"]: count["counts"] for count in counts})


def _losses(ledger: Path) -> list[Loss]:
    rows = read_table(ledger, ["video_id", "status", "reason"]).to_pylist()
    return [row for row in rows if is_loss(row["status"])]


def _texts(loss: Loss) -> Loss:
    return {name: str(loss.get(name, "")) for name in ("video_id", "status", "reason")}
