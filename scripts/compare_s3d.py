"""How well the kitchen's actions and objects can be read from the features of S3D with several weights.

    python scripts/compare_s3d.py kitchen shapes random

renders clips of the kitchen with seeds of their own, has each network turn them into features, fits a logistic regression
to name the verb, and one for the object, and prints the share that is right on other clips. `random` is a network that was
never trained. Ten minutes on one core; the clips are kept in `--cache`.
"""

import argparse
from itertools import cycle, islice
from pathlib import Path

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from small_s3d import PREPROCESSING, WIDTH, render
from train_kitchen_s3d import GROUPS, clip

from videobert.kitchen.script import COMBINATIONS, HELD_OUT
from videobert.vision.embedding import preprocess
from videobert.vision.s3d import S3D, load, optimise

SEEDS = 2_000_000_000  # far from those that any network was trained on


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", nargs="+", help="names or paths, as for features.weights, or random")
    parser.add_argument("--clips", type=int, default=1700, help="to fit on")
    parser.add_argument("--cache", type=Path, help="folder that keeps the rendered clips from run to run")
    options = parser.parse_args()
    torch.set_num_threads(1)
    seen = [pair for pair in COMBINATIONS if pair not in HELD_OUT]
    counts = {"fit": (seen, options.clips), "new_clips": (seen, 510), "held_out_pairs": (sorted(HELD_OUT), 120)}
    data = {
        name: render(clip, list(islice(cycle(pairs), count)), GROUPS, SEEDS + 10_000 * i, 1, options.cache, name)
        for i, (name, (pairs, count)) in enumerate(counts.items())
    }
    print("weights\tword\tnew clips\theld-out pairs")
    for weights in options.weights:
        features = {name: embed(weights, pictures) for name, (pictures, _) in data.items()}
        for i, word in enumerate(("verb", "object")):
            model = fitted(features["fit"], data["fit"][1][:, i].numpy())
            right = [
                model.score(features[name], data[name][1][:, i].numpy()) for name in ("new_clips", "held_out_pairs")
            ]
            print(weights, word, *(f"{share:.3f}" for share in right), sep="\t", flush=True)


@torch.inference_mode()
def embed(weights: str, pictures: torch.Tensor) -> np.ndarray:
    """Features of clips that were rendered: uint8 [count, time, height, width, 3] -> float32 [count, dimension]."""
    torch.manual_seed(0)
    model = optimise(S3D(width=WIDTH).eval()) if weights == "random" else load(weights)[0]
    how = {**PREPROCESSING, "frames": None}
    return torch.cat([model.embed(preprocess(part, how)) for part in pictures.split(32)]).numpy()


def fitted(features: np.ndarray, labels: np.ndarray) -> Pipeline:
    """A logistic regression on features of unit variance."""
    return make_pipeline(StandardScaler(), LogisticRegression(C=0.03, max_iter=1000)).fit(features, labels)


if __name__ == "__main__":
    main()
