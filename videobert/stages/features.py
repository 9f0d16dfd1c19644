"""Turn each video's frames into S3D features: one row of numbers for each 1.5 s of video.

"We take the feature activations before the final linear classifier and apply 3D average pooling to obtain a
1024-dimension feature vector" (VideoBERT, section 4.2), for non-overlapping clips of 30 frames at 20 fps. The tail of a
video that does not fill a clip is dropped.

The network and what its input must look like come from one place, `s3d.load`: each weights file says its own size, its
normalisation and how many of a clip's frames it looks at. Memory stays constant: a video is read clip by clip. The
result says which weights made it, so that no later stage mixes the features of two networks.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from videobert.data.ledger import completed, open_file, process_videos, remove_journal
from videobert.data.provenance import make_provenance, read_provenance, write_table
from videobert.data.schemas import FEATURES, FEATURES_FACTS, arrow
from videobert.devices import resolve_device
from videobert.errors import Status, UserError, VideoError
from videobert.settings import Count, DeviceExecution, Inputs, Outputs, Settings, Text
from videobert.vision.embedding import embed_video

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

VERSION = 2


class FeaturesSettings(Settings):
    """Frames to S3D features, one vector for each clip."""

    weights: Text = "kinetics400"
    """Weights of S3D: kitchen and shapes (shipped, for the built-in corpus only: one was trained on its actions and
    objects, the other on moving shapes alone), kinetics400 (torchvision's, fetched at first use: take these for real
    videos), or the path of a state dict."""
    clip_frames: Annotated[int, Field(ge=16)] = 30
    """Frames per clip: 30 at 20 fps are 1.5 s, as in the paper. Clips do not overlap."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """float32, or bfloat16, which is faster on recent hardware and changes the features a little."""


class FeaturesExecution(DeviceExecution):
    batch_size: Count = 4
    """Clips in a batch: 1 or 2 on a CPU, 32 or more on a GPU."""


class FeaturesInputs(Inputs):
    frames: Path
    """The shard's frames ledger (Parquet); the videos lie beside it."""


class FeaturesOutputs(Outputs):
    table: Path
    """A row per clip (Parquet): video_id, clip, start, end (seconds), feature (float16)."""
    ledger: Path
    """A row per video (Parquet), with its number of clips."""


def features(
    inputs: FeaturesInputs, outputs: FeaturesOutputs, settings: FeaturesSettings, execution: FeaturesExecution
) -> None:
    """Compute the S3D features of one shard's videos, a row for each clip."""
    import torch

    from videobert.vision.s3d import load

    torch.set_num_threads(execution.threads)
    device = resolve_device(execution.device, "features.device")
    model, preprocessing, weights_sha256 = load(settings.weights, device, settings.precision)
    clip_seconds = settings.clip_frames / read_provenance(inputs.frames)["settings"]["fps"]
    schema = arrow(FEATURES, model.dimension)

    def work(video: dict[str, Any]) -> tuple[dict[str, Any], "pa.Table"]:
        if video["frames"] < settings.clip_frames:
            raise VideoError(Status.TOO_SHORT, f"{video['duration']:.2f} s, less than a clip of {clip_seconds:g} s")
        path = open_file(inputs.frames, video)
        clips = video["frames"] // settings.clip_frames
        vectors = embed_video(model, path, settings.clip_frames, execution.batch_size, preprocessing, clips)
        if len(vectors) != clips:
            raise UserError(f"{path} is damaged ({len(vectors)} clips decode); delete {inputs.frames} and run again")
        return {"clips": len(vectors)}, _table(video["video_id"], vectors, clip_seconds, settings.weights, schema)

    provenance = make_provenance(
        "features",
        VERSION,
        # The path of weights is of this machine; their hash says which they are.
        settings.fingerprint() | {"weights": Path(settings.weights).name},
        {"frames": inputs.frames},
        ("torch", "av"),
        execution=execution.model_dump() | {"device": device},
        weights_sha256=weights_sha256,
        dimension=model.dimension,
        clip_seconds=clip_seconds,
    )
    journal = outputs.table.parent / ".journal" / outputs.table.stem
    facts = arrow(FEATURES_FACTS)
    rows, table = process_videos(completed(inputs.frames), work, journal, provenance, facts, schema)
    write_table(rows, outputs.ledger, provenance)
    write_table(table, outputs.table, provenance)
    remove_journal(journal)


def _table(
    video_id: str, vectors: "npt.NDArray[np.float16]", seconds: float, weights: str, schema: "pa.Schema"
) -> "pa.Table":
    """A row for each clip of `seconds`, in order."""
    import numpy as np
    import pyarrow as pa

    if not np.isfinite(vectors).all():
        raise UserError(f"weights {weights} give numbers that float16 cannot hold: are they damaged?")
    clips = np.arange(len(vectors), dtype=np.int32)
    columns = {
        "video_id": [video_id] * len(vectors),
        "clip": clips,
        "start": (clips * seconds).astype(np.float32),
        "end": ((clips + 1) * seconds).astype(np.float32),
        "feature": pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), vectors.shape[1]),
    }
    return pa.table(columns, schema=schema)
