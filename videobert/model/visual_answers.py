"""The best of all visual words by what the model says of each level: never a table of all combinations."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from videobert.model.processing_videobert import Ids

HOPEFUL = 64  # words of each mask among which the best of several masks are looked for


@dataclass(frozen=True)
class VisualAnswer:
    """What the model answers at the masks of a sequence. `levels`: (levels, masks, branching) float32, the log-probabilities of
    each level's centroids. The words of a tree are one level."""

    levels: npt.NDArray[np.float32]

    def best(self, top: int) -> tuple[Ids, npt.NDArray[np.float32]]:
        """(words, log-probabilities) of each mask's best words, each (masks, top) or fewer, best first."""
        words, scores = best_of(self.levels[0], top)
        for level in self.levels[1:]:
            # Levels are independent: a word among the best has its first digits among the best, too.
            sums = (scores[:, :, None] + level[:, None]).reshape(len(scores), -1)
            chosen, scores = best_of(sums, top)
            before, digit = np.divmod(chosen, level.shape[1])
            words = np.take_along_axis(words, before, 1) * level.shape[1] + digit
        return words, scores

    def best_on_average(self, top: int) -> tuple[Ids, npt.NDArray[np.float32]]:
        """The same of the mean of all masks' probabilities, each (1, top) or fewer. With several levels only words are compared
        that are among the HOPEFUL best of a mask."""
        words, scores = np.arange(self.levels.shape[2]), self.levels[0]
        if len(self.levels) > 1:
            words = np.unique(self.best(HOPEFUL)[0])
            scores = self._of(words)
        chosen, mean = best_of(np.log(np.exp(scores).mean(0, keepdims=True)), top)
        return words[chosen], mean

    def _of(self, words: Ids) -> npt.NDArray[np.float32]:
        """The log-probabilities of these words (n,) at each mask: (masks, n)."""
        scores = np.zeros((self.levels.shape[1], len(words)), np.float32)
        for level in self.levels[::-1]:
            words, digit = np.divmod(words, level.shape[1])
            scores += level[:, digit]
        return scores


def best_of(scores: npt.NDArray[np.float32], count: int) -> tuple[Ids, npt.NDArray[np.float32]]:
    """(places, scores) of each row's best, each (rows, count) or fewer, best first; of equals the first place."""
    count = min(count, scores.shape[1])
    least = np.partition(scores, -count, axis=1)[:, -count, None]
    rows, places = np.nonzero(~(scores < least))  # more than `count` where several are as good as the last
    order = np.lexsort((places, -scores[rows, places], rows))
    starts = np.searchsorted(rows, np.arange(len(scores)))
    best = places[order[starts[:, None] + np.arange(count)]]
    return best, np.take_along_axis(scores, best, 1)
