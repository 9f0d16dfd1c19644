"""The sections of the report that show what the evaluation measured: tables with intervals, examples, plots, and lines.

A section is left out when its task was not run; when the task could not measure, its reason stands there. metrics.json
says what was measured last, and a task's details (templates, captions, forecasts) are shown only when they are those of its
figures: the file of an earlier run may still lie beside it. The functions stand in the order of the page.
"""

from pathlib import Path
from typing import Any

from videobert.data.provenance import sha256
from videobert.errors import UserError
from videobert.layout import Layout
from videobert.pipeline import TASKS
from videobert.report.accuracies import probe_section, scaling_section, zero_shot_section
from videobert.report.forecasts import forecasting_section
from videobert.report.headlines import score
from videobert.report.labels import CAPTION_SCORES, CAPTIONERS, PAPER_CAPTIONING, RANKS, SEARCHES
from videobert.report.parts import (
    STYLE,
    Films,
    cell,
    evenly,
    optional_json,
    percent,
    table,
)

CAPTIONS_SHOWN = 4
SEARCH_STAGES = ("first_stage", "cross_encoder")


def measured(layout: Layout) -> list[str]:
    """The tasks that metrics.json is of."""
    protocol = optional_json(layout.metrics).get("protocol", {})
    return [task for task in TASKS if task in protocol]


def check_model(layout: Layout) -> None:
    """Raises UserError when a task's figures are of another model than the one that is shown beside them."""
    model = sha256(Path(layout.model.weights)) if Path(layout.model.weights).exists() else None
    for task in measured(layout):
        seen = optional_json(layout.task(task)).get("provenance", {}).get("inputs", {}).get("model", model)
        if task != "scaling" and seen != model:  # scaling's models are others
            raise UserError(f"{layout.task(task)} was measured on another model: run snakemake --cores all {task}")


def gather(layout: Layout, shard_of: dict[str, str], titles: dict[str, str], examples: int) -> dict[str, Any]:
    """What the sections say, by task; None for a task that was not run.

    Args:
        layout: the files of the run.
        shard_of: the shard of each video.
        titles: what the platforms call the videos.
        examples: how many examples of each kind, at most; the tasks have bounds of their own.
    """
    import matplotlib

    metrics = optional_json(layout.metrics)
    details = {task: _details(layout, metrics, task) for task in TASKS}
    films = Films(layout, shard_of, titles)
    with matplotlib.rc_context(STYLE):
        return {
            "metrics": metrics,
            "predictions": details["zero_shot"].get("predictions") or details["zero_shot"].get("guesses", []),
            "zero_shot": zero_shot_section(metrics.get("zero_shot"), details["zero_shot"]),
            "objectives": _objectives(metrics),
            "probe": probe_section(metrics.get("probe"), details["probe"]),
            "retrieval": _retrieval(metrics.get("retrieval")),
            "captioning": _captioning(metrics.get("captioning"), details["captioning"], films, examples),
            "forecasting": forecasting_section(metrics.get("forecasting"), details["forecasting"], films, examples),
            "scaling": scaling_section(metrics.get("scaling"), details["scaling"]),
        }


def _details(layout: Layout, metrics: dict[str, Any], task: str) -> dict[str, Any]:
    """A task's file, if metrics.json holds its figures; else nothing."""
    details = optional_json(layout.task(task))
    summary = details.get("summary", {})
    return details if summary and all(metrics.get(name) == figures for name, figures in summary.items()) else {}


def hundredth(value: float | None) -> str:
    """A share as papers on captions write it: 0.0753 -> 7.53."""
    return "–" if value is None else f"{100 * value:.2f}"


def rank(value: float | None) -> str:
    return "–" if value is None else f"{value:,.1f}".removesuffix(".0")


# Objectives, probe, retrieval -----------------------------------------------------------------------------------------


def _objectives(metrics: dict[str, Any]) -> list[dict[str, Any]] | None:
    """Masked prediction and alignment, each with what it is to be compared with."""
    masked, alignment = metrics.get("masked"), metrics.get("alignment")
    if masked is None or alignment is None:
        return None
    rows = [
        ("masked words, with the video", masked, "text_given_video", f"without it {percent(masked['text_alone'])}"),
        (
            "masked visual words, with the text",
            masked,
            "video_given_text",
            f"without it {percent(masked['video_alone'])}",
        ),
        ("alignment", alignment, "accuracy", f"chance {percent(0.5)}"),
    ]
    return [{"name": name, "cell": cell(figures, key), "text": text} for name, figures, key, text in rows]


def _retrieval(figures: dict[str, Any] | None) -> dict[str, Any] | None:
    """The search in the whole test set, within one video, and for steps by action and object."""
    if not figures or "skipped" in figures:
        return figures
    names = {
        "text_to_video": "The video for a sentence",
        "video_to_text": "The sentence for a video",
        "text_to_video_within": "Within one video: the moment for a sentence",
        "video_to_text_within": "Within one video: the sentence for a moment",
        "steps": "Steps by action and object",
    }
    tables = []
    for key, name in names.items():
        part = figures.get(key)
        if part and "skipped" in part:
            tables.append({"name": name, "skipped": part["skipped"]})
        elif part:
            rows = [
                (words, part[stage], "strong" if stage == "first_stage" else "")
                for stage, words in SEARCHES.items()
                if stage in part
            ]
            count = part["first_stage"]["count"]
            tables.append({"name": name, "count": count, **table(rows, RANKS, {"median_rank": rank})})
    candidates = {part["cross_encoder"]["candidates"] for part in figures.values() if "cross_encoder" in part}
    first, second = (
        [part[stage]["r1"] for part in figures.values() if "cross_encoder" in part] for stage in SEARCH_STAGES
    )
    return {
        "tables": tables,
        "candidates": max(candidates, default=None),
        "lowered": sum(below < above for above, below in zip(first, second)),
        "reranked": len(first),
    }


# Captioning -----------------------------------------------------------------------------------------------------------


def _captioning(
    figures: dict[str, Any] | None, details: dict[str, Any], films: Films, examples: int
) -> dict[str, Any] | None:
    """Table 3, and some captions beside what was said."""
    if not figures or "skipped" in figures:
        return figures
    forms = dict.fromkeys(CAPTION_SCORES, hundredth) | {"cider": score}
    rows = [
        (name, figures[key], "strong" if key == "videobert" else "")
        for key, name in CAPTIONERS.items()
        if key in figures
    ]
    paper = [(name, dict(zip(CAPTION_SCORES, values)), "other") for name, values in PAPER_CAPTIONING.items()]
    return {
        "table": table(rows, CAPTION_SCORES, forms),
        "paper": table(paper, CAPTION_SCORES, forms),
        "count": figures["videobert"]["count"],
        "without": details.get("skipped", {}).get("meteor", ""),
        "examples": [
            {
                "title": films.title(step["video_id"]),
                "start": step["start"],
                "end": step["end"],
                "sentence": step["sentence"],
                "picture": films.step(step),
                "captions": [(CAPTIONERS[key], key == "videobert", step["written"][key]) for key in CAPTIONERS],
            }
            for step in evenly(details.get("captions", []), min(CAPTIONS_SHOWN, examples))
        ],
    }


# Scaling --------------------------------------------------------------------------------------------------------------
