"""Token rows as joint sequences: read, mask, lay out, pad. NumPy only, shared by pretraining and evaluation.

A corpus of segments is held in flat arrays with offsets, as Arrow stores its lists, since millions of small Python
lists would take ten times the memory.
"""

import hashlib
import json
import math
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from videobert.data.provenance import atomic, common_provenance, damaged, read_provenance, read_table, sha256
from videobert.data.tables import FeatureTables, rows_of_videos
from videobert.errors import UserError
from videobert.model.processing_videobert import IGNORE, Ids, Video, Vocabulary

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Row = int | np.integer

COLUMNS = ["video_id", "split", "kind", "start", "end", "text_ids", "video_ids", "clips"]


def read_tokenizer(tokenizer: Path) -> "Tokenizer":
    """Reads a tokenizer.json. Raises UserError when it is missing or damaged."""
    from tokenizers import Tokenizer

    if not tokenizer.exists():
        raise UserError(f"{tokenizer} is missing: the stage vocabulary has not run, or the file was deleted")
    try:
        table: Tokenizer = Tokenizer.from_file(str(tokenizer))
    except Exception as error:  # the library raises nothing more special
        raise damaged(tokenizer, error) from None
    return table


def read_vocabulary(tokenizer: Path, visual_words: int, visual_levels: int = 1) -> Vocabulary:
    """Reads the special ids from a tokenizer.json. Raises UserError when one is missing."""
    table = read_tokenizer(tokenizer)

    def identity(token: str) -> int:
        found = table.token_to_id(token)
        if found is None:
            raise UserError(f"{tokenizer} has no token {token}; make the vocabulary again with this version")
        return found

    return Vocabulary(
        pad=identity("[PAD]"),
        cls=identity("[CLS]"),
        sep=identity("[SEP]"),
        mask=identity("[MASK]"),
        video=identity("[>]"),
        vocab_size=table.get_vocab_size(),
        visual_words=visual_words,
        visual_levels=visual_levels,
    )


@dataclass(frozen=True)
class Segments:
    """Rows of the token tables. `text` and `video` are flat; row r holds text[text_offsets[r]:text_offsets[r + 1]]."""

    text: npt.NDArray[np.int32]  # text ids
    text_offsets: npt.NDArray[np.int64]  # (rows + 1)
    video: npt.NDArray[np.int32]  # visual words 0..K-1
    video_offsets: npt.NDArray[np.int64]
    clips: npt.NDArray[np.int32]  # clip indices, same offsets as video
    own: npt.NDArray[np.int64]  # how many of the row's clips are the sentence's own; the others follow it
    paired: npt.NDArray[np.bool_]  # a "text-video" row
    group: npt.NDArray[np.int32]  # number of the row's video in `videos`
    start: npt.NDArray[np.float64]  # seconds
    end: npt.NDArray[np.float64]
    first: npt.NDArray[np.int64]  # (videos + 1): clip c of video g is the (first[g] + c)-th of all videos' clips
    videos: list[str]
    features: npt.NDArray[np.float16] | None = None  # of all videos' clips in order, where the model reads them

    def __len__(self) -> int:
        return len(self.paired)

    def text_of(self, row: Row) -> npt.NDArray[np.int32]:
        return self.text[self.text_offsets[row] : self.text_offsets[row + 1]]

    def video_of(self, row: Row) -> Video:
        words = self.video[self.video_offsets[row] : self.video_offsets[row + 1]]
        if self.features is None:
            return Video(words)
        return Video(words, self.features[self.first[self.group[row]] + self.clips_of(row)])

    def clips_of(self, row: Row) -> npt.NDArray[np.int32]:
        return self.clips[self.video_offsets[row] : self.video_offsets[row + 1]]

    @cached_property
    def track(self) -> npt.NDArray[np.int32]:
        """The visual words of all videos' clips in order."""
        return _track(self.video, self.video_offsets, self.clips, self.paired, self.group)

    def between(self, start: Row, end: Row) -> Video:
        """Of all videos' clips in order, those from `start` to `end`."""
        return Video(self.track[start:end], None if self.features is None else self.features[start:end])


@dataclass(frozen=True)
class TokenTables:
    """Tables of tokens, checked to be of one codebook and one vocabulary: `open_tokens` makes them."""

    files: list[Path]
    provenance: dict[str, Any]  # of the first; codebook_sha256 and vocabulary_sha256 are those of all

    def check_made_with(self, fact: str, file: Path) -> None:
        """Raises UserError when the tokens were made with another file than `file`, by the hash in their provenance."""
        recorded = self.provenance.get(fact)
        if recorded is not None and recorded != sha256(file):
            raise UserError(f"{self.files[0]} was made with another {file}: run the stage tokens again")

    def ends(self) -> dict[str, float]:
        """Where the last clip of each video ends (seconds), of all splits."""
        import pyarrow as pa
        import pyarrow.compute as pc

        parts = [read_table(file, ["video_id", "kind", "end"]) for file in self.files]
        clips = pa.concat_tables([part.filter(pc.equal(part["kind"], "video")) for part in parts])
        last = clips.group_by("video_id").aggregate([("end", "max")])
        return dict(zip(last["video_id"].to_pylist(), last["end_max"].to_pylist(), strict=True))

    def segments(self, split: str, lookahead: int = 0, share: float = 1.0, seed: int | None = None) -> Segments:
        """The rows of one split; see `read_segments`."""
        return read_segments(self.files, split, lookahead, share, seed)

    def check_made_of(self, features: list[Path]) -> None:
        """Raises UserError when the tokens were made of other features than these, a file for each."""
        for tokens, made_of in zip(self.files, features, strict=True):
            if read_provenance(tokens).get("inputs", {}).get("features") != sha256(made_of):
                raise UserError(f"{tokens} was made of other features than {made_of}: run the stage tokens again")


def open_tokens(files: list[Path]) -> TokenTables:
    """Raises UserError when a file is missing, or when two are of different codebooks or vocabularies."""
    if not files:
        raise UserError("there is no table of tokens: name some videos in the list of videos and run again")
    for file in files:
        if not file.exists():
            raise UserError(f"{file} is missing: the stage tokens has not run for this shard, or the file was deleted")
    common_provenance(files, "codebook_sha256")
    common_provenance(files, "vocabulary_sha256")
    return TokenTables(files, read_provenance(files[0]))


def read_segments(
    files: list[Path], split: str, lookahead: int = 0, share: float = 1.0, seed: int | None = None
) -> Segments:
    """Reads the rows of one split, in the order of the shards.

    With `lookahead`, up to so many of the clips that follow a sentence join its segment, as far as the next sentence:
    narrators say what they are about to show. With a `share` below 1, only so many of the split's videos are read, a draw
    of `seed`.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    parts = [read_table(file, COLUMNS) for file in files]
    table = pa.concat_tables([part.filter(pc.equal(part["split"], split)) for part in parts]).combine_chunks()
    if share < 1:
        kept = sample_videos(pc.unique(table["video_id"]).to_pylist(), share, seed)
        table = table.filter(pc.is_in(table["video_id"], pa.array(kept))).combine_chunks()

    def flat(name: str) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
        lengths = pc.list_value_length(table[name]).to_numpy().astype(np.int64)
        return pc.list_flatten(table[name]).to_numpy().astype(np.int32), np.concatenate([[0], np.cumsum(lengths)])

    text, text_offsets = flat("text_ids")
    video, video_offsets = flat("video_ids")
    clips, _ = flat("clips")
    names = table["video_id"].to_pylist()
    number = {name: index for index, name in enumerate(dict.fromkeys(names))}
    group = np.array([number[name] for name in names], np.int32)
    paired = pc.equal(table["kind"], "text-video").to_numpy()
    own = np.diff(video_offsets)
    # From the rows that cover each video once.
    counts = np.bincount(group[~paired], np.diff(video_offsets)[~paired], len(number))
    first = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    if lookahead:
        track = _track(video, video_offsets, clips, paired, group)
        video, video_offsets, clips = _look_ahead(track, first, video_offsets, clips, paired, group, lookahead)
    return Segments(
        text,
        text_offsets,
        video,
        video_offsets,
        clips,
        own,
        paired=paired,
        group=group,
        start=table["start"].to_numpy().astype(np.float64),
        end=table["end"].to_numpy().astype(np.float64),
        first=first,
        videos=list(number),
    )


def with_features(segments: Segments, tables: FeatureTables) -> Segments:
    """The segments with the features of their clips, in memory."""
    features = np.empty((segments.first[-1], tables.dimension), np.float16)
    _place_features(segments, tables, features)
    return replace(segments, features=features)


def _place_features(segments: Segments, tables: FeatureTables, features: npt.NDArray[np.float16]) -> None:
    """Fills `features`, (clips of all videos in order, dimension). Raises UserError when a clip has none."""
    number = {name: index for index, name in enumerate(segments.videos)}
    there = 0
    for table, vectors in tables:
        clips = table["clip"].to_numpy()
        for name, rows in rows_of_videos(table):
            if name in number:
                features[segments.first[number[name]] + clips[rows]] = vectors[rows]
                there += len(clips[rows])
    if there != len(features):
        raise UserError(
            f"the features have {there} of the {len(features)} clips of the tokens: run the stages features and tokens again"
        )


def sample_videos(videos: list[str], share: float, seed: int | None) -> list[str]:
    """A share of the videos, at least one: the first ones by a hash, so a smaller share of a seed lies in its larger ones."""
    order = sorted(videos, key=lambda video: hashlib.sha256(f"{seed} {video}".encode()).digest())
    # Rounded, since 0.07 * 100 is a little more than 7.
    return order[: max(1, math.ceil(round(share * len(videos), 6)))]


def on_disk(segments: Segments, folder: Path, tables: FeatureTables | None = None) -> None:
    """Writes the arrays to files of `folder`, for `memory_mapped`; and the features of the clips, one shard in memory at a
    time."""
    with atomic(folder) as temporary:
        temporary.mkdir()
        for field in fields(Segments):
            value = getattr(segments, field.name)
            if field.name == "videos":
                (temporary / "videos.json").write_text(json.dumps(value), encoding="utf-8")
            elif value is not None:
                np.save(temporary / f"{field.name}.npy", value)
        if tables:
            shape = (int(segments.first[-1]), tables.dimension)
            features = np.lib.format.open_memmap(temporary / "features.npy", "w+", np.float16, shape)
            _place_features(segments, tables, features)
            features.flush()


def memory_mapped(folder: Path) -> Segments:
    """The segments that `on_disk` wrote, read as they are needed: the processes of a machine share one copy."""
    arrays = {path.stem: np.load(path, mmap_mode="r") for path in folder.glob("*.npy")}
    return Segments(**arrays, videos=json.loads((folder / "videos.json").read_text(encoding="utf-8")))


def _look_ahead(
    track: npt.NDArray[np.int32],
    first: npt.NDArray[np.int64],
    offsets: npt.NDArray[np.int64],
    clips: npt.NDArray[np.int32],
    paired: npt.NDArray[np.bool_],
    group: npt.NDArray[np.int32],
    lookahead: int,
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64], npt.NDArray[np.int32]]:
    """(video, offsets, clips) with the clips that follow each sentence, up to the next sentence of its video."""
    lengths = np.diff(offsets)
    sentences = np.flatnonzero(paired & (lengths > 0))
    sentences = sentences[np.lexsort((clips[offsets[sentences]], group[sentences]))]
    starts, ends = clips[offsets[sentences]], clips[offsets[sentences + 1] - 1] + 1
    last = np.append(group[sentences][1:] != group[sentences][:-1], True)[: len(sentences)]
    limits = np.where(last, np.diff(first)[group[sentences]], np.append(starts[1:], 0)[: len(sentences)])
    longer = lengths.copy()
    longer[sentences] = np.maximum(np.minimum(ends + lookahead, limits), ends) - starts
    # Each row's clips are consecutive: its first, and as many as it now has.
    new_offsets = np.concatenate([[0], np.cumsum(longer)])
    begins = np.zeros(len(lengths), np.int64)
    begins[lengths > 0] = clips[offsets[:-1][lengths > 0]]
    new_clips = (np.arange(new_offsets[-1]) - np.repeat(new_offsets[:-1] - begins, longer)).astype(np.int32)
    return track[np.repeat(first[group], longer) + new_clips], new_offsets, new_clips


def _track(
    video: npt.NDArray[np.int32],
    offsets: npt.NDArray[np.int64],
    clips: npt.NDArray[np.int32],
    paired: npt.NDArray[np.bool_],
    group: npt.NDArray[np.int32],
) -> npt.NDArray[np.int32]:
    """The visual words of all videos' clips in order, from the rows that cover each video once."""
    lengths = np.diff(offsets)
    windows = np.repeat(~paired, lengths)
    groups = np.repeat(group, lengths)[windows]
    track: npt.NDArray[np.int32] = video[windows][np.lexsort((clips[windows], groups))]
    return track


class Neighbours:
    """Sentences joined with the next one of their video: what is said and what is seen in the span of both.

    Rows of a video's sentences lie in time's order in the tables, so what is said in a span is one slice of the flat
    text. What is seen is every clip of the span, each once, also those between the two sentences, where nobody speaks.
    """

    def __init__(self, segments: Segments):
        self.segments = segments
        offsets = segments.video_offsets
        # The next sentence with clips; one without, too short for any, is said on the way.
        pairs = np.flatnonzero(segments.paired & (np.diff(segments.text_offsets) > 0) & (np.diff(offsets) > 0))
        follows = segments.group[pairs][1:] == segments.group[pairs][:-1]
        self.next = np.full(len(segments), -1)
        self.next[pairs[:-1][follows]] = pairs[1:][follows]

    def text_of(self, row: Row) -> npt.NDArray[np.int32]:
        offsets = self.segments.text_offsets
        return self.segments.text[offsets[row] : offsets[self.next[row] + 1]]

    def video_of(self, row: Row) -> tuple[Video, int]:
        """The clips, and how many of them are the sentences' own; the others follow the second one."""
        segments, last = self.segments, self.next[row]
        start, begin = segments.clips_of(row)[0], segments.clips_of(last)[0]
        # Sentences may overlap, and the second may even end before the first.
        own = max(begin + segments.own[last], start + segments.own[row])
        end = max(begin + len(segments.clips_of(last)), own)
        first = segments.first[segments.group[row]]
        return segments.between(first + start, first + end), int(own - start)


def mask_tokens(
    ids: Ids, probability: float, choices: Ids, mask: int, random: np.random.Generator, span: int = 1
) -> tuple[Ids, Ids]:
    """BERT's masking (Devlin et al. 2019, section 3.1) of one modality's ids; at least one is chosen. With a `span`, so many ids
    in a row are chosen together.

    Of the chosen, 80 % become [MASK], 10 % a random one of `choices` (ids of the same modality), 10 % stay as they are.

    Returns:
        (ids with the corruption, labels: the true id where chosen, -100 elsewhere).
    """
    chosen = random.random(len(ids)) < probability / span
    if not chosen.any():
        chosen[random.integers(len(ids))] = True
    if span > 1:
        chosen = np.convolve(chosen, np.ones(span))[: len(ids)] > 0
    fate = random.random(len(ids))
    corrupted = np.where(chosen & (fate < 0.8), mask, ids)
    swapped = chosen & (fate >= 0.9)
    corrupted[swapped] = choices[random.integers(len(choices), size=swapped.sum())]
    return corrupted, np.where(chosen, ids, IGNORE)
