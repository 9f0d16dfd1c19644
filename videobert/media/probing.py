"""What a media file holds: duration, size, streams, and facts that decoding needs."""

import json
from collections.abc import Iterator
from itertools import chain, pairwise
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, Any, NamedTuple

from videobert.errors import Status, VideoError
from videobert.machine import raise_machine_fault
from videobert.media.bounded import call_isolated
from videobert.media.decoding import (
    LEAP,
    LONGEST,
    MAX_PIXELS,
    SET_BACK,
    is_damaged,
    is_set_anew,
    open_media,
    packets,
    picture_stream,
)

if TYPE_CHECKING:
    import av
    import av.container
    import av.stream


MAX_RATE = 1000  # pictures a second


JITTER = 0.1  # seconds back that are no leap of a clock; ffmpeg's own bound, as SET_BACK is


# Bytes of address space to probe a file in: an index of 12 hours takes a fifth of them.
PROBE_MEMORY = 1 << 30


def probe(path: Path) -> dict[str, Any]:
    """What a media file holds.

    Returns `duration` in seconds (counted where the file does not say it; 0.0 where nothing in it has a time), `width` and
    `height` in pixels (0 without pictures), `has_audio`, `has_video`; and of the pictures `stream`, their place among all
    streams, `late`, the seconds from the container's start to the first where a demuxer hides them (see normalising.py),
    `interlaced`, `promised`, the seconds that an index counts (0.0 without one), `gap`, about the longest time without a new
    picture, in seconds, and `as_stamped`, whether ffmpeg must be kept from correcting their times.

    Raises VideoError("unusable") when it is no media file, holds neither pictures nor sound, or asks for more than a video
    needs (`MAX_PIXELS`, `MAX_RATE`, `LONGEST`).
    """
    try:
        seconds = 60 + path.stat().st_size / 5e6  # it is read once or twice, perhaps from a slow disk
    except OSError as error:
        raise_machine_fault(error)
        raise VideoError(Status.UNUSABLE, f"not a readable media file: {error.strerror}") from None
    facts: dict[str, Any] = call_isolated(_facts, path, seconds=seconds, memory=PROBE_MEMORY)
    return facts


def total_duration(paths: list[Path], enough: float) -> float | None:
    """What the files say of their lengths (seconds), summed up until it is `enough`; a file that says nothing counts as none.

    None when it cannot be told: a file crashes the demuxer, or they take too long to open.
    """
    with NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as file:  # a command takes 128 KB of a list
        json.dump([str(path) for path in paths], file)
        file.flush()
        try:
            total: float = call_isolated(_total_duration, Path(file.name), enough, seconds=60, memory=PROBE_MEMORY)
        except VideoError:
            return None
    return total


def _total_duration(listed: str, enough: float) -> float:
    import av

    total = 0.0
    for path in json.loads(Path(listed).read_text(encoding="utf-8")):
        if total >= enough:
            break
        try:
            with open_media(path) as container:
                total += min(max((container.duration or 0) / av.time_base, 0.0), LONGEST)
        except VideoError:
            continue
    return total


def _facts(path: str) -> dict[str, Any]:
    with open_media(path) as container:
        video, sound = picture_stream(container), next(iter(container.streams.audio), None)
        stream = video or sound
        if stream is None:
            raise VideoError(Status.UNUSABLE, "neither pictures nor sound that can be opened")
        duration = _duration(path, container, stream)
        width, height = _size(path, video) if video else (0, 0)
        facts = {"duration": duration, "width": width, "height": height, "has_audio": sound is not None}
        if video is None or not width:
            return facts | {"has_video": False}
        return facts | {"has_video": True} | _picture_facts(path, container, video, duration)


def _duration(path: str, container: "av.container.InputContainer", stream: "av.stream.Stream") -> float:
    """Seconds, as the file says it, else counted: it may have been recorded live."""
    import av

    if container.duration is not None:
        duration = container.duration / av.time_base
    elif stream.duration and stream.time_base:
        duration = float(stream.duration * stream.time_base)
    else:
        duration = _count_seconds(path)
        if duration > LONGEST:
            raise VideoError(Status.UNUSABLE, f"it lasts more than {LONGEST // 3600} h")
    if duration > LONGEST:
        raise VideoError(Status.UNUSABLE, f"it says that it lasts {duration / 3600:.1f} h; more than 12 h are refused")
    return max(duration, 0.0)


def _count_seconds(path: str) -> float:
    """The seconds from the container's start to the end of the last packet; 0.0 when none has a time."""
    import av

    with open_media(path) as container:
        start, end = (container.start_time or 0) / av.time_base, 0.0
        for packet in _whole_packets(container, *container.streams.video, *container.streams.audio):
            if packet.pts is not None:
                end = max(end, float((packet.pts + (packet.duration or 0)) * packet.time_base) - start)
    return end


def _size(path: str, video: "av.VideoStream") -> tuple[int, int]:
    """Width and height, those of the first picture where the file does not say them; (0, 0) when none decodes."""
    width, height = video.codec_context.width, video.codec_context.height
    if not width:
        width, height = _decoded_size(path, video.index)
    if width * height > MAX_PIXELS:
        raise VideoError(
            Status.UNUSABLE,
            f"pictures of {width}x{height} pixels; more than {MAX_PIXELS / 1e6:.0f} million are refused",
        )
    return width, height


def _decoded_size(path: str, index: int) -> tuple[int, int]:
    import av

    with open_media(path) as container:
        for packet in _whole_packets(container, container.streams[index]):
            try:
                for frame in packet.decode():
                    return frame.width, frame.height
            except av.FFmpegError:
                continue
    return 0, 0


def _picture_facts(
    path: str, container: "av.container.InputContainer", video: "av.VideoStream", duration: float
) -> dict[str, Any]:
    from av.format import Flags

    promised = 0.0
    if container.format.name == "avi" and video.frames and video.average_rate:
        promised = float(video.frames / video.average_rate)
    rhythm = _rhythm(container, video)
    seconds, late, as_stamped = rhythm.seconds, 0.0, False
    jumps: Any = Flags.ts_discont.value  # an int, whatever PyAV's types say
    if container.format.flags & jumps:  # the clocks of MPEG's transport and program streams may
        late = _lateness(container, video, rhythm)
        clock = _clock(path, video.index)
        # ffmpeg has a picture follow upon the one before where its time is another. So it must be when the clock was set anew;
        # then what the file says of its duration is that of the last piece.
        as_stamped = clock.leaps and not clock.set_anew
        seconds, duration = max(seconds, clock.end), max(duration, clock.end if clock.set_anew else 0.0)
    rate = rhythm.number / max(seconds, 1.0)
    if rate > MAX_RATE:
        raise VideoError(Status.UNUSABLE, f"{rate:.0f} pictures a second; more than {MAX_RATE} are refused")
    return {
        "duration": duration,
        "stream": video.index,
        "late": late,
        "interlaced": video.codec_context.field_order > 1,
        "promised": promised,
        "gap": rhythm.gap,
        "as_stamped": as_stamped,
    }


def _lateness(container: "av.container.InputContainer", video: "av.VideoStream", rhythm: "_Rhythm") -> float:
    """Seconds from the container's start to the first picture, which ffmpeg takes for time zero when its clock may jump."""
    import av

    if container.start_time is None or video.start_time is None or not video.time_base:
        return 0.0
    begin = float(video.start_time * video.time_base)
    if (
        rhythm.first - begin > LEAP
    ):  # so late that libavformat had not met one yet, and took the container's start for it
        begin = rhythm.first
    return max(begin - container.start_time / av.time_base, 0.0)


class _Rhythm(NamedTuple):
    """Pictures, counted, for what files say is often wrong: how many, the first's time, how many seconds from it to the last,
    and the longest time between two."""

    number: int
    first: float
    seconds: float
    gap: float


def _rhythm(container: "av.container.InputContainer", video: "av.VideoStream") -> _Rhythm:
    first: float | None = None
    count, last, gap = 0, 0.0, 0.0
    for packet in _whole_packets(container, video):
        stamp = packet.dts if packet.pts is None else packet.pts
        if not packet.size or stamp is None:
            continue
        time = float(stamp * packet.time_base)
        if first is None:
            first = last = time
        count, gap, last = count + 1, max(gap, time - last), max(last, time)
    return _Rhythm(count, first or 0.0, last - (first or 0.0), gap)


class _Clock(NamedTuple):
    """The clock of pictures: when they end, in seconds from the first, with all recordings on one clock; whether it was set
    anew; and whether it leaps back as where pieces overlap, or over a hole."""

    end: float
    set_anew: bool
    leaps: bool


def _clock(path: str, index: int) -> _Clock:
    ahead = end = 0.0
    set_anew = leaps = False
    with open_media(path) as container:
        for now, following in pairwise(chain(_decoding_times(container, index), [None])):
            assert now is not None  # the None comes last
            if following is not None and is_damaged(now, end - ahead, following):
                continue
            if is_set_anew(now, end - ahead, set_anew):
                ahead, set_anew = end - now, True
            leaps |= not -JITTER <= now + ahead - end <= SET_BACK
            end = max(end, now + ahead)
    return _Clock(end, set_anew, leaps)


def _decoding_times(container: "av.container.InputContainer", index: int) -> Iterator[float]:
    """When the pictures are to be decoded, in seconds from the first: these times rise, those of showing need not."""
    first: float | None = None
    for packet in _whole_packets(container, container.streams[index]):
        if packet.dts is not None:
            time = float(packet.dts * packet.time_base)
            first = time if first is None else first
            yield time - first


def _whole_packets(
    container: "av.container.InputContainer", *streams: "av.stream.Stream"
) -> "Iterator[av.Packet[Any]]":
    """The packets of these streams, up to where the file breaks off."""
    import av

    try:
        yield from packets(container, *streams)
    except av.FFmpegError as error:
        raise_machine_fault(error)
