"""The report's forecasts: tables, the plot over the distance, and examples as pictures."""

from typing import TYPE_CHECKING, Any

from videobert.report.labels import FORECASTERS, WRITERS
from videobert.report.parts import Films, axes_of, evenly, moments, percent, svg, table

if TYPE_CHECKING:
    from markupsafe import Markup

FORECASTS_SHOWN = 3  # of each kind


CLIPS_SHOWN = 4  # of an example of a forecast: before, forecast, and after


def forecasting_section(
    figures: dict[str, Any] | None, details: dict[str, Any], films: Films, examples: int
) -> dict[str, Any] | None:
    """The words to come and those of a sentence, against what needs no model, and examples as pictures."""
    if not figures or "skipped" in figures:
        return figures
    columns = {"top1": "top-1", "top5": "top-5"}
    tables = []
    for key, name, rows in (
        ("next", "The next clip", {row: words for row, (words, _) in FORECASTERS.items()}),
        ("of_text", "The clips of a sentence", WRITERS),
    ):
        part = figures.get(key, {})
        if "skipped" in part:
            tables.append({"name": name, "skipped": part["skipped"]})
        elif part:
            rows_of_table = [
                (words, part[row], "strong" if row == "videobert" else "") for row, words in rows.items() if row in part
            ]
            tables.append({"name": name, "count": part["videobert"]["count"], **table(rows_of_table, columns)})
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


def _distance_plot(figures: dict[str, Any]) -> "Markup | None":
    """How accuracy falls with the distance, for the model and what needs no model; None for a distance of one clip, and
    where all are right, as the first five of five visual words are."""
    curves = [
        (name, [100 * value for value in figures[key]["top5_by_distance"]], colour)
        for key, (name, colour) in FORECASTERS.items()
        if "top5_by_distance" in figures.get(key, {})
    ]
    if not curves or len(curves[0][1]) < 2 or all(min(heights) == 100 for _, heights, _ in curves):
        return None
    axes = axes_of(2.3)
    for name, heights, colour in curves:
        axes.plot(range(1, len(heights) + 1), heights, color=colour, marker="o", markersize=3, label=name)
    axes.set_xticks(range(1, len(curves[0][1]) + 1))
    axes.set(xlabel="clips ahead", ylabel="top-5, %", ylim=(0, None))
    return svg(axes, "Accuracy of the forecast by distance", columns=2)


def _next_examples(examples: list[dict[str, Any]], films: Films) -> list[dict[str, Any]]:
    """The last clips seen; for each to come the best word's nearest clip; and what came."""
    rows = []
    for example in examples:
        video, seen = example["video_id"], example["clips"][-CLIPS_SHOWN:]
        truth = example["truth"][:CLIPS_SHOWN]
        best = [ranked[0] for ranked in example["predicted"][: len(truth)]]
        rows.append(
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
    return _with_pictures(rows, films)


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
    return f"{'✓ same visual word, ' if right else ''}{percent(share, 0)}"


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
