"""The examples of pretraining, as a map-style data set: example i is a pure function of (seed, i).

An epoch visits each sentence that has clips twice with words and visual words masked, once whole with its own video and
once whole with that of a sentence of another video (alignment 1 and 0), and once alone (text only); and each window of
video once (video only). An objective of weight 0 leaves its visits out; the contrastive one has no visits, but pairs of its own
beside every second example. A sentence with video may be joined with the
next one of its video, and the visual words are thinned by a random stride, both as in the paper.
"""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from videobert.errors import UserError
from videobert.model.processing_videobert import (
    IGNORE,
    MASKED,
    NO_TEXT,
    NO_VIDEO,
    Example,
    Ids,
    Input,
    Video,
    Vocabulary,
    lay_out,
    lay_out_labels,
    pad_examples,
    shorten,
)
from videobert.model.sequences import Neighbours, Segments, mask_tokens

PAIR, OWN, OTHER, TEXT_ONLY, VIDEO_ONLY = range(5)
SEGMENTS = 4  # of each video, in the pairs of a batch: the others are the hardest wrong partners

if TYPE_CHECKING:
    import torch

    from videobert.model.settings import PretrainSettings


class Pair(NamedTuple):
    """A text and a video that belong together, read apart, and the number of their row."""

    text: Input
    video: Input
    row: int


class Examples:
    """The whole run's examples, as a map-style data set: example i is a pure function of (seed, i)."""

    def __init__(self, segments: Segments, vocabulary: Vocabulary, settings: "PretrainSettings"):
        self.segments = segments
        self.vocabulary = vocabulary
        self.choices = vocabulary.choices()  # for words
        # For visual words: any of a tree's. Most combinations of a residual codebook's centroids are nothing that is ever seen,
        # and there may be millions: those of the clips stand in.
        self.visual_choices: Ids = (
            np.arange(vocabulary.visual_words) if vocabulary.visual_levels == 1 else segments.video
        )
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
        self.groups = segments.group[self.by_video]
        self.starts = np.flatnonzero(np.diff(self.groups, prepend=-1, append=-1))

    def __len__(self) -> int:
        return self.settings.max_steps * self.settings.batch_size

    def __getitem__(self, index: int) -> tuple[Example, Pair | None]:
        """One example; with the contrastive objective, a pair beside every second."""
        contrasts = self.settings.contrastive_weight and len(self.pairs) and index % 2 == 0
        return self._example(index), self._pair(index) if contrasts else None

    def _pair(self, index: int) -> Pair:
        random = np.random.default_rng([self.settings.seed, 3, index])
        batch, place = divmod(index, self.settings.batch_size)
        row = int(self._pairs_of(batch)[place // 2])
        own = int(self.segments.own[row])
        clips = self.segments.video_of(row)
        clips = clips[: own + random.integers(len(clips) - own + 1)]
        text, video = shorten(self.segments.text_of(row), clips, self.settings.max_length)
        return Pair(lay_out(text, NO_VIDEO, self.vocabulary), lay_out(NO_TEXT, video, self.vocabulary), row)

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
            row = self._wrong_partner(row, join, random)
        video = self.segments.video_of(row)
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
        text, video = shorten(text, video, self.settings.max_length)
        if kind in (OWN, OTHER):
            # Compared as they are: with the verb masked nobody could tell, and nothing is to be predicted from a wrong
            # partner, which would teach the model to ignore the other modality.
            return _without_labels(lay_out(text, video, self.vocabulary), int(kind == OWN))
        labels, video_labels, features = text, video.words, None
        if len(text):
            text, labels = mask_tokens(text, self.settings.mask_probability, self.choices, self.vocabulary.mask, random)
        if len(video):
            masked, video_labels = self._masked(video, random)
            if self.settings.regression_weight and video.features is not None:
                features = video.features[video_labels != IGNORE]
            video = masked
        return Example(lay_out(text, video, self.vocabulary), lay_out_labels(labels, video_labels), IGNORE, features)

    def _masked(self, video: Video, random: np.random.Generator) -> tuple[Video, Ids]:
        """The video with some clips hidden or exchanged, and the labels: the true joint ids of those, IGNORE elsewhere."""
        probability, span = self.settings.video_mask_probability, self.settings.video_mask_span
        words, labels = mask_tokens(video.words, probability, self.visual_choices, MASKED, random, span)
        features = video.features
        if features is not None and self.segments.features is not None:
            # A clip in the place of another, its word and its feature, in proportion to how often they are there.
            swapped = (words != MASKED) & (labels != IGNORE) & (words != labels)
            others = random.integers(len(self.segments.features), size=swapped.sum())
            words[swapped] = self.segments.track[others]
            features = features.copy()
            features[swapped] = self.segments.features[others]
        return Video(words, features), np.where(labels == IGNORE, IGNORE, labels + np.int64(self.vocabulary.vocab_size))

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

    def _wrong_partner(self, row: int, join: bool, random: np.random.Generator) -> int:
        """A row whose clips do not belong to this one's text: of another video, or a hard one, of the same."""
        if self.settings.hard_negatives and random.random() < self.settings.hard_negatives:
            group = self.segments.group[row]
            near = self.by_video[slice(*np.searchsorted(self.groups, [group, group + 1]))]
            near = near[(near != row) & (self.neighbours.next[near] >= 0 if join else True)]
            if len(near):
                return int(near[random.integers(len(near))])
        return self._of_another_video(row, self.joinable if join else self.pairs, random)

    def _of_another_video(self, row: int, rows: npt.NDArray[np.integer], random: np.random.Generator) -> int:
        while True:
            other = int(rows[random.integers(len(rows))])
            if self.segments.group[other] != self.segments.group[row]:
                return other

    def collate(self, rows: list[tuple[Example, Pair | None]]) -> dict[str, "torch.Tensor"]:
        """The model's inputs: the examples, and after them the texts of the pairs, then their videos."""
        import torch

        pairs = [pair for _, pair in rows if pair]
        apart = [pair.text for pair in pairs] + [pair.video for pair in pairs]
        examples = [example for example, _ in rows] + [_without_labels(sequence, IGNORE) for sequence in apart]
        batch = pad_examples(examples, self.vocabulary)
        if self.settings.visual_input == "words":
            batch.pop("features", None)  # of a model that predicts them and does not read them
        return batch | {"pairs": torch.tensor([pair.row for pair in pairs])} if pairs else batch


def _without_labels(sequence: Input, alignment: int) -> Example:
    return Example(sequence, np.full(len(sequence.ids), IGNORE), alignment)
