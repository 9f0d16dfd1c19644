"""What the model reads: joint ids of words and visual words, with their token types, padded to batches.

Ids are joint: a text id stays, visual word w becomes V + w. The layout is `[CLS] text [>] video [SEP]`; one modality alone is
`[CLS] text [SEP]` or `[CLS] [>] video [SEP]`. Token type 0 covers [CLS], text and [>] (and the [SEP] of text alone), type 1
the video and its [SEP].
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import torch


IGNORE = -100

Ids = npt.NDArray[np.integer]  # of words, of visual words or joint ones; also their token types and labels
Example = tuple[Ids, Ids, Ids, int]  # (ids, token types, labels, alignment)


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

    def choices(self) -> tuple[Ids, Ids]:
        """Joint ids that may stand in for a word, and for a visual word: no special tokens."""
        special = [self.pad, self.cls, self.sep, self.mask, self.video]
        return np.setdiff1d(np.arange(self.vocab_size), special), self.vocab_size + np.arange(self.visual_words)


def shorten(text: Ids, video: Ids, max_length: int) -> tuple[Ids, Ids]:
    """Cuts text and video to what fits with the special tokens; each modality may use what the other leaves."""
    room = max_length - 3
    half = room // 2
    text = text[: max(half, room - len(video))]
    return text, video[: room - len(text)]


def lay_out(text: Ids, video: Ids, vocabulary: Vocabulary) -> tuple[Ids, Ids]:
    """Joint ids of text and video (either may be empty, not both) to (ids, token types) with the special tokens."""
    if not len(video):
        ids = np.concatenate([[vocabulary.cls], text, [vocabulary.sep]])
        return ids, np.zeros(len(ids), np.int64)
    ids = np.concatenate([[vocabulary.cls], text, [vocabulary.video], video, [vocabulary.sep]])
    types = np.zeros(len(ids), np.int64)
    types[len(text) + 2 :] = 1
    return ids, types


def lay_out_labels(text: Ids, video: Ids) -> Ids:
    """The labels' layout for `lay_out(text, video)`: nothing is predicted at the special tokens."""
    gap = [IGNORE]
    return np.concatenate([gap, text, gap] if not len(video) else [gap, text, gap, video, gap])


def pad_inputs(rows: Sequence[tuple[Ids, Ids]], vocabulary: Vocabulary) -> dict[str, "torch.Tensor"]:
    """Pads (ids, token types) rows to the batch's longest: the model's inputs."""
    import torch

    ids, types = zip(*rows, strict=True)
    is_token = _is_token(ids)
    return {
        "input_ids": _padded(ids, vocabulary.pad, is_token),
        "attention_mask": torch.from_numpy(is_token.astype(np.int64)),
        "token_type_ids": _padded(types, 0, is_token),
    }


def pad_examples(rows: Sequence[Example], vocabulary: Vocabulary) -> dict[str, "torch.Tensor"]:
    """Pads (ids, token types, labels, alignment) rows: the model's inputs and targets."""
    import torch

    targets = {
        "labels": _padded([labels for _, _, labels, _ in rows], IGNORE, _is_token([ids for ids, *_ in rows])),
        "alignment": torch.tensor([alignment for *_, alignment in rows]),
    }
    return pad_inputs([(ids, types) for ids, types, _, _ in rows], vocabulary) | targets


def _is_token(rows: Sequence[Ids]) -> npt.NDArray[np.bool_]:
    lengths = np.array([len(row) for row in rows])
    return np.arange(lengths.max()) < lengths[:, None]


def _padded(rows: Sequence[Ids], filler: int, is_token: npt.NDArray[np.bool_]) -> "torch.Tensor":
    import torch

    array = np.full(is_token.shape, filler, np.int64)
    array[is_token] = np.concatenate(rows)
    return torch.from_numpy(array)
