"""Forecasting: the visual words that come next, and those of a recipe's sentence (figure 1 of the paper).

The next: at every clip of a test video the model is given the last visual words up to there and as many masks as the
horizon is long, video alone, and ranks the words of the clips to come. A kitchen mostly goes on as it was, so the
figures stand beside what needs no model: the most frequent word, the last word again, and the word that most often
followed the last one at that distance in the train videos.

Of a text: a sentence of a test video, [>], and a mask for each of its clips. The controls are the masks alone and the
sentence of another video: what is better than those was in the words.
"""

from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from videobert.errors import UserError
from videobert.evaluation.scoring import TOP, bounds, interval
from videobert.evaluation.steps import row_of_another_video
from videobert.evaluation.task import (
    EvaluateExecution,
    SeededSettings,
    Task,
    TaskInputs,
    TaskOutputs,
    open_task,
    used_settings,
    write_task,
)
from videobert.model.predictor import Predictor
from videobert.model.processing_videobert import NO_TEXT, NO_VIDEO, Ids, Video, shorten
from videobert.model.sequences import Segments
from videobert.settings import Count, Settings

VERSION = 1

EXAMPLES = 48  # of each kind, spread evenly over the test videos
SPECIAL = 3  # [CLS], [>], [SEP]


class ForecastingSettings(Settings):
    """The visual words to come, and those of a sentence."""

    context: Count = 12
    """Visual words that the model is given, at most. Context and horizon together should not exceed
    tokens.segment_length, the longest that it has seen in training, and must fit into pretrain.max_length."""
    horizon: Count = 4
    """Clips ahead that are forecast."""


def forecasting(
    inputs: TaskInputs,
    outputs: TaskOutputs,
    settings: ForecastingSettings,
    shared: SeededSettings,
    execution: EvaluateExecution,
) -> None:
    """Rank the visual words that come next, and those of a sentence, on the test split."""
    task = open_task(inputs, shared, execution)
    predictor = task.predictor
    context, horizon = settings.context, settings.horizon
    if context + horizon + SPECIAL > predictor.model.config.max_position_embeddings:
        raise UserError(
            f"forecasting.context ({context}) and forecasting.horizon ({horizon}) need {context + horizon + SPECIAL} positions, "
            f"but the model has {predictor.model.config.max_position_embeddings}: lower them, or raise pretrain.max_length"
        )
    train = [track.words for track in _tracks(task.tokens.segments("train"))]
    frequent = _most_frequent(train, predictor.vocabulary.visual_words)
    next_, next_examples = _next(task, train, frequent, settings, shared.seed)
    of_text, text_examples = _of_text(predictor, task.test, frequent, shared.seed)
    provenance = task.provenance("forecasting", VERSION, used_settings(settings, shared))
    summary = {"forecasting": {"next": next_, "of_text": of_text}}
    write_task(outputs.figures, provenance, summary, {"examples": {"next": next_examples, "of_text": text_examples}})


def _most_frequent(train: Sequence[Ids], visual_words: int) -> Ids:
    """The words that are in the train videos most often, best first; where there are fewer than TOP, the lowest others follow."""
    words, counts = np.unique(np.concatenate([np.empty(0, np.int64), *train]), return_counts=True)
    others = np.setdiff1d(np.arange(min(visual_words, 2 * TOP)), words)
    return np.append(words[np.argsort(-counts, kind="stable")], others)[:TOP]


def _tracks(segments: Segments) -> list[Video]:
    """All clips of each video, in order."""
    return [segments.between(start, end) for start, end in pairwise(segments.first)]


# The next --------------------------------------------------------------------------------------------------------------


def _next(
    task: Task, train: Sequence[Ids], frequent: Ids, settings: ForecastingSettings, seed: int
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """(the figures of each way to forecast, examples of the model's)."""
    predictor, horizon = task.predictor, settings.horizon
    tracks = _tracks(task.test)
    places = [(video, place) for video, track in enumerate(tracks) for place in range(1, len(track))]
    if not places:
        return {"skipped": "no test video has two clips"}, []
    given = [tracks[video][max(0, place - settings.context) : place] for video, place in places]
    truth = np.full((len(places), horizon), -1)  # -1: the video is over
    for row, (video, place) in enumerate(places):
        ahead = tracks[video].words[place : place + horizon]
        truth[row, : len(ahead)] = ahead
    # All masks every time: who looks ahead does not know when the video ends.
    sequences = [predictor.sequence(NO_TEXT, video.and_masks(horizon)) for video in given]
    answers = [answer.best(TOP) for answer in predictor.visual_answers(sequences)]
    last = np.array([video.words[-1] for video in given])
    ways = {
        "most_frequent": np.broadcast_to(frequent, (*truth.shape, len(frequent))),
        "repeat_last": np.stack([_latest(video.words) for video in given])[:, None].repeat(horizon, 1),
        "bigram": np.stack([_followers(train, last, ahead, frequent) for ahead in range(1, horizon + 1)], 1),
        "videobert": np.stack([words for words, _ in answers]),
    }
    groups = np.array([video for video, _ in places])
    figures = {"chance": _chance(predictor)}
    figures |= {name: _by_distance(ranked, truth, groups, seed) for name, ranked in ways.items()}
    examples = [
        {
            "video_id": task.test.videos[places[row][0]],
            "clips": list(range(places[row][1] - len(given[row]), places[row][1])),
            "words": given[row].words.tolist(),
            "truth": truth[row][truth[row] >= 0].tolist(),
            "predicted": _with_shares(*answers[row]),
        }
        for row in _evenly(len(places))
    ]
    return figures, examples


def _by_distance(ranked: Ids, truth: Ids, groups: npt.NDArray[np.integer], seed: int) -> dict[str, Any]:
    """The accuracies of the next clip, and their curves over the distance, of words `ranked` (n, horizon, TOP)."""
    rows = [
        _accuracies(ranked[known, ahead], truth[known, ahead], groups[known], seed)
        for ahead in range(truth.shape[1])
        if (known := truth[:, ahead] >= 0).any()
    ]
    return rows[0] | {f"top{top}_by_distance": [row[f"top{top}"] for row in rows] for top in (1, TOP)}


def _latest(words: Ids) -> npt.NDArray[np.int64]:
    """The last word, the last one that differs from it, and so on, (TOP,); -1 where there are no more."""
    latest = list(dict.fromkeys(words[::-1].tolist()))[:TOP]
    return np.array(latest + [-1] * (TOP - len(latest)))


def _followers(train: Sequence[Ids], last: Ids, ahead: int, frequent: Ids) -> npt.NDArray[np.int64]:
    """For each word of `last` (n,), the words that most often stood `ahead` clips after it, best first, (n, TOP).

    Where fewer have followed it, the most frequent of all fill the places.
    """
    pairs = [np.stack([track[:-ahead], track[ahead:]]) for track in train if len(track) > ahead]
    (first, second), counts = np.unique(
        np.concatenate([np.empty((2, 0), np.int64), *pairs], 1), axis=1, return_counts=True
    )
    table = {}
    for word in np.unique(last):
        follows = first == word
        best = second[follows][np.argsort(-counts[follows], kind="stable")]
        filled = list(dict.fromkeys([*best.tolist(), *frequent.tolist()]))[:TOP]
        table[word] = filled + [-1] * (TOP - len(filled))
    return np.array([table[word] for word in last])


# Of a text -------------------------------------------------------------------------------------------------------------


def _of_text(
    predictor: Predictor, test: Segments, frequent: Ids, seed: int
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """(the figures with the sentence and without, examples)."""
    rows = np.flatnonzero(test.paired & (np.diff(test.text_offsets) > 0) & (np.diff(test.video_offsets) > 0))
    if not len(rows):
        return {"skipped": "no test video has a sentence with clips"}, []
    length = predictor.model.config.max_position_embeddings
    both = [shorten(test.text_of(row).astype(np.int64), test.video_of(row), length) for row in rows]
    videos = [video.words.astype(np.int64) for _, video in both]
    masks = [NO_VIDEO.and_masks(len(video)) for video in videos]
    texts = {"no_text": [text[:0] for text, _ in both], "videobert": [text for text, _ in both]}
    if len(np.unique(test.group[rows])) > 1:
        random = np.random.default_rng([seed, 4])
        others = [row_of_another_video(test.group, rows, test.group[row], random) for row in rows]
        # As many masks as with the own sentence, even if that cuts the other.
        texts["shuffled_text"] = [
            test.text_of(other).astype(np.int64)[: length - SPECIAL - len(video)]
            for other, video in zip(others, videos, strict=True)
        ]
    truth, groups = np.concatenate(videos), np.repeat(test.group[rows], [len(video) for video in videos])
    constant = np.broadcast_to(frequent, (len(truth), len(frequent)))
    figures = {"chance": _chance(predictor), "most_frequent": _accuracies(constant, truth, groups, seed)}
    for name in ("no_text", "shuffled_text", "videobert"):
        if name in texts:
            asked = [predictor.sequence(text, mask) for text, mask in zip(texts[name], masks, strict=True)]
            ranked = np.concatenate([answer.best(TOP)[0] for answer in predictor.visual_answers(asked)])
            figures[name] = _accuracies(ranked, truth, groups, seed)
    chosen = _evenly(len(rows))
    answers = predictor.visual_answers([predictor.sequence(both[index][0], masks[index]) for index in chosen])
    examples = [
        {
            "video_id": test.videos[test.group[rows[index]]],
            "text": predictor.tokenizer.decode(both[index][0].tolist()),
            "clips": test.clips_of(rows[index])[: len(videos[index])].tolist(),
            "truth": videos[index].tolist(),
            # Of the whole sentence: the mean over its masks.
            "predicted": _with_shares(*answer.best_on_average(TOP))[0],
        }
        for index, answer in zip(chosen, answers, strict=True)
    ]
    return figures, examples


# Both ------------------------------------------------------------------------------------------------------------------


def _with_shares(words: Ids, scores: npt.NDArray[np.floating]) -> list[list[tuple[int, float]]]:
    """Of each mask (word, probability), from log-probabilities."""
    return [list(zip(row.tolist(), share.tolist())) for row, share in zip(words, np.exp(scores), strict=True)]


def _accuracies(ranked: Ids, truth: Ids, groups: npt.NDArray[np.integer], seed: int) -> dict[str, Any]:
    """Top-1 and top-5 accuracy with intervals: words `ranked` (n, TOP) for `truth` (n,) in the videos `groups` (n,)."""
    result: dict[str, Any] = {"count": len(truth)}
    for top in (1, TOP):
        right = (ranked[:, :top] == truth[:, None]).any(1).astype(float)
        result[f"top{top}"] = float(right.mean())
        result |= bounds(f"top{top}_interval", groups, partial(interval, right, groups, seed))
    return result


def _chance(predictor: Predictor) -> dict[str, float]:
    return {f"top{top}": min(1.0, top / predictor.vocabulary.visual_words) for top in (1, TOP)}


def _evenly(count: int) -> list[int]:
    places: list[int] = np.unique(np.linspace(0, count - 1, min(count, EXAMPLES)).round().astype(int)).tolist()
    return places
