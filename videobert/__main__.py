"""The command line: `videobert STAGE --setting value`, one command for each stage of the pipeline.

A stage's function is its command: the arguments' names, types and help come from its signature and docstring, so the
config key, the flag and the argument are one word. The rules of the workflow call these same commands. A few tools stand
beside the stages: `videobert TOOL FILE`.
"""

import importlib
import sys

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
    "forecast": "foretell visual words: the next ones, and those of a text",
    "evaluate": "merge the figures of the tasks",
    "report": "gather everything in one HTML page",
    "ledger": "gather what became of each video in one stage's shards",
}

# Commands beside the pipeline: a person types them, so what they must be given needs no flag.
TOOLS = {
    "youcook2": "turn YouCook II's annotations into a list of videos and a table of steps",
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
    function = getattr(importlib.import_module(f"videobert.{stage}"), stage)
    try:
        auto_cli(function, args=rest, as_positional=stage in TOOLS, prog=f"videobert {stage}")
    except UserError as error:
        sys.exit(f"videobert {stage}: {error}")


def _listed(commands: dict[str, str]) -> str:
    return "\n".join(f"  {name:<12}{text}" for name, text in commands.items())


if __name__ == "__main__":
    main()
