"""Words with times to sentences with times: one splitter for Whisper's words and for captions."""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import groupby
from typing import Any, NamedTuple

PAUSE = 1.0  # seconds of silence that are cut out, and that end a sentence without punctuation


SURE = 0.6  # mean probability of a sentence's words: clear speech has 0.8 to 1, a babble of eight voices 0.2 to 0.8


LONGEST = 64  # words; ASR without punctuation must end somewhere, and so must the model's input


# Why a segment of Whisper's, or a cue of captions, was not believed; the ledger counts each.
DROPPED = ("no_speech", "improbable", "repetition", "language", "malformed")


class Segment(NamedTuple):
    """What Whisper says of the stretch of sound that a word was heard in; of captions, the language alone."""

    language: str
    language_probability: float | None  # None: not asked, since an English-only model hears nothing else
    avg_logprob: float | None
    no_speech_prob: float | None
    compression_ratio: float | None


class Word(NamedTuple):
    """A word, with the space before it where the script has one; seconds; how sure Whisper is of it."""

    text: str
    start: float
    end: float
    probability: float | None
    segment: Segment


# What an engine makes of sound: the segments, each with its words.
Heard = Iterator[tuple[Segment, list[Word]]]


def sentences(words: Iterator[Word]) -> Iterator[list[Word]]:
    """Parts words into sentences: one ends at . ? !, at a pause, or when it grows too long."""
    sentence: list[Word] = []
    for word in words:
        if sentence and (word.start - sentence[-1].end > PAUSE or len(sentence) == LONGEST):
            yield from _saying(sentence)
            sentence = []
        sentence.append(word)
        if re.search(r"""[.?!…。？！]["'”’)\]]*$""", word.text):
            yield from _saying(sentence)
            sentence = []
    yield from _saying(sentence)


def _saying(words: list[Word]) -> Iterator[list[Word]]:
    if any(character.isalnum() for word in words for character in word.text):
        yield words


def credible(rows: Iterator[dict[str, Any]], dropped: Counter[str]) -> Iterator[dict[str, Any]]:
    """The sentences without those that Whisper is unsure of, as in a crowd, and without what is said again and again."""
    for _, group in groupby(rows, key=lambda row: row["text"].casefold()):
        run = list(group)
        if len(run) > 1:
            dropped["repetition"] += len(run)
        elif run[0]["probability"] is not None and run[0]["probability"] < SURE:
            dropped["improbable"] += 1
        else:
            yield run[0]


def sentence_row(words: list[Word]) -> dict[str, Any]:
    """A sentence's row: what is said and when, and the worst figures of the segments that it was heard in."""
    sure = [word.probability for word in words if word.probability is not None]

    def worst(choose: Callable[[list[float]], float], figure: str) -> float | None:
        known = [value for word in words if (value := getattr(word.segment, figure)) is not None]
        return choose(known) if known else None

    return {
        "start": round(words[0].start, 3),
        "end": round(max(word.end for word in words), 3),
        "text": " ".join("".join(word.text for word in words).split()),
        "language": words[0].segment.language,
        "language_probability": worst(min, "language_probability"),
        "probability": sum(sure) / len(sure) if sure else None,
        "avg_logprob": worst(min, "avg_logprob"),
        "no_speech_prob": worst(max, "no_speech_prob"),
        "compression_ratio": worst(max, "compression_ratio"),
    }
