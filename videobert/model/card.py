"""The model card: what the model was trained on and what was measured, for people and for the model hub.

It lies in the model's folder, as README.md, where the hub and people look for it. Yet the figures come after the model: the
stage evaluate writes it, from metrics.json and the model's own files. Its last line of figures names the model by its hash,
and the stage pretrain takes the card of an earlier model away.
"""

from pathlib import Path
from typing import Any

from videobert.data.kitchen_notice import KNOWS, kitchen_notice
from videobert.data.provenance import atomic, read_json, sha256
from videobert.layout import ModelFolder


def write_card(model: ModelFolder, metrics: dict[str, Any], licenses: list[str], card: Path) -> None:
    """Writes the card.

    Args:
        model: the model's folder.
        metrics: the tasks' summaries, as in metrics.json.
        licenses: of the videos, as the list gives them.
        card: the file to write.

    Raises UserError when a file of the model is missing or broken.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    training, provenance = read_json(Path(model.training)), read_json(Path(model.provenance))["provenance"]
    corpus, how = training["corpus"], read_json(Path(model.preprocessing))
    kitchen = corpus["kitchen_videos"] == corpus["videos"]
    environment = Environment(
        loader=PackageLoader("videobert.model"), undefined=StrictUndefined, keep_trailing_newline=True, autoescape=False
    )
    text = environment.get_template("card.md.jinja").render(
        license="apache-2.0" if kitchen else "other",
        kitchen=kitchen,
        shipped=tuple(KNOWS),
        notice=kitchen_notice(how["weights"], corpus["videos"], corpus["kitchen_videos"]),
        corpus=corpus,
        licenses=licenses,
        settings=provenance["settings"],
        steps=provenance["settings"]["max_steps"],
        loss=training["curve"][-1]["loss"] if training["curve"] else "none was noted",
        best=training.get("validation", {}).get("best"),
        config=read_json(Path(model.config)),
        how=how,
        tables=[_table(name, figures) for name, figures in metrics.items()],
        sha256=sha256(Path(model.weights)),
    )
    with atomic(card) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _table(name: str, figures: dict[str, Any]) -> dict[str, Any]:
    """A task's summary as a table, a row for each condition, and lines for what is no table."""
    rows: dict[tuple[str, ...], dict[str, Any]] = {}
    lines: list[str] = []
    for key, value in _flat(figures):
        if key[-1] == "skipped":
            lines.append(f"{_words(' '.join(key[:-1])) or _words(name)}: not measured: {value}.")
        elif key[-1] == "no_interval":
            lines.append(f"Without intervals: {value}.")
        elif isinstance(value, int | float) or key[-1].endswith("_interval"):
            rows.setdefault(key[:-1], {})[key[-1]] = value
    columns = list(dict.fromkeys(key for row in rows.values() for key in row if not key.endswith("_interval")))
    heads = ["", *map(_words, columns)]
    cells = [[_words(", ".join(key)), *(_cell(row, column) for column in columns)] for key, row in rows.items()]
    return {"title": _words(name).capitalize(), "heads": heads, "rows": cells, "lines": list(dict.fromkeys(lines))}


def _flat(figures: dict[str, Any], above: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], Any]]:
    """(path of keys, value) of everything in nested dictionaries."""
    return [
        pair
        for key, value in figures.items()
        for pair in (_flat(value, (*above, key)) if isinstance(value, dict) else [((*above, key), value)])
    ]


def _cell(row: dict[str, Any], column: str) -> str:
    if column not in row:
        return ""
    value, bounds = row[column], row.get(f"{column}_interval")
    text = f"{value:.2f}" if isinstance(value, float) else str(value)
    return f"{text} ({bounds[0]:.2f} – {bounds[1]:.2f})" if bounds else text


def _words(name: str) -> str:
    return name.replace("_", " ").replace("top1", "top-1").replace("top5", "top-5")
