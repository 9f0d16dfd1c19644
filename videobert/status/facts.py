"""What a look at a run says, for programs. null is what nobody knows."""

from typing import Any

from videobert.layout import Layout
from videobert.status.jobs import Job
from videobert.status.look import Look, Stage


def facts(look: Look) -> dict[str, Any]:
    """All of it, as JSON has it."""
    layout = Layout(look.results)
    unfinished = [job for stage in look.stages for job in stage.jobs if job.is_unfinished]
    return {
        "results": look.results,
        "time": round(look.time, 1),
        "running": len(look.jobs("running")),
        "gpu_hours": _hours(look.gpu_seconds),
        "stages": [_stage(stage) for stage in look.stages],
        "jobs": [_job(job, layout) for job in unfinished],
        "losses": look.losses,
        "unreadable": look.problems,
    }


def _stage(stage: Stage) -> dict[str, Any]:
    begun, counted = stage.has_begun, stage.has_begun and bool(stage.unit)
    return {
        "stage": stage.name,
        "is_done": stage.is_done,
        "shards": stage.shards,
        "shards_done": stage.shards_done if begun else None,
        "unit": stage.unit or None,
        "total": stage.total,
        "done": int(stage.done) if counted and stage.done is not None else None,
        "lost": stage.lost if counted else None,
        "statuses": dict(stage.statuses) if counted else None,
        "running": len(stage.running),
        "hosts": sorted({job.progress.host for job in stage.running}),
        "rate": stage.rate,  # units a second
        "seconds_left": stage.left,
        "note": stage.note,
        "gpu_hours": _hours(stage.gpu_seconds),
    }


def _job(job: Job, layout: Layout) -> dict[str, Any]:
    said = job.progress
    return {
        "job": job.name,
        "state": job.state,
        "host": said.host,
        "pid": said.pid,
        "started": said.started,
        "seconds_silent": round(job.silent, 1),
        "unit": said.unit or None,
        "total": said.total if said.unit else None,
        "done": said.done if said.unit else None,
        "note": said.note,
        "error": said.error,
        "log": layout.log(job.name),
        "device": said.device or None,
        "gpu_hours": _hours(job.gpu_seconds),
    }


def _hours(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds / 3600, 4)
