"""Retrieval: the video for a text, and the text for a video, among all of the test split.

VECTORS_DOC
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from videobert.errors import UserError
from videobert.judge import (
    NO_TRUTH,
    RESAMPLES,
    Judge,
    clips_of_videos,
    inputs_of,
    interval,
    of_another_video,
    read_steps,
    test_segments,
    words_between,
    write_task,
)
from videobert.sequences import Segments, lay_out

VERSION = 1
PLACES = (1, 5, 10)
# Numbers in a block of scores: what bounds the memory (float32, 128 MB), however many segments there are.
BLOCK = 2**25
# Pairs that are laid out at a time.
PAIRS = 2**15
# The first stage's words: how many visual words sample what can be seen, in videos of how many clips, and the probability
# below which a word at a mask counts for less.
SAMPLES = 256
CLIPS = 4
RARE = 0.003


def retrieval(
    pretrain: Path,
    tokens: Path,
    manifest: Path,
    output: Path,
    annotations: str | None,
    template: str,
    candidates: int,
    batch_size: int,
    seed: int,
    threads: int,
    device: Literal["auto", "cpu", "cuda"] = "auto",
) -> None:
    """Find the video for a text and the text for a video, in two stages.

    Args:
        pretrain: folder of the model.
        tokens: folder of the token tables, one for each shard.
        manifest: the manifest, which names the shards and the videos' sources.
        output: retrieval.json.
        annotations: the steps to find by action and object: kitchen (the built-in corpus), or a TSV, CSV or Parquet file
            with the columns video_id, start, end (seconds), verb and object; null leaves this part out.
        template: the sentence with two [MASK], for the verb and the object: filled, it is the query for a step.
        candidates: how many of the first stage's best the alignment head puts in order.
        batch_size: sequences in a batch.
        seed: seed of the shuffled queries and of the intervals.
        threads: CPU threads.
        device: where to run; auto takes a GPU when there is one.
    """
    if template.count("[MASK]") != 2:
        raise UserError(f"retrieval.template must have [MASK] twice, for the verb and the object: {template!r}")
    judge = Judge(pretrain, batch_size, device, threads)
    segments = test_segments(judge, pretrain, tokens, manifest)
    inputs = inputs_of(pretrain, tokens, manifest, annotations)
    settings = {"seed": seed, "template": template, "candidates": candidates}
    settings["annotations"] = annotations and Path(annotations).name
    words = word_vectors(judge, template)
    summary, details = _segments(judge, words, segments, template, candidates, seed)
    if annotations is None:
        summary["steps"] = {"skipped": NO_TRUTH}
    else:
        summary["steps"], details["steps"] = _steps(
            judge, words, segments, annotations, manifest, template, candidates, seed
        )
    write_task("retrieval", VERSION, output, {"retrieval": summary}, details, settings, inputs)


def _segments(
    judge: Judge, words: np.ndarray, segments: Segments, template: str, candidates: int, seed: int
) -> tuple[dict[str, Any], dict[str, Any]]:
    """(figures, each segment's ranks): a sentence looks for its own video and a video for its own sentence, among all
    segments of the test set, and among those of its video."""
    names = ["text_to_video", "video_to_text", "text_to_video_within", "video_to_text_within"]
    has_both = (np.diff(segments.text_offsets) > 0) & (np.diff(segments.video_offsets) > 0)
    pairs = np.flatnonzero(segments.paired & has_both)
    if not len(pairs):
        return {name: {"skipped": "no test segment has both speech and video"} for name in names}, {}
    texts = [segments.words_of(row).astype(np.int64) for row in pairs]
    videos = [segments.visual_words_of(row) + np.int64(judge.words.words) for row in pairs]
    rows, groups = np.arange(len(pairs)), segments.group[pairs]
    said = Side(texts, text_vectors(words, texts), rows, groups)
    shown = Side(videos, video_vectors(judge, videos, template), rows, groups)
    pools = [[(rows, rows)]] * 2 + [
        [(own, own) for own in (np.flatnonzero(groups == one) for one in np.unique(groups))]
    ] * 2
    asked = {
        name: (said, shown, pool) if name.startswith("text") else (shown, said, pool)
        for name, pool in zip(names, pools)
    }
    ranks = _two_stages(judge, said, shown, asked, candidates, seed)
    sizes = [np.full(len(pairs), len(pairs))] * 2 + [np.bincount(groups)[groups]] * 2
    figures = {
        name: _figures(ranks[name], size, np.ones_like(size), groups, candidates, seed)
        for name, size in zip(names, sizes)
    }
    listed = [
        {
            "video_id": segments.videos[segments.group[row]],
            "start": float(segments.start[row]),
            "end": float(segments.end[row]),
            "text": judge.tokenizer.decode(texts[place].tolist()),
            **{name: {stage: float(found[place]) for stage, found in ranks[name].items()} for name in names},
        }
        for place, row in enumerate(pairs)
    ]
    return figures, {"segments": listed}


def _steps(
    judge: Judge,
    words: np.ndarray,
    segments: Segments,
    annotations: str,
    manifest: Path,
    template: str,
    candidates: int,
    seed: int,
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """(figures, each action's ranks): the filled template looks for the steps with its verb and its object.

    Each step of the test set asks once, so an action counts as often as it is seen.
    """
    clips = clips_of_videos(segments)
    steps = [step for step in read_steps(annotations, manifest)[0] if step.video_id in clips]
    if not steps:
        raise UserError(
            f"evaluate.annotations ({annotations}) has no step of a test video with tokens: name its videos as the "
            "manifest's video_id does, or set annotations to null"
        )
    actions = sorted({(step.verb, step.object) for step in steps})
    labels = np.array([actions.index((step.verb, step.object)) for step in steps])
    sentences = [filled(template, verb, thing) for verb, thing in actions]
    texts = [judge.pieces(sentence).astype(np.int64) for sentence in sentences]
    videos = [words_between(*clips[step.video_id], step.start, step.end) + judge.words.words for step in steps]
    groups = np.unique([step.video_id for step in steps], return_inverse=True)[1]
    rows, numbers = np.arange(len(steps)), np.arange(len(actions))
    queries = Side(texts, text_vectors(words, texts), numbers, numbers)
    shown = Side(videos, video_vectors(judge, videos, template), labels, groups)
    ranks = _two_stages(judge, queries, shown, {"steps": (queries, shown, [(numbers, rows)])}, candidates, seed)[
        "steps"
    ]
    relevant = np.bincount(labels)
    figures = _figures(
        {stage: found[labels] for stage, found in ranks.items()},
        np.full(len(steps), len(steps)),
        relevant[labels],
        groups,
        candidates,
        seed,
    )
    listed = [
        {
            "verb": verb,
            "object": thing,
            "query": sentences[number],
            "relevant": int(relevant[number]),
            **{stage: float(found[number]) for stage, found in ranks.items()},
        }
        for number, (verb, thing) in enumerate(actions)
    ]
    return figures, listed


def filled(template: str, verb: str, thing: str) -> str:
    """The template as a sentence: its first [MASK] is the verb, its second the object."""
    return template.replace("[MASK]", verb, 1).replace("[MASK]", thing, 1)


# One vector for a text, one for a video -------------------------------------------------------------------------------


def video_vectors(judge: Judge, videos: list[np.ndarray], template: str) -> np.ndarray:
    """A vector for each video, whose dot product with a vector of `text_vectors` is the first stage's score.

    Args:
        videos: the visual words of each, as joint ids (V + w).
        template: a sentence with [MASK]s, the same for videos and words.

    Returns:
        (videos, dimension) float32, where dimension = masks * (hidden_size + 1) + 1.
    """
    hidden, normalisers = _at_masks(judge, videos, template)
    return np.concatenate(
        [hidden.reshape(len(videos), -1), -normalisers, np.ones((len(videos), 1))], 1, dtype=np.float32
    )


def word_vectors(judge: Judge, template: str) -> np.ndarray:
    """A vector for each word of the vocabulary: (V, dimension) float32. It takes a second, and holds for every text."""
    table = judge.model.text_decoder.weight.detach().float().cpu().numpy()
    bias = judge.model.text_bias.detach().float().cpu().numpy()
    # What the masks say of videos that show one visual word: samples of all that can be seen.
    count = judge.words.visual_words
    shown = judge.words.words + np.linspace(0, count - 1, min(count, SAMPLES)).astype(np.int64)
    hidden, normalisers = _at_masks(judge, [np.repeat(word, CLIPS) for word in shown], template)
    # float64, since what is never expected has a probability of nearly nothing.
    logarithms = (hidden @ table.T + bias - normalisers[:, :, None]).astype(np.float64)  # (samples, masks, V)
    probabilities = np.exp(logarithms)
    expected = probabilities.mean(0)
    information = (probabilities * logarithms).mean(0) / expected - np.log(expected)
    weights = expected / (expected.sum(0) + RARE) * information  # (masks, V)
    constant = (weights * (bias - logarithms.mean(0))).sum(0)
    return np.concatenate([*(weights[:, :, None] * table), weights.T, constant[:, None]], 1, dtype=np.float32)


def text_vectors(words: np.ndarray, texts: list[np.ndarray]) -> np.ndarray:
    """A vector for each text: the sum of its words'.

    Args:
        words: (V, dimension) of `word_vectors`.
        texts: word ids, as `judge.pieces` gives them.

    Returns:
        (texts, dimension) float32.
    """
    return np.stack([words[np.unique(text)].sum(0) for text in texts])


def _at_masks(judge: Judge, videos: list[np.ndarray], template: str) -> tuple[np.ndarray, np.ndarray]:
    """(videos, masks, hidden_size) what the text head makes of the template's masks before each video, and the
    (videos, masks) logarithms of its softmax's denominator."""
    import torch

    parts = [judge.pieces(part) for part in template.split("[MASK]")]
    text = np.concatenate([parts[0], *(np.concatenate([[judge.words.mask], part]) for part in parts[1:])]).astype(
        np.int64
    )
    room = judge.model.config.max_position_embeddings - 3 - len(text)
    if room < 1:
        raise UserError(
            f"retrieval.template has {len(text)} word pieces, which leaves no room for a video in the "
            f"{room + 3 + len(text)} tokens of the model: shorten it, or raise pretrain.max_length"
        )
    sequences = [lay_out(text, video[:room], judge.words) for video in videos]
    where = torch.from_numpy(1 + np.flatnonzero(text == judge.words.mask)).to(judge.device)
    hidden, normaliser = [], []
    for _, output in judge.read(sequences):
        with torch.inference_mode():
            at = judge.model.text_transform(output.last_hidden_state[:, where])
            logits = judge.model.text_decoder(at) + judge.model.text_bias
        hidden.append(at.float().cpu().numpy())
        normaliser.append(logits.float().logsumexp(-1).cpu().numpy())
    return np.concatenate(hidden), np.concatenate(normaliser)


def nearest(queries: np.ndarray, index: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
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
    for block, products in _products(queries, index):
        best = products.topk(count)
        scores[block], rows[block] = best.values.numpy(), best.indices.numpy()
    return scores, rows


def _products(queries: np.ndarray, index: np.ndarray) -> Iterator[tuple[slice, Any]]:
    """Yields (block of queries, their dot products with all rows of the index), BLOCK numbers at a time."""
    import torch

    rows = max(1, BLOCK // len(index))
    columns = torch.from_numpy(index).T
    for first in range(0, len(queries), rows):
        block = slice(first, first + rows)
        yield block, torch.from_numpy(queries[block]) @ columns


def alignments(judge: Judge, texts: list[np.ndarray], videos: list[np.ndarray], pairs: np.ndarray) -> np.ndarray:
    """The alignment head's scores of pairs of a text and a video, read together, which no index can hold.

    Args:
        texts: word ids of each text.
        videos: visual words of each video, as joint ids.
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
        scores[part] = judge.alignments([judge.sequence(texts[text], videos[video]) for text, video in pairs[part]])
    return scores


# Two stages, and how well each finds ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Side:
    """One side of a search, n texts or n videos. A query's hits are those of the other side that have its label."""

    ids: list[np.ndarray]  # word ids, or visual words as joint ids
    vectors: np.ndarray  # (n, dimension) float32
    labels: np.ndarray  # (n,)
    groups: np.ndarray  # (n,) the number of the video


# Which queries search among which items: pairs of their rows.
Pools = list[tuple[np.ndarray, np.ndarray]]


def _two_stages(
    judge: Judge, texts: Side, videos: Side, asked: dict[str, tuple[Side, Side, Pools]], candidates: int, seed: int
) -> dict[str, dict[str, np.ndarray]]:
    """The rank of each query's first hit, for each question (queries, items, pools): of the first stage, of the first
    stage asked with the query of another video, and of the alignment head's order of the first stage's best."""
    ranks: dict[str, dict[str, np.ndarray]] = {}
    shortlists, pairs = {}, []
    random = np.random.default_rng([seed, 4])
    for name, (queries, items, pools) in asked.items():
        ranks[name] = {"first_stage": _ranks(queries, items, pools)}
        if len(np.unique(queries.groups)) > 1:
            rows = np.arange(len(queries.groups))
            others = [of_another_video(queries.groups, rows, group, random) for group in queries.groups]
            ranks[name]["shuffled"] = _ranks(replace(queries, vectors=queries.vectors[others]), items, pools)
        shortlists[name] = []
        for rows, among in pools:
            found = among[nearest(queries.vectors[rows], items.vectors[among], candidates)[1]]
            asking = np.broadcast_to(rows[:, None], found.shape)
            text, video = (asking, found) if queries is texts else (found, asking)
            shortlists[name].append((rows, found, text * len(videos.ids) + video))
            pairs.append(shortlists[name][-1][2].ravel())
    # Each pair is read once, whoever asks.
    numbers = np.unique(np.concatenate(pairs))
    scores = alignments(judge, texts.ids, videos.ids, np.stack(np.divmod(numbers, len(videos.ids)), 1))
    for name, (queries, items, _) in asked.items():
        ranks[name]["cross_encoder"] = ranks[name]["first_stage"].copy()
        for rows, found, pair in shortlists[name]:
            hits = items.labels[found] == queries.labels[rows, None]
            # What the first stage has left behind stays where it was.
            there = hits.any(1)
            order = _first_hit(scores[np.searchsorted(numbers, pair)], hits)
            ranks[name]["cross_encoder"][rows[there]] = order[there]
    return ranks


def _ranks(queries: Side, items: Side, pools: Pools) -> np.ndarray:
    """(queries,): the rank of the first hit by the vectors alone."""
    ranks = np.empty(len(queries.ids))
    for rows, among in pools:
        labels = items.labels[among]
        for block, products in _products(queries.vectors[rows], items.vectors[among]):
            ranks[rows[block]] = _first_hit(products.numpy(), queries.labels[rows[block], None] == labels)
    return ranks


def _first_hit(scores: np.ndarray, hits: np.ndarray) -> np.ndarray:
    """The rank of each row's best hit, from 1; of others that score the same, half count as before it."""
    best = np.where(hits, scores, -np.inf).max(1, keepdims=True)
    return 1 + ((scores > best) & ~hits).sum(1) + ((scores == best) & ~hits).sum(1) / 2


def _figures(
    ranks: dict[str, np.ndarray],
    sizes: np.ndarray,
    relevant: np.ndarray,
    groups: np.ndarray,
    candidates: int,
    seed: int,
) -> dict[str, dict[str, Any]]:
    rows: dict[str, dict[str, Any]] = {"chance": chance(sizes, relevant)}
    for stage, found in ranks.items():
        rows[stage] = {"count": len(found)}
        for place in PLACES:
            right = (found <= place).astype(float)
            rows[stage] |= {f"r{place}": float(right.mean()), f"r{place}_interval": interval(right, groups, seed)}
        rows[stage] |= {"median_rank": float(np.median(found)), "median_rank_interval": _of_median(found, groups, seed)}
    rows["cross_encoder"]["candidates"] = int(min(candidates, sizes.max()))
    return rows


def chance(sizes: np.ndarray, relevant: np.ndarray) -> dict[str, float]:
    """The figures of a random order, exactly, for queries with `relevant` (n,) hits among `sizes` (n,) items each.

    A query finds none of its R hits among the first k of N with probability C(N - R, k) / C(N, k).
    """
    missed = np.zeros(max(sizes.max(), *PLACES))
    kinds, counts = np.unique(np.stack([sizes, relevant], 1), axis=0, return_counts=True)
    for (size, hits), count in zip(kinds, counts):
        before = np.arange(size)
        missed[:size] += count * np.cumprod(np.maximum(size - hits - before, 0) / (size - before))
    missed /= len(sizes)
    figures = {f"r{place}": float(1 - missed[place - 1]) for place in PLACES}
    return figures | {"median_rank": float(np.argmax(missed <= 0.5) + 1)}


def _of_median(ranks: np.ndarray, groups: np.ndarray, seed: int) -> list[float]:
    """The 95 % interval of the median, by the same bootstrap over videos as `interval`."""
    order = np.argsort(ranks, kind="stable")
    numbers = np.unique(groups, return_inverse=True)[1][order]
    random = np.random.default_rng([seed, 9])
    medians = []
    for _ in range(RESAMPLES):
        times = np.bincount(random.integers(numbers.max() + 1, size=numbers.max() + 1), minlength=numbers.max() + 1)
        before = np.cumsum(times[numbers])
        medians.append(ranks[order[np.searchsorted(before, before[-1] / 2)]])
    return [float(bound) for bound in np.quantile(medians, [0.025, 0.975])]
