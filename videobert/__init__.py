"""VideoBERT-in-a-box: from a list of videos to a pretrained joint video-language model."""

from typing import Any

from videobert.version import __version__ as __version__


def __getattr__(name: str) -> Any:
    """`from videobert import VideoBert`, without torch for those who do not ask for it."""
    if name == "VideoBert":
        from videobert.api import VideoBert

        return VideoBert
    if name in ("VideoBertConfig", "VideoBertForPreTraining"):
        from videobert.model import modeling_videobert

        return getattr(modeling_videobert, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
