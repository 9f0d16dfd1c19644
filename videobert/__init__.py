"""VideoBERT-in-a-box: from a list of videos to a pretrained joint video-language model."""

__version__ = "0.1.0"
