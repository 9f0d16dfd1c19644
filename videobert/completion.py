"""Completion of commands, flags and choices by the shell: `videobert completion`.

The script that is printed holds every flag, so that a shell that completes starts no Python. shtab makes it from the parsers
of the commands.
"""

import argparse
from typing import Any, Literal

from videobert import cli, tool
from videobert.pipeline import RECORDS, STAGES, TOOLS, function

FILES = {"videos", "model"}  # given as text, since they may be something else


def completion(shell: Literal["bash", "zsh", "fish"]) -> None:
    """Print a script that lets a shell complete videobert's commands, flags and choices.

    videobert completion bash > ~/.local/share/bash-completion/completions/videobert
    videobert completion zsh > ~/.zfunc/_videobert        (with fpath+=~/.zfunc before compinit in ~/.zshrc)
    videobert completion fish > ~/.config/fish/completions/videobert.fish

    Print it again after an update: it knows the commands of the version that printed it.

    Args:
        shell: bash, zsh or fish.
    """
    import shtab

    print(shtab.complete(_parser(), shell))


def _parser() -> argparse.ArgumentParser:
    """One parser of all commands."""
    import shtab

    whole = argparse.ArgumentParser(prog="videobert")
    commands = whole.add_subparsers()
    for name, (_, about) in (TOOLS | STAGES | RECORDS).items():
        parser = commands.add_parser(name, help=about)
        if name in TOOLS:
            tool.describe(function(name), parser)
        else:
            cli.describe(function(name), parser)
            _add_choices(function(name), parser)
        parser.description = about  # the line that a shell shows
        for action in parser._actions:
            if action.metavar in ("FILE", "PATH") or action.dest in FILES:
                action.complete = shtab.FILE  # type: ignore[attr-defined]
    commands.add_parser("help", help="explain a command").add_argument("command", choices=[*TOOLS, *STAGES])
    return whole


def _add_choices(stage: cli.Stage, parser: argparse.ArgumentParser) -> None:
    """A setting's choices, which a stage's class checks and its parser does not know."""
    schemas: dict[str, Any] = {}
    for class_ in cli.parts(stage).values():
        schemas |= class_.model_json_schema()["properties"]
    for action in parser._actions:
        schema = schemas.get(action.dest, {})
        choices = [choice for option in (schema, *schema.get("anyOf", [])) for choice in option.get("enum", [])]
        if choices:
            action.choices = choices
