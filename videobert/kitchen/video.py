"""The pictures of a video, excerpts of other videos (`clip`), and the file with pictures and sound (`render`)."""

import platform
import random
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
from PIL import Image

from videobert.kitchen.look import background, random_look
from videobert.kitchen.pen import OVERSAMPLE
from videobert.kitchen.scene import scene
from videobert.kitchen.script import FPS, OBJECTS, SHORTEST_STEP, VERBS, Script
from videobert.kitchen.voice import SAMPLE_RATE, sound

# x264's code for AVX-512 reads memory that nobody wrote (seen with MALLOC_PERTURB_, whenever mbtree is on), so that its bytes
# differ from run to run. Older instructions give one answer on all x86 processors.
X264 = {"preset": "veryfast", "crf": "23", "g": "100", "threads": "1"}
if platform.machine() in ("x86_64", "AMD64"):
    X264["x264-params"] = "asm=sse4.2"


def pictures(script: Script) -> Iterator[Image.Image]:
    """Yields the video's pictures (PIL images, 320x240 RGB), 20 a second."""
    look = random_look(random.Random(f"kitchen look {script.number}"))
    empty = background(look)
    idle, shown = empty.reduce(OVERSAMPLE), None
    for frame in range(round(script.duration * FPS)):
        time = frame / FPS
        step = next((step for step in script.steps if step.start <= time < step.end), None)
        if step is None:
            yield idle
            continue
        if step is not shown:
            shown, rng = step, random.Random(f"kitchen step {script.number} {step.verb}")
            draw = scene(step.verb, step.object, look, empty, step.end - step.start, rng)
        yield draw(time - step.start)


def clip(
    verb: str, object: str, seed: int, frames: int = 30, size: tuple[int, int] = (240, 320)
) -> npt.NDArray[np.uint8]:
    """A random excerpt of a step as it might be in some video; `seed` shares nothing with the videos' numbers.

    Args:
        verb: one of `VERBS`.
        object: one of `OBJECTS`; what nobody would do with it (flip the salt) is drawn all the same.
        seed: background, look, place, pace and moment are drawn from it.
        frames: pictures, 20 a second.
        size: height and width; other shapes than 3:4 squeeze the picture.

    Returns:
        uint8 [frames, height, width, 3], RGB.
    """
    if verb not in VERBS or object not in OBJECTS:
        raise ValueError(f"the kitchen cannot {verb} the {object}: see VERBS and OBJECTS")
    rng = random.Random(f"clip {verb} {object} {seed}")
    look = random_look(rng)
    duration = rng.uniform(SHORTEST_STEP, 7.4)
    start = rng.uniform(0, max(0.0, duration - frames / FPS))
    draw = scene(verb, object, look, background(look), duration, rng)
    out = np.empty((frames, *size, 3), np.uint8)
    for i in range(frames):
        picture = draw(start + i / FPS)
        if picture.size != size[::-1]:
            picture = picture.resize(size[::-1], Image.Resampling.BILINEAR)
        out[i] = np.asarray(picture)
    return out


def render(script: Script, path: Path) -> None:
    """Writes a video as MP4: H.264 320x240 yuv420p, 20 frames a second; AAC, mono, 24 kHz.

    The bytes are a function of the script (and the versions of the encoders): one thread, no dates.
    """
    track = (sound(script) * 32767).astype("int16")[None]
    with av.open(str(path), "w", format="mp4", options={"fflags": "+bitexact", "movflags": "+faststart"}) as file:
        video = file.add_stream("libx264", FPS, options=X264)
        video.width, video.height, video.pix_fmt, video.thread_count = 320, 240, "yuv420p", 1
        audio = file.add_stream("aac", SAMPLE_RATE, layout="mono", bit_rate=64_000)
        for stream in (video, audio):
            stream.codec_context.flags |= av.codec.context.Flags.bitexact
        step = SAMPLE_RATE // FPS
        for i, picture in enumerate(pictures(script)):
            file.mux(video.encode(av.VideoFrame.from_image(picture)))
            samples = av.AudioFrame.from_ndarray(track[:, i * step : (i + 1) * step], format="s16", layout="mono")
            samples.sample_rate, samples.pts = SAMPLE_RATE, i * step
            file.mux(audio.encode(samples))
        for stream in (video, audio):
            file.mux(stream.encode())
