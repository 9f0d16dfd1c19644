"""Opening what strangers made: probing media, hearing their sound, finding ffmpeg.

A downloaded file may be cut off, mislabelled or hostile: a playlist named `.mp4` would have the demuxer read other
files of this machine, or call a server; a kilobyte can ask for gigabytes. So every file is opened by the `file:`
protocol alone and as one of the containers that videos come in; playlists, concatenation scripts and the like are
refused. Pictures are looked at in processes of their own, with bounds of time and memory (`run_bounded`). What cannot be
opened is a `VideoError`.

Time zero is the start of the container, for sound as for pictures: a sound track that begins late is preceded by
silence, so that the seconds of a sentence and the seconds of a clip are the same seconds.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, cast

from videobert.errors import Status, VideoError

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


def audio(path: Path, seconds: int) -> "Iterator[tuple[int, npt.NDArray[np.float32]]]":
    """The first sound track, mono, 16 kHz, in windows of about `seconds`; of a broken track, what decodes.

    Yields (place of the first sample, counted from the container's start; float32 [samples] in [-1, 1]). A window begins
    where the one before it ended, unless the track has a hole longer than a window: only one is in memory at a time.

    Raises VideoError("no_audio") when there is no track or nothing of it decodes, VideoError("unusable") when the file does not
    open; both before the first window.
    """
    import av
    import numpy as np

    with open_media(path) as container:
        if not container.streams.audio:
            raise VideoError(Status.NO_AUDIO, "no sound stream")
        start, longest = (container.start_time or 0) / av.time_base, (container.duration or 0) / av.time_base
        # 16 bits, as Whisper's own loader has it: mixing down to floats would leave stereo 3 dB too loud.
        resampler = av.AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE)
        window: list[npt.NDArray[np.int16]] = []
        begin, position, length, heard = 0, 0, seconds * SAMPLE_RATE, False
        for frame in _decode(packets(container, container.streams.audio[0])):
            # A late start or lost packets become silence; jitter does not, nor do timestamps beyond the file's end.
            due = round(min((frame.time or 0.0) - start, longest) * SAMPLE_RATE)
            hole = due - position > length
            if window and (hole or position - begin >= length):
                yield begin, _floats(window)
                window, begin = [], position
            if hole:
                begin = position = due
            elif due - position > SAMPLE_RATE // 10:
                window.append(np.zeros(due - position, np.int16))
                position = due
            for sound in resampler.resample(frame):
                window.append(sound.to_ndarray()[0])
                position += sound.samples
                heard = True
        if not heard:
            raise VideoError(Status.NO_AUDIO, "nothing of the sound stream decodes")
        yield begin, _floats(window + [sound.to_ndarray()[0] for sound in resampler.resample(None)])


def _floats(pieces: "list[npt.NDArray[np.int16]]") -> "npt.NDArray[np.float32]":
    import numpy as np

    return np.concatenate(pieces or [np.empty(0, np.int16)]).astype(np.float32) / np.float32(32768)


def _decode(packets: "Iterator[av.Packet[av.AudioStream]]") -> "Iterator[av.AudioFrame]":
    """The frames of all packets that decode, up to where the file breaks off."""
    import av

    try:
        for packet in packets:
            try:
                yield from packet.decode()
            except av.error.InvalidDataError:
                continue
    except av.FFmpegError:
        return


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
    """The first stream of moving pictures; a cover picture in a sound file is none."""
    from av.stream import Disposition

    streams = (stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic)
    return next((stream for stream in streams if stream.codec_context and stream.codec_context.width), None)


def open_media(path: str | Path) -> "av.container.InputContainer":
    """A file as one of the `CONTAINERS`, and nothing that it points at. Raises VideoError("unusable")."""
    import av

    try:
        options = {"max_pixels": str(MAX_PIXELS)}
        return av.open(f"file:{path}", options=options, container_options=SAFE, metadata_errors="replace")
    except av.FFmpegError as error:
        raise VideoError(Status.UNUSABLE, f"not a readable media file: {error.strerror}") from None
