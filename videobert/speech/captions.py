"""Captions that came with a video, as words with times.

WebVTT and SubRip are read line by line, leniently, as players do: strangers wrote them. What is no cue is counted, not
guessed at. What is not speech ([music], ♪ lyrics ♪, who speaks) is left out.

Automatic captions roll: YouTube's show a line while it is spoken, repeat it for 10 ms, and again above the next one, so
that each word stands in the file three times. In a file that does so, what a cue repeats of the one before is dropped.
They also say when each word begins (`we<00:00:02.639><c> are</c>`), which is kept; other words share their cue's time.
"""

import html
import itertools
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from videobert.data.text import sanitized
from videobert.errors import Status, VideoError
from videobert.speech.encodings import encoding_of

LARGEST = 8_000_000  # bytes; an hour of automatic captions with the time of each word takes less than one million
MOST = 1_000_000  # words, with all that is repeated; a day of speech without a pause
LONGEST_CUE, LONGEST_TIME = 2_000, 120  # characters and seconds; a cue is read from a screen
SLOWEST = 0.1  # seconds a character of a word whose beginning alone is known: slow speech

CLOCK = r"(?:([0-9]{1,4}):)?([0-9]{1,2}):([0-9]{1,2})(?:[.,]([0-9]{1,3}))?"
TIMES = re.compile(rf"\s*{CLOCK}\s*-->\s*{CLOCK}(?!\S)")
ALMOST_TIMES = re.compile(rf"\s*{CLOCK}\s*[-=–—]+>?\s*{CLOCK}\s*$")  # "00:01 -> 00:02" begins a cue, a malformed one
MARKUP = re.compile(r"(<[^<>]*>|\{\\[^{}]*\})")  # <i>, <00:01.500>, {\an8}
# SubRip has no rule that "<" must be written as "&lt;", so "until it is <100" is text. Converted WebVTT keeps <c> and its times.
SUBRIP_MARKUP = re.compile(
    r"(</?(?:[bisu]|em|strong|font(?:\s[^<>]*)?|c(?:\.[^<>\s]*)?)\s*/?>|<[0-9]+(?::[0-9]+)+(?:[.,][0-9]+)?>|\{\\[^{}]*\})",
    re.IGNORECASE,
)
DRAWING = re.compile(r"\{[^{}]*\\p[1-9][^{}]*\}[^{}]*")  # of ASS: {\p1}m 0 0 l 100 0{\p0}
STAMP = re.compile(rf"<{CLOCK}>")
# [music], {a remark of ASS}, ♪ lyrics ♪, what stands in (brackets) or *stars* alone in its line, >> or - before another speaker.
NOISE = re.compile(
    r"\[[^\[\]]*\]|\{[^{}]*\}|♪[^♪]*♪|♪[^♪\n]*|^[ \t]*\([^()]*\)[ \t]*$|^[ \t]*\*[^*\n]*\*[ \t]*$|>>+|^[ \t]*-[ \t]",
    re.MULTILINE,
)


class Cue(NamedTuple):
    """What is shown from `start` to `end` (seconds): words with the space before them, and when each begins, if known."""

    start: float
    end: float
    words: list[tuple[str, float | None]]


def caption_words(path: Path, duration: float, language: str = "und") -> tuple[list[tuple[str, float, float]], int]:
    """The words of a WebVTT or SubRip file as (text, start, end), in order of time; and how many cues were malformed.

    The language is a code, und when unknown; it helps to tell the encoding where that is an old one.

    A cue is malformed when its times cannot be read, run backwards or lie beyond the video's `duration` (0: unknown), or
    when it is too long to be one (`LONGEST_CUE`, `LONGEST_TIME`). Raises VideoError("unusable") when the file is too large, holds
    no cue at all, or is in an encoding that cannot be told.
    """
    cues, malformed = read_cues(path, language)
    if duration:
        within = [cue._replace(end=min(cue.end, duration)) for cue in cues if cue.start <= duration]
        cues, malformed = within, malformed + len(cues) - len(within)
    if malformed and not cues:
        raise VideoError(Status.UNUSABLE, f"its captions hold no cue that can be used: {malformed} malformed")
    cues = sorted(cues, key=lambda cue: cue[:2])
    stamped = any(time is not None for cue in cues for _, time in cue.words)
    cues = _without_repeats(cues, stamped)
    words: list[tuple[str, float, float]] = []
    for cue, following in itertools.zip_longest(cues, cues[1:]):
        # Automatic captions stay while the next ones are spoken.
        end = min(cue.end, following.start) if following and following.start > cue.start else cue.end
        words += _timed(cue.words, cue.start, end, SLOWEST if stamped else math.inf)
    return words, malformed


def read_cues(path: Path, language: str = "und") -> tuple[list[Cue], int]:
    """The cues of a file as they stand in it, those without words left out, and the number of malformed ones."""
    if path.stat().st_size > LARGEST:
        raise VideoError(Status.UNUSABLE, f"its captions are larger than {LARGEST // 1_000_000} MB")
    cues, count, malformed, found = [], 0, 0, False
    for times, text in _blocks(path, language):
        found = True
        start, end = (_seconds(*times.groups()[:4]), _seconds(*times.groups()[4:])) if times else (1.0, 0.0)
        if not start <= end <= start + LONGEST_TIME or len(text) > LONGEST_CUE:
            malformed += 1
        elif words := _words(text, SUBRIP_MARKUP if path.suffix.lower() == ".srt" else MARKUP):
            cues.append(Cue(start, end, words))
            count += len(words)
        if count > MOST:
            raise VideoError(Status.UNUSABLE, f"its captions hold more than {MOST:,} words")
    if not found:
        with open(path, "rb") as file:
            if not file.read(20).lstrip(b"\xef\xbb\xbf").startswith(b"WEBVTT"):
                raise VideoError(Status.UNUSABLE, "its captions are neither WebVTT nor SubRip")
    return cues, malformed


def _blocks(path: Path, language: str) -> Iterator[tuple[re.Match[str] | None, str]]:
    """(times, text) of each cue; times are None when the line with the arrow cannot be read."""
    times: re.Match[str] | None = None
    lines: list[str] = []
    size, inside = 0, False
    with open(path, encoding=encoding_of(path.read_bytes(), language), errors="replace") as file:
        for line in file:
            line = line.rstrip("\n")
            if ("-->" in line or ALMOST_TIMES.match(line)) and (inside or not line.startswith("NOTE")):
                if inside:
                    # The line above, after a blank one, was this cue's number or name.
                    yield times, "\n".join(lines[:-1] if len(lines) > 1 and not lines[-2].strip() else lines)
                times, lines, size, inside = TIMES.match(line), [], 0, True
            elif inside and not line and path.suffix.lower() != ".srt":  # SubRip has no notes, but blank lines in cues
                yield times, "\n".join(lines)
                inside = False
            elif inside and size <= LONGEST_CUE:
                lines.append(line)
                size += len(line) + 1
        if inside:
            yield times, "\n".join(lines)


def _seconds(hours: str | None, minutes: str, seconds: str, fraction: str | None) -> float:
    return int(hours or 0) * 3600 + int(minutes) * 60 + int(seconds) + int((fraction or "0").ljust(3, "0")) / 1000


def _words(text: str, markup: re.Pattern[str]) -> list[tuple[str, float | None]]:
    """The words of a cue's text without markup and noise, each with its time where the markup gives one."""
    pieces = []
    for piece in markup.split(DRAWING.sub(" ", text)):
        if stamp := STAMP.fullmatch(piece):
            # The marks are private characters, which `sanitized` takes from what strangers write.
            pieces.append(f"\ue000{_seconds(*stamp.groups())}\ue001")
        elif not markup.fullmatch(piece):
            # Only now, when the markup is parted off: "&lt;i&gt;" is text.
            lines = html.unescape(piece).replace("\\N", "\n").replace("\\h", " ").split("\n")  # \N and \h: ASS's
            pieces.append("\n".join(map(sanitized, lines)))
    words, time, space = [], None, " "
    for mark in re.finditer(r"\ue000([\d.]+)\ue001|(\s+)|([^\s\ue000\ue001]+)", NOISE.sub(" ", "".join(pieces))):
        moment, blank, word = mark.groups()
        if moment:
            time = float(moment)
        elif blank:
            space = " "
        elif word:
            words.append((space + word, time))
            space = ""
    return words


def _without_repeats(cues: list[Cue], stamped: bool) -> list[Cue]:
    """The cues with what is new in each, if the captions roll; cues that repeat the one before entirely are left out."""
    repeats = [0] + [_overlap(*pair) for pair in itertools.pairwise(cues)]
    repeating = sum(count > 0 for count in repeats)
    if 2 * repeating < len(cues) - 1 or repeating < (1 if stamped else 2):
        return cues
    new = (Cue(cue.start, cue.end, cue.words[count:]) for cue, count in zip(cues, repeats, strict=True))
    return [cue for cue in new if cue.words]


def _overlap(above: Cue, below: Cue) -> int:
    """How many words at the beginning of a cue are the last ones of the cue before, shown without a break."""
    if below.start > above.end + 0.1:
        return 0
    one, two = ([word.strip().casefold() for word, _ in cue.words] for cue in (above, below))
    # As characters: where words are not parted by spaces, the times part them in one of the cues only.
    ends = {"".join(one[place:]) for place in range(len(one))}
    return next((count for count in range(len(two), 0, -1) if "".join(two[:count]) in ends), 0)


def _timed(
    words: list[tuple[str, float | None]], start: float, end: float, slowest: float
) -> Iterator[tuple[str, float, float]]:
    """The words with times: those between two known times share what is between them, by their characters."""
    known = [start]
    for _, time in words:
        known.append(min(max(known[-1], start if time is None else time), end))
    known = [*known[1:], end]  # when each word begins, or the known time before it
    for _, group in itertools.groupby(range(len(words)), key=lambda place: words[place][1]):
        places = list(group)
        begin = known[places[0]]
        rate = (known[places[-1] + 1] - begin) / sum(len(words[place][0].strip()) for place in places)
        for word, _ in (words[place] for place in places):
            stop = begin + rate * len(word.strip())
            yield word, begin, min(stop, begin + slowest * len(word.strip()))
            begin = stop
