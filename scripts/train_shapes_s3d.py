"""Trains the small S3D that ships as `features.weights: shapes`: it has never seen what the kitchen shows.

As Kinetics' actions are not those of a cooking video, this network learns to name moving shapes (`shapes.py`): how they
move and how fast, which shape, colour and texture they have, and how many there are. What the kitchen's clips are, it
was never told, so its features hold as much of that as generic seeing gives.

    python scripts/train_shapes_s3d.py --output videobert/vision/weights/shapes.safetensors

takes half an hour on one core, half of it for rendering. In that time it learns motions, speeds and colours, and hardly which
shape, texture or number it sees. The same seed gives the same numbers.
"""

import json
import random
from pathlib import Path

import shapes
import torch
from small_s3d import Words, fit, measure, render, save

NAMES = ("motion", "speed", "kind", "colour", "texture", "count")
TRAIN_SEED, TEST_SEED = 0, 1_000_000_000


def main(
    output: Path,
    clips: int = 6300,
    test_clips: int = 420,
    epochs: int = 8,
    batch_size: int = 32,
    learning_rate: float = 2e-3,
    workers: int = 1,
    seed: int = 0,
    cache: Path | None = None,
) -> None:
    """Render clips, train, measure, write the weights.

    Args:
        output: the safetensors file to write.
        clips: training clips, spread evenly over the motions.
        test_clips: clips of other seeds to measure with.
        epochs: passes over the clips.
        batch_size: clips in a batch.
        learning_rate: the highest, after warm-up.
        workers: processes that render; training takes one thread, so that its numbers are the same again.
        seed: of initialisation, order and augmentation.
        cache: folder that keeps the rendered clips from run to run; empty it when the shapes' look changes.
    """
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    train = render(shapes.clip, words(clips, TRAIN_SEED), shapes.LABELS, TRAIN_SEED, workers, cache, "train")
    test = render(shapes.clip, words(test_clips, TEST_SEED), shapes.LABELS, TEST_SEED, workers, cache, "test")
    model = fit(train, shapes.LABELS, epochs, batch_size, learning_rate)
    figures = {"new_clips": measure(model, test, train, shapes.LABELS, NAMES)}
    print(json.dumps(figures, indent=1))
    classes = [word for group in shapes.LABELS for word in group]
    save(model, output, classes, {"clips": clips, "epochs": epochs, "seed": seed, "accuracy": figures})


def words(count: int, first_seed: int) -> list[Words]:
    """What each clip shows: the motions in turn, the rest at random."""
    rng = random.Random(f"shapes words {first_seed}")
    motions, *others = shapes.LABELS
    return [(motions[i % len(motions)], *map(rng.choice, others)) for i in range(count)]


if __name__ == "__main__":
    from jsonargparse import auto_cli

    auto_cli(main, as_positional=False)
