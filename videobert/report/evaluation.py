"""The sections of the report that show what the evaluation measured: tables with intervals, examples, plots, and lines.

A section is left out when its task was not run; when the task could not measure, its reason stands there. metrics.json
says what was measured last, and a task's details (templates, captions, forecasts) are shown only when they are those of its
figures: the file of an earlier run may still lie beside it. The functions stand in the order of the page.
"""

from pathlib import Path
from typing import Any

from videobert.report.parts import (
    BLUE,
    GOLD,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    SPACE,
    STYLE,
    Films,
    axes_of,
    cell,
    evenly,
    moments,
    number,
    optional_json,
    percent,
    svg,
    table,
)

TASKS = (
    "objectives",
    "zero_shot",
    "probe",
    "retrieval",
    "captioning",
    "forecasting",
    "scaling",
)  # each measures, evaluate merges
CAPTIONS_SHOWN = 4
FORECASTS_SHOWN = 3  # of each kind
CLIPS_SHOWN = 4  # of an example of a forecast: before, forecast, and after

ACCURACIES = {
    "verb_top1": "verb top-1",
    "verb_top5": "verb top-5",
    "object_top1": "object top-1",
    "object_top5": "object top-5",
}
CONDITIONS = {  # rows of zero-shot classification, with their colours in the plot
    "chance": ("chance", GREY),
    "bert": ("BERT that saw no video", GOLD),
    "language_prior": ("language prior: no video", ORANGE),
    "shuffled_video": ("shuffled: another video", PURPLE),
    "cross_modal": ("cross-modal", BLUE),
    "s3d_supervised": ("S3D, trained for it", GREEN),
}
# Sun et al. 2019, table 1.
PAPER_ZERO_SHOT = {
    "S3D (supervised)": (0.161, 0.469, 0.132, 0.309),
    "BERT (language prior)": (0.0, 0.0, 0.0, 0.0),
    "VideoBERT (language prior)": (0.004, 0.069, 0.077, 0.153),
    "VideoBERT (cross-modal)": (0.032, 0.433, 0.131, 0.337),
}
PROBES = {
    "chance": "chance",
    "most_frequent": "always the most frequent",
    "visual_words": "visual words, counted",
    "random_weights": "the encoder, untrained",
    "s3d": "S3D's features",
    "videobert_cls": "VideoBERT, [CLS]",
    "videobert_mean": "VideoBERT, mean of clips",
}
RANKS = {"r1": "R@1", "r5": "R@5", "r10": "R@10", "median_rank": "median rank"}
SEARCHES = {
    "chance": "chance",
    "shuffled": "query of another video",
    "first_stage": "first stage: vectors",
    "cross_encoder": "second: alignment head",
}
CAPTION_SCORES = {"bleu3": "BLEU-3", "bleu4": "BLEU-4", "meteor": "METEOR", "rouge_l": "ROUGE-L", "cider": "CIDEr"}
CAPTIONERS = {
    "no_video": "no video",
    "s3d": "S3D",
    "videobert_video_only": "VideoBERT, without the template",
    "videobert": "VideoBERT",
    "videobert_s3d": "VideoBERT + S3D",
}
# Sun et al. 2019, table 3: BLEU, METEOR and ROUGE-L in percent there, shares of one here.
PAPER_CAPTIONING = {
    "Zhou et al. 2018": (0.0753, 0.0384, 0.1155, 0.2744, 0.38),
    "S3D": (0.0612, 0.0324, 0.0952, 0.2609, 0.31),
    "VideoBERT": (0.0680, 0.0404, 0.1101, 0.2750, 0.49),
    "VideoBERT + S3D": (0.0759, 0.0433, 0.1194, 0.2880, 0.55),
}
FORETELLERS = {
    "chance": ("chance", GREY),
    "most_frequent": ("most frequent word", GOLD),
    "repeat_last": ("the last word again", ORANGE),
    "bigram": ("what most often followed it", PURPLE),
    "videobert": ("VideoBERT", BLUE),
}
# Sun et al. 2019, table 2.
PAPER_SCALING = {
    "10,000 videos": {"verb_top5": 0.155, "object_top5": 0.178},
    "50,000 videos": {"verb_top5": 0.157, "object_top5": 0.273},
    "100,000 videos": {"verb_top5": 0.245, "object_top5": 0.306},
    "300,000 videos": {"verb_top5": 0.433, "object_top5": 0.337},
}
WRITERS = {
    "chance": "chance",
    "most_frequent": "most frequent word",
    "no_text": "masks alone",
    "shuffled_text": "sentence of another video",
    "videobert": "VideoBERT",
}


def measured(results: Path) -> list[str]:
    """The tasks that metrics.json is of."""
    protocol = optional_json(results / "evaluate" / "metrics.json").get("protocol", {})
    return [task for task in TASKS if task in protocol]


def gather(results: Path, shard_of: dict[str, str], titles: dict[str, str], examples: int) -> dict[str, Any]:
    """What the sections say, by task; None for a task that was not run.

    Args:
        results: the results folder.
        shard_of: the shard of each video.
        titles: what the platforms call the videos.
        examples: how many examples of each kind, at most; the tasks have bounds of their own.
    """
    import matplotlib

    metrics = optional_json(results / "evaluate" / "metrics.json")
    details = {task: _details(results, metrics, task) for task in TASKS}
    films = Films(results, shard_of, titles)
    with matplotlib.rc_context(STYLE):
        return {
            "metrics": metrics,
            "predictions": details["zero_shot"].get("predictions", []),
            "zero_shot": _zero_shot(metrics.get("zero_shot"), details["zero_shot"]),
            "objectives": _objectives(metrics),
            "probe": _probe(metrics.get("probe"), details["probe"]),
            "retrieval": _retrieval(metrics.get("retrieval")),
            "captioning": _captioning(metrics.get("captioning"), details["captioning"], films, examples),
            "forecasting": _forecasting(metrics.get("forecasting"), details["forecasting"], films, examples),
            "scaling": _scaling(metrics.get("scaling"), details["scaling"]),
        }


def _details(results: Path, metrics: dict[str, Any], task: str) -> dict[str, Any]:
    """A task's file, if metrics.json holds its figures; else nothing."""
    details = optional_json(results / "evaluate" / f"{task}.json")
    summary = details.get("summary", {})
    return details if summary and all(metrics.get(name) == figures for name, figures in summary.items()) else {}


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
    said = [f"{words} {form(figures[control][key])}" for words, control in controls.items() if control in figures]
    value = cell(figures[row], key, form)
    return {"name": name, "value": value["text"], "beneath": value["beneath"], "text": ", ".join(said)}


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


def score(value: float | None) -> str:
    """A score that is no share: 0.123 -> 0.12."""
    return "–" if value is None else f"{value:.2f}"


def hundredth(value: float | None) -> str:
    """A share as papers on captions write it: 0.0753 -> 7.53."""
    return "–" if value is None else f"{100 * value:.2f}"


def rank(value: float | None) -> str:
    return "–" if value is None else f"{value:,.1f}".removesuffix(".0")


# Zero-shot classification ---------------------------------------------------------------------------------------------


def _zero_shot(figures: dict[str, Any] | None, details: dict[str, Any]) -> dict[str, Any] | None:
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
        for part, name in (("seen", "verb and object together"), ("held_out", "never together"))
        for row in ("cross_modal", "s3d_supervised")
    }
    rows = [(f"{name} ({figures[key]['count']:,})", figures[key], "") for key, name in parts.items() if key in figures]
    if rows:
        tables.append({"name": "By what training showed", **table(rows, ACCURACIES)})
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


def _zero_shot_plot(figures: dict[str, Any]) -> Any:
    rows = [(name, figures[key], colour) for key, (name, colour) in CONDITIONS.items() if key in figures]
    axes = axes_of(2.9)
    _bars(axes, rows, ACCURACIES)
    return svg(axes, "Zero-shot accuracies of the model and its controls", columns=3)


def _bars(axes: Any, rows: list[tuple[str, dict[str, Any], str]], columns: dict[str, str]) -> None:
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


def _probe(figures: dict[str, Any] | None, details: dict[str, Any]) -> dict[str, Any] | None:
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
        "plot": svg(axes, "Accuracies of the linear probes", columns=2),
    }


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
    return {"tables": tables, "candidates": max(candidates, default=None)}


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


# Forecasting ----------------------------------------------------------------------------------------------------------


def _forecasting(
    figures: dict[str, Any] | None, details: dict[str, Any], films: Films, examples: int
) -> dict[str, Any] | None:
    """The words to come and those of a sentence, against what needs no model, and examples as pictures."""
    if not figures or "skipped" in figures:
        return figures
    columns = {"top1": "top-1", "top5": "top-5"}
    tables = []
    for key, name, rows in (
        ("next", "The next clip", {row: words for row, (words, _) in FORETELLERS.items()}),
        ("of_text", "The clips of a sentence", WRITERS),
    ):
        part = figures.get(key, {})
        if "skipped" in part:
            tables.append({"name": name, "skipped": part["skipped"]})
        elif part:
            shown = [
                (words, part[row], "strong" if row == "videobert" else "") for row, words in rows.items() if row in part
            ]
            tables.append({"name": name, "count": part["videobert"]["count"], **table(shown, columns)})
    found = details.get("examples", {})
    most = min(FORECASTS_SHOWN, examples)
    # Where the same word goes on, there is nothing to see.
    turns = [example for example in found.get("next", []) if example["truth"][0] != example["words"][-1]]
    nexts, texts = evenly(turns, most), evenly(found.get("of_text", []), most)
    return {
        "tables": tables,
        "plot": _distance_plot(figures.get("next", {})),
        "next": _next_examples(nexts, films),
        "of_text": _text_examples(texts, films),
    }


def _distance_plot(figures: dict[str, Any]) -> Any:
    """How accuracy falls with the distance, for the model and what needs no model; None for a distance of one clip."""
    curves = [
        (name, [100 * value for value in figures[key]["top5_by_distance"]], colour)
        for key, (name, colour) in FORETELLERS.items()
        if "top5_by_distance" in figures.get(key, {})
    ]
    if not curves or len(curves[0][1]) < 2:
        return None
    axes = axes_of(2.3)
    for name, heights, colour in curves:
        axes.plot(range(1, len(heights) + 1), heights, color=colour, marker="o", markersize=3, label=name)
    axes.set_xticks(range(1, len(curves[0][1]) + 1))
    axes.set(xlabel="clips ahead", ylabel="top-5, %", ylim=(0, None))
    return svg(axes, "Accuracy of the forecast by distance", columns=2)


def _next_examples(examples: list[dict[str, Any]], films: Films) -> list[dict[str, Any]]:
    """The last clips seen; for each to come the best word's nearest clip; and what came."""
    shown = []
    for example in examples:
        video, seen = example["video_id"], example["clips"][-CLIPS_SHOWN:]
        truth = example["truth"][:CLIPS_SHOWN]
        best = [ranked[0] for ranked in example["predicted"][: len(truth)]]
        shown.append(
            {
                "video_id": video,
                "sentence": "",
                "rows": [
                    ("the last clips seen", [("clip", (video, clip), "") for clip in seen]),
                    (
                        "the model's forecast",
                        [("word", word, _mark(word == came, share)) for (word, share), came in zip(best, truth)],
                    ),
                    ("what came", [("clip", (video, seen[-1] + 1 + ahead), "") for ahead in range(len(truth))]),
                ],
            }
        )
    return _with_pictures(shown, films)


def _text_examples(examples: list[dict[str, Any]], films: Films) -> list[dict[str, Any]]:
    """A sentence; the nearest clips of the words that the model expects of it, best first; and what was shown."""
    return _with_pictures(
        [
            {
                "video_id": example["video_id"],
                "sentence": example["text"],
                "rows": [
                    (
                        "the model's forecast, best first",
                        [
                            ("word", word, _mark(word in example["truth"], share))
                            for word, share in example["predicted"][:CLIPS_SHOWN]
                        ],
                    ),
                    (
                        "what was shown",
                        [("clip", (example["video_id"], clip), "") for clip in example["clips"][:CLIPS_SHOWN]],
                    ),
                ],
            }
            for example in examples
        ],
        films,
    )


def _mark(right: bool, share: float) -> str:
    return f"{'✓ ' if right else ''}{percent(share, 0)}"


def _with_pictures(examples: list[dict[str, Any]], films: Films) -> list[dict[str, Any]]:
    """Puts a picture, the middle of the clip, in the place of each clip and of each visual word."""
    tiles = [tile for example in examples for _, row in example["rows"] for tile in row]
    of_words = films.of_words({what for kind, what, _ in tiles if kind == "word"})
    clips = {tile: of_words.get(tile[1]) if tile[0] == "word" else tile[1] for tile in tiles}
    times = films.times(clip for clip in clips.values() if clip)

    def picture(tile: tuple[str, Any, str]) -> dict[str, Any]:
        clip = clips[tile]
        source = films.at(clip[0], moments(*times[clip], 1)) if clip in times else None
        word = f"visual word {tile[1]}" if tile[0] == "word" else ""
        return {"picture": source, "word": word, "mark": tile[2]}

    return [
        {
            "title": films.title(example["video_id"]),
            "sentence": example["sentence"],
            "rows": [(name, [picture(tile) for tile in row]) for name, row in example["rows"]],
        }
        for example in examples
    ]


# Scaling --------------------------------------------------------------------------------------------------------------


def _scaling(figures: dict[str, Any] | None, details: dict[str, Any]) -> dict[str, Any] | None:
    """Table 2: zero-shot accuracies by the number of train videos, with and without the video, and as a plot."""
    if not figures or "skipped" in figures:
        return figures
    tables = []
    for key, kind in (("cross_modal", "strong"), ("language_prior", "")):
        rows = [("chance", figures["chance"], "")] + [
            (f"{number(row['videos'])}{SPACE}videos", row, kind) for row in _by_share(figures[key])
        ]
        shown = table(rows, ACCURACIES)
        for line, (_, row, _) in zip(shown["rows"], rows):
            for name, written in zip(ACCURACIES, line["cells"]):
                if f"{name}_spread" in row:
                    written["beneath"] += f" ± {100 * row[f'{name}_spread']:.1f}"
        tables.append({"name": CONDITIONS[key][0].capitalize(), **shown})
    columns = {key: ACCURACIES[key] for key in ("verb_top5", "object_top5")}
    largest = _by_share(figures["cross_modal"])[-1]
    return {
        "segments": largest["count"],
        "seeds": len(details.get("provenance", {}).get("settings", {}).get("seeds", [])),
        "tables": tables,
        "paper": table([(name, row, "other") for name, row in PAPER_SCALING.items()], columns),
        "plot": _scaling_plot(_by_share(figures["cross_modal"])),
    }


def _by_share(rows: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows of the shares, smallest first."""
    return [rows[share] for share in sorted(rows, key=float)]


def _scaling_plot(rows: list[dict[str, Any]]) -> Any:
    """The cross-modal accuracies over the number of train videos, with intervals; None for one share."""
    if len(rows) < 2:
        return None
    videos = [row["videos"] for row in rows]
    axes = axes_of(2.9)
    for key, name in ACCURACIES.items():
        heights = [100 * row[key] for row in rows]
        bounds = [[100 * bound for bound in row[f"{key}_interval"]] for row in rows]
        whiskers = [
            [max(0.0, height - low) for height, (low, _) in zip(heights, bounds)],
            [max(0.0, high - height) for height, (_, high) in zip(heights, bounds)],
        ]
        line = {"color": BLUE if key.startswith("verb") else ORANGE, "linestyle": "--" if key.endswith("5") else "-"}
        axes.errorbar(
            videos, heights, whiskers, label=name, marker="o", markersize=3, elinewidth=0.8, capsize=2, **line
        )
    axes.set_xscale("log")
    axes.set_xticks(videos, [number(count) for count in videos])
    axes.minorticks_off()
    axes.set(xlabel="train videos", ylabel="%", ylim=(0, None))
    return svg(axes, "Zero-shot accuracies by the number of train videos", columns=4)


# The terminal ---------------------------------------------------------------------------------------------------------


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
    ]
    return [line for line in lines if line] or ["evaluation  nothing was measured"]


def _scaling_line(figures: dict[str, Any] | None) -> str:
    """What the smallest and the largest share of the videos give."""
    if not figures:
        return ""
    if "skipped" in figures:
        return f"{'scaling':<12}not measured: {figures['skipped']}"
    rows = _by_share(figures["cross_modal"])
    said = [
        f"{percent(row['verb_top1'])}/{percent(row['object_top1'])} of {number(row['videos'])} videos"
        for row in (rows if len(rows) == 1 else (rows[0], rows[-1]))
    ]
    return f"{'scaling':<12}top-1 verb/object {', '.join(said)}"


def _line(
    label: str,
    figures: dict[str, Any] | None,
    row: str,
    columns: dict[str, str],
    controls: dict[str, str],
    form: Any = percent,
) -> str:
    if not figures:
        return ""
    if "skipped" in figures:
        return f"{label:<12}not measured: {figures['skipped']}"
    said = {name: "/".join(form(figures[name].get(key)) for key in columns) for name in figures}
    against = ", ".join(f"{words} {said[name]}" for words, name in controls.items() if name in said)
    return f"{label:<12}{'/'.join(columns.values())} {said[row]} ({against})"
