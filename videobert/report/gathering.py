"""What the report tells, as plain values, from the files of a run; what is not there is None or empty."""

import csv
import json
import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from videobert.data.kitchen_notice import kitchen_notice
from videobert.data.ledger import titles
from videobert.data.provenance import read_provenance, read_table
from videobert.errors import KEPT, Status, is_loss
from videobert.layout import Layout
from videobert.report import evaluation as report_evaluation
from videobert.report.parts import evenly, moments, optional_json, optional_table, strip

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa


STAGES = ("corpus", "download", "transcribe", "frames", "features", "codebook", "vocabulary", "tokens", "pretrain")


# What "ok" says of a video in the ledger of each stage.
FUNNEL = {
    "corpus": "usable",
    "download": "downloaded",
    "transcribe": "transcribed",
    "frames": "decoded to frames",
    "features": "with features",
    "tokens": "with tokens",
}


LOSSES_SHOWN = 300  # of each stage; the page must stay light when 100,000 videos are lost


NEAREST = 7  # clips of a visual word: the first as a strip, the others by their middle


def gather(layout: Layout, words: int, examples: int) -> dict[str, Any]:
    """Everything that the page says, as plain values; what is not there is None or empty."""
    report_evaluation.check_model(layout)
    manifest = read_table(Path(layout.manifest)).to_pylist()
    shards = sorted({row["shard"] for row in manifest})
    shard_of = {row["video_id"]: row["shard"] for row in manifest}
    called = titles((layout.shard_ledger("download", shard) for shard in shards), layout.details)
    ledgers = {stage: optional_table(layout.ledger(stage)) for stage in FUNNEL}
    statistics = optional_json(layout.statistics)
    training = optional_json(layout.model.training)
    measured = report_evaluation.measured(layout)
    evaluation = report_evaluation.gather(layout, shard_of, called, examples)
    return {
        "corpus": _corpus(layout, manifest, shards),
        "model": _model(layout),
        "evaluation": evaluation,
        "funnel": _funnel(ledgers, called),
        "costs": _costs(layout, measured),
        "curve": training.get("curve", []),
        "validation": training.get("validation", {}),
        "codebook": statistics,
        "atlas": _atlas(layout, shards, words),
        "examples": [
            _example(layout, shard_of[step["video_id"]], called.get(step["video_id"], ""), step)
            for step in evenly(evaluation["predictions"] or _test_sentences(layout, shards), examples)
        ],
        "notes": _notes(layout, shards, measured),
    }


def _corpus(layout: Layout, manifest: list[dict[str, Any]], shards: list[str]) -> dict[str, Any]:
    """How much there is of everything, and what pretraining saw of it."""
    trained_on = optional_json(layout.model.training).get("corpus", {"videos": 0, "hours": 0.0})
    return {
        "videos": len(manifest),
        "trained_on": trained_on["videos"],
        "splits": {split: sum(row["split"] == split for row in manifest) for split in ("train", "validation", "test")},
        "notice": kitchen_notice(
            optional_json(layout.model.preprocessing).get("weights", ""),
            len(manifest),
            sum(row["source"].startswith("kitchen:") for row in manifest),
        ),
        "trained_seconds": 3600 * trained_on["hours"],
        "sentences": _rows([layout.table("transcribe", shard) for shard in shards]),
        "clips": _rows([layout.table("features", shard) for shard in shards]),
    }


def _rows(paths: list[str]) -> int | None:
    """Rows in the tables of a stage, from the files' footers."""
    import pyarrow.parquet as pq

    files = [Path(path) for path in paths]
    return sum(pq.read_metadata(file).num_rows for file in files) if all(file.exists() for file in files) else None


def _model(layout: Layout) -> dict[str, Any]:
    """The size of the model, from its configuration and the header of its weights."""
    config, training = (
        optional_json(layout.model.config),
        optional_json(layout.model.training),
    )
    return {
        "layers": config.get("num_hidden_layers"),
        "width": config.get("hidden_size"),
        "words": config.get("vocab_size"),
        "visual_words": config.get("visual_words"),
        "parameters": _parameters(Path(layout.model.weights)),
        "steps": training.get("provenance", {}).get("settings", {}).get("max_steps"),
        "batch": training.get("provenance", {}).get("settings", {}).get("batch_size"),
    }


def _parameters(weights: Path) -> int | None:
    if not weights.exists():
        return None
    with open(weights, "rb") as file:
        header: dict[str, Any] = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    count: int = sum(math.prod(tensor["shape"]) for name, tensor in header.items() if name != "__metadata__")
    return count


def _funnel(ledgers: dict[str, "pa.Table | None"], titles: dict[str, str]) -> list[dict[str, Any]]:
    """Of each stage: how many videos came through (None without a ledger), and each that did not, with the reason."""
    import pyarrow.compute as pc

    steps, survivors = [], {}
    if ledgers["corpus"] is not None:
        steps.append(_step("", "listed", len(ledgers["corpus"]), [], titles))
    for stage, label in FUNNEL.items():
        table = ledgers[stage]
        if table is None:
            steps.append(_step(stage, label, None, [], titles))
            continue
        survivors[stage] = set(table.filter(pc.equal(table["status"], Status.OK))["video_id"].to_pylist())
        rows = _unhappy(table)
        if stage == "tokens":  # its ledger names every video: what is lost above and has nothing left is not lost here
            came = survivors.get("features", set()) | survivors.get("transcribe", set())
            rows = [row for row in rows if row["status"] != "empty" or row["video_id"] in came]
        steps.append(_step(stage, label, len(survivors[stage]), rows, titles))
    return steps


def _step(stage: str, label: str, ok: int | None, rows: list[dict[str, Any]], titles: dict[str, str]) -> dict[str, Any]:
    losses = [row for row in rows if is_loss(row["status"])]
    kept = [
        {"status": KEPT[row["status"]]} for row in rows if row["status"] != Status.OK and not is_loss(row["status"])
    ]
    return {
        "stage": stage,
        "label": label,
        "ok": ok,
        "lost": len(losses),
        "statuses": _counted(losses),
        "kept": _counted(kept),
        "remarks": len(rows) - len(losses) - len(kept),
        "rows": [{"source": "", **row, "title": titles.get(row["video_id"], "")} for row in rows[:LOSSES_SHOWN]],
        "hidden": max(0, len(rows) - LOSSES_SHOWN),
    }


def _unhappy(table: "pa.Table") -> list[dict[str, Any]]:
    """The rows of a ledger that are lost, and then those that came through with a remark (a broken end, say)."""
    import pyarrow.compute as pc

    lost = pc.not_equal(table["status"], Status.OK)
    remark = pc.and_(pc.invert(lost), pc.not_equal(pc.fill_null(table["reason"], ""), ""))
    rows: list[dict[str, Any]] = table.filter(lost).to_pylist() + table.filter(remark).to_pylist()
    return rows


def _counted(rows: list[dict[str, Any]]) -> list[tuple[str, int]]:
    """(status, how many), most first."""
    statuses = [row["status"] for row in rows]
    return sorted(((status, statuses.count(status)) for status in set(statuses)), key=lambda item: (-item[1], item[0]))


def _costs(layout: Layout, tasks: list[str]) -> list[dict[str, Any]]:
    """Of each stage: jobs, their seconds and processor seconds, the largest memory (bytes), size on disk (bytes)."""
    costs: list[dict[str, Any]] = []
    for stage in (*STAGES, *tasks, "evaluate"):
        whole, shards = Path(layout.benchmark(stage)), Path(layout.benchmark(f"{stage}/*"))
        paths = [whole, *sorted(shards.parent.glob(shards.name))]
        runs = [_benchmark(path) for path in paths if path.exists()]
        memory = [run["max_rss"] for run in runs if run["max_rss"] is not None]
        costs.append(
            {
                "stage": stage,
                "jobs": len(runs),
                "seconds": math.fsum(run["s"] or 0.0 for run in runs) if runs else None,
                "cpu": math.fsum(run["cpu_time"] or 0.0 for run in runs) if runs else None,
                "memory": max(memory) * 2**20 if memory else None,
                "disk": _size(Path(layout.folder(stage))),
            }
        )
    total = math.fsum(cost["seconds"] or 0.0 for cost in costs)
    return [{**cost, "share": cost["seconds"] / total if cost["seconds"] else 0.0} for cost in costs]


def _benchmark(path: Path) -> dict[str, float | None]:
    """The last row of a benchmark of Snakemake's; what it could not measure stands there as "-" or "NA"."""
    with open(path, encoding="utf-8", newline="") as file:
        row = (list(csv.DictReader(file, delimiter="\t")) or [{}])[-1]
    return {key: _number(row.get(key)) for key in ("s", "max_rss", "cpu_time")}


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _size(folder: Path) -> int | None:
    """Bytes in a folder; a link counts as a link, since linked videos take no room."""
    if not folder.is_dir():
        return None
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_symlink() or path.is_file())


def _atlas(layout: Layout, shards: list[str], words: int) -> list[dict[str, Any]]:
    """The visual words used most: pictures of their nearest clips, and what is said while they are seen."""
    table = optional_table(layout.atlas)
    if table is None or not words:
        return []
    clips: dict[int, list[dict[str, Any]]] = {}
    for row in table.to_pylist():
        clips.setdefault(row["word"], []).append(row)
    chosen = dict(list(clips.items())[:words])
    spoken = _typical_words(layout, shards, list(chosen))
    return [
        {
            "word": word,
            "count": rows[0]["count"],
            "said": spoken.get(word, []),
            "clips": [
                {
                    **row,
                    "picture": strip(
                        layout.frames_video(row["shard"], row["video_id"]),
                        moments(row["start"], row["end"], 1 if place else 3),
                    ),
                }
                for place, row in enumerate(rows[:NEAREST])
            ],
        }
        for word, rows in chosen.items()
    ]


def _typical_words(layout: Layout, shards: list[str], words: list[int], most: int = 4) -> dict[int, list[str]]:
    """The text words that train sentences with a visual word have more often than others have.

    Ranked by n · log(p(text word | visual word) / p(text word)): often and typical, not just one of them.
    """
    import numpy as np
    import pyarrow.compute as pc

    names = _pieces(Path(layout.tokenizer))
    files = [Path(layout.table("tokens", shard)) for shard in shards]
    if not names or not all(file.exists() for file in files):
        return {}
    counts = np.zeros((len(words) + 1, len(names)), np.int64)  # the last row counts all sentences
    sentences = np.zeros(len(words) + 1, np.int64)
    for file in files:
        table = read_table(file, ["kind", "split", "text_ids", "video_ids"])
        table = table.filter(pc.and_(pc.equal(table["kind"], "text-video"), pc.equal(table["split"], "train")))
        pairs = np.unique(
            np.stack([_parents(table["text_ids"]), pc.list_flatten(table["text_ids"]).to_numpy()]), axis=1
        )
        seen, parents = pc.list_flatten(table["video_ids"]).to_numpy(), _parents(table["video_ids"])
        for place, word in enumerate([*words, None]):
            rows = np.ones(len(table), bool) if word is None else np.zeros(len(table), bool)
            rows[parents[seen == word]] = True
            counts[place] += np.bincount(pairs[1][rows[pairs[0]]], minlength=len(names))
            sentences[place] += rows.sum()
    usual = counts[-1] / max(sentences[-1], 1)
    found = {}
    for place, word in enumerate(words):
        with np.errstate(divide="ignore", invalid="ignore"):
            gain = counts[place] * np.log(counts[place] / max(sentences[place], 1) / usual)
        gain[(counts[place] < 2) | ~np.isfinite(gain)] = 0.0
        order = np.argsort(-gain, kind="stable")
        typical = [
            int(index) for index in order if gain[index] > 0 and len(names[index]) > 2 and names[index].isalpha()
        ]
        found[word] = [names[index] for index in typical[:most]]
    return found


def _parents(lists: "pa.ChunkedArray") -> "npt.NDArray[np.intp]":
    """The row of each item of a column of lists."""
    import numpy as np
    import pyarrow.compute as pc

    return np.repeat(np.arange(len(lists)), pc.list_value_length(lists).to_numpy())


def _pieces(tokenizer: Path) -> list[str]:
    """The word pieces by id."""
    if not tokenizer.exists():
        return []
    from tokenizers import Tokenizer

    table = Tokenizer.from_file(str(tokenizer))
    return [table.id_to_token(index) or "" for index in range(table.get_vocab_size())]


def _example(layout: Layout, shard: str, title: str, step: dict[str, Any]) -> dict[str, Any]:
    """A segment of a test video: an annotated step with the model's guesses, or a sentence of its transcript."""
    return {
        "video_id": step["video_id"],
        "title": title,
        "start": step["start"],
        "end": step["end"],
        "text": step["text"] if "text" in step else _heard(layout, shard, step),
        "picture": strip(layout.frames_video(shard, step["video_id"]), moments(step["start"], step["end"], 4)),
        "guesses": [
            (part, step.get(part, ""), step["cross_modal"][part])
            for part in ("verb", "object")
            if part in step.get("cross_modal", {})
        ],
    }


def _test_sentences(layout: Layout, shards: list[str]) -> list[dict[str, Any]]:
    import pyarrow.compute as pc

    rows = []
    for shard in shards:
        table = optional_table(layout.table("tokens", shard), ["video_id", "split", "kind", "start", "end", "text"])
        if table is not None:
            table = table.filter(pc.and_(pc.equal(table["kind"], "text-video"), pc.equal(table["split"], "test")))
            rows += table.select(["video_id", "start", "end", "text"]).to_pylist()
    return rows


def _heard(layout: Layout, shard: str, step: dict[str, Any]) -> str:
    """What is said while a step is shown."""
    table = optional_table(layout.table("transcribe", shard))
    rows = [] if table is None else table.to_pylist()
    spoken = [row for row in rows if row["video_id"] == step["video_id"]]
    return " ".join(row["text"].strip() for row in spoken if row["start"] < step["end"] and row["end"] > step["start"])


def _notes(layout: Layout, shards: list[str], tasks: list[str]) -> list[dict[str, Any]]:
    """How each stage's output was made, from the note that it carries (of the first shard, where there are many)."""
    first = shards[0]
    places = {
        "corpus": layout.manifest,
        "download": layout.shard_ledger("download", first),
        "transcribe": layout.table("transcribe", first),
        "frames": layout.shard_ledger("frames", first),
        "features": layout.table("features", first),
        "codebook": layout.statistics,
        "vocabulary": layout.vocabulary_provenance,
        "tokens": layout.table("tokens", first),
        "pretrain": layout.model.training,
        **{task: layout.task(task) for task in tasks},
        "evaluate": layout.metrics,
    }
    notes = []
    for stage, path in places.items():
        provenance = read_provenance(Path(path)) if Path(path).exists() else {}
        known = ("stage", "version", "settings", "inputs", "packages")
        facts = {key: value for key, value in provenance.items() if key not in known}
        notes.append(
            {
                "stage": stage,
                "version": provenance.get("version"),
                "settings": {key: _brief(value) for key, value in sorted(provenance.get("settings", {}).items())},
                "inputs": {key: _brief(value) for key, value in provenance.get("inputs", {}).items()},
                "facts": {key: _brief(value) for key, value in sorted(facts.items())},
                "packages": provenance.get("packages", {}),
            }
        )
    return notes


def _brief(value: Any) -> str:
    """A setting as text; hashes by their first twelve digits."""
    if isinstance(value, str):
        return value[:12] if re.fullmatch(r"[0-9a-f]{40,}", value) else value
    if isinstance(value, list) and value and all(isinstance(item, str) for item in value):
        return ", ".join(map(_brief, value[:3])) + (f" and {len(value) - 3} more" if len(value) > 3 else "")
    return json.dumps(value, ensure_ascii=False)
