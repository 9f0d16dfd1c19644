"""Opening what strangers made, and the pictures of our own videos.

A downloaded file may be cut off, mislabelled or hostile: a playlist named `.mp4` would have the demuxer read other
files of this machine, or call a server; a kilobyte can ask for gigabytes. So every file is opened by the `file:`
protocol alone and as one of the containers that videos come in; playlists, concatenation scripts and the like are
refused. Pictures are looked at in processes of their own, with bounds of time and memory (`run_bounded`). What cannot be
opened is a `VideoError`.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, cast

from videobert.errors import Status, VideoError
from videobert.machine import raise_machine_fault

if TYPE_CHECKING:
    import av
    import av.container
    import av.stream
    import numpy as np
    import numpy.typing as npt
    from PIL import Image

    AnyStream = TypeVar("AnyStream", bound=av.stream.Stream)

# The demuxers that may open a stranger's file, by libavformat's names; no playlists (hls, concat), no image sequences.
CONTAINERS = "mov,mp4,matroska,webm,avi,mpegts,mpeg,mpegvideo,flv,asf,ogg,wav,mp3,aac,flac"
SAFE = {"protocol_whitelist": "file", "format_whitelist": CONTAINERS}
SAMPLE_RATE = 16_000

# Bounds of what a stranger may ask for. The largest picture is 8K; the longest video is the longest that YouTube takes.
MAX_PIXELS = 8192 * 4608
LONGEST = 12 * 3600  # seconds
# The same to decode it in: 8K with all the pictures that H.264 may refer to takes 1.2 GB.
DECODE_MEMORY = 2 << 30
# Of a clock: seconds off from which on a stamp is no jitter, and seconds back from which on it was set anew (ffmpeg's bound).
LEAP, SET_BACK = 1.0, 10.0


def is_damaged(now: float, before: float, following: float) -> bool:
    """Whether a time stamp (all in seconds) leaps from where its stream was before, and the one after it takes that back."""
    return abs(now - before) > LEAP and abs(following - before) < abs(following - now)


def is_set_anew(now: float, before: float, already: bool) -> bool:
    """Whether a clock that said `before` and now says `now` (seconds from the file's start) was set anew.

    So it is where recordings were joined: their times follow upon each other. A smaller step back repeats what was there, as
    where pieces of one recording overlap; and one forward is a hole. In a file where it was set anew `already`, every leap is
    another recording.
    """
    step = now - before
    if already:
        return step < -LEAP or step > SET_BACK
    return step < (-LEAP / 2 if now < LEAP / 2 else -SET_BACK)


def packets(container: "av.container.InputContainer", *streams: "AnyStream") -> "Iterator[av.Packet[AnyStream]]":
    """The packets of these streams of a stranger's file, and an empty one of each at its end, which empties a decoder.

    Raises av.FFmpegError where the file breaks off.
    """
    while True:
        try:
            yield from cast("Iterator[av.Packet[AnyStream]]", container.demux(*streams))
            return
        except IndexError:
            # PyAV does not know the streams that a file begins late; this was a packet of one of them.
            continue


def count_frames(path: Path) -> int:
    """The number of pictures in a video file of ours, without decoding it. Raises VideoError("unusable")."""
    with open_media(path) as container:
        return sum(packet.size > 0 for packet in container.demux(video=0)) if container.streams.video else 0


def pictures(path: Path) -> "Iterator[npt.NDArray[np.uint8]]":
    """The pictures of a video of ours, uint8 [height, width, 3], RGB, one after the other."""
    from av.codec.context import ThreadType

    with open_media(path) as container:
        container.streams.video[0].thread_type = ThreadType.NONE
        for frame in container.decode(video=0):
            yield cast("npt.NDArray[np.uint8]", frame.to_ndarray(format="rgb24"))


def pictures_at(path: str | Path, seconds: list[float]) -> "list[Image.Image]":
    """The pictures that a video of ours shows at these seconds, as PIL images. Raises VideoError("unusable")."""
    import av

    try:
        with open_media(path) as container:
            return [_picture_at(container, second).to_image() for second in seconds]
    except (av.FFmpegError, OSError, IndexError, EOFError) as error:
        raise_machine_fault(error)
        raise VideoError(Status.UNUSABLE, f"not readable: {error}") from None


def _picture_at(container: "av.container.InputContainer", second: float) -> "av.VideoFrame":
    """The picture shown at `second`: from the key frame before it on, the last that has begun."""
    stream = container.streams.video[0]
    assert stream.time_base  # the demuxer sees to it
    container.seek(max(0, int(second / stream.time_base)), stream=stream)
    current: av.VideoFrame | None = None
    for frame in container.decode(stream):
        if current is not None and frame.time > second:
            break
        current = frame
    if current is None:
        raise EOFError("no picture from there on")
    return current


def picture_stream(container: "av.container.InputContainer") -> "av.VideoStream | None":
    """The stream of moving pictures to show: of those that a decoder knows one whose size is known, and of these the default.

    A cover picture in a sound file is none. A size is not known at first when the pictures begin late.
    """
    from av.stream import Disposition

    def rank(stream: "av.VideoStream") -> tuple[bool, bool]:
        return not stream.codec_context.width, not stream.disposition & Disposition.default

    known = [stream for stream in container.streams.video if stream.codec_context]
    return min(
        (stream for stream in known if not stream.disposition & Disposition.attached_pic), key=rank, default=None
    )


def open_media(path: str | Path) -> "av.container.InputContainer":
    """A file as one of the `CONTAINERS`, and nothing that it points at. Raises VideoError("unusable")."""
    import av

    try:
        options = {"max_pixels": str(MAX_PIXELS)}
        return av.open(f"file:{path}", options=options, container_options=SAFE, metadata_errors="replace")
    except av.FFmpegError as error:
        raise_machine_fault(error)
        raise VideoError(Status.UNUSABLE, f"not a readable media file: {error.strerror}") from None
