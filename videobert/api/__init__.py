"""What a trained model is for: from a raw video file to an answer, in Python.

    from videobert import VideoBert

    model = VideoBert.from_pretrained("results/pretrain")
    model.fill("now let me show you how to [MASK] the [MASK].", "clip.mp4")

    arguments.py   what a caller may give, checked before anything slow begins
    folder.py      the folder of a model: found here or on the hub, and written anew
    videos.py      a raw video file as clips: their features and visual words
    matching.py    how well texts fit videos
    index.py       an index of many videos
    model.py       VideoBert, which answers
    answers.py     what it returns

The commands `videobert fill`, `forecast`, `caption`, `index` and `search` (videobert/commands.py) ask the same methods.
"""

from videobert.api.answers import Clips, Embedding, Found, NextWord
from videobert.api.model import VideoBert

__all__ = ["Clips", "Embedding", "Found", "NextWord", "VideoBert"]
