"""`VideoBert`: a trained model with all that a raw video needs."""

import re
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from videobert.api.answers import Clips, Embedding, Found, NextWord
from videobert.api.arguments import Device, check_device, check_text, check_whole, check_writable
from videobert.api.index import IndexWriter, read_index
from videobert.api.matching import Matcher
from videobert.api.videos import VideoReader
from videobert.data.provenance import sha256
from videobert.errors import UserError, VideoError
from videobert.layout import ModelFolder
from videobert.model.predictor import COPY_ANEW, Predictor, check_parts
from videobert.model.predictor import check_whole as check_files

TEMPLATE = "now let me show you how to [MASK] the [MASK]"  # the paper's
BATCH_SIZE = 64
TOLD_HASH = re.compile(r"Measured on model\.safetensors with the SHA-256 `([0-9a-f]{64})`")  # in a card


class VideoBert:
    """A pretrained model with all that a raw video needs. Videos are paths of files; `start` and `end` (seconds) cut
    them. Every method raises UserError when a video cannot be read or holds no whole clip."""

    def __init__(self, folder: Path, device: Device = "auto", threads: int | None = None):
        if threads is not None:
            check_whole("threads", threads)
        check_device(device)
        self.folder = folder
        files = ModelFolder(folder)
        check_files(files, ["weights", "config", "tokenizer", "centroids", "preprocessing"])
        check_parts(files)
        self.predictor = Predictor(folder, BATCH_SIZE, device, threads)
        self.reader = VideoReader(files, self.predictor.device)
        self.matcher = Matcher(self.predictor, files)
        visual_words = self.predictor.model.config.visual_words
        if self.reader.codebook.words != visual_words:
            raise UserError(
                f"{files.centroids} has {self.reader.codebook.words} visual words, but {files.config} says "
                f"{visual_words}: {COPY_ANEW}"
            )
        card = Path(files.card)
        if (
            card.exists()
            and (told := TOLD_HASH.search(card.read_text("utf-8", "replace")))
            and told[1] != sha256(Path(files.weights))
        ):
            print(
                f"{card} is of other weights than {files.weights}: they were trained on since, or are damaged",
                file=sys.stderr,
            )

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
        check_whole("top", top)
        check_text(text)
        if "[MASK]" not in text:
            raise UserError(f"the text has no [MASK] to fill: {text!r}; write for example {TEMPLATE!r}")
        ids = self.predictor.masked(text)
        words_given = (
            np.empty(0, np.int64)
            if video is None
            else self.predictor.joint(self.clips(video, start=start, end=end).words)
        )
        room = self.predictor.room(len(ids))
        if len(words_given) > room:
            print(
                f"{video}: beside this text the model reads {room} clips, so the first {room} of {len(words_given)}; "
                "choose others with start and end",
                file=sys.stderr,
            )
        (answers,) = self.predictor.log_probabilities([self.predictor.sequence(ids, words_given[:room])], 0)
        return [self._best(answer, top) for answer in answers]

    def forecast(
        self, video: str | Path, *, start: float | None = None, end: float | None = None, top: int = 5
    ) -> list[NextWord]:
        """The `top` most probable visual words of the clip after the video's end, most probable first.

        The model reads as many of the last clips as a video-only segment had in training, the masked one included.
        """
        check_whole("top", top)
        length = min(self.reader.preprocessing["segment_length"] - 1, self.predictor.room(0) - 1)
        seen = self.predictor.joint(self.clips(video, start=start, end=end).words[-length:])
        ids, types = self.predictor.sequence(np.empty(0, np.int64), np.append(seen, self.predictor.vocabulary.mask))
        (answers,) = self.predictor.log_probabilities([(ids, types)], 1)
        best = np.argsort(-answers[0], kind="stable")[:top]
        depth, branching = len(self.reader.codebook.centroids), self.reader.codebook.branching
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
        length = min(self.reader.preprocessing["segment_length"], self.predictor.room(0))
        windows = [
            self.predictor.joint(clips.words[first : first + length]) for first in range(0, len(clips.words), length)
        ]
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
        room = self.predictor.room(len(self.predictor.masked(saved.config.template)))
        words = self.clips(video, start=start, end=end).words
        if len(words) > room:
            print(
                f"{video}: the first {room} of {len(words)} clips are described; choose others with start and end",
                file=sys.stderr,
            )
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
        check_whole("clips", clips, self.predictor.room(0) // 2)  # the other half is the text's
        check_writable(Path(output))
        return IndexWriter(self.reader, self.predictor, ModelFolder(self.folder), Path(output)).write(videos, clips)

    def search(self, text: str, index: str | Path, top: int = 5) -> list[Found]:
        """The `top` segments of an index that the text belongs to, best first.

        An exact search over the vectors, through the projection that the stage retrieval fitted: `retrieval` in the model
        folder, or where earlier versions put it, `../evaluate/retrieval`. Without it, or with one that was fitted to another
        model, which is said, the alignment head reads every segment with the text: that is slow in a large index, and finds
        less. On the kitchen, of the first 5 for 40 actions, 0.28 show verb and object, and with it 0.86. (To order what the
        projection finds by the alignment head gave 0.35.)
        """
        check_whole("top", top)
        check_text(text)
        segments = read_index(Path(index), ModelFolder(self.folder), self.predictor.model.config.hidden_size)
        if not self.predictor.words(text):
            raise UserError(f"the text {text!r} has no word to search for")
        return self.matcher.search(text, segments, top)

    def clips(self, video: str | Path, *, start: float | None = None, end: float | None = None) -> Clips:
        """A video's clips whose middle lies in [start, end), with features and visual words; the nearest when there is
        none. They lie where they lie in the whole video, so a cut has the visual words of the whole."""
        try:
            return self.reader.clips(Path(video), start, end)
        except VideoError as error:
            raise UserError(f"{video}: {error.reason}") from None

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

    def _called(self, word: int) -> str:
        """The template's words for a video that shows this visual word alone: "stir the soup"."""
        sequence = self.predictor.sequence(self.predictor.masked(TEMPLATE), self.predictor.joint(np.array([word])))
        (answers,) = self.predictor.log_probabilities([sequence], 0)
        return " the ".join(self._best(answer, 1)[0][0] for answer in answers)

    def _best(self, answer: npt.NDArray[np.floating], top: int) -> list[tuple[str, float]]:
        """The `top` word pieces of a mask's log-probabilities (V,), special tokens left out."""
        choices = self.predictor.vocabulary.choices()[0]
        best = choices[np.argsort(-answer[choices], kind="stable")[:top]]
        name = self.predictor.tokenizer.id_to_token
        return [(name(int(id_)) or "[UNK]", float(np.exp(answer[id_]))) for id_ in best]
