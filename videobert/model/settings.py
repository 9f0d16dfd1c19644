"""The settings of what is trained here: of the stage pretrain, and of the task captioning."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from videobert.settings import (
    Count,
    DeviceExecution,
    Dropout,
    NotNegative,
    Positive,
    PositiveShare,
    Seed,
    Settings,
    Share,
    Text,
    divides,
)


class PretrainSettings(Settings):
    """Tokens to a pretrained model."""

    share: PositiveShare = 1.0
    """Share of the train videos that is used, drawn by the seed below; the videos of a smaller share are part of every
    larger one. Lower it to see what fewer videos would do (the task scaling does that by itself, for several
    shares)."""
    initial_model: Text | None = "bert-base-uncased"
    """A BERT to start from: a name on the model hub (bert-base-uncased) or a folder; null starts from random weights,
    which suits a small domain such as the kitchen. For real speech take one, and name the same in vocabulary.tokenizer.
    The four sizes below are then those of the checkpoint, and the values here are ignored; use a small learning_rate
    (1.0e-5 to 1.0e-4)."""
    hidden_size: Annotated[int, Field(ge=8)] = 768
    """Width of the encoder. The four sizes have BERT's own names: BERT-Base 768, 12, 12, 3072; BERT-Large 1024, 24, 16,
    4096."""
    num_hidden_layers: Count = 12
    """Layers of the encoder."""
    num_attention_heads: Count = 12
    """Attention heads of a layer; they divide hidden_size."""
    intermediate_size: Count = 3072
    """Width of the feed-forward layers."""
    max_length: Annotated[int, Field(ge=8)] = 128
    """Longest sequence of [CLS] text [>] video [SEP], in tokens; longer ones are cut. The paper does not give it;
    BERT's limit is 512."""
    dropout: Dropout = 0.1
    """Dropout of hidden states and attention."""
    visual_input: Literal["words", "features", "both"] = "words"
    """What the model reads of a clip: its visual word, as in the paper; its S3D feature; or both. A feature says more than
    the word that it is rounded to: unseen pairs of action and object, and linear classifiers on the model, gain most. What is
    predicted at masked clips are visual words in any case. With features a model needs the tables of features wherever it
    reads videos, and pretraining a copy of the train videos' on disk, 2 KB a clip at 1,024 numbers."""
    visual_embeddings: Literal["centroids", "random"] = "centroids"
    """Initial embeddings of the visual words: centroids (the codebook's, projected to hidden_size, so that similar
    words start near each other), or random."""
    freeze_visual_embeddings: bool = False
    """Do not train these embeddings, which helps when there are few clips per word, as in the kitchen."""
    text_weight: NotNegative = 1.0
    """Weight of masked words in text alone. The paper sums the four objectives, but does not give their weights."""
    video_weight: NotNegative = 1.0
    """Weight of masked visual words in video alone."""
    text_video_weight: NotNegative = 1.0
    """Weight of masked words and visual words in sequences of both."""
    alignment_weight: NotNegative = 1.0
    """Weight of the alignment: whether a text and a video belong together."""
    hard_negatives: Share = 0.0
    """Share of the wrong videos of the alignment that are of the same video as the text, where another sentence belongs. The
    paper has none: they are of other videos. They are what the second stage of retrieval must tell apart."""
    contrastive_weight: NotNegative = 0.0
    """Weight of the contrastive objective (InfoNCE), which the paper does not have: text and video are read apart, and each
    gets a vector; a text's must be nearest to that of its own video among half a batch of others, four segments of each
    video. 0 leaves it, and the two heads for it, out. The pairs are read beside the other sequences, so a step takes longer."""
    regression_weight: NotNegative = 0.0
    """Weight of predicting the features of masked clips (mean squared error), beside their visual words; not in the paper, as
    in HERO (arXiv:2005.00200). 0 leaves it, and the head for it, out."""
    mask_probability: PositiveShare = 0.15
    """Share of the text's tokens that are masked and predicted; 0.15 in BERT. More helps when there is little data."""
    video_mask_probability: PositiveShare = 0.15
    """Share of the visual words that are masked and predicted."""
    video_mask_span: Count = 1
    """Visual words that are masked in a row. 1 as in the paper: a masked clip is then mostly like its neighbours. As many as
    a step has clips asks for the step."""
    video_stride: Count = 1
    """Only every n-th visual word is kept, with a random n from 1 to this number, so that the model sees actions at
    several speeds. The paper's 5 needs long segments; 1 keeps all."""
    lookahead: Annotated[int, Field(ge=0)] = 0
    """Clips after a sentence that are added to its segment, at most, but not beyond the start of the next sentence; the
    number is random. Use it when people speak before they act. 0 keeps to the times of the sentence, as the paper
    does."""
    concatenation: Share = 0.5
    """Probability that a sentence with video is joined with the next one of its video, and with all clips in the time
    of both: the model learns what belongs together over a longer time, and tolerates speech that is not in sync. Raise
    it for videos in which people speak long before or after they act; max_length must then have room for two
    sentences."""
    max_steps: Count = 20_000
    """Training steps. The paper: 500,000."""
    batch_size: Count = 64
    """Sequences per step, over all processes of all nodes. The paper: 128."""
    learning_rate: Positive = 5.0e-5
    """Peak learning rate; it rises linearly over the warm-up, then falls linearly to zero."""
    warmup_steps: Annotated[int, Field(ge=0)] = 1000
    """Steps of the warm-up."""
    weight_decay: NotNegative = 0.01
    """Weight decay of AdamW."""
    bf16: bool = False
    """bfloat16 arithmetic (autocast): faster on recent GPUs."""
    eval_steps: Count | None = None
    """Steps between two measurements of the loss on the validation videos (corpus.validation_fraction). The model gets the
    weights that had the lowest; the report shows their curve. null measures nothing and keeps the last step's weights, as
    without validation videos."""
    seed: Seed = 0
    """Seed of weights, order, masks and dropout."""

    @property
    def needs_features(self) -> bool:
        """Whether the model reads or predicts the clips' features."""
        return self.visual_input != "words" or self.regression_weight > 0

    @model_validator(mode="after")
    def _heads_divide_the_width(self) -> Self:
        return divides("pretrain", self, "hidden_size", "num_attention_heads")


class PretrainExecution(DeviceExecution):
    threads: Count = 2
    """CPU threads of each process."""
    processes: Count = 1
    """Processes on each node: one for each of its GPUs. They share each batch, and train the model that one would."""
    nodes: Count = 1
    """Nodes of a Slurm cluster that train together."""
    gradient_accumulation_steps: Count = 1
    """The share of a batch that a process has is computed in so many parts, one after the other: raise it when a GPU's memory is
    too small. batch_size stays what it is."""
    runtime: Count | None = None
    """Minutes after which it saves a checkpoint and stops, in time to be done with it; the same command goes on. null: in a
    cluster's job the time that the job has, and no limit elsewhere."""
    save_steps: Count = 1000
    """Steps between two checkpoints: a kill loses at most that many. A multiple of logging_steps."""
    logging_steps: Count = 100
    """Steps between two points of the training curve."""

    @model_validator(mode="after")
    def _checkpoints_are_logged(self) -> Self:
        return divides("pretrain", self, "save_steps", "logging_steps")


class CaptioningSettings(Settings):
    """Decoders that write the sentences of steps."""

    template: Text = "now let's [MASK] the [MASK] to the [MASK], and then [MASK] the [MASK]"
    """The sentence that the model reads before a step's clips; the outputs at its [MASK]s are given to the decoder. The
    paper's."""
    hidden_size: Annotated[int, Field(ge=8)] = 128
    """Width of the decoder that writes the sentences; the sizes have BERT's own names. It is trained on the annotated
    train steps only: keep it small for some hundred of them, and raise it for thousands."""
    num_hidden_layers: Count = 1
    """Layers of the decoder."""
    num_attention_heads: Count = 4
    """Attention heads of a layer; they divide hidden_size."""
    intermediate_size: Count = 256
    """Width of the feed-forward layers."""
    dropout: Dropout = 0.2
    """Dropout of the decoder and of its inputs: raise it when captions repeat train sentences."""
    max_length: Annotated[int, Field(ge=8)] = 32
    """Longest caption in word pieces, including its two special tokens; longer ones are cut. Raise it for long
    sentences."""
    max_steps: Count = 250
    """Training steps of each of the five decoders. Use more for more sentences: ten to thirty epochs."""
    train_batch_size: Count = 32
    """Captions per training step."""
    learning_rate: Positive = 0.001
    """Peak learning rate; it rises over the first tenth of the steps, then falls linearly to zero."""
    num_beams: Count = 4
    """Beam size of the search: 1 is greedy and fast, 4 is a little better."""

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if "[MASK]" not in self.template:
            raise ValueError(f"captioning.template is {self.template!r}, but must hold [MASK] at least once")
        return divides("captioning", self, "hidden_size", "num_attention_heads")
