"""The command line: `videobert STAGE --setting value`, one command for each stage of the pipeline.

A stage's flags are its files and its settings (videobert/cli.py), so the config key,
the flag and the field are one word. The rules of the workflow call these same commands. A few tools stand beside the
stages: `videobert TOOL FILE`.
"""

import os
import sys
from collections.abc import Callable

from videobert.pipeline import RECORDS, STAGES, TOOLS, function

HELP = """usage: videobert STAGE [--setting value ...]

The stages of the pipeline, in order. Each is a command of its own, the same that the workflow runs:

{stages}

videobert STAGE --help explains a stage's settings; they are those of its section in config.yaml.
To run the whole pipeline: snakemake --cores all report

Beside the pipeline (videobert TOOL --help explains it):

{tools}
"""


def main(arguments: list[str] | None = None) -> None:
    """Runs one stage. Errors that the user can mend end in one line and exit code 1."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if not arguments or arguments[0] in ("-h", "--help"):
        print(HELP.format(stages=_listed(STAGES | RECORDS), tools=_listed(TOOLS)))
        return
    if arguments[0] == "--version":
        from videobert import __version__

        print(__version__)
        return
    stage, *rest = arguments
    if stage not in STAGES | RECORDS | TOOLS:
        from difflib import get_close_matches

        near = get_close_matches(stage, [*STAGES, *TOOLS], 1)
        hint = f"did you mean {near[0]}?" if near else f"the stages are: {', '.join(STAGES)}"
        sys.exit(f"videobert: no stage is called {stage!r}; {hint}")

    from videobert.cli import run
    from videobert.errors import UserError
    from videobert.machine import machine_fault
    from videobert.process import end_with_workflow

    end_with_workflow()
    try:
        if stage in TOOLS:
            _apply(function(stage), rest, f"videobert {stage}")
        else:
            run(function(stage), rest, f"videobert {stage}")
        sys.stdout.flush()
    except UserError as error:
        sys.exit("\n".join(f"videobert {stage}: {line}" for line in str(error).split("\n")))
    except BrokenPipeError:  # `| head` has read enough; what is left in the buffer must not be tried again at the end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, MemoryError, RuntimeError) as error:
        if isinstance(error, PermissionError) and error.filename:
            sys.exit(f"videobert {stage}: {error.filename} may not be read or written: correct its permissions")
        if not (fault := machine_fault(error)):
            raise
        sys.exit(f"videobert {stage}: {fault}; what is done is kept, run the same command again")
    except ModuleNotFoundError as error:
        sys.exit(f"videobert {stage}: {_missing(error)}")


def _apply(tool: Callable[..., None], arguments: list[str], program: str) -> None:
    """Calls a function with what a shell gives: several things as several words, --json without a value."""
    import argparse
    import inspect
    from typing import get_args, get_origin

    from docstring_parser import parse
    from jsonargparse import ArgumentParser, DefaultHelpFormatter, set_parsing_settings

    set_parsing_settings(docstring_parse_attribute_docstrings=False)

    class AsWritten(argparse.RawDescriptionHelpFormatter, DefaultHelpFormatter):
        """Leaves the example's lines as they are."""

    documented = parse(tool.__doc__)
    about = {parameter.arg_name: parameter.description for parameter in documented.params}
    parser = ArgumentParser(
        prog=program,
        description=f"{documented.short_description}\n\n{documented.long_description}",
        formatter_class=AsWritten,
    )
    wanted = inspect.signature(tool).parameters
    several = {
        name: get_args(parameter.annotation)[0]
        for name, parameter in wanted.items()
        if get_origin(parameter.annotation) is list and parameter.default is parameter.empty
    }
    switches = {"json", "kitchen", "schema", "reference"} & set(wanted)
    parser.add_function_arguments(tool, as_group=False, as_positional=True, skip={*several, *switches})
    for name, type_ in several.items():
        parser.add_argument(name, nargs="+", type=type_, help=about[name])
    for name in switches:
        parser.add_argument(f"--{name}", action="store_true", help=about[name])
    tool(**vars(parser.parse_args(arguments)))


def _missing(error: ModuleNotFoundError) -> str:
    """What to install when a library is not there: the package alone brings what a trained model needs."""
    name = error.name or str(error)
    if name.startswith("videobert"):
        raise error
    extra = "kitchen" if name.startswith(("hibari", "meeting")) else "pipeline"
    return f"the library {name} is not installed: pip install 'videobert[{extra}]' brings it"


def _listed(commands: dict[str, tuple[str, str]]) -> str:
    return "\n".join(f"  {name:<14}{text}" for name, (_, text) in commands.items())


if __name__ == "__main__":
    main()
