"""The pages of the documentation that are made from the code: stages and files, commands, the picture of the data flow.

`python docs/generate.py` writes the picture, docs/pipeline.svg, which lies in git since the README shows it; a test keeps it up
to date. The pages are made by each build of the site (docs/conf.py), in docs/generated, which does not lie in git.
"""

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_origin

from docstring_parser import parse

import videobert
from videobert.cli import parts
from videobert.data.schemas import INDEX_MODEL, INDEXED, SEGMENTS_WITH_FEATURES, Columns, File, files
from videobert.errors import Status
from videobert.layout import Layout
from videobert.pipeline import READS, RECORDS, STAGES, TASKS, TOOLS, function
from videobert.settings import Files, Inputs

DOCS = Path(__file__).parent


def pages() -> dict[str, str]:
    """The generated pages by file name, as Markdown."""
    return {"files.md": files_page(), "commands.md": commands_page(), "floors.md": floors()}


def write_pages(folder: Path = DOCS / "generated") -> None:
    """Writes them, those that have changed alone, so that a second build is quick."""
    folder.mkdir(exist_ok=True)
    for name, text in pages().items():
        path = folder / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


# Stages and files -----------------------------------------------------------------------------------------------------

FILES_HEAD = """\
# Stages and files

Every file of a run with its columns and keys, generated from the code (`videobert/data/schemas.py`). Paths are
in the folder `results` of the configuration; `{shard}` is a shard's name, such as `0000`.

```python
import pandas

tokens = pandas.read_parquet("results/tokens/0000.parquet")
```

All shards of a stage, and the ledgers of all stages, are read by the name of their folder:

```python
tokens = pandas.read_parquet("results/tokens")
ledger = pandas.read_parquet("results/ledger")  # stage, shard, video_id, status, reason, source, title

import datasets

tokens = datasets.load_dataset("results/tokens")["train"]  # all rows: datasets calls them train
```

The column `split` of the tokens says which rows are train and test.

pandas, DuckDB (1.4 and newer), polars, fastparquet, Arrow (pyarrow 17 and newer) and Hugging Face datasets can read the tables.
DuckDB and polars take a pattern (`results/tokens/*.parquet`). fastparquet does not support float16 and returns each number of a
feature as two bytes: `numpy.array(table["feature"].tolist(), "S2").view("<f2")` converts them. Each page of a table has a
checksum, with which the stages find damage; other readers check it on request
(`pyarrow.parquet.read_table(file, page_checksum_verification=True)`).

"""
FILES_TAIL = """\

## Statuses

The column `status` of a ledger has one of these values; [Your own
videos](../your-own-videos.md) explains what to do about those of the download.

{statuses}

## Provenance

Every file records how it was made: Parquet and safetensors files in their metadata, under the key `provenance`, JSON files
under a key of that name.

| key | what it holds |
| --- | --- |
| `stage`, `version` | the stage, and the version of its meaning |
| `settings` | the settings that the result depends on |
| `inputs` | SHA-256 of each file that was read |
| `packages` | versions of the packages that can change the result |
| `execution` | how it was executed: device, threads, batch size |
| `format` | the number of the file's format; [older ones](../running.md#results-of-an-earlier-version) are read or upgraded |

Some stages add keys that later ones check, such as `weights_sha256` (S3D's weights), `clip_seconds`, `codebook_sha256` and
`vocabulary_sha256`. There is no date, host name or path in it: the same configuration gives the same bytes.

```python
import json
import pyarrow.parquet

metadata = pyarrow.parquet.read_schema("results/tokens/0000.parquet").metadata
json.loads(metadata[b"provenance"])["settings"]
```
"""
STATUSES = {
    Status.OK: "Success; `reason` may hold a note.",
    Status.DUPLICATE: "The list names the same video twice.",
    Status.GONE: "Removed, private, or there is no such file.",
    Status.BLOCKED: "The site refuses: login, bot check, rate limit.",
    Status.TRANSIENT: "The network failed; another run may succeed.",
    Status.UNUSABLE: "Not a video, not decodable, or excluded by a setting of the download.",
    Status.NO_AUDIO: "The video has no sound.",
    Status.NO_SPEECH: "There is no speech, or the recognised speech is not credible.",
    Status.NO_CAPTIONS: "It has no captions, or they hold no text.",
    Status.OTHER_LANGUAGE: "The speech or the captions are in another language.",
    Status.TOO_SHORT: "Shorter than one clip.",
    Status.EXCLUDED: "Its id is in the file that `tokens.exclude` names.",
    Status.EMPTY: "It has neither sentences nor clips.",
    Status.FAILED: "An unexpected error; the log has the traceback.",
}


def files_page() -> str:
    text = FILES_HEAD
    shown: dict[Columns, str] = {}
    for stage, group in files(Layout("results")).items():
        text += f"## {stage or 'Of every job'}\n\n"
        if stage:
            text += f"{sentence(STAGES[stage][1])} {reads(stage)}[Settings](../settings.md#{slug(stage)}), "
            text += f"[command](commands.md#{slug(f'videobert {stage}')}).\n\n"
        text += "".join(file_section(file, shown) for file in group if not repeated(stage, file))
        if stage == "scaling":
            text += f"`{scaling_folder()}/`: for each model beside the main one, the files that `pretrain` writes.\n\n"
    text += "## Index of videobert search\n\n`videobert index` writes it.\n\n"
    text += file_section(File("index/segments.parquet", "A row for each segment.", SEGMENTS_WITH_FEATURES), shown)
    text += file_section(File("index/videos.parquet", "A row for each video, also for those left out.", INDEXED), shown)
    text += file_section(File("index/model.json", "Where the model lies.", INDEX_MODEL), shown)
    rows = [f"| `{word}` | {STATUSES[word]} |" for word in Status]
    return (
        text.rstrip("\n") + "\n" + FILES_TAIL.format(statuses="\n".join(["| word | meaning |", "| --- | --- |", *rows]))
    )


def scaling_folder() -> str:
    return Layout("results").scaling_model("{share}", "{seed}").folder


def repeated(stage: str, file: File) -> bool:
    """Whether a file is one of the models that scaling trains: they have the files of pretrain."""
    return stage == "scaling" and file.path.startswith(scaling_folder())


def reads(stage: str) -> str:
    if not READS.get(stage):
        return ""
    return (
        "Reads what "
        + listed([f"`{name}`" for name in READS[stage]])
        + (" writes. " if len(READS[stage]) == 1 else " write. ")
    )


def file_section(file: File, shown: dict[Columns, str]) -> str:
    """A file with its columns; `shown` remembers where the same ones stand already."""
    text = f"`{file.path}`\n: {file.about}"
    if not file.columns:
        return f"{text}\n\n"
    if file.columns in shown:
        return f"{text} Its {kind_of(file)}s are those of `{shown[file.columns]}`.\n\n"
    shown[file.columns] = file.path
    return f"{text}\n\n{table(file)}\n\n"


def kind_of(file: File) -> str:
    return {".json": "key", ".safetensors": "tensor"}.get(Path(file.path).suffix, "column")


def table(file: File) -> str:
    rows = [f"| {kind_of(file)} | type | what it holds |", "| --- | --- | --- |"]
    for column in file.columns:
        type_ = f"list of {column.type[:-2]}" if column.type.endswith("[]") else column.type
        optional = " May be absent." if column.optional else ""
        rows.append(f"| `{column.name}` | {type_} | {column.about}{optional} |")
    return "\n".join(rows)


# Commands -------------------------------------------------------------------------------------------------------------

COMMANDS_HEAD = """\
# Commands

`videobert NAME --help` prints the same information. After `make`, run
`. .venv/bin/activate` first. Exit codes: 0 is success, 1 an error that you can fix, reported in one line, and 2 a mistyped flag.

"""
STAGES_HEAD = """\
# Commands of the pipeline

One for each stage. The workflow calls them; you need them only for an experiment with a single stage. Each takes
its files and its settings as flags. A setting has the same name in the configuration, as a flag and in Python; the values
that are not given have the defaults of [Settings](../settings.md), those for your own videos.

"""


def commands_page() -> str:
    tools = "".join(tool_section(name) for name in TOOLS)
    stages = "".join(stage_section(name) for name in STAGES | RECORDS)
    return COMMANDS_HEAD + tools + "(stage-commands)=\n\n#" + STAGES_HEAD + stages


def tool_section(name: str) -> str:
    tool = function(name)
    documented = parse(tool.__doc__ or "")
    about = {parameter.arg_name: parameter.description for parameter in documented.params}
    text = f"## videobert {name}\n\n{documented.short_description}\n\n"
    for paragraph in (documented.long_description or "").split("\n\n"):
        is_example = paragraph.startswith("videobert ")
        text += f"```\n{paragraph}\n```\n\n" if is_example else f"{paragraph}\n\n" if paragraph else ""
    rows = []
    for parameter in inspect.signature(tool, eval_str=True).parameters.values():
        required = parameter.default is parameter.empty
        flag = parameter.name.upper() if required else f"--{parameter.name}"
        several = " ..." if required and get_origin(parameter.annotation) is list else ""
        is_switch = parameter.annotation is bool
        default = "" if required or is_switch or parameter.default is None else f"`{parameter.default}`"
        rows.append(f"| `{flag}{several}` | {default} | {sentence(about[parameter.name] or '')} |")
    return text + "\n".join(["| argument | default | what it is |", "| --- | --- | --- |", *rows]) + "\n\n"


def stage_section(name: str) -> str:
    stage = function(name)
    about = (stage.__doc__ or "").strip()
    text = f"### videobert {name}\n\n{about}\n\n"
    classes = parts(stage)
    rows = []
    for class_ in classes.values():
        if issubclass(class_, Files):
            kind = "reads" if issubclass(class_, Inputs) else "writes"
            rows += [f"| `--{flag}` | {kind} | {what} |" for flag, what in fields(class_)]
    text += "\n".join(["| flag | | what it is |", "| --- | --- | --- |", *rows]) + "\n\n"
    flags = [
        f"`--{field}`" for class_ in classes.values() if not issubclass(class_, Files) for field in class_.model_fields
    ]
    return text + (f"Settings: {', '.join(flags)}. [What they mean](../settings.md).\n\n" if flags else "")


def fields(class_: Any) -> Iterator[tuple[str, str]]:
    for name, field in class_.model_fields.items():
        several = (
            " FILE ..." if get_origin(field.annotation) is list else " FILE" if takes_file(field.annotation) else ""
        )
        yield f"{name}{several}", " ".join((field.description or "").split())


def takes_file(annotation: Any) -> bool:
    return annotation is Path or Path in get_args(annotation)


# Floors ---------------------------------------------------------------------------------------------------------------


def floors() -> str:
    """The floors of the package, as its docstring lists them."""
    lines = (videobert.__doc__ or "").split("Each floor uses those below it:")[1].strip("\n")
    return f"```text\n{inspect.cleandoc(lines)}\n```\n"


# The picture ----------------------------------------------------------------------------------------------------------

BOX = (104, 44)
# Where the middle of each stage's box is, and what it makes in two or three words.
PLACES: dict[str, tuple[int, int, str]] = {
    "corpus": (70, 130, "ids, shards, split"),
    "download": (206, 130, "media"),
    "transcribe": (342, 76, "sentences"),
    "frames": (342, 184, "20 fps, 224×224"),
    "features": (478, 184, "S3D, 1.5 s clips"),
    "vocabulary": (614, 40, "WordPiece"),
    "codebook": (614, 238, "visual words"),
    "tokens": (750, 130, "joint segments"),
    "pretrain": (70, 360, "joint BERT"),
    "evaluate": (614, 360, "metrics"),
    "report": (750, 360, "one HTML page"),
}
TASKS_BOX = (342, 360, 376, 60)
STYLE = """\
.card { fill: #ffffff; stroke: #d0d7de }
.box { fill: #eef4fb; stroke: #4a7fb5 }
.text { fill: #eef8f0; stroke: #3f8f5b }
.video { fill: #fdf3e7; stroke: #b8772a }
.line { fill: none; stroke: #6e7781; stroke-width: 1.4 }
.head { fill: #6e7781 }
text { font-family: system-ui, -apple-system, "Segoe UI", Helvetica, Arial, sans-serif; text-anchor: middle; fill: #1f2328 }
.name { font-size: 13.5px; font-weight: 600 }
.what { font-size: 10.5px; fill: #59636e }
@media (prefers-color-scheme: dark) {
.card { fill: #161b22; stroke: #30363d }
.box { fill: #1b2b3d; stroke: #6ea4d8 }
.text { fill: #1a3122; stroke: #62b57f }
.video { fill: #38290f; stroke: #d69a4c }
.line { stroke: #8d96a0 }
.head { fill: #8d96a0 }
text { fill: #e6edf3 }
.what { fill: #9198a1 }
}"""


def picture() -> str:
    """The data flow as SVG: a box for each stage, an arrow for each that READS names."""
    width, height = 820, 410
    parts_ = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" aria-labelledby="title">',
        '<title id="title">From a list of videos to a report: '
        + " → ".join([*READS, "tasks", "evaluate", "report"])
        + "</title>",
        f"<style>\n{STYLE}\n</style>",
        '<defs><marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path class="head" d="M0 0 8 4 0 8z"/></marker></defs>',
        f'<rect class="card" x="0.5" y="0.5" width="{width - 1}" height="{height - 1}" rx="10"/>',
    ]
    parts_ += [arrow(*edge) for edge in edges()]
    parts_ += [box(name, x, y, *BOX, (what,)) for name, (x, y, what) in PLACES.items()]
    x, y, wide, high = TASKS_BOX
    half = len(TASKS) // 2 + 1
    parts_.append(box("tasks of the evaluation", x, y, wide, high, (", ".join(TASKS[:half]), ", ".join(TASKS[half:]))))
    return "\n".join([*parts_, "</svg>", ""])


def edges() -> list[tuple[str, str]]:
    """The arrows. What pretrain reads beside the tokens, it copies into the model's folder: that is not drawn."""
    drawn = [(above, stage) for stage, stages in READS.items() for above in stages if stage != "pretrain"]
    return [*drawn, ("tokens", "pretrain"), ("pretrain", "tasks"), ("tasks", "evaluate"), ("evaluate", "report")]


def arrow(start: str, end: str) -> str:
    """From the right side of a box to the left side of another, or down to the next row."""
    (x1, y1), (x2, y2) = sides(start)[1], sides(end)[0]
    if x2 < x1:
        bottom, top = y1 + BOX[1] // 2, y2 - BOX[1] // 2
        x1, x2, channel = PLACES[start][0], PLACES[end][0], 292
        left = f"Q{x1} {channel} {x1 - 8} {channel} H{x2 + 8} Q{x2} {channel} {x2} {channel + 8}"
        path = f"M{x1} {bottom} V{channel - 8} {left} V{top}"
    else:
        bend = (x2 - x1) // 2
        path = f"M{x1} {y1} C{x1 + bend} {y1} {x2 - bend} {y2} {x2} {y2}"
    return f'<path class="line" d="{path}" marker-end="url(#arrow)"/>'


def sides(name: str) -> tuple[tuple[int, int], tuple[int, int]]:
    """The middle of the left and of the right side of a box."""
    x, y, wide = TASKS_BOX[:3] if name == "tasks" else (*PLACES[name][:2], BOX[0])
    return (x - wide // 2, y), (x + wide // 2, y)


def box(name: str, x: int, y: int, wide: int, high: int, lines: tuple[str, ...]) -> str:
    kind = {"transcribe": "text", "vocabulary": "text", "frames": "video", "features": "video", "codebook": "video"}
    first = y - 5 * len(lines)
    texts = [f'<text class="name" x="{x}" y="{first + 3}">{name}</text>']
    texts += [
        f'<text class="what" x="{x}" y="{first + 4 + 14 * row}">{line}</text>' for row, line in enumerate(lines, 1)
    ]
    place = f'x="{x - wide // 2}" y="{y - high // 2}" width="{wide}" height="{high}"'
    rectangle = f'<rect class="{kind.get(name, "box")}" {place} rx="6"/>'
    return "\n".join([rectangle, *texts])


# Words ----------------------------------------------------------------------------------------------------------------


def sentence(text: str) -> str:
    """With a capital letter and a full stop."""
    text = " ".join(text.split())
    return text[:1].upper() + text[1:].rstrip(".") + "."


def listed(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def slug(title: str) -> str:
    """The anchor that the site gives to a title."""
    return title.lower().replace(" ", "-")


if __name__ == "__main__":
    (DOCS / "pipeline.svg").write_text(picture(), encoding="utf-8")
