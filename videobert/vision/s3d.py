"""S3D, the network whose features become visual words (Xie et al. 2018, "Rethinking Spatiotemporal Feature Learning").

An Inception network over video whose 3-D convolutions are split in two: over space, then over time. Names and shapes
are torchvision's, so that its Kinetics-400 file loads strictly and gives the same numbers; `width` scales the number of
channels, so that a net small enough to ship exists as well. VideoBERT takes "the feature activations before the final
linear classifier" with "3D average pooling": `embed`, 1,024 numbers at full width.

`load` gives the network of a `weights` setting, ready to embed, and what its input must look like: `kitchen` and
`shapes` ship with the project, `kinetics400` is fetched once, anything else is a path.
"""

import json
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn
from torch.nn import functional as F

from videobert.data.provenance import sha256
from videobert.errors import UserError
from videobert.vision.s3d_weights import weights_file

# What torchvision's Kinetics-400 S3D was trained on: all frames of the clip, 224x224, normalised.
KINETICS400_PREPROCESSING: dict[str, Any] = {
    "size": 224,
    "mean": [0.43216, 0.394666, 0.37645],
    "std": [0.22803, 0.22145, 0.216989],
}

Size = int | tuple[int, int, int]


def convolution(inputs: int, outputs: int, kernel: Size = 1, stride: Size = 1, padding: Size = 0) -> nn.Sequential:
    """Convolution, batch norm, ReLU."""
    return nn.Sequential(
        nn.Conv3d(inputs, outputs, kernel, stride, padding, bias=False),
        nn.BatchNorm3d(outputs, eps=0.001, momentum=0.001),
        nn.ReLU(inplace=True),
    )


def separable(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """A convolution over space, then one over time."""
    half = kernel // 2
    return nn.Sequential(
        convolution(inputs, outputs, (1, kernel, kernel), (1, stride, stride), (0, half, half)),
        convolution(outputs, outputs, (kernel, 1, 1), (stride, 1, 1), (half, 0, 0)),
    )


class Inception(nn.Module):
    """Four branches side by side: 1x1, two separable ones behind a bottleneck, and a pooled one."""

    def __init__(self, inputs: int, one: int, two: tuple[int, int], three: tuple[int, int], four: int):
        super().__init__()
        self.branch0 = convolution(inputs, one)
        self.branch1 = nn.Sequential(convolution(inputs, two[0]), separable(*two, kernel=3))
        self.branch2 = nn.Sequential(convolution(inputs, three[0]), separable(*three, kernel=3))
        self.branch3 = nn.Sequential(nn.MaxPool3d(3, stride=1, padding=1), convolution(inputs, four))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([self.branch0(x), self.branch1(x), self.branch2(x), self.branch3(x)], dim=1)


class S3D(nn.Module):
    """The network; `width` scales the channels (1.0 is torchvision's), `classes` is the size of the classifier."""

    def __init__(self, classes: int = 400, width: float = 1.0, dropout: float = 0.2):
        super().__init__()

        def c(channels: int) -> int:
            return round(channels * width)

        def inception(inputs: int, one: int, *branches: int) -> Inception:
            two, two_out, three, three_out, four = map(c, branches)
            return Inception(c(inputs), c(one), (two, two_out), (three, three_out), four)

        self.features = nn.Sequential(
            separable(3, c(64), kernel=7, stride=2),
            nn.MaxPool3d((1, 3, 3), stride=(1, 2, 2), padding=(0, 1, 1)),
            convolution(c(64), c(64)),
            separable(c(64), c(192), kernel=3),
            nn.MaxPool3d((1, 3, 3), stride=(1, 2, 2), padding=(0, 1, 1)),
            inception(192, 64, 96, 128, 16, 32, 32),
            inception(256, 128, 128, 192, 32, 96, 64),
            nn.MaxPool3d(3, stride=2, padding=1),
            inception(480, 192, 96, 208, 16, 48, 64),
            inception(512, 160, 112, 224, 24, 64, 64),
            inception(512, 128, 128, 256, 24, 64, 64),
            inception(512, 112, 144, 288, 32, 64, 64),
            inception(528, 256, 160, 320, 32, 128, 128),
            nn.MaxPool3d(2, stride=2),
            inception(832, 256, 160, 320, 32, 128, 128),
            inception(832, 384, 192, 384, 48, 128, 128),
        )
        self.dimension = c(384) + c(384) + c(128) + c(128)
        self.classifier = nn.Sequential(nn.Dropout(dropout), nn.Conv3d(self.dimension, classes, 1))

    def embed(self, x: torch.Tensor) -> torch.Tensor:
        """The clip's features: [batch, 3, time, height, width], normalised -> [batch, dimension].

        The average over the positions of torchvision's pooling (2x7x7, stride 1; at most what is there). The
        classifier is linear, so it gives the same logits before this average as after it.
        """
        maps = self.features(x).float()  # pooling knows no bfloat16 on a CPU
        window = [min(most, there) for most, there in zip((2, 7, 7), maps.shape[2:], strict=True)]
        return F.avg_pool3d(maps, window, stride=1).mean(dim=(2, 3, 4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits: [batch, 3, time, height, width], normalised -> [batch, classes]."""
        logits: torch.Tensor = self.classifier(self.embed(x)[:, :, None, None, None])
        return logits.flatten(1)


def optimise(model: S3D, precision: Literal["float32", "bfloat16"] = "float32") -> S3D:
    """The same function, faster, for inference only: batch norms folded into the convolutions, channels last.

    On a CPU that is 1.2 times as fast as the plain network, and 4 to 6 times in bfloat16 where the CPU has it.
    """
    model = model.eval()
    for block in list(model.modules()):
        if isinstance(block, nn.Sequential) and len(block) == 3:
            conv, norm = block[0], block[1]
            if isinstance(conv, nn.Conv3d) and isinstance(norm, nn.BatchNorm3d):
                block[0] = nn.utils.fusion.fuse_conv_bn_eval(conv, norm)
                block[1] = nn.Identity()
    # torch's types do not know memory_format.
    model = model.to(memory_format=torch.channels_last_3d, dtype=getattr(torch, precision))  # type: ignore[call-overload]
    return model.requires_grad_(False)


def load(
    weights: str, device: str = "cpu", precision: Literal["float32", "bfloat16"] = "float32"
) -> tuple[S3D, dict[str, Any], str]:
    """The network of a `weights` setting: the optimised model, its preprocessing, the SHA-256 of the file.

    Args:
        weights: "kitchen", "shapes", "kinetics400", or a path to a state dict with these names (.pth or .safetensors).
        device: "cpu" or "cuda".
        precision: of the computation.

    Preprocessing holds `size` (pixels a side), `mean` and `std` (of RGB in [0, 1]), `frames` (a clip's frames that
    the network sees, evenly spaced; all when it is absent). Raises UserError when the file is missing or does not fit.
    """
    path = weights_file(weights)
    state, preprocessing = _read(path)
    try:
        width = state["features.0.0.0.weight"].shape[0] / 64
        with torch.device("meta"):  # a wrong file gets no memory for what it says of itself
            model = S3D(classes=state["classifier.1.bias"].shape[0], width=width)
        model.load_state_dict(state, assign=True)
        model.float()
    except (KeyError, RuntimeError, AttributeError, IndexError, TypeError) as error:
        detail = " ".join(str(error).split())[:200]
        raise UserError(f"{path} does not hold an S3D with torchvision's names and shapes: {detail}") from None
    return optimise(model, precision).to(device), preprocessing, sha256(path)


def _read(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """A state dict and its preprocessing (Kinetics' where the file does not say)."""
    from safetensors import safe_open

    given: Any = {}
    try:
        if path.suffix == ".safetensors":
            with safe_open(path, "pt") as file:
                state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is no dict)
                given = json.loads((file.metadata() or {}).get("preprocessing", "{}"))
        else:
            # Whatever is no weights, code above all, is refused; what it raises then is not always the same.
            state = torch.load(path, map_location="cpu", weights_only=True)
        return dict(state.items()), _preprocessing(given)
    except Exception as error:
        raise UserError(f"{path} is not a readable state dict: {' '.join(str(error).split())[:200]}") from None


def _preprocessing(given: Any) -> dict[str, Any]:
    """What a file says of its input, over Kinetics'; raises ValueError when no input could be like that."""
    stated = KINETICS400_PREPROCESSING | given if isinstance(given, dict) else {}
    counts = [stated.get("size"), stated.get("frames", 1)]
    colours: list[Any] = [stated.get("mean"), stated.get("std")]
    if not (
        all(isinstance(count, int) and 0 < count <= 4096 for count in counts)
        and all(isinstance(colour, list) and len(colour) == 3 for colour in colours)
        and all(isinstance(value, (int, float)) for colour in colours for value in colour)
        and min(stated["std"]) > 0
    ):
        raise ValueError(f"its preprocessing should be size, mean, std and perhaps frames, but is {str(given)[:100]}")
    return stated
