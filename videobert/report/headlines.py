"""The figures that tell most: cards on top of the page, and lines for the terminal."""

from collections.abc import Callable
from typing import Any

from videobert.report.accuracies import by_share
from videobert.report.parts import cell, number, percent


def cards(metrics: dict[str, Any]) -> list[dict[str, Any]]:
    """Of each task the figure that answers whether the model uses the video, with what it must be compared with."""
    every = [
        _card(
            "Zero-shot verb, top-1",
            metrics.get("zero_shot"),
            ("cross_modal", "verb_top1"),
            {"without video": "language_prior", "with another video": "shuffled_video", "chance": "chance"},
        ),
        _alignment_card(metrics.get("alignment")),
        _masked_card(metrics.get("masked")),
        _card(
            "Retrieval of the video, R@5",
            _part(metrics.get("retrieval"), "text_to_video"),
            ("first_stage", "r5"),
            {"asked with another sentence": "shuffled", "chance": "chance"},
        ),
        _card(
            "Captions, CIDEr",
            metrics.get("captioning"),
            ("videobert", "cider"),
            {"without video": "no_video", "from S3D": "s3d"},
            score,
        ),
        _card(
            "Forecast of the next clip, top-1",
            _part(metrics.get("forecasting"), "next"),
            ("videobert", "top1"),
            {"the last again": "repeat_last", "what most often followed": "bigram", "chance": "chance"},
        ),
    ]
    return [card for card in every if card]


def _part(figures: dict[str, Any] | None, name: str) -> dict[str, Any] | None:
    """One part of a task's figures; the task's own reason where it measured nothing."""
    return figures and (figures if "skipped" in figures else figures.get(name))


def _card(
    name: str, figures: dict[str, Any] | None, place: tuple[str, str], controls: dict[str, str], form: Any = percent
) -> dict[str, Any] | None:
    if not figures:
        return None
    row, key = place
    if "skipped" in figures:
        return {"name": name, "value": None, "beneath": "", "text": figures["skipped"]}
    controls_text = [
        f"{words} {form(figures[control][key])}" for words, control in controls.items() if control in figures
    ]
    value = cell(figures[row], key, form)
    return {"name": name, "value": value["text"], "beneath": value["beneath"], "text": ", ".join(controls_text)}


def _alignment_card(alignment: dict[str, Any] | None) -> dict[str, Any] | None:
    if not alignment:
        return None
    value = cell(alignment, "accuracy")
    return {
        "name": "Alignment of text and video",
        "value": value["text"],
        "beneath": value["beneath"],
        "text": "is this text of this video? Half are; chance 50 %",
    }


def _masked_card(masked: dict[str, Any] | None) -> dict[str, Any] | None:
    if not masked:
        return None
    return {
        "name": "Masked visual words",
        "value": percent(masked["video_given_text"]),
        "beneath": "",
        "text": f"with the text; {percent(masked['video_alone'])} without. Masked words of the text: "
        f"{percent(masked['text_given_video'])} with the video, {percent(masked['text_alone'])} without",
    }


def no_interval(metrics: Any) -> str:
    """Why some of the figures have no interval; "" when all have one."""
    if not isinstance(metrics, dict):
        return ""
    reasons = (value if key == "no_interval" else no_interval(value) for key, value in metrics.items())
    return next((str(reason) for reason in reasons if reason), "")


def score(value: float | None) -> str:
    """A score that is no share: 0.123 -> 0.12."""
    return "–" if value is None else f"{value:.2f}"


def summarise(metrics: dict[str, Any]) -> list[str]:
    """A line for each figure that tells most, beside its controls."""
    named = {"verb_top1": "top-1 verb", "object_top1": "object"}
    masked, alignment = metrics.get("masked"), metrics.get("alignment")
    lines = [
        _line(
            "zero-shot",
            metrics.get("zero_shot"),
            "cross_modal",
            named,
            {"no video": "language_prior", "another video": "shuffled_video", "chance": "chance"},
        ),
        masked
        and f"masked      words {percent(masked['text_given_video'])} with the video, {percent(masked['text_alone'])} "
        f"without; visual words {percent(masked['video_given_text'])} with the text, "
        f"{percent(masked['video_alone'])} without",
        alignment and f"alignment   {percent(alignment['accuracy'])} (chance {percent(0.5)})",
        _line(
            "probe",
            metrics.get("probe"),
            "videobert_mean",
            named,
            {"S3D": "s3d", "untrained": "random_weights", "chance": "chance"},
        ),
        _line(
            "retrieval",
            _part(metrics.get("retrieval"), "text_to_video"),
            "first_stage",
            {"r1": "R@1", "r5": "R@5"},
            {"second stage": "cross_encoder", "another query": "shuffled", "chance": "chance"},
        ),
        _line(
            "captioning",
            metrics.get("captioning"),
            "videobert",
            {"cider": "CIDEr"},
            {"no video": "no_video", "S3D": "s3d", "both": "videobert_s3d"},
            score,
        ),
        _line(
            "forecasting",
            _part(metrics.get("forecasting"), "next"),
            "videobert",
            {"top1": "top-1", "top5": "top-5"},
            {"last again": "repeat_last", "bigram": "bigram", "chance": "chance"},
        ),
        _scaling_line(metrics.get("scaling")),
        no_interval(metrics) and f"{'intervals':<12}none where there are too few videos: {no_interval(metrics)}",
    ]
    return [line for line in lines if line] or ["evaluation  nothing was measured"]


def _scaling_line(figures: dict[str, Any] | None) -> str:
    """What the smallest and the largest share of the videos give."""
    if not figures:
        return ""
    if "skipped" in figures:
        return f"{'scaling':<12}not measured: {figures['skipped']}"
    rows = by_share(figures["cross_modal"])
    parts = [
        f"{percent(row['verb_top1'])}/{percent(row['object_top1'])} of {number(row['videos'])} videos"
        for row in (rows if len(rows) == 1 else (rows[0], rows[-1]))
    ]
    return f"{'scaling':<12}top-1 verb/object {', '.join(parts)}"


def _line(
    label: str,
    figures: dict[str, Any] | None,
    row: str,
    columns: dict[str, str],
    controls: dict[str, str],
    form: Callable[[float | None], str] = percent,
) -> str:
    if not figures:
        return ""
    if "skipped" in figures:
        return f"{label:<12}not measured: {figures['skipped']}"
    texts = {name: "/".join(form(figures[name].get(key)) for key in columns) for name in figures}
    against = ", ".join(f"{words} {texts[name]}" for words, name in controls.items() if name in texts)
    return f"{label:<12}{'/'.join(columns.values())} {texts[row]} ({against})"
