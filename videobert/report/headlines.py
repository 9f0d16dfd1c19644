"""The figures that tell most: cards on top of the page, and lines for the terminal."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from videobert.report.accuracies import by_share
from videobert.report.parts import cell, number, percent


def score(value: float | None) -> str:
    """A score that is no share: 0.123 -> 0.12."""
    return "–" if value is None else f"{value:.2f}"


FEWEST_FOR_A_FIGURE = 5  # test videos: a figure of fewer says nothing, and would look like something


@dataclass(frozen=True)
class Headline:
    """A task's figure that answers whether the model uses the video, and what it must be compared with."""

    name: str
    task: str
    row: str
    figure: str
    controls: dict[str, str | float]  # what they are called: their rows, or the figure itself
    part: str = ""  # of the task's figures
    form: Callable[[float | None], str] = percent


HEADLINES = (
    Headline(
        "Zero-shot verb, top-1",
        "zero_shot",
        "cross_modal",
        "verb_top1",
        {"without video": "language_prior", "with another video": "shuffled_video", "chance": "chance"},
    ),
    Headline("Alignment of text and video", "alignment", "", "accuracy", {"chance": 0.5}),
    Headline(
        "Masked visual words, with the text", "masked", "", "video_given_text", {"without the text": "video_alone"}
    ),
    Headline(
        "Retrieval of the video, R@5",
        "retrieval",
        "first_stage",
        "r5",
        {"asked with another sentence": "shuffled", "chance": "chance"},
        "text_to_video",
    ),
    Headline(
        "Captions, CIDEr",
        "captioning",
        "videobert",
        "cider",
        {"without video": "no_video", "from S3D": "s3d"},
        form=score,
    ),
    Headline(
        "Forecast of the next clip, top-1",
        "forecasting",
        "videobert",
        "top1",
        {"the last again": "repeat_last", "what most often followed": "bigram", "chance": "chance"},
        "next",
    ),
)


def cards(metrics: dict[str, Any], test_videos: int) -> list[dict[str, Any]]:
    """The headlines that were measured, as cards."""
    return [_card(one, metrics[one.task], test_videos) for one in HEADLINES if metrics.get(one.task)]


def _card(headline: Headline, measured: dict[str, Any], test_videos: int) -> dict[str, Any]:
    card = {"name": headline.name, "value": None, "none": "not measured", "beneath": "", "text": "", "beaten": False}
    figures = _part(measured, headline.part) if headline.part else measured
    if not figures or "skipped" in figures:
        return card | {"text": (figures or {}).get("skipped", "")}
    if test_videos < FEWEST_FOR_A_FIGURE:
        return card | {"none": f"too few test videos ({test_videos}) to say"}
    own = figures[headline.row] if headline.row else figures
    controls = {
        words: value
        for words, row in headline.controls.items()
        if (value := _control(figures, row, headline.figure)) is not None
    }
    value, best = own.get(headline.figure), max(controls.values(), default=None)
    beaten = value is not None and best is not None and value <= best
    text = ", ".join(f"{words} {headline.form(figure)}" for words, figure in controls.items())
    written = cell(own, headline.figure, headline.form)
    return card | {
        "value": written["text"],
        "beneath": written["beneath"],
        "text": f"No better than a control: {text}" if beaten else text,
        "beaten": beaten,
    }


def _control(figures: dict[str, Any], control: str | float, figure: str) -> float | None:
    """A control's figure: given, in a row of its own, or beside the model's."""
    value = control if isinstance(control, float) else figures.get(control)
    return value.get(figure) if isinstance(value, dict) else value


def _part(figures: dict[str, Any] | None, name: str) -> dict[str, Any] | None:
    """One part of a task's figures; the task's own reason where it measured nothing."""
    return figures and (figures if "skipped" in figures else figures.get(name))


def uses_video(metrics: dict[str, Any], test_videos: int) -> str:
    """Whether the model uses the video, in a sentence: by the verbs it names with the step's video, and without it."""
    if test_videos < FEWEST_FOR_A_FIGURE:
        return f"too few test videos ({test_videos}) to say whether the model uses the video"
    figures = metrics.get("zero_shot") or {}
    if "cross_modal" in figures:
        own = figures["cross_modal"]
        controls = {"without a video": "language_prior", "with another video": "shuffled_video"}
        others = {words: figures[row] for words, row in controls.items() if row in figures}
        asked = f"names the verb of a step in {percent(own['verb_top1'])} of cases with its video"
        compared = ", ".join(f"{words} in {percent(row['verb_top1'])}" for words, row in others.items())
        gains = [own["verb_top1"] - row["verb_top1"] for row in others.values()]
        apart = all(_apart(own, row, "verb_top1") for row in others.values())
        return f"{_verdict(gains, apart)}: the model {asked}, {compared}"
    alignment = metrics.get("alignment") or {}
    if alignment.get("accuracy") is None:
        return "not measured: there are neither annotations nor sentences in test videos"
    share, bounds = alignment["accuracy"], alignment.get("accuracy_interval")
    verdict = _verdict([share - 0.5], bounds is not None and bounds[0] > 0.5)
    return (
        f"{verdict}: the model tells in {percent(share)} of cases whether a text belongs to a video, by chance in 50 %"
    )


def _apart(own: dict[str, Any], other: dict[str, Any], figure: str) -> bool:
    """Whether two intervals do not overlap; false where one is not known."""
    mine, theirs = own.get(f"{figure}_interval"), other.get(f"{figure}_interval")
    return bool(mine and theirs and mine[0] > theirs[1])


def _verdict(gains: list[float], apart: bool) -> str:
    if min(gains) <= 0:
        return "no"
    return "yes" if apart else "perhaps, the difference is within the intervals or they are not known"


def no_interval(metrics: Any) -> str:
    """Why some of the figures have no interval; "" when all have one."""
    if not isinstance(metrics, dict):
        return ""
    reasons = (value if key == "no_interval" else no_interval(value) for key, value in metrics.items())
    return next((str(reason) for reason in reasons if reason), "")


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
