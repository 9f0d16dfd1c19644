"""Turn each video's frames into S3D features: one row of numbers for each 1.5 s of video.

"We take the feature activations before the final linear classifier and apply 3D average pooling to obtain a
1024-dimension feature vector" (VideoBERT, section 4.2), for non-overlapping clips of 30 frames at 20 fps. The tail of a
video that does not fill a clip is dropped.

The network and what its input must look like come from one place, `s3d.load`: each weights file says its own size, its
normalisation and how many of a clip's frames it looks at. Memory stays constant: a video is read clip by clip. The
result says which weights made it, so that no later stage mixes the features of two networks.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from videobert.data.ledger import completed, process_videos, remove_journal
from videobert.data.provenance import make_provenance, read_provenance, write_table
from videobert.errors import UserError, VideoError
from videobert.vision.embedding import embed_video

if TYPE_CHECKING:
    pass

VERSION = 2


def features(
    frames: Path,
    output: Path,
    ledger: Path,
    weights: str = "kitchen",
    clip_frames: int = 30,
    batch_size: int = 8,
    device: Literal["auto", "cpu", "cuda"] = "auto",
    precision: Literal["float32", "bfloat16"] = "float32",
    threads: int = 1,
) -> None:
    """Compute the S3D features of one shard's videos, a row for each clip.

    Args:
        frames: the shard's frames ledger (Parquet); the videos lie beside it.
        output: the features to write (Parquet): video_id, clip, start, end, feature.
        ledger: the ledger to write (Parquet): a row for each video, with its number of clips.
        weights: kitchen (comes with the project), kinetics400 (fetched once), or a path to a state dict of S3D.
        clip_frames: frames in a clip; clips do not overlap.
        batch_size: clips in a batch.
        device: auto takes a GPU when there is one.
        precision: of the network; bfloat16 is several times faster where the hardware knows it.
        threads: CPU threads.
    """
    import numpy as np
    import pyarrow as pa
    import torch

    from videobert.vision.s3d import load

    torch.set_num_threads(threads)
    if device == "cuda" and not torch.cuda.is_available():
        raise UserError("device: cuda, but torch sees no GPU here; take auto or cpu")
    device = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
    model, preprocessing, weights_hash = load(weights, device, precision)
    fps = read_provenance(frames)["settings"]["fps"]
    seconds, dimension = clip_frames / fps, model.dimension
    table_schema = pa.schema(
        [
            ("video_id", pa.string()),
            ("clip", pa.int32()),
            ("start", pa.float32()),
            ("end", pa.float32()),
            ("feature", pa.list_(pa.float16(), dimension)),
        ]
    )

    def work(video: dict[str, Any]) -> tuple[dict[str, Any], pa.Table]:
        if video["frames"] < clip_frames:
            raise VideoError("too_short", f"{video['duration']:.2f} s, less than a clip of {seconds:g} s")
        path = frames.parent / video["path"]
        if not path.is_file():
            raise UserError(f"{path} is missing, though {frames} lists it; delete that ledger and run again")
        rows = embed_video(model, path, clip_frames, batch_size, preprocessing)
        if len(rows) != video["frames"] // clip_frames:
            raise UserError(f"{path} is damaged ({len(rows)} clips decode); delete {frames} and run again")
        if not np.isfinite(rows).all():
            raise UserError(f"weights {weights} give numbers that float16 cannot hold: are they damaged?")
        clips = np.arange(len(rows), dtype=np.int32)
        columns = {
            "video_id": [video["video_id"]] * len(rows),
            "clip": clips,
            "start": (clips * seconds).astype(np.float32),
            "end": ((clips + 1) * seconds).astype(np.float32),
            "feature": pa.FixedSizeListArray.from_arrays(pa.array(rows.reshape(-1)), dimension),
        }
        return {"clips": len(rows)}, pa.table(columns, schema=table_schema)

    note = make_provenance(
        "features",
        VERSION,
        {"weights": Path(weights).name, "clip_frames": clip_frames, "precision": precision},
        {"frames": frames},
        ("torch", "av"),
        weights_sha256=weights_hash,
        dimension=dimension,
        clip_seconds=seconds,
    )
    journal = output.parent / ".journal" / output.stem
    rows, table = process_videos(
        completed(frames), work, journal, note, pa.schema([("clips", pa.int32())]), table_schema
    )
    write_table(rows, ledger, note)
    write_table(table, output, note)
    remove_journal(journal)
