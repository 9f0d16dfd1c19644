"""The decoder that writes a caption: BERT's layers with a causal mask, looking at what is known of a video's clips.

What is known of a clip is one vector (`memory`), standardised by the train clips' mean and scale, which are kept with
the weights, and projected to the decoder's width. Everything else is transformers' BertLMHeadModel, `generate` included:

    decoder = CaptionDecoder.from_pretrained(folder)
    ids = decoder.generate(first, **decoder.look(memory, mask))
"""

import torch
from torch import nn
from transformers import BertConfig, BertLMHeadModel


class CaptionDecoderConfig(BertConfig):
    """BERT's configuration, the size of a clip's vector, and the sentence whose masks VideoBERT fills for it."""

    model_type = "videobert_caption_decoder"

    memory_size: int = 1
    template: str = ""


class CaptionDecoder(BertLMHeadModel):
    """Clips' vectors to a sentence."""

    config: CaptionDecoderConfig
    config_class = CaptionDecoderConfig
    mean: torch.Tensor
    scale: torch.Tensor

    def __init__(self, config: CaptionDecoderConfig):
        super().__init__(config)
        self.loss_type = "ForCausalLM"  # transformers goes by the class' name, and does not know this one
        self.register_buffer("mean", torch.zeros(config.memory_size))
        self.register_buffer("scale", torch.ones(config.memory_size))
        self.project = nn.Linear(config.memory_size, config.hidden_size)
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        self.post_init()

    def look(self, memory: torch.Tensor, mask: torch.Tensor) -> dict[str, torch.Tensor]:
        """Memory (batch, clips, memory_size) and mask (batch, clips; 1 where a clip is) as arguments of the decoder."""
        # Normalised, so that a short vector is looked at no less than a long one.
        hidden = self.norm(self.project(self.dropout((memory - self.mean) / self.scale)))
        return {"encoder_hidden_states": hidden, "encoder_attention_mask": mask}
