"""One HTML page that tells what was trained, on what, what was lost, and whether the model uses the video at all.

The page opens from a file, offline, on a phone: pictures are data URIs, plots are inline SVG, and nothing is loaded from
anywhere. It follows the pipeline: what became of every video, what each stage took, the training curves, what the visual
words look like, example segments with the model's guesses, and what the evaluation measured (evaluation.py).

Titles, transcripts and reasons were written by strangers, so the template escapes everything that is not a plot or a
picture made here. Whatever was not measured (no annotations, no speech, no benchmarks, frames deleted to save space)
is said in its place; the page is made all the same. Its bytes depend on the results folder alone.

The functions stand in the order of the page; those that gather come first, then those that write.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

from pydantic import Field

from videobert.data.provenance import atomic
from videobert.errors import Status
from videobert.layout import Layout
from videobert.report import headlines
from videobert.report.gathering import gather
from videobert.report.parts import (
    BLUE,
    GOLD,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    SIDE,
    SPACE,
    STYLE,
    axes_of,
    clock,
    duration,
    number,
    percent,
    size,
    svg,
)
from videobert.settings import Inputs, Outputs, Settings
from videobert.vision.collapse import collapse

if TYPE_CHECKING:
    from markupsafe import Markup

VERSION = 2


class ReportSettings(Settings):
    """One self-contained HTML page of everything."""

    words: Annotated[int, Field(ge=0)] = 24
    """Visual words in the atlas, most used first."""
    examples: Annotated[int, Field(ge=0)] = 10
    """Example segments of the test videos with the model's predictions."""


class ReportInputs(Inputs):
    results: Path
    """The results folder: whatever lies there is told of, and what does not is said to be missing."""
    upstream: Path | None = None
    """The results folder of the run whose stages are shared, if there is one."""
    shared: list[str] = []
    """The stages that are shared with it."""


class ReportOutputs(Outputs):
    page: Path
    """The page (HTML)."""
    summary: Path
    """Its gist in twenty lines of text, for the terminal."""


def report(inputs: ReportInputs, outputs: ReportOutputs, settings: ReportSettings) -> None:
    """Gather everything in one self-contained HTML page, and its gist in twenty lines of text."""
    layout = Layout(inputs.results, inputs.upstream, inputs.shared)
    facts = gather(layout, settings.words, settings.examples)
    page, text = render(facts, layout, outputs.page), summarise(facts, layout, outputs.page)
    for path, content in ((outputs.summary, text), (outputs.page, page)):
        with atomic(path) as temporary:
            temporary.write_text(content, encoding="utf-8")


def render(facts: dict[str, Any], layout: Layout, page: Path) -> str:
    """The page, as it will lie at `page`. `facts` are those of `gather`."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    from videobert.version import __version__

    environment = Environment(
        loader=PackageLoader("videobert.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(number=number, percent=percent, duration=duration, size=size, clock=clock)
    return environment.get_template("report.html.jinja").render(
        facts
        | {
            "results": Path(layout.results).name,
            "links": _links(layout, page),
            "version": __version__,
            "side": SIDE,
            "headline": headline(facts),
            "numbers": _numbers(facts),
            "no_interval": headlines.no_interval(facts["evaluation"]["metrics"]),
            "cards": headlines.cards(facts["evaluation"]["metrics"], facts["corpus"]["splits"]["test"]),
            "answer": headlines.uses_video(facts["evaluation"]["metrics"], facts["corpus"]["splits"]["test"]),
            "codebook": _codebook(facts["codebook"]),
            "used": _used(facts["codebook"]),
            "collapse": collapse(facts["codebook"]),
            "guessed": any(example["guesses"] for example in facts["examples"]),
            "true_known": any(truth for example in facts["examples"] for _, truth, _ in example["guesses"]),
            "plots": _plots(facts),
        }
    )


def _links(layout: Layout, page: Path) -> list[tuple[str, str]]:
    """(name, place relative to the page) of what lies beside it and is there."""
    places = {
        "the model": layout.model.folder,
        "its card": layout.model.card,
        "all figures (JSON)": layout.metrics,
        "the ledgers (Parquet)": f"{layout.results}/ledger",
    }
    return [
        (name, quote(os.path.relpath(place, page.parent))) for name, place in places.items() if Path(place).exists()
    ]


def headline(facts: dict[str, Any]) -> str:
    """What was trained, in one sentence."""
    model, corpus = facts["model"], facts["corpus"]
    what = f"A {model['layers']}-layer VideoBERT" if model["layers"] else "A VideoBERT"
    time = f" ({duration(corpus['trained_seconds'])} of video)" if corpus["trained_seconds"] else ""
    return f"{what}, pretrained on {number(corpus['trained_on'])} videos{time}"


def _numbers(facts: dict[str, Any]) -> list[tuple[str, str]]:
    model, corpus = facts["model"], facts["corpus"]
    splits = [f"{number(count)} {split}" for split, count in corpus["splits"].items() if count]
    every = [
        (f"videos ({', '.join(splits)})", corpus["videos"]),
        ("sentences heard", corpus["sentences"]),
        ("clips", corpus["clips"]),
        (_visual_words(facts["codebook"]), facts["codebook"].get("words")),
        ("word pieces", model["words"]),
        ("parameters", model["parameters"]),
        (f"steps of {number(model['batch'])} sequences" if model["batch"] else "steps", model["steps"]),
    ]
    return [(name, number(value)) for name, value in every if value is not None]


def _visual_words(statistics: dict[str, Any]) -> str:
    """How many live stands beside them where not all do; how many are used, where there are far more than clips."""
    if "levels" in statistics:
        return f"visual words ({number(statistics['used_words'])} used)"
    living = statistics.get("living_words", statistics.get("words"))
    return "visual words" if living == statistics.get("words") else f"visual words ({number(living)} live)"


def _codebook(statistics: dict[str, Any]) -> list[tuple[str, str]]:
    if not statistics:
        return []
    errors, levels = statistics.get("quantisation_error", {}), statistics.get("levels", [])
    return [
        ("words", number(statistics["words"])),
        ("living", number(statistics.get("living_words"))),
        ("used by train clips", number(statistics["used_words"])),
        ("perplexity of use", f"{statistics['perplexity']:.0f}"),
        *[
            (f"error, {split} (share of the variance)", percent(share))
            for split, share in sorted(errors.items(), reverse=True)
        ],
        *[
            (
                f"perplexity of level {number_} ({level['used']} of {len(level['counts'])} used)",
                f"{level['perplexity']:.0f}",
            )
            for number_, level in enumerate(levels, 1)
        ],
        *[
            (f"error after level {number_}, train", percent(level["quantisation_error"]["train"]))
            for number_, level in enumerate(levels[:-1], 1)
        ],
    ]


def _plots(facts: dict[str, Any]) -> dict[str, Any]:
    """The plots by name; None where there is nothing to draw."""
    import matplotlib

    with matplotlib.rc_context(STYLE):
        return {
            "curve": _curve_plot(facts["curve"], facts["validation"]),
            "use": _use_plot(facts["codebook"]),
        }


def _curve_plot(curve: list[dict[str, Any]], validation: dict[str, Any]) -> "Markup | None":
    """The loss of each objective; dotted, that of the validation videos, where some were measured."""
    names = ("text", "video", "text_video", "alignment", "contrastive", "regression")
    colours = dict(zip(names, (BLUE, ORANGE, GREEN, PURPLE, GREY, GOLD), strict=True))
    axes = axes_of(2.9)
    for name, colour in colours.items():
        points = [(entry["step"], entry[f"{name}_loss"]) for entry in curve if f"{name}_loss" in entry]
        if points:
            mark = "o" if len(points) == 1 else None  # a point alone draws no line
            axes.plot(*zip(*points), color=colour, marker=mark, label=name.replace("_", "-"))
        held_out = [
            (entry["step"], entry[f"{name}_loss"]) for entry in validation.get("curve", []) if f"{name}_loss" in entry
        ]
        if held_out:
            axes.plot(*zip(*held_out), color=colour, linestyle=":", marker=".")
    if not axes.lines:
        return None
    if validation:
        axes.axvline(validation["best"]["step"], color=GREY, linestyle="--", linewidth=1)
    axes.set(xlabel="step", ylabel="loss", ylim=(0, None))
    return svg(axes, "Training loss of each objective")


def _used(statistics: dict[str, Any]) -> str:
    """What the plot of the use counts the clips of."""
    return "centroid of a level" if "levels" in statistics else "visual word"


def _use_plot(statistics: dict[str, Any]) -> "Markup | None":
    """How evenly the visual words are used, or the centroids of each level of a residual codebook."""
    from matplotlib.ticker import MaxNLocator

    levels = [level["counts"] for level in statistics.get("levels", [])]
    counts = levels[0] if levels else statistics.get("counts", [])
    if not sum(counts):
        return None
    axes = axes_of(1.9)
    axes.stairs(
        sorted(counts, reverse=True),
        range(1, len(counts) + 2),
        fill=True,
        color=BLUE,
        label="level 1" if levels else None,
    )
    for level, lower in enumerate(levels[1:], 2):
        colour = (ORANGE, GREEN, PURPLE)[(level - 2) % 3]
        axes.stairs(sorted(lower, reverse=True), range(1, len(lower) + 2), color=colour, label=f"level {level}")
    axes.axhline(sum(counts) / len(counts), color=GREY, linestyle="--", linewidth=1)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    what = _used(statistics)
    axes.set(xlabel=f"{what}, by use", ylabel="train clips", xlim=(1, len(counts) + 1))
    if levels:
        axes.legend()
    return svg(axes, f"Train clips of each {what}, most used first")


def summarise(facts: dict[str, Any], layout: Layout, page: Path) -> str:
    """The gist for the terminal."""
    from textwrap import wrap

    lines = [
        headline(facts),
        "  " + ", ".join(f"{value} {name}" for name, value in _numbers(facts)[1:]),
        "",
        "videos      " + " -> ".join(f"{step['label']} {number(step['ok'])}" for step in facts["funnel"]),
    ]
    for step in facts["funnel"]:
        if step["kept"]:
            words = ", ".join(f"{number(count)} {word}" for word, count in step["kept"])
            lines.append(f"  {step['stage']:<12}{words} (not lost)")
        if step["lost"]:
            statuses = ", ".join(f"{count} {status}" for status, count in step["statuses"])
            lines.append(f"  {step['stage']:<12}{number(step['lost'])} lost: {statuses}")
            if any(status == Status.FAILED for _, status in step["statuses"]):
                lines.append(
                    f"  {'':<12}failed: nobody foresaw why; videobert retry {layout.results} failed, and run again"
                )
    for warning in (facts["corpus"]["notice"], collapse(facts["codebook"])):
        if warning:
            lines += wrap(f"warning     {warning}", width=100, subsequent_indent=" " * 12)
    lines.append("")
    lines += [
        *wrap(
            f"{'use of video':<14}{headlines.uses_video(facts['evaluation']['metrics'], facts['corpus']['splits']['test'])}",
            width=100,
            subsequent_indent=" " * 12,
        ),
        *headlines.summarise(facts["evaluation"]["metrics"]),
        *wrap(
            "job time    " + ", ".join(f"{cost['stage']} {duration(cost['seconds'])}" for cost in facts["costs"]),
            width=100,
            subsequent_indent=" " * 12,
        ),
        "",
        f"the report  {page}    (open it in a browser)",
        f"the model   {layout.model.folder}",
        f"the figures {layout.metrics}",
    ]
    return "\n".join(lines).replace(SPACE, " ") + "\n"
