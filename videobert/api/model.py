"""`VideoBert`: a trained model with all that a raw video needs."""

import re
import sys
from collections.abc import Sequence
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, overload

import numpy as np
import numpy.typing as npt

from videobert.api.answers import Clips, Embedding, Found, NextWord
from videobert.api.arguments import (
    TEMPLATE,
    Cut,
    ManySeconds,
    Seconds,
    VideoPath,
    check_device,
    check_masks,
    check_query,
    check_whole,
    check_writable,
    cuts,
    find_decoder,
    listed,
)
from videobert.api.folder import find_folder, save
from videobert.api.index import IndexWriter, read_index
from videobert.api.matching import Matcher
from videobert.api.videos import VideoReader
from videobert.data.provenance import sha256
from videobert.errors import UserError, VideoError
from videobert.layout import ModelFolder
from videobert.model.predictor import COPY_ANEW, Predictor, check_parts
from videobert.model.predictor import check_whole as check_files
from videobert.model.processing_videobert import NO_TEXT, NO_VIDEO, Ids, Video

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase

    from videobert.model.configuration_videobert import VideoBertConfig
    from videobert.model.modeling_videobert import VideoBertForPreTraining

BATCH_SIZE = 64
TOLD_HASH = re.compile(r"Measured on model\.safetensors with the SHA-256 `([0-9a-f]{64})`")  # in a card

# Overloads: text is a sequence of texts to mypy, too; the first of two signatures that fit is the one that counts.
Filled = list[list[tuple[str, float]]]  # for each [MASK], word pieces with their probabilities


class VideoBert:
    """A pretrained model with all that a raw video needs.

    Videos are paths of files; `start` and `end` (seconds) cut them. `fill` takes one text or a list of them; `embed`,
    `caption`, `forecast` and `clips` take one video or a list of them, with one `start` and `end` for all or a list with one
    for each. A list gives a list of answers. Every method raises UserError when a video cannot be read or holds no whole clip.
    """

    def __init__(self, folder: Path, device: "str | torch.device" = "auto", threads: int | None = None):
        if threads is not None:
            check_whole("threads", threads)
        check_device(str(device))
        self.folder = folder
        files = ModelFolder(folder)
        check_files(files, ["weights", "config", "tokenizer", "centroids", "preprocessing"])
        check_parts(files)
        self.predictor = Predictor(folder, BATCH_SIZE, str(device), threads)
        self.reader = VideoReader(files, self.predictor.device)
        self.matcher = Matcher(self.predictor, files)
        if self.reader.codebook.words != self.config.visual_words:
            raise UserError(
                f"{files.centroids} has {self.reader.codebook.words} visual words, but {files.config} says "
                f"{self.config.visual_words}: {COPY_ANEW}"
            )
        _check_card(files)

    def __repr__(self) -> str:
        size = f"{self.config.num_hidden_layers} layers of {self.config.hidden_size}"
        vocabularies = f"{self.config.vocab_size} word pieces, {self.config.visual_words} visual words"
        return f"VideoBert({str(self.folder)!r}: {size}, {vocabularies}, on {self.predictor.device})"

    # Loading and saving -------------------------------------------------------------------------------------------------

    @classmethod
    def from_pretrained(
        cls,
        model: str | PathLike[str],
        device: "str | torch.device" = "auto",
        threads: int | None = None,
        *,
        revision: str | None = None,
    ) -> "VideoBert":
        """Loads a model.

        Args:
            model: a model folder, such as `results/pretrain` or a copy of it; or `user/model`, the id of one on the model hub,
                which is downloaded once. The variables of huggingface_hub hold: HF_TOKEN, HF_HOME, HF_ENDPOINT,
                HF_HUB_OFFLINE.
            device: where to run: cpu, cuda, a certain GPU as cuda:1; auto takes a GPU when there is one.
            threads: CPU threads; none: as torch has it.
            revision: of a model on the hub, a branch, tag or commit.

        Raises UserError when there is no such model, or when a file of it is missing or damaged.
        """
        return cls(find_folder(model, revision), device, threads)

    def save_pretrained(self, folder: str | PathLike[str]) -> None:
        """Writes the whole model folder, which `from_pretrained` loads: weights, configuration, tokenizer, codebook,
        preprocessing, card, and what the tasks fitted to the model.

        The network is written with its present weights. If they have changed, the card and the tasks' parts, which belong to
        the earlier weights, are left out, with a message. An earlier model in the folder is replaced completely.

        Raises UserError when the folder holds other files than a model's.
        """
        save(self.model, ModelFolder(self.folder), Path(folder))

    def to(self, device: "str | torch.device") -> "VideoBert":
        """Moves all networks, S3D and the decoder of captions included; returns itself.

        Args:
            device: cpu, cuda, a certain GPU as cuda:1, or auto.
        """
        check_device(str(device))
        self.predictor.to(str(device))
        self.reader.to(self.predictor.device)
        return self

    @property
    def device(self) -> "torch.device":
        """Where the networks run."""
        return self.model.device

    @property
    def model(self) -> "VideoBertForPreTraining":
        """The model of transformers, a torch module."""
        return self.predictor.model

    @property
    def config(self) -> "VideoBertConfig":
        """The configuration of `model`."""
        return self.predictor.model.config

    @cached_property
    def tokenizer(self) -> "PreTrainedTokenizerBase":
        """The tokenizer of the text, as transformers has it."""
        from videobert.model.tokenizer import of_model

        return of_model(self.folder)

    # Questions about texts and videos -----------------------------------------------------------------------------------

    @overload
    def fill(  # type: ignore[overload-overlap]
        self, text: str, video: VideoPath | None = ..., *, start: Seconds = ..., end: Seconds = ..., top_k: int = ...
    ) -> Filled: ...
    @overload
    def fill(
        self,
        text: Sequence[str],
        video: VideoPath | None = ...,
        *,
        start: Seconds = ...,
        end: Seconds = ...,
        top_k: int = ...,
    ) -> list[Filled]: ...
    def fill(
        self,
        text: str | Sequence[str],
        video: VideoPath | None = None,
        *,
        start: Seconds = None,
        end: Seconds = None,
        top_k: int = 5,
    ) -> Filled | list[Filled]:
        """Fills each [MASK] of a sentence: for each, the `top_k` most probable word pieces with their probabilities.

        Without a video the model sees the text alone. (Section 4.2 of the paper.)

        Args:
            text: a sentence, or a list of sentences about the same video.
            video: the video.
            start: seconds.
            end: seconds.
            top_k: word pieces for each [MASK].
        """
        check_whole("top_k", top_k)
        texts = listed(text)
        for one in texts:
            check_masks(one)
        seen = NO_VIDEO if video is None else self.clips(video, start=start, end=end).video
        sequences = []
        for one in texts:
            ids = self.predictor.masked(one)
            room = self.predictor.room(len(ids))
            if len(seen) > room:
                print(
                    f"{video}: beside this text the model reads {room} clips, so the first {room} of {len(seen)}; "
                    "choose others with start and end",
                    file=sys.stderr,
                )
            sequences.append(self.predictor.sequence(ids, seen[:room]))
        filled = [
            [self.predictor.best_words(mask, top_k) for mask in answer]
            for answer in self.predictor.log_probabilities(sequences)
        ]
        return filled[0] if isinstance(text, str) else filled

    @overload
    def forecast(  # type: ignore[overload-overlap]
        self, video: VideoPath, *, start: Seconds = ..., end: Seconds = ..., top_k: int = ...
    ) -> list[NextWord]: ...
    @overload
    def forecast(
        self, video: Sequence[VideoPath], *, start: ManySeconds = ..., end: ManySeconds = ..., top_k: int = ...
    ) -> list[list[NextWord]]: ...
    def forecast(
        self,
        video: VideoPath | Sequence[VideoPath],
        *,
        start: ManySeconds = None,
        end: ManySeconds = None,
        top_k: int = 5,
    ) -> list[NextWord] | list[list[NextWord]]:
        """The `top_k` most probable visual words of the clip after the video's end, most probable first.

        The model reads as many of the last clips as a video-only segment had in training, the masked one included.
        """
        check_whole("top_k", top_k)
        length = min(self.reader.preprocessing["segment_length"] - 1, self.predictor.room(0) - 1)
        sequences = [
            self.predictor.sequence(NO_TEXT, clips.video[-length:].and_masks(1))
            for clips in self._seen(cuts(video, start, end))
        ]
        answers = [answer.best(top_k) for answer in self.predictor.visual_answers(sequences)]
        best = [(words[0], scores[0]) for words, scores in answers]  # of the one mask
        called = self._called(np.unique(np.concatenate([NO_TEXT, *(words for words, _ in best)])))
        forecasts = [
            [
                NextWord(int(word), float(np.exp(score)), path, called[int(word)])
                for word, score, path in zip(words, scores, self.reader.codebook.digits(words).tolist(), strict=True)
            ]
            for words, scores in best
        ]
        return forecasts[0] if isinstance(video, str | PathLike) else forecasts

    @overload
    def embed(self, video: VideoPath, *, start: Seconds = ..., end: Seconds = ...) -> Embedding: ...  # type: ignore[overload-overlap]
    @overload
    def embed(
        self, video: Sequence[VideoPath], *, start: ManySeconds = ..., end: ManySeconds = ...
    ) -> list[Embedding]: ...
    def embed(
        self, video: VideoPath | Sequence[VideoPath], *, start: ManySeconds = None, end: ManySeconds = None
    ) -> Embedding | list[Embedding]:
        """The video in numbers: S3D's features and the visual word of each clip, the mean of the model's outputs, and, where
        the model has its projection, the vector that can be compared with a text's.

        The model reads the video in windows as long as in training; the mean is over all clips.
        """
        seen = self._seen(cuts(video, start, end))
        videos = [clips.video for clips in seen]
        outputs = self._mean_outputs(videos)
        vectors: Sequence[npt.NDArray[np.float32] | None] = [None] * len(seen)
        if self.matcher.has_vectors:
            vectors = list(self._vectors(videos))
        embeddings = [Embedding(*parts) for parts in zip(seen, outputs, vectors, strict=True)]
        return embeddings[0] if isinstance(video, str | PathLike) else embeddings

    @overload
    def caption(  # type: ignore[overload-overlap]
        self, video: VideoPath, *, start: Seconds = ..., end: Seconds = ..., decoder: VideoPath | None = ...
    ) -> str: ...
    @overload
    def caption(
        self,
        video: Sequence[VideoPath],
        *,
        start: ManySeconds = ...,
        end: ManySeconds = ...,
        decoder: VideoPath | None = ...,
    ) -> list[str]: ...
    def caption(
        self,
        video: VideoPath | Sequence[VideoPath],
        *,
        start: ManySeconds = None,
        end: ManySeconds = None,
        decoder: VideoPath | None = None,
    ) -> str | list[str]:
        """A sentence that describes a short video, as long as one step.

        Args:
            video: the video, or a list of videos.
            start: seconds.
            end: seconds.
            decoder: folder of the decoder that the task captioning trained; none: `captioning` in the model folder, or
                where earlier versions put it, `../evaluate/captioning`.
        """
        from videobert.model.captioner import caption, read_decoder

        wanted = cuts(video, start, end)
        saved = read_decoder(find_decoder(ModelFolder(self.folder), decoder), self.folder)
        room = self.predictor.room(len(self.predictor.masked(saved.config.template)))
        seen = self._seen(wanted)
        for cut, clips in zip(wanted, seen, strict=True):
            if len(clips.words) > room:
                print(
                    f"{cut.video}: the first {room} of {len(clips.words)} clips are described; choose others with start and end",
                    file=sys.stderr,
                )
        sentences = caption(self.predictor, saved, [clips.video[:room] for clips in seen]) if seen else []
        return sentences[0] if isinstance(video, str | PathLike) else sentences

    @overload
    def clips(self, video: VideoPath, *, start: Seconds = ..., end: Seconds = ...) -> Clips: ...  # type: ignore[overload-overlap]
    @overload
    def clips(self, video: Sequence[VideoPath], *, start: ManySeconds = ..., end: ManySeconds = ...) -> list[Clips]: ...
    def clips(
        self, video: VideoPath | Sequence[VideoPath], *, start: ManySeconds = None, end: ManySeconds = None
    ) -> Clips | list[Clips]:
        """A video's clips whose middle is in [start, end), with features and visual words; the nearest one if there is none.
        The clips are those of the whole video, so a part of it has the same visual words."""
        seen = self._seen(cuts(video, start, end))
        return seen[0] if isinstance(video, str | PathLike) else seen

    # Texts beside videos --------------------------------------------------------------------------------------------------

    def embed_text(self, text: str | Sequence[str]) -> npt.NDArray[np.float32]:
        """A text's vector in the space that it shares with videos, float32 (hidden_size,), of length 1 or less; of a list of
        texts (texts, hidden_size).

        Its dot product with `embed(video).vector`, which has length 1, is the score of `similarity` and `search`. A model
        that was trained with `pretrain.contrastive_weight` reads the text; of any other it is made of the text's words by the
        projection that the task retrieval fitted, and the network is not asked.

        Raises UserError when the model has no projection, or knows no word of the text.
        """
        texts = listed(text)
        for one in texts:
            check_query(one)
        vectors = np.array([self.matcher.embed(one) for one in texts], np.float32).reshape(-1, self.config.hidden_size)
        return vectors[0] if isinstance(text, str) else vectors

    def similarity(
        self,
        texts: str | Sequence[str],
        videos: VideoPath | Sequence[VideoPath],
        *,
        start: ManySeconds = None,
        end: ManySeconds = None,
    ) -> npt.NDArray[np.float32]:
        """How well each text fits each video, (texts, videos) float32: the score of `search`.

        It is the cosine between their vectors: at most 1, about 0 for a text that has nothing to do with the video. It is for
        ranking, and not a probability. (Where the projection makes the vectors, it is the cosine between the words of the text,
        weighted by how rare they are, and those that are expected with the video.)

        Raises UserError when the model has no projection (the task retrieval fits it); `alignment` needs none.
        """
        vectors = self.embed_text(listed(texts))
        return vectors @ self._vectors(self._videos(videos, start, end)).T

    def alignment(
        self,
        texts: str | Sequence[str],
        videos: VideoPath | Sequence[VideoPath],
        *,
        start: ManySeconds = None,
        end: ManySeconds = None,
    ) -> npt.NDArray[np.float32]:
        """The probability that each text belongs to each video, (texts, videos) float32, 0 to 1: the model reads every pair
        of them together, and its alignment head answers (section 3.3 of the paper).

        It was trained to reject the videos of random other sentences. To rank videos `similarity` is better, and faster.
        """
        wanted = listed(texts)
        for text in wanted:
            check_query(text)
        logits = self.matcher.alignments(wanted, self._videos(videos, start, end))
        return (1 / (1 + np.exp(-logits))).astype(np.float32)

    # Many videos ----------------------------------------------------------------------------------------------------------

    def index(self, videos: Sequence[VideoPath], output: VideoPath, clips: int = 4) -> int:
        """Writes an index to search in: Parquet, one row per segment of `clips` clips, with times, visual words and a vector,
        the mean of the model's outputs. Returns the number of segments.

        A file that cannot be read, or is shorter than a clip, is left out with a message; `videos.parquet` in the index lists
        each video with its status, its title and its file. An interrupted run resumes where it was: the visual words of each
        file are kept.

        Args:
            videos: video files; or a results folder, which stands for all videos of its tokens tables.
            output: folder to write.
            clips: clips in a segment; 4 are 6 seconds.
        """
        check_whole("clips", clips, self.predictor.room(0) // 2)  # the other half is the text's
        check_writable(Path(output))
        writer = IndexWriter(self.reader, self.matcher, ModelFolder(self.folder), Path(output))
        return writer.write(listed(videos), clips)

    def search(self, text: str, index: VideoPath, top_k: int = 5) -> list[Found]:
        """The `top_k` segments of an index that the text belongs to, best first.

        An exact search over the model's own vectors, if it was trained with `pretrain.contrastive_weight`; otherwise over its
        mean outputs, through the projection that the task retrieval fitted: `retrieval` in the model folder, or
        `../evaluate/retrieval` in results of earlier versions. The score is that of `similarity`. Without the projection, or
        with one that was fitted to another model (which gives a message), the alignment head reads every segment with the
        text, and the score is its logit: this is slow in a large index, and finds less. On the kitchen, 0.86 of the first 5
        hits for 40 actions show verb and object with the projection, and 0.28 without. (Re-ranking the hits of the projection
        by the alignment head gave 0.35.)"""
        check_whole("top_k", top_k)
        check_query(text)
        found = read_index(Path(index), ModelFolder(self.folder), self.config.hidden_size)
        scores, rows = self.matcher.search(text, found.summaries, found.clips, top_k)
        return [Found(**found.segment(int(row)), score=float(score)) for score, row in zip(scores, rows, strict=True)]

    # Parts of answers -----------------------------------------------------------------------------------------------------

    def _seen(self, wanted: Sequence[Cut]) -> list[Clips]:
        """The clips of each video. Raises UserError that names the video which cannot be read."""
        seen = []
        for cut in wanted:
            try:
                seen.append(self.reader.clips(cut))
            except VideoError as error:
                raise UserError(f"{cut.video}: {error.reason}") from None
        return seen

    def _videos(self, videos: VideoPath | Sequence[VideoPath], start: ManySeconds, end: ManySeconds) -> list[Video]:
        """Each video as the model reads it."""
        return [clips.video for clips in self._seen(cuts(videos, start, end))]

    def _vectors(self, videos: Sequence[Video]) -> npt.NDArray[np.float32]:
        """Each video's vector in the space that is shared with texts, (videos, hidden_size) float32, of length 1."""
        if not self.predictor.has_vectors:
            return self.matcher.project(self._mean_outputs(videos))
        # Of a long video the mean over the windows that the model reads, by their clips.
        means = []
        for video in videos:
            windows = self._windows(video)
            sizes = np.array([len(window) for window in windows], np.float32)
            means.append(sizes @ self.predictor.vectors_of_videos(windows) / sizes.sum())
        return self.matcher.project(np.array(means, np.float32).reshape(-1, self.config.hidden_size))

    def _windows(self, video: Video) -> list[Video]:
        """The video in pieces as long as in training."""
        length = min(self.reader.preprocessing["segment_length"], self.predictor.room(0))
        return [video[first : first + length] for first in range(0, len(video), length)]

    def _mean_outputs(self, videos: Sequence[Video]) -> npt.NDArray[np.float32]:
        """The mean of the model's outputs at each video's clips, (videos, hidden_size) float32."""
        windows = [(row, window) for row, video in enumerate(videos) for window in self._windows(video)]
        sequences = [self.predictor.sequence(NO_TEXT, window) for _, window in windows]
        outputs: list[list[npt.NDArray[np.float32]]] = [[] for _ in videos]
        for first, output in self.predictor.read(sequences):
            hidden = output.last_hidden_state.float().cpu().numpy()
            for (row, _), (ids, *_), states in zip(windows[first:], sequences[first:], hidden, strict=False):
                outputs[row].append(states[: len(ids)][ids >= self.predictor.vocabulary.vocab_size])
        return np.array([np.concatenate(parts).mean(axis=0) for parts in outputs]).reshape(
            len(videos), self.config.hidden_size
        )

    def _typical(self, word: int) -> Video:
        """A clip of a visual word, whose feature is what the codebook has for the word."""
        words = np.array([word])
        return Video(words, self.reader.codebook.vectors(words))

    def _called(self, words: Ids) -> dict[int, str]:
        """The template's words for a video that shows one of these visual words alone: "stir the soup"."""
        template = self.predictor.masked(TEMPLATE)
        sequences = [self.predictor.sequence(template, self._typical(word)) for word in words]
        answers = self.predictor.log_probabilities(sequences)
        return {
            int(word): " the ".join(self.predictor.best_words(mask, 1)[0][0] for mask in answer)
            for word, answer in zip(words, answers, strict=True)
        }


def _check_card(files: ModelFolder) -> None:
    """Says when the card was written for other weights."""
    card = Path(files.card)
    told = TOLD_HASH.search(card.read_text("utf-8", "replace")) if card.exists() else None
    if told and told[1] != sha256(Path(files.weights)):
        print(
            f"{card} is of other weights than {files.weights}: they were trained on since, or are damaged",
            file=sys.stderr,
        )
