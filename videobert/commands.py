"""The commands `videobert fill`, `forecast`, `caption`, `index` and `search`: `VideoBert` from the shell.

They print a table, or with --json JSON alone.
"""

import json as json_
from pathlib import Path
from typing import Any

from videobert.api import VideoBert
from videobert.api.index import VIDEOS
from videobert.data.provenance import read_table
from videobert.errors import Status

MODEL = Path("results/pretrain")
INDEX = Path("index")


def fill(
    text: str,
    video: Path | None = None,
    start: float | None = None,
    end: float | None = None,
    top: int = 5,
    model: Path = MODEL,
    json: bool = False,
) -> None:
    """Fill the [MASK]s of a sentence with what a video shows.

    videobert fill "now let me show you how to [MASK] the [MASK]" --video clip.mp4 --start 12 --end 18

    Args:
        text: a sentence with one [MASK] or more.
        video: a video file; without one, what the model expects of the language alone.
        start: begin at this second.
        end: end at this second.
        top: words to show for each [MASK].
        model: folder of the model.
        json: print JSON alone.
    """
    answers = VideoBert.from_pretrained(model).fill(text, video, start=start, end=end, top=top)
    if json:
        words = [[{"word": word, "probability": _short(share)} for word, share in answer] for answer in answers]
        return _print({"text": text, "masks": words})
    heads = [f"[MASK] {number}" for number in range(1, len(answers) + 1)]
    rows = [[f"{share:4.0%} {word}" for word, share in ranks] for ranks in zip(*answers, strict=True)]
    _table(heads, rows)


def forecast(
    video: Path,
    start: float | None = None,
    end: float | None = None,
    top: int = 5,
    model: Path = MODEL,
    json: bool = False,
) -> None:
    """Say which visual words come next after a video.

    videobert forecast clip.mp4 --end 18

    Args:
        video: a video file.
        start: begin at this second.
        end: end at this second; the clip after it is forecast.
        top: visual words to show.
        model: folder of the model.
        json: print JSON alone.
    """
    found = VideoBert.from_pretrained(model).forecast(video, start=start, end=end, top=top)
    if json:
        return _print({"next": [{**vars(one), "probability": _short(one.probability)} for one in found]})
    rows = [[f"{one.probability:.0%}", str(one.word), ".".join(map(str, one.path)), one.text] for one in found]
    _table(["probability", "visual word", "in the tree", "what the model calls it"], rows)


def caption(
    video: Path,
    start: float | None = None,
    end: float | None = None,
    model: Path = MODEL,
    decoder: Path | None = None,
    json: bool = False,
) -> None:
    """Describe a short video in a sentence.

    videobert caption clip.mp4 --start 12 --end 18

    Args:
        video: a video file.
        start: begin at this second.
        end: end at this second.
        model: folder of the model.
        decoder: folder of the decoder that the stage captioning trained; none: captioning in the model folder, or where
            earlier versions put it, evaluate/captioning beside the model folder.
        json: print JSON alone.
    """
    sentence = VideoBert.from_pretrained(model).caption(video, start=start, end=end, decoder=decoder)
    if json:
        return _print({"video": str(video), "caption": sentence})
    print(sentence)


def index(videos: list[str], output: Path = INDEX, clips: int = 4, model: Path = MODEL, json: bool = False) -> None:
    """Make an index of videos for videobert search; a file that cannot be read is left out and said.

    videobert index videos/*.mp4 --output index
    videobert index results --output index

    Args:
        videos: video files, or a results folder for all videos in its tokens.
        output: folder to write.
        clips: clips in a segment; 4 are 6 seconds.
        model: folder of the model.
        json: print JSON alone.
    """
    count = VideoBert.from_pretrained(model).index(videos, output, clips)
    if json:
        videos_of_index = read_table(output / VIDEOS).to_pylist()
        lost = [
            {"video": row["video"], "reason": row["reason"]} for row in videos_of_index if row["status"] != Status.OK
        ]
        return _print({"index": str(output), "segments": count, "left_out": lost})
    print(f"{count} segments in {output}; search with: videobert search 'slice the onion' --index {output}")


def search(text: str, index: Path = INDEX, top: int = 5, model: Path = MODEL, json: bool = False) -> None:
    """Find the seconds in which videos show what a text says.

    videobert search 'slice the onion' --index index

    Args:
        text: what to look for.
        index: folder that videobert index wrote.
        top: segments to show.
        model: folder of the model.
        json: print JSON alone.
    """
    found = VideoBert.from_pretrained(model).search(text, index, top)
    if json:
        return _print({"text": text, "segments": [{**vars(one), "score": _short(one.score)} for one in found]})
    _table(
        ["score", "from", "to", "video"],
        [[f"{one.score:.2f}", _clock(one.start), _clock(one.end), one.video] for one in found],
    )


def _print(data: dict[str, Any]) -> None:
    print(json_.dumps(data, ensure_ascii=False))


def _short(number: float) -> float:
    return round(number, 6)


def _clock(seconds: float) -> str:
    """1:02:03.5"""
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}:{minutes:02}:{rest:04.1f}" if hours else f"{minutes}:{rest:04.1f}"


def _table(heads: list[str], rows: list[list[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    for row in (heads, *rows):
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
