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
from typing import Annotated, Any

from pydantic import Field

from videobert.data.ledger import completed, file_facts, open_file, process_videos, remove_journal
from videobert.data.provenance import make_provenance, write_table
from videobert.data.schemas import FRAMES_FACTS, arrow
from videobert.media.ffmpeg import ffmpeg_version
from videobert.media.normalising import FrameFormat, normalise
from videobert.settings import Inputs, Outputs, Settings

VERSION = 2


class FramesSettings(Settings):
    """Media to normalised frames: one size, one rate, one codec."""

    fps: Annotated[int, Field(ge=1, le=240)] = 20
    """Frames per second for S3D; 20 in the paper."""
    size: Annotated[int, Field(ge=32, le=2048, multiple_of=2)] = 224
    """Height and width in pixels; 224 for S3D. The video is scaled to cover the square, and cropped to its middle."""
    crf: Annotated[int, Field(ge=0, le=51)] = 18
    """x264's quality, 0 (lossless) to 51: lower is larger and closer to the source. 18 is visually the same as the
    source."""


class FramesInputs(Inputs):
    download: Path
    """The shard's download ledger (Parquet); the media lie beside it."""


class FramesOutputs(Outputs):
    ledger: Path
    """The ledger (Parquet); the videos are written beside it, as {video_id}.mp4."""


def frames(inputs: FramesInputs, outputs: FramesOutputs, settings: FramesSettings) -> None:
    """Decode one shard's videos to square H.264 videos of a fixed frame rate."""
    download, folder = inputs.download, outputs.ledger.parent
    journal = folder / ".journal"
    form = FrameFormat(settings.fps, settings.size, settings.crf)
    provenance = make_provenance(
        "frames",
        VERSION,
        settings.fingerprint(),
        {"download": download},
        ffmpeg=ffmpeg_version(),
    )

    def work(video: dict[str, Any]) -> tuple[dict[str, Any], None]:
        target = folder / f"{video['video_id']}.mp4"
        facts = normalise(open_file(download, video), target, form)
        return facts | file_facts(target), None

    ledger, _ = process_videos(completed(download), work, journal, provenance, arrow(FRAMES_FACTS))
    kept = set(ledger["path"].to_pylist())
    for path in folder.glob("*.mp4"):  # what an earlier run with other videos left, or a killed one half-written
        if path.name not in kept:
            path.unlink()
    write_table(ledger, outputs.ledger, provenance)
    remove_journal(journal)
