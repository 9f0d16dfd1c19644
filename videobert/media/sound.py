"""The sound of a stranger's file: which of its streams is heard, and when each sample of it was.

Time zero is the start of the container, for sound as for pictures, so that the seconds of a sentence and the seconds of a
clip are the same seconds. Sound stands where its own time stamps put it: a late start and lost packets become silence, what
is there twice is heard once, and a clock that runs too fast or too slow is followed, by libswresample. Two kinds of stamps
are not believed: one that the next contradicts, and those after a clock was set back, as where two recordings were joined;
there the sound goes on.
"""

from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import chain, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from videobert.errors import Status, VideoError
from videobert.machine import raise_machine_fault
from videobert.media.decoding import SAMPLE_RATE, is_damaged, is_set_anew, open_media, packets
from videobert.media.languages import language_code

if TYPE_CHECKING:
    import av
    import av.container
    import numpy as np
    import numpy.typing as npt

    Samples = npt.NDArray[np.int16]  # mono, 16 kHz

# Less than `min_comp` seconds off is jitter, more is followed by stretching, and more than `min_hard_comp` by silence or a
# cut. `first_pts` has a late start filled, too. The rest is for how long, and how much (a tenth), sound may be stretched.
PLACING = "min_comp=0.02:min_hard_comp=0.045:comp_duration=0.5:max_soft_comp=0.1:first_pts=0"

LONGEST_BURST = 100  # frames: some seconds, that a track without stamps is not held in memory


class SoundStream(NamedTuple):
    """The sound stream of a file that is heard: its number among them, from 1; how many there are; its language's tag."""

    number: int
    of: int
    language: str


def choose_stream(path: Path, language: str) -> SoundStream:
    """The sound stream to hear: of those that decode one in this language, if tags tell, and of these the default one.

    Args:
        language: a code of two letters, or auto, for which tags do not matter.

    Raises VideoError("no_audio") when there is no sound stream or nothing of any decodes, VideoError("unusable") when the
    file does not open.
    """
    with open_media(path) as container:
        streams = list(container.streams.audio)
        tags = [stream.language or "" for stream in streams]
        order = sorted(range(len(streams)), key=lambda number: _rank(streams[number], language))
    if not streams:
        raise VideoError(Status.NO_AUDIO, "no sound stream")
    for number in order:
        if _decodes(path, number):
            return SoundStream(number + 1, len(streams), tags[number])
    which = "the sound stream" if len(streams) == 1 else f"the {len(streams)} sound streams"
    raise VideoError(Status.NO_AUDIO, f"nothing of {which} decodes")


def _rank(stream: "av.AudioStream", wanted: str) -> tuple[int, bool]:
    """Smaller is better; equal ones stay in the order of the file."""
    from av.stream import Disposition

    spoken = language_code(stream.language or "")
    fit = 0 if wanted in ("auto", spoken) else 1 if not spoken else 2
    return fit, not stream.disposition & Disposition.default


def _decodes(path: Path, number: int) -> bool:
    with open_media(path) as container:
        return any(frame.samples for frame in _frames(container, number))


def audio(path: Path, seconds: int, stream: SoundStream) -> "Iterator[tuple[int, npt.NDArray[np.float32]]]":
    """A sound track, mono, 16 kHz, in windows of about `seconds`; of a broken track, what decodes.

    Yields (place of the first sample, counted from the container's start; float32 [samples] in [-1, 1]). A window begins
    where the one before it ended, unless the track has a hole longer than a window: only one is in memory at a time.

    Raises VideoError("no_audio") when nothing of it decodes or can be mixed, VideoError("unusable") when the file does not
    open; both before the first window.
    """
    import av

    with open_media(path) as container:
        start = (container.start_time or 0) / av.time_base
        bursts = _on_one_clock(_believed(_bursts(_frames(container, stream.number - 1)), start), start)
        window: list[Samples] = []
        begin = position = 0
        for place, sound in _placed(bursts, seconds):
            if window and (place != position or position - begin >= seconds * SAMPLE_RATE):
                yield begin, _floats(window)
                window = []
            if not window:
                begin = place
            window.append(sound)
            position = place + len(sound)
        if not window:
            raise VideoError(Status.NO_AUDIO, "nothing of the sound stream decodes")
        yield begin, _floats(window)


def _floats(pieces: "list[Samples]") -> "npt.NDArray[np.float32]":
    import numpy as np

    return np.concatenate(pieces).astype(np.float32) / np.float32(32768)


# --- what decodes ---


def _frames(container: "av.container.InputContainer", number: int) -> "Iterator[av.AudioFrame]":
    """The frames of all packets of a sound stream that decode, up to where the file breaks off."""
    import av
    from av.container.core import Flags

    stream = container.streams.audio[number]
    if stream.codec_context is None:  # no decoder knows it
        return
    if container.format.name in ("mpegts", "mpeg"):
        # Only the first frame of these formats' larger packets has a stamp. libavformat counts up those of the others, by
        # the rate that the stream had at first; ours go on where the sound is.
        container.flags |= cast(int, Flags.no_fillin.value)
    try:
        for packet in packets(container, stream):
            try:
                yield from packet.decode()
            except av.error.InvalidDataError:
                continue
    except av.FFmpegError as error:
        raise_machine_fault(error)


# --- when ---


class _Burst(NamedTuple):
    """A frame with a stamp (seconds; None when it has none that can be believed), and those after it that have none."""

    time: float | None
    frames: "list[av.AudioFrame]"

    @property
    def length(self) -> float:
        return sum(frame.samples / frame.sample_rate for frame in self.frames)


def _bursts(frames: "Iterable[av.AudioFrame]") -> Iterator[_Burst]:
    burst: list[av.AudioFrame] = []
    for frame in frames:
        if burst and (frame.time is not None or len(burst) == LONGEST_BURST):
            yield _Burst(burst[0].time, burst)
            burst = []
        burst.append(frame)
    if burst:
        yield _Burst(burst[0].time, burst)


def _believed(bursts: Iterable[_Burst], start: float) -> Iterator[_Burst]:
    """The bursts, without the stamps that leap and that the next one takes back: damaged ones."""
    end = start
    for burst, following in pairwise(chain(bursts, [None])):
        assert burst  # the None comes last
        after = following.time if following else None
        if burst.time is not None and after is not None and is_damaged(burst.time, end, after):
            burst = burst._replace(time=None)
        end = (end if burst.time is None else burst.time) + burst.length
        yield burst


def _on_one_clock(bursts: Iterable[_Burst], start: float) -> Iterator[_Burst]:
    """The bursts with their seconds from `start` on; where the clock is set anew, they go on from where they were."""
    ahead = end = 0.0
    anew = False
    for burst in bursts:
        if burst.time is not None:
            own = burst.time - start
            if is_set_anew(own, end - ahead, anew):
                ahead, anew = end - own, True
            burst = burst._replace(time=own + ahead)
        end = max(end, end if burst.time is None else burst.time) + burst.length
        yield burst


# --- in one rate ---


class _Line:
    """Sound of one kind (format, channels, rate), which libswresample makes mono, and places from `begin` (samples) on."""

    def __init__(self, frame: "av.AudioFrame", begin: int):
        import av
        import av.filter

        self.kind, self.position, self.begin = _kind(frame), begin, begin
        self.graph = av.filter.Graph()
        source = self.graph.add_abuffer(
            sample_rate=frame.sample_rate,
            format=frame.format.name,
            layout=frame.layout.name,
            time_base=Fraction(1, frame.sample_rate),
        )
        placing = self.graph.add("aresample", f"{SAMPLE_RATE}:{PLACING}")
        # 16 bits, as Whisper's own loader has it: mixing down to floats would leave stereo 3 dB too loud.
        form = self.graph.add("aformat", f"sample_rates={SAMPLE_RATE}:sample_fmts=s16:channel_layouts=mono")
        try:
            self.graph.link_nodes(source, placing, form, self.graph.add("abuffersink")).configure()
        except av.FFmpegError:  # more channels than one knows where they stand
            sound = f"{frame.layout.name}, {frame.sample_rate} Hz"
            raise VideoError(Status.NO_AUDIO, f"its sound ({sound}) cannot be mixed to one channel") from None

    def hear(self, frame: "av.AudioFrame | None", time: float | None) -> "Iterator[tuple[int, Samples]]":
        """What comes out when a frame comes in: place and samples. Without a frame, what is left in it."""
        import av

        if frame is not None:
            frame = _without_cancelling(frame)
            frame.time_base = Fraction(1, frame.sample_rate)
            frame.pts = None if time is None else round((time - self.begin / SAMPLE_RATE) * frame.sample_rate)
        self.graph.push(frame)
        while True:
            try:
                sound = self.graph.pull().to_ndarray()[0]
            except (av.BlockingIOError, av.EOFError):
                return
            yield self.position, sound
            self.position += len(sound)


def _placed(bursts: Iterable[_Burst], longest: float) -> "Iterator[tuple[int, Samples]]":
    """Place and samples, one piece after the other; a hole of more than `longest` seconds is left open."""
    line: _Line | None = None
    end = 0.0
    for time, frames in bursts:
        for frame, due in zip(frames, chain([time], [None] * len(frames)), strict=False):
            hole = due is not None and due - end > longest
            if line is None or hole or line.kind != _kind(frame):
                if line:
                    yield from line.hear(None, None)
                begin = line.position if line else 0
                line = _Line(frame, round(due * SAMPLE_RATE) if due is not None and hole else begin)
            yield from line.hear(frame, due)
            end = (end if due is None else max(end, due)) + frame.samples / frame.sample_rate
    if line:
        yield from line.hear(None, None)


def _kind(frame: "av.AudioFrame") -> tuple[str, str, int]:
    return frame.format.name, frame.layout.name, frame.sample_rate


def _without_cancelling(frame: "av.AudioFrame") -> "av.AudioFrame":
    """Of stereo whose right channel is the left one turned over, so that both are silence in mono, the left one twice."""
    import av
    import numpy as np

    if len(frame.layout.channels) != 2:
        return frame
    sound = frame.to_ndarray()
    pairs = sound.T if frame.format.is_planar else sound.reshape(-1, 2)
    zero = 128.0 if frame.format.packed.name == "u8" else 0.0
    left, right = (pairs.T - zero).astype(np.float64)
    if np.square(left + right).sum() >= np.square(left - right).sum() / 100:
        return frame
    twice = np.repeat(pairs[:, :1], 2, axis=1)
    twice = np.ascontiguousarray(twice.T if frame.format.is_planar else twice.reshape(1, -1))
    alone = av.AudioFrame.from_ndarray(cast(Any, twice), format=frame.format.name, layout=frame.layout.name)
    alone.sample_rate = frame.sample_rate
    return alone
