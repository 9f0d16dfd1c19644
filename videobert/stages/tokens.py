"""Segments: what the model is trained on, one row each, with the words said and the visual words seen.

A sentence's times cut its video (section 3.2 of the paper): the clips whose middle lies in the sentence are its visual
words. Such a row is of the kind "text-video". A sentence too short for any clip keeps its text alone. The rows of the
kind "video" are consecutive windows of a fixed number of clips over every video, narrated or not, so that each clip
stands in one of them: the material of the video-only objective.

Text and video ids stand bare, each in its own numbering; pretraining adds [CLS], [>] and [SEP], and
thins the visual words. A video on the list of excluded ids gives no row at all. The whole shard is done at once:
it takes seconds, and there is nothing to resume.
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from videobert.data.human_tables import read_human_lines
from videobert.data.provenance import (
    common_provenance,
    make_provenance,
    read_provenance,
    read_table,
    sha256,
    write_table,
)
from videobert.data.schemas import OUTCOME, TOKENS, TOKENS_FACTS, arrow
from videobert.data.tables import read_features
from videobert.data.video_names import VideoNames, open_names
from videobert.errors import Status, UserError
from videobert.settings import Count, Inputs, Outputs, Settings, Text
from videobert.vision.quantizer import Codebook, assign, load

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

VERSION = 1


class TokensSettings(Settings):
    """Sentences and features to joint sequences of word pieces and visual words."""

    segment_length: Count = 16
    """Visual words in a segment without speech; 16 in the paper."""
    exclude: Text | None = None
    """A file with videos to leave out from this stage on (a takedown, an opt-out), one per line, by id or source; "#"
    starts a comment; null: none."""


class TokensInputs(Inputs):
    transcripts: Path
    """The shard's sentences (Parquet)."""
    features: Path
    """The shard's features (Parquet)."""
    centroids: Path
    """The codebook (safetensors)."""
    tokenizer: Path
    """The tokenizer (tokenizer.json)."""
    manifest: Path
    """The manifest (Parquet)."""
    ids: list[Path] = []
    """The list's own ids (Parquet), by which `exclude` may name videos, too."""
    shard: str
    """The shard's name ("0000")."""


class TokensOutputs(Outputs):
    table: Path
    """A row per segment (Parquet)."""
    ledger: Path
    """A row per video (Parquet)."""


def tokens(inputs: TokensInputs, outputs: TokensOutputs, settings: TokensSettings) -> None:
    """Turn one shard's sentences and features into segments of text and video tokens."""
    import pyarrow as pa

    listed = {row["video_id"]: row for row in read_table(inputs.manifest, ["video_id", "shard", "split"]).to_pylist()}
    videos = sorted(video for video, row in listed.items() if row["shard"] == inputs.shard)
    if not videos:
        raise UserError(f"{inputs.manifest} has no shard {inputs.shard!r}; its shards are named like '0000'")
    excluded = _excluded(settings.exclude, inputs.manifest, inputs.ids)
    kept = [video for video in videos if video not in excluded]

    tree = load(inputs.centroids)
    sentences = _in_order(read_table(inputs.transcripts), kept, "start")
    clips = _quantized(inputs, tree, kept)
    text_ids = _encode(sentences["text"].to_pylist(), inputs.tokenizer)
    spoken = _sentence_segments(sentences, text_ids, clips, kept)
    windows = _window_segments(clips, settings.segment_length, kept)
    segments = pa.concat_tables([spoken, windows]).sort_by([("video_id", "ascending"), ("place", "ascending")])
    segments = segments.drop_columns(["place"])
    split = pa.array([listed[video]["split"] for video in kept], pa.string())
    segments = segments.add_column(1, "split", split.take(_rank(segments, kept)))

    provenance = make_provenance(
        "tokens",
        VERSION,
        {"segment_length": settings.segment_length, "excluded": sorted(excluded.intersection(videos))},
        {"transcribe": inputs.transcripts, "features": inputs.features},
        ("tokenizers",),
        codebook_sha256=sha256(inputs.centroids),
        vocabulary_sha256=sha256(inputs.tokenizer),
        words=tree.words,
        clip_seconds=read_provenance(inputs.features).get("clip_seconds"),
    )
    write_table(segments.cast(arrow(TOKENS)), outputs.table, provenance)
    write_table(_ledger(videos, excluded, spoken, clips), outputs.ledger, provenance)
    print(
        f"{len(kept)} videos ({len(videos) - len(kept)} excluded): {len(spoken)} sentences, {len(windows)} windows of "
        f"up to {settings.segment_length} clips",
        file=sys.stderr,
    )


def _excluded(exclude: str | None, manifest: Path, ids: list[Path]) -> set[str]:
    """The ids of the videos that the file names, each by its id or its source.

    Raises UserError when a line names no video: somebody asked for a video to be taken out, and it would stay in.
    """
    if exclude is None:
        return set()
    names, found, unknown = open_names(manifest, ids), set(), []
    for line in read_human_lines(Path(exclude), f"tokens.exclude: {exclude}"):
        videos = _named(line, names)
        found.update(videos)
        if not videos and line.split("#")[0].strip():
            unknown.append(line)
    if unknown:
        raise UserError(
            f"tokens.exclude: {exclude} names {len(unknown)} that are no video of the list: {', '.join(unknown[:5])}; correct "
            "them (the list's id, video_id of results/corpus/manifest.parquet, or the source), or take the lines out"
        )
    return found


def _named(line: str, names: VideoNames) -> list[str]:
    """The videos that a line names; "#" may be part of a name or begin a comment."""
    readings = (line, line.split(" #")[0].strip(), line.split("#")[0].strip())
    return next((videos for reading in readings if reading and (videos := names.find(reading))), [])


def _rank(table: "pa.Table", videos: list[str]) -> "npt.NDArray[np.integer]":
    """Each row's place in the sorted list of videos, -1 for other videos."""
    import pyarrow as pa
    import pyarrow.compute as pc

    found = pc.index_in(table["video_id"], value_set=pa.array(videos, pa.string()))
    ranks: npt.NDArray[np.integer] = pc.fill_null(found, -1).to_numpy()
    return ranks


def _in_order(table: "pa.Table", videos: list[str], column: str) -> "pa.Table":
    """The rows of these videos, video by video, by `column` within each."""
    import numpy as np

    rank = _rank(table, videos)
    order = np.lexsort((table[column].to_numpy(), rank))
    return table.take(order[rank[order] >= 0])


def _quantized(inputs: TokensInputs, tree: Codebook, videos: list[str]) -> "pa.Table":
    """The clips of these videos in order, with the column `word`."""
    import pyarrow as pa

    table, vectors = read_features(inputs.features)
    for fact in ("weights_sha256", "clip_seconds"):
        common_provenance([inputs.centroids, inputs.features], fact)
    table = table.append_column("word", pa.array(assign(vectors, tree), pa.int32()))
    return _in_order(table, videos, "clip")


def _sentence_segments(
    sentences: "pa.Table", text_ids: "pa.ListArray", clips: "pa.Table", videos: list[str]
) -> "pa.Table":
    """A row for each sentence that has a token: its text, and the clips whose middle lies in [start, end)."""
    import numpy as np

    speaks = np.flatnonzero(np.diff(text_ids.offsets.to_numpy()) > 0)
    sentences, text_ids = sentences.take(speaks), text_ids.take(speaks)
    starts, ends = (sentences[name].to_numpy().astype(np.float64) for name in ("start", "end"))
    middles = (clips["start"].to_numpy().astype(np.float64) + clips["end"].to_numpy()) / 2
    first, last = np.zeros((2, len(sentences)), np.int64)
    numbers = np.arange(len(videos) + 1)
    sentence_bounds, clip_bounds = (np.searchsorted(_rank(table, videos), numbers) for table in (sentences, clips))
    for video in range(len(videos)):
        said, own = slice(*sentence_bounds[video : video + 2]), slice(*clip_bounds[video : video + 2])
        first[said] = own.start + np.searchsorted(middles[own], starts[said])
        last[said] = own.start + np.searchsorted(middles[own], ends[said])
    rows = {"video_id": sentences["video_id"], "start": starts, "end": ends, "text": sentences["text"]}
    return _segments("text-video", rows | {"text_ids": text_ids}, first, last, clips)


def _window_segments(clips: "pa.Table", length: int, videos: list[str]) -> "pa.Table":
    """Rows of `length` consecutive clips, the last of a video shorter, so that each clip stands in one row."""
    import numpy as np
    import pyarrow as pa

    bounds = np.searchsorted(_rank(clips, videos), np.arange(len(videos) + 1))
    windows = -(-np.diff(bounds) // length)
    number = _ramp(windows)
    first = np.repeat(bounds[:-1], windows) + number * length
    last = np.minimum(first + length, np.repeat(bounds[1:], windows))
    starts, ends = (clips[name].to_numpy().astype(np.float64) for name in ("start", "end"))
    text = pa.array([""] * len(first), pa.string())
    text_ids = pa.ListArray.from_arrays(np.zeros(len(first) + 1, np.int32), pa.array([], pa.int32()))
    rows = {"video_id": clips["video_id"].take(first), "start": starts[first], "end": ends[last - 1]}
    return _segments("video", rows | {"text": text, "text_ids": text_ids}, first, last, clips)


def _segments(
    kind: str,
    rows: dict[str, "pa.Array"],
    first: "npt.NDArray[np.int64]",
    last: "npt.NDArray[np.int64]",
    clips: "pa.Table",
) -> "pa.Table":
    """Rows of one kind, the clips of each being clips[first:last]. `rows` holds video_id, start, end, text, text_ids."""
    import numpy as np
    import pyarrow as pa

    lengths = np.maximum(last - first, 0)
    chosen = np.repeat(first, lengths) + _ramp(lengths)
    offsets = pa.array(np.r_[0, np.cumsum(lengths)], pa.int32())
    columns = {
        "video_id": rows["video_id"],
        "kind": pa.array([kind] * len(first), pa.string()),
        "start": pa.array(rows["start"], pa.float64()),
        "end": pa.array(rows["end"], pa.float64()),
        "text": rows["text"],
        "text_ids": rows["text_ids"],
    }
    for name, column in (("video_ids", "word"), ("clips", "clip")):
        values = pa.array(clips[column].to_numpy()[chosen], pa.int32())
        columns[name] = pa.ListArray.from_arrays(offsets, values)
    table = pa.table(columns)
    # Sentences of a video stand before its windows, both in time's order.
    place = np.arange(len(first)) + (kind == "video") * (1 << 40)
    return table.append_column("place", pa.array(place))


def _encode(texts: list[str], tokenizer_json: Path) -> "pa.ListArray":
    """Token ids of each text, without [CLS] and the like; a "[MASK]" that somebody wrote is text, not a token."""
    import itertools

    import numpy as np
    import pyarrow as pa
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(tokenizer_json))
    tokenizer.encode_special_tokens = True
    ids = [encoding.ids for encoding in tokenizer.encode_batch_fast(texts, add_special_tokens=False)]
    offsets = np.r_[0, np.cumsum([len(row) for row in ids], dtype=np.int32)].astype(np.int32)
    flat = np.fromiter(itertools.chain.from_iterable(ids), np.int32, offsets[-1])
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(flat))


def _ramp(lengths: "npt.NDArray[np.int64]") -> "npt.NDArray[np.int64]":
    """0 … n-1 for each length n, one after the other."""
    import numpy as np

    count = int(lengths.sum())
    return np.arange(count, dtype=np.int64) - np.repeat(np.cumsum(lengths) - lengths, lengths)


def _ledger(videos: list[str], excluded: set[str], spoken: "pa.Table", clips: "pa.Table") -> "pa.Table":
    """A row for each video: ok, excluded, or empty; with its number of sentences and clips."""
    import numpy as np
    import pyarrow as pa

    sentences, seen = (np.bincount(_rank(table, videos), minlength=len(videos)) for table in (spoken, clips))
    rows = []
    for video, sentence_count, clip_count in zip(videos, sentences.tolist(), seen.tolist(), strict=True):
        status, reason = Status.OK, ""
        if video in excluded:
            status, reason = Status.EXCLUDED, "on the list of excluded ids"
        elif not sentence_count and not clip_count:
            status, reason = Status.EMPTY, "neither a sentence nor a clip"
        facts = {"status": status, "reason": reason, "sentences": sentence_count, "clips": clip_count}
        rows.append({"video_id": video, **facts})
    return pa.Table.from_pylist(rows, arrow((*OUTCOME, *TOKENS_FACTS)))
