"""The configuration of VideoBERT."""

from transformers import BertConfig


class VideoBertConfig(BertConfig):
    """BERT's configuration (`vocab_size` counts the text vocabulary), with `visual_words`, the loss weights, and how the
    model was trained to see a sentence's video: with up to `lookahead` clips that follow it. With a `contrastive_weight`
    above 0 the model has two more heads, which give a text and a video each a vector. `feature_size` is that of a clip's
    feature, where the model reads features (`visual_input`: "words", "features" or "both") or predicts them
    (`regression_weight` above 0); else 0.

    A visual word is a number of `visual_levels` digits in base `visual_branching`, one for each level of a residual codebook. A
    level has an embedding for each digit: a word's is the sum, and each digit is predicted by itself. The words of a tree have
    one level, and an embedding each."""

    model_type = "videobert"

    visual_words: int = 20736
    visual_levels: int = 1
    text_weight: float = 1.0
    video_weight: float = 1.0
    text_video_weight: float = 1.0
    alignment_weight: float = 1.0
    contrastive_weight: float = 0.0
    regression_weight: float = 0.0
    visual_input: str = "words"
    feature_size: int = 0
    lookahead: int = 0

    @property
    def visual_branching(self) -> int:
        """Embeddings of a level: `visual_words` is this to the power of `visual_levels`."""
        branching: int = round(self.visual_words ** (1 / self.visual_levels))
        return branching
