"""Opening what strangers made: probing media, hearing their sound, finding ffmpeg.

A downloaded file may be cut off, mislabelled or hostile: a playlist named `.mp4` would have the demuxer read other
files of this machine, or call a server; a kilobyte can ask for gigabytes. So every file is opened by the `file:`
protocol alone and as one of the containers that videos come in; playlists, concatenation scripts and the like are
refused. Pictures are looked at in processes of their own, with bounds of time and memory (`guarded`). What cannot be
opened is a `Loss`.

Time zero is the start of the container, for sound as for pictures: a sound track that begins late is preceded by
silence, so that the seconds of a sentence and the seconds of a clip are the same seconds.
"""

import importlib
import json
import os
import shutil
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from signal import Signals
from typing import TYPE_CHECKING, Any

from videobert.errors import Loss

if TYPE_CHECKING:
    import av
    import av.container
    import av.stream
    import numpy as np

# The demuxers that may open a stranger's file, by libavformat's names; no playlists (hls, concat), no image sequences.
CONTAINERS = "mov,mp4,matroska,webm,avi,mpegts,mpeg,mpegvideo,flv,asf,ogg,wav,mp3,aac,flac"
SAFE = {"protocol_whitelist": "file", "format_whitelist": CONTAINERS}
SAMPLE_RATE = 16_000

# Bounds of what a stranger may ask for. The largest picture is 8K; the longest video is the longest that YouTube takes.
MAX_PIXELS = 8192 * 4608
MAX_RATE = 1000  # pictures a second
LONGEST = 12 * 3600  # seconds
# Bytes of address space to probe a file in: an index of 12 hours takes a fifth of them.
PROBE_MEMORY = 1 << 30
# The same to decode it in: 8K with all the pictures that H.264 may refer to takes 1.2 GB.
DECODE_MEMORY = 2 << 30


def ffmpeg_binary() -> str:
    """The system's ffmpeg when there is one, else the one that comes with imageio-ffmpeg."""
    if system := shutil.which("ffmpeg"):
        return system
    import imageio_ffmpeg

    return imageio_ffmpeg.get_ffmpeg_exe()


def ffmpeg_version() -> str:
    """The version of `ffmpeg_binary`, which shapes what it encodes."""
    said = subprocess.run([ffmpeg_binary(), "-version"], capture_output=True, text=True, check=True).stdout
    return said.split()[2]  # "ffmpeg version N ..."


def probe(path: Path) -> dict[str, Any]:
    """What a media file holds.

    Returns `duration` in seconds (0.0 when the file does not say), `width` and `height` in pixels (0 without pictures),
    `has_audio`, `has_video`; and of the pictures `late`, the seconds from the container's start to the first where a
    demuxer hides them (see `frames`), `interlaced`, `promised`, the seconds that an index counts (0.0 without one), and
    `gap`, about the longest time without a new picture, in seconds.

    Raises Loss("unusable") when it is no media file, holds neither pictures nor sound, or asks for more than a video
    needs (`MAX_PIXELS`, `MAX_RATE`, `LONGEST`).
    """
    try:
        seconds = 60 + path.stat().st_size / 5e6  # it is read once, perhaps from a slow disk
    except OSError as error:
        raise Loss("unusable", f"not a readable media file: {error.strerror}") from None
    return apart(_facts, path, seconds=seconds, memory=PROBE_MEMORY)


def _facts(path: str) -> dict[str, Any]:
    import av

    with open_media(path) as container:
        video, sound = picture_stream(container), next(iter(container.streams.audio), None)
        if video is None and sound is None:
            raise Loss("unusable", "neither pictures nor sound that can be opened")
        if container.duration is not None:
            duration = container.duration / av.time_base
        else:
            stream = video or sound
            duration = float(stream.duration * stream.time_base) if stream.duration else 0.0
        if duration > LONGEST:
            raise Loss("unusable", f"it says that it lasts {duration / 3600:.1f} h; more than 12 h are refused")
        return {
            "duration": max(duration, 0.0),
            "width": video.codec_context.width if video else 0,
            "height": video.codec_context.height if video else 0,
            "has_audio": sound is not None,
            "has_video": video is not None,
            **(_picture_facts(container, video) if video else {}),
        }


def _picture_facts(container: "av.container.InputContainer", video: "av.stream.Stream") -> dict[str, Any]:
    import av
    from av.format import Flags

    width, height = video.codec_context.width, video.codec_context.height
    if width * height > MAX_PIXELS:
        raise Loss(
            "unusable", f"pictures of {width}x{height} pixels; more than {MAX_PIXELS / 1e6:.0f} million are refused"
        )
    late = 0.0
    # ffmpeg takes the first picture for time zero in formats whose clocks may jump: MPEG's transport and program streams.
    if container.format.flags & Flags.ts_discont.value and None not in (video.start_time, container.start_time):
        late = float(video.start_time * video.time_base) - container.start_time / av.time_base
    promised = 0.0
    if container.format.name == "avi" and video.frames and video.average_rate:
        promised = float(video.frames / video.average_rate)
    rate, gap = _rhythm(container, video)
    if rate > MAX_RATE:
        raise Loss("unusable", f"{rate:.0f} pictures a second; more than {MAX_RATE} are refused")
    interlaced = video.codec_context.field_order > 1
    return {"late": max(late, 0.0), "interlaced": interlaced, "promised": promised, "gap": gap}


def _rhythm(container: "av.container.InputContainer", video: "av.stream.Stream") -> tuple[float, float]:
    """Pictures a second, and the longest time (seconds) between two of them; counted, for what files say is often wrong."""
    import av

    count, first, last, gap = 0, None, 0.0, 0.0
    try:
        for packet in container.demux(video):
            time = packet.dts if packet.pts is None else packet.pts
            if not packet.size or time is None:
                continue
            time = float(time * packet.time_base)
            if first is None:
                first = last = time
            count, gap, last = count + 1, max(gap, time - last), max(last, time)
    except av.FFmpegError:  # it breaks off here
        pass
    return count / max(last - (first or 0.0), 1.0), gap


def apart(function: Callable[..., Any], path: Path, *arguments: Any, seconds: float, memory: int) -> Any:
    """What a function of this package says of a stranger's file, called in a process of its own, as in `guarded`.

    Its arguments (the path first, as text) and its result are such as JSON knows.

    Raises the Loss that it raises, and Loss("unusable") when it crashes or breaks a bound.
    """
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(folder or os.getcwd() for folder in sys.path)}
    program = "import sys; from videobert.media import _answer; _answer(*sys.argv[1:])"
    call = [function.__module__, function.__qualname__, json.dumps([str(path), *arguments])]
    code, said = guarded([sys.executable, "-c", program, *call], seconds, memory, environment)
    if code < 0:
        raise Loss("unusable", f"not a readable media file: the demuxer ended by {Signals(-code).name}")
    if code:
        raise RuntimeError("\n".join(said))
    answer = json.loads(said[-1])
    if "loss" in answer:
        raise Loss(*answer["loss"])
    return answer["result"]


def _answer(module: str, function: str, arguments: str) -> None:
    """`apart`, from within: prints what the function gives, or why it gives nothing."""
    try:
        answer = {"result": getattr(importlib.import_module(module), function)(*json.loads(arguments))}
    except Loss as loss:
        answer = {"loss": [loss.status, loss.reason]}
    except MemoryError:
        answer = {"loss": ["unusable", "not a readable media file: it asks for too much memory"]}
    print(json.dumps(answer))


def guarded(
    command: list[str], seconds: float, memory: int, environment: dict[str, str] | None = None
) -> tuple[int, list[str]]:
    """Runs a program on a stranger's file, with bounds of time and of memory (bytes of address space).

    Returns its exit code (negative: the signal that ended it) and what it said: of endless complaints just the first
    and the last lines.

    Raises Loss("unusable") when it takes longer than `seconds`.
    """
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    with subprocess.Popen(command, env=environment, **pipes) as process:
        _bound_memory(process.pid, memory)
        clock = threading.Timer(seconds, process.kill)
        clock.start()
        try:
            said = [*islice(process.stdout, 25), *deque(process.stdout, maxlen=25)]
            process.wait()
        except BaseException:
            process.kill()
            raise
        finally:
            late = not clock.is_alive()
            clock.cancel()
    if late and process.returncode < 0:
        raise Loss("unusable", f"it was not done with after {seconds:.0f} s")
    return process.returncode, [line.decode(errors="replace").rstrip() for line in said]


def _bound_memory(process: int, memory: int) -> None:
    """Where the system can (Linux), bounds the address space of a process that was just started."""
    import resource

    if not hasattr(resource, "prlimit"):
        return
    try:
        _, hard = resource.prlimit(process, resource.RLIMIT_AS)
        soft = memory if hard == resource.RLIM_INFINITY else min(memory, hard)
        resource.prlimit(process, resource.RLIMIT_AS, (soft, hard))
    except ProcessLookupError:  # it is done already
        return


def audio(path: Path, seconds: int) -> "Iterator[tuple[int, np.ndarray]]":
    """The first sound track, mono, 16 kHz, in windows of about `seconds`; of a broken track, what decodes.

    Yields (place of the first sample, counted from the container's start; float32 [samples] in [-1, 1]). A window begins
    where the one before it ended, unless the track has a hole longer than a window: only one is in memory at a time.

    Raises Loss("no_audio") when there is no track or nothing of it decodes, Loss("unusable") when the file does not
    open; both before the first window.
    """
    import av
    import numpy as np

    with open_media(path) as container:
        if not container.streams.audio:
            raise Loss("no_audio", "no sound stream")
        start, longest = (container.start_time or 0) / av.time_base, (container.duration or 0) / av.time_base
        # 16 bits, as Whisper's own loader has it: mixing down to floats would leave stereo 3 dB too loud.
        resampler = av.AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE)
        window: list[np.ndarray] = []
        begin, position, length, heard = 0, 0, seconds * SAMPLE_RATE, False
        for frame in _decode(container.demux(audio=0)):
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
            raise Loss("no_audio", "nothing of the sound stream decodes")
        yield begin, _floats(window + [sound.to_ndarray()[0] for sound in resampler.resample(None)])


def _floats(pieces: "list[np.ndarray]") -> "np.ndarray":
    import numpy as np

    return np.concatenate(pieces or [np.empty(0, np.int16)]).astype(np.float32) / 32768


def _decode(packets: "Iterator[av.Packet]") -> "Iterator[av.AudioFrame]":
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


def count_frames(path: Path) -> int:
    """The number of pictures in a video file of ours, without decoding it. Raises Loss("unusable")."""
    with open_media(path) as container:
        return sum(packet.size > 0 for packet in container.demux(video=0)) if container.streams.video else 0


def pictures(path: Path) -> "Iterator[np.ndarray]":
    """The pictures of a video of ours, uint8 [height, width, 3], RGB, one after the other."""
    with open_media(path) as container:
        container.streams.video[0].thread_type = "NONE"
        for frame in container.decode(video=0):
            yield frame.to_ndarray(format="rgb24")


def picture_stream(container: "av.container.InputContainer") -> "av.stream.Stream | None":
    """The first stream of moving pictures; a cover picture in a sound file is none."""
    from av.stream import Disposition

    streams = (stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic)
    return next((stream for stream in streams if stream.codec_context and stream.codec_context.width), None)


def open_media(path: str | Path) -> "av.container.InputContainer":
    """A file as one of the `CONTAINERS`, and nothing that it points at. Raises Loss("unusable")."""
    import av

    try:
        options = {"max_pixels": str(MAX_PIXELS)}
        return av.open(f"file:{path}", options=options, container_options=SAFE, metadata_errors="replace")
    except av.FFmpegError as error:
        raise Loss("unusable", f"not a readable media file: {error.strerror}") from None
