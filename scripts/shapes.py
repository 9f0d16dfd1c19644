"""Clips of moving shapes: what the S3D `shapes` is trained on, as others are on Kinetics, to see films of something else.

Discs, stars and bars of some colour and texture, one or a few, that turn, fall or split before the kitchen's walls or
before nothing. The kitchen's pen draws them, but none of its foods, tools, hands or actions: whoever names those by the
features of this network had to find them out.
"""

import colorsys
import math
import random
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from videobert.kitchen.look import background, random_look
from videobert.kitchen.pen import (
    CIRCLE,
    HEIGHT,
    OVERSAMPLE,
    WIDTH,
    Colour,
    Pen,
    Point,
    clamp,
    ease,
    placed,
    scatter,
    shade,
    swing,
)

FPS, FRAMES = 20, 30
CLIP = FRAMES / FPS  # seconds


def star(points: int, inner: float) -> list[Point]:
    """A star of that many points around (0, 0): their radius is 1, that of the corners between them `inner`."""
    radii = [1.0 if i % 2 == 0 else inner for i in range(2 * points)]
    return [(r * math.sin(math.pi * i / points), -r * math.cos(math.pi * i / points)) for i, r in enumerate(radii)]


RING = [*CIRCLE, CIRCLE[0], *((0.6 * x, 0.6 * y) for x, y in [CIRCLE[0], *reversed(CIRCLE)])]
MOON = [*CIRCLE[7:22], *((0.45 * x, y) for x, y in reversed(CIRCLE[7:22]))]
ARM = [(-0.33, -0.33), (-0.33, -1.0), (0.33, -1.0)]
CROSS = [corner for turn in (0, 90, 180, 270) for corner in placed(ARM, 0, 0, turn)]
KINDS: dict[str, list[Point]] = {
    "disc": CIRCLE,
    "oval": [(x, 0.55 * y) for x, y in CIRCLE],
    "square": [(-0.8, -0.8), (0.8, -0.8), (0.8, 0.8), (-0.8, 0.8)],
    "bar": [(-1.3, -0.28), (1.3, -0.28), (1.3, 0.28), (-1.3, 0.28)],
    "triangle": star(3, 0.5),
    "hexagon": star(6, math.cos(math.pi / 6)),
    "star": star(5, 0.45),
    "ring": RING,
    "moon": MOON,
    "cross": CROSS,
}
# Hue in degrees, saturation, value: from and to.
COLOURS: dict[str, tuple[Point, Point, Point]] = {
    "red": ((-8, 8), (0.7, 0.95), (0.65, 0.95)),
    "orange": ((20, 32), (0.7, 0.95), (0.8, 1.0)),
    "yellow": ((46, 56), (0.6, 0.9), (0.85, 1.0)),
    "lime": ((70, 90), (0.5, 0.8), (0.6, 0.85)),
    "green": ((110, 140), (0.5, 0.8), (0.35, 0.65)),
    "teal": ((165, 190), (0.5, 0.8), (0.5, 0.8)),
    "blue": ((205, 235), (0.5, 0.9), (0.5, 0.95)),
    "purple": ((265, 300), (0.4, 0.8), (0.4, 0.7)),
    "pink": ((325, 350), (0.25, 0.5), (0.85, 1.0)),
    "brown": ((18, 34), (0.5, 0.7), (0.35, 0.55)),
    "cream": ((36, 52), (0.15, 0.4), (0.85, 0.98)),
    "white": ((0, 360), (0.0, 0.05), (0.94, 1.0)),
    "grey": ((0, 360), (0.0, 0.08), (0.4, 0.65)),
    "black": ((0, 360), (0.0, 0.2), (0.08, 0.2)),
}
TEXTURES = ("plain", "rim", "stripes", "dots", "core", "shadow")
COUNTS = {"one": 1, "two": 2, "four": 4, "nine": 9, "thirty": 30}
SPEEDS = {"slow": 0.5, "medium": 1.1, "fast": 2.4}  # hertz


class Pose(NamedTuple):
    """Where and how a copy of the shape is: pixels from its place, degrees, factors of its width and height, opacity."""

    x: float = 0.0
    y: float = 0.0
    angle: float = 0.0
    wide: float = 1.0
    high: float = 1.0
    opacity: float = 1.0


Motion = Callable[[float, float], list[Pose]]  # of seconds and hertz: the copies


def progress(t: float, hertz: float) -> float:
    """What happens once in a clip, from 0 to 1: sooner when it is fast."""
    return ease(clamp(t * (0.5 + 0.5 * hertz) / CLIP))


def ring_of(count: int, radius: float, size: float) -> list[Pose]:
    """Copies on a flat ring."""
    return [
        Pose(radius * math.cos(math.tau * i / count), 0.6 * radius * math.sin(math.tau * i / count), 0, size, size)
        for i in range(count)
    ]


def grown(size: float) -> list[Pose]:
    return [Pose(wide=size, high=size)]


def fallen(t: float, hertz: float) -> float:
    """Pixels below its place: it falls again and again."""
    return 150 * ((t * hertz) % 1) ** 2 - 90


def pendulum(angle: float) -> list[Pose]:
    x, y = placed([(0, 80)], 0, -80, angle)[0]
    return [Pose(x, y, angle)]


MOTIONS: dict[str, Motion] = {
    "rest": lambda t, hertz: [Pose()],
    "sideways": lambda t, hertz: [Pose(x=50 * swing(t, hertz))],
    "up and down": lambda t, hertz: [Pose(y=36 * swing(t, hertz))],
    "to and fro": lambda t, hertz: [Pose(36 * swing(t, hertz), -26 * swing(t, hertz))],
    "circle": lambda t, hertz: [Pose(38 * swing(t, hertz), 20 * swing(t + 0.25 / hertz, hertz))],
    "turn": lambda t, hertz: [Pose(angle=360 * hertz * t)],
    "rock": lambda t, hertz: [Pose(angle=35 * swing(t, hertz))],
    "pendulum": lambda t, hertz: pendulum(32 * swing(t, hertz)),
    "grow": lambda t, hertz: grown(0.4 + 1.1 * progress(t, hertz)),
    "shrink": lambda t, hertz: grown(1.5 - 1.1 * progress(t, hertz)),
    "pulse": lambda t, hertz: grown(1 + 0.35 * swing(t, hertz)),
    "squash": lambda t, hertz: [Pose(wide=1 + 0.35 * swing(t, hertz), high=1 - 0.35 * swing(t, hertz))],
    "split": lambda t, hertz: [Pose(x=side * 46 * progress(t, hertz), wide=0.7, high=0.7) for side in (-1, 1)],
    "multiply": lambda t, hertz: ring_of(12, 46, 0.4)[: 1 + int(11 * progress(t, hertz))],
    "scatter": lambda t, hertz: ring_of(7, 75 * progress(t, hertz), 0.45),
    "gather": lambda t, hertz: ring_of(7, 75 * (1 - progress(t, hertz)), 0.45),
    "fade": lambda t, hertz: [Pose(opacity=1 - progress(t, hertz))],
    "appear": lambda t, hertz: [Pose(opacity=progress(t, hertz))],
    "shake": lambda t, hertz: [Pose(7 * swing(t, 3.1 * hertz), 3 * swing(t, 4.3 * hertz), 8 * swing(t, 2.3 * hertz))],
    "fall": lambda t, hertz: [Pose(y=fallen(t, hertz))],
    "rise": lambda t, hertz: [Pose(y=-fallen(t, hertz))],
}
# What a clip is labelled with, in this order.
LABELS: tuple[tuple[str, ...], ...] = (
    tuple(MOTIONS),
    tuple(SPEEDS),
    tuple(KINDS),
    tuple(COLOURS),
    TEXTURES,
    tuple(COUNTS),
)


def clip(labels: tuple[str, ...], seed: int) -> npt.NDArray[np.uint8]:
    """A clip of the shapes that `labels` name, a word of each group of `LABELS`: uint8 [30, 240, 320, 3], 20 a second.

    `seed` draws the rest: background, camera, place, size, tint and moment.
    """
    motion, speed, kind, colour, texture, count = labels
    rng = random.Random(f"shapes {labels} {seed}")
    look = random_look(rng)
    still = (
        background(look)
        if rng.random() < 0.75
        else Image.new("RGB", (WIDTH * OVERSAMPLE, HEIGHT * OVERSAMPLE), look.wall)
    )
    camera = partial(Pen, zoom=look.zoom, shift=look.shift, mirror=look.mirror)
    for _ in range(rng.choice([0, 1, 2, 3])):  # which lie about
        pose = Pose(angle=rng.uniform(0, 360))
        place = rng.uniform(30, 290), rng.uniform(120, 225)
        tint = colour_of(rng.choice(list(COLOURS)), rng)
        shape(camera(still), rng.choice(list(KINDS)), tint, rng.choice(TEXTURES), place, rng.uniform(8, 26), pose)
    tint, tilt, late = colour_of(colour, rng), rng.uniform(-25, 25), rng.random()
    hertz = SPEEDS[speed] * rng.uniform(0.85, 1.2)
    middle = rng.uniform(115, 195), rng.uniform(120, 185)
    places, size = spread(middle, COUNTS[count], rng)
    out = np.empty((FRAMES, HEIGHT, WIDTH, 3), np.uint8)
    # What goes on and on may be seen from any moment on.
    begin = late / hertz if MOTIONS[motion](0.0, hertz) == MOTIONS[motion](1 / hertz, hertz) else 0.0
    for i in range(FRAMES):
        picture = still.copy()
        pen = camera(picture)
        for place in places:
            for pose in MOTIONS[motion](begin + i / FPS, hertz):
                shape(pen, kind, tint, texture, place, size, pose._replace(angle=pose.angle + tilt))
        out[i] = np.asarray(picture.reduce(OVERSAMPLE))
    return out


def colour_of(name: str, rng: random.Random) -> Colour:
    """Some tint of the colour."""
    hue, saturation, value = (rng.uniform(*bounds) for bounds in COLOURS[name])
    return tuple(int(255 * part) for part in colorsys.hsv_to_rgb(hue / 360 % 1, saturation, value))


def spread(middle: Point, count: int, rng: random.Random) -> tuple[list[Point], float]:
    """Places of `count` shapes around the middle, and their size in pixels."""
    size = rng.uniform(26, 44) / math.sqrt(count) ** 0.8
    seed, radius = rng.getrandbits(16), 0.0 if count == 1 else 58
    return [
        (middle[0] + radius * r * math.cos(math.radians(a)), middle[1] + 0.6 * radius * r * math.sin(math.radians(a)))
        for a, r in scatter(seed, count)
    ], size


def shape(pen: Pen, kind: str, colour: Colour, texture: str, place: Point, size: float, pose: Pose) -> None:
    """Draws one copy of a shape at its place, as its pose has it."""
    x, y = place[0] + pose.x, place[1] + pose.y
    alpha = int(255 * pose.opacity)

    def draw(points: list[Point], factor: float, dx: float = 0.0, dy: float = 0.0) -> None:
        corners = [(size * pose.wide * (a + dx), size * pose.high * (b + dy)) for a, b in points]
        pen.polygon(placed(corners, x, y, pose.angle), (*shade(colour, factor), alpha))

    outline = KINDS[kind]
    other = 1.5 if sum(colour) < 330 else 0.6
    if texture == "shadow":
        draw(outline, 0.45, 0.12, 0.16)
    draw(outline, 1.0)
    if texture == "rim":
        draw(outline, other)
        draw([(0.75 * a, 0.75 * b) for a, b in outline], 1.0)
    if texture == "core":
        draw([(0.5 * a, 0.5 * b) for a, b in outline], other)
    flat = max(b for _, b in outline)
    if texture == "stripes":
        for i in (-2, -1, 0, 1, 2):
            draw([(-0.06, -0.5 * flat), (0.06, -0.5 * flat), (0.06, 0.5 * flat), (-0.06, 0.5 * flat)], other, 0.24 * i)
    if texture == "dots":
        for a, r in scatter(7, 9):
            px, py = 0.6 * r * math.cos(math.radians(a)), 0.6 * flat * r * math.sin(math.radians(a))
            draw([(0.1 * c, 0.1 * s) for c, s in CIRCLE[::3]], other, px, py)
