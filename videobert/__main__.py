"""The command line: `videobert STAGE --setting value`, one command for each stage of the pipeline.

A stage's function is its command: the arguments' names, types and help come from its signature and docstring, so the
config key, the flag and the argument are one word. The rules of the workflow call these same commands. A few tools stand
beside the stages: `videobert TOOL FILE`.
"""

import importlib
import sys
from collections.abc import Callable

STAGES = {
    "corpus": "read the list of videos: clean ids, shards, train/test split",
    "download": "fetch one shard's videos: URLs, local files, the built-in kitchen",
    "transcribe": "turn one shard's speech into sentences with times",
    "frames": "decode one shard's videos to normalised 20 fps frames",
    "features": "turn one shard's frames into S3D features, one per 1.5 s clip",
    "codebook": "cluster the features of the train videos into visual words",
    "vocabulary": "train or fetch the WordPiece vocabulary of the text",
    "tokens": "turn one shard's sentences and features into joint token sequences",
    "pretrain": "pretrain the joint video-language model",
    "objectives": "measure masked accuracy and alignment on unseen videos",
    "zero_shot": "name the verb and the object of unseen steps, untrained",
    "probe": "name them by linear probes on frozen features",
    "retrieval": "find the video for a text, and the text for a video",
    "captioning": "train decoders that write the sentences of steps, and score them",
    "forecasting": "foretell visual words: the next ones, and those of a text",
    "scaling": "measure what more videos bring: models of shares of them",
    "evaluate": "merge the figures of the tasks",
    "report": "gather everything in one HTML page",
    "ledger": "gather what became of each video in one stage's shards",
}

# Commands beside the pipeline: a person types them, so what they must be given needs no flag. The first five are
# functions of videobert/commands.py.
TOOLS = {
    "fill": "fill the [MASK]s of a sentence with what a video shows",
    "search": "find the seconds in which videos show what a text says",
    "index": "make an index of videos to search in",
    "forecast": "say what a video shows next",
    "caption": "describe a short video in a sentence",
    "discover": "make a list of videos from playlists, channels and searches",
    "retry": "have the next run try again the videos that the download lost",
    "youcook2": "turn YouCook II's annotations into a list of videos and a table of steps",
}

STAGE_NAMES = ("corpus", "download", "transcribe", "frames", "features", "codebook", "vocabulary", "tokens", "pretrain")
# The module of each command.
HOMES = {
    **{name: f"stages.{name}" for name in (*STAGE_NAMES, "retry")},
    **{name: f"evaluation.{name}" for name in ("objectives", "zero_shot", "probe", "retrieval", "captioning")},
    **{name: f"evaluation.{name}" for name in ("forecasting", "scaling", "evaluate", "youcook2")},
    **dict.fromkeys(("fill", "search", "index", "forecast", "caption"), "commands"),
    "report": "report.page",
    "ledger": "data.ledger",
    "discover": "web.discover",
}

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
        print(HELP.format(stages=_listed(STAGES), tools=_listed(TOOLS)))
        return
    if arguments[0] == "--version":
        from videobert import __version__

        print(__version__)
        return
    stage, *rest = arguments
    if stage not in STAGES and stage not in TOOLS:
        from difflib import get_close_matches

        near = get_close_matches(stage, [*STAGES, *TOOLS], 1)
        hint = f"did you mean {near[0]}?" if near else f"the stages are: {', '.join(STAGES)}"
        sys.exit(f"videobert: no stage is called {stage!r}; {hint}")

    from jsonargparse import auto_cli, set_parsing_settings

    from videobert.errors import UserError
    from videobert.process import end_with_workflow

    end_with_workflow()
    set_parsing_settings(docstring_parse_attribute_docstrings=False)
    function = getattr(importlib.import_module(f"videobert.{HOMES[stage]}"), stage)
    try:
        if stage in TOOLS:
            _apply(function, rest, f"videobert {stage}")
        else:
            auto_cli(function, args=rest, as_positional=False, prog=f"videobert {stage}")
    except UserError as error:
        sys.exit(f"videobert {stage}: {error}")


def _apply(function: Callable[..., None], arguments: list[str], program: str) -> None:
    """Calls a function with what a shell gives: several things as several words, --json without a value."""
    import argparse
    import inspect
    from typing import get_args, get_origin

    from docstring_parser import parse
    from jsonargparse import ArgumentParser, DefaultHelpFormatter

    class AsWritten(argparse.RawDescriptionHelpFormatter, DefaultHelpFormatter):
        """Leaves the example's lines as they are."""

    said = parse(function.__doc__)
    about = {parameter.arg_name: parameter.description for parameter in said.params}
    parser = ArgumentParser(
        prog=program,
        description=f"{said.short_description}\n\n{said.long_description}",
        formatter_class=AsWritten,
    )
    wanted = inspect.signature(function).parameters
    several = {
        name: get_args(parameter.annotation)[0]
        for name, parameter in wanted.items()
        if get_origin(parameter.annotation) is list and parameter.default is parameter.empty
    }
    switches = {"json"} & set(wanted)
    parser.add_function_arguments(function, as_group=False, as_positional=True, skip={*several, *switches})
    for name, type_ in several.items():
        parser.add_argument(name, nargs="+", type=type_, help=about[name])
    for name in switches:
        parser.add_argument(f"--{name}", action="store_true", help=about[name])
    function(**vars(parser.parse_args(arguments)))


def _listed(commands: dict[str, str]) -> str:
    return "\n".join(f"  {name:<12}{text}" for name, text in commands.items())


if __name__ == "__main__":
    main()
