"""The command line: `videobert COMMAND`, one command for each stage of the pipeline, and tools beside them.

A stage's flags are its files and its settings (videobert/cli.py), so the config key, the flag and the field are one word. The
rules of the workflow call these same commands. A tool's arguments are its function's parameters (videobert/tool.py).
"""

import os
import sys
from pathlib import Path
from typing import Any

from videobert.pipeline import RECORDS, STAGES, TOOLS, function

ASKING = {name: tool for name, tool in TOOLS.items() if tool[0] == "commands"}
HELP = """usage: videobert COMMAND ...

Ask a trained model about videos:

{asking}

Prepare a run, and look after it:

{tools}

Run the whole pipeline: snakemake report --cores all
Each of its stages is a command as well, the same that the workflow runs:

{stages}

`videobert help COMMAND` explains a command. A stage's flags are its files and the settings of its section in config.yaml;
--configfile FILE takes their values from a configuration.
"""


def main(arguments: list[str] | None = None) -> None:
    """Runs one command. Errors that the user can mend end in one line and exit code 1."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments[:1] == ["help"]:
        arguments = [*arguments[1:2], "--help"]
    if not arguments or arguments[0] in ("-h", "--help"):
        tools = {name: tool for name, tool in TOOLS.items() if name not in ASKING}
        print(HELP.format(asking=_listed(ASKING), tools=_listed(tools), stages=_listed(STAGES | RECORDS)), end="")
        return
    if arguments[0] == "--version":
        from videobert import __version__

        print(__version__)
        return
    name, *rest = arguments
    if name not in STAGES | RECORDS | TOOLS:
        from difflib import get_close_matches

        near = get_close_matches(name, [*STAGES, *TOOLS], 1)
        hint = f"did you mean {near[0]}?" if near else "videobert help lists them"
        sys.exit(f"videobert: no command is called {name!r}; {hint}")

    from videobert.cli import run
    from videobert.errors import Unfinished, UserError
    from videobert.machine import machine_fault
    from videobert.process import end_with_workflow
    from videobert.tool import apply

    end_with_workflow()
    try:
        if name in TOOLS:
            apply(function(name), rest, f"videobert {name}")
        else:
            run(function(name), rest, f"videobert {name}", lambda files: _configured(files, name))
        sys.stdout.flush()
    except UserError as error:
        said = "\n".join(f"videobert {name}: {line}" for line in str(error).split("\n"))
        if not isinstance(error, Unfinished):
            sys.exit(said)
        if not int(os.environ.get("RANK", 0)):  # of several processes the first speaks
            print(said, file=sys.stderr)
        sys.exit(Unfinished.EXIT_CODE)
    except BrokenPipeError:  # `| head` has read enough; what is left in the buffer must not be tried again at the end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, MemoryError, RuntimeError) as error:
        if isinstance(error, PermissionError) and error.filename:
            sys.exit(f"videobert {name}: {error.filename} may not be read or written: correct its permissions")
        if not (fault := machine_fault(error)):
            raise
        sys.exit(f"videobert {name}: {fault}; what is done is kept, run the same command again")
    except ModuleNotFoundError as error:
        sys.exit(f"videobert {name}: {_missing(error)}")


def _configured(configfile: list[Path], stage: str) -> dict[str, Any]:
    """A stage's settings in a configuration."""
    from videobert.config import of_stage

    return of_stage(configfile, stage)


def _missing(error: ModuleNotFoundError) -> str:
    """What to install when a library is not there: the package alone brings what a trained model needs."""
    library = error.name or str(error)
    if library.startswith("videobert"):
        raise error
    extra = "kitchen" if library.startswith(("hibari", "meeting")) else "pipeline"
    return f"the library {library} is not installed: pip install 'videobert[{extra}]' brings it"


def _listed(commands: dict[str, tuple[str, str]]) -> str:
    return "\n".join(f"  {name:<14}{text}" for name, (_, text) in commands.items())


if __name__ == "__main__":
    main()
