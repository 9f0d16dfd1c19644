"""The commands `videobert fill`, `forecast`, `caption`, `index` and `search`: `VideoBert` from the shell.

What is given is checked before the model is loaded, which takes seconds. Where a text or videos are wanted, `-` reads them from
the standard input, one per line. Answers are printed by videobert/printing.py: as a table, JSON or CSV.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from videobert.api import VideoBert
from videobert.api.arguments import (
    check_masks,
    check_query,
    check_times,
    check_whole,
    check_writable,
    find_decoder,
)
from videobert.api.folder import find_folder
from videobert.api.index import VIDEOS, check_index, check_results, model_of_index
from videobert.data.provenance import read_table
from videobert.errors import Status, UserError
from videobert.layout import Layout, ModelFolder
from videobert.model.predictor import check_whole as check_files
from videobert.printing import Printer, clock, to_json

RESULTS = Path("results")
INDEX = Path("index")


def fill(
    text: str,
    video: Path | None = None,
    start: float | None = None,
    end: float | None = None,
    top_k: int = 5,
    model: str | None = None,
    json: bool = False,
    csv: bool = False,
) -> None:
    """Fill the [MASK]s of a sentence with what a video shows.

    videobert fill "now let me show you how to [MASK] the [MASK]." --video clip.mp4 --start 12 --end 18

    Args:
        text: a sentence with one [MASK] or more and a full stop, as people speak; - reads sentences from the standard
            input, one per line.
        video: a video file; without one, the model sees the text alone.
        start: begin at this second.
        end: end at this second.
        top_k: words to show for each [MASK].
        model: folder of the model, or user/model on the hub (default: results/pretrain).
        json: print JSON, a line for each sentence.
        csv: print CSV, a row for each word.
    """
    printer = Printer(json, csv)
    texts = _lines([text])
    for one in texts:
        check_masks(one)
    check_whole("top_k", top_k)
    if video is not None:
        _check_videos([video], start, end)
    answers = _load(model).fill(texts, video, start=start, end=end, top_k=top_k)
    for one, masks in zip(texts, answers, strict=True):
        words = [[{"word": word, "probability": _short(share)} for word, share in mask] for mask in masks]
        records = [
            {"text": one, "mask": number, "rank": rank, **word}
            for number, mask in enumerate(words, 1)
            for rank, word in enumerate(mask, 1)
        ]
        heads = [f"[MASK] {number}" for number in range(1, len(masks) + 1)]
        rows = [[f"{share:4.0%} {word}" for word, share in ranks] for ranks in zip(*masks, strict=True)]
        printer.answer({"text": one, "masks": words}, records, heads, rows, one if len(texts) > 1 else "")


def forecast(
    videos: list[str],
    start: float | None = None,
    end: float | None = None,
    top_k: int = 5,
    model: str | None = None,
    json: bool = False,
    csv: bool = False,
) -> None:
    """Predict the visual words that come after a video.

    videobert forecast clip.mp4 --end 18

    Args:
        videos: video files; - reads paths from the standard input, one per line.
        start: begin at this second, of each.
        end: end at this second, of each; the clip after it is forecast.
        top_k: visual words to show.
        model: folder of the model, or user/model on the hub (default: results/pretrain).
        json: print JSON, a line for each video.
        csv: print CSV, a row for each visual word.
    """
    printer = Printer(json, csv)
    places = _lines(videos)
    check_whole("top_k", top_k)
    _check_videos(places, start, end)
    asked = _load(model)

    def answer(video: str) -> None:
        found = asked.forecast(video, start=start, end=end, top_k=top_k)
        words = [{**asdict(one), "probability": _short(one.probability)} for one in found]
        paths = [".".join(map(str, one.path)) for one in found]
        records = [
            {"video": video, "rank": rank, **word, "path": path}
            for rank, (word, path) in enumerate(zip(words, paths, strict=True), 1)
        ]
        rows = [
            [f"{one.probability:.0%}", str(one.word), path, one.text] for one, path in zip(found, paths, strict=True)
        ]
        heads = ["probability", "visual word", "in the tree", "what the model calls it"]
        printer.answer({"video": video, "next": words}, records, heads, rows, video if len(places) > 1 else "")

    _each(places, answer)


def caption(
    videos: list[str],
    start: float | None = None,
    end: float | None = None,
    model: str | None = None,
    decoder: Path | None = None,
    json: bool = False,
    csv: bool = False,
) -> None:
    """Describe a short video in a sentence.

    videobert caption clip.mp4 --start 12 --end 18

    It needs the decoder that the task captioning trains; that task needs evaluate.annotations with a column sentence.

    Args:
        videos: video files; - reads paths from the standard input, one per line.
        start: begin at this second, of each.
        end: end at this second, of each.
        model: folder of the model, or user/model on the hub (default: results/pretrain).
        decoder: folder of the decoder (default: captioning in the model's folder).
        json: print JSON, a line for each video.
        csv: print CSV, a row for each video.
    """
    printer = Printer(json, csv)
    places = _lines(videos)
    _check_videos(places, start, end)
    folder = _find(model)
    find_decoder(ModelFolder(folder), decoder)
    asked = VideoBert.from_pretrained(folder)

    def answer(video: str) -> None:
        sentence = asked.caption(video, start=start, end=end, decoder=decoder)
        record = {"video": video, "caption": sentence}
        row = [sentence] if len(places) == 1 else [video, sentence]
        printer.answer(record, [record], [], [row])

    _each(places, answer)


def index(
    videos: list[str], output: Path = INDEX, clips: int = 4, model: str | None = None, json: bool = False
) -> None:
    """Make an index of videos for videobert search. A file that cannot be read is left out, with a message.

    videobert index videos/*.mp4 --output index
    videobert index results --output index

    Args:
        videos: video files, or a results folder for all videos in its tokens; - reads paths from the standard input, one
            per line.
        output: folder to write.
        clips: clips in a segment; 4 are 6 seconds.
        model: folder of the model, or user/model on the hub (default: pretrain in the results folder that is given, else
            results/pretrain).
        json: print JSON alone.
    """
    places = _lines(videos)
    check_whole("clips", clips)
    _check_videos(places)
    results = [Path(place) for place in places if Path(place).is_dir()]
    for folder in results:
        check_results(folder)
    found = _find(model, *results[:1])
    check_writable(output)
    count = VideoBert.from_pretrained(found).index(places, output, clips)
    lost = [row for row in read_table(output / VIDEOS).to_pylist() if row["status"] != Status.OK]
    if json:
        left_out = [{"video": row["video"], "reason": row["reason"]} for row in lost]
        print(to_json({"index": str(output), "segments": count, "left_out": left_out}))
    else:
        print(f"{count} segments in {output}; search with: videobert search 'slice the onion' --index {output}")


def search(
    text: str, index: Path = INDEX, top_k: int = 5, model: str | None = None, json: bool = False, csv: bool = False
) -> None:
    """Find the seconds in which videos show what a text says.

    videobert search 'slice the onion' --index index

    The score is the cosine between the words of the text and the words that the model expects with the segment: at most 1,
    and about 0 or less for one that has nothing to do with the text. It is for ranking, and not a probability. Without the
    projection of the task retrieval it is the alignment head's logit, above 0 when text and segment belong together.

    Args:
        text: what to look for; - reads texts from the standard input, one per line.
        index: folder that videobert index wrote.
        top_k: segments to show.
        model: folder of the model, or user/model on the hub (default: the one that made the index).
        json: print JSON, a line for each text.
        csv: print CSV, a row for each segment.
    """
    printer = Printer(json, csv)
    texts = _lines([text])
    for one in texts:
        check_query(one)
    check_whole("top_k", top_k)
    asked = VideoBert.from_pretrained(_model_of(index, model))
    for one in texts:
        found = asked.search(one, index, top_k)
        segments = [{**asdict(segment), "score": _short(segment.score)} for segment in found]
        records = [{"text": one, "rank": rank, **segment} for rank, segment in enumerate(segments, 1)]
        shown = {
            "score": [f"{segment.score:.2f}" for segment in found],
            "from": [clock(segment.start) for segment in found],
            "to": [clock(segment.end) for segment in found],
            "video": [segment.video for segment in found],
            "title": [segment.title for segment in found],
            "path": [segment.path if segment.path != segment.video else "" for segment in found],
        }
        shown = {head: cells for head, cells in shown.items() if any(cells)}
        rows = list(zip(*shown.values(), strict=True))
        title = one if len(texts) > 1 else ""
        printer.answer({"text": one, "segments": segments}, records, list(shown), rows, title)
    if not json and not csv:
        print(f"\nscore: {COSINE if asked.matcher.has_vectors else LOGIT}")


COSINE = "cosine between the vectors of text and segment, at most 1; 0 or less: nothing in common"
LOGIT = "logit of the alignment head; above 0: text and segment belong together"


# What is given ------------------------------------------------------------------------------------------------------------


def _lines(given: Sequence[str]) -> list[str]:
    """The texts or paths, with the lines of the standard input in the place of -."""
    lines: list[str] = []
    for one in given:
        lines += [line.rstrip("\r\n") for line in sys.stdin if line.strip()] if one == "-" else [one]
    if not lines:
        raise UserError("the standard input is empty: give one text or path per line")
    return lines


def _check_videos(videos: Sequence[str | Path], start: float | None = None, end: float | None = None) -> None:
    """Raises UserError for wrong seconds, and when none of the videos is there."""
    check_times(start, end)
    if not any(Path(video).exists() for video in videos):
        more = f", and neither is one of the {len(videos) - 1} others" if len(videos) > 1 else ""
        raise UserError(f"{videos[0]}: there is no such file{more}; give the path of a video")


def _each(videos: Sequence[str], answer: Callable[[str], None]) -> None:
    """Answers for each video. Of several, one that cannot be read is said, and the others are answered before the error."""
    lost = 0
    for video in videos:
        try:
            answer(video)
        except UserError as error:
            if len(videos) == 1:
                raise
            print(error, file=sys.stderr)
            lost += 1
    if lost:
        raise UserError(f"{lost} of {len(videos)} videos have no answer")


# The model ----------------------------------------------------------------------------------------------------------------


def _load(model: str | None) -> VideoBert:
    return VideoBert.from_pretrained(_find(model))


def _find(model: str | None, results: Path = RESULTS) -> Path:
    """The folder of the model that is named, as a folder, a results folder or on the hub; else that of `results`."""
    if model is None:
        folder = Path(Layout(results).model.folder)
        if not _has_model(folder):
            raise UserError(f"{folder} holds no model: pass --model FOLDER{_nearby()}")
        return folder
    folder = find_folder(model, None)
    own = Path(Layout(folder).model.folder)
    if _has_model(own) and not _has_model(folder):
        return own
    check_files(ModelFolder(folder), ["weights"])
    return folder


def _has_model(folder: Path) -> bool:
    return Path(ModelFolder(folder).weights).is_file()


def _nearby() -> str:
    """Some models below the working folder, for the message that there is none where it was looked for."""
    patterns = ("results*/pretrain", "results*/*/pretrain", "*/results/pretrain")
    found = sorted({str(path) for pattern in patterns for path in Path().glob(pattern) if _has_model(path)})
    return f", such as {', '.join(found[:3])}" if found else "; the stage pretrain makes one in the results folder"


def _model_of(index: Path, model: str | None) -> Path:
    """The folder of the model that made an index: the named one, or the one that the index remembers."""
    remembered = model_of_index(index)
    if model is None and remembered is not None and not _has_model(remembered):
        raise UserError(
            f"the model that made {index} is not in {remembered} any more: pass --model FOLDER, or make the index again"
        )
    folder = remembered if model is None and remembered is not None else _find(model)
    check_index(index, ModelFolder(folder))
    return folder


def _short(number: float) -> float:
    return round(number, 6)
