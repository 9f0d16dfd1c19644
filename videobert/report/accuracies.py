"""The report's accuracies: zero-shot classification, linear probes and scaling, as tables and plots."""

from typing import TYPE_CHECKING, Any

from videobert.report.labels import ACCURACIES, CONDITIONS, PAPER_SCALING, PAPER_ZERO_SHOT, PROBES
from videobert.report.parts import BLUE, GREEN, GREY, ORANGE, PURPLE, SPACE, axes_of, number, percent, svg, table

if TYPE_CHECKING:
    from markupsafe import Markup
    from matplotlib.axes import Axes


def zero_shot_section(figures: dict[str, Any] | None, details: dict[str, Any]) -> dict[str, Any] | None:
    """Table 1, the model's figures on pairs that training showed and on others, and how much the wording moves them."""
    if not figures or "skipped" in figures:
        return figures
    rows = [
        (name, figures[key], "strong" if key == "cross_modal" else "")
        for key, (name, _) in CONDITIONS.items()
        if key in figures
    ]
    tables = [{"name": "This model", **table(rows, ACCURACIES)}]
    parts = {
        f"{row}_{part}": f"{CONDITIONS[row][0]}: {name}"
        for part, name in (("seen", "pair in train steps"), ("held_out", "pair never in train steps"))
        for row in ("cross_modal", "s3d_supervised")
    }
    rows = [(f"{name} ({figures[key]['count']:,})", figures[key], "") for key, name in parts.items() if key in figures]
    if rows:
        tables.append({"name": "By whether train videos show the verb with the object", **table(rows, ACCURACIES)})
    wordings = [
        (CONDITIONS[key][0], figures[key]["templates"]) for key in CONDITIONS if "templates" in figures.get(key, {})
    ]
    if wordings:
        count = wordings[0][1]["count"]
        tables.append({"name": f"Over {count} templates: mean, and spread", **_spread_table(wordings)})
    paper = [(name, dict(zip(ACCURACIES, values)), "other") for name, values in PAPER_ZERO_SHOT.items()]
    return {
        "templates": details.get("provenance", {}).get("settings", {}).get("templates", []),
        "segments": figures["cross_modal"]["count"],
        "tables": tables,
        "paper": table(paper, ACCURACIES),
        "plot": _zero_shot_plot(figures),
    }


def _spread_table(wordings: list[tuple[str, dict[str, Any]]]) -> dict[str, Any]:
    """Mean of each figure over the templates, and beneath it the standard deviation, in points."""
    rows = [
        {
            "name": name,
            "kind": "",
            "cells": [
                {"text": percent(over["mean"][key]), "beneath": f"± {100 * over['spread'][key]:.1f}"}
                for key in ACCURACIES
            ],
        }
        for name, over in wordings
    ]
    return {"heads": list(ACCURACIES.values()), "rows": rows}


def _zero_shot_plot(figures: dict[str, Any]) -> "Markup":
    rows = [(name, figures[key], colour) for key, (name, colour) in CONDITIONS.items() if key in figures]
    axes = axes_of(2.9)
    _bars(axes, rows, ACCURACIES)
    return svg(axes, "Zero-shot accuracies of the model and its controls", columns=3)


def _bars(axes: "Axes", rows: list[tuple[str, dict[str, Any], str]], columns: dict[str, str]) -> None:
    """Groups of bars, one for each column, with their intervals as whiskers; figures in percent."""
    width = 0.84 / len(rows)
    for place, (name, figures, colour) in enumerate(rows):
        heights = [100 * (figures.get(key) or 0.0) for key in columns]
        places = [group - 0.42 + (place + 0.5) * width for group in range(len(columns))]
        bounds = [
            [100 * bound for bound in figures.get(f"{key}_interval", [height / 100] * 2)]
            for key, height in zip(columns, heights)
        ]
        whiskers = [
            [max(0.0, height - low) for height, (low, _) in zip(heights, bounds)],
            [max(0.0, high - height) for height, (_, high) in zip(heights, bounds)],
        ]
        style = {"ecolor": GREY, "elinewidth": 0.8}
        bars = axes.bar(places, heights, 0.94 * width, color=colour, label=name, yerr=whiskers, error_kw=style)
        axes.bar_label(bars, fmt="{:.0f}", fontsize=6, padding=1)
    axes.set_xticks(range(len(columns)), list(columns.values()))
    axes.tick_params(axis="x", length=0)
    axes.set(ylabel="%", ylim=(0, 108))


def probe_section(figures: dict[str, Any] | None, details: dict[str, Any]) -> dict[str, Any] | None:
    if not figures or "skipped" in figures:
        return figures
    rows = [
        (name, figures[key], "strong" if key.startswith("videobert") else "")
        for key, name in PROBES.items()
        if key in figures
    ]
    colours = {
        "most_frequent": GREY,
        "visual_words": ORANGE,
        "random_weights": PURPLE,
        "s3d": GREEN,
        "videobert_mean": BLUE,
    }
    columns = {"verb_top1": "verb top-1", "object_top1": "object top-1"}
    axes = axes_of(3.1)
    _bars(axes, [(PROBES[key], figures[key], colour) for key, colour in colours.items() if key in figures], columns)
    return {
        "table": table(rows, columns),
        "test_steps": figures["videobert_mean"]["count"],
        "train_steps": details.get("train_steps"),
        "kept": _kept(figures),
        "plot": svg(axes, "Accuracies of the linear probes", columns=2),
    }


def _kept(figures: dict[str, Any]) -> list[str]:
    """How much of S3D's accuracy the visual words keep, and how much the model's outputs; nothing where S3D finds nothing."""
    s3d = figures.get("s3d", {})
    lines = []
    for key in ("visual_words", "videobert_mean"):
        parts = {"verbs": "verb_top1", "objects": "object_top1"}
        if key in figures and all(s3d.get(figure) for figure in parts.values()):
            shares = (f"{percent(figures[key][figure] / s3d[figure], 0)} for {part}" for part, figure in parts.items())
            lines.append(f"{PROBES[key]} {' and '.join(shares)}")
    return lines


def scaling_section(figures: dict[str, Any] | None, details: dict[str, Any]) -> dict[str, Any] | None:
    """Table 2: zero-shot accuracies by the number of train videos, with and without the video, and as a plot."""
    if not figures or "skipped" in figures:
        return figures
    tables = []
    for key, kind in (("cross_modal", "strong"), ("language_prior", "")):
        rows = [("chance", figures["chance"], "")] + [
            (f"{number(row['videos'])}{SPACE}videos", row, kind) for row in by_share(figures[key])
        ]
        accuracies = table(rows, ACCURACIES)
        for line, (_, row, _) in zip(accuracies["rows"], rows):
            for name, written in zip(ACCURACIES, line["cells"]):
                if f"{name}_spread" in row:
                    written["beneath"] += f" ± {100 * row[f'{name}_spread']:.1f}"
        tables.append({"name": CONDITIONS[key][0].capitalize(), **accuracies})
    columns = {key: ACCURACIES[key] for key in ("verb_top5", "object_top5")}
    largest = by_share(figures["cross_modal"])[-1]
    return {
        "segments": largest["count"],
        "seeds": len(details.get("provenance", {}).get("settings", {}).get("seeds", [])),
        "tables": tables,
        "paper": table([(name, row, "other") for name, row in PAPER_SCALING.items()], columns),
        "plot": _scaling_plot(by_share(figures["cross_modal"])),
    }


def by_share(rows: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows of the shares, smallest first."""
    return [rows[share] for share in sorted(rows, key=float)]


def _scaling_plot(rows: list[dict[str, Any]]) -> "Markup | None":
    """The cross-modal accuracies over the number of train videos, with intervals; None for one share."""
    if len(rows) < 2:
        return None
    videos = [row["videos"] for row in rows]
    axes = axes_of(2.9)
    for key, name in ACCURACIES.items():
        heights = [100 * row[key] for row in rows]
        bounds = [[100 * bound for bound in row.get(f"{key}_interval", [row[key]] * 2)] for row in rows]
        whiskers = [
            [max(0.0, height - low) for height, (low, _) in zip(heights, bounds)],
            [max(0.0, high - height) for height, (_, high) in zip(heights, bounds)],
        ]
        axes.errorbar(
            videos,
            heights,
            whiskers,
            label=name,
            marker="o",
            markersize=3,
            elinewidth=0.8,
            capsize=2,
            color=BLUE if key.startswith("verb") else ORANGE,
            linestyle="--" if key.endswith("5") else "-",
        )
    axes.set_xscale("log")
    axes.set_xticks(videos, [number(count) for count in videos])
    axes.minorticks_off()
    axes.set(xlabel="train videos", ylabel="%", ylim=(0, None))
    return svg(axes, "Zero-shot accuracies by the number of train videos", columns=4)
