"""What the model reads: joint ids of words and visual words, with their token types, padded to batches.

Ids are joint: a text id stays, visual word w becomes V + w. The layout is `[CLS] text [>] video [SEP]`; one modality alone is
`[CLS] text [SEP]` or `[CLS] [>] video [SEP]`. Token type 0 covers [CLS], text and [>] (and the [SEP] of text alone), type 1
the video and its [SEP].
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch


IGNORE = -100


@dataclass(frozen=True)
class Vocabulary:
    """The ids of the special tokens and the sizes of the two vocabularies."""

    pad: int
    cls: int
    sep: int
    mask: int
    video: int  # [>], which opens the video
    vocab_size: int  # V, size of the text vocabulary with its special tokens
    visual_words: int  # K

    def choices(self) -> tuple[np.ndarray, np.ndarray]:
        """Joint ids that may stand in for a word, and for a visual word: no special tokens."""
        special = [self.pad, self.cls, self.sep, self.mask, self.video]
        return np.setdiff1d(np.arange(self.vocab_size), special), self.vocab_size + np.arange(self.visual_words)


def shorten(text: np.ndarray, video: np.ndarray, max_length: int) -> tuple[np.ndarray, np.ndarray]:
    """Cuts text and video to what fits with the special tokens; each modality may use what the other leaves."""
    room = max_length - 3
    half = room // 2
    text = text[: max(half, room - len(video))]
    return text, video[: room - len(text)]


def lay_out(text: np.ndarray, video: np.ndarray, vocabulary: Vocabulary) -> tuple[np.ndarray, np.ndarray]:
    """Joint ids of text and video (either may be empty, not both) to (ids, token types) with the special tokens."""
    if not len(video):
        ids = np.concatenate([[vocabulary.cls], text, [vocabulary.sep]])
        return ids, np.zeros(len(ids), np.int64)
    ids = np.concatenate([[vocabulary.cls], text, [vocabulary.video], video, [vocabulary.sep]])
    types = np.zeros(len(ids), np.int64)
    types[len(text) + 2 :] = 1
    return ids, types


def lay_out_labels(text: np.ndarray, video: np.ndarray) -> np.ndarray:
    """The labels' layout for `lay_out(text, video)`: nothing is predicted at the special tokens."""
    gap = [IGNORE]
    return np.concatenate([gap, text, gap] if not len(video) else [gap, text, gap, video, gap])


def pad_inputs(rows: list[tuple[np.ndarray, ...]], vocabulary: Vocabulary) -> dict[str, "torch.Tensor"]:
    """Pads (ids, token types, ...) rows to the batch's longest: the model's inputs."""
    import torch

    is_token = _is_token(rows)
    return {
        "input_ids": _padded(rows, 0, vocabulary.pad, is_token),
        "attention_mask": torch.from_numpy(is_token.astype(np.int64)),
        "token_type_ids": _padded(rows, 1, 0, is_token),
    }


def pad_examples(rows: list[tuple[np.ndarray, np.ndarray, np.ndarray, int]], vocabulary: Vocabulary) -> dict[str, Any]:
    """Pads (ids, token types, labels, alignment) rows: the model's inputs and targets."""
    import torch

    targets = {
        "labels": _padded(rows, 2, IGNORE, _is_token(rows)),
        "alignment": torch.tensor([alignment for *_, alignment in rows]),
    }
    return pad_inputs(rows, vocabulary) | targets


def _is_token(rows: list[tuple[np.ndarray, ...]]) -> np.ndarray:
    lengths = np.array([len(row[0]) for row in rows])
    return np.arange(lengths.max()) < lengths[:, None]


def _padded(rows: list[tuple[np.ndarray, ...]], column: int, filler: int, is_token: np.ndarray) -> "torch.Tensor":
    import torch

    array = np.full(is_token.shape, filler, np.int64)
    array[is_token] = np.concatenate([row[column] for row in rows])
    return torch.from_numpy(array)
