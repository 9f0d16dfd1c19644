"""VideoBERT: one transformer encoder over words and visual words (Sun et al. 2019, arXiv:1904.01766, section 3.2).

The input is `[CLS] text [>] video [SEP]`; a row of text alone is `[CLS] text [SEP]`, of video alone
`[CLS] [>] video [SEP]`. Ids are joint: 0..V-1 are the text vocabulary (with all special tokens), visual word w is
V + w. Each modality has its own table of embeddings; positions, token types (0 text, 1 video) and the encoder are
shared and are BERT's, taken from transformers. On top stand a head for masked words, a head for masked visual words
(separate transforms, decoders tied to the two tables, each a softmax over its own modality) and an alignment head on
[CLS]. The paper leaves the weights of its objectives open; here they are settings of the config.

What the paper does not have is off by default. Of a residual codebook (`visual_levels` above 1) a visual word is a combination of
centroids, one of each level: its embedding is the sum of theirs, and each level is predicted by itself. With `visual_input`
"features" or "both" a clip's S3D feature is read in place of its visual word, or beside it. A `contrastive_weight` above 0 adds
vectors of texts and of videos that are read apart, a `regression_weight` a head that predicts the features of masked clips.

Nothing is computed twice or for nothing. Logits are computed at masked positions only: with 20,736 visual words the full
logits would cost more than the encoder. Padding is taken out before the embeddings and put back after the encoder (as in
ModernBERT, Warner et al. 2024): the batch's tokens stand in one row, and sequences are told apart in attention alone.

Importing this module registers the classes with transformers' AutoConfig, AutoModel and AutoModelForPreTraining.
"""

import functools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.distributed.nn.functional import all_gather
from torch.nn import functional as F
from transformers import (
    AttentionInterface,
    AutoConfig,
    AutoModel,
    AutoModelForPreTraining,
    PreTrainedModel,
)
from transformers import initialization as init
from transformers.modeling_outputs import BaseModelOutput
from transformers.models.bert.modeling_bert import BertEncoder, BertPredictionHeadTransform
from transformers.utils import ModelOutput, can_return_tuple

from .configuration_videobert import VideoBertConfig

TEXT, VIDEO = 0, 1
IGNORE = -100
LOGIT_SCALE = math.log(
    1 / 0.07
)  # log of the inverse temperature that the contrastive objective starts with, as in CLIP
LARGEST_SCALE = math.log(100)
ROWS = 2**14  # features that are summed up at a time


@dataclass
class VideoBertForPreTrainingOutput(ModelOutput):
    """What `VideoBertForPreTraining` returns. Each loss is a mean; a part without a target in the batch is None.

    Attributes:
        loss: the mean over all masked tokens, each times its objective's weight, plus the weighted alignment loss.
        text_loss: masked words of text-only rows.
        video_loss: masked visual words of video-only rows.
        text_video_loss: masked words and visual words of rows with both.
        alignment_loss: does the text belong to the video?
        contrastive_loss: which text of the batch belongs to which video, read apart from each other?
        regression_loss: the squared error of the features of masked clips, as a share of their variance.
        text_logits: (masked words of the batch in row-major order, vocab_size).
        video_logits: (masked visual words of the batch in row-major order, visual_words); of a residual codebook
            (…, visual_levels * visual_branching), as `VideoBertForPreTraining.video_logits` gives them.
        alignment_logits: (batch,), positive when text and video belong together.
        last_hidden_state: (batch, length, hidden_size).
        hidden_states: with output_hidden_states, what each layer reads and what the last gives, shaped as
            last_hidden_state.
    """

    loss: torch.Tensor | None = None
    text_loss: torch.Tensor | None = None
    video_loss: torch.Tensor | None = None
    text_video_loss: torch.Tensor | None = None
    alignment_loss: torch.Tensor | None = None
    contrastive_loss: torch.Tensor | None = None
    regression_loss: torch.Tensor | None = None
    text_logits: torch.Tensor | None = None
    video_logits: torch.Tensor | None = None
    alignment_logits: torch.Tensor | None = None
    last_hidden_state: torch.Tensor | None = None
    hidden_states: tuple[torch.Tensor, ...] | None = None


class Layout:
    """Where a padded batch's tokens are: takes the padding out of (batch, length, ...), and puts it back.

    `rows` and `columns` are the places of the tokens in the padded batch, in row-major order.
    """

    def __init__(self, attention_mask: torch.Tensor):
        is_token = attention_mask.bool()
        self.shape = is_token.shape
        self.rows, self.columns = is_token.nonzero(as_tuple=True)
        # (batch, 1, 1, length), to be added to scores of attention.
        self.bias = torch.zeros(is_token.shape, device=is_token.device).masked_fill_(~is_token, -torch.inf)[
            :, None, None
        ]

    def unpad(self, padded: torch.Tensor) -> torch.Tensor:
        """(batch, length, ...) to (tokens, ...)."""
        return padded[self.rows, self.columns]

    def pad(self, tokens: torch.Tensor) -> torch.Tensor:
        """(tokens, ...) to (batch, length, ...), zeros in the padding."""
        return tokens.new_zeros(*self.shape, *tokens.shape[1:]).index_put((self.rows, self.columns), tokens)


class Dropout(nn.Dropout):
    """nn.Dropout; on a CPU with a byte of randomness for each number, a quarter of the time.

    There the probability is rounded to a multiple of 1/256: 0.1 becomes 0.1016."""

    def forward(self, numbers: torch.Tensor) -> torch.Tensor:
        return drop(numbers, self.p) if self.training else numbers


def drop(numbers: torch.Tensor, probability: float) -> torch.Tensor:
    cut = round(256 * probability)
    if not numbers.is_cpu or not 0 < cut < 256:
        return F.dropout(numbers, probability)
    noise = torch.empty((numbers.numel() + 7) // 8, dtype=torch.int64).random_(-(2**63), None).view(torch.uint8)
    kept = noise[: numbers.numel()].view(numbers.shape) >= cut
    return numbers * (kept.to(numbers.dtype) * (256 / (256 - cut)))


def attention(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: None,
    dropout: float = 0.0,
    scaling: float | None = None,
    *,
    layout: Layout,
    **others: object,
) -> tuple[torch.Tensor, None]:
    """Attention within each sequence of an unpadded batch, as transformers' AttentionInterface wants it.

    Args:
        module: the layer that asks.
        query: (1, heads, tokens, size of a head), all sequences in one row; key and value likewise.
        attention_mask: not used, the layout says it.
        dropout: probability.
        scaling: factor of the scores; one over the root of a head's size when left out.
        layout: where the tokens are.
    """
    scaling = query.shape[-1] ** -0.5 if scaling is None else scaling
    query, key, value = (layout.pad(part[0].transpose(0, 1)).transpose(1, 2) for part in (query, key, value))
    if dropout and query.is_cpu:
        # Torch's own falls back to this with dropout, with a slower dropout; and its bfloat16 kernel is slow to train.
        scores = (query @ key.transpose(-1, -2)).float() * scaling + layout.bias
        mixed = drop(scores.softmax(-1), dropout).to(value.dtype) @ value
    else:
        bias = layout.bias.to(query.dtype)
        mixed = F.scaled_dot_product_attention(query, key, value, bias, dropout_p=dropout, scale=scaling)
    return layout.unpad(mixed.transpose(1, 2)).unsqueeze(0), None


AttentionInterface.register("unpadded", attention)


class VideoBertEmbeddings(nn.Module):
    """Sum of word or visual word, position and token type; then LayerNorm and dropout, as in BERT."""

    def __init__(self, config: VideoBertConfig):
        super().__init__()
        self.text = nn.Embedding(config.vocab_size, config.hidden_size, padding_idx=config.pad_token_id)
        self.levels, self.branching = config.visual_levels, config.visual_branching
        self.video = nn.Embedding(self.levels * self.branching, config.hidden_size)
        self.position = nn.Embedding(config.max_position_embeddings, config.hidden_size)
        self.token_type = nn.Embedding(config.type_vocab_size, config.hidden_size)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        self.standardise = Standardise(config.feature_size) if config.feature_size else None
        self.feature = FeatureEmbedding(config) if config.visual_input != "words" else None
        self.reads_words = config.visual_input != "features"

    def forward(
        self,
        input_ids: torch.Tensor | None,
        token_type_ids: torch.Tensor,
        position_ids: torch.Tensor,
        inputs_embeds: torch.Tensor | None = None,
        features: torch.Tensor | None = None,
    ) -> torch.Tensor:
        tokens = self.look_up(input_ids, features) if input_ids is not None else inputs_embeds
        tokens = tokens + self.position(position_ids)
        hidden: torch.Tensor = self.dropout(self.LayerNorm(tokens + self.token_type(token_type_ids)))
        return hidden

    def look_up(self, input_ids: torch.Tensor, features: torch.Tensor | None = None) -> torch.Tensor:
        """Joint ids, and the features of the clips among them, to vectors of words and clips (..., hidden_size)."""
        # Each id is looked up in both tables, with a harmless index in the one it does not belong to: two lookups
        # cost less than building the joint table, and boolean indexing would make a GPU wait for the mask's count.
        words = self.text.num_embeddings
        visual = (input_ids >= words).unsqueeze(-1)
        text = self.text(input_ids.clamp(max=words - 1))
        digits = digits_of((input_ids - words).clamp(min=0), self.levels, self.branching)
        video = functools.reduce(
            torch.add, [self.video(level * self.branching + digit) for level, digit in enumerate(digits)]
        )
        if self.feature is not None and self.standardise is not None:
            if features is None:  # no clip is shown, but distributed training waits for each parameter's gradient
                features = text.new_zeros(0, self.feature.projection.in_features)
            seen = self.feature(self.standardise(features)).to(text.dtype)
            placed = torch.zeros_like(text).masked_scatter(visual, seen)
            video = video + placed if self.reads_words else placed
        return torch.where(visual, video, text)


def digits_of(words: torch.Tensor, levels: int, branching: int) -> list[torch.Tensor]:
    """Visual words, of any shape, as numbers of so many digits: the digits, each of that shape, the first level's first."""
    digits = []
    for _ in range(levels - 1):
        digits.append(words % branching)
        words = words // branching
    return [words, *reversed(digits)]


class Standardise(nn.Module):
    """Features to numbers of mean 0 and deviation 1, by what the train clips have: (..., size)."""

    mean: torch.Tensor
    deviation: torch.Tensor

    def __init__(self, size: int):
        super().__init__()
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("deviation", torch.ones(size))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return (features.float() - self.mean) / self.deviation


class FeatureEmbedding(nn.Module):
    """Clips' standardised features to vectors as large as a visual word's embedding.

    A projection that may grow drowns the positions that are added to it: after some thousand steps nothing would be left of the
    clips' order. So each vector is normalised, and as large as a visual word's is at the start. (A size that is learnt triples.)
    """

    def __init__(self, config: VideoBertConfig):
        super().__init__()
        self.projection = nn.Linear(config.feature_size, config.hidden_size, bias=False)
        self.size = config.initializer_range

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """(clips, feature_size) to (clips, hidden_size)."""
        projected = self.projection(features)
        vectors: torch.Tensor = F.layer_norm(projected, projected.shape[-1:]) * self.size
        return vectors


class VideoBertPreTrainedModel(PreTrainedModel):
    config: VideoBertConfig
    config_class = VideoBertConfig
    base_model_prefix = "videobert"
    supports_gradient_checkpointing = True
    _no_split_modules = ["VideoBertEmbeddings", "BertLayer"]

    def get_correct_attn_implementation(self, requested_attention: str | None, is_init_check: bool = False) -> str:
        """There is one: sequences are told apart in attention, so it must know where they are."""
        return "unpadded"

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)  # type: ignore[no-untyped-call]  # transformers' own has no types
        if isinstance(module, VideoBertForPreTraining):
            init.zeros_(module.text_bias)
            init.zeros_(module.video_bias)
            if module.config.contrastive_weight:
                init.constant_(module.logit_scale, LOGIT_SCALE)


class VideoBertModel(VideoBertPreTrainedModel):
    """Embeddings and encoder: joint ids to hidden states."""

    def __init__(self, config: VideoBertConfig):
        super().__init__(config)
        self.embeddings = VideoBertEmbeddings(config)
        self.encoder = BertEncoder(config)
        for module in list(self.modules()):
            for name, child in module.named_children():
                if type(child) is nn.Dropout:
                    setattr(module, name, Dropout(child.p))
        self.post_init()

    def get_input_embeddings(self) -> nn.Embedding:
        return self.embeddings.text

    def set_input_embeddings(self, value: Any) -> None:
        self.embeddings.text = value

    def token_types(self, input_ids: torch.Tensor) -> torch.Tensor:
        """Joint ids to token types: 1 from the first visual word on."""
        return (input_ids >= self.config.vocab_size).long().cummax(1).values

    @can_return_tuple  # type: ignore[untyped-decorator]  # transformers' own has no types
    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        token_type_ids: torch.Tensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        output_hidden_states: bool | None = None,
        output_attentions: bool | None = None,
        features: torch.Tensor | None = None,
    ) -> BaseModelOutput:
        """See `VideoBertForPreTraining.forward`. Returns `last_hidden_state` of shape (batch, length, hidden_size)."""
        attention_mask, token_type_ids = self.complete(input_ids, attention_mask, token_type_ids, inputs_embeds)
        if self.config.output_attentions if output_attentions is None else output_attentions:
            raise ValueError("VideoBERT's attention keeps no weights to give: leave out output_attentions")
        layout = Layout(attention_mask)
        ids, vectors = (None if given is None else layout.unpad(given) for given in (input_ids, inputs_embeds))
        hidden = self.embeddings(ids, layout.unpad(token_type_ids), layout.columns, vectors, features).unsqueeze(0)
        wanted = self.config.output_hidden_states if output_hidden_states is None else output_hidden_states
        states = [hidden] if wanted else []
        for layer in self.encoder.layer:
            hidden = layer(hidden, layout=layout)
            if wanted:
                states.append(hidden)
        if not wanted:
            return BaseModelOutput(layout.pad(hidden.squeeze(0)))
        padded = tuple(layout.pad(state.squeeze(0)) for state in states)
        return BaseModelOutput(padded[-1], hidden_states=padded)

    def complete(
        self,
        input_ids: torch.Tensor | None,
        attention_mask: torch.Tensor | None,
        token_type_ids: torch.Tensor | None,
        inputs_embeds: torch.Tensor | None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The attention mask and the token types, made where they were left out."""
        given = inputs_embeds[..., 0] if input_ids is None and inputs_embeds is not None else input_ids
        if given is None or (input_ids is not None and inputs_embeds is not None):
            raise ValueError("VideoBERT reads either input_ids or inputs_embeds: give one of them")
        if attention_mask is None:
            attention_mask = torch.ones_like(given, dtype=torch.long)
        if token_type_ids is None:
            by_ids = input_ids is not None
            token_type_ids = self.token_types(given) if by_ids else torch.zeros_like(given, dtype=torch.long)
        return attention_mask, token_type_ids


class VideoBertForPreTraining(VideoBertPreTrainedModel):
    """VideoBERT with its three heads and the weighted sum of its objectives."""

    _tied_weights_keys = {
        "text_decoder.weight": "videobert.embeddings.text.weight",
        "video_decoder.weight": "videobert.embeddings.video.weight",
    }

    def __init__(self, config: VideoBertConfig):
        super().__init__(config)
        self.videobert = VideoBertModel(config)
        self.text_transform = BertPredictionHeadTransform(config)
        self.video_transform = BertPredictionHeadTransform(config)
        self.text_decoder = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        centroids = config.visual_levels * config.visual_branching  # of a tree the leaves
        self.video_decoder = nn.Linear(config.hidden_size, centroids, bias=False)
        self.text_bias = nn.Parameter(torch.zeros(config.vocab_size))
        self.video_bias = nn.Parameter(torch.zeros(centroids))
        self.alignment = nn.Linear(config.hidden_size, 1)
        if config.contrastive_weight:
            self.text_projection = nn.Linear(config.hidden_size, config.hidden_size, bias=False)
            self.video_projection = nn.Linear(config.hidden_size, config.hidden_size, bias=False)
            self.logit_scale = nn.Parameter(torch.tensor(LOGIT_SCALE))
        if config.regression_weight:
            self.feature_transform = BertPredictionHeadTransform(config)
            self.feature_decoder = nn.Linear(config.hidden_size, config.feature_size)
        self.post_init()

    def get_output_embeddings(self) -> nn.Linear:
        return self.text_decoder

    def set_output_embeddings(self, value: nn.Linear) -> None:
        self.text_decoder = value

    def resize_token_embeddings(
        self, new_num_tokens: int | None = None, pad_to_multiple_of: int | None = None, mean_resizing: bool = True
    ) -> nn.Embedding:
        """As transformers has it: another number of words. Joint ids of visual words move with it, as `vocab_size` does."""
        table = super().resize_token_embeddings(new_num_tokens, pad_to_multiple_of, mean_resizing)
        bias = torch.zeros(self.config.vocab_size, dtype=self.text_bias.dtype, device=self.text_bias.device)
        kept = min(len(bias), len(self.text_bias))
        bias[:kept] = self.text_bias.data[:kept]
        self.text_bias = nn.Parameter(bias, self.text_bias.requires_grad)
        return table

    def text_logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Hidden states (..., hidden_size) to scores of the words (..., vocab_size)."""
        scores: torch.Tensor = self.text_decoder(self.text_transform(hidden)) + self.text_bias
        return scores

    def video_logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Hidden states (..., hidden_size) to scores of the visual words (..., visual_words); of a residual codebook to those of
        each level's centroids, one level after the other, (..., visual_levels * visual_branching)."""
        scores: torch.Tensor = self.video_decoder(self.video_transform(hidden)) + self.video_bias
        return scores

    def text_vectors(self, hidden: torch.Tensor) -> torch.Tensor:
        """Hidden states (batch, length, hidden_size) of texts alone to vectors of length 1 (batch, hidden_size)."""
        # The padding is zero, so it only makes the mean shorter.
        return F.normalize(self.text_projection(hidden.mean(1)), dim=-1)

    def video_vectors(self, hidden: torch.Tensor) -> torch.Tensor:
        """The same of videos alone: the product with a text's vector says how well they go together."""
        return F.normalize(self.video_projection(hidden.mean(1)), dim=-1)

    @can_return_tuple  # type: ignore[untyped-decorator]
    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        token_type_ids: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        alignment: torch.Tensor | None = None,
        pairs: torch.Tensor | None = None,
        targets: torch.Tensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        output_hidden_states: bool | None = None,
        output_attentions: bool | None = None,
        features: torch.Tensor | None = None,
        feature_labels: torch.Tensor | None = None,
    ) -> VideoBertForPreTrainingOutput:
        """Encodes joint sequences; with targets, computes the losses.

        Args:
            input_ids: (batch, length) joint ids.
            attention_mask: (batch, length), 1 for tokens, 0 for padding; all ones when left out.
            token_type_ids: (batch, length), 0 for [CLS], text and [>], 1 for video and its [SEP]. Needed when the
                first visual word is masked (a mask has no modality of its own); otherwise derived from the ids.
            labels: (batch, length) joint ids where a token is to be predicted, -100 elsewhere.
            alignment: (batch,) 1 when text and video belong together, 0 when not, -100 for no target.
            pairs: (pairs,) for the contrastive objective, numbers: the same pair has the same one. The last rows of the batch
                are the pairs' texts, and after them their videos, in the same order.
            targets: when this is one of N equal shares of a batch, the sum of `count_targets` over all of them, divided
                by N. Each loss is then such that its mean over the shares is the loss of the whole batch; a part
                without a target here is 0.
            inputs_embeds: (batch, length, hidden_size) instead of the ids, as `videobert.embeddings.look_up` gives them; the
                token types are then 0, text, when left out.
            output_hidden_states: whether to return what each layer reads, too.
            output_attentions: not there; attention keeps no weights.
            features: (clips, feature_size), S3D's, of the visual words among the ids in row-major order; for a model whose
                `visual_input` is not "words".
            feature_labels: (masked clips, feature_size), of the clips that are to be predicted, in row-major order; for a model
                with a `regression_weight`.

        With return_dict=False it returns a tuple of what is there, as any model of transformers.
        """
        given = (input_ids, attention_mask, token_type_ids, inputs_embeds)
        attention_mask, token_type_ids = self.videobert.complete(*given)
        encoded = self.videobert(
            input_ids,
            attention_mask,
            token_type_ids,
            inputs_embeds,
            output_hidden_states,
            output_attentions,
            features,
            return_dict=True,
        )
        hidden: torch.Tensor = encoded.last_hidden_state
        alignment_logits: torch.Tensor = self.alignment(hidden[:, 0]).squeeze(-1)
        output = VideoBertForPreTrainingOutput(
            alignment_logits=alignment_logits, last_hidden_state=hidden, hidden_states=encoded.hidden_states
        )
        if labels is None and alignment is None and pairs is None:
            return output
        # Never without the alignment head, for the same reason as below.
        output.loss = loss = 0.0 * alignment_logits.float().sum()
        if labels is not None:
            masked = self._masked_losses(output, hidden, attention_mask, token_type_ids, labels, targets)
            output.loss = loss = loss + masked
        if alignment is not None:
            known = alignment != IGNORE
            scores, truth = alignment_logits[known].float(), alignment[known].float()
            if targets is not None:
                losses = F.binary_cross_entropy_with_logits(scores, truth, reduction="none")
                output.alignment_loss = _over(losses, targets[3])
            elif known.any():
                output.alignment_loss = F.binary_cross_entropy_with_logits(scores, truth)
            if output.alignment_loss is not None:
                output.loss = loss = loss + self.config.alignment_weight * output.alignment_loss
        if pairs is not None:
            losses = self._contrastive_losses(hidden[-2 * len(pairs) :], pairs)
            output.contrastive_loss = losses.mean() if targets is None else _over(losses, targets[4])
            output.loss = loss = loss + self.config.contrastive_weight * output.contrastive_loss
        if self.config.regression_weight and labels is not None:
            losses = self._regression_losses(hidden[labels >= self.config.vocab_size], feature_labels)
            if targets is not None:
                output.regression_loss = _over(losses, targets[5])
            elif len(losses):
                output.regression_loss = losses.mean()
            # Never without the head, even where nothing is masked.
            regression = losses.sum() if output.regression_loss is None else output.regression_loss
            output.loss = loss + self.config.regression_weight * regression
        return output

    def _regression_losses(self, hidden: torch.Tensor, features: torch.Tensor | None) -> torch.Tensor:
        """Hidden states of masked clips, and the clips' features, both (clips, size), to the errors: (clips,) float."""
        predicted = self.feature_decoder(self.feature_transform(hidden)).float()
        standardise = self.videobert.embeddings.standardise
        truth = 0.0 if features is None or standardise is None else standardise(features)
        errors: torch.Tensor = ((predicted - truth) ** 2).mean(-1)
        return errors

    def _contrastive_losses(self, hidden: torch.Tensor, pairs: torch.Tensor) -> torch.Tensor:
        """InfoNCE of texts, the first half of the rows, and their videos, both ways: (pairs,) float."""
        half = len(pairs)
        texts = self.text_vectors(hidden[:half]).float()
        videos = self.video_vectors(hidden[half:]).float()
        all_texts, all_videos, all_pairs = texts, videos, pairs
        own = torch.arange(half, device=pairs.device)
        if self.training and torch.distributed.is_initialized():
            # The pairs of the other processes are wrong partners, too. (One of them may measure alone.)
            all_texts, all_videos, all_pairs = (torch.cat(all_gather(part)) for part in (texts, videos, pairs))
            own = own + torch.distributed.get_rank() * half
        again = pairs.unsqueeze(1) == all_pairs  # a pair that is there twice is no wrong partner of itself
        again[torch.arange(half), own] = False
        scale = self.logit_scale.clamp(max=LARGEST_SCALE).exp()
        by_text, by_video = (
            F.cross_entropy((scale * ours @ theirs.T).masked_fill(again, -torch.inf), own, reduction="none")
            for ours, theirs in ((texts, all_videos), (videos, all_texts))
        )
        return (by_text + by_video) / 2

    def count_targets(
        self,
        attention_mask: torch.Tensor,
        token_type_ids: torch.Tensor,
        labels: torch.Tensor,
        alignment: torch.Tensor,
        pairs: torch.Tensor | None = None,
        feature_labels: torch.Tensor | None = None,
        **others: torch.Tensor,
    ) -> torch.Tensor:
        """How many targets a batch has for text_loss, video_loss, text_video_loss, alignment_loss, contrastive_loss and
        regression_loss: (6,) float."""
        has_text, has_video = _modalities(attention_mask, token_type_ids)
        masked = (labels != IGNORE).sum(1)
        counts = [masked[~has_video], masked[~has_text], masked[has_text & has_video], alignment != IGNORE]
        apart = [masked.new_tensor(0 if part is None else len(part)) for part in (pairs, feature_labels)]
        return torch.stack([*(count.sum() for count in counts), *apart]).float()

    def _masked_losses(
        self,
        output: VideoBertForPreTrainingOutput,
        hidden: torch.Tensor,
        attention_mask: torch.Tensor,
        token_type_ids: torch.Tensor,
        labels: torch.Tensor,
        targets: torch.Tensor | None,
    ) -> torch.Tensor:
        words = self.config.vocab_size
        has_text, has_video = _modalities(attention_mask, token_type_ids)
        rows = torch.arange(len(labels), device=labels.device).unsqueeze(1).expand_as(labels)

        masked = (labels >= 0) & (labels < words)
        output.text_logits = text_logits = self.text_logits(hidden[masked])
        text = F.cross_entropy(text_logits.float(), labels[masked], reduction="none")
        text_paired = has_video[rows[masked]]

        masked = labels >= words
        output.video_logits = video_logits = self.video_logits(hidden[masked])
        digits = digits_of(labels[masked] - words, self.config.visual_levels, self.config.visual_branching)
        levels = video_logits.float().chunk(len(digits), -1)
        video = functools.reduce(torch.add, [F.cross_entropy(*pair, reduction="none") for pair in zip(levels, digits)])
        video_paired = has_text[rows[masked]]

        parts = {
            "text_loss": text[~text_paired],
            "video_loss": video[~video_paired],
            "text_video_loss": torch.cat([text[text_paired], video[video_paired]]),
        }
        # Every masked token counts the same, times its objective's weight. (A sum of the objectives' means would give
        # the few tokens of the rarest objective as much say as all others together, and its noise drowns the rest.)
        tokens = max(1, len(text) + len(video))
        # A zero of everything: distributed training waits for each parameter's gradient.
        loss = 0.0 * (text_logits.float().sum() + video_logits.float().sum())
        for place, (name, losses) in enumerate(parts.items()):
            weight = getattr(self.config, name.replace("loss", "weight"))
            if targets is not None:
                loss = loss + weight * _over(losses, targets[:3].sum())
                output[name] = _over(losses, targets[place])
            else:
                loss = loss + weight * losses.sum() / tokens
                output[name] = losses.mean() if len(losses) else None
        return loss

    @torch.no_grad()
    def start_from_centroids(self, centroids: torch.Tensor, seed: int) -> None:
        """Starts the visual embeddings from the codebook: similar visual words start near each other (section 3.2).

        The centroids are centred, rotated by a random orthonormal projection to the hidden size (which keeps distances
        when it is at least the centroids' dimension, and nearly so below), and scaled to the initialiser's range.

        Of a residual codebook only the first level is centred: the others are differences already, and lie around 0. All levels
        are rotated and scaled alike, so that their sums are like the clips; the sums are in the initialiser's range.

        Args:
            centroids: (visual_words, dimension) float; dead leaves hold their parent's. Of a residual codebook those of all
                levels, one level after the other.
            seed: seed of the projection.
        """
        centroids = centroids.double()
        alive = centroids.isfinite().all(1)
        first = torch.arange(len(centroids)) < self.config.visual_branching
        middle = torch.where(first.unsqueeze(1), centroids[first & alive].mean(0), 0.0)
        centroids = torch.where(alive.unsqueeze(1), centroids - middle, 0.0)
        generator = torch.Generator().manual_seed(seed)
        size = max(centroids.shape[1], self.config.hidden_size)
        rotation, _ = torch.linalg.qr(torch.randn(size, size, generator=generator, dtype=torch.float64))
        table = centroids @ rotation[: centroids.shape[1], : self.config.hidden_size]
        levels = zip(table.chunk(self.config.visual_levels), alive.chunk(self.config.visual_levels))
        spread = torch.stack([level[there].std() for level, there in levels]).square().sum().sqrt()
        table *= self.config.initializer_range / spread.clamp(min=1e-12)
        self.videobert.embeddings.video.weight.copy_(table)

    @torch.no_grad()
    def start_from_features(self, features: npt.NDArray[np.float16]) -> None:
        """Has features standardised by what these have, the train clips', (clips, feature_size)."""
        total, squares = np.zeros((2, features.shape[1]))
        for first in range(0, len(features), ROWS):
            part = features[first : first + ROWS].astype(np.float64)
            total += part.sum(0)
            squares += (part**2).sum(0)
        mean = total / len(features)
        # A number that never moves is no news, and no infinity.
        deviation = np.sqrt(np.maximum(squares / len(features) - mean**2, 0)) + 1e-3
        standardise = self.videobert.embeddings.standardise
        assert standardise is not None
        standardise.mean.copy_(torch.from_numpy(mean))
        standardise.deviation.copy_(torch.from_numpy(deviation))


def _modalities(attention_mask: torch.Tensor, token_type_ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Which rows have text, and which have video; read from the token types, since a mask has no modality of its own."""
    # A video row has type 1, and every row with text has more of type 0 than [CLS] and [>].
    has_video = token_type_ids.bool().any(1)
    return ~has_video | ((attention_mask.bool() & (token_type_ids == TEXT)).sum(1) > 2), has_video


def _over(losses: torch.Tensor, count: torch.Tensor) -> torch.Tensor:
    """Sum of the losses over a count that other processes share; 0 where nobody has any."""
    return losses.sum() / torch.where(count > 0, count, 1.0)


AutoConfig.register("videobert", VideoBertConfig)
AutoModel.register(VideoBertConfig, VideoBertModel)
AutoModelForPreTraining.register(VideoBertConfig, VideoBertForPreTraining)
