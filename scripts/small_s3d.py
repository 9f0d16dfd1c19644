"""Renders clips and trains a quarter-width S3D to name what they show: the road that all shipped weights share.

What the network sees is what it will see behind `frames` and `features`: the same square, the same size, the same 15 of
30 frames, after H.264. Each clip is labelled with a word of each of several groups (verb, object): one classifier, a
cross-entropy for each group. The same seed gives the same numbers.
"""

import copy
import io
import json
import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import av
import numpy as np
import torch
from torch.nn import functional as F
from tqdm import tqdm

from videobert.data.provenance import atomic
from videobert.vision.embedding import preprocess
from videobert.vision.s3d import S3D, optimise

WIDTH, SIZE, FRAMES = 0.25, 64, 15
PREPROCESSING = {"frames": FRAMES, "size": SIZE, "mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]}

Words = tuple[str, ...]  # what a clip shows, a word of each group
Groups = Sequence[Sequence[str]]
Data = tuple[torch.Tensor, torch.Tensor]  # pictures, uint8 [count, FRAMES, SIZE, SIZE, 3]; labels, [count, groups]
Draw = Callable[[Words, int], np.ndarray]  # of words and seed: uint8 [30, height, width, 3]


def render(
    draw: Draw, shown: list[Words], groups: Groups, first_seed: int, workers: int, cache: Path | None, name: str
) -> Data:
    """Clips of `shown` as the network's input will be before normalisation, and their labels.

    Args:
        draw: the clip of some words and a seed.
        shown: the words of each clip.
        groups: where the words come from.
        first_seed: the first clip's; the next have the next ones.
        workers: processes.
        cache: folder that keeps the clips from run to run, as `name`.npy.
        name: of these clips.
    """
    file, count = cache / f"{name}.npy" if cache else None, len(shown)
    known = np.load(file)[:count] if file and file.exists() else np.empty((0, FRAMES, SIZE, SIZE, 3), np.uint8)
    pictures = np.empty((count, *known.shape[1:]), np.uint8)
    pictures[: len(known)] = known
    seeds = range(first_seed + len(known), first_seed + count)
    with ProcessPoolExecutor(workers, initializer=partial(torch.set_num_threads, 1)) as pool:
        rendered = pool.map(partial(one_clip, draw), shown[len(known) :], seeds, chunksize=8)
        for i, clip in enumerate(tqdm(rendered, desc=name, total=len(seeds), mininterval=5), start=len(known)):
            pictures[i] = clip
    if file and len(known) < count:
        file.parent.mkdir(parents=True, exist_ok=True)
        np.save(file, pictures)
    labels = [[group.index(word) for group, word in zip(groups, words, strict=True)] for words in shown]
    return torch.from_numpy(pictures), torch.tensor(labels)


def one_clip(draw: Draw, words: Words, seed: int) -> np.ndarray:
    """Draws one clip and takes it the way that `frames` and `features` take: H.264, square, small."""
    clip = through_h264(draw(words, seed))
    side = min(clip.shape[1:3])
    top, left = (clip.shape[1] - side) // 2, (clip.shape[2] - side) // 2
    square = torch.from_numpy(clip[:, top : top + side, left : left + side])[None]
    as_is = {**PREPROCESSING, "mean": [0.0] * 3, "std": [1.0] * 3}
    return (preprocess(square, as_is)[0] * 255).round().byte().permute(1, 2, 3, 0).numpy()


def through_h264(clip: np.ndarray) -> np.ndarray:
    """Encodes and decodes: uint8 [frames, height, width, 3] -> the same, less what 4:2:0 and quantisation take."""
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


def sizes(groups: Groups) -> list[int]:
    return [len(group) for group in groups]


def cross_entropies(logits: Sequence[torch.Tensor], labels: torch.Tensor) -> torch.Tensor:
    """The sum over the groups. logits: [batch, words] of each group; labels: [batch, groups]."""
    return sum((F.cross_entropy(part, labels[:, i]) for i, part in enumerate(logits)), torch.tensor(0.0))


def fit(
    data: Data,
    groups: Groups,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    loss_of: Callable[[Sequence[torch.Tensor], torch.Tensor], torch.Tensor] = cross_entropies,
) -> S3D:
    """Trains a network from nothing; AdamW, warm-up, cosine."""
    pictures, labels = data
    model = S3D(classes=sum(sizes(groups)), width=WIDTH)
    model.train().to(memory_format=torch.channels_last_3d)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm3d):
            module.momentum = 0.05  # 0.001 would need thousands of steps to forget its start
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
            loss = loss_of(logits.split(sizes(groups), dim=1), labels[chosen])
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
def measure(model: S3D, data: Data, train: Data, groups: Groups, names: Sequence[str]) -> dict[str, float]:
    """Accuracy of the classifier and of the nearest neighbour's features, for each group; `names` are the groups'."""
    model = optimise(copy.deepcopy(model))

    def run(pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        parts = [model.embed(preprocess(part, {**PREPROCESSING, "frames": None})) for part in pictures.split(32)]
        embedded = torch.cat(parts)
        return embedded, model.classifier(embedded[:, :, None, None, None]).flatten(1)

    embedded, logits = run(data[0])
    known, _ = run(train[0][:2000])
    centre = known.mean(0)
    nearest = train[1][(F.normalize(embedded - centre) @ F.normalize(known - centre).T).argmax(1)]
    guesses = {name: part.argmax(1) for name, part in zip(names, logits.split(sizes(groups), dim=1), strict=True)}
    figures = {name: guess.eq(data[1][:, i]) for i, (name, guess) in enumerate(guesses.items())}
    figures |= {f"{name}_nearest": nearest[:, i].eq(data[1][:, i]) for i, name in enumerate(names)}
    return {name: round(right.float().mean().item(), 3) for name, right in figures.items()}


def save(model: S3D, output: Path, classes: Iterable[str], how: dict) -> None:
    """The state dict in safetensors: convolutions in float16 (a third of the file is saved, no accuracy lost)."""
    from safetensors.torch import save_file

    state = {name: value.half() if value.dim() > 1 else value for name, value in model.state_dict().items()}
    metadata = {
        "preprocessing": json.dumps({**PREPROCESSING, "width": WIDTH, "classes": [*classes]}),
        "training": json.dumps(how),
    }
    with atomic(output) as temporary:
        save_file({name: value.contiguous() for name, value in state.items()}, temporary, metadata)
    print(f"{output}: {output.stat().st_size / 1e6:.2f} MB")
