"""Is a media file whole? A download may be cut off, or pieced together wrongly, and say nothing of it."""

from pathlib import Path
from typing import Any

from videobert.errors import Status, VideoError
from videobert.machine import raise_machine_fault
from videobert.media.bounded import call_isolated
from videobert.media.decoding import DECODE_MEMORY, open_media, packets, picture_stream


def find_damage(path: Path, everything: bool, seconds: float) -> str:
    """What of a video does not decode, in a few words; "" when all is well.

    Reads all packets, and decodes the key frames; `everything`, which costs 25 times as much, when one of those is amiss.
    Raises VideoError("unusable") when not one picture decodes, or when it takes longer than `seconds`.
    """
    damage: str = call_isolated(_flaw, path, everything, seconds=seconds, memory=DECODE_MEMORY)
    return damage


def _flaw(path: str, everything: bool) -> str:
    pictures, wanted, broken, end, duration = _decoded(path, everything)
    if not everything and (broken or not pictures):
        pictures, wanted, broken, end, duration = _decoded(path, everything=True)
    if not pictures:
        raise VideoError(Status.UNUSABLE, "not one picture decodes")
    words = []
    if broken:
        words.append(f"{broken} of {wanted} packets do not decode")
    if duration - end > max(2.0, duration / 20):
        words.append(f"it breaks off at {end:.1f} of {duration:.1f} s")
    return ", ".join(words)


def _decoded(path: str, everything: bool) -> tuple[int, int, int, float, float]:
    """(pictures that decode, packets that should, packets that do not, end of the last packet, duration), in seconds."""
    import av
    from av.codec.context import ThreadType

    pictures = wanted = broken = 0
    end = 0.0
    with open_media(path) as container:
        stream = picture_stream(container)
        if stream is None:
            raise VideoError(Status.UNUSABLE, "it has no video stream")
        start, duration = (container.start_time or 0) / av.time_base, (container.duration or 0) / av.time_base
        # Any, since PyAV's types do not know that a stream hands thread_type on to its decoder.
        streams: list[Any] = [stream, *[sound for sound in container.streams.audio if sound.codec_context][:1]]
        for each in streams:
            each.thread_type = ThreadType.NONE
        if not everything:
            stream.codec_context.skip_frame = "NONKEY"
        try:
            for packet in packets(container, *streams):
                if packet.pts is not None:
                    end = max(end, float((packet.pts + (packet.duration or 0)) * packet.time_base) - start)
                if not everything and (packet.stream is not stream or (packet.size and not packet.is_keyframe)):
                    continue
                wanted += packet.size > 0
                try:
                    frames = packet.decode()
                    broken += any(frame.is_corrupt for frame in frames)
                    pictures += len(frames) if packet.stream is stream else 0
                except av.FFmpegError:
                    broken += 1
        except av.FFmpegError as error:  # the container itself breaks off; `end` tells where
            raise_machine_fault(error)
    if not everything:
        broken = max(broken, wanted - pictures)  # a decoder that skips says nothing of a key frame that it cannot read
    return pictures, wanted, broken, end, duration
