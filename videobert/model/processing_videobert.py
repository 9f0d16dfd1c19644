"""What the model reads: joint ids of words and visual words, with their token types, padded to batches.

A video is a `Video`: the visual words of its clips. In a sequence ids are joint: a text id stays, visual word w becomes V +
w. The layout is `[CLS] text [>] video [SEP]`; one modality alone is `[CLS] text [SEP]` or `[CLS] [>] video [SEP]`. Token type
0 covers [CLS], text and [>] (and the [SEP] of text alone), type 1 the video and its [SEP]."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import torch


IGNORE = -100
MASKED = -1  # in place of a visual word: a clip that the model is not shown

Ids = npt.NDArray[np.integer]  # of words, of visual words or joint ones; also their token types and labels


@dataclass(frozen=True)
class Video:
    """Clips as the model reads them. `words`: (n,) visual words 0 … K-1, or MASKED. `features`: S3D's, (n, dimension)
    float16, for a model that reads features, else None."""

    words: Ids
    features: npt.NDArray[np.floating] | None = None

    def __len__(self) -> int:
        return len(self.words)

    def __getitem__(self, part: Any) -> "Video":
        """Some of the clips: a slice, their numbers, or a bool for each."""
        return Video(self.words[part], None if self.features is None else self.features[part])

    def masked(self, hidden: npt.NDArray[np.bool_]) -> "Video":
        """With these clips hidden, (n,) bool."""
        return Video(np.where(hidden, MASKED, self.words), self.features)

    def and_masks(self, count: int) -> "Video":
        """With so many hidden clips after it."""
        features = self.features
        if features is not None:
            features = np.concatenate([features, np.zeros((count, features.shape[1]), features.dtype)])
        return Video(np.append(self.words, np.full(count, MASKED)), features)


def joined(videos: list[Video]) -> Video:
    """One after the other."""
    features = [video.features for video in videos if video.features is not None]
    return Video(np.concatenate([video.words for video in videos]), np.concatenate(features) if features else None)


NO_VIDEO = Video(np.empty(0, np.int64))
NO_TEXT: Ids = np.empty(0, np.int64)


class Input(NamedTuple):
    """One sequence as the model reads it. `ids`: joint ids; `types`: token types; both (length,). `features`: of the clips
    that are shown, (clips, dimension), for a model that reads them."""

    ids: Ids
    types: Ids
    features: npt.NDArray[np.floating] | None = None


class Example(NamedTuple):
    """A sequence with what is to be predicted: `labels` (length,), joint ids or IGNORE; whether text and video belong together,
    1 or 0, or IGNORE; and, where they are to be predicted, the features of the clips among the labels, (clips, dimension)."""

    input: Input
    labels: Ids
    alignment: int
    features: npt.NDArray[np.floating] | None = None


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
    visual_levels: int = 1  # digits of a visual word that are predicted by themselves

    def choices(self) -> Ids:
        """The ids that may stand in for a word: no special tokens."""
        special = [self.pad, self.cls, self.sep, self.mask, self.video]
        return np.setdiff1d(np.arange(self.vocab_size), special)


def shorten(text: Ids, video: Video, max_length: int) -> tuple[Ids, Video]:
    """Cuts text and video to what fits with the special tokens; each modality may use what the other leaves."""
    room = max_length - 3
    half = room // 2
    text = text[: max(half, room - len(video))]
    return text, video[: room - len(text)]


def lay_out(text: Ids, video: Video, vocabulary: Vocabulary) -> Input:
    """The sequence of a text, ids of words, and a video, with the special tokens; either may be empty, not both."""
    if not len(video):
        ids = np.concatenate([[vocabulary.cls], text, [vocabulary.sep]])
        return Input(ids, np.zeros(len(ids), np.int64))
    is_masked = video.words == MASKED
    visual = np.where(is_masked, vocabulary.mask, video.words + np.int64(vocabulary.vocab_size))
    ids = np.concatenate([[vocabulary.cls], text, [vocabulary.video], visual, [vocabulary.sep]])
    types = np.zeros(len(ids), np.int64)
    types[len(text) + 2 :] = 1
    return Input(ids, types, None if video.features is None else video.features[~is_masked])


def lay_out_labels(text: Ids, video: Ids) -> Ids:
    """The labels' layout for `lay_out` of a text and a video as long: nothing is predicted at the special tokens."""
    gap = [IGNORE]
    return np.concatenate([gap, text, gap] if not len(video) else [gap, text, gap, video, gap])


def pad_inputs(rows: Iterable[Input], vocabulary: Vocabulary) -> dict[str, "torch.Tensor"]:
    """Pads sequences to the batch's longest: the model's inputs."""
    import torch

    ids, types, features = zip(*rows, strict=True)
    is_token = _is_token(ids)
    inputs = {
        "input_ids": _padded(ids, vocabulary.pad, is_token),
        "attention_mask": torch.from_numpy(is_token.astype(np.int64)),
        "token_type_ids": _padded(types, 0, is_token),
    }
    return inputs | _stacked("features", features)


def pad_examples(rows: list[Example], vocabulary: Vocabulary) -> dict[str, "torch.Tensor"]:
    """Pads examples: the model's inputs and targets."""
    import torch

    targets = {
        "labels": _padded([row.labels for row in rows], IGNORE, _is_token([row.labels for row in rows])),
        "alignment": torch.tensor([row.alignment for row in rows]),
    }
    features = _stacked("feature_labels", [row.features for row in rows])
    return pad_inputs([row.input for row in rows], vocabulary) | targets | features


def _stacked(name: str, features: Iterable[npt.NDArray[np.floating] | None]) -> dict[str, "torch.Tensor"]:
    """The features of all clips of a batch, in order, (clips, dimension) float32, under this name; nothing if there are none."""
    import torch

    there = [part for part in features if part is not None]
    return {name: torch.from_numpy(np.concatenate(there).astype(np.float32))} if there else {}


def _is_token(rows: Iterable[Ids]) -> npt.NDArray[np.bool_]:
    lengths = np.array([len(row) for row in rows])
    return np.arange(lengths.max()) < lengths[:, None]


def _padded(rows: Iterable[Ids], filler: int, is_token: npt.NDArray[np.bool_]) -> "torch.Tensor":
    import torch

    array = np.full(is_token.shape, filler, np.int64)
    array[is_token] = np.concatenate(list(rows))
    return torch.from_numpy(array)
