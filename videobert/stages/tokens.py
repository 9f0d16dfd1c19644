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

from videobert.data.provenance import (
    common_provenance,
    make_provenance,
    read_provenance,
    read_table,
    sha256,
    write_table,
)
from videobert.data.tables import read_features
from videobert.errors import UserError
from videobert.vision.quantizer import Codebook, assign, load

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

VERSION = 1


def tokens(
    transcribe: Path,
    features: Path,
    codebook: Path,
    vocabulary: Path,
    manifest: Path,
    shard: str,
    output: Path,
    ledger: Path,
    segment_length: int,
    exclude: Path | None,
) -> None:
    """Turn one shard's sentences and features into segments of text and video tokens.

    Args:
        transcribe: the shard's sentences (Parquet).
        features: the shard's features (Parquet).
        codebook: folder of the codebook.
        vocabulary: folder of the tokenizer.
        manifest: the manifest (Parquet).
        shard: the shard's name.
        output: the segments to write (Parquet).
        ledger: the ledger to write (Parquet).
        segment_length: clips in a video-only segment (the paper: 16).
        exclude: text file of video ids to leave out, one in a line, "#" starts a comment; none: nothing is left out.
    """
    if segment_length < 1:
        raise UserError(f"tokens.segment_length: {segment_length}: at least 1 is needed")
    import pyarrow as pa

    listed = {row["video_id"]: row for row in read_table(manifest, ["video_id", "shard", "split"]).to_pylist()}
    videos = sorted(video for video, row in listed.items() if row["shard"] == shard)
    if not videos:
        raise UserError(f"{manifest} has no shard {shard!r}; its shards are named like '0000'")
    excluded = _excluded(exclude, listed)
    kept = [video for video in videos if video not in excluded]

    tree = load(codebook)
    sentences = _in_order(read_table(transcribe), kept, "start")
    clips = _words(features, codebook, tree, kept)
    spoken = _sentence_segments(sentences, clips, vocabulary, kept)
    shown = _window_segments(clips, segment_length, kept)
    segments = pa.concat_tables([spoken, shown]).sort_by([("video_id", "ascending"), ("place", "ascending")])
    segments = segments.drop_columns(["place"])
    split = pa.array([listed[video]["split"] for video in kept], pa.string())
    segments = segments.add_column(1, "split", split.take(_rank(segments, kept)))

    note = make_provenance(
        "tokens",
        VERSION,
        {"segment_length": segment_length, "excluded": sorted(excluded.intersection(videos))},
        {"transcribe": transcribe, "features": features},
        ("tokenizers",),
        codebook_sha256=sha256(codebook / "centroids.safetensors"),
        vocabulary_sha256=sha256(vocabulary / "tokenizer.json"),
        words=tree.words,
        clip_seconds=read_provenance(features).get("clip_seconds"),
    )
    write_table(segments, output, note)
    rows = _ledger(videos, excluded, spoken, clips)
    write_table(rows, ledger, note)
    print(
        f"{len(kept)} videos ({len(videos) - len(kept)} excluded): {len(spoken)} sentences, {len(shown)} windows of "
        f"up to {segment_length} clips",
        file=sys.stderr,
    )


def _excluded(exclude: Path | None, listed: dict[str, dict]) -> set[str]:
    """The ids of the file. One that the manifest does not know is said, since it may be a slip of the pen."""
    if exclude is None:
        return set()
    try:
        lines = exclude.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"tokens.exclude: {exclude} cannot be read ({type(error).__name__}); make it (a video id in each line), "
            "or leave the setting empty"
        ) from None
    ids = {line.split("#")[0].strip() for line in lines} - {""}
    if unknown := sorted(ids - listed.keys()):
        print(f"tokens.exclude: not in the manifest: {', '.join(unknown[:5])} ({len(unknown)} in all)", file=sys.stderr)
    return ids


def _rank(table: "pa.Table", videos: list[str]) -> "np.ndarray":
    """Each row's place in the sorted list of videos, -1 for other videos."""
    import pyarrow as pa
    import pyarrow.compute as pc

    found = pc.index_in(table["video_id"], value_set=pa.array(videos, pa.string()))
    return pc.fill_null(found, -1).to_numpy()


def _in_order(table: "pa.Table", videos: list[str], column: str) -> "pa.Table":
    """The rows of these videos, video by video, by `column` within each."""
    import numpy as np

    rank = _rank(table, videos)
    order = np.lexsort((table[column].to_numpy(), rank))
    return table.take(order[rank[order] >= 0])


def _words(features: Path, codebook: Path, tree: Codebook, videos: list[str]) -> "pa.Table":
    """The clips of these videos in order, with the column `word`."""
    import pyarrow as pa

    table, vectors = read_features(features)
    for fact in ("weights_sha256", "clip_seconds"):
        common_provenance([codebook / "centroids.safetensors", features], fact)
    table = table.append_column("word", pa.array(assign(vectors, tree), pa.int32()))
    return _in_order(table, videos, "clip")


def _sentence_segments(sentences: "pa.Table", clips: "pa.Table", vocabulary: Path, videos: list[str]) -> "pa.Table":
    """A row for each sentence that has a token: its text, and the clips whose middle lies in [start, end)."""
    import numpy as np

    text_ids = _encode(sentences["text"].to_pylist(), vocabulary)
    speaks = np.flatnonzero(np.diff(text_ids.offsets.to_numpy()) > 0)
    sentences, text_ids = sentences.take(speaks), text_ids.take(speaks)
    starts, ends = (sentences[name].to_numpy().astype(np.float64) for name in ("start", "end"))
    middles = (clips["start"].to_numpy().astype(np.float64) + clips["end"].to_numpy()) / 2
    first, last = np.zeros((2, len(sentences)), np.int64)
    numbers = np.arange(len(videos) + 1)
    said, seen = (np.searchsorted(_rank(table, videos), numbers) for table in (sentences, clips))
    for video in range(len(videos)):
        rows, own = slice(*said[video : video + 2]), slice(*seen[video : video + 2])
        first[rows] = own.start + np.searchsorted(middles[own], starts[rows])
        last[rows] = own.start + np.searchsorted(middles[own], ends[rows])
    return _segments("text-video", sentences["video_id"], starts, ends, sentences["text"], text_ids, first, last, clips)


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
    return _segments(
        "video", clips["video_id"].take(first), starts[first], ends[last - 1], text, text_ids, first, last, clips
    )


def _segments(
    kind: str,
    video_id: "pa.Array",
    start: "np.ndarray",
    end: "np.ndarray",
    text: "pa.Array",
    text_ids: "pa.ListArray",
    first: "np.ndarray",
    last: "np.ndarray",
    clips: "pa.Table",
) -> "pa.Table":
    """Rows whose clips are clips[first:last]."""
    import numpy as np
    import pyarrow as pa

    lengths = np.maximum(last - first, 0)
    chosen = np.repeat(first, lengths) + _ramp(lengths)
    offsets = pa.array(np.r_[0, np.cumsum(lengths)], pa.int32())
    columns = {
        "video_id": video_id,
        "kind": pa.array([kind] * len(first), pa.string()),
        "start": pa.array(start, pa.float64()),
        "end": pa.array(end, pa.float64()),
        "text": text,
        "text_ids": text_ids,
    }
    for name, column in (("video_ids", "word"), ("clips", "clip")):
        values = pa.array(clips[column].to_numpy()[chosen], pa.int32())
        columns[name] = pa.ListArray.from_arrays(offsets, values)
    table = pa.table(columns)
    # Sentences of a video stand before its windows, both in time's order.
    place = np.arange(len(first)) + (kind == "video") * (1 << 40)
    return table.append_column("place", pa.array(place))


def _encode(texts: list[str], vocabulary: Path) -> "pa.ListArray":
    """Token ids of each text, without [CLS] and the like; a "[MASK]" that somebody wrote is text, not a token."""
    import itertools

    import numpy as np
    import pyarrow as pa
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(vocabulary / "tokenizer.json"))
    tokenizer.encode_special_tokens = True
    ids = [encoding.ids for encoding in tokenizer.encode_batch_fast(texts, add_special_tokens=False)]
    offsets = np.r_[0, np.cumsum([len(row) for row in ids], dtype=np.int32)].astype(np.int32)
    flat = np.fromiter(itertools.chain.from_iterable(ids), np.int32, offsets[-1])
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(flat))


def _ramp(lengths: "np.ndarray") -> "np.ndarray":
    """0 … n-1 for each length n, one after the other."""
    import numpy as np

    return np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)


def _ledger(videos: list[str], excluded: set[str], spoken: "pa.Table", clips: "pa.Table") -> "pa.Table":
    """A row for each video: ok, excluded, or empty; with its number of sentences and clips."""
    import numpy as np
    import pyarrow as pa

    sentences, seen = (np.bincount(_rank(table, videos), minlength=len(videos)) for table in (spoken, clips))
    rows = []
    for video, said, shown in zip(videos, sentences.tolist(), seen.tolist(), strict=True):
        status, reason = "ok", ""
        if video in excluded:
            status, reason = "excluded", "on the list of excluded ids"
        elif not said and not shown:
            status, reason = "empty", "neither a sentence nor a clip"
        rows.append({"video_id": video, "status": status, "reason": reason, "sentences": said, "clips": shown})
    return pa.Table.from_pylist(rows)
