"""Captions: what the decoder is shown of a video's clips, and how it writes a sentence (section 4.5 of the paper)."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from videobert.data.provenance import atomic, made, noted, sha256
from videobert.errors import UserError
from videobert.evaluation.model import Judge

if TYPE_CHECKING:
    import torch

    from videobert.model.caption_decoder import CaptionDecoder


# What the decoder is shown of each clip, by row; one vector after the other.
ROWS = {
    "no_video": (),
    "s3d": ("s3d",),
    "videobert_video_only": ("video_only",),
    "videobert": ("video", "masks"),
    "videobert_s3d": ("video", "masks", "s3d"),
}


SAVED = "videobert"  # the row whose decoder needs the model alone


def caption(judge: Judge, decoder: "CaptionDecoder", videos: list[np.ndarray]) -> list[str]:
    """Describes videos by their visual words, with the decoder of the row videobert.

    Args:
        judge: the model.
        decoder: the decoder, see `read_decoder`.
        videos: for each video its clips' visual words, (n,) 0 … K-1, n at least 1; a step's or a short clip's, as in
            training: of a long video, cut it in pieces.

    Returns:
        A sentence for each video.
    """
    shown = model_outputs(judge, decoder.config.template, [np.asarray(video, np.int64) for video in videos])
    return write_captions(judge, decoder, memories_of(shown, ROWS[SAVED]))


def read_decoder(folder: Path, pretrain: Path) -> "CaptionDecoder":
    """Reads the decoder that `captioning` wrote. Raises UserError when it is missing, or was made for another model."""
    from videobert.model.caption_decoder import CaptionDecoder

    weights, model = folder / "model.safetensors", pretrain / "model.safetensors"
    if not weights.exists():
        raise UserError(f"{weights} is missing: run snakemake --cores all captioning")
    if made(weights)["inputs"]["model"] != sha256(model):
        raise UserError(f"{weights} was made for another model than {model}: run snakemake --cores all captioning")
    return CaptionDecoder.from_pretrained(folder).eval()


def model_outputs(judge: Judge, template: str, videos: list[np.ndarray]) -> dict[str, list[np.ndarray]]:
    """For each video, VideoBERT's outputs at its clips with and without the template, and at the template's masks."""
    text, none = template_ids(judge, template), np.empty(0, np.int64)
    videos = [video[: room_for_clips(judge, text)] + judge.words.words for video in videos]
    joint = [judge.sequence(text, video) for video in videos]
    alone = [judge.sequence(none, video) for video in videos]
    shown: dict[str, list[np.ndarray]] = {"video": [], "masks": []}
    for ids, hidden in _outputs(judge, joint):
        clips = hidden[ids >= judge.words.words]
        shown["video"].append(clips)
        # One vector for all masks, in each clip's.
        shown["masks"].append(np.tile(hidden[ids == judge.words.mask].reshape(1, -1), (len(clips), 1)))
    shown["video_only"] = [hidden[ids >= judge.words.words] for ids, hidden in _outputs(judge, alone)]
    return shown


def room_for_clips(judge: Judge, text: np.ndarray) -> int:
    """How many clips the model can read beside the text, and three special tokens."""
    return judge.model.config.max_position_embeddings - 3 - len(text)


def _outputs(judge: Judge, sequences: list) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(ids, last hidden states (length, hidden_size)) of each sequence."""
    for first, output in judge.read(sequences):
        hidden = output.last_hidden_state.float().cpu().numpy()
        for (ids, _), states in zip(sequences[first:], hidden, strict=False):
            yield ids, states[: len(ids)]


def template_ids(judge: Judge, template: str) -> np.ndarray:
    first, *others = (judge.pieces(part) for part in template.split("[MASK]"))
    return np.concatenate([first, *[np.concatenate([[judge.words.mask], part]) for part in others]]).astype(np.int64)


def memories_of(shown: dict[str, list[np.ndarray]], parts: tuple[str, ...]) -> list[np.ndarray]:
    """For each step, its clips' vectors, float32 (clips, size): the parts side by side; one zero if there are none."""
    if not parts:
        # Not one for each clip: their number tells how long the step takes.
        return [np.zeros((1, 1), np.float32) for _ in shown["video"]]
    return [np.concatenate(vectors, axis=1) for vectors in zip(*(shown[part] for part in parts), strict=True)]


def write_captions(judge: Judge, decoder: "CaptionDecoder", memories: list[np.ndarray]) -> list[str]:
    """A sentence for each memory, by beam search."""
    import torch
    from tokenizers import decoders
    from transformers import DynamicCache, EncoderDecoderCache

    judge.tokenizer.decoder = decoders.WordPiece()
    decoder = decoder.to(judge.device)
    sentences = []
    for first in range(0, len(memories), judge.batch_size):
        memory, mask = pad_memories(memories[first : first + judge.batch_size], judge.device)
        with torch.inference_mode():
            begin = torch.full((len(memory), 1), judge.words.cls, device=judge.device)
            # generate would take a cache that knows no cross-attention, since this is no encoder-decoder (transformers 5.23).
            cache = EncoderDecoderCache(DynamicCache(), DynamicCache())
            ids = decoder.generate(begin, do_sample=False, past_key_values=cache, **decoder.look(memory, mask))
        sentences += judge.tokenizer.decode_batch(ids.tolist(), skip_special_tokens=True)
    return sentences


def pad_memories(memories: list[np.ndarray], device: str) -> tuple["torch.Tensor", "torch.Tensor"]:
    """(memory (batch, clips, size), mask (batch, clips)), padded to the longest."""
    mask = padded([np.ones(len(memory), np.int64) for memory in memories], 0)
    return padded(memories, 0).to(device), mask.to(device)


def padded(arrays: list[np.ndarray], filler: int) -> "torch.Tensor":
    import torch
    from torch.nn.utils.rnn import pad_sequence

    return pad_sequence([torch.from_numpy(array) for array in arrays], batch_first=True, padding_value=filler)


def save_decoder(decoder: "CaptionDecoder", folder: Path, note: dict[str, Any]) -> None:
    with atomic(folder) as temporary:
        decoder.save_pretrained(temporary)
        weights = temporary / "model.safetensors"
        data = noted(weights.read_bytes(), note)
        weights.unlink()  # safetensors' own file is for its owner only
        weights.write_bytes(data)
