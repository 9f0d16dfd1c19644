"""Trains the small S3D that ships as `features.weights: kitchen`, the built-in corpus' stand-in for Kinetics.

Random features tell the kitchen's actions poorly apart, and no registry has S3D weights, so a quarter-width S3D learns
to name the verb and the object of separately rendered clips (`videobert.kitchen.video.clip`; seeds that no corpus uses), as
`small_s3d.py` does. Half of the clips show what the corpus shows, half what nobody would do (grate the tomato, fry the soup):
as Kinetics' many actions do, these teach an object apart from what is done to it. Pairs that the kitchen holds out are
never rendered for training.

    python scripts/train_kitchen_s3d.py --output videobert/vision/weights/kitchen.safetensors

takes about 35 minutes on two cores: 12 for rendering on both, then training on one. The same seed gives the same numbers.
"""

import json
from collections.abc import Sequence
from itertools import cycle, islice, product
from pathlib import Path

import numpy as np
import torch
from small_s3d import Words, cross_entropies, fit, measure, render, save

from videobert.kitchen import script as kitchen
from videobert.kitchen import video

GROUPS = (kitchen.VERBS, kitchen.OBJECTS)
# Clip seeds of the corpus are small numbers; these are far from them and from each other.
TRAIN_SEEDS, TEST_SEEDS, HELD_OUT_SEEDS = 1_000_000_000, 1_500_000_000, 1_700_000_000


def main(
    output: Path,
    clips: int = 12000,
    test_clips: int = 340,
    epochs: int = 8,
    batch_size: int = 32,
    learning_rate: float = 2e-3,
    workers: int = 2,
    seed: int = 0,
    cache: Path | None = None,
) -> None:
    """Render clips, train, measure, write the weights.

    Args:
        output: the safetensors file to write.
        clips: training clips; half of them spread evenly over the corpus' pairs of verb and object, half over all others.
        test_clips: clips of other seeds to measure with.
        epochs: passes over the clips.
        batch_size: clips in a batch.
        learning_rate: the highest, after warm-up.
        workers: processes that render; training takes one thread, so that its numbers are the same again.
        seed: of initialisation, order and augmentation.
        cache: folder that keeps the rendered clips from run to run; empty it when the kitchen's look changes.
    """
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    seen = [pair for pair in kitchen.COMBINATIONS if pair not in kitchen.HELD_OUT]
    others = [pair for pair in product(kitchen.VERBS, kitchen.OBJECTS) if pair not in kitchen.COMBINATIONS]
    both = [pair for two in zip(cycle(seen), others, strict=False) for pair in two]
    train = render(clip, repeated(both, clips), GROUPS, TRAIN_SEEDS, workers, cache, "train")
    test = render(clip, repeated(seen, test_clips), GROUPS, TEST_SEEDS, workers, cache, "test")
    unseen = repeated(sorted(kitchen.HELD_OUT), test_clips // 4)
    held_out = render(clip, unseen, GROUPS, HELD_OUT_SEEDS, workers, cache, "held-out")
    model = fit(train, GROUPS, epochs, batch_size, learning_rate, loss_of)
    parts = {"new_clips": test, "held_out_pairs": held_out}
    figures = {name: measure(model, data, train, GROUPS, ("verb", "object")) for name, data in parts.items()}
    print(json.dumps(figures, indent=1))
    classes = [*kitchen.VERBS, *kitchen.OBJECTS]
    save(model, output, classes, {"clips": clips, "epochs": epochs, "seed": seed, "accuracy": figures})


def repeated(pairs: list[tuple[str, str]], count: int) -> list[Words]:
    """The pairs in turn."""
    return list(islice(cycle(pairs), count))


def clip(words: Words, seed: int) -> np.ndarray:
    """A clip of a verb and an object: uint8 [30, 240, 320, 3]."""
    return video.clip(*words, seed)


def loss_of(logits: Sequence[torch.Tensor], labels: torch.Tensor) -> torch.Tensor:
    """The cross-entropies of verb and object, logits [batch, words] each, labels [batch, 2].

    That a held-out pair never comes is no evidence against its object: nothing is learnt there, neither for nor against.
    """
    verbs, things = logits
    held_out = torch.tensor(
        [[(verb, thing) in kitchen.HELD_OUT for thing in kitchen.OBJECTS] for verb in kitchen.VERBS]
    )
    return cross_entropies((verbs, things.masked_fill(held_out[labels[:, 0]], -torch.inf)), labels)


if __name__ == "__main__":
    from jsonargparse import auto_cli

    auto_cli(main, as_positional=False)
