"""The first stage of retrieval: one vector for a text and one for a video, from a model that was trained for neither.

A video's vector is the model's mean output over it; a text's is made of its words alone, by a ridge regression of the
words (tf-idf) on the outputs. The score is the cosine between the words of the text and those expected with the video.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from videobert.data.provenance import as_text, atomic, damaged, read_provenance, sha256
from videobert.errors import UserError
from videobert.layout import ModelFolder
from videobert.model.predictor import Predictor
from videobert.model.processing_videobert import NO_TEXT, Ids, Video

if TYPE_CHECKING:
    import torch

# Numbers in a block of scores: what bounds the memory (float32, 128 MB), however many segments there are.
BLOCK = 2**25


# Pairs that are laid out at a time.
PAIRS = 2**15


# The ridge, as a share of what the pairs themselves weigh, and how many train pairs are enough to fit the projection.
RIDGE = 0.1


@dataclass(frozen=True)
class Projection:
    """The linear map from what the model makes of a video to the words that are said to it, of `fit_projection`."""

    words: npt.NDArray[np.float32]  # (V, hidden_size)
    rarity: npt.NDArray[np.float32]  # (V,): the logarithm of one over the share of the texts that have the word
    centre: npt.NDArray[np.float32]  # (hidden_size,), of the videos' mean outputs
    scale: npt.NDArray[np.float32]  # (hidden_size,)

    @property
    def known(self) -> npt.NDArray[np.bool_]:
        """(V,): which pieces the texts had that it was fitted on. The rarest are those that none had: [PAD] is one."""
        known: npt.NDArray[np.bool_] = self.rarity < self.rarity.max()
        return known


def fit_projection(predictor: Predictor, texts: Sequence[Ids], videos: Sequence[Video]) -> Projection:
    """Ridge regression from the model's mean output over a video to the tf-idf weights of its text's words.

    Args:
        texts: word ids, as `predictor.pieces` gives them, of the train split.
        videos: those that belong to each.
    """
    outputs = mean_outputs(predictor, videos).astype(np.float64)
    centre, scale = outputs.mean(0), outputs.std(0) + 1e-6
    outputs = (outputs - centre) / scale
    counts = np.bincount(np.concatenate([np.unique(text) for text in texts]), minlength=predictor.vocabulary.vocab_size)
    rarity = np.log((1 + len(texts)) / (1 + counts))
    products = np.zeros((predictor.vocabulary.vocab_size, outputs.shape[1]))
    for text, output in zip(texts, outputs, strict=True):
        ids, weights = _weighted(text, rarity)
        products[ids] += np.outer(weights, output)
    gram = outputs.T @ outputs + RIDGE * len(texts) * np.eye(outputs.shape[1])
    words = np.linalg.solve(gram, products.T).T
    return Projection(*(array.astype(np.float32) for array in (words, rarity, centre, scale)))


def text_vectors(projection: Projection, texts: Sequence[Ids]) -> npt.NDArray[np.float32]:
    """A vector for each text, (texts, hidden_size) float32; the model is not asked. The dot product with a video's
    vector is the cosine between the text's tf-idf weights and those that are expected with the video."""
    vectors = np.zeros((len(texts), projection.words.shape[1]), np.float32)
    for row, text in enumerate(texts):
        ids, weights = _weighted(text, projection.rarity)
        vectors[row] = weights @ projection.words[ids]
    return vectors


def video_vectors(predictor: Predictor, projection: Projection, videos: Sequence[Video]) -> npt.NDArray[np.float32]:
    """A vector for each video: (videos, hidden_size) float32."""
    return projected(projection, mean_outputs(predictor, videos))


def projected(projection: Projection, outputs: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The videos' vectors from their `mean_outputs`."""
    outputs = (outputs - projection.centre) / projection.scale
    # The length of the weights that are expected, W x, without making them: x' (W' W) x.
    lengths = np.sqrt(((outputs @ (projection.words.T @ projection.words)) * outputs).sum(1, keepdims=True))
    vectors: npt.NDArray[np.float32] = outputs / np.maximum(lengths, 1e-9)
    return vectors


def shared_texts(projection: Projection, texts: Sequence[Ids]) -> npt.NDArray[np.float32]:
    """The `text_vectors` (texts, hidden_size), each of length 1 or less, turned so that `shared_videos` have length 1: the
    dot product of the two is what it was, and a cosine orders the videos of a text as it does."""
    _, inverse = _root(projection)
    vectors: npt.NDArray[np.float32] = (text_vectors(projection, texts) @ inverse).astype(np.float32)
    return vectors


def shared_videos(projection: Projection, outputs: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The videos' vectors from their `mean_outputs`, (videos, hidden_size), each of length 1, beside `shared_texts`."""
    root, _ = _root(projection)
    vectors: npt.NDArray[np.float32] = (projected(projection, outputs) @ root).astype(np.float32)
    return vectors


def _root(projection: Projection) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """The square root of W' W, by which a video's length is measured, and its (pseudo-)inverse."""
    words = projection.words.astype(np.float64)
    values, vectors = np.linalg.eigh(words.T @ words)
    kept = values > values.max() * 1e-12
    roots = np.sqrt(values[kept])
    vectors = vectors[:, kept]
    return (vectors * roots) @ vectors.T, (vectors / roots) @ vectors.T


def save_projection(projection: Projection, path: Path, provenance: dict[str, Any]) -> None:
    """Writes a safetensors file, with its provenance as metadata."""
    from safetensors.numpy import save_file

    arrays = {name: np.ascontiguousarray(array) for name, array in vars(projection).items()}
    with atomic(path) as temporary:
        save_file(arrays, temporary, metadata={"provenance": as_text(provenance)})


def read_projection(path: Path, pretrain: Path) -> Projection:
    """Reads what `save_projection` wrote. Raises UserError when it is missing, or was fitted to another model."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    model = Path(ModelFolder(pretrain).weights)
    if read_provenance(path).get("inputs", {}).get("model") != sha256(model):
        raise UserError(f"{path} was fitted to another model than {model}: run snakemake --cores all retrieval")
    try:
        return Projection(**load_file(path))
    except (SafetensorError, OSError, TypeError, ValueError) as error:
        raise damaged(path, error) from None


def _weighted(text: Ids, rarity: npt.NDArray[np.floating]) -> tuple[Ids, npt.NDArray[np.floating]]:
    """(the distinct words of a text, their tf-idf weights, of length 1)."""
    ids = np.unique(text)
    return ids, rarity[ids] / max(float(np.linalg.norm(rarity[ids])), 1e-9)


def mean_outputs(predictor: Predictor, videos: Sequence[Video]) -> npt.NDArray[np.float32]:
    """(videos, hidden_size) float32: the mean of the model's outputs at the visual words, read without a text."""
    # Batches of one length have no padding.
    order = np.argsort([len(video) for video in videos], kind="stable")
    sequences = [predictor.sequence(NO_TEXT, videos[place]) for place in order]
    means = np.empty((len(videos), predictor.model.config.hidden_size), np.float32)
    for first, output in predictor.read(sequences):
        for place, hidden, sequence in zip(order[first:], output.last_hidden_state.float(), sequences[first:]):
            means[place] = hidden[2 : len(sequence.ids) - 1].mean(0).cpu().numpy()
    return means


def nearest(
    queries: npt.NDArray[np.float32], index: npt.NDArray[np.float32], count: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """The exact nearest rows of an index by dot product, in blocks of queries, so that the memory is bounded.

    Args:
        queries: (n, dimension) float32.
        index: (m, dimension) float32.
        count: how many to find for each query; all m if there are fewer.

    Returns:
        (scores, rows), both (n, count), best first.
    """
    count = min(count, len(index))
    scores, rows = np.empty((len(queries), count), np.float32), np.empty((len(queries), count), np.int64)
    for block, products in score_blocks(queries, index):
        best = products.topk(count)
        scores[block], rows[block] = best.values.numpy(), best.indices.numpy()
    return scores, rows


def read_again(near: npt.NDArray[np.floating], alignments: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """The second stage's scores of each query's candidates: how near the vectors are, standardised among them, plus the
    logarithm of the probability that text and video belong together.

    Args:
        near: (queries, candidates) the first stage's scores.
        alignments: (queries, candidates) the alignment head's logits.
    """
    near = near.astype(np.float64)
    spread = np.maximum(near.std(-1, keepdims=True), 1e-9)
    scores: npt.NDArray[np.float64] = (near - near.mean(-1, keepdims=True)) / spread - np.logaddexp(0, -alignments)
    return scores


def score_blocks(
    queries: npt.NDArray[np.float32], index: npt.NDArray[np.float32]
) -> Iterator[tuple[slice, "torch.Tensor"]]:
    """Yields (block of queries, their dot products with all rows of the index), BLOCK numbers at a time."""
    import torch

    rows = max(1, BLOCK // len(index))
    columns = torch.from_numpy(index).T
    for first in range(0, len(queries), rows):
        block = slice(first, first + rows)
        yield block, torch.from_numpy(queries[block]) @ columns


def alignments(
    predictor: Predictor, texts: Sequence[Ids], videos: Sequence[Video], pairs: npt.NDArray[np.integer]
) -> npt.NDArray[np.float32]:
    """The alignment head's scores of pairs of a text and a video, read together, which no index can hold.

    Args:
        texts: word ids of each text.
        videos: the videos.
        pairs: (n, 2) numbers of texts and of videos.

    Returns:
        (n,) logits, positive: they belong together.
    """
    lengths = (
        np.array([len(text) for text in texts])[pairs[:, 0]] + np.array([len(video) for video in videos])[pairs[:, 1]]
    )
    # Batches of one length have no padding.
    order = np.argsort(lengths, kind="stable")
    scores = np.empty(len(pairs), np.float32)
    for first in range(0, len(pairs), PAIRS):
        part = order[first : first + PAIRS]
        scores[part] = predictor.alignments(
            [predictor.sequence(texts[text], videos[video]) for text, video in pairs[part]]
        )
    return scores
