"""A stage's function as a command: its flags are the fields of the classes that its parameters are annotated with.

`videobert features --frames F --table T --ledger L --weights kitchen` makes FeaturesInputs, FeaturesOutputs,
FeaturesSettings and FeaturesExecution of the flags and calls `features` with them. Flags are flat, since no field stands in
two classes of one function. Text is taken as it is, everything else as JSON; `null` is none where a setting allows it.

`--configfile FILE` gives the settings that are not given the values of a configuration; --help shows them.
"""

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from pydantic import BaseModel, ValidationError

from videobert import progress
from videobert.errors import UserError
from videobert.lease import lease
from videobert.settings import Execution, Files, Outputs, Settings, explain, in_words, to_json

Stage = Callable[..., None]


def parts(stage: Stage) -> dict[str, type[BaseModel]]:
    """The classes of a stage's parameters, by the parameter's name."""
    hints = get_type_hints(stage)
    return {
        name: class_ for name, class_ in hints.items() if isinstance(class_, type) and issubclass(class_, BaseModel)
    }


def run(
    stage: Stage,
    arguments: list[str],
    program: str,
    configured: Callable[[list[Path]], dict[str, Any]] | None = None,
) -> None:
    """Calls a stage with flags. Raises UserError with a line for each mistake.

    Args:
        stage: its function.
        arguments: the flags.
        program: the command's name, for its help.
        configured: the stage's settings in configuration files, for --configfile.
    """
    first = argparse.ArgumentParser(prog=program, add_help=False, allow_abbrev=False)
    _add_configfile(first)
    files = getattr(first.parse_known_args(arguments)[0], "configfile", None)
    values = configured(files) if configured and files else {}
    parser = argparse.ArgumentParser(prog=program, allow_abbrev=False, formatter_class=Lines)
    describe(stage, parser, values)
    given = vars(parser.parse_args(arguments))
    given.pop("configfile", None)
    file = given.pop("progress", None)
    fields = _fields(stage)
    made = _made(stage, values | {name: _value(text, fields[name].annotation) for name, text in given.items()})
    command = [f"--{name}={value}" for name, value in (values | given).items()]
    with lease(_outputs(made), command) as is_done:
        if not is_done and _launched(stage, made, arguments):
            return
        with progress.job(stage.__name__, file):
            if not is_done:
                stage(**made)


def call(stage: Stage, /, **values: Any) -> None:
    """Calls a stage with plain values, each given to the class that has a field of that name."""
    stage(**_made(stage, values))


def _launched(stage: Stage, made: dict[str, BaseModel], arguments: list[str]) -> bool:
    """Whether the stage was run in other processes, by the function `launch` of its module."""
    launch = getattr(sys.modules[stage.__module__], "launch", None)
    return bool(launch and launch(made["execution"], [stage.__name__, *arguments]))


def _outputs(made: dict[str, BaseModel]) -> list[Path]:
    """The files that a stage writes."""
    files = [value for part in made.values() if isinstance(part, Outputs) for _, value in part]
    return [file for file in files if isinstance(file, Path)]


def _made(stage: Stage, values: dict[str, Any]) -> dict[str, BaseModel]:
    """The classes of a stage's parameters, of plain values. Raises UserError with a line for each mistake."""
    classes = parts(stage)
    unknown = [name for name in values if not any(name in class_.model_fields for class_ in classes.values())]
    if unknown:
        raise TypeError(f"{stage.__name__} has no {', '.join(unknown)}")
    mistakes: list[str] = []
    made: dict[str, BaseModel] = {}
    for parameter, class_ in classes.items():
        own = {name: value for name, value in values.items() if name in class_.model_fields}
        try:
            made[parameter] = class_(**own) if issubclass(class_, Files) else class_.model_validate_json(to_json(own))
        except ValidationError as error:
            mistakes += explain(error, class_)
    if mistakes:
        raise UserError("\n".join(mistakes))
    return made


class Lines(argparse.RawDescriptionHelpFormatter):
    """Leaves the lines of a description as they are."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=30, width=110)


def describe(stage: Stage, parser: argparse.ArgumentParser, values: dict[str, Any] | None = None) -> None:
    """Gives a parser a stage's flags and description; its help shows these values in the place of the defaults."""
    parser.description = stage.__doc__
    titles = {Files: "files", Settings: "settings", Execution: "execution (nothing that the result depends on)"}
    groups = {kind: parser.add_argument_group(title) for kind, title in titles.items()}
    for class_ in parts(stage).values():
        group = next(groups[kind] for kind in titles if issubclass(class_, kind))
        schema = class_.model_json_schema()
        for name, field in class_.model_fields.items():
            several = issubclass(class_, Files) and get_origin(field.annotation) is list
            about = " ".join((field.description or "").split())
            if not issubclass(class_, Files):
                default = (values or {}).get(name, field.default)
                about += f" ({in_words(schema['properties'][name])}; {_default(default, name in (values or {}))})"
            group.add_argument(
                f"--{name}",
                nargs="*" if several else None,
                required=issubclass(class_, Files) and field.is_required(),
                default=argparse.SUPPRESS,
                metavar=_metavar(field.annotation),
                help=about.replace("%", "%%"),
            )
    groups[Execution].add_argument(
        "--progress",
        type=Path,
        metavar="FILE",
        default=argparse.SUPPRESS,
        help="Where to write, while it works, how far it is (JSON).",
    )
    if any(not issubclass(class_, Files) for class_ in parts(stage).values()):
        _add_configfile(parser)


def _add_configfile(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--configfile",
        nargs="+",
        type=Path,
        metavar="FILE",
        default=argparse.SUPPRESS,
        help="take the settings that are not given from these configuration files, as snakemake --configfile does",
    )


def _fields(stage: Stage) -> dict[str, Any]:
    return {name: field for class_ in parts(stage).values() for name, field in class_.model_fields.items()}


def _metavar(annotation: Any) -> str:
    if annotation is Path or Path in get_args(annotation):  # a list of them, or one that may be left out
        return "FILE"
    return "VALUE"


def _default(value: Any, is_configured: bool) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return f"{'configured' if is_configured else 'default'}: {text}"


def _value(text: str | list[str], annotation: Any) -> Any:
    """A flag's text as the value that a configuration would hold."""
    if isinstance(text, list):
        return text
    kinds = get_args(annotation) if get_origin(annotation) is not list else ()
    nullable = type(None) in kinds
    if nullable and text == "null":
        return None
    if annotation in (str, Path) or _is_text(annotation):
        return text
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text  # of the wrong type: the class says what is wanted


def _is_text(annotation: Any) -> bool:
    """Whether an annotation takes text: str, a choice of texts, or one of these or None."""
    if get_origin(annotation) is Annotated:
        return _is_text(get_args(annotation)[0])
    if get_origin(annotation) is Literal:
        return all(isinstance(value, str) for value in get_args(annotation))
    options = [option for option in get_args(annotation) if option is not type(None)]
    return annotation is str or (get_origin(annotation) is not list and len(options) == 1 and _is_text(options[0]))
