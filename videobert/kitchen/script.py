"""The built-in corpus: narrated how-to videos of a procedural kitchen.

Machines without the open internet must run every real stage, and tests need truth to score against. A source
`kitchen:17` is therefore a video that is computed: its script (which actions on which objects, when shown, when and how
spoken) and every byte of its file are pure functions of the number. A voice (hibari-tts, ONNX) says each step slightly
before or while hands do it (`kitchen_drawing`). As in real how-to videos, the words are the only label there is.

The language is built so that neither word gives the other away: most verbs go with many objects and most objects with
many verbs, all templates and tails go with every pair. Verbs are dealt like cards, each once to every two videos, so
they are balanced. Some pairs (`HELD_OUT`) are shown in test videos only: who names them has put together an action and
an object never seen together. `clip` draws excerpts outside the corpus, to train the small S3D that stands in for one
trained on Kinetics.
"""

import random
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from PIL import Image

FPS, SAMPLE_RATE = 20, 24_000

OBJECTS_OF = {
    "slice": ("tomato", "onion", "potato", "carrot", "cucumber", "apple", "cheese", "bread", "butter"),
    "chop": ("tomato", "onion", "potato", "carrot", "cucumber", "apple", "nuts", "chicken"),
    "peel": ("potato", "carrot", "cucumber", "onion", "apple", "egg"),
    "grate": ("cheese", "potato", "carrot", "apple", "nuts"),
    "pour": ("water", "oil", "milk", "soup", "sauce", "batter", "rice", "salt", "pepper"),
    "stir": ("soup", "sauce", "batter", "rice", "pasta", "milk", "water", "salt", "pepper"),
    "whisk": ("egg", "batter", "sauce", "milk", "oil"),
    "flip": ("pancake", "egg", "bread", "chicken"),
    "crack": ("egg", "nuts"),
    "press": ("dough", "pasta", "bread"),
    "roll": ("dough", "pasta", "bread"),
    "sprinkle": ("salt", "pepper", "cheese", "nuts", "rice"),
    "spread": ("butter", "sauce", "batter", "cheese"),
    "fry": ("onion", "potato", "egg", "chicken", "pancake", "rice", "carrot", "tomato"),
    "boil": ("water", "milk", "soup", "pasta", "rice", "egg", "potato", "carrot"),
    "mash": ("potato", "carrot", "tomato", "apple", "butter"),
}
VERBS: tuple[str, ...] = tuple(OBJECTS_OF)
OBJECTS: tuple[str, ...] = tuple(sorted({thing for things in OBJECTS_OF.values() for thing in things}))
COMBINATIONS: tuple[tuple[str, str], ...] = tuple((verb, thing) for verb in VERBS for thing in OBJECTS_OF[verb])
HELD_OUT: frozenset[tuple[str, str]] = frozenset(
    {
        ("slice", "cucumber"),
        ("chop", "potato"),
        ("peel", "apple"),
        ("grate", "carrot"),
        ("pour", "sauce"),
        ("whisk", "milk"),
        ("fry", "chicken"),
        ("boil", "egg"),
    }
)

OPENING = ("first we", "let us start and", "to begin with we")
TEMPLATES = (
    "now let me show you how to",
    "let me show you how to",
    "next you want to",
    "go ahead and",
    "now we are going to",
    "then you just",
    "after that we",
    "here I",
    "now you need to",
    "I always like to",
    "it is time to",
    "the next step is to",
    "once you are ready we",
    "do not forget to",
)
CLOSING = ("finally we", "last of all we", "to finish we")
TAILS = (
    "like this",
    "nice and slowly",
    "for a little while",
    "just as you see here",
    "with a bit of care",
    "until it looks right",
    "as I do it here",
    "without any hurry",
)
# Seconds. The longest sentence here takes 3.1 s, so that 0.7 s are left before the next: in a shorter pause ASR would
# join the two.
LONGEST_LEAD, SHORTEST_STEP = 0.7, 4.5


@dataclass(frozen=True)
class Step:
    """One action. Times are seconds of the video: when it is shown, and when its sentence starts."""

    verb: str
    object: str
    sentence: str  # "" in silent videos
    start: float
    end: float
    speech_start: float


@dataclass(frozen=True)
class Script:
    """What happens in a video and when."""

    number: int
    title: str
    narrated: bool
    duration: float
    steps: tuple[Step, ...]


def is_test(number: int) -> bool:
    """Every fifth video is for testing; only these show pairs in `HELD_OUT`."""
    return number % 5 == 4


def is_narrated(number: int) -> bool:
    """Every tenth video is silent, as many how-to videos are: it serves the video-only objective."""
    return number % 10 != 7


def speed(number: int) -> float:
    """How fast the voice of this video speaks, relative to its own pace."""
    return random.Random(f"kitchen speed {number}").uniform(0.88, 1.04)


def script(number: int) -> Script:
    """The script of video `number` (0, 1, 2, ...), at once and without a voice."""
    if number < 0:
        raise ValueError(f"kitchen videos are numbered from 0, not {number}")
    rng = random.Random(f"kitchen script {number}")
    narrated = is_narrated(number)
    verbs = deal(number)
    pairs = [(verb, choose_object(verb, is_test(number), rng)) for verb in verbs]
    sentences = phrase(pairs, rng) if narrated else [""] * len(pairs)
    longest = {7: 7.4, 8: 6.4, 9: 5.5}[len(pairs)]
    clock, steps = rng.uniform(0.8, 1.4), []
    for (verb, thing), sentence in zip(pairs, sentences, strict=True):
        start = round(clock * FPS) / FPS
        lead = rng.uniform(0, LONGEST_LEAD) if sentence else 0.0
        end = round((start + rng.uniform(SHORTEST_STEP, longest)) * FPS) / FPS
        steps.append(Step(verb, thing, sentence, start, end, round(start - lead, 3)))
        clock = end + rng.choice([0.0, rng.uniform(0.3, 0.8)])
    duration = steps[-1].end + round(rng.uniform(0.4, 1.0) * FPS) / FPS
    things = list(dict.fromkeys(step.object for step in steps))[:3]
    title = f"{things[0].capitalize()}, {things[1]} and {things[2]} in {len(steps)} steps"
    return Script(number, title, narrated, round(duration, 3), tuple(steps))


def deal(number: int) -> list[str]:
    """The verbs of a video: two videos share one shuffled deck, so that every verb is as frequent as every other."""
    rng = random.Random(f"kitchen deck {number // 2}")
    deck = list(VERBS)
    rng.shuffle(deck)
    cut = rng.choice([7, 8, 9])
    return deck[:cut] if number % 2 == 0 else deck[cut:]


def choose_object(verb: str, test: bool, rng: random.Random) -> str:
    """Half of the verbs have a held-out object; test videos take it two times out of three: a third of all steps."""
    held_out = [thing for thing in OBJECTS_OF[verb] if (verb, thing) in HELD_OUT]
    if test and held_out and rng.random() < 2 / 3:
        return rng.choice(held_out)
    things = [thing for thing in OBJECTS_OF[verb] if thing not in held_out]
    rarity = [1 / sum(thing in others for others in OBJECTS_OF.values()) for thing in things]
    return rng.choices(things, rarity)[0]  # what goes with few verbs is taken more often, for balance


def phrase(pairs: list[tuple[str, str]], rng: random.Random) -> list[str]:
    """A sentence for each step, no template twice in a video."""
    heads = rng.sample(TEMPLATES, len(pairs))
    if rng.random() < 0.6:
        heads[0] = rng.choice(OPENING)
    if rng.random() < 0.6:
        heads[-1] = rng.choice(CLOSING)
    # Every other sentence ends with the object: a model that never saw one takes the last words for a tail.
    tails = [rng.choice((*(f" {tail}" for tail in TAILS), *[""] * len(TAILS))) for _ in pairs]
    sentences = [
        f"{head} {verb} the {thing}{tail}." for head, (verb, thing), tail in zip(heads, pairs, tails, strict=True)
    ]
    return [sentence[0].upper() + sentence[1:] for sentence in sentences]


# Pictures -------------------------------------------------------------------------------------------------------------


def pictures(script: Script) -> "Iterator[Image.Image]":
    """Yields the video's pictures (PIL images, 320x240 RGB), 20 a second."""
    from videobert.kitchen import drawing

    look = drawing.look(random.Random(f"kitchen look {script.number}"))
    empty = drawing.background(look)
    idle, shown = empty.reduce(drawing.OVERSAMPLE), None
    for frame in range(round(script.duration * FPS)):
        time = frame / FPS
        step = next((step for step in script.steps if step.start <= time < step.end), None)
        if step is None:
            yield idle
            continue
        if step is not shown:
            shown, rng = step, random.Random(f"kitchen step {script.number} {step.verb}")
            draw = drawing.scene(step.verb, step.object, look, empty, step.end - step.start, rng)
        yield draw(time - step.start)


def clip(verb: str, object: str, seed: int, frames: int = 30, size: tuple[int, int] = (240, 320)) -> "np.ndarray":
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
    import numpy as np
    from PIL import Image

    from videobert.kitchen import drawing

    if verb not in VERBS or object not in OBJECTS:
        raise ValueError(f"the kitchen cannot {verb} the {object}: see VERBS and OBJECTS")
    rng = random.Random(f"clip {verb} {object} {seed}")
    look = drawing.look(rng)
    duration = rng.uniform(SHORTEST_STEP, 7.4)
    start = rng.uniform(0, max(0.0, duration - frames / FPS))
    draw = drawing.scene(verb, object, look, drawing.background(look), duration, rng)
    out = np.empty((frames, *size, 3), np.uint8)
    for i in range(frames):
        picture = draw(start + i / FPS)
        out[i] = picture if picture.size == size[::-1] else picture.resize(size[::-1], Image.Resampling.BILINEAR)
    return out


# Sound ----------------------------------------------------------------------------------------------------------------


@cache
def voice():
    """The text-to-speech model; one thread, so that its numbers are the same on every run."""
    import hibari

    return hibari.Hibari(voice="heart", threads=1)


def sound(script: Script) -> "np.ndarray":
    """The sound track: float32 mono, 24 kHz; the sentences in a room with some noise, only the noise if silent."""
    import numpy as np

    noise = np.random.default_rng(script.number)
    count = round(script.duration * SAMPLE_RATE)
    hiss = noise.standard_normal(count, np.float32)
    hum = np.convolve(hiss, np.ones(48, np.float32) / 48, "same")  # a room is duller than white noise
    track = noise.uniform(0.4, 1.6) * (0.0006 * hiss + 0.006 * hum)
    for i, step in enumerate(script.steps):
        if not step.sentence:
            continue
        speech = voice()(step.sentence, speed=speed(script.number), seed=1000 * script.number + i)
        speech = speech[int(0.3 * SAMPLE_RATE) : -int(0.5 * SAMPLE_RATE)]  # the model's own silence
        start = round(step.speech_start * SAMPLE_RATE)
        track[start : start + len(speech)] += 0.9 * speech[: count - start]
    return np.clip(track, -1, 1)


# The file -------------------------------------------------------------------------------------------------------------


def render(number: int, path: Path) -> None:
    """Writes video `number` as MP4: H.264 320x240 yuv420p, 20 frames a second; AAC, mono, 24 kHz.

    The bytes are a function of the number (and the versions of the encoders): one thread, no dates.
    """
    import av

    play = script(number)
    track = (sound(play) * 32767).astype("int16")[None]
    with av.open(str(path), "w", format="mp4", options={"fflags": "+bitexact", "movflags": "+faststart"}) as file:
        video = file.add_stream("libx264", FPS, options={"preset": "veryfast", "crf": "23", "g": "100", "threads": "1"})
        video.width, video.height, video.pix_fmt, video.thread_count = 320, 240, "yuv420p", 1
        audio = file.add_stream("aac", SAMPLE_RATE, layout="mono", bit_rate=64_000)
        for stream in (video, audio):
            stream.codec_context.flags |= av.codec.context.Flags.bitexact
        step = SAMPLE_RATE // FPS
        for i, picture in enumerate(pictures(play)):
            file.mux(video.encode(av.VideoFrame.from_image(picture)))
            samples = av.AudioFrame.from_ndarray(track[:, i * step : (i + 1) * step], format="s16", layout="mono")
            samples.sample_rate, samples.pts = SAMPLE_RATE, i * step
            file.mux(audio.encode(samples))
        for stream in (video, audio):
            file.mux(stream.encode())
