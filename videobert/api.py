"""What a trained model is for: from a raw video file to an answer, in Python and from the shell.

    from videobert import VideoBert

    model = VideoBert.from_pretrained("results/pretrain")
    model.fill("now let me show you how to [MASK] the [MASK]", "clip.mp4")

A video takes the road of the training videos: the same frames (ffmpeg), the same S3D and the same codebook, with the
settings that the model folder's preprocessing.json names; so a video has the visual words here that it has in the tokens
table. Everything but S3D's weights lies in the model folder, and those are checked by their hash.

The functions below the class are the commands `videobert fill`, `forecast`, `caption`, `index` and `search`. What they
find they print as a table, or with --json as JSON alone.
"""

import json as json_
import os
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from numbers import Integral
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from videobert.data.provenance import damaged, read_provenance, read_table, sha256, write_table
from videobert.data.schemas import INDEXED, PREPROCESSING, arrow, names
from videobert.data.schemas import SEGMENTS as COLUMNS
from videobert.errors import Status, UserError, VideoError
from videobert.evaluation.steps import clips_of_videos
from videobert.layout import Layout, ModelFolder
from videobert.media.decoding import LONGEST
from videobert.model.predictor import COPY_ANEW, Predictor, check_parts, check_same_codebook, check_whole
from videobert.model.processing_videobert import Ids
from videobert.model.sequences import open_tokens
from videobert.vision.notes import Notes

if TYPE_CHECKING:
    import pyarrow as pa

    from videobert.model.projection import Projection
    from videobert.vision.s3d import S3D

TEMPLATE = "now let me show you how to [MASK] the [MASK]"  # the paper's
BATCH_SIZE = 64
SEGMENTS = "segments.parquet"
VIDEOS = "videos.parquet"
TOLD_HASH = re.compile(r"Measured on model\.safetensors with the SHA-256 `([0-9a-f]{64})`")  # in a card
NOTES = ".notes"  # what was seen in each file, in an index's folder: the next run goes on from there

# (starts of the clips, their ends, their visual words)
_Seen = tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], Ids]

Device = Literal["auto", "cpu", "cuda"]


@dataclass(frozen=True)
class Clips:
    """A video's clips of 1.5 s (or what the model was trained with), n of them.

    `start`, `end`: float64 (n,), seconds of the video. `features`: S3D's, float16 (n, dimension). `words`: the visual
    words, int32 (n,).
    """

    start: npt.NDArray[np.float64]
    end: npt.NDArray[np.float64]
    features: npt.NDArray[np.float16]
    words: npt.NDArray[np.int32]


@dataclass(frozen=True)
class Embedding:
    """A video in numbers: its clips, and `output`, the mean of the model's outputs at them, float32 (hidden_size,)."""

    clips: Clips
    output: npt.NDArray[np.float32]


@dataclass(frozen=True)
class NextWord:
    """A visual word that may follow: its number and probability; `path`, its branch at each level of the codebook's
    tree; and what the model calls it, the template filled for a video that shows this word alone."""

    word: int
    probability: float
    path: list[int]
    text: str


@dataclass(frozen=True)
class Found:
    """A segment of an index: the video, from `start` to `end` seconds, and how well the text fits it: the cosine of the
    stage retrieval's first stage, or, without its projection, the alignment head's logit."""

    video: str
    start: float
    end: float
    score: float


class VideoBert:
    """A pretrained model with all that a raw video needs. Videos are paths of files; `start` and `end` (seconds) cut
    them. Every method raises UserError when a video cannot be read or holds no whole clip."""

    def __init__(self, folder: Path, device: Device = "auto", threads: int | None = None):
        from videobert.vision.quantizer import load

        if threads is not None:
            _check_whole("threads", threads)
        if device not in get_args(Device):
            raise UserError(f"device is {device!r}, but must be one of {', '.join(get_args(Device))}")
        self.folder = folder
        files = ModelFolder(folder)
        check_whole(files, ["weights", "config", "tokenizer", "centroids", "preprocessing"])
        check_parts(files)
        self.predictor = Predictor(folder, BATCH_SIZE, device, threads)
        self.preprocessing = _read_preprocessing(Path(files.preprocessing))
        self.codebook = load(Path(files.centroids))
        visual_words = self.predictor.model.config.visual_words
        if self.codebook.words != visual_words:
            raise UserError(
                f"{files.centroids} has {self.codebook.words} visual words, but {files.config} says {visual_words}: {COPY_ANEW}"
            )
        card = Path(files.card)
        if card.exists() and (told := TOLD_HASH.search(card.read_text("utf-8", "replace"))) and told[1] != self._hash:
            _say(f"{card} is of other weights than {files.weights}: they were trained on since, or are damaged")

    def __repr__(self) -> str:
        config = self.predictor.model.config
        size = f"{config.num_hidden_layers} layers of {config.hidden_size}"
        vocabularies = f"{config.vocab_size} word pieces, {config.visual_words} visual words"
        return f"VideoBert({str(self.folder)!r}: {size}, {vocabularies}, on {self.predictor.device})"

    @classmethod
    def from_pretrained(cls, folder: str | Path, device: Device = "auto", threads: int | None = None) -> "VideoBert":
        """Loads a model folder, `results/pretrain` or a copy of it.

        Args:
            folder: the folder.
            device: where to run; auto takes a GPU when there is one.
            threads: CPU threads; none: as torch has it.

        Raises UserError when a file of it is missing.
        """
        return cls(Path(folder), device, threads)

    def fill(
        self,
        text: str,
        video: str | Path | None = None,
        *,
        start: float | None = None,
        end: float | None = None,
        top: int = 5,
    ) -> list[list[tuple[str, float]]]:
        """Fills each [MASK] of a sentence: for each, the `top` most probable word pieces with their probabilities.

        Without a video, what the model expects of the language alone. (Section 4.2 of the paper.)
        """
        _check_whole("top", top)
        _check_text(text)
        if "[MASK]" not in text:
            raise UserError(f"the text has no [MASK] to fill: {text!r}; write for example {TEMPLATE!r}")
        ids = self.predictor.masked(text)
        words_given = (
            np.empty(0, np.int64) if video is None else self._joint(self.clips(video, start=start, end=end).words)
        )
        room = self._room(len(ids))
        if len(words_given) > room:
            _say(
                f"{video}: beside this text the model reads {room} clips, so the first {room} of {len(words_given)}; "
                "choose others with start and end"
            )
        (answers,) = self.predictor.log_probabilities([self.predictor.sequence(ids, words_given[:room])], 0)
        return [self._best(answer, top) for answer in answers]

    def forecast(
        self, video: str | Path, *, start: float | None = None, end: float | None = None, top: int = 5
    ) -> list[NextWord]:
        """The `top` most probable visual words of the clip after the video's end, most probable first.

        The model reads as many of the last clips as a video-only segment had in training, the masked one included.
        """
        _check_whole("top", top)
        length = min(self.preprocessing["segment_length"] - 1, self._room(0) - 1)
        seen = self._joint(self.clips(video, start=start, end=end).words[-length:])
        ids, types = self.predictor.sequence(np.empty(0, np.int64), np.append(seen, self.predictor.vocabulary.mask))
        (answers,) = self.predictor.log_probabilities([(ids, types)], 1)
        best = np.argsort(-answers[0], kind="stable")[:top]
        depth, branching = len(self.codebook.centroids), self.codebook.branching
        return [
            NextWord(
                int(word),
                float(np.exp(answers[0][word])),
                [int(word) // branching**level % branching for level in reversed(range(depth))],
                self._called(word),
            )
            for word in best
        ]

    def embed(self, video: str | Path, *, start: float | None = None, end: float | None = None) -> Embedding:
        """The video in numbers: S3D's features and the visual word of each clip, and the mean of the model's outputs.

        The model reads the video in windows as long as in training; the mean is over all clips.
        """
        clips = self.clips(video, start=start, end=end)
        length = min(self.preprocessing["segment_length"], self._room(0))
        windows = [self._joint(clips.words[first : first + length]) for first in range(0, len(clips.words), length)]
        sequences = [self.predictor.sequence(np.empty(0, np.int64), window) for window in windows]
        outputs = []
        for first, output in self.predictor.read(sequences):
            hidden = output.last_hidden_state.float().cpu().numpy()
            for (ids, _), states in zip(sequences[first:], hidden, strict=False):
                outputs.append(states[: len(ids)][ids >= self.predictor.vocabulary.vocab_size])
        return Embedding(clips, np.concatenate(outputs).mean(axis=0))

    def caption(
        self,
        video: str | Path,
        *,
        start: float | None = None,
        end: float | None = None,
        decoder: str | Path | None = None,
    ) -> str:
        """A sentence that describes a short video, as long as one step.

        Args:
            video: the video.
            start: seconds.
            end: seconds.
            decoder: folder of the decoder that the stage captioning trained; none: `captioning` in the model folder, or
                where earlier versions put it, `../evaluate/captioning`.
        """
        from videobert.model.captioner import caption, read_decoder

        folder = Path(decoder) if decoder else self._decoder()
        saved = read_decoder(folder, self.folder)
        room = self._room(len(self.predictor.masked(saved.config.template)))
        words = self.clips(video, start=start, end=end).words
        if len(words) > room:
            _say(f"{video}: the first {room} of {len(words)} clips are described; choose others with start and end")
        return caption(self.predictor, saved, [words[:room]])[0]

    def index(self, videos: Sequence[str | Path], output: str | Path, clips: int = 4) -> int:
        """Makes an index to search in: Parquet, a row for each segment of so many clips, with times, visual words and a
        vector, the mean of the model's outputs. Returns the number of segments.

        A file that cannot be read, or holds no whole clip, is left out and said; `videos.parquet` in the index names each
        video with what became of it. A run that is broken off goes on where it was: what was seen in a file is kept.

        Args:
            videos: video files; or a results folder, which stands for all videos of its tokens tables.
            output: folder to write.
            clips: clips in a segment; 4 are 6 seconds.
        """
        import pyarrow as pa

        from videobert.model.projection import mean_outputs

        _check_whole("clips", clips, self._room(0) // 2)  # the other half is the text's
        _check_writable(Path(output))
        rows: list[dict[str, Any]] = []
        ledger: list[dict[str, Any]] = []
        notes = Notes(Path(output) / NOTES, [self.preprocessing, sha256(Path(ModelFolder(self.folder).centroids))])
        for name, seen in self._videos(videos, notes):
            parts = [] if isinstance(seen, VideoError) else list(_segments(name, *seen, clips))
            status, reason = (seen.status, seen.reason) if isinstance(seen, VideoError) else (Status.OK, "")
            ledger.append({"video": name, "status": status, "reason": reason, "segments": len(parts)})
            rows += parts
        lost = [row for row in ledger if row["status"] != Status.OK]
        if not rows:
            first = f"; the first: {lost[0]['video']}: {lost[0]['reason']}" if lost else ""
            raise UserError(f"nothing to index: none of the videos holds a clip{first}")
        vectors = mean_outputs(self.predictor, [self._joint(np.array(row["words"])) for row in rows])
        table = pa.Table.from_pylist(rows, arrow(COLUMNS[:-1]))
        column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1])
        provenance = {"stage": "index", "version": 1, "clips": clips, "model": self._hash}
        table = table.append_column(COLUMNS[-1].name, column)
        write_table(table, Path(output) / SEGMENTS, provenance)
        write_table(pa.Table.from_pylist(ledger, arrow(INDEXED)), Path(output) / VIDEOS, provenance)
        notes.forget_others()
        if lost:
            _say(f"{len(lost)} of {len(ledger)} videos left out: {Path(output) / VIDEOS} says why")
        return len(rows)

    def search(self, text: str, index: str | Path, top: int = 5) -> list[Found]:
        """The `top` segments of an index that the text belongs to, best first.

        An exact search over the vectors, through the projection that the stage retrieval fitted: `retrieval` in the model
        folder, or where earlier versions put it, `../evaluate/retrieval`. Without it, or with one that was fitted to another
        model, which is said, the alignment head reads every segment with the text: that is slow in a large index, and finds
        less. On the kitchen, of the first 5 for 40 actions, 0.28 show verb and object, and with it 0.86. (To order what the
        projection finds by the alignment head gave 0.35.)
        """
        from videobert.model.projection import alignments, nearest, projected, text_vectors

        _check_whole("top", top)
        _check_text(text)
        path = Path(index) / SEGMENTS
        if not path.exists():
            raise UserError(f"{path} is missing: make the index with videobert index VIDEO --output {index}")
        if read_provenance(path).get("model") != self._hash:
            raise UserError(f"{path} was made with another model than {self.folder}: make it again")
        ids = self.predictor.pieces(text)
        if not self.predictor.words(text):
            raise UserError(f"the text {text!r} has no word to search for")
        table = _read_index(path, self.predictor.model.config.hidden_size)
        if projection := self._projection:
            outputs = np.array(table["vector"].combine_chunks().flatten()).reshape(len(table), -1)
            self._check_known(text, projection.known)
            query = text_vectors(projection, [ids])
            if not query.any():
                raise UserError(
                    f"every sentence has the words of {text!r}, so they find nothing: add one that tells more"
                )
            (scores,), (rows,) = nearest(query, projected(projection, outputs), top)
        else:
            self._check_known(text, np.arange(self.predictor.vocabulary.vocab_size) != self.predictor.unknown)
            videos = [self._joint(np.array(words)) for words in table["words"].to_pylist()]
            pairs = np.stack([np.zeros(len(videos), np.int64), np.arange(len(videos))], axis=1)
            logits = alignments(self.predictor, [ids], videos, pairs)
            rows = np.argsort(-logits, kind="stable")[:top]
            scores = logits[rows]
        found = table.select(["video", "start", "end"]).take(rows).to_pylist()
        return [Found(**row, score=float(score)) for row, score in zip(found, scores, strict=True)]

    def _check_known(self, text: str, known: npt.NDArray[np.bool_]) -> None:
        """Says which words of a text the model does not know, by its known pieces (V,). Raises UserError when it is all."""
        unknown = self.predictor.unknown_words(text, known)
        if not unknown:
            return
        near = "; ".join(
            f"{word} (nearest: {', '.join(self.predictor.nearest_words(word, known)) or 'none'})" for word in unknown
        )
        if len(unknown) == len(self.predictor.words(text)):
            raise UserError(f"the model knows no word of {text!r}, so nothing is found: it never met {near}")
        _say(f"the model never met {near}; the search goes by the other words")

    def clips(self, video: str | Path, *, start: float | None = None, end: float | None = None) -> Clips:
        """A video's clips whose middle lies in [start, end), with features and visual words; the nearest when there is
        none. They lie where they lie in the whole video, so a cut has the visual words of the whole."""
        try:
            return self._look(Path(video), start, end)
        except VideoError as error:
            raise UserError(f"{video}: {error.reason}") from None

    def _look(self, video: Path, start: float | None = None, end: float | None = None) -> Clips:
        """See `clips`. Raises VideoError when the fault is the file's, UserError when it is not."""
        from videobert.media.normalising import FrameFormat, Span, normalise
        from videobert.vision.embedding import embed_video
        from videobert.vision.quantizer import assign

        how, seconds = self.preprocessing, self.preprocessing["clip_seconds"]
        first, last = self._span(video, start, end)
        with TemporaryDirectory() as scratch:
            frames = Path(scratch) / "frames.mp4"
            span = Span(first * how["clip_frames"], None if last is None else last * how["clip_frames"])
            facts = normalise(video, frames, FrameFormat(how["fps"], how["size"], how["crf"]), span)
            if facts["reason"]:
                _say(f"{video}: {facts['reason']}")
            if facts["frames"] < how["clip_frames"]:
                raise VideoError(
                    Status.TOO_SHORT, f"it has {facts['duration']:.2f} s there, less than a clip of {seconds:g} s"
                )
            network, preprocessing = self._network
            batch_size = 2 if self.predictor.device == "cpu" else 32
            features = embed_video(network, frames, how["clip_frames"], batch_size, preprocessing)
        begins = (first + np.arange(len(features))) * seconds
        return Clips(begins, begins + seconds, features, assign(features, self.codebook))

    def _span(self, video: Path, start: float | None, end: float | None) -> tuple[int, int | None]:
        """The first clip, and the one after the last (none: to the video's end)."""
        from videobert.media.probing import probe

        _check_times(start, end)
        if not video.is_file():
            raise VideoError(Status.UNUSABLE, "there is no such file; give the path of a video")
        begin, seconds = 0.0 if start is None else start, self.preprocessing["clip_seconds"]
        duration = probe(video)["duration"]
        if duration and begin >= duration:
            raise UserError(f"start is {begin:g} s, but {video} is {duration:.1f} s long")
        first = max(0, int(np.ceil(begin / seconds - 0.5)))
        if end is None:
            return first, None
        last = int(np.ceil(end / seconds - 0.5))
        nearest = int((begin + end) / 2 / seconds)
        return (first, last) if first < last else (nearest, nearest + 1)

    @cached_property
    def _network(self) -> tuple["S3D", dict[str, Any]]:
        """S3D with the weights of the training, and what its input must look like; text alone needs none."""
        from videobert.vision import s3d

        weights, wanted = self.preprocessing["weights"], self.preprocessing["weights_sha256"]
        if weights not in ("kitchen", "kinetics400"):
            path = self.folder / weights
            if not path.is_file():
                raise UserError(
                    f"{path} is missing: put S3D's weights there (SHA-256 {wanted}), a copy of the training's"
                )
            weights = str(path)
        path = s3d.weights_file(weights)
        if sha256(path) != wanted:
            raise UserError(
                f"{path} has SHA-256 {sha256(path)[:12]}, but the model's visual words are of S3D weights with "
                f"{wanted[:12]}: put that file there"
            )
        network, preprocessing, _ = s3d.load(weights, self.predictor.device, self.preprocessing["precision"])
        return network, preprocessing

    @cached_property
    def _projection(self) -> "Projection | None":
        """What the stage retrieval fitted to this model; None when there is none, and what that costs is said, once."""
        from videobert.model.projection import read_projection

        files = ModelFolder(self.folder)
        why = f"{files.parts.projection} is missing: run snakemake retrieval, or copy it from where the model was made"
        for path in [Path(parts.projection) for parts in files.places()]:
            if path.exists():
                try:
                    return read_projection(path, self.folder)
                except UserError as error:
                    why = str(error)
        _say(f"the search goes without its projection: it takes longer and finds less. {why}")
        return None

    def _decoder(self) -> Path:
        """The folder of the decoder that the stage captioning trained. Raises UserError when there is none."""
        places = [Path(parts.decoder) for parts in ModelFolder(self.folder).places()]
        for weights in places:
            if weights.exists():
                return weights.parent
        raise UserError(
            f"{places[0]} is missing, the decoder that writes captions: run snakemake --cores all captioning, or copy its folder "
            "from where the model was made"
        )

    @cached_property
    def _hash(self) -> str:
        return sha256(Path(ModelFolder(self.folder).weights))

    def _joint(self, words: Ids) -> npt.NDArray[np.int64]:
        """Visual words as joint ids."""
        return words.astype(np.int64) + self.predictor.vocabulary.vocab_size

    def _room(self, text: int) -> int:
        """The number of clips that the model reads beside so many word pieces and three special tokens."""
        room = self.predictor.model.config.max_position_embeddings - 3 - text
        if room < 1:
            raise UserError(f"the text has {text} word pieces, and leaves no room for a video: shorten it")
        return room

    def _called(self, word: int) -> str:
        """The template's words for a video that shows this visual word alone: "stir the soup"."""
        sequence = self.predictor.sequence(self.predictor.masked(TEMPLATE), self._joint(np.array([word])))
        (answers,) = self.predictor.log_probabilities([sequence], 0)
        return " the ".join(self._best(answer, 1)[0][0] for answer in answers)

    def _best(self, answer: npt.NDArray[np.floating], top: int) -> list[tuple[str, float]]:
        """The `top` word pieces of a mask's log-probabilities (V,), special tokens left out."""
        choices = self.predictor.vocabulary.choices()[0]
        best = choices[np.argsort(-answer[choices], kind="stable")[:top]]
        name = self.predictor.tokenizer.id_to_token
        return [(name(int(id_)) or "[UNK]", float(np.exp(answer[id_]))) for id_ in best]

    def _videos(self, videos: Sequence[str | Path], notes: "Notes") -> Iterator[tuple[str, "_Seen | VideoError"]]:
        """(name, what is seen in it or what is wrong with it) of each video."""
        places = list(map(Path, videos))
        results = {place: list(self._of_results(place)) for place in places if place.is_dir()}
        for place in places:
            if place in results:
                yield from results[place]
                continue
            try:
                yield str(place), self._noted(place, notes)
            except VideoError as error:
                _say(f"{place} is left out: {error.reason}")
                yield str(place), error

    def _noted(self, video: Path, notes: "Notes") -> _Seen:
        """What is seen in a file, looked up where an earlier run has noted it."""
        words = notes.read(video) if video.is_file() else None
        if words is None:
            words = self._look(video).words
            notes.write(video, words)
        starts = np.arange(len(words)) * self.preprocessing["clip_seconds"]
        return starts, starts + self.preprocessing["clip_seconds"], words

    def _of_results(self, results: Path) -> Iterator[tuple[str, _Seen]]:
        layout = Layout(results)
        if not Path(layout.manifest).exists():
            raise UserError(
                f"{results} is no results folder, having no corpus/manifest.parquet; give videos or results"
            )
        shards = sorted(set(read_table(Path(layout.manifest), ["shard"])["shard"].to_pylist()))
        tokens = open_tokens([Path(layout.table("tokens", shard)) for shard in shards])
        check_same_codebook(tokens.provenance, tokens.files[0], Path(ModelFolder(self.folder).weights))
        half = self.preprocessing["clip_seconds"] / 2
        for split in ("train", "validation", "test"):
            for name, (middles, words) in clips_of_videos(tokens.segments(split)).items():
                yield name, (middles - half, middles + half, words)


def _segments(
    name: str, starts: npt.NDArray[np.float64], ends: npt.NDArray[np.float64], words: Ids, clips: int
) -> Iterator[dict[str, Any]]:
    """A video's rows of the index."""
    for first in range(0, len(words), clips):
        part = words[first : first + clips]
        times = {"start": float(starts[first]), "end": float(ends[first + len(part) - 1])}
        yield {"video": name, **times, "words": part.tolist()}


def _read_preprocessing(path: Path) -> dict[str, Any]:
    """Raises UserError when the file is damaged, of a newer format, or lacks what this version needs."""
    read_provenance(path)
    try:
        content: dict[str, Any] = json_.loads(path.read_text("utf-8"))
        lacking = sorted({*names(PREPROCESSING)} - {*content, "provenance"})
    except (ValueError, TypeError) as error:
        raise damaged(path, error) from None
    if lacking:
        raise UserError(f"{path} lacks {', '.join(lacking)}: {COPY_ANEW}")
    return content


def _check_whole(name: str, value: Any, most: int | None = None) -> None:
    """Raises UserError for anything but a whole number from 1 (to `most`)."""
    whole = isinstance(value, Integral) and not isinstance(value, bool)
    if not whole or value < 1 or (most is not None and value > most):
        bound = "a whole number, 1 or more" if most is None else f"1 to {most}"
        raise UserError(f"{name} is {value!r}, but must be {bound}")


def _check_times(start: Any, end: Any) -> None:
    """Raises UserError for what are no seconds of a video."""
    for name, value in (("start", start), ("end", end)):
        try:
            fits = value is None or bool(0 <= value <= LONGEST)  # NaN is within no bounds
        except (TypeError, ValueError):
            fits = False
        if not fits:
            raise UserError(f"{name} is {value!r}, but must be seconds of the video, 0 to {LONGEST}")
    if end is not None and end <= (start or 0):
        raise UserError(f"start {start or 0:g} and end {end:g} are no piece of a video: end must be later than start")


def _check_text(text: Any) -> None:
    """Raises UserError for what is no text, such as bytes that a shell took from another encoding."""
    try:
        if isinstance(text, str) and text.encode():
            return
    except UnicodeEncodeError:
        raise UserError(f"the text {text!r} is not UTF-8: set the terminal's encoding to it") from None
    raise UserError(f"the text is {text!r}, but must be words")


def _read_index(path: Path, size: int) -> "pa.Table":
    """The segments. Raises UserError when the file is damaged."""
    table = read_table(path)
    if tuple(table.column_names) != names(COLUMNS) or not len(table):
        raise UserError(f"{path} does not have the columns of an index: make it again")
    vectors = table["vector"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    if len(vectors) != size * len(table) or not np.isfinite(vectors).all():
        raise UserError(f"{path} is damaged: make it again")
    return table


def _check_writable(folder: Path) -> None:
    """Makes the folder before the work. Raises UserError when nothing can be written there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        writable = os.access(folder, os.W_OK)
    except OSError:
        writable = False
    if not writable:
        raise UserError(f"{folder} cannot be written: give another folder with --output")


def _say(line: str) -> None:
    print(line, file=sys.stderr)
