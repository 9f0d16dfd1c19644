"""Decode each video of a shard once, to what the feature network reads: 20 frames a second, a centred square, H.264.

Videos come in every size, rate, codec and colour; after this stage frame i is what the screen showed i/20 s after the
start, and nothing downstream asks again what the source was. Feature networks change more often than videos, so the
result is kept: near-lossless, fast to write and many times faster to read than the source.

Colour takes one path: whatever the source says of itself becomes BT.709 in studio range, and is tagged so. The bytes
depend on the source, the settings and the version of ffmpeg alone. A video that breaks off is kept up to there (status
ok, the reason says "partial"); one that gives nothing is a row in the ledger.

ffmpeg is shown the one file, never the network, and has bounds of memory, time and frames: some files are made to
use up a machine.
"""

from pathlib import Path
from typing import Any

from videobert.data.ledger import completed, process_videos, remove_journal
from videobert.data.provenance import make_provenance, write_table
from videobert.errors import UserError
from videobert.media.normalising import normalise

VERSION = 2


def frames(download: Path, output: Path, fps: int = 20, size: int = 224, crf: int = 18) -> None:
    """Decode one shard's videos to square H.264 videos of a fixed frame rate, {video_id}.mp4 beside the ledger.

    Args:
        download: the shard's download ledger (Parquet); the media lie beside it.
        output: the ledger to write (Parquet); the videos go into its folder.
        fps: frames a second.
        size: width and height in pixels: the video is scaled to cover the square, and cropped to its middle.
        crf: x264's quality, 0 (lossless) to 51; 18 is near-lossless.
    """
    import pyarrow as pa

    from videobert.media.ffmpeg import ffmpeg_version

    folder, journal = output.parent, output.parent / ".journal"
    settings = {"fps": fps, "size": size, "crf": crf}
    provenance = make_provenance("frames", VERSION, settings, {"download": download}, ffmpeg=ffmpeg_version())

    def work(video: dict[str, Any]) -> tuple[dict[str, Any], None]:
        source = download.parent / video["path"]
        if not source.is_file():
            raise UserError(f"{source} is missing, though {download} lists it; delete that ledger and run again")
        return normalise(source, folder / f"{video['video_id']}.mp4", fps, size, crf), None

    schema = pa.schema([("path", pa.string()), ("frames", pa.int32()), ("duration", pa.float64())])
    ledger, _ = process_videos(completed(download), work, journal, provenance, schema)
    kept = set(ledger["path"].to_pylist())
    for path in folder.glob("*.mp4"):  # what an earlier run with other videos left, or a killed one half-written
        if path.name not in kept:
            path.unlink()
    write_table(ledger, output, provenance)
    remove_journal(journal)
