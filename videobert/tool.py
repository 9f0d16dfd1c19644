"""A tool's function as a command: its arguments are the function's parameters, its help the docstring.

`videobert search TEXT --top_k 3` calls `search(text=TEXT, top_k=3)`. A parameter without a default is given by its place, a
list as several words, and one that is False by its flag alone.
"""

import argparse
import inspect
from collections.abc import Callable
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin

from docstring_parser import parse

from videobert.cli import Lines

Tool = Callable[..., None]


def apply(tool: Tool, arguments: list[str], program: str) -> None:
    """Calls a tool with what a shell gives. Exits with code 2 for a mistyped flag or number."""
    parser = argparse.ArgumentParser(prog=program, allow_abbrev=False, formatter_class=Lines)
    describe(tool, parser)
    tool(**vars(parser.parse_args(arguments)))


def describe(tool: Tool, parser: argparse.ArgumentParser) -> None:
    """Gives a parser the tool's arguments and description."""
    documented = parse(tool.__doc__ or "")
    parser.description = "\n\n".join(filter(None, [documented.short_description, documented.long_description]))
    about = {parameter.arg_name: " ".join((parameter.description or "").split()) for parameter in documented.params}
    for parameter in inspect.signature(tool, eval_str=True).parameters.values():
        _add(parser, parameter, about[parameter.name].replace("%", "%%"))


def _add(parser: argparse.ArgumentParser, parameter: inspect.Parameter, about: str) -> None:
    name, default = parameter.name, parameter.default
    if parameter.annotation is bool:
        parser.add_argument(f"--{name}", action="store_true", help=about)
        return
    several = get_origin(parameter.annotation) is list
    choices, type_, metavar = _kind(get_args(parameter.annotation)[0] if several else parameter.annotation)
    if default is parameter.empty:
        nargs = "+" if several else None
        parser.add_argument(name, metavar=name.upper(), choices=choices, type=type_, nargs=nargs, help=about)
        return
    if default is not None:
        about = f"{about.rstrip('.')} (default: {default})"
    parser.add_argument(f"--{name}", metavar=metavar, choices=choices, type=type_, default=default, help=about)


def _kind(annotation: Any) -> tuple[list[Any] | None, Callable[[str], Any], str]:
    """What a value of a type, or of that type or None, may be: (choices, how it is read, what it is called)."""
    if get_origin(annotation) is Literal:
        return list(get_args(annotation)), str, "CHOICE"
    type_ = next((one for one in get_args(annotation) if one is not NoneType), annotation)
    return None, *KINDS[type_]


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None


KINDS: dict[Any, tuple[Callable[[str], Any], str]] = {
    str: (str, "TEXT"),
    Path: (Path, "PATH"),
    int: (_whole, "NUMBER"),
    float: (_number, "NUMBER"),
}
