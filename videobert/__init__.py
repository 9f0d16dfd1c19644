"""VideoBERT-in-a-box: from a list of videos to a pretrained joint video-language model."""

from typing import Any

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """`from videobert import VideoBert`, without torch for those who do not ask for it."""
    if name == "VideoBert":
        from videobert.api import VideoBert

        return VideoBert
    if name in ("VideoBertConfig", "VideoBertForPreTraining"):
        from videobert.model import modeling_videobert

        return getattr(modeling_videobert, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
