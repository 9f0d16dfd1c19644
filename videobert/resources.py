"""What the job of a rule needs of a machine: memory, minutes, a GPU.

A cluster asks for them before a job starts, and ends a job that takes more. The figures are estimates: more than the built-in
corpus took, with room for real videos of ten minutes, on which nothing was measured yet. A job that fails gets more at its next
attempt, and a profile says otherwise for a rule with `set-resources`.
"""

from typing import NamedTuple

SNAKEMAKE = 700  # MB: two Snakemakes run in each job of a cluster, beside its own process


class Need(NamedTuple):
    """What a job needs that works on so many videos: MB (of each process) and minutes, for the job and for each video."""

    memory: int
    minutes: int
    memory_per_video: float = 0.0
    minutes_per_video: float = 0.0
    grows: bool = True
    """Whether another attempt gets more; training goes on from its checkpoint with the same."""

    def mem_mb(self, videos: int, attempt: int, processes: int = 1) -> int:
        """Of a node with so many processes."""
        return int(SNAKEMAKE + (self.memory + self.memory_per_video * videos) * self._factor(attempt) * processes)

    def runtime(self, videos: int, attempt: int) -> int:
        """In minutes."""
        return int((self.minutes + self.minutes_per_video * videos) * self._factor(attempt))

    def _factor(self, attempt: int) -> int:
        return attempt if self.grows else 1


TASK = Need(memory=6_000, minutes=120, memory_per_video=0.1, minutes_per_video=0.02)
NEEDS = {
    # All videos of the list. (The codebook holds 2,000,000 clips, `codebook.sample`.)
    "corpus": Need(memory=500, minutes=10, memory_per_video=0.01),
    "codebook": Need(memory=16_000, minutes=60, minutes_per_video=0.01),
    "vocabulary": Need(memory=2_000, minutes=30, memory_per_video=0.05),
    "pretrain": Need(memory=12_000, minutes=24 * 60, memory_per_video=0.1, grows=False),
    "evaluate": Need(memory=1_000, minutes=10),
    "report": Need(memory=2_000, minutes=20, memory_per_video=0.05),
    # Those of a shard.
    "download": Need(memory=1_500, minutes=30, minutes_per_video=5),
    "transcribe": Need(memory=5_000, minutes=20, minutes_per_video=6),
    "frames": Need(memory=2_000, minutes=10, minutes_per_video=3),
    "features": Need(memory=6_000, minutes=10, minutes_per_video=8),
    "tokens": Need(memory=1_500, minutes=10, memory_per_video=1, minutes_per_video=0.05),
}


def need(stage: str) -> Need:
    """What a stage's job needs; all tasks of the evaluation need the same."""
    return NEEDS.get(stage, TASK)
