"""The examples of pretraining, as a map-style data set: example i is a pure function of (seed, i).

An epoch visits each sentence that has clips twice with words and visual words masked, once whole with its own video and
once whole with that of a sentence of another video (alignment 1 and 0), and once alone (text only); and each window of
video once (video only). An objective of weight 0 leaves its visits out; the contrastive one has no visits, but pairs of its own
beside every second example. A sentence with video may be joined with the
next one of its video, and the visual words are thinned by a random stride, both as in the paper.
"""

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from videobert.errors import UserError
from videobert.model.processing_videobert import (
    IGNORE,
    Example,
    Ids,
    Vocabulary,
    lay_out,
    lay_out_labels,
    pad_examples,
    shorten,
)
from videobert.model.sequences import Neighbours, Segments, mask_tokens

PAIR, OWN, OTHER, TEXT_ONLY, VIDEO_ONLY = range(5)
SEGMENTS = 4  # of each video, in the pairs of a batch: the others are the hardest wrong partners

Pair = tuple[tuple[Ids, Ids], tuple[Ids, Ids], int]
ContrastiveExample = tuple[Ids, Ids, Ids, int, Pair]

if TYPE_CHECKING:
    import torch

    from videobert.model.settings import PretrainSettings


class Examples:
    """The whole run's examples, as a map-style data set: example i is a pure function of (seed, i)."""

    def __init__(self, segments: Segments, vocabulary: Vocabulary, settings: "PretrainSettings"):
        self.segments = segments
        self.vocabulary = vocabulary
        self.choices = vocabulary.choices()
        self.settings = settings
        has_text = np.diff(segments.text_offsets) > 0
        has_video = np.diff(segments.video_offsets) > 0
        self.pairs = np.flatnonzero(segments.paired & has_text & has_video)
        texts = np.flatnonzero(segments.paired & has_text)
        windows = np.flatnonzero(~segments.paired & has_video)
        visits: list[tuple[int, npt.NDArray[np.intp]]] = []
        if settings.text_video_weight:
            visits += [(PAIR, self.pairs)] * 2
        if settings.alignment_weight and len(np.unique(segments.group[self.pairs])) > 1:
            visits += [(OWN, self.pairs), (OTHER, self.pairs)]
        if settings.concatenation:
            self.neighbours = Neighbours(segments)
            self.joinable = self.pairs[self.neighbours.next[self.pairs] >= 0]
            # A joined text is shown with a joined video, its own or another's: if only true pairs were joined, their
            # length would give them away.
            self.others_join = len(np.unique(segments.group[self.joinable])) > 1
        if settings.text_weight:
            visits.append((TEXT_ONLY, texts))
        if settings.video_weight:
            visits.append((VIDEO_ONLY, windows))
        self.rows = np.concatenate([rows for _, rows in visits] or [np.empty(0, np.intp)]).astype(np.int64)
        self.kinds = np.concatenate([np.full(len(rows), kind) for kind, rows in visits] or [np.empty(0)]).astype(
            np.int8
        )
        if not len(self.rows):
            raise UserError(
                "no train row serves an objective of weight above 0: raise one of pretrain.text_weight, video_weight, "
                "text_video_weight, or give videos with speech"
            )
        self._epoch, self._order = -1, np.empty(0, np.int64)
        self._batch, self._drawn = -1, np.empty(0, np.int64)
        # The pairs by video: those of video v are by_video[starts[v]:starts[v + 1]].
        self.by_video = self.pairs[np.argsort(segments.group[self.pairs], kind="stable")]
        self.starts = np.flatnonzero(np.diff(segments.group[self.by_video], prepend=-1, append=-1))

    def __len__(self) -> int:
        return self.settings.max_steps * self.settings.batch_size

    def __getitem__(self, index: int) -> Example | ContrastiveExample:
        """(joint ids, token types, labels, alignment) of one example; with the contrastive objective, a pair beside it."""
        if not self.settings.contrastive_weight or not len(self.pairs) or index % 2:
            return self._example(index)
        return *self._example(index), self._pair(index)

    def _pair(self, index: int) -> Pair:
        """(text, video, number of the row) for the contrastive objective; text and video as (joint ids, token types)."""
        random = np.random.default_rng([self.settings.seed, 3, index])
        batch, place = divmod(index, self.settings.batch_size)
        row = int(self._pairs_of(batch)[place // 2])
        own = int(self.segments.own[row])
        clips: Ids = self.segments.video_of(row)
        clips = clips[: own + random.integers(len(clips) - own + 1)] + self.vocabulary.vocab_size
        text, video = shorten(self.segments.text_of(row), clips, self.settings.max_length)
        nothing = text[:0]
        return lay_out(text, nothing, self.vocabulary), lay_out(nothing, video, self.vocabulary), row

    def _pairs_of(self, batch: int) -> npt.NDArray[np.int64]:
        """The rows of a batch's pairs, half as many as it has examples: some of each of several videos."""
        if batch != self._batch:
            random = np.random.default_rng([self.settings.seed, 2, batch])
            wanted = self.settings.batch_size // 2
            rows: list[int] = []
            while len(rows) < wanted:  # a small corpus has some more than once
                for video in random.permutation(len(self.starts) - 1):
                    own = self.by_video[self.starts[video] : self.starts[video + 1]]
                    rows += random.permutation(own)[: min(SEGMENTS, wanted - len(rows))].tolist()
                    if len(rows) == wanted:
                        break
            self._batch, self._drawn = batch, np.array(rows, np.int64)
        return self._drawn

    def _example(self, index: int) -> Example:
        random = np.random.default_rng([self.settings.seed, 1, index])
        visit = self._visit(index)
        kind, row = int(self.kinds[visit]), int(self.rows[visit])
        join = self._joins(kind, row, random)
        text: Ids = self.neighbours.text_of(row) if join else self.segments.text_of(row)
        if kind == OTHER:
            row = self._of_another_video(row, self.joinable if join else self.pairs, random)
        video: Ids = self.segments.video_of(row)
        own = int(self.segments.own[row])
        if join:
            video, own = self.neighbours.video_of(row)
        if kind == TEXT_ONLY:
            video = video[:0]
        elif kind == VIDEO_ONLY:
            text = text[:0]
        else:
            video = video[: own + random.integers(len(video) - own + 1)]
        if len(video):
            stride = int(random.integers(1, self.settings.video_stride + 1))
            video = video[random.integers(min(stride, len(video))) :: stride]
        text, video = shorten(text, video + self.vocabulary.vocab_size, self.settings.max_length)
        if kind in (OWN, OTHER):
            # Compared as they are: with the verb masked nobody could tell, and nothing is to be predicted from a wrong
            # partner, which would teach the model to ignore the other modality.
            ids, types = lay_out(text, video, self.vocabulary)
            return ids, types, np.full(len(ids), IGNORE), int(kind == OWN)
        text_labels, video_labels = text, video
        if len(text):
            probability = self.settings.mask_probability
            text, text_labels = mask_tokens(text, probability, self.choices[0], self.vocabulary.mask, random)
        if len(video):
            probability = self.settings.video_mask_probability
            video, video_labels = mask_tokens(video, probability, self.choices[1], self.vocabulary.mask, random)
        return *lay_out(text, video, self.vocabulary), lay_out_labels(text_labels, video_labels), IGNORE

    def _visit(self, index: int) -> int:
        epoch, place = divmod(index, len(self.rows))
        if epoch != self._epoch:
            self._order = np.random.default_rng([self.settings.seed, 0, epoch]).permutation(len(self.rows))
            self._epoch = epoch
        return int(self._order[place])

    def _joins(self, kind: int, row: int, random: np.random.Generator) -> bool:
        """Whether this example is joined with the next sentence. Draws no number where none could be."""
        if not self.settings.concatenation or kind not in (PAIR, OWN, OTHER) or self.neighbours.next[row] < 0:
            return False
        if kind in (OWN, OTHER) and not self.others_join:
            return False
        return random.random() < self.settings.concatenation

    def _of_another_video(self, row: int, rows: npt.NDArray[np.integer], random: np.random.Generator) -> int:
        while True:
            other = int(rows[random.integers(len(rows))])
            if self.segments.group[other] != self.segments.group[row]:
                return other

    def collate(self, rows: list[Example | ContrastiveExample]) -> dict[str, "torch.Tensor"]:
        """The model's inputs: the examples, and after them the texts of the pairs, then their videos."""
        import torch

        pairs = [row[4] for row in rows if len(row) > 4]
        apart = [text for text, _, _ in pairs] + [video for _, video, _ in pairs]
        examples = [row[:4] for row in rows] + [(ids, types, np.full(len(ids), IGNORE), IGNORE) for ids, types in apart]
        batch = pad_examples(examples, self.vocabulary)
        return batch | {"pairs": torch.tensor([row for _, _, row in pairs])} if pairs else batch
