"""The commands: stages, tasks and tools by name, with a line each and the module that holds the function of that name.

Nothing is imported before it is asked for: torch takes seconds.
"""

import importlib
from collections.abc import Callable

STAGES = {
    "corpus": ("stages.corpus", "read the list of videos: clean ids, shards, train/test split"),
    "download": ("stages.download", "fetch one shard's videos: URLs, local files, the built-in kitchen"),
    "transcribe": ("stages.transcribe", "turn one shard's speech into sentences with times"),
    "frames": ("stages.frames", "decode one shard's videos to normalised 20 fps frames"),
    "features": ("stages.features", "turn one shard's frames into S3D features, one per 1.5 s clip"),
    "codebook": ("stages.codebook", "cluster the features of the train videos into visual words"),
    "vocabulary": ("stages.vocabulary", "train or fetch the WordPiece vocabulary of the text"),
    "tokens": ("stages.tokens", "turn one shard's sentences and features into joint token sequences"),
    "pretrain": ("stages.pretrain", "pretrain the joint video-language model"),
    "objectives": ("evaluation.objectives", "measure masked accuracy and alignment on unseen videos"),
    "zero_shot": ("evaluation.zero_shot", "name the verb and the object of unseen steps, untrained"),
    "probe": ("evaluation.probe", "name them by linear probes on frozen features"),
    "retrieval": ("evaluation.retrieval", "find the video for a text, and the text for a video"),
    "captioning": ("evaluation.captioning", "train decoders that describe steps in sentences, and score them"),
    "forecasting": ("evaluation.forecasting", "forecast visual words: the next ones, and those of a text"),
    "scaling": ("evaluation.scaling", "measure what more videos would bring: train models on shares of them"),
    "evaluate": ("evaluation.evaluate", "merge the figures of the tasks"),
    "report": ("report.page", "collect everything in one HTML page"),
}
TASKS = tuple(name for name, (module, _) in STAGES.items() if module.startswith("evaluation.") and name != "evaluate")
# What the workflow writes down beside the stages, in the environment of corpus.
RECORDS = {
    "corpus_ids": ("stages.corpus", "record the list's own ids, for tables that name videos by them"),
    "corpus_ledger": ("stages.corpus", "record what happened to each row of the list, titles and licenses"),
    "ledger": ("data.ledger", "collect what happened to each video in one stage's shards"),
}
# Commands beside the pipeline: a person types them, so what they must be given needs no flag.
TOOLS = {
    "fill": ("commands", "fill the [MASK]s of a sentence with what a video shows"),
    "search": ("commands", "find the seconds in which videos show what a text says"),
    "index": ("commands", "make an index of videos to search in"),
    "forecast": ("commands", "predict what a video shows next"),
    "caption": ("commands", "describe a short video in a sentence"),
    "init": ("init", "make a folder for your own videos, with settings that fit them and this machine"),
    "doctor": ("doctor", "check that this machine has what a run needs"),
    "discover": ("web.discover", "make a list of videos from playlists, channels and searches"),
    "weights": ("weights", "fetch the pretrained weights that a configuration names"),
    "status": ("status.command", "show how far a run is: stages, losses, failures, hours of GPU"),
    "retry": ("stages.retry", "mark lost videos, so that the next run tries them again"),
    "youcook2": ("evaluation.youcook2", "turn YouCook II's annotations into a list of videos and a table of steps"),
    "upgrade": ("upgrade", "bring results of an older version up to date"),
    "workflow": ("workflow", "print where the Snakefile lies"),
    "config": ("config", "print a configuration with every setting, explained"),
    "completion": ("completion", "print a script that lets a shell complete commands and flags"),
}
# What each stage up to the model reads, in the order of the pipeline.
READS: dict[str, tuple[str, ...]] = {
    "corpus": (),
    "download": ("corpus",),
    "transcribe": ("download",),
    "frames": ("download",),
    "features": ("frames",),
    "codebook": ("features",),
    "vocabulary": ("transcribe",),
    "tokens": ("transcribe", "features", "codebook", "vocabulary"),
    "pretrain": ("tokens", "codebook", "vocabulary", "features", "frames"),
}


def below(stages: set[str]) -> list[str]:
    """These stages and all that read them, directly or through others, in the order of the pipeline."""
    found: set[str] = set()
    measuring = dict.fromkeys(TASKS, ("pretrain",)) | {"evaluate": TASKS, "report": ("evaluate",)}
    for stage, reads in (READS | measuring).items():
        if stage in stages or found & {*reads}:
            found.add(stage)
    return [stage for stage in STAGES if stage in found]


def stage_of(rule: str) -> str:
    """The stage whose job a rule is: download_shard is one of download's."""
    return next((stage for stage in STAGES if rule == stage or rule.startswith(f"{stage}_")), rule)


def is_record(rule: str) -> bool:
    """Whether a rule only writes down what the jobs of its stage did."""
    return rule.endswith(("_ledger", "_ids"))


def function(name: str) -> Callable[..., None]:
    """The function of a command."""
    module, _ = (STAGES | RECORDS | TOOLS)[name]
    found: Callable[..., None] = getattr(importlib.import_module(f"videobert.{module}"), name)
    return found


def version(stage: str) -> int:
    """The VERSION of a stage: raised when its output changes meaning."""
    number: int = importlib.import_module(f"videobert.{STAGES[stage][0]}").VERSION
    return number
