"""What a media file holds: duration, size, streams, and facts that decoding needs."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from videobert.errors import Status, VideoError
from videobert.media.bounded import call_isolated
from videobert.media.decoding import LONGEST, MAX_PIXELS, open_media, packets, picture_stream

if TYPE_CHECKING:
    import av
    import av.container


MAX_RATE = 1000  # pictures a second


# Bytes of address space to probe a file in: an index of 12 hours takes a fifth of them.
PROBE_MEMORY = 1 << 30


def probe(path: Path) -> dict[str, Any]:
    """What a media file holds.

    Returns `duration` in seconds (0.0 when the file does not say), `width` and `height` in pixels (0 without pictures),
    `has_audio`, `has_video`; and of the pictures `late`, the seconds from the container's start to the first where a
    demuxer hides them (see normalising.py), `interlaced`, `promised`, the seconds that an index counts (0.0 without one), and
    `gap`, about the longest time without a new picture, in seconds.

    Raises VideoError("unusable") when it is no media file, holds neither pictures nor sound, or asks for more than a video
    needs (`MAX_PIXELS`, `MAX_RATE`, `LONGEST`).
    """
    try:
        seconds = 60 + path.stat().st_size / 5e6  # it is read once, perhaps from a slow disk
    except OSError as error:
        raise VideoError(Status.UNUSABLE, f"not a readable media file: {error.strerror}") from None
    facts: dict[str, Any] = call_isolated(_facts, path, seconds=seconds, memory=PROBE_MEMORY)
    return facts


def _facts(path: str) -> dict[str, Any]:
    import av

    with open_media(path) as container:
        video, sound = picture_stream(container), next(iter(container.streams.audio), None)
        stream = video or sound
        if stream is None:
            raise VideoError(Status.UNUSABLE, "neither pictures nor sound that can be opened")
        if container.duration is not None:
            duration = container.duration / av.time_base
        else:
            duration = float(stream.duration * stream.time_base) if stream.duration and stream.time_base else 0.0
        if duration > LONGEST:
            raise VideoError(
                Status.UNUSABLE, f"it says that it lasts {duration / 3600:.1f} h; more than 12 h are refused"
            )
        return {
            "duration": max(duration, 0.0),
            "width": video.codec_context.width if video else 0,
            "height": video.codec_context.height if video else 0,
            "has_audio": sound is not None,
            "has_video": video is not None,
            **(_picture_facts(container, video) if video else {}),
        }


def _picture_facts(container: "av.container.InputContainer", video: "av.VideoStream") -> dict[str, Any]:
    import av
    from av.format import Flags

    width, height = video.codec_context.width, video.codec_context.height
    if width * height > MAX_PIXELS:
        raise VideoError(
            Status.UNUSABLE,
            f"pictures of {width}x{height} pixels; more than {MAX_PIXELS / 1e6:.0f} million are refused",
        )
    late = 0.0
    # ffmpeg takes the first picture for time zero in formats whose clocks may jump: MPEG's transport and program streams.
    jumps: Any = Flags.ts_discont.value  # an int, whatever PyAV's types say
    begin, zero = video.start_time, container.start_time
    if container.format.flags & jumps and begin is not None and zero is not None and video.time_base:
        late = float(begin * video.time_base) - zero / av.time_base
    promised = 0.0
    if container.format.name == "avi" and video.frames and video.average_rate:
        promised = float(video.frames / video.average_rate)
    rate, gap = _rhythm(container, video)
    if rate > MAX_RATE:
        raise VideoError(Status.UNUSABLE, f"{rate:.0f} pictures a second; more than {MAX_RATE} are refused")
    interlaced = video.codec_context.field_order > 1
    return {"late": max(late, 0.0), "interlaced": interlaced, "promised": promised, "gap": gap}


def _rhythm(container: "av.container.InputContainer", video: "av.VideoStream") -> tuple[float, float]:
    """Pictures a second, and the longest time (seconds) between two of them; counted, for what files say is often wrong."""
    import av

    first: float | None = None
    count, last, gap = 0, 0.0, 0.0
    try:
        for packet in packets(container, video):
            stamp = packet.dts if packet.pts is None else packet.pts
            if not packet.size or stamp is None:
                continue
            time = float(stamp * packet.time_base)
            if first is None:
                first = last = time
            count, gap, last = count + 1, max(gap, time - last), max(last, time)
    except av.FFmpegError:  # it breaks off here
        pass
    return count / max(last - (first or 0.0), 1.0), gap
