"""Retrieval: the video for a text and the text for a video, in two stages, from a model that was trained for neither.

The first stage has one vector for each segment, and searches exactly: one matrix product. A video's is the model's mean
output over it; a text's is made of its words alone, by a ridge regression of the words (tf-idf) on the outputs, fitted
on the train split's pairs while the model stays as it is. So the score is the cosine between the words of the text and
those that are expected with the video. In the second stage the alignment head (section 3.2 of the paper) reads the best
`candidates` together with the query: to each one's score, standardised among the query's candidates, the logarithm of the
probability is added that text and video belong together. So the head can reject what the vectors took for near, and does not
order alone, which it never learnt: that lowered R@1 by half. Each stage's figures stand apart, beside chance and beside a first
stage that is asked with the query of another video. A model that was trained with `pretrain.contrastive_weight` gives texts and
videos vectors of its own, which are then those of the first stage; the projection's figures stand beside it.

Why a projection: on the kitchen's 2,361 train pairs, with four folds of videos and a model of 1,400 steps, it finds 0.55
of the videos among the first 5 of about 590 for their texts; the model's own masked words at a template's two slots,
which need no fit, 0.21 at the best; outputs at those slots as the regression's input, no more than the mean (0.56). And
what the figures do not say: the same regression on counts of the visual words, without a model, finds 0.54 there.

Measured are, of the test split: sentence and video of a segment, each looking for the other among all segments
(text_to_video, video_to_text) and among those of its own video (..._within), where a hit is the segment itself, however
much others are like it; and annotated steps, for which the filled template asks, and any step with its verb and its object
is a hit.
"""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from pydantic import model_validator

from videobert.evaluation.scoring import RESAMPLES, bounds, interval, middle
from videobert.evaluation.steps import row_of_another_video, select_between
from videobert.evaluation.task import (
    NO_TRUTH,
    AnnotatedInputs,
    AnnotatedSettings,
    EvaluateExecution,
    Task,
    TaskOutputs,
    open_task,
    used_settings,
    write_task,
)
from videobert.model.predictor import Predictor
from videobert.model.processing_videobert import Ids, Video
from videobert.model.projection import (
    Projection,
    alignments,
    fit_projection,
    nearest,
    read_again,
    save_projection,
    score_blocks,
    text_vectors,
    video_vectors,
)
from videobert.model.sequences import Segments
from videobert.settings import Count, Settings, Text

VERSION = 2
PLACES = (1, 5, 10)
SAMPLE = 20_000
NO_PAIRS = "no train video has both speech and pictures in one segment: transcribe more videos"


class RetrievalSettings(Settings):
    """The video for a text and the text for a video."""

    template: Text = "now let me show you how to [MASK] the [MASK]"
    """The query for annotated steps: its first [MASK] is filled with the verb, its second with the object."""
    candidates: Count = 100
    """How many of the best hits of the vector search the alignment head re-ranks. More can find more, and cost more
    time per query."""

    @model_validator(mode="after")
    def _template_has_two_masks(self) -> Self:
        if self.template.count("[MASK]") != 2:
            raise ValueError(
                f"retrieval.template is {self.template!r}, but must hold [MASK] twice: for the verb and for the object"
            )
        return self


class RetrievalOutputs(TaskOutputs):
    projection: Path
    """The first stage's projection (safetensors), for `videobert search`. None is made when no train video has both speech and
    pictures in one segment."""


def retrieval(
    inputs: AnnotatedInputs,
    outputs: RetrievalOutputs,
    settings: RetrievalSettings,
    shared: AnnotatedSettings,
    execution: EvaluateExecution,
) -> None:
    """Find the video for a text and the text for a video, in two stages."""
    task = open_task(inputs, shared, execution)
    predictor = task.predictor
    provenance = task.provenance("retrieval", VERSION, used_settings(settings, shared))
    train = task.segments("train", predictor.model.config.lookahead)
    # Of an earlier run, and perhaps not made again; earlier versions kept it beside the figures.
    shutil.rmtree(outputs.figures.with_suffix(""), ignore_errors=True)
    outputs.projection.unlink(missing_ok=True)
    pairs = _pairs(train)
    if len(pairs) < 2:
        return write_task(outputs.figures, provenance, {"retrieval": {"skipped": NO_PAIRS}}, {})
    projection = _projection(predictor, train, pairs, shared.seed)
    save_projection(projection, outputs.projection, task.provenance("retrieval", VERSION, {"seed": shared.seed}))
    search = _Search(predictor, projection, settings.candidates, shared.seed)
    summary, details = _segments(search, task.test)
    if shared.annotations is None:
        summary["steps"] = {"skipped": NO_TRUTH}
    else:
        summary["steps"], details["steps"] = _steps(search, task, settings.template)
    return write_task(outputs.figures, provenance, {"retrieval": summary}, details)


@dataclass(frozen=True)
class _Search:
    """How is searched: the model, the first stage's projection, and how many of its best the second stage orders."""

    predictor: Predictor
    projection: Projection
    candidates: int
    seed: int

    def of_texts(self, texts: Sequence[Ids]) -> npt.NDArray[np.float32]:
        """The first stage's vectors, (texts, dimension)."""
        return (
            self.predictor.vectors_of_texts(texts)
            if self.predictor.has_vectors
            else text_vectors(self.projection, texts)
        )

    def of_videos(self, videos: Sequence[Video]) -> npt.NDArray[np.float32]:
        """The first stage's vectors, (videos, dimension)."""
        if self.predictor.has_vectors:
            return self.predictor.vectors_of_videos(videos)
        return video_vectors(self.predictor, self.projection, videos)


# What is asked --------------------------------------------------------------------------------------------------------


def _projection(predictor: Predictor, segments: Segments, pairs: npt.NDArray[np.intp], seed: int) -> Projection:
    if len(pairs) > SAMPLE:
        pairs = np.sort(np.random.default_rng([seed, 5]).choice(pairs, SAMPLE, replace=False))
    return fit_projection(predictor, *_both(predictor, segments, pairs))


def _pairs(segments: Segments) -> npt.NDArray[np.intp]:
    has_both = (np.diff(segments.text_offsets) > 0) & (np.diff(segments.video_offsets) > 0)
    return np.flatnonzero(segments.paired & has_both)


def _both(predictor: Predictor, segments: Segments, rows: npt.NDArray[np.intp]) -> tuple[Sequence[Ids], list[Video]]:
    texts = [segments.text_of(row).astype(np.int64) for row in rows]
    return texts, [segments.video_of(row) for row in rows]


def _segments(search: _Search, segments: Segments) -> tuple[dict[str, Any], dict[str, Any]]:
    """(figures, each segment's ranks): a sentence looks for its own video and a video for its own sentence, among all
    segments of the test set, and among those of its video."""
    predictor = search.predictor
    names = ["text_to_video", "video_to_text", "text_to_video_within", "video_to_text_within"]
    pairs = _pairs(segments)
    if not len(pairs):
        return {name: {"skipped": "no test segment has both speech and video"} for name in names}, {}
    texts, videos = _both(predictor, segments, pairs)
    rows, groups = np.arange(len(pairs)), segments.group[pairs]
    text_side = Side(texts, search.of_texts(texts), rows, groups)
    video_side = Side(videos, search.of_videos(videos), rows, groups)
    within = [(own, own) for own in (np.flatnonzero(groups == one) for one in np.unique(groups))]
    pools = [[(rows, rows)]] * 2 + [within] * 2
    questions = {
        name: (text_side, video_side, pool) if name.startswith("text") else (video_side, text_side, pool)
        for name, pool in zip(names, pools)
    }
    ranks = _two_stages(search, text_side, video_side, questions)
    sizes = [np.full(len(pairs), len(pairs))] * 2 + [np.bincount(groups)[groups]] * 2
    figures = {
        name: _figures(ranks[name], Odds(size, np.ones_like(size)), groups, search) for name, size in zip(names, sizes)
    }
    listed = [
        {
            "video_id": segments.videos[segments.group[row]],
            "start": float(segments.start[row]),
            "end": float(segments.end[row]),
            "text": predictor.tokenizer.decode(texts[place].tolist()),
            **{name: {stage: float(found[place]) for stage, found in ranks[name].items()} for name in names},
        }
        for place, row in enumerate(pairs)
    ]
    return figures, {"segments": listed}


def _steps(search: _Search, task: Task, template: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """(figures, each action's ranks): the filled template looks for the steps with its verb and its object.

    Each step of the test set asks once, so an action counts as often as it is seen.
    """
    predictor = search.predictor
    clips = task.clips("test")
    steps = task.steps_with(clips)
    actions = sorted({(step.verb, step.object) for step in steps})
    labels = np.array([actions.index((step.verb, step.object)) for step in steps])
    sentences = [filled(template, verb, thing) for verb, thing in actions]
    texts = [predictor.pieces(sentence).astype(np.int64) for sentence in sentences]
    videos = [select_between(*clips[step.video_id], step.start, step.end) for step in steps]
    groups = np.unique([step.video_id for step in steps], return_inverse=True)[1]
    rows, numbers = np.arange(len(steps)), np.arange(len(actions))
    queries = Side(texts, search.of_texts(texts), numbers, numbers)
    items = Side(videos, search.of_videos(videos), labels, groups)
    ranks = _two_stages(search, queries, items, {"steps": (queries, items, [(numbers, rows)])})["steps"]
    relevant = np.bincount(labels)
    odds = Odds(np.full(len(steps), len(steps)), relevant[labels])
    figures = _figures({stage: found[labels] for stage, found in ranks.items()}, odds, groups, search)
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


# Two stages, and how well each finds ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Side:
    """One side of a search, n texts or n videos. A query's hits are those of the other side that have its label."""

    asked: Sequence[Any]  # the texts, ids of words, or the videos
    vectors: npt.NDArray[np.float32]  # (n, dimension)
    labels: npt.NDArray[np.integer]  # (n,)
    groups: npt.NDArray[np.integer]  # (n,) the number of the video


# Which queries search among which items: pairs of their rows.
Pools = Sequence[tuple[npt.NDArray[np.integer], npt.NDArray[np.integer]]]


def _two_stages(
    search: _Search, texts: Side, videos: Side, questions: Mapping[str, tuple[Side, Side, Pools]]
) -> dict[str, dict[str, npt.NDArray[np.float64]]]:
    """The rank of each query's first hit, for each question (queries, items, pools): of the first stage, of the first
    stage asked with the query of another video, and of the first stage's best after the alignment head has read them."""
    ranks: dict[str, dict[str, npt.NDArray[np.float64]]] = {}
    # Of each question: the queries, what they found, how near it was, and the numbers of these pairs.
    shortlists: dict[str, list[tuple[Ids, Ids, npt.NDArray[np.float32], Ids]]] = {}
    pairs: list[Ids] = []
    random = np.random.default_rng([search.seed, 4])
    projected = _projected(search, texts, videos)
    for name, (queries, items, pools) in questions.items():
        ranks[name] = {"first_stage": _ranks(queries, items, pools)}
        if projected:
            sides = projected if queries is texts else projected[::-1]
            ranks[name]["projection"] = _ranks(*sides, pools)
        if len(np.unique(queries.groups)) > 1:
            everyone = np.arange(len(queries.groups))
            others = [row_of_another_video(queries.groups, everyone, group, random) for group in queries.groups]
            ranks[name]["shuffled"] = _ranks(replace(queries, vectors=queries.vectors[others]), items, pools)
        shortlists[name] = []
        for rows, among in pools:
            near, places = nearest(queries.vectors[rows], items.vectors[among], search.candidates)
            found = among[places]
            asking = np.broadcast_to(rows[:, None], found.shape)
            text, video = (asking, found) if queries is texts else (found, asking)
            shortlists[name].append((rows, found, near, text * len(videos.asked) + video))
            pairs.append(shortlists[name][-1][3].ravel())
    # Each pair is read once, whoever asks.
    numbers = np.unique(np.concatenate(pairs))
    scores = alignments(search.predictor, texts.asked, videos.asked, np.stack(np.divmod(numbers, len(videos.asked)), 1))
    for name, (queries, items, _) in questions.items():
        ranks[name]["cross_encoder"] = ranks[name]["first_stage"].copy()
        for rows, found, near, pair in shortlists[name]:
            hits = items.labels[found] == queries.labels[rows, None]
            # What the first stage has left behind stays where it was.
            found_any = hits.any(1)
            order = _first_hit(read_again(near, scores[np.searchsorted(numbers, pair)]), hits)
            ranks[name]["cross_encoder"][rows[found_any]] = order[found_any]
    return ranks


def _projected(search: _Search, texts: Side, videos: Side) -> tuple[Side, Side] | None:
    """Both sides with the projection's vectors, where the first stage has those of the model."""
    if not search.predictor.has_vectors:
        return None
    vectors = video_vectors(search.predictor, search.projection, videos.asked)
    return replace(texts, vectors=text_vectors(search.projection, texts.asked)), replace(videos, vectors=vectors)


def _ranks(queries: Side, items: Side, pools: Pools) -> npt.NDArray[np.float64]:
    """(queries,): the rank of the first hit by the vectors alone."""
    ranks = np.empty(len(queries.asked))
    for rows, among in pools:
        labels = items.labels[among]
        for block, products in score_blocks(queries.vectors[rows], items.vectors[among]):
            ranks[rows[block]] = _first_hit(products.numpy(), queries.labels[rows[block], None] == labels)
    return ranks


def _first_hit(scores: npt.NDArray[np.floating], hits: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """The rank of each row's best hit, from 1; of others that score the same, half count as before it."""
    best = np.where(hits, scores, -np.inf).max(1, keepdims=True)
    ranks: npt.NDArray[np.float64] = 1 + ((scores > best) & ~hits).sum(1) + ((scores == best) & ~hits).sum(1) / 2
    return ranks


@dataclass(frozen=True)
class Odds:
    """What a query is up against: among how many items it searches, and how many of them are hits; (n,) each."""

    sizes: npt.NDArray[np.integer]
    relevant: npt.NDArray[np.integer]


def _figures(
    ranks: dict[str, npt.NDArray[np.float64]], odds: Odds, groups: npt.NDArray[np.integer], search: _Search
) -> dict[str, dict[str, Any]]:
    rows: dict[str, dict[str, Any]] = {"chance": chance(odds.sizes, odds.relevant)}
    for stage, found in ranks.items():
        rows[stage] = {"count": len(found)}
        for place in PLACES:
            right = (found <= place).astype(float)
            rows[stage][f"r{place}"] = float(right.mean())
            rows[stage] |= bounds(f"r{place}_interval", groups, partial(interval, right, groups, search.seed))
        rows[stage]["median_rank"] = float(np.median(found))
        rows[stage] |= bounds("median_rank_interval", groups, partial(_of_median, found, groups, search.seed))
    rows["cross_encoder"]["candidates"] = int(min(search.candidates, odds.sizes.max()))
    return rows


def chance(sizes: npt.NDArray[np.integer], relevant: npt.NDArray[np.integer]) -> dict[str, float]:
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


def _of_median(ranks: npt.NDArray[np.float64], groups: npt.NDArray[np.integer], seed: int) -> list[float]:
    """The 95 % interval of the median, by the same bootstrap over videos as `interval`."""
    order = np.argsort(ranks, kind="stable")
    numbers = np.unique(groups, return_inverse=True)[1][order]
    random = np.random.default_rng([seed, 9])
    medians = []
    for _ in range(RESAMPLES):
        times = np.bincount(random.integers(numbers.max() + 1, size=numbers.max() + 1), minlength=numbers.max() + 1)
        before = np.cumsum(times[numbers])
        medians.append(ranks[order[np.searchsorted(before, before[-1] / 2)]])
    return middle(medians)
