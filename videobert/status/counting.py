"""How far each stage is, counted from what lies in the results folder.

A shard is done when its ledger is there, a stage that works on all shards when the first of its files is. What a shard has done
that is not finished stands in the progress file of its job.
"""

import os
from collections import Counter
from dataclasses import dataclass

from videobert.errors import Status, is_loss
from videobert.layout import PER_VIDEO, SHARDED, Layout
from videobert.pipeline import READS
from videobert.status.jobs import Job
from videobert.status.look import Stage
from videobert.status.reading import Said

Counts = Counter[str]  # how many videos have each status


@dataclass
class Found:
    """What is there at one look."""

    layout: Layout
    videos: dict[str, int]
    """Of each shard; none where the run's list is not known."""
    ledgers: dict[str, Said[Counts]]
    jobs: dict[str, Job]

    def stage(self, name: str) -> Stage:
        """How far a stage is."""
        stage = Stage(name, [job for job in self.jobs.values() if job.stage == name])
        if name in SHARDED and self.videos:
            self._count_shards(stage)
            return stage
        stage.is_done = name not in SHARDED and os.path.exists(self.layout.first_file(name))
        if name == "corpus":
            self._count_corpus(stage)
        else:
            _count_jobs(stage)
        return stage

    def _count_shards(self, stage: Stage) -> None:
        stage.unit, stage.shards, stage.shards_done, stage.total, stage.done = "video", len(self.videos), 0, 0, 0
        for shard in self.videos:
            job = self.jobs.get(f"{stage.name}/{shard}")
            counts = self._counts(stage.name, shard)
            if counts is not None:
                stage.shards_done += 1
                stage.done += counts.total()
                stage.total += counts.total()
                stage.statuses += counts if stage.name in PER_VIDEO else Counter()  # below, lost ones are lost again
            elif job and job.is_unfinished and job.progress.unit == "video":
                stage.done += job.progress.done + job.progress.fraction
                stage.total += job.progress.total
                stage.statuses += Counter(job.progress.statuses)
            else:
                stage.total += self._expected(stage.name, shard)
        stage.is_done = stage.shards_done == stage.shards

    def _counts(self, stage: str, shard: str) -> Counts | None:
        """What became of the videos of a shard; None where it is not done."""
        said = self.ledgers.get(self.layout.shard_ledger(stage, shard))
        return (said.value or Counter()) if said else None

    def _expected(self, stage: str, shard: str) -> int:
        """How many videos come to a shard of a stage: those that the stage before has not lost, as far as is known."""
        before = READS[stage][0]
        if stage not in PER_VIDEO or before not in PER_VIDEO:
            return self.videos[shard]
        counts = self._counts(before, shard)
        return counts[Status.OK] if counts else self._expected(before, shard)

    def _count_corpus(self, stage: Stage) -> None:
        """What the list gave: rows that were left out have no shard."""
        ledger = self.ledgers.get(self.layout.ledger("corpus"))
        stage.statuses = Counter(ledger.value if ledger else None)
        if stage.is_done and self.videos:
            stage.unit, stage.total = "video", sum(self.videos.values())
            stage.done = stage.total

    def ledgers_with_losses(self) -> list[tuple[str, str]]:
        """The path and the stage of each, the one that was written last first."""
        stages = {self.layout.shard_ledger(stage, shard): stage for stage in PER_VIDEO for shard in self.videos}
        lossy = [
            (said.time, path)
            for path, said in self.ledgers.items()
            if path in stages and any(map(is_loss, said.value or ()))
        ]
        return [(path, stages[path]) for _, path in sorted(lossy, reverse=True)]


def _count_jobs(stage: Stage) -> None:
    """What the jobs of a stage say, where no ledger does."""
    jobs = [job.progress for job in stage.jobs if job.counts and job.progress.unit]
    if jobs:
        stage.unit = jobs[0].unit
        stage.done = sum(progress.done + progress.fraction for progress in jobs)
        stage.total = sum(progress.total for progress in jobs)
        for progress in jobs:
            stage.statuses += Counter(progress.statuses)
