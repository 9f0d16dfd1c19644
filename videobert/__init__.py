"""VideoBERT-in-a-box: from a list of videos to a pretrained joint video-language model.

    from videobert import VideoBert

    model = VideoBert.from_pretrained("results/pretrain")    # a folder, or user/model on the hub
    model.fill("now let me show you how to [MASK] the [MASK].", "clip.mp4", start=12, end=18)
    model.similarity(["slice the onion", "stir the soup"], ["a.mp4", "b.mp4"])
    model.index(["a.mp4", "b.mp4"], "index")
    model.search("slice the onion", "index")

VideoBert                 a trained model with all that a raw video needs; help(VideoBert) has its methods
VideoBertForPreTraining   the network inside, a model of transformers
VideoBertConfig           its configuration

The modules below are the pipeline. Each floor uses those below it:

    api/, commands.py     what a trained model is for, in Python and from the shell
    upgrade.py            results of an earlier version, brought up to date
    upstream.py           what a run shares with a finished one
    screen/               what the screen shows while the workflow runs
    config.py             the configuration
    stages/               the stages of the pipeline, a module for each rule
    evaluation/           the tasks of the evaluation, a module each
    report/               the page that shows everything
    model/                the network, its input, its training; transformers is used here
    vision/               S3D and its features, the quantizer
    speech/               Whisper, sentences, captions
    web/                  videos from sites; yt-dlp is used here
    kitchen/              the built-in corpus
    media/                video files in bounded processes; PyAV and ffmpeg are used here
    data/                 provenance, ledgers, tables, the columns of every file, the manifest
    printing.py           tables, JSON and CSV of the tools
    cli.py, tool.py       stages and tools as commands; completion.py: for the shell
    pipeline.py           the commands by name; workflow.py: where the Snakefile lies; process.py, devices.py: locks and devices
    settings.py           what a setting is
    progress.py           how far a job is; amounts.py: durations, rates and counts in words
    layout.py, errors.py  the files of a run; the two kinds of errors, and the words of the ledgers
"""

from typing import TYPE_CHECKING, Any

from videobert.version import __version__ as __version__

if TYPE_CHECKING:
    from videobert.api import VideoBert
    from videobert.model.configuration_videobert import VideoBertConfig
    from videobert.model.modeling_videobert import VideoBertForPreTraining

__all__ = ["VideoBert", "VideoBertConfig", "VideoBertForPreTraining"]


def __dir__() -> list[str]:
    return [*__all__, "__version__"]


def __getattr__(name: str) -> Any:
    """`from videobert import VideoBert`, without torch for those who do not ask for it."""
    if name == "VideoBert":
        from videobert.api import VideoBert

        return VideoBert
    if name in ("VideoBertConfig", "VideoBertForPreTraining"):
        from videobert.model import modeling_videobert

        return getattr(modeling_videobert, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
