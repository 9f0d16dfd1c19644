"""What the report's sections are made of: files that may be missing, numbers as words, tables, pictures and plots."""

import math
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from videobert.data.provenance import read_json, read_table
from videobert.errors import VideoError
from videobert.layout import Layout
from videobert.media.decoding import pictures_at

if TYPE_CHECKING:
    import pyarrow as pa
    from markupsafe import Markup
    from matplotlib.axes import Axes
    from matplotlib.typing import RcKeyType

SIDE = 96  # pixels of a picture
SPACE = "\u00a0"  # keeps a number and its unit on one line
GREY, BLUE, ORANGE, GREEN, PURPLE, GOLD = "#8a8f98", "#3f83d1", "#dd7f2b", "#3d9d6b", "#9a6bc4", "#b59a2c"


# Files ----------------------------------------------------------------------------------------------------------------


def optional_table(path: str, columns: list[str] | None = None) -> "pa.Table | None":
    return read_table(Path(path), columns) if Path(path).exists() else None


def optional_json(path: str) -> dict[str, Any]:
    return read_json(Path(path)) if Path(path).exists() else {}


# Numbers and tables ---------------------------------------------------------------------------------------------------


def number(value: float | None) -> str:
    """1234567 -> 1,234,567."""
    return "not measured" if value is None else f"{value:,}"


def percent(value: float | None, digits: int = 1) -> str:
    """0.1234 -> 12.3 %."""
    return "–" if value is None else f"{100 * value:.{digits}f}{SPACE}%"


def duration(seconds: float | None) -> str:
    """In one or two units: 7.2 s, 3 min 20 s, 2 h 5 min, 966 h."""
    if seconds is None:
        return "–"
    if seconds < 59.5:
        return f"{seconds:.1f}{SPACE}s" if seconds < 9.95 else f"{seconds:.0f}{SPACE}s"
    if seconds < 3599.5:
        return f"{round(seconds) // 60}{SPACE}min{SPACE}{round(seconds) % 60}{SPACE}s"
    minutes = round(seconds / 60)
    return (
        f"{minutes // 60}{SPACE}h{SPACE}{minutes % 60}{SPACE}min" if minutes < 6000 else f"{minutes / 60:,.0f}{SPACE}h"
    )


def size(count: float | None) -> str:
    """Bytes: 12.3 MB."""
    if count is None:
        return "–"
    units = ["B", "kB", "MB", "GB", "TB"]
    place = min(len(units) - 1, int(math.log10(max(count, 1))) // 3)
    scaled = count / 1000**place
    return f"{scaled:.{int(place > 0 and scaled < 100)}f}{SPACE}{units[place]}"


def clock(seconds: float) -> str:
    """Seconds of a video: 1:02.5."""
    tenths = round(10 * seconds)
    return f"{tenths // 600}:{tenths % 600 / 10:04.1f}"


def table(
    rows: list[tuple[str, dict[str, Any], str]],
    columns: dict[str, str],
    forms: Mapping[str, Callable[[float | None], str]] | None = None,
) -> dict[str, Any]:
    """A table of figures, each with its 95 % interval beneath it where it has one.

    Args:
        rows: (name, figures, kind) of each: the kind is "strong" for the model's own, "other" for another corpus'.
        columns: heads by the key of the figure.
        forms: how figures of these columns are written; others are percentages.
    """
    forms = forms or {}
    return {
        "heads": list(columns.values()),
        "rows": [
            {"name": name, "kind": kind, "cells": [cell(figures, key, forms.get(key, percent)) for key in columns]}
            for name, figures, kind in rows
        ],
    }


def cell(figures: dict[str, Any], key: str, form: Callable[[float | None], str] = percent) -> dict[str, str]:
    """A figure as text, and its interval."""
    bounds = [form(bound).removesuffix(f"{SPACE}%") for bound in figures.get(f"{key}_interval", [])]
    return {"text": form(figures.get(key)), "beneath": "–".join(bounds)}


# Pictures -------------------------------------------------------------------------------------------------------------


def moments(start: float, end: float, number: int) -> list[float]:
    """The middles of `number` equal parts of the time from start to end."""
    return [start + (end - start) * (place + 0.5) / number for place in range(number)]


def evenly(steps: list[dict[str, Any]], most: int) -> list[dict[str, Any]]:
    return [steps[round(place)] for place in moments(-0.5, len(steps) - 0.5, min(most, len(steps)))]


def strip(video: str, seconds: list[float], side: int = SIDE) -> str | None:
    """The frames at these seconds side by side, a JPEG as data URI; None when the video is not there or not readable."""
    import base64
    import io

    from PIL import Image

    try:
        frames = pictures_at(video, seconds)
    except VideoError:
        return None
    sheet = Image.new("RGB", (side * len(frames), side))
    for place, frame in enumerate(frames):
        sheet.paste(frame.resize((side, side), Image.Resampling.LANCZOS), (place * side, 0))
    file = io.BytesIO()
    sheet.save(file, "JPEG", quality=70, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()


class Films:
    """Pictures of clips of the videos, by clip or by visual word."""

    def __init__(self, layout: Layout, shard_of: dict[str, str], titles: dict[str, str]):
        self.layout, self.shard_of, self.titles = layout, shard_of, titles

    def title(self, video_id: str) -> str:
        return self.titles.get(video_id) or video_id

    def step(self, step: dict[str, Any]) -> str | None:
        """Four moments of a step."""
        return self.at(step["video_id"], moments(step["start"], step["end"], 4))

    def at(self, video_id: str, seconds: list[float]) -> str | None:
        return strip(self.layout.frames_video(self.shard_of.get(video_id, ""), video_id), seconds)

    def times(self, wanted: Iterable[tuple[str, int]]) -> dict[tuple[str, int], tuple[float, float]]:
        """The times (seconds) of clips, each (video_id, number); those that are not there are left out."""
        wanted = set(wanted)
        found = {}
        for shard in sorted({self.shard_of[video] for video, _ in wanted if video in self.shard_of}):
            clips = optional_table(self.layout.table("features", shard), ["video_id", "clip", "start", "end"])
            for row in [] if clips is None else clips.to_pylist():
                if (row["video_id"], row["clip"]) in wanted:
                    found[row["video_id"], row["clip"]] = (row["start"], row["end"])
        return found

    def of_words(self, words: set[int]) -> dict[int, tuple[str, int]]:
        """A train clip of each visual word, (video_id, number): the nearest to its centroid where the atlas has the
        word, which it has for those used most, else the first in the train videos."""
        atlas = optional_table(self.layout.atlas)
        rows = [] if atlas is None else atlas.to_pylist()
        found = {
            row["word"]: (row["video_id"], row["clip"]) for row in rows if row["rank"] == 0 and row["word"] in words
        }
        for shard in sorted(set(self.shard_of.values())):
            if not words - found.keys():
                break
            tokens = optional_table(self.layout.table("tokens", shard), ["video_id", "split", "video_ids", "clips"])
            for row in [] if tokens is None else tokens.to_pylist():
                if row["split"] == "train":
                    for word, clip in zip(row["video_ids"], row["clips"]):
                        if word in words:
                            found.setdefault(word, (row["video_id"], clip))
        return found


# Plots ----------------------------------------------------------------------------------------------------------------

# Stands for the page's own ink in a plot, which is dark by day and light by night.
INK = "#010203"
STYLE: "dict[RcKeyType, Any]" = {
    "font.size": 8,
    "lines.linewidth": 1.6,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "svg.fonttype": "none",  # text stays text
    **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), INK),
}


def axes_of(height: float) -> "Axes":
    """Axes of a plot as wide as a phone: on a larger screen it grows."""
    from matplotlib.figure import Figure

    axes = Figure(figsize=(5.4, height), layout="constrained").subplots()
    axes.patch.set_alpha(0)
    axes.figure.patch.set_alpha(0)
    axes.grid(axis="y", color=GREY, alpha=0.25, linewidth=0.6)
    axes.set_axisbelow(True)
    return axes


def svg(axes: "Axes", label: str, columns: int | None = None) -> "Markup":
    """The figure as inline SVG in the page's ink and type; the same bytes for the same figure.

    Args:
        label: what it shows, in words.
        columns: of the legend; all entries side by side if None.
    """
    import io

    import matplotlib
    from markupsafe import Markup
    from matplotlib.figure import Figure

    if names := axes.get_legend_handles_labels()[1]:
        axes.legend(
            ncols=columns or len(names),
            columnspacing=1.3,
            handlelength=1.2,
            loc="lower left",
            bbox_to_anchor=(0, 1),
            borderaxespad=0.2,
        )
    figure, file = axes.figure, io.StringIO()
    assert isinstance(figure, Figure)  # of `axes_of`
    with matplotlib.rc_context({"svg.hashsalt": label}):  # ids neither drawn at random nor those of another plot
        figure.savefig(file, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    drawing = file.getvalue()
    drawing = drawing[drawing.index("<svg") :].replace(INK, "currentColor")
    # Names that nothing refers to (and that two plots would share), the XML that HTML does without, the fixed size.
    drawing = re.sub(r' xmlns(?::xlink)?="[^"]*"| id="[a-zA-Z_0-9.]*_[0-9]+"', "", drawing)
    drawing = re.sub(r" font-family: [^;\"]*;?|<style.*?</style>", "", drawing, flags=re.DOTALL)
    drawing = re.sub(r'<svg width="[^"]*" height="[^"]*"', f'<svg role="img" aria-label="{label}"', drawing)
    return Markup(drawing)
