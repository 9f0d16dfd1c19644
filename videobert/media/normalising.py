"""Any video to H.264 of one size and one frame rate, by ffmpeg.

Frame i is what the screen showed i / fps seconds after the start.

Colour takes one path: whatever the source says of itself becomes BT.709 in studio range, and is tagged so. ffmpeg is
shown the one file, never the network, and has bounds of memory, time and frames.
"""

import re
from pathlib import Path
from signal import Signals
from typing import Any, NamedTuple

from videobert.data.provenance import atomic
from videobert.data.text import one_line
from videobert.errors import BoundError, Status, VideoError
from videobert.machine import MachineFault
from videobert.media.bounded import run_bounded
from videobert.media.decoding import DECODE_MEMORY, LONGEST, MAX_PIXELS, SAFE, count_frames
from videobert.media.ffmpeg import ffmpeg_binary
from videobert.media.probing import probe

# Of a broken video less than this is not worth keeping: one clip of the paper.
SHORTEST_PART = 1.5


# What ffmpeg says when the machine, not the video, is at fault. An error of input and output is the machine's where it writes:
# of a file that is cut off it says the same.
MACHINE_FAULTS = (
    "No space left on device",
    "Disk quota exceeded",
    "Read-only file system",
    "Stale file handle",
    "Too many open files",
    "Permission denied",
)
WRITING = re.compile(r"av_interleaved_write_frame|Error (writing|muxing|submitting a packet to the muxer|closing file)")
# How it ends when it is asked to: by a signal that it obeys and does not name.
ASKED_TO_STOP = 255


# Seconds without a new picture beyond which the fill is made of small pictures.
LONG_GAP = 10


LARGEST_PIECE = 1 << 29  # bytes that ffmpeg may ask for at once


class FrameFormat(NamedTuple):
    """What frames are like: frames a second, height and width in pixels, x264's quality."""

    fps: int
    size: int
    crf: int


class Span(NamedTuple):
    """Frames first … last - 1 of what the whole video gives; None: to its end."""

    first: int = 0
    last: int | None = None


WHOLE = Span()


def normalise(source: Path, target: Path, form: FrameFormat, span: Span = WHOLE) -> dict[str, Any]:
    """Writes `source`, or a span of it, to `target` in this form; returns the ledger's facts.

    Raises VideoError(Status.UNUSABLE) when there are no pictures, or too few before the video breaks.
    """
    facts = probe(source)
    if not facts["has_video"]:
        raise VideoError(Status.UNUSABLE, "no video stream")
    duration = facts["promised"] or facts["duration"]
    with atomic(target) as temporary:
        complaint = _ffmpeg(source, temporary, facts, form, span)
        count = count_frames(temporary)
        seconds = count / form.fps
        if seconds > LONGEST:
            raise VideoError(Status.UNUSABLE, f"it lasts more than {LONGEST // 3600} h")
        wanted = (duration if span.last is None else min(duration, span.last / form.fps)) - span.first / form.fps
        # Sound often outlasts the pictures, so a short result alone is no sign: ffmpeg must have complained as well, or
        # the pictures themselves were counted.
        complaint = complaint or ("the file is cut off" if facts["promised"] else "")
        partial = bool(complaint) and wanted - seconds > SHORTEST_PART
        if count == 0 or (partial and seconds < SHORTEST_PART):
            raise VideoError(Status.UNUSABLE, complaint or "no frame in it")
    reason = f"partial: {seconds:.1f} of {wanted:.1f} s decode ({complaint})" if partial else ""
    return {"reason": reason, "path": target.name, "frames": count, "duration": seconds}


def _ffmpeg(source: Path, target: Path, facts: dict[str, Any], form: FrameFormat, span: Span) -> str:
    """Runs ffmpeg; returns the first of its complaints ("" if it had none)."""
    import ffmpeg

    job = ffmpeg.output(
        _filtered(source, facts, form, span),
        f"file:{target}",
        format="mp4",
        vcodec="libx264",
        preset="ultrafast",
        crf=form.crf,
        g=30,
        threads=1,
        # A constant rate from time zero: a late first frame is shown from the start, so that frame i is at i / fps.
        r=form.fps,
        fps_mode="cfr",
        **{"frames:v": LONGEST * form.fps + 1},
        colorspace="bt709",
        color_primaries="bt709",
        color_trc="bt709",
        color_range="tv",
        map_metadata=-1,
        fflags="+bitexact",
        **{"flags:v": "+bitexact"},
    ).global_args("-hide_banner", "-nostdin", "-loglevel", "error", "-filter_complex_threads", "1")
    command = ffmpeg.compile(job.global_args("-max_alloc", str(LARGEST_PIECE)), ffmpeg_binary(), overwrite_output=True)
    code, lines = run_bounded(command, _time_limit(source, facts["duration"]), DECODE_MEMORY)
    complaint = _complaint(lines, source)
    if code == ASKED_TO_STOP and not complaint:
        raise MachineFault("ffmpeg was asked to stop from outside; run the same command again")
    if any(fault in line for line in lines for fault in MACHINE_FAULTS) or (code and any(map(WRITING.search, lines))):
        raise MachineFault(
            f"ffmpeg could not write {target}: {complaint}; what is done is kept, run the same command again"
        )
    if code and any("Cannot allocate memory" in line for line in lines):
        raise BoundError(f"{complaint or 'Cannot allocate memory'}; ffmpeg gets {DECODE_MEMORY >> 20} MB for it")
    if code < 0:
        raise VideoError(Status.UNUSABLE, f"ffmpeg ended by {Signals(-code).name}")
    if code:
        raise VideoError(Status.UNUSABLE, complaint or "ffmpeg failed without a message")
    return complaint


def _filtered(source: Path, facts: dict[str, Any], form: FrameFormat, span: Span) -> Any:
    """ffmpeg's filters: the pictures of the source, at this rate and size, in one colour path."""
    import ffmpeg

    # Placed by their stamps, as sound is, where ffmpeg itself would have them follow upon each other.
    stamps = {"copyts": None, "start_at_zero": None} if facts["as_stamped"] else {}
    pictures = ffmpeg.input(f"file:{source}", threads=1, max_pixels=MAX_PIXELS, **stamps, **SAFE)[str(facts["stream"])]
    if facts["interlaced"]:  # the two halves of a picture were taken at different times
        pictures = pictures.filter("yadif", deint="interlaced")
    if facts["late"]:
        pictures = pictures.filter("setpts", f"PTS+{facts['late']:.6f}/TB")
    if facts["duration"]:  # one damaged clock in a file would have all after it dropped, and hours before it filled
        pictures = pictures.filter("select", f"not(gt(t,{2 * facts['duration'] + 60:.3f}))")
    # Pictures that are not needed are not scaled. But ffmpeg keeps all that fill a gap in memory at once: of a long one
    # they are filled in last, as copies of one small picture.
    long_gap = facts["gap"] > LONG_GAP
    pictures = pictures if long_gap else pictures.filter("fps", form.fps)
    scaling = {"flags": "bicubic+accurate_rnd+bitexact", "out_color_matrix": "bt709", "out_range": "limited"}
    pictures = (
        pictures
        # The centred square is cut in the source's pixels, which need not be square themselves.
        .filter("crop", "min(iw,ih/sar)", "min(ih,iw*sar)")
        .filter("scale", form.size, form.size, **scaling)
        .filter("setsar", 1)
        .filter("format", "yuv420p")
    )
    pictures = pictures.filter("fps", form.fps) if long_gap else pictures
    if span == WHOLE:
        return pictures
    # Counted from the start and not sought: where a stranger's file seeks to is anybody's guess.
    times = {"start": (span.first - 0.5) / form.fps} if span.first else {}
    times |= {"end": (span.last - 0.5) / form.fps} if span.last is not None else {}
    return pictures.filter("trim", **times).filter("setpts", f"PTS-{span.first}")


def _time_limit(source: Path, duration: float) -> float:
    """Seconds that ffmpeg may take: ten times a video's duration; guessed from the size where the file does not say it."""
    return 600 + 10 * min(duration or source.stat().st_size / 1000, LONGEST)


def _complaint(lines: list[str], source: Path) -> str:
    """The first complaint, without memory addresses and paths: the ledger's bytes must not depend on the run."""
    line = next((line.strip() for line in lines if line.strip()), "")[:1000]
    line = re.sub(r" @ 0x[0-9a-f]+", "", line).replace(f"file:{source}", source.name).replace(str(source), source.name)
    return one_line(line, longest=200)
