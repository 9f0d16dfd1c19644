"""Captions: what the decoder is shown of a video's clips, and how it writes a sentence (section 4.5 of the paper)."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from videobert import progress
from videobert.data.provenance import atomic, read_provenance, sha256, with_provenance
from videobert.errors import UserError
from videobert.layout import ModelFolder
from videobert.model.predictor import Predictor, read_pretrained
from videobert.model.processing_videobert import IGNORE, NO_TEXT, Ids, Input, Video

if TYPE_CHECKING:
    import torch

    from videobert.model.caption_decoder import CaptionDecoder
    from videobert.model.settings import CaptioningSettings


Memory = npt.NDArray[np.float32]  # (clips, size)

# What the decoder is shown of each clip, by row; one vector after the other.
ROWS: dict[str, tuple[str, ...]] = {
    "no_video": (),
    "s3d": ("s3d",),
    "videobert_video_only": ("video_only",),
    "videobert": ("video", "masks"),
    "videobert_s3d": ("video", "masks", "s3d"),
}


SAVED = "videobert"  # the row whose decoder needs the model alone


def caption(predictor: Predictor, decoder: "CaptionDecoder", videos: Sequence[Video]) -> list[str]:
    """Describes videos, with the decoder of the row videobert.

    Args:
        predictor: the model.
        decoder: the decoder, see `read_decoder`.
        videos: of a clip at least, as short as a step, as in training: cut a long one in pieces.

    Returns:
        A sentence for each video.
    """
    outputs = model_outputs(predictor, decoder.config.template, videos)
    return write_captions(predictor, decoder, memories_of(outputs, ROWS[SAVED]))


def read_decoder(folder: Path, pretrain: Path) -> "CaptionDecoder":
    """Reads the decoder that `captioning` wrote. Raises UserError when it is missing, or was made for another model."""
    from videobert.model.caption_decoder import CaptionDecoder

    weights, model = folder / "model.safetensors", Path(ModelFolder(pretrain).weights)
    if not weights.exists():
        raise UserError(f"{weights} is missing: run snakemake --cores all captioning")
    if read_provenance(weights).get("inputs", {}).get("model") != sha256(model):
        raise UserError(f"{weights} was made for another model than {model}: run snakemake --cores all captioning")
    decoder: CaptionDecoder = read_pretrained(CaptionDecoder, folder)
    decoder.eval()
    return decoder


def model_outputs(predictor: Predictor, template: str, videos: Sequence[Video]) -> dict[str, list[Memory]]:
    """For each video, VideoBERT's outputs at its clips with and without the template, and at the template's masks."""
    text = template_ids(predictor, template)
    seen = [video[: room_for_clips(predictor, text)] for video in videos]
    joint = [predictor.sequence(text, video) for video in seen]
    alone = [predictor.sequence(NO_TEXT, video) for video in seen]
    outputs: dict[str, list[Memory]] = {"video": [], "masks": []}
    for ids, hidden in _outputs(predictor, joint):
        clips = hidden[ids >= predictor.vocabulary.vocab_size]
        outputs["video"].append(clips)
        # One vector for all masks, in each clip's.
        outputs["masks"].append(np.tile(hidden[ids == predictor.vocabulary.mask].reshape(1, -1), (len(clips), 1)))
    outputs["video_only"] = [
        hidden[ids >= predictor.vocabulary.vocab_size] for ids, hidden in _outputs(predictor, alone)
    ]
    return outputs


def room_for_clips(predictor: Predictor, text: Ids) -> int:
    """How many clips the model can read beside the text, and three special tokens."""
    return predictor.model.config.max_position_embeddings - 3 - len(text)


def _outputs(predictor: Predictor, sequences: list[Input]) -> Iterator[tuple[Ids, Memory]]:
    """(ids, last hidden states (length, hidden_size)) of each sequence."""
    for first, output in predictor.read(sequences):
        hidden = output.last_hidden_state.float().cpu().numpy()
        for sequence, states in zip(sequences[first:], hidden, strict=False):
            yield sequence.ids, states[: len(sequence.ids)]


def template_ids(predictor: Predictor, template: str) -> npt.NDArray[np.int64]:
    first, *others = (predictor.pieces(part) for part in template.split("[MASK]"))
    return np.concatenate([first, *[np.concatenate([[predictor.vocabulary.mask], part]) for part in others]]).astype(
        np.int64
    )


def memories_of(outputs: dict[str, list[Memory]], parts: tuple[str, ...]) -> list[Memory]:
    """For each step, its clips' vectors, float32 (clips, size): the parts side by side; one zero if there are none."""
    if not parts:
        # Not one for each clip: their number tells how long the step takes.
        return [np.zeros((1, 1), np.float32) for _ in outputs["video"]]
    return [np.concatenate(vectors, axis=1) for vectors in zip(*(outputs[part] for part in parts), strict=True)]


def write_captions(predictor: Predictor, decoder: "CaptionDecoder", memories: Sequence[Memory]) -> list[str]:
    """A sentence for each memory, by beam search."""
    import torch
    from tokenizers import decoders
    from transformers import DynamicCache, EncoderDecoderCache

    predictor.tokenizer.decoder = decoders.WordPiece()
    network: Any = decoder  # transformers' types of `to` and `generate` do not fit their own classes
    network.to(predictor.device)
    sentences: list[str] = []
    for first in range(0, len(memories), predictor.batch_size):
        memory, mask = pad_memories(memories[first : first + predictor.batch_size], predictor.device)
        with torch.inference_mode():
            begin = torch.full((len(memory), 1), predictor.vocabulary.cls, device=predictor.device)
            # generate would take a cache that knows no cross-attention, since this is no encoder-decoder (transformers 5.23).
            cache = EncoderDecoderCache(DynamicCache(), DynamicCache())
            ids = network.generate(begin, do_sample=False, past_key_values=cache, **decoder.look(memory, mask))
        sentences += predictor.tokenizer.decode_batch(ids.tolist(), skip_special_tokens=True)
    return sentences


def pad_memories(memories: Sequence[Memory], device: str) -> tuple["torch.Tensor", "torch.Tensor"]:
    """(memory (batch, clips, size), mask (batch, clips)), padded to the longest."""
    mask = padded([np.ones(len(memory), np.int64) for memory in memories], 0)
    return padded(memories, 0).to(device), mask.to(device)


def padded(arrays: Sequence[Ids] | Sequence[Memory], filler: int) -> "torch.Tensor":
    import torch
    from torch.nn.utils.rnn import pad_sequence

    return pad_sequence([torch.from_numpy(array) for array in arrays], batch_first=True, padding_value=filler)


def save_decoder(decoder: "CaptionDecoder", weights: Path, provenance: dict[str, Any]) -> None:
    """Writes the decoder's weights, and beside them its configuration."""
    with TemporaryDirectory() as scratch:
        decoder.save_pretrained(scratch)
        # The weights last: without them there is no decoder.
        for file in sorted(Path(scratch).iterdir(), key=lambda file: (file.name == weights.name, file.name)):
            data = file.read_bytes()
            with atomic(weights.with_name(file.name)) as temporary:
                temporary.write_bytes(with_provenance(data, provenance) if file.name == weights.name else data)


def train_decoder(
    memories: Sequence[Memory],
    sentences: Sequence[Ids],
    predictor: Predictor,
    settings: "CaptioningSettings",
    seed: int,
) -> "CaptionDecoder":
    """A decoder trained to write each sentence from its memory; the same seed, order and steps for every row."""
    import torch
    from transformers import get_linear_schedule_with_warmup

    decoder = _decoder(memories, predictor, settings, seed)
    targets = [
        np.concatenate([[predictor.vocabulary.cls], ids[: settings.max_length - 2], [predictor.vocabulary.sep]])
        for ids in sentences
    ]
    optimizer = torch.optim.AdamW(decoder.parameters(), lr=settings.learning_rate)
    steps, size = settings.max_steps, settings.train_batch_size
    schedule = get_linear_schedule_with_warmup(optimizer, steps // 10, steps)
    random = np.random.default_rng([seed, 4])
    order = np.concatenate([random.permutation(len(targets)) for _ in range(-(-steps * size // len(targets)))])
    decoder.train()
    for step in range(steps):
        rows = order[step * size : (step + 1) * size]
        ids = padded([targets[row] for row in rows], predictor.vocabulary.pad).to(predictor.device)
        mask = padded([np.ones(len(targets[row]), np.int64) for row in rows], 0).to(predictor.device)
        labels = ids.masked_fill(mask == 0, IGNORE)
        seen = decoder.look(*pad_memories([memories[row] for row in rows], predictor.device))
        loss = decoder(ids, attention_mask=mask, labels=labels, **seen).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(decoder.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        progress.advance()
    decoder.eval()
    return decoder


def _decoder(
    memories: Sequence[Memory], predictor: Predictor, settings: "CaptioningSettings", seed: int
) -> "CaptionDecoder":
    """A decoder that knows nothing but the mean and the scale of what it will be shown."""
    import torch

    from videobert.model.caption_decoder import CaptionDecoder, CaptionDecoderConfig

    torch.manual_seed(seed)
    sizes = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
    words = predictor.vocabulary
    config = CaptionDecoderConfig(
        vocab_size=words.vocab_size,
        max_position_embeddings=settings.max_length,
        hidden_dropout_prob=settings.dropout,
        attention_probs_dropout_prob=settings.dropout,
        pad_token_id=words.pad,
        bos_token_id=words.cls,
        eos_token_id=words.sep,
        is_decoder=True,
        add_cross_attention=True,
        memory_size=memories[0].shape[1],
        template=settings.template,
        # As in pretraining: a narrow network that starts with BERT's 0.02 needs many steps before it attends to anything.
        initializer_range=round(0.02 * (1024 / settings.hidden_size) ** 0.5, 6),
        **{name: getattr(settings, name) for name in sizes},
    )
    decoder = CaptionDecoder(config)
    decoder.generation_config.num_beams = settings.num_beams
    decoder.generation_config.max_length = settings.max_length
    clips = np.concatenate(memories).astype(np.float64)
    decoder.mean.copy_(torch.from_numpy(clips.mean(0)))
    decoder.scale.copy_(torch.from_numpy(clips.std(0) + 1e-3))  # a number that never moves is no news, and no infinity
    network: Any = decoder  # as in `write_captions`
    network.to(predictor.device)
    return decoder
