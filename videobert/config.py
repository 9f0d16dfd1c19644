"""The configuration: the settings of all stages, a section each; checked before anything runs.

Everything here is made from the settings classes (videobert/settings.py): the checks, the flags of a stage's command, the
commented `config.yaml` (`videobert config`), the JSON schema for editors and the reference in the documentation.
"""

import json
import shlex
from pathlib import Path
from textwrap import wrap
from typing import Any, Self, TypeVar

from pydantic import BaseModel, ValidationError, create_model, field_validator, model_validator

from videobert.cli import parts
from videobert.errors import UserError
from videobert.evaluation.forecasting import ForecastingSettings
from videobert.evaluation.linear import ProbeSettings
from videobert.evaluation.objectives import ObjectivesSettings
from videobert.evaluation.retrieval import RetrievalSettings
from videobert.evaluation.scaling import ScalingSettings
from videobert.evaluation.task import EvaluateExecution, EvaluateSettings
from videobert.evaluation.zero_shot import ZeroShotSettings
from videobert.model.launching import batch_mistake
from videobert.model.settings import CaptioningSettings, PretrainExecution, PretrainSettings
from videobert.pipeline import READS, STAGES, TASKS, below, function
from videobert.report.page import ReportSettings
from videobert.settings import Execution, Settings, Text, explain, in_words
from videobert.stages.codebook import CodebookExecution, CodebookSettings
from videobert.stages.corpus import CorpusSettings
from videobert.stages.features import FeaturesExecution, FeaturesSettings
from videobert.stages.frames import FramesSettings
from videobert.stages.tokens import TokensSettings
from videobert.stages.transcribe import TranscribeExecution, TranscribeSettings
from videobert.stages.vocabulary import VocabularySettings
from videobert.vision.s3d_weights import NAMED
from videobert.web.options import DownloadExecution, DownloadSettings
from videobert.workflow import snakefile

Model = TypeVar("Model", bound=BaseModel)
# The classes of each section, in the order of the pipeline.
SECTIONS: dict[str, tuple[type[Settings]] | tuple[type[Settings], type[Execution]]] = {
    "corpus": (CorpusSettings,),
    "download": (DownloadSettings, DownloadExecution),
    "transcribe": (TranscribeSettings, TranscribeExecution),
    "frames": (FramesSettings,),
    "features": (FeaturesSettings, FeaturesExecution),
    "codebook": (CodebookSettings, CodebookExecution),
    "vocabulary": (VocabularySettings,),
    "tokens": (TokensSettings,),
    "pretrain": (PretrainSettings, PretrainExecution),
    "objectives": (ObjectivesSettings,),
    "zero_shot": (ZeroShotSettings,),
    "probe": (ProbeSettings,),
    "retrieval": (RetrievalSettings,),
    "captioning": (CaptioningSettings,),
    "forecasting": (ForecastingSettings,),
    "scaling": (ScalingSettings,),
    "evaluate": (EvaluateSettings, EvaluateExecution),
    "report": (ReportSettings,),
}
# Keys that have moved: what a configuration of an earlier version may still say.
RENAMED = {"evaluate.template": "zero_shot.templates"}
KITCHEN = Path(__file__).parent / "kitchen" / "config.yaml"


class _Base(Settings):
    results: Text = "results"
    """The folder for all output. Two configurations with different folders are independent and can run at the same time."""
    upstream: Text | None = None
    """The results folder of a finished run. Stages whose settings (and list) are the same as in that run are taken from
    there instead of being run again, together with all that they read. Nothing is written there. null: every stage runs
    in `results`."""

    @field_validator("results", "upstream")
    @classmethod
    def _is_no_pattern(cls, folder: str | None) -> str | None:
        if folder and set("{}") & set(folder):
            raise ValueError("a folder without braces in its path, which Snakemake takes for a pattern")
        return folder

    @model_validator(mode="after")
    def _sections_fit_together(self) -> Self:
        config: Any = self  # a Config, with the sections that create_model gives it
        context, horizon, most = config.forecasting.context, config.forecasting.horizon, config.pretrain.max_length
        if context + horizon + 3 > most:
            raise ValueError(
                f"forecasting.context is {context} and forecasting.horizon {horizon}, but with [CLS], [>] and [SEP] they "
                f"must fit in pretrain.max_length, which is {most}"
            )
        processes = config.pretrain.nodes * config.pretrain.processes
        if mistake := batch_mistake(config.pretrain, processes, config.pretrain.gradient_accumulation_steps):
            raise ValueError(mistake)
        return self


def _section(name: str) -> Any:
    """The class of a whole section: what the result depends on, then how the stage is executed, flat."""
    classes = SECTIONS[name]
    class_ = (
        classes[0]
        if len(classes) == 1
        else create_model(f"{name}_section", __base__=classes[::-1], __doc__=classes[0].__doc__)
    )
    return class_, class_()


Config = create_model("Config", __base__=_Base, **{name: _section(name) for name in SECTIONS})


def read(configfile: list[Path]) -> dict[str, Any]:
    """The configuration as Snakemake merges it: the working folder's or the shipped one, then the files in their order."""
    from snakemake.common.configfile import load_configfile
    from snakemake.utils import update_config

    base = Path("config.yaml")
    merged: dict[str, Any] = {}
    for file in (base if base.exists() else snakefile().parent / "config.yaml", *configfile):
        if not file.exists() or file.is_dir():  # a pipe is as good as a file
            raise UserError(f"{file} does not exist; give the files that snakemake --configfile gets")
        update_config(merged, load_configfile(str(file)))
    return merged


def check(config: dict[str, Any]) -> "Config":
    """The configuration as Snakemake has it, checked. Raises UserError with one line for each mistake."""
    for key, new in RENAMED.items():
        section, name = key.split(".")
        if isinstance(config.get(section), dict) and name in config[section]:
            raise UserError(f"config: {key} was renamed: it is {new} now")
    try:
        text = json.dumps(config, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise UserError(f"config: a value is of a kind that a configuration cannot hold: {error}") from None
    try:
        return Config.model_validate_json(text)
    except ValidationError as error:
        lines = [line for mistake in explain(error, Config) for line in mistake.split("\n")]
        raise UserError("config: " + "\nconfig: ".join(lines)) from None


def check_files(config: Any) -> None:
    """Looks for the files that the configuration names. Raises UserError with a line for each that is not there.

    Snakemake would not: where a rule's outputs exist, it takes them for files of the user's once an input is missing, and
    plans nothing of what lies behind.
    """
    named = {
        "tokens.exclude": config.tokens.exclude,
        "evaluate.annotations": None if config.evaluate.annotations == "kitchen" else config.evaluate.annotations,
        "features.weights": None if config.features.weights in NAMED else config.features.weights,
    }
    missing = [
        f"{key}: {path} does not exist; correct the path, or take it out"
        for key, path in named.items()
        if path is not None and not Path(path).exists()
    ]
    # They are inputs of rules.
    braces = [
        f"{key}: {named[key]} has braces in its path, which Snakemake takes for a pattern; give it another name"
        for key in ("tokens.exclude", "evaluate.annotations")
        if set("{}") & set(named[key] or "")
    ]
    if missing or braces:
        raise UserError("config: " + "\nconfig: ".join([*missing, *braces]))


def for_videos(config: Any, has_kitchen: bool) -> Any:
    """The configuration for a list with or without kitchen videos: without, there are no annotations of the kitchen."""
    if config.evaluate.annotations != "kitchen" or has_kitchen:
        return config
    return config.model_copy(update={"evaluate": config.evaluate.model_copy(update={"annotations": None})})


def part(config: "Config", class_: type[Model]) -> Model:
    """The settings of one class, from the section that has its fields."""
    name = next(name for name, classes in SECTIONS.items() if any(issubclass(own, class_) for own in classes))
    section = getattr(config, name)
    return class_.model_construct(**{field: getattr(section, field) for field in class_.model_fields})


def flags(values: dict[str, Any]) -> str:
    """Values as command-line flags, sorted, quoted for the shell."""
    texts = {
        key: value if isinstance(value, str) else json.dumps(value, sort_keys=True) for key, value in values.items()
    }
    return " ".join(f"--{key}={shlex.quote(text)}" for key, text in sorted(texts.items()))


def tracked(config: "Config", stage: str) -> str:
    """The flags of a stage's command that its result depends on: when they change, Snakemake runs the stage again.

    Values that are the default are left out, so that a setting that a later version adds makes nothing out of date.
    (A default that changes raises the stage's VERSION: tests/test_upgrade.py.)
    """
    return flags(_values(config, stage, Settings, exclude_defaults=True))


def untracked(config: "Config", stage: str, threads: int) -> str:
    """The flags of a stage's command that say how it is executed: a change of them makes nothing out of date.

    A stage that has threads gets no more than `threads`, which is what Snakemake gives its job: with --cores 1, one. Processes
    share them.
    """
    values = _values(config, stage, Execution)
    if "threads" in values:
        values["threads"] = max(min(values["threads"], threads // values.get("processes", 1)), 1)
    defaults = _values(Config(), stage, Execution)
    return flags({name: value for name, value in values.items() if value != defaults[name]})


def takes_gpu(config: "Config", stage: str) -> bool:
    """Whether a stage computes on a GPU where there is one."""
    return bool(_values(config, stage, Execution).get("device", "cpu") != "cpu")


def places(config: "Config", stage: str) -> tuple[int, int]:
    """On how many nodes a stage runs, and in how many processes on each."""
    values = _values(config, stage, Execution)
    return values.get("nodes", 1), values.get("processes", 1)


def own_values(config: "Config", stage: str) -> dict[str, Any]:
    """All settings that the result of a stage depends on."""
    return _values(config, stage, Settings)


def of_stage(configfile: list[Path], stage: str) -> dict[str, Any]:
    """The settings of a stage's command, as the workflow has them with these configuration files."""
    config = check(read(configfile))
    return _values(config, stage, Settings) | _values(config, stage, Execution)


def _values(config: "Config", stage: str, kind: type[BaseModel], exclude_defaults: bool = False) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for class_ in parts(function(stage)).values():
        if issubclass(class_, kind):
            values |= part(config, class_).model_dump(exclude_defaults=exclude_defaults)
    return values


# The file -------------------------------------------------------------------------------------------------------------

HEAD = """\
# The configuration of the pipeline: a section for each stage, in the order in which they run. A change in a section
# reruns its stage and the stages below it, nothing above. {which}
# `videobert STAGE --help` explains the same keys. config/paper.yaml holds the paper's settings.
"""
FOR_KITCHEN = """This file runs the built-in corpus; for your own
# videos write an overlay with just the keys that differ and run
#   snakemake --cores all report --configfile config.yaml mine.yaml
# `videobert config` prints every key with the values for one's own videos. This file is written by
# `videobert config --kitchen`: change the settings classes or videobert/kitchen/config.yaml, not it."""
FOR_OWN = """These are the values for your own videos:
#   snakemake --cores all report --configfile mine.yaml"""


def config(kitchen: bool = False, schema: bool = False, reference: bool = False) -> None:
    """Print a configuration with every setting, its default and what it does.

    videobert config > mine.yaml

    Args:
        kitchen: with the values of the built-in corpus, as config.yaml has them.
        schema: print the JSON schema instead, for editors that complete and check YAML.
        reference: print the reference of all settings instead (Markdown), as docs/settings.md has it.
    """
    if schema:
        print(json.dumps(Config.model_json_schema(), indent=1))
    else:
        print(settings_as_markdown() if reference else config_as_yaml(kitchen), end="")


def config_as_yaml(kitchen: bool = False) -> str:
    """config.yaml as text."""
    import yaml

    values = Config().model_dump()
    overlay = yaml.safe_load(KITCHEN.read_text(encoding="utf-8")) if kitchen else {}
    for section, changed in overlay.items():
        values[section] |= changed
    lines = [HEAD.format(which=FOR_KITCHEN if kitchen else FOR_OWN)]
    fields = Config.model_json_schema()
    for name in ("results", "upstream"):
        lines += [*_comment(fields["properties"][name]["description"], ""), _line(name, values[name], ""), ""]
    for name in SECTIONS:
        class_: Any = Config.model_fields[name].annotation
        lines += [*_comment(class_.__doc__ or "", ""), f"{name}:"]
        for key, schema in class_.model_json_schema()["properties"].items():
            text = f"{' '.join(schema.get('description', '').split())} ({in_words(schema)})"
            if any(key in own.model_fields for own in SECTIONS[name] if issubclass(own, Execution)):
                text += " A change reruns nothing."
            lines += [*_comment(text, "  "), _line(key, values[name][key], "  ")]
        lines.append("")
    return "\n".join(lines).rstrip("\n") + "\n"


def settings_as_markdown() -> str:
    """docs/settings.md as text."""
    lines = ["# Settings", "", REFERENCE, ""]
    properties = Config.model_json_schema()["properties"]
    top = {name: properties[name] for name in ("results", "upstream")}
    lines += [*_rows(top, Config().model_dump()), ""]
    for name, classes in SECTIONS.items():
        lines += [f"## {name}", "", " ".join((classes[0].__doc__ or "").split()), ""]
        for class_ in classes:
            lines += [_reruns(class_), "", *_rows(class_.model_json_schema()["properties"], class_().model_dump()), ""]
    return "\n".join(lines).rstrip("\n") + "\n"


def _reruns(class_: type[BaseModel]) -> str:
    """What a change of these keys makes Snakemake run again."""
    if issubclass(class_, Execution):
        return "How it is executed. A change reruns nothing:"
    users = {stage for stage in STAGES if any(issubclass(class_, used) for used in parts(function(stage)).values())}
    stages = below(users)
    measuring = [stage for stage in stages if stage in TASKS]
    tasks = ["all tasks of the evaluation"] if len(measuring) == len(TASKS) else [f"`{stage}`" for stage in measuring]
    last = [f"`{stage}`" for stage in ("evaluate", "report") if stage in stages]
    found = [f"`{stage}`" for stage in stages if stage in READS] + tasks + last
    most = "at most " if class_ is CorpusSettings else ""  # a new row makes a new shard alone
    return f"A change reruns {most}{', '.join(found[:-1])}{' and ' if found[1:] else ''}{found[-1]}:"


REFERENCE = """All keys of the configuration, made from the settings classes by `videobert config --reference`. Defaults are
those for your own videos; `config.yaml` holds those of the built-in corpus."""


def _rows(properties: dict[str, Any], defaults: dict[str, Any]) -> list[str]:
    """A table of fields: name, type and bounds, default, description."""
    rows = ["| key | what it may be | default | what it does |", "| --- | --- | --- | --- |"]
    for name, schema in properties.items():
        text = " ".join(schema.get("description", "").split()).replace("|", "\\|")
        default = json.dumps(defaults[name], ensure_ascii=False).replace("|", "\\|")
        rows.append(f"| `{name}` | {in_words(schema)} | `{default}` | {text} |")
    return rows


def _comment(text: str, indent: str) -> list[str]:
    return [f"{indent}# {line}" for line in wrap(" ".join(text.split()), 116 - len(indent), break_on_hyphens=False)]


def _line(key: str, value: Any, indent: str) -> str:
    import yaml

    text = yaml.safe_dump(value, default_flow_style=True, width=10**6, allow_unicode=True)
    return f"{indent}{key}: {text.removesuffix(chr(10)).removesuffix(chr(10) + '...')}"
