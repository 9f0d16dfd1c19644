"""Clips of a normalised video to features."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from videobert import progress

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import torch

    from videobert.vision.s3d import S3D


def embed_video(
    model: "S3D", path: Path, clip_frames: int, batch_size: int, preprocessing: dict[str, Any], clips: int = 0
) -> "npt.NDArray[np.float16]":
    """Features of a normalised video's clips, at least one: float16 [clips, dimension].

    `clips`: how many there are, where that is known: progress is shown by it.
    """
    import numpy as np
    import torch

    vectors = []
    for batch in batches(path, clip_frames, batch_size):
        vectors.append(embed(model, torch.from_numpy(batch), preprocessing).cpu().numpy().astype(np.float16))
        if clips:
            progress.within(sum(map(len, vectors)) / clips)
    return np.concatenate(vectors)


def batches(path: Path, clip_frames: int, batch_size: int) -> Iterator["npt.NDArray[np.uint8]"]:
    """A video's clips: uint8 [up to batch_size, clip_frames, height, width, 3], RGB; the incomplete tail is dropped."""
    import numpy as np

    from videobert.media.decoding import pictures

    batch: npt.NDArray[np.uint8] | None = None
    count = 0
    for picture in pictures(path):
        if batch is None:
            batch = np.empty((batch_size * clip_frames, *picture.shape), np.uint8)
        batch[count] = picture
        count += 1
        if count == len(batch):
            yield batch.reshape(batch_size, clip_frames, *picture.shape)
            batch, count = None, 0
    clips = count // clip_frames
    if batch is not None and clips:
        yield batch[: clips * clip_frames].reshape(clips, clip_frames, *batch.shape[1:])


def preprocess(clips: "torch.Tensor", preprocessing: dict[str, Any]) -> "torch.Tensor":
    """What the network's weights were trained on.

    Args:
        clips: uint8 [batch, frames, height, width, 3], RGB.
        preprocessing: `size`, `mean`, `std`, and perhaps `frames` (see `s3d.load`).

    Returns float32 [batch, 3, frames, size, size].
    """
    import torch
    from torch.nn import functional as F

    if kept := preprocessing.get("frames"):
        clips = clips[:, torch.arange(kept) * clips.shape[1] // kept]
    batch, time, height, width, _ = clips.shape
    x = clips.permute(0, 1, 4, 2, 3).flatten(0, 1).float() / 255
    size = preprocessing["size"]
    if (height, width) != (size, size):
        shrinks = size < min(height, width)
        x = F.interpolate(x, (size, size), mode="area") if shrinks else F.interpolate(x, (size, size), mode="bilinear")
    mean, std = (torch.tensor(preprocessing[name], device=x.device)[:, None, None] for name in ("mean", "std"))
    normalised: torch.Tensor = ((x - mean) / std).unflatten(0, (batch, time)).transpose(1, 2)
    return normalised


def embed(model: "S3D", clips: "torch.Tensor", preprocessing: dict[str, Any]) -> "torch.Tensor":
    """Features of clips: uint8 [batch, frames, height, width, 3], RGB -> float32 [batch, dimension]."""
    import torch

    from videobert.devices import whole_float32

    weight = model.classifier[1].get_parameter("weight")
    x = preprocess(clips.to(weight.device), preprocessing)
    with torch.inference_mode(), whole_float32():
        return model.embed(x.to(weight.dtype).contiguous(memory_format=torch.channels_last_3d))
