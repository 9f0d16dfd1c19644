"""Trains the small S3D that ships as `features.weights: kitchen`, the built-in corpus' stand-in for Kinetics.

Random features tell the kitchen's actions poorly apart, and no registry has S3D weights, so a quarter-width S3D learns
to name the verb and the object of separately rendered clips (`videobert.kitchen.video.clip`; seeds that no corpus uses). What
it sees is what it will see behind `frames` and `features`: the same square, the same size, the same 15 of 30 frames,
after H.264. Half of the clips show what the corpus shows, half what nobody would do (grate the tomato, fry the soup):
as Kinetics' many actions do, these teach an object apart from what is done to it. Pairs that the kitchen holds out are
never rendered for training. One classifier, two cross-entropies.

    python scripts/train_kitchen_s3d.py --output videobert/weights/kitchen.safetensors

takes about 35 minutes on two cores: 12 for rendering on both, then training on one. The same seed gives the same numbers.
"""

import json
import sys
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import cycle, product
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F
from tqdm import tqdm

from videobert.data.provenance import atomic
from videobert.kitchen import script as kitchen
from videobert.kitchen import video
from videobert.vision.embedding import preprocess
from videobert.vision.s3d import S3D, optimise

WIDTH, SIZE, FRAMES = 0.25, 64, 15
PREPROCESSING = {"frames": FRAMES, "size": SIZE, "mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]}
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
    train = render(both, clips, TRAIN_SEEDS, workers, cache, "train")
    test = render(seen, test_clips, TEST_SEEDS, workers, cache, "test")
    held_out = render(sorted(kitchen.HELD_OUT), test_clips // 4, HELD_OUT_SEEDS, workers, cache, "held-out")
    model = fit(train, epochs, batch_size, learning_rate)
    figures = {name: measure(model, data, train) for name, data in (("new_clips", test), ("held_out_pairs", held_out))}
    print(json.dumps(figures, indent=1))
    save(model, output, {"clips": clips, "epochs": epochs, "seed": seed, "accuracy": figures})


def render(
    pairs: list[tuple[str, str]], count: int, first_seed: int, workers: int, cache: Path | None, name: str
) -> tuple[torch.Tensor, torch.Tensor]:
    """Clips as the network's input will be before normalisation, uint8 [count, FRAMES, SIZE, SIZE, 3], and their labels
    [count, 2] (verb, object)."""
    jobs = [(*pairs[i % len(pairs)], first_seed + i) for i in range(count)]
    file = cache / f"{name}.npy" if cache else None
    known = np.load(file)[:count] if file and file.exists() else np.empty((0, FRAMES, SIZE, SIZE, 3), np.uint8)
    pictures = np.empty((count, *known.shape[1:]), np.uint8)
    pictures[: len(known)] = known
    with ProcessPoolExecutor(workers, initializer=partial(torch.set_num_threads, 1)) as pool:
        rendered = pool.map(one_clip, jobs[len(known) :], chunksize=8)
        for i, clip in enumerate(tqdm(rendered, desc=name, total=count - len(known), mininterval=5), start=len(known)):
            pictures[i] = clip
    if file and len(known) < count:
        file.parent.mkdir(parents=True, exist_ok=True)
        np.save(file, pictures)
    labels = [(kitchen.VERBS.index(verb), kitchen.OBJECTS.index(thing)) for verb, thing, _ in jobs]
    return torch.from_numpy(pictures), torch.tensor(labels)


def one_clip(job: tuple[str, str, int]) -> np.ndarray:
    """Renders one clip and takes it the way that `frames` and `features` take: H.264, square, small."""
    clip = through_h264(video.clip(*job))
    side = min(clip.shape[1:3])
    top, left = (clip.shape[1] - side) // 2, (clip.shape[2] - side) // 2
    square = torch.from_numpy(clip[:, top : top + side, left : left + side])[None]
    as_is = {**PREPROCESSING, "mean": [0.0] * 3, "std": [1.0] * 3}
    return (preprocess(square, as_is)[0] * 255).round().byte().permute(1, 2, 3, 0).numpy()


def through_h264(clip: np.ndarray) -> np.ndarray:
    """Encodes and decodes: uint8 [frames, height, width, 3] -> the same, less what 4:2:0 and quantisation take."""
    import io

    import av

    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=20, options={"preset": "ultrafast", "crf": "22", "threads": "1"})
        stream.height, stream.width, stream.pix_fmt = *clip.shape[1:3], "yuv420p"
        for picture in clip:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    file.seek(0)
    with av.open(file) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def fit(data: tuple[torch.Tensor, torch.Tensor], epochs: int, batch_size: int, learning_rate: float) -> S3D:
    """Trains a network from nothing; AdamW, warm-up, cosine."""
    pictures, labels = data
    model = S3D(classes=len(kitchen.VERBS) + len(kitchen.OBJECTS), width=WIDTH)
    model.train().to(memory_format=torch.channels_last_3d)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm3d):
            module.momentum = 0.05  # 0.001 would need thousands of steps to forget its start
    # That a held-out pair never comes is no evidence against its object: nothing is learnt there, neither for nor against.
    held_out = torch.tensor(
        [[(verb, thing) in kitchen.HELD_OUT for thing in kitchen.OBJECTS] for verb in kitchen.VERBS]
    )
    optimiser = torch.optim.AdamW(model.parameters(), learning_rate, weight_decay=0.05)
    total, step = epochs * (len(pictures) // batch_size), 0
    with tqdm(total=total, desc="train", mininterval=10, file=sys.stderr) as bar:
        while step < total:
            if step % (len(pictures) // batch_size) == 0:
                order = torch.randperm(len(pictures)).split(batch_size)
            chosen = order[step % (len(pictures) // batch_size)]
            done = step / total
            rate = min(1.0, done / 0.05) * 0.5 * (1 + np.cos(np.pi * done))
            for group in optimiser.param_groups:
                group["lr"] = learning_rate * rate
            x = augment(preprocess(pictures[chosen], {**PREPROCESSING, "frames": None}))
            # float32: in bfloat16 oneDNN's weight gradient of the last temporal convolutions is garbage now and then.
            logits = model(x.contiguous(memory_format=torch.channels_last_3d))
            verbs, things = logits.split([len(kitchen.VERBS), len(kitchen.OBJECTS)], dim=1)
            things = things.masked_fill(held_out[labels[chosen, 0]], -torch.inf)
            loss = sum(F.cross_entropy(part, labels[chosen, i]) for i, part in enumerate((verbs, things)))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            step += 1
            bar.update()
            bar.set_postfix(loss=f"{loss.item():.3f}", refresh=False)
    return model.eval()


def augment(x: torch.Tensor) -> torch.Tensor:
    """Mirrors, moves and lights clips [batch, 3, time, height, width]: the kitchen's camera and light vary."""
    batch = len(x)

    def draw(spread: float) -> torch.Tensor:
        return (torch.rand(batch, 1, 1, 1, 1) * 2 - 1) * spread

    x = torch.where(torch.rand(batch, 1, 1, 1, 1) < 0.5, x, x.flip(-1))
    down, right = torch.randint(-4, 5, (2,)).tolist()
    x = F.pad(x, (4, 4, 4, 4, 0, 0), mode="replicate")[..., 4 + down : 4 + down + SIZE, 4 + right : 4 + right + SIZE]
    return x * (1 + draw(0.15)) + draw(0.2)


@torch.inference_mode()
def measure(
    model: S3D, data: tuple[torch.Tensor, torch.Tensor], train: tuple[torch.Tensor, torch.Tensor]
) -> dict[str, float]:
    """Accuracy of the classifier and of the nearest neighbour's features, for verbs and for objects."""
    import copy

    model = optimise(copy.deepcopy(model))

    def run(pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        parts = [model.embed(preprocess(part, {**PREPROCESSING, "frames": None})) for part in pictures.split(32)]
        embedded = torch.cat(parts)
        return embedded, model.classifier(embedded[:, :, None, None, None]).flatten(1)

    embedded, logits = run(data[0])
    known, _ = run(train[0][:2000])
    centre = known.mean(0)
    nearest = train[1][(F.normalize(embedded - centre) @ F.normalize(known - centre).T).argmax(1)]
    verbs, things = logits.split([len(kitchen.VERBS), len(kitchen.OBJECTS)], dim=1)
    guesses = {"verb": verbs.argmax(1), "object": things.argmax(1)}
    figures = {name: guess.eq(data[1][:, i]) for i, (name, guess) in enumerate(guesses.items())}
    figures |= {f"{name}_nearest": nearest[:, i].eq(data[1][:, i]) for i, name in enumerate(guesses)}
    return {name: round(right.float().mean().item(), 3) for name, right in figures.items()}


def save(model: S3D, output: Path, how: dict) -> None:
    """The state dict in safetensors: convolutions in float16 (a third of the file is saved, no accuracy lost)."""
    from safetensors.torch import save_file

    state = {name: value.half() if value.dim() > 1 else value for name, value in model.state_dict().items()}
    metadata = {
        "preprocessing": json.dumps({**PREPROCESSING, "width": WIDTH, "classes": [*kitchen.VERBS, *kitchen.OBJECTS]}),
        "training": json.dumps(how),
    }
    with atomic(output) as temporary:
        save_file({name: value.contiguous() for name, value in state.items()}, temporary, metadata)
    print(f"{output}: {output.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    from jsonargparse import auto_cli

    auto_cli(main, as_positional=False)
