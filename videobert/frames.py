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

import re
from pathlib import Path
from signal import Signals
from typing import Any

from videobert.artefact import atomic, made_by, write_table
from videobert.errors import Loss, UserError
from videobert.ledger import each, finish, ok
from videobert.printable import one_line

VERSION = 2

# Of a broken video less than this is not worth keeping: one clip of the paper.
SHORTEST_PART = 1.5
# What ffmpeg says when the machine, not the video, is at fault.
MACHINE_FAULTS = ("No space left on device", "Disk quota exceeded", "Read-only file system")
# Seconds without a new picture beyond which the fill is made of small pictures.
LONG_GAP = 10
LARGEST_PIECE = 1 << 29  # bytes that ffmpeg may ask for at once


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

    from videobert.media import ffmpeg_version

    folder, journal = output.parent, output.parent / ".journal"
    settings = {"fps": fps, "size": size, "crf": crf}
    made = made_by("frames", VERSION, settings, {"download": download}, ffmpeg=ffmpeg_version())

    def work(video: dict[str, Any]) -> tuple[dict[str, Any], None]:
        source = download.parent / video["path"]
        if not source.is_file():
            raise UserError(f"{source} is missing, though {download} lists it; delete that ledger and run again")
        return normalise(source, folder / f"{video['video_id']}.mp4", fps, size, crf), None

    schema = pa.schema([("path", pa.string()), ("frames", pa.int32()), ("duration", pa.float64())])
    ledger, _ = each(ok(download), work, journal, made, schema)
    kept = set(ledger["path"].to_pylist())
    for path in folder.glob("*.mp4"):  # what an earlier run with other videos left, or a killed one half-written
        if path.name not in kept:
            path.unlink()
    write_table(ledger, output, made)
    finish(journal)


def normalise(
    source: Path, target: Path, fps: int, size: int, crf: int, first: int = 0, last: int | None = None
) -> dict[str, Any]:
    """Writes `source` to `target` at this rate and size; returns the ledger's facts.

    With `first` and `last`, just the frames first … last - 1 of what the whole would have given.

    Raises Loss("unusable") when there are no pictures, or too few before the video breaks.
    """
    from videobert.media import LONGEST, count_frames, probe

    facts = probe(source)
    if not facts["has_video"]:
        raise Loss("unusable", "no video stream")
    duration = facts["promised"] or facts["duration"]
    with atomic(target) as temporary:
        complaint = _ffmpeg(source, temporary, facts, fps, size, crf, first, last)
        count = count_frames(temporary)
        seconds = count / fps
        if seconds > LONGEST:
            raise Loss("unusable", f"it lasts more than {LONGEST // 3600} h")
        wanted = (duration if last is None else min(duration, last / fps)) - first / fps
        # Sound often outlasts the pictures, so a short result alone is no sign: ffmpeg must have complained as well, or
        # the pictures themselves were counted.
        complaint = complaint or ("the file is cut off" if facts["promised"] else "")
        partial = bool(complaint) and wanted - seconds > SHORTEST_PART
        if count == 0 or (partial and seconds < SHORTEST_PART):
            raise Loss("unusable", complaint or "no frame in it")
    reason = f"partial: {seconds:.1f} of {wanted:.1f} s decode ({complaint})" if partial else ""
    return {"reason": reason, "path": target.name, "frames": count, "duration": seconds}


def _ffmpeg(
    source: Path,
    target: Path,
    facts: dict[str, Any],
    fps: int,
    size: int,
    crf: int,
    first: int = 0,
    last: int | None = None,
) -> str:
    """Runs ffmpeg; returns the first of its complaints ("" if it had none)."""
    import ffmpeg

    from videobert.media import DECODE_MEMORY, LONGEST, MAX_PIXELS, SAFE, ffmpeg_binary, guarded

    # "V" is the first video stream that is no cover picture.
    pictures = ffmpeg.input(f"file:{source}", threads=1, max_pixels=MAX_PIXELS, **SAFE)["V"]
    if facts["interlaced"]:  # the two halves of a picture were taken at different times
        pictures = pictures.filter("yadif", deint="interlaced")
    if facts["late"]:
        pictures = pictures.filter("setpts", f"PTS+{facts['late']:.6f}/TB")
    if facts["duration"]:  # one damaged clock in a file would have all after it dropped, and hours before it filled
        pictures = pictures.filter("select", f"not(gt(t,{2 * facts['duration'] + 60:.3f}))")
    # Pictures that are not needed are not scaled. But ffmpeg keeps all that fill a gap in memory at once: of a long one
    # they are filled in last, as copies of one small picture.
    long_gap = facts["gap"] > LONG_GAP
    pictures = pictures if long_gap else pictures.filter("fps", fps)
    pictures = (
        pictures
        # The centred square is cut in the source's pixels, which need not be square themselves.
        .filter("crop", "min(iw,ih/sar)", "min(ih,iw*sar)")
        .filter(
            "scale", size, size, flags="bicubic+accurate_rnd+bitexact", out_color_matrix="bt709", out_range="limited"
        )
        .filter("setsar", 1)
        .filter("format", "yuv420p")
    )
    pictures = pictures.filter("fps", fps) if long_gap else pictures
    if first or last is not None:
        # Counted from the start and not sought: where a stranger's file seeks to is anybody's guess.
        span = {"start": (first - 0.5) / fps} if first else {}
        span |= {"end": (last - 0.5) / fps} if last is not None else {}
        pictures = pictures.filter("trim", **span).filter("setpts", f"PTS-{first}")
    job = ffmpeg.output(
        pictures,
        f"file:{target}",
        format="mp4",
        vcodec="libx264",
        preset="ultrafast",
        crf=crf,
        g=30,
        threads=1,
        # A constant rate from time zero: a late first frame is shown from the start, so that frame i is at i / fps.
        r=fps,
        fps_mode="cfr",
        **{"frames:v": LONGEST * fps + 1},
        colorspace="bt709",
        color_primaries="bt709",
        color_trc="bt709",
        color_range="tv",
        map_metadata=-1,
        fflags="+bitexact",
        **{"flags:v": "+bitexact"},
    ).global_args("-hide_banner", "-nostdin", "-loglevel", "error", "-filter_complex_threads", "1")
    command = ffmpeg.compile(job.global_args("-max_alloc", str(LARGEST_PIECE)), ffmpeg_binary(), overwrite_output=True)
    code, said = guarded(command, _time_limit(source, facts["duration"]), DECODE_MEMORY)
    complaint = _complaint(said, source)
    if any(fault in line for line in said for fault in MACHINE_FAULTS):
        raise UserError(f"ffmpeg could not write {target}: {complaint}")
    if code < 0:
        raise Loss("unusable", f"ffmpeg ended by {Signals(-code).name}")
    if code:
        raise Loss("unusable", complaint or "ffmpeg failed without a word")
    return complaint


def _time_limit(source: Path, duration: float) -> float:
    """Seconds that ffmpeg may take: ten times a video's duration; guessed from the size where the file does not say it."""
    from videobert.media import LONGEST

    return 600 + 10 * min(duration or source.stat().st_size / 1000, LONGEST)


def _complaint(said: list[str], source: Path) -> str:
    """The first complaint, without memory addresses and paths: the ledger's bytes must not depend on the run."""
    line = next((line.strip() for line in said if line.strip()), "")[:1000]
    line = re.sub(r" @ 0x[0-9a-f]+", "", line).replace(f"file:{source}", source.name).replace(str(source), source.name)
    return one_line(line, longest=200)
