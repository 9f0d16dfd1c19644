"""Drawing of the procedural kitchen: sixteen actions, each a set stage and a function of time.

The built-in corpus needs videos in which what is done can only be seen in the motion, and what it is done to only in
colour and shape, as in real how-to videos. So every action here is a function that sets its stage (board, pot, bowl,
things that do not move) on a still picture once, and returns a function that draws the moment `t` on a copy of it.
Pillow draws at twice the size and the picture is then reduced, which is all the antialiasing that is needed and keeps a
frame near a millisecond. What a video keeps for its whole length (wall, counter, skin, tools, camera) is its `Look`;
what differs from step to step (place, scale, speed, phase) comes from the step's own random numbers.

Coordinates are those of a 320x240 picture, y downwards, before the camera; hands come from the right, and the camera
mirrors half of the videos. Times are seconds since the start of the step.
"""

import colorsys
import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from PIL import Image, ImageDraw

WIDTH, HEIGHT, OVERSAMPLE = 320, 240, 2
Colour = tuple[int, ...]
Point = tuple[float, float]
Moment = Callable[["Pen", float], None]

WHITE, BLACK = (255, 255, 255), (25, 25, 28)
CIRCLE = [(math.cos(a * math.tau / 28), math.sin(a * math.tau / 28)) for a in range(28)]


# Colours and points ---------------------------------------------------------------------------------------------------


def shade(colour: Colour, factor: float) -> Colour:
    """Darker below 1, lighter above (towards white, so that dark colours get highlights too)."""
    return mix(colour, WHITE, factor - 1) if factor > 1 else tuple(int(c * factor) for c in colour[:3])


def mix(a: Colour, b: Colour, share: float) -> Colour:
    return tuple(int(x + (y - x) * share) for x, y in zip(a[:3], b[:3], strict=True))


def placed(points: list[Point], x: float, y: float, angle: float) -> list[Point]:
    """Turns points by `angle` degrees (clockwise as seen) and moves them to (x, y)."""
    c, s = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    return [(x + c * a - s * b, y + s * a + c * b) for a, b in points]


def clamp(value: float, low: float = 0.0, high: float = 1.0) -> float:
    return min(max(value, low), high)


def ease(value: float) -> float:
    value = clamp(value)
    return value * value * (3 - 2 * value)


def swing(t: float, hertz: float) -> float:
    return math.sin(math.tau * hertz * t)


class Pen:
    """Draws on an image through the camera: 320x240 coordinates in, pixels of the oversampled image out."""

    def __init__(self, image: Image.Image, zoom: float = 1.0, shift: Point = (0.0, 0.0), mirror: bool = False):
        self.draw = ImageDraw.Draw(image, "RGBA")
        self.k = OVERSAMPLE * zoom
        self.kx = -self.k if mirror else self.k
        self.ox = OVERSAMPLE * (WIDTH / 2 + shift[0]) - self.kx * WIDTH / 2
        self.oy = OVERSAMPLE * (170 + shift[1]) - self.k * 170

    def at(self, points: list[Point]) -> list[Point]:
        kx, k, ox, oy = self.kx, self.k, self.ox, self.oy
        return [(ox + kx * x, oy + k * y) for x, y in points]

    def polygon(self, points: list[Point], colour: Colour) -> None:
        self.draw.polygon(self.at(points), colour)

    def ellipse(self, x: float, y: float, rx: float, ry: float, colour: Colour) -> None:
        cx, cy, rx, ry = self.ox + self.kx * x, self.oy + self.k * y, self.k * rx, self.k * ry
        if rx > 0 and ry > 0:
            self.draw.ellipse((cx - rx, cy - ry, cx + rx, cy + ry), colour)

    def box(self, left: float, top: float, right: float, bottom: float, colour: Colour) -> None:
        self.polygon([(left, top), (right, top), (right, bottom), (left, bottom)], colour)

    def taper(self, x: float, top: float, above: float, bottom: float, below: float, colour: Colour) -> None:
        """Four corners symmetrical about x, whose half width goes from `above` at the top to `below` at the bottom."""
        self.polygon([(x - above, top), (x + above, top), (x + below, bottom), (x - below, bottom)], colour)

    def oval(self, x: float, y: float, rx: float, ry: float, angle: float, colour: Colour) -> None:
        self.polygon(placed([(rx * a, ry * b) for a, b in CIRCLE], x, y, angle), colour)

    def line(self, points: list[Point], width: float, colour: Colour) -> None:
        """Round ends; opaque colours only (the ends overlap the line)."""
        points = self.at(points)
        width *= self.k
        self.draw.line(points, colour, max(1, round(width)), "curve" if len(points) > 2 else None)
        if width >= 4:
            r = width / 2 - 0.5
            for x, y in (points[0], points[-1]):
                self.draw.ellipse((x - r, y - r, x + r, y + r), colour)

    def arc(self, x: float, y: float, rx: float, ry: float, start: float, end: float, width: float, colour: Colour):
        cx, cy, rx, ry = self.ox + self.kx * x, self.oy + self.k * y, self.k * rx, self.k * ry
        if self.kx < 0:
            start, end = 180 - end, 180 - start
        if rx > 0 and ry > 0:
            self.draw.arc((cx - rx, cy - ry, cx + rx, cy + ry), start, end, colour, max(1, round(width * self.k)))


# The look of a video --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Look:
    """What a video keeps from its first frame to its last."""

    wall: Colour
    counter: Colour
    horizon: float
    wall_pattern: str
    counter_pattern: str
    decoration: tuple[str, ...]
    skin: Colour
    sleeve: Colour
    handle: Colour
    metal: Colour
    pot: Colour
    bowl: Colour
    board: Colour
    plate: Colour
    zoom: float
    shift: Point
    mirror: bool
    texture: int


SKINS = [(246, 208, 180), (232, 186, 152), (214, 160, 122), (188, 130, 92), (146, 96, 66), (104, 68, 50)]
COUNTERS = [
    (176, 136, 98),
    (126, 88, 62),
    (206, 200, 194),
    (98, 104, 116),
    (70, 76, 96),
    (118, 142, 134),
    (216, 190, 150),
]
POTS = [(176, 182, 188), (66, 96, 136), (170, 60, 54), (70, 74, 80), (72, 120, 96), (222, 214, 200), (206, 132, 60)]
BOWLS = [
    (92, 142, 192),
    (222, 224, 226),
    (200, 96, 84),
    (104, 168, 140),
    (150, 118, 184),
    (120, 126, 134),
    (222, 180, 90),
]
BOARDS = [(198, 154, 104), (168, 116, 74), (226, 200, 158), (134, 92, 62), (150, 182, 140), (222, 222, 216)]
PLATES = [(244, 243, 240), (206, 222, 234), (90, 100, 118), (236, 222, 196), (170, 196, 184)]
HANDLES = [(36, 34, 36), (168, 112, 64), (178, 44, 46), (52, 92, 150), (120, 78, 48), (62, 128, 92)]


def look(rng: random.Random) -> Look:
    """Draws the look of a video."""

    def colour(saturation: tuple[float, float], value: tuple[float, float]) -> Colour:
        return tuple(
            int(255 * c) for c in colorsys.hsv_to_rgb(rng.random(), rng.uniform(*saturation), rng.uniform(*value))
        )

    return Look(
        wall=colour((0.08, 0.38), (0.56, 0.9)),
        counter=shade(rng.choice(COUNTERS), rng.uniform(0.85, 1.1)),
        horizon=rng.uniform(112, 138),
        wall_pattern=rng.choice(["plain", "tiles", "bricks", "planks", "paper"]),
        counter_pattern=rng.choice(["plain", "wood", "stone"]),
        decoration=tuple(rng.sample(["window", "shelf", "rail", "plant", "lamp", "clock"], rng.choice([1, 2, 2, 3]))),
        skin=shade(rng.choice(SKINS), rng.uniform(0.93, 1.05)),
        sleeve=colour((0.1, 0.7), (0.3, 0.95)),
        handle=rng.choice(HANDLES),
        metal=shade((198, 203, 210), rng.uniform(0.82, 1.1)),
        pot=rng.choice(POTS),
        bowl=rng.choice(BOWLS),
        board=rng.choice(BOARDS),
        plate=rng.choice(PLATES),
        zoom=rng.uniform(0.92, 1.14),
        shift=(rng.uniform(-14, 14), rng.uniform(-8, 10)),
        mirror=rng.random() < 0.5,
        texture=rng.getrandbits(32),
    )


def background(look: Look) -> Image.Image:
    """The empty kitchen: wall, counter, some things that stand about."""
    noise = np.random.default_rng(look.texture)
    y = np.arange(HEIGHT, dtype=np.float32)[:, None, None]
    x = np.arange(WIDTH, dtype=np.float32)[None, :, None]
    is_wall = y < look.horizon
    light = np.where(
        is_wall, 1.06 - 0.16 * y / look.horizon, 0.84 + 0.22 * (y - look.horizon) / (HEIGHT - look.horizon)
    )
    light = light * (1.05 - 0.14 * np.abs(x / WIDTH - noise.uniform(0.2, 0.8)))
    picture = np.where(is_wall, np.float32(look.wall), np.float32(look.counter)) * light
    grain = noise.normal(0, 1, (HEIGHT, WIDTH, 1)).astype(np.float32)
    if look.counter_pattern == "wood":
        streaks = np.repeat(noise.normal(0, 1, (HEIGHT // 2, WIDTH // 40, 1)), 40, axis=1).repeat(2, axis=0)
        grain = np.where(is_wall, grain, grain + 2.2 * streaks)
    if look.counter_pattern == "stone":
        grain = np.where(is_wall, grain, 5 * np.round(noise.normal(0, 0.5, grain.shape)))
    picture = np.clip(picture + 2.6 * grain, 0, 255).astype(np.uint8)
    image = Image.fromarray(picture).resize((WIDTH * OVERSAMPLE, HEIGHT * OVERSAMPLE), Image.Resampling.BILINEAR)
    pen, rng = Pen(image), random.Random(look.texture)
    pattern(pen, look, rng)
    places = rng.sample([34, 160, 286], len(look.decoration))
    for thing, place in zip(look.decoration, places, strict=True):
        decoration(pen, thing, place + rng.uniform(-14, 14), look, rng)
    pen.box(0, look.horizon - 2, 320, look.horizon + 1, (0, 0, 0, 60))
    return image


def pattern(pen: Pen, look: Look, rng: random.Random) -> None:
    line, top = (*shade(look.wall, rng.choice([0.86, 1.35])), 150), look.horizon
    if look.wall_pattern in ("tiles", "bricks"):
        w, h = rng.choice([(26, 26), (38, 19), (20, 20)])
        for row in range(int(top // h) + 1):
            y = top - row * h
            pen.draw.line(pen.at([(0, y), (320, y)]), line, 2)
            offset = w / 2 * (row % 2) if look.wall_pattern == "bricks" else 0
            for column in range(320 // w + 2):
                pen.draw.line(pen.at([(column * w - offset, y - h), (column * w - offset, y)]), line, 2)
    if look.wall_pattern == "planks":
        for x in range(rng.randrange(20), 320, rng.choice([22, 34])):
            pen.draw.line(pen.at([(x, 0), (x, top)]), line, 3)
    if look.wall_pattern == "paper":
        for row in range(int(top // 16)):
            for column in range(21):
                pen.ellipse(column * 16 + 8 * (row % 2), 7 + row * 16, 2, 2, line)


def decoration(pen: Pen, thing: str, x: float, look: Look, rng: random.Random) -> None:
    """Things on and before the wall, in muted colours: they tell nothing about the step."""
    top = look.horizon

    def muted() -> Colour:
        return mix(tuple(rng.randrange(60, 230) for _ in range(3)), look.wall, 0.35)

    if thing == "window":
        pen.box(x - 32, 6, x + 32, top - 36, shade(look.wall, 1.5))
        pen.box(x - 28, 10, x + 28, top - 40, (190, 216, 232))
        pen.polygon(
            [(x - 28, top - 60), (x + 5, top - 68), (x + 28, top - 58), (x + 28, top - 40), (x - 28, top - 40)],
            (150, 186, 150),
        )
        pen.line([(x, 8), (x, top - 38)], 3, shade(look.wall, 1.5))
    if thing == "shelf":
        for i in range(4):
            w, h, jar = rng.uniform(5, 8), rng.uniform(12, 26), muted()
            pen.box(x - 36 + 20 * i, 46 - h, x - 36 + 20 * i + 2 * w, 46, jar)
            pen.box(x - 36 + 20 * i, 46 - h, x - 36 + 20 * i + 2 * w, 49 - h, shade(jar, 0.7))
        pen.box(x - 44, 46, x + 44, 50, shade(look.handle, 1.2))
    if thing == "rail":
        pen.line([(x - 40, 22), (x + 40, 22)], 2, shade(look.metal, 0.8))
        for i in range(4):
            length, tool = rng.uniform(18, 30), shade(look.metal, rng.uniform(0.55, 0.9))
            pen.line([(x - 30 + 20 * i, 22), (x - 30 + 20 * i, 22 + length)], 2, tool)
            pen.oval(x - 30 + 20 * i, 26 + length, rng.uniform(3, 6), 7, 0, tool)
    if thing == "plant":
        pen.taper(x, top - 20, 11, top + 3, 8, mix((176, 96, 70), look.wall, 0.3))
        for i in range(9):
            angle = -160 + 140 * i / 8
            px, py = x + 17 * math.cos(math.radians(angle)), top - 22 + 17 * math.sin(math.radians(angle))
            pen.oval(px, py, 14, 4, angle, mix((70, 130, 74), look.wall, 0.25 + 0.2 * rng.random()))
    if thing == "lamp":
        pen.line([(x, 0), (x, 16)], 1.5, (70, 70, 74))
        pen.taper(x, 15, 9, 36, 22, muted())
        pen.ellipse(x, 36, 22, 4, (250, 240, 200))
    if thing == "clock":
        pen.ellipse(x, 34, 18, 18, shade(look.handle, 0.9))
        pen.ellipse(x, 34, 15, 15, (240, 238, 230))
        for angle, length in ((rng.uniform(0, 360), 8), (rng.uniform(0, 360), 12)):
            pen.line([(x, 34), *placed([(length, 0)], x, 34, angle)], 1.4, BLACK)


# What is cooked -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Food:
    """Colours outside and inside; half width, half height and squareness of the whole thing."""

    skin: Colour
    flesh: Colour
    width: float = 22
    height: float = 20
    power: float = 2.0
    grain: str = ""  # of what is poured, stirred and sprinkled: "" liquid, "dust", "grains" or "tubes"
    bits: Colour | None = None  # pieces that float in a liquid


FOODS = {
    "tomato": Food((208, 34, 36), (240, 92, 70), 23, 20, 2.2),
    "onion": Food((150, 58, 112), (240, 226, 238), 22, 20),
    "potato": Food((146, 106, 62), (240, 214, 138), 32, 20, 2.2),
    "carrot": Food((238, 122, 28), (250, 152, 58), 48, 12, 2.4),
    "cucumber": Food((44, 112, 48), (176, 220, 134), 50, 13, 3.2),
    "apple": Food((142, 196, 52), (246, 244, 206), 22, 21, 2.3),
    "cheese": Food((246, 184, 40), (255, 206, 70), 32, 20, 9),
    "butter": Food((250, 238, 150), (252, 242, 172), 34, 13, 8),
    "bread": Food((142, 84, 38), (222, 180, 122), 44, 22, 3.2),
    "chicken": Food((240, 174, 158), (248, 196, 180), 36, 19, 2.3),
    "egg": Food((224, 168, 128), (250, 250, 244), 20, 15),
    "nuts": Food((112, 66, 36), (206, 156, 96), 15, 13, 2.2),
    "dough": Food((236, 220, 184), (242, 228, 196), 40, 22),
    "pasta": Food((244, 208, 92), (248, 218, 112), 40, 22, grain="tubes"),
    "pancake": Food((222, 160, 78), (236, 190, 112), 36, 12),
    "soup": Food((112, 148, 58), (126, 164, 66), bits=(232, 140, 48)),
    "water": Food((150, 202, 236), (166, 212, 242)),
    "oil": Food((196, 176, 30), (206, 188, 44)),
    "milk": Food((248, 248, 246), (252, 252, 250)),
    "sauce": Food((176, 34, 22), (188, 42, 28), bits=(120, 20, 16)),
    "batter": Food((232, 204, 152), (238, 212, 164), bits=(248, 232, 196)),
    "rice": Food((244, 240, 224), (250, 247, 236), grain="grains"),
    "salt": Food((250, 250, 252), (255, 255, 255), grain="dust"),
    "pepper": Food((52, 46, 44), (38, 34, 34), grain="dust"),
}
BEATEN_EGG, YOLK, GOLDEN = (248, 206, 62), (248, 168, 24), (164, 92, 34)


def liquid_colour(name: str) -> Colour:
    return BEATEN_EGG if name == "egg" else FOODS[name].flesh


@cache
def outline(name: str) -> tuple[Point, ...]:
    """The convex outline of the whole thing around (0, 0): convex, so that clamping a coordinate cuts it."""
    food = FOODS[name]
    points = []
    for i in range(40):
        c, s = math.cos(math.tau * i / 40), math.sin(math.tau * i / 40)
        x = math.copysign(abs(c) ** (2 / food.power), c)
        y = math.copysign(abs(s) ** (2 / food.power), s)
        if name == "carrot":
            y *= 0.72 - 0.28 * x
        if name in ("egg", "chicken"):
            y *= 0.9 - 0.14 * x
        if name == "bread" and y > 0:
            y *= 0.85
        points.append((food.width * x, food.height * y))
    return tuple(points)


def whole(pen: Pen, name: str, x: float, y: float, scale: float = 1.0, cut: float = 1.0) -> None:
    """The whole thing at (x, y); `cut` below 1 takes the right part away and shows the cut face."""
    food = FOODS[name]
    edge = food.width * (2 * cut - 1)
    points = [(x + scale * min(a, edge), y + scale * b) for a, b in outline(name)]
    low = y + scale * food.height * 0.25
    pen.ellipse(
        x + scale * (edge - food.width) / 2,
        y + scale * food.height * 0.85,
        scale * (edge + food.width) / 2 + 2,
        scale * 6,
        (0, 0, 0, 55),
    )
    pen.polygon(points, food.skin)
    pen.polygon([(a, max(b, low)) for a, b in points], shade(food.skin, 0.86))
    if name not in ("cheese", "butter"):
        pen.oval(
            x - 0.35 * scale * food.width,
            y - 0.5 * scale * food.height,
            0.26 * scale * food.width,
            0.14 * scale * food.height,
            -12,
            shade(food.skin, 1.45),
        )
    details(pen, name, x, y, scale, edge)
    if cut < 1:
        face = scale * food.height * max(0.0, 1 - abs(edge / food.width) ** food.power) ** (1 / food.power)
        pen.ellipse(x + scale * edge, y, face * 0.42, face, shade(food.skin, 0.92))
        slice_face(pen, name, x + scale * edge, y, face * 0.36, face * 0.9)


def details(pen: Pen, name: str, x: float, y: float, scale: float, edge: float) -> None:
    food = FOODS[name]
    top = y - scale * food.height
    if name == "tomato":
        for angle in (-160, -125, -90, -55, -20):
            pen.oval(
                x + 6 * scale * math.cos(math.radians(angle)),
                top + 2 + 3 * scale * math.sin(math.radians(angle)),
                7 * scale,
                2 * scale,
                angle,
                (48, 128, 48),
            )
    if name == "apple":
        pen.line([(x, top + 3), (x + 3 * scale, top - 7 * scale)], 2 * scale, (96, 62, 34))
        pen.oval(x + 9 * scale, top - 4 * scale, 7 * scale, 3 * scale, -25, (76, 146, 56))
    if name == "onion":
        pen.taper(x, top + 3, 5 * scale, top - 9 * scale, 2, (206, 166, 110))
        for bend in (-0.55, 0.0, 0.55):
            if bend * food.width < edge:
                pen.line(
                    [(x, top + 2), (x + 1.15 * bend * scale * food.width, y), (x, y + 0.9 * scale * food.height)],
                    0.8,
                    shade(food.skin, 1.25),
                )
    if name == "carrot":
        for angle in (150, 172, 188, 208):
            pen.line(
                [(x - scale * 46, y), *placed([(22 * scale, 0)], x - scale * 46, y, angle)], 3.5 * scale, (62, 142, 56)
            )
        for i in range(5):
            if -30 + 15 * i < edge:
                pen.line(
                    [(x + scale * (-30 + 15 * i), y - scale * 7), (x + scale * (-28 + 15 * i), y - scale * 3)],
                    0.8,
                    shade(food.skin, 0.8),
                )
    if name == "cucumber":
        for i in range(3):
            pen.line(
                [(x - scale * 44, y - scale * (6 - 6 * i)), (x + scale * min(42, edge), y - scale * (6 - 6 * i))],
                1,
                shade(food.skin, 1.2),
            )
    if name == "potato":
        for a, b in ((-18, 3), (-6, -8), (4, 8), (14, -3), (22, 5)):
            if a < edge:
                pen.ellipse(x + scale * a, y + scale * b, 1.5 * scale, 1.1 * scale, shade(food.skin, 0.7))
    if name == "cheese":
        for a, b, r in ((-20, -6, 4), (-10, 8, 5), (4, -8, 3.5), (16, 4, 4.5), (24, -10, 3)):
            if a + r < edge:
                pen.ellipse(x + scale * a, y + scale * b, r * scale, r * scale, shade(food.skin, 0.78))
    if name == "butter":
        pen.box(x - scale * 33, top + 1, x + scale * min(33, edge), top + 5, shade(food.skin, 1.5))
    if name == "bread":
        for a in (-26, -8, 10, 28):
            if a + 4 < edge:
                pen.line(
                    [(x + scale * (a - 4), y - scale * 4), (x + scale * (a + 4), y - scale * 15)],
                    2.6 * scale,
                    (226, 184, 126),
                )
    if name == "chicken":
        pen.line([(x - scale * 34, y), (x - scale * 52, y - scale * 2)], 6 * scale, (244, 234, 220))
        pen.ellipse(x - scale * 53, y - scale * 5, 4 * scale, 4 * scale, (244, 234, 220))
        pen.ellipse(x - scale * 54, y + scale * 1, 4 * scale, 4 * scale, (244, 234, 220))
    if name == "nuts":
        pen.line(
            [(x - scale * 13, y), (x, y + 3 * scale), (x + scale * min(13, edge), y)],
            1.2 * scale,
            shade(food.skin, 0.65),
        )


def slice_face(pen: Pen, name: str, x: float, y: float, rx: float, ry: float, angle: float = 0.0) -> None:
    """The inside as a cut shows it."""
    food = FOODS[name]
    square = name in ("cheese", "butter")
    if square:
        pen.polygon(placed([(-rx, -ry), (rx, -ry * 0.9), (rx, ry * 0.9), (-rx, ry)], x, y, angle), food.flesh)
        return
    pen.oval(x, y, rx, ry, angle, food.flesh)
    if name == "onion":
        pen.oval(x, y, rx * 0.7, ry * 0.7, angle, (206, 152, 196))
        pen.oval(x, y, rx * 0.55, ry * 0.55, angle, food.flesh)
    if name == "carrot":
        pen.oval(x, y, rx * 0.5, ry * 0.5, angle, shade(food.flesh, 1.3))
    if name in ("tomato", "cucumber"):
        seed = (252, 214, 120) if name == "tomato" else (226, 244, 196)
        for a, b in ((-0.2, -0.5), (0.3, -0.1), (-0.3, 0.15), (0.15, 0.5)):
            pen.oval(*placed([(a * rx, b * ry)], x, y, angle)[0], rx * 0.22 + 0.4, ry * 0.16, angle, seed)
    if name == "apple":
        for b in (-0.2, 0.2):
            pen.oval(*placed([(0, b * ry)], x, y, angle)[0], rx * 0.2 + 0.4, ry * 0.14, angle, (96, 60, 34))


def slice_of(pen: Pen, name: str, x: float, y: float, angle: float = 0.0) -> None:
    """One slice, leaning."""
    food = FOODS[name]
    height = food.height * 0.92
    width = height * 0.48
    pen.ellipse(x + 2, y + height * 0.85, width + 3, 3, (0, 0, 0, 45))
    if name in ("cheese", "butter"):
        pen.polygon(
            placed([(-width, -height), (width, -height), (width, height), (-width, height)], x, y, angle),
            shade(food.skin, 0.85),
        )
    else:
        pen.oval(x, y, width, height, angle, food.skin)
    slice_face(pen, name, x, y, width * 0.84, height * 0.88, angle)


def piece(pen: Pen, name: str, x: float, y: float, size: float, angle: float, done: float = 0.0) -> None:
    """A bit of the food as it lies on a board, in a pan or in a pot; `done` browns it."""
    food = FOODS[name]
    flesh, skin = mix(food.flesh, GOLDEN, 0.65 * done), mix(food.skin, GOLDEN, 0.5 * done)
    if food.grain == "grains":
        pen.oval(x, y, size * 0.42, size * 0.18, angle, flesh)
    elif food.grain == "dust":
        pen.ellipse(x, y, size * 0.16, size * 0.16, flesh)
    elif food.grain == "tubes":
        (ax, ay), (bx, by) = placed([(-size * 0.7, 0), (size * 0.7, 0)], x, y, angle)
        pen.line([(ax, ay), (bx, by)], size * 0.5, shade(flesh, 0.84))
        pen.line([(ax, ay - 0.5), (bx, by - 0.5)], size * 0.3, shade(flesh, 1.15))
    elif name == "chicken":
        pen.oval(x, y + 0.14 * size, size, size * 0.55, angle, shade(skin, 0.82))
        pen.oval(x, y, size * 0.95, size * 0.5, angle, flesh)
    else:
        box = [(-0.5, -0.5), (0.5, -0.42), (0.45, 0.5), (-0.5, 0.42)]
        corners = placed([(size * a, size * 0.8 * b) for a, b in box], x, y, angle)
        pen.polygon([(a, b + size * 0.22) for a, b in corners], skin if name != "nuts" else shade(food.flesh, 0.75))
        pen.polygon(corners, flesh)


def mass(pen: Pen, name: str, x: float, y: float, rx: float, ry: float, turn: float = 0.0, seed: int = 0) -> None:
    """Liquid or grains seen in a vessel: an ellipse with what floats in it, turned by `turn` degrees."""
    food = FOODS[name]
    colour = liquid_colour(name)
    pen.ellipse(x, y, rx, ry, shade(colour, 0.84) if food.grain else colour)
    if food.grain:
        size = {"dust": 7.0, "grains": 8.0, "tubes": 13.0}[food.grain]
        if food.grain == "dust":
            pen.ellipse(x, y, rx * 0.96, ry * 0.92, mix(colour, (150, 140, 136), 0.28))
        for a, r in scatter(seed, 70 if food.grain != "tubes" else 30):
            px, py = spot(x, y, rx * 0.92, ry * 0.88, a + turn, r)
            piece(pen, name, px, py, size, a * 7 + turn)
        return
    pen.ellipse(x, y + 0.1 * ry, rx * 0.93, ry * 0.84, shade(colour, 1.1))
    pen.arc(x, y, rx * 0.72, ry * 0.66, 200, 262, 1.6, (*shade(colour, 1.7), 190))
    if food.bits:
        for a, r in scatter(seed, 16):
            px, py = spot(x, y, rx * 0.85, ry * 0.8, a + turn * (1.3 - r), r)
            pen.ellipse(px, py, 2.4, 1.5, food.bits)


@cache
def scatter(seed: int, count: int) -> tuple[tuple[float, float], ...]:
    """Places in a unit disc as (angle in degrees, radius), evenly spread."""
    rng = random.Random(seed)
    return tuple((rng.uniform(0, 360), math.sqrt(rng.random())) for _ in range(count))


def spot(x: float, y: float, rx: float, ry: float, angle: float, radius: float) -> Point:
    return x + rx * radius * math.cos(math.radians(angle)), y + ry * radius * math.sin(math.radians(angle))


# Hands, tools and vessels ---------------------------------------------------------------------------------------------


def hand(pen: Pen, look: Look, x: float, y: float, angle: float = 48.0) -> None:
    """A fist at (x, y); its arm leaves the picture at `angle` degrees (0 to the right, 90 downwards)."""
    c, s = math.cos(math.radians(angle)), math.sin(math.radians(angle))

    def p(i: float, j: float) -> Point:
        return x + c * i - s * j, y + s * i + c * j

    dark, darker = shade(look.skin, 0.86), shade(look.skin, 0.72)
    pen.polygon([p(4, -8), p(4, 8), p(64, 11.5), p(64, -11.5)], look.skin)
    pen.polygon([p(4, 3), p(4, 8), p(64, 11.5), p(64, 5)], dark)
    pen.polygon([p(54, -14), p(54, 14), p(280, 24), p(280, -24)], look.sleeve)
    pen.polygon([p(54, 5), p(54, 14), p(280, 24), p(280, 9)], shade(look.sleeve, 0.84))
    pen.polygon([p(52, -14.5), p(52, 14.5), p(57, 15), p(57, -15)], shade(look.sleeve, 1.2))
    pen.oval(*p(3, 0), 13, 11.5, angle, darker)
    pen.oval(*p(3.4, -0.6), 12.2, 10.6, angle, look.skin)
    for j in (7.4, 2.6, -2.2, -7.0):
        pen.line([p(1, j), p(-9, 0.9 * j)], 6.2, darker)
        pen.line([p(1, j - 0.4), p(-8.6, 0.9 * j - 0.4)], 4.8, look.skin)
    pen.line([p(8, -9), p(-3, -11.5)], 6.4, darker)
    pen.line([p(8, -9.4), p(-2.8, -11.8)], 5.2, shade(look.skin, 1.06))


def knife(pen: Pen, look: Look, x: float, y: float, angle: float) -> None:
    """A chef's knife: (x, y) is where blade and handle meet, the blade points left; with the hand that holds it."""
    pen.polygon(placed([(0, -5), (-56, -6), (-74, 4), (-60, 8), (-30, 10), (0, 9)], x, y, angle), look.metal)
    pen.polygon(
        placed([(0, 5), (-30, 6.5), (-58, 5.5), (-74, 4), (-60, 8), (-30, 10), (0, 9)], x, y, angle),
        shade(look.metal, 1.5),
    )
    pen.line(placed([(0, 0), (32, 0)], x, y, angle), 9, look.handle)
    hand(pen, look, *placed([(17, 1)], x, y, angle)[0], 42 + angle * 0.4)


def spoon(pen: Pen, look: Look, tip: Point, grip: Point, colour: Colour) -> None:
    """From the hand at `grip` down to `tip`."""
    pen.line([tip, grip], 4.6, shade(colour, 0.8))
    pen.line([(tip[0] - 0.7, tip[1]), (grip[0] - 0.7, grip[1])], 2.8, colour)
    pen.oval(tip[0], tip[1], 8, 5, 0, shade(colour, 0.86))
    hand(pen, look, grip[0], grip[1], 44)


def board(pen: Pen, look: Look) -> None:
    pen.polygon([(42, 214), (284, 214), (276, 220), (50, 220)], (0, 0, 0, 60))
    pen.polygon([(62, 160), (258, 160), (288, 206), (32, 206)], look.board)
    pen.box(32, 206, 288, 214, shade(look.board, 0.7))
    for i in range(5):
        pen.draw.line(
            pen.at([(56 - 5 * i, 167 + 8 * i), (264 + 5 * i, 167 + 8 * i)]), (*shade(look.board, 0.85), 130), 2
        )


def pot(pen: Pen, look: Look, x: float, y: float, rx: float, depth: float) -> None:
    """A pot whose rim is the ellipse (x, y, rx, 0.3 rx)."""
    ry = 0.3 * rx
    pen.ellipse(x + 4, y + depth + 4, rx * 1.12, ry * 1.1, (0, 0, 0, 70))
    for side in (-1, 1):
        pen.line([(x + side * rx * 0.95, y + 12), (x + side * (rx + 13), y + 11)], 7, shade(look.handle, 0.9))
    pen.ellipse(x, y + depth, rx * 0.94, ry, shade(look.pot, 0.8))
    pen.taper(x, y, rx, y + depth, rx * 0.94, look.pot)
    pen.polygon(
        [(x + rx * 0.45, y), (x + rx, y), (x + rx * 0.94, y + depth), (x + rx * 0.45, y + depth + ry * 0.86)],
        shade(look.pot, 0.82),
    )
    pen.polygon(
        [(x - rx * 0.8, y), (x - rx * 0.6, y), (x - rx * 0.58, y + depth + 6), (x - rx * 0.76, y + depth + 4)],
        shade(look.pot, 1.3),
    )
    pen.ellipse(x, y, rx * 1.03, ry * 1.06, shade(look.pot, 0.62))
    pen.ellipse(x, y + 1, rx * 0.96, ry * 0.94, shade(look.pot, 0.45))


def bowl(pen: Pen, look: Look, x: float, y: float, rx: float, depth: float) -> None:
    """A bowl whose rim is the ellipse (x, y, rx, 0.3 rx)."""
    ry = 0.3 * rx
    pen.ellipse(x + 3, y + depth + 1, rx * 0.66, ry * 0.55, (0, 0, 0, 80))
    side = [(x + rx * math.cos(a), y + depth * math.sin(a) ** 0.8) for a in (math.pi * i / 18 for i in range(1, 18))]
    pen.polygon([(x + rx, y), *side, (x - rx, y)], look.bowl)
    pen.polygon([(x + rx, y), *side[:7], (x + rx * 0.55, y)], shade(look.bowl, 0.84))
    pen.ellipse(x, y + depth, rx * 0.44, 5, shade(look.bowl, 0.7))
    pen.oval(x - rx * 0.6, y + depth * 0.45, 4, depth * 0.24, 28, shade(look.bowl, 1.4))
    pen.ellipse(x, y, rx, ry, shade(look.bowl, 1.25))
    pen.ellipse(x, y + 1, rx * 0.95, ry * 0.92, shade(look.bowl, 0.72))


def pan(pen: Pen, look: Look, x: float, y: float, rx: float, tilt: float = 0.0) -> None:
    """A frying pan with its handle to the right, raised by `tilt` degrees."""
    ry = 0.34 * rx
    pen.line(placed([(rx * 0.9, 2), (rx + 54, -6)], x, y, tilt), 9, shade(look.handle, 0.9))
    pen.oval(x, y + 8, rx * 0.94, ry, tilt, (34, 34, 38))
    pen.oval(x, y, rx, ry, tilt, (58, 58, 64))
    pen.oval(x, y + 1, rx * 0.94, ry * 0.92, tilt, (30, 30, 34))
    pen.oval(x, y + 4, rx * 0.84, ry * 0.78, tilt, (44, 44, 50))


def plate(pen: Pen, look: Look, x: float, y: float, rx: float) -> None:
    ry = 0.32 * rx
    pen.ellipse(x + 3, y + 5, rx, ry, (0, 0, 0, 60))
    pen.ellipse(x, y + 3, rx, ry, shade(look.plate, 0.78))
    pen.ellipse(x, y, rx, ry, look.plate)
    pen.ellipse(x, y + 1, rx * 0.74, ry * 0.7, shade(look.plate, 0.9))


def stove(pen: Pen, x: float, y: float, rx: float) -> None:
    pen.ellipse(x, y, rx * 1.3, rx * 0.42, (30, 30, 34))
    pen.ellipse(x, y, rx * 1.15, rx * 0.36, (52, 46, 48))
    pen.ellipse(x, y, rx * 1.02, rx * 0.32, (226, 88, 36))


def steam(pen: Pen, x: float, y: float, t: float, strength: float, seed: int) -> None:
    """Clouds that rise, grow and fade."""
    count = int(9 * strength)
    for i in range(count):
        a, r = scatter(seed, 12)[i]
        age = (t * (0.45 + 0.2 * r) + a / 360) % 1
        sway = 7 * math.sin(5 * age + a)
        alpha = int(120 * strength * math.sin(math.pi * age))
        pen.oval(
            x + (a / 180 - 1) * 36 * (0.6 + 0.5 * age) + sway,
            y - 12 - 90 * age,
            6 + 12 * age,
            5 + 8 * age,
            0,
            (244, 246, 250, alpha),
        )


# The sixteen actions --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Stage:
    """What an action gets: the pen of the still picture, what is cooked, and the step's own numbers."""

    pen: Pen
    food: str
    look: Look
    rng: random.Random
    duration: float  # seconds, of the whole step
    pace: float  # about 1; how fast the hand is


def slice_(s: Stage) -> Moment:
    """Slow strokes through a thing that gets shorter; each leaves a slice."""
    board(s.pen, s.look)
    strokes = max(5, round(s.duration * 1.35 * s.pace))
    food = FOODS[s.food]
    left = s.rng.uniform(112, 126) - max(0, food.width - 34)
    tilts = [s.rng.uniform(-14, 14) for _ in range(strokes)]

    def moment(pen: Pen, t: float) -> None:
        done, phase = divmod(clamp(t / s.duration, 0, 0.999) * strokes, 1)
        left_over = 1 - 0.78 * (done + (phase > 0.5)) / strokes
        for i in range(int(done + (phase > 0.5))):
            slice_of(pen, s.food, 178 + 84 * i / strokes + 3 * (i % 2), 188 - 5 * (i % 3), tilts[i])
        whole(pen, s.food, left, 180 - food.height * 0.5, 1.15, left_over)
        edge = left + 1.15 * food.width * (2 * left_over - 1)
        down = 0.5 - 0.5 * math.cos(math.tau * phase)
        knife(pen, s.look, edge + 40 - 16 * down, 128 + 40 * down, 20 - 18 * down)

    return moment


def chop(s: Stage) -> Moment:
    """Fast blows all over a heap of pieces that get smaller and more."""
    board(s.pen, s.look)
    heap = [(s.rng.gauss(0, 1), s.rng.gauss(0, 1), s.rng.uniform(0, 90)) for _ in range(64)]
    hertz = 3.0 * s.pace

    def moment(pen: Pen, t: float) -> None:
        p = t / s.duration
        count, size = int(18 + 46 * p), 15 - 7.5 * p
        blow = math.floor(t * hertz)
        pen.ellipse(158, 192, 74, 13, (0, 0, 0, 40))
        for i, (a, b, angle) in enumerate(heap[:count]):
            hop = 2.5 * ((i * 7 + blow) % 5 == 0) * (1 - (t * hertz) % 1)
            piece(pen, s.food, 156 + 32 * a + ((i + blow) % 3 - 1), 186 + 6.5 * b - hop, size, angle + 11 * (blow % 7))
        lift = abs(math.cos(math.pi * hertz * t))
        x = 186 + 40 * swing(t, 0.3 * s.pace)
        knife(pen, s.look, x, 172 - 20 * lift, 4 + 13 * lift)

    return moment


def peel(s: Stage) -> Moment:
    """Long strokes from left to right; each bares a band, a strip curls off the peeler."""
    board(s.pen, s.look)
    bands = 6
    hertz = bands / s.duration
    food, scale = FOODS[s.food], 1.5 if FOODS[s.food].width < 40 else 1.25
    x0, y0 = 140, 172 - food.height * 0.35
    fallen = [(s.rng.uniform(60, 250), s.rng.uniform(190, 202), s.rng.uniform(-25, 25)) for _ in range(bands)]

    def strip(pen: Pen, x: float, y: float, angle: float, length: float) -> None:
        points = [(length * (i / 6 - 0.5), 4 * math.sin(i * 1.1)) for i in range(7)]
        pen.line(placed([(a, b + 1) for a, b in points], x, y, angle), 4.5, shade(food.flesh, 0.9))
        pen.line(placed(points, x, y, angle), 3.6, food.skin)

    def moment(pen: Pen, t: float) -> None:
        done, phase = divmod(clamp(t * hertz, 0, bands - 0.001), 1)
        stroke = ease(phase / 0.7)
        for x, y, angle in fallen[: int(done)]:
            strip(pen, x, y, angle, 34)
        whole(pen, s.food, x0, y0, scale)
        high = 2 * food.height / bands
        bare = food.flesh if s.food != "carrot" else shade(food.flesh, 1.3)
        for band in range(int(done) + 1):
            end = food.width * (2 * stroke - 1) if band == done else food.width
            top, low = -food.height + band * high, -food.height + (band + 1) * high
            points = [(x0 + scale * min(a, end), y0 + scale * clamp(b, top, low)) for a, b in outline(s.food)]
            pen.polygon(points, bare if band % 2 else shade(bare, 0.95))
        back = 1 - ease((phase - 0.7) / 0.3)
        x = x0 - scale * food.width + 2 * scale * food.width * stroke * back
        y = (
            y0
            - scale * food.height * 0.75
            + scale * high * done * 0.7
            - (14 * math.sin(math.pi * (phase - 0.7) / 0.3) if phase > 0.7 else 0)
        )
        if phase < 0.85:
            curl = 8 + 26 * stroke
            points = [(x - 2 - 3 * math.sin(i), y - 6 + i * curl / 6) for i in range(7)]
            pen.line(points, 4.6, shade(food.flesh, 0.9))
            pen.line(points, 3.4, food.skin)
        pen.line([(x - 3, y - 8), (x + 4, y + 8)], 4, s.look.metal)
        pen.line([(x, y), (x + 16, y - 12)], 4, shade(s.look.metal, 0.8))
        pen.line([(x + 14, y - 11), (x + 36, y - 27)], 7, s.look.handle)
        hand(pen, s.look, x + 30, y - 22, 40)

    return moment


def grate(s: Stage) -> Moment:
    """A hand with a lump goes up and down a grater; shreds fall and heap up."""
    x0, y0 = 150, 196
    plate(s.pen, s.look, x0, y0, 84)
    shreds = [(s.rng.uniform(-1, 1), s.rng.random(), s.rng.uniform(0, 180)) for _ in range(130)]
    hertz, food = 1.5 * s.pace, FOODS[s.food]

    def moment(pen: Pen, t: float) -> None:
        p = t / s.duration
        for a, b, angle in shreds[: int(12 + 118 * p)]:
            x, y = x0 + 52 * a, y0 + 6 - (12 * p * b + 4 * b) * (1 - a * a)
            pen.line(placed([(-5, 0), (5, 0)], x, y, angle if a > 0 else -angle), 2, shade(food.flesh, 0.86 + 0.22 * b))
        pen.taper(x0, 96, 24, y0 - 2, 42, s.look.metal)
        pen.polygon([(x0 + 24, 96), (x0 + 34, 101), (x0 + 52, y0 - 8), (x0 + 42, y0 - 2)], shade(s.look.metal, 0.7))
        pen.box(x0 - 26, 90, x0 + 26, 98, s.look.handle)
        for row in range(7):
            for column in range(5):
                hx = x0 + (column - 2 + 0.5 * (row % 2) - 0.25) * (9 + 0.9 * row)
                pen.ellipse(hx, 107 + 12 * row, 2.2, 1.6, shade(s.look.metal, 0.5))
        for i in range(6):
            fall = (t * 2.1 + i / 6) % 1
            x = x0 - 36 + 12 * i + 4 * math.sin(9 * i)
            pen.line(placed([(-4, 0), (4, 0)], x, 168 + fall * 24, 50 * i + 90 * fall), 2, food.flesh)
        down = 0.5 + 0.5 * swing(t, hertz)
        x, y = x0 - 2 + 10 * down, 112 + 54 * down
        size = 1 - 0.35 * p
        lump = min(1.0, 24 / food.width) * size
        whole(pen, s.food, x - 2, y + 3, lump * 1.15)
        slice_face(pen, s.food, x - 18 * size, y + 4, 4 * size, 10 * size)
        hand(pen, s.look, x + 16, y - 4, 40)

    return moment


def pour(s: Stage) -> Moment:
    """A jug or bottle is tipped, a stream falls, the level in the vessel rises."""
    x0 = 138
    vessel = s.rng.choice(["glass", "bowl", "pot", "pan"][: 2 if s.food == "pepper" else 4])  # black on black hides it
    jug = s.rng.choice(["bottle", "jug"]) if not FOODS[s.food].grain else "jug"
    rx, top, depth = {"glass": (46, 146, 56), "pan": (64, 186, 0), "pot": (56, 152, 46), "bowl": (60, 160, 44)}[vessel]
    if vessel == "pan":
        pan(s.pen, s.look, x0, top, rx)
    elif vessel == "pot":
        pot(s.pen, s.look, x0, top, rx, depth)
    elif vessel == "bowl":
        bowl(s.pen, s.look, x0, top, rx, depth)
    else:
        s.pen.ellipse(x0 + 4, top + depth + 4, rx, 12, (0, 0, 0, 60))
        s.pen.taper(x0, top, rx, top + depth + 4, rx * 0.9, (235, 245, 250, 80))
        s.pen.ellipse(x0, top + depth + 3, rx * 0.9, 12, (235, 245, 250, 90))
        s.pen.ellipse(x0, top, rx, 13, (220, 232, 240, 110))
    food, colour = FOODS[s.food], liquid_colour(s.food)
    seed, body = (
        s.rng.getrandbits(16),
        s.rng.choice([(226, 236, 240), (170, 204, 196), (222, 206, 190), (204, 190, 222)]),
    )

    def level(pen: Pen, p: float) -> float:
        """Draws what is in the vessel and returns the height of its surface."""
        if vessel == "glass":
            y = top + depth - 8 - (depth - 22) * p
            pen.ellipse(x0, top + depth, rx * 0.86, 11, (*shade(colour, 0.9), 255))
            pen.taper(x0, y, rx * 0.9, top + depth, rx * 0.86, shade(colour, 0.9))
            mass(pen, s.food, x0, y, rx * 0.9, 12, 40 * p, seed)
            pen.polygon(
                [
                    (x0 - rx * 0.8, top + 8),
                    (x0 - rx * 0.64, top + 10),
                    (x0 - rx * 0.6, top + depth),
                    (x0 - rx * 0.72, top + depth - 2),
                ],
                (255, 255, 255, 90),
            )
            pen.arc(x0, top, rx, 13, 0, 360, 1.6, (246, 250, 252, 220))
            return y
        size = 0.3 + 0.62 * ease(p * 1.3)
        y = top + {"pan": 4, "pot": 8 - 7 * p, "bowl": 9 - 8 * p}[vessel]
        mass(pen, s.food, x0, y, rx * size * (0.88 if vessel == "pan" else 0.96), rx * 0.28 * size, 40 * p, seed)
        return y

    def container(pen: Pen, x: float, y: float, angle: float) -> Point:
        """The vessel in the hand, its spout at the returned point."""
        if jug == "bottle":
            shape = [(-62, -5), (-44, -6), (-32, -16), (22, -16), (22, 16), (-32, 16), (-44, 6), (-62, 5)]
            pen.polygon(placed(shape, x, y, angle), shade(colour, 0.8))
            pen.polygon(placed([(-30, -13), (20, -13), (20, -4), (-30, -4)], x, y, angle), shade(colour, 1.25))
            pen.polygon(placed([(-14, -16), (10, -16), (10, 16), (-14, 16)], x, y, angle), body)
            pen.polygon(placed([(-62, -6), (-54, -6), (-54, 6), (-62, 6)], x, y, angle), shade(body, 0.7))
            return placed([(-62, 3)], x, y, angle)[0]
        pen.line(placed([(8, 18), (26, 20), (28, 34), (-6, 26)], x, y, angle), 5, shade(body, 0.75))
        pen.polygon(placed([(-46, -22), (-34, -26), (22, -20), (22, 20), (-34, 22), (-40, 18)], x, y, angle), body)
        pen.polygon(placed([(-40, -20), (-34, -22), (2, -18), (2, 17), (-34, 18)], x, y, angle), shade(colour, 0.9))
        pen.oval(*placed([(-36, -2)], x, y, angle)[0], 5, 22, angle, colour)
        return placed([(-45, -20)], x, y, angle)[0] if angle < -70 else placed([(-38, 18)], x, y, angle)[0]

    def moment(pen: Pen, t: float) -> None:
        p = t / s.duration
        tip = ease(p / 0.1) * ease((1 - p) / 0.06)
        surface = level(pen, clamp((p - 0.08) / 0.86))
        hx, hy = x0 + 62 + 3 * swing(t, 0.4), 88 + 3 * swing(t, 0.7 * s.pace) + 6 * (1 - tip)
        spout = container(pen, hx, hy, 62 - 82 * tip)
        if tip > 0.8:
            stream(pen, spout, surface, t)
        if jug == "bottle":
            hand(pen, s.look, hx + 10, hy + 8, 50)
        else:
            hand(pen, s.look, *placed([(22, 28)], hx, hy, 62 - 82 * tip)[0], 50)

    def stream(pen: Pen, spout: Point, surface: float, t: float) -> None:
        if food.grain:
            for i in range(46):
                fall = (t * 2.4 + i / 46) % 1
                x = spout[0] - 12 * math.sqrt(fall) + 5 * math.sin(i * 12.9) * (0.3 + fall)
                piece(
                    pen,
                    s.food,
                    x,
                    spout[1] + fall * (surface - spout[1]),
                    8 if food.grain != "tubes" else 12,
                    50 * i + 200 * t,
                )
            return
        edge = []
        for i in range(9):
            f = i / 8
            x = spout[0] - 13 * math.sqrt(f) + 1.6 * math.sin(9 * f - 16 * t)
            edge.append((x, spout[1] + f * (surface - spout[1]), 4.2 - 1.6 * f + 0.9 * math.sin(14 * f - 23 * t)))
        pen.polygon([(x - w, y) for x, y, w in edge] + [(x + w, y) for x, y, w in reversed(edge)], shade(colour, 0.93))
        pen.polygon([(x - w * 0.5, y) for x, y, w in edge] + [(x, y) for x, y, w in reversed(edge)], shade(colour, 1.4))
        x = edge[-1][0]
        for i in range(3):
            ring = (t * 1.6 + i / 3) % 1
            pen.arc(x, surface, 5 + 20 * ring, 2 + 6 * ring, 0, 360, 1.2, (*shade(colour, 0.75), int(200 * (1 - ring))))

    return moment


def stir(s: Stage) -> Moment:
    """A spoon goes round slowly in a pot, a pan or a bowl, and what is in it goes round with it."""
    x0, vessel, seed = (
        148,
        s.rng.choice(["bowl", "pot", "pan"][: 1 if s.food == "pepper" else 3]),
        s.rng.getrandbits(16),
    )
    rx, y0 = {"pot": (64, 154), "bowl": (68, 158), "pan": (72, 184)}[vessel]
    {
        "pot": lambda: pot(s.pen, s.look, x0, y0, rx, 50),
        "bowl": lambda: bowl(s.pen, s.look, x0, y0, rx, 48),
        "pan": lambda: pan(s.pen, s.look, x0, y0, rx),
    }[vessel]()
    hertz, sense = 0.75 * s.pace, s.rng.choice([-1, 1])
    colour = liquid_colour(s.food)
    wood = shade((178, 122, 70), s.rng.uniform(0.8, 1.15))

    def moment(pen: Pen, t: float) -> None:
        turn = sense * 360 * hertz * t
        y = y0 + (4 if vessel == "pan" else 3)
        mass(pen, s.food, x0, y, rx * 0.9, rx * 0.26, turn * 0.8, seed)
        if not FOODS[s.food].grain:
            for r, a in ((0.72, 0), (0.5, 140), (0.3, 250)):
                pen.arc(x0, y, rx * r, rx * 0.26 * r, turn + a, turn + a + 100, 1.8, (*shade(colour, 0.72), 150))
                pen.arc(x0, y + 1.4, rx * r, rx * 0.26 * r, turn + a, turn + a + 80, 1.2, (*shade(colour, 1.6), 150))
        tip = spot(x0, y, rx * 0.58, rx * 0.17, turn, 1)
        spoon(pen, s.look, tip, (tip[0] * 0.6 + (x0 + 60) * 0.4 + 6, y0 - 62 + 0.8 * (tip[1] - y)), wood)

    return moment


def whisk(s: Stage) -> Moment:
    """Fast short strokes of a wire whisk in a bowl; froth appears."""
    x0, y0, rx = 148, 158, 66
    bowl(s.pen, s.look, x0, y0, rx, 48)
    seed, hertz, colour = s.rng.getrandbits(16), 4.2 * s.pace, liquid_colour(s.food)

    def moment(pen: Pen, t: float) -> None:
        p = t / s.duration
        mass(pen, s.food, x0, y0 + 3, rx * 0.9, rx * 0.26, 60 * swing(t, hertz / 2), seed)
        for i, (a, r) in enumerate(scatter(seed + 1, 44)[: int(8 + 36 * p)]):
            x, y = spot(x0, y0 + 3, rx * 0.82, rx * 0.22, a + 30 * swing(t, hertz / 2) * r, r)
            pen.ellipse(x, y, 1.6 + i % 3, 1.1 + 0.6 * (i % 3), shade(colour, 1.55 if i % 2 else 0.8))
        sweep = swing(t, hertz)
        tip = (x0 + 30 * sweep, y0 + 5 + 6 * math.cos(math.tau * hertz * t))
        grip = (x0 + 42 + 15 * sweep, y0 - 64)
        for ring in range(2):
            pen.arc(tip[0], tip[1] - 1, 9 + 7 * ring, 4 + 2 * ring, 0, 360, 1.2, (*shade(colour, 0.78), 140))
        neck = (tip[0] * 0.42 + grip[0] * 0.58, tip[1] * 0.42 + grip[1] * 0.58)
        for bulge in (-13, -6.5, 0, 6.5, 13):
            middle = (tip[0] * 0.72 + neck[0] * 0.28 + bulge, tip[1] * 0.72 + neck[1] * 0.28)
            pen.line([neck, middle, (tip[0] + bulge * 0.5, tip[1])], 1.5, shade(s.look.metal, 1.25 if bulge else 0.8))
        pen.line([neck, grip], 6, shade(s.look.metal, 0.75))
        hand(pen, s.look, *grip, 44)

    return moment


def flip(s: Stage) -> Moment:
    """The pan is jerked up, what is in it turns over in the air and falls back."""
    x0, y0, rx = 136, 188, 66
    stove(s.pen, x0, y0 + 16, rx * 0.8)
    cycles = max(3, round(s.duration * 0.75 * s.pace))
    turns = s.rng.choice([1, 1, 1.5])

    def moment(pen: Pen, t: float) -> None:
        done, phase = divmod(clamp(t / s.duration, 0, 0.999) * cycles, 1)
        fly = clamp((phase - 0.32) / 0.5)
        dip = 6 * math.sin(math.pi * clamp(phase / 0.32)) - 18 * math.sin(math.pi * clamp((phase - 0.2) / 0.3))
        px, py = x0 + 3 * swing(t, 1.2), y0 + dip
        pan(pen, s.look, px, py, rx, -0.45 * max(0.0, -dip))
        up = 4 * fly * (1 - fly)
        if up > 0.02:
            pen.ellipse(px, py + 4, 34 - 12 * up, 9 - 3 * up, (0, 0, 0, 90))
        cake(pen, px, py + 1 - 92 * up, 360 * turns * fly, done + (fly > 0.5))
        hand(pen, s.look, px + rx + 34, py - 1 + 0.3 * dip, 40)

    def cake(pen: Pen, x: float, y: float, roll: float, sides: float) -> None:
        food = FOODS[s.food]
        face = math.cos(math.radians(roll))
        flat = max(0.16, 0.3 * abs(face) + 0.14) if 0 < roll < 360 * turns else 0.3
        tilt = 18 * math.sin(math.radians(roll))
        browned = (sides + (face < 0)) % 2
        size = {"pancake": 44, "egg": 42, "bread": 36}.get(s.food, 40)
        colour = {"pancake": food.skin, "chicken": mix(food.flesh, GOLDEN, 0.25)}.get(s.food, food.flesh)
        colour = mix(colour, GOLDEN, 0.35 if browned and s.food != "egg" else 0.0)
        rim = food.skin if s.food == "bread" else shade(colour, 0.78)
        if s.food == "bread":
            box = [(-1, -0.9), (-0.4, -1.1), (0.4, -1.1), (1, -0.9), (0.92, 1), (-0.92, 1)]
            pen.polygon(placed([(size * a, size * flat * b + 5) for a, b in box], x, y, tilt), shade(rim, 0.9))
            pen.polygon(placed([(size * a, size * flat * b) for a, b in box], x, y, tilt), rim)
            pen.polygon(placed([(size * 0.86 * a, size * flat * 0.84 * b) for a, b in box], x, y, tilt), colour)
            return
        pen.oval(x, y + 4, size, size * flat, tilt, rim)
        if s.food == "egg":
            for dx, dy, r in ((-12, 3, 0.8), (12, -2, 0.82)):
                pen.oval(x + dx, y + dy * flat, size * r, size * flat * r * 1.1, tilt, colour)
            if not browned:
                pen.oval(x, y - 3, 14, 14 * flat * 1.8, tilt, YOLK)
                pen.oval(x - 4, y - 4, 4, 5 * flat, tilt, (255, 206, 90))
            return
        if s.food == "chicken":
            pen.oval(x + 18, y + 1, size * 0.62, size * flat * 0.8, tilt, colour)
            pen.line(placed([(-size * 0.8, 0), (-size * 1.25, -3)], x, y, tilt), 6, (244, 234, 220))
        pen.oval(x, y, size * (0.98 if s.food == "pancake" else 0.86), size * flat * 0.94, tilt, colour)
        if s.food == "pancake":
            pen.oval(x, y, size * 0.72, size * flat * 0.66, tilt, mix(colour, GOLDEN, 0.45))
        pen.oval(x - 8, y - 2, size * 0.22, size * flat * 0.2, tilt, shade(colour, 1.35))

    return moment


def crack(s: Stage) -> Moment:
    """Knocked twice on the rim, opened above the bowl, the inside falls."""
    x0, y0, rx = 140, 166, 66
    bowl(s.pen, s.look, x0, y0, rx, 44)
    cycles = max(2, round(s.duration / 2.1 * s.pace))
    seed, food = s.rng.getrandbits(16), FOODS[s.food]

    def inside(pen: Pen, x: float, y: float, scale: float = 1.0) -> None:
        if s.food == "egg":
            pen.ellipse(x, y, 17 * scale, 8 * scale, (246, 242, 226, 190))
            pen.ellipse(x, y - 1, 9 * scale, 6.5 * scale, YOLK)
            pen.ellipse(x - 3, y - 3, 2.6, 1.6, (255, 214, 110))
        else:
            for dx in (-5, 4):
                pen.oval(x + dx, y, 7, 5.5, 30 * dx, food.flesh)
                pen.line([(x + dx - 4, y), (x + dx + 4, y + 1)], 1.2, shade(food.flesh, 0.7))

    def shell(pen: Pen, x: float, y: float, angle: float, half: int) -> None:
        r, h = (18, 14) if s.food == "egg" else (14, 12)
        points = [(r * a, h * b) for a, b in CIRCLE if half * a >= -0.01 or not half]
        if half:
            points += (
                [(half * -1, h * 0.5), (half * 3, 0), (half * -2, -h * 0.4)]
                if half < 0
                else [(-1, -h * 0.5), (3, 0), (-2, h * 0.4)]
            )
        pen.polygon(placed(points, x, y, angle), food.skin)
        if half:
            pen.oval(*placed([(half * 2, 0)], x, y, angle)[0], 4, h * 0.8, angle, shade(food.flesh, 0.9))
        else:
            pen.oval(x - 5, y - 6, 5, 2.6, angle, shade(food.skin, 1.4))

    def moment(pen: Pen, t: float) -> None:
        done, phase = divmod(clamp(t / s.duration, 0, 0.999) * cycles, 1)
        inner = int(done + (phase > 0.76))
        if inner and s.food == "egg":
            grow = min(1.0, 0.5 + 0.12 * inner)
            pen.ellipse(x0, y0 + 4, rx * 0.84 * grow, rx * 0.24 * grow, (244, 240, 222))
        for a, r in scatter(seed, 12)[:inner]:
            inside(pen, *spot(x0, y0 + 3, rx * 0.5, rx * 0.12, a, r))
        if phase < 0.46:  # two knocks on the right rim
            knock = abs(math.sin(math.tau * phase / 0.46))
            x, y = x0 + 68 + 10 * knock, y0 - 14 - 36 * knock
            shell(pen, x, y, 20, 0)
            if phase > 0.12:
                pen.line([(x - 6, y - 5), (x - 3, y + 1), (x - 7, y + 5), (x - 3, y + 10)], 1.2, (90, 60, 44))
            hand(pen, s.look, x + 15, y - 3, 42)
            return
        over, apart = ease((phase - 0.46) / 0.12), ease((phase - 0.58) / 0.1)
        away = ease((phase - 0.86) / 0.14)
        x, y = x0 + 78 - 68 * over + 110 * away, y0 - 50 - 22 * over
        if 0.6 < phase <= 0.76:
            fall = (phase - 0.6) / 0.16
            inside(pen, x0 + 6, y + 8 + (y0 - y - 6) * fall * fall, 0.85)
        shell(pen, x - 6 - 18 * apart, y - 4 * apart, 24 * apart, -1)
        shell(pen, x + 2 + 12 * apart, y - 4 * apart, -24 * apart, 1)
        hand(pen, s.look, x - 26 - 14 * apart, y - 8, 132)
        hand(pen, s.look, x + 20 + 12 * apart, y - 8, 42)

    return moment


def press(s: Stage) -> Moment:
    """Two fists push into a lump by turns; it gives way and springs back."""
    x0, y0 = 152, 198
    s.pen.ellipse(x0, y0 + 4, 112, 26, (*shade(s.look.counter, 1.35), 190))
    for a, r in scatter(s.rng.getrandbits(16), 40):
        s.pen.ellipse(*spot(x0, y0 + 4, 108, 24, a, r), 1.5, 0.9, (252, 248, 238))
    food, hertz = FOODS[s.food], 0.95 * s.pace
    colour = mix(food.skin, food.flesh, 0.5) if s.food != "bread" else (172, 118, 70)

    def moment(pen: Pen, t: float) -> None:
        wave = swing(t, hertz)
        low, high = 0.5 + 0.5 * wave, 0.5 - 0.5 * wave  # left and right fist
        push = abs(wave)
        pen.ellipse(x0, y0 + 8, 78 + 6 * push, 14, (0, 0, 0, 60))
        width, height = 70 + 10 * push, 50 - 8 * push
        points = []
        for i in range(25):
            a = math.pi * i / 24
            x = math.cos(a)
            dent = 20 * low * math.exp(-(((x + 0.42) / 0.28) ** 2)) + 20 * high * math.exp(-(((x - 0.42) / 0.28) ** 2))
            points.append((x0 + width * x, y0 - height * math.sin(a) ** 0.75 + dent * math.sin(a)))
        base = [(x0 - width * math.cos(math.pi * i / 12), y0 + 14 * math.sin(math.pi * i / 12)) for i in range(13)]
        pen.polygon(points + base, colour)
        pen.polygon([(x, max(y, y0 - 8)) for x, y in points] + base, shade(colour, 0.88))
        pen.oval(x0 - 34 + 4 * wave, y0 - height * 0.62, 15, 4, -24, shade(colour, 1.4))
        for i in (-1, 0, 1):
            pen.arc(x0 + 20 * i, y0 - 4, 14 + 4 * push, 7, 20, 150, 1.4, (*shade(colour, 0.72), 160))
        hand(pen, s.look, x0 - 30, y0 - 54 + 20 * low, 112 - 60)
        hand(pen, s.look, x0 + 32, y0 - 54 + 20 * high, 48)

    return moment


def roll(s: Stage) -> Moment:
    """A rolling pin in two hands goes to and fro over a sheet that grows."""
    x0, y0 = 152, 190
    s.pen.ellipse(x0, y0 + 4, 124, 36, (*shade(s.look.counter, 1.35), 190))
    food, hertz = FOODS[s.food], 0.8 * s.pace
    colour = mix(food.skin, food.flesh, 0.5) if s.food != "bread" else (172, 118, 70)
    wood, wobble = shade((206, 158, 102), s.rng.uniform(0.75, 1.1)), [s.rng.uniform(0.93, 1.07) for _ in CIRCLE]

    def moment(pen: Pen, t: float) -> None:
        p = ease(t / s.duration)
        rx, ry, thick = 52 + 56 * p, 20 + 14 * p, 13 - 9 * p
        sheet = [(x0 + rx * a * w, y0 + ry * b * w) for (a, b), w in zip(CIRCLE, wobble, strict=True)]
        pen.polygon([(x, y + 3 + thick / 2) for x, y in sheet], (0, 0, 0, 60))
        pen.polygon([(x, y + thick / 2) for x, y in sheet], shade(colour, 0.76))
        pen.polygon([(x, y - thick / 2) for x, y in sheet], colour)
        pen.oval(x0 - 0.4 * rx, y0 - 0.45 * ry - thick / 2, 0.3 * rx, 0.13 * ry, -8, shade(colour, 1.4))
        wave = swing(t, hertz)
        y, half = y0 - thick / 2 - 10 + 19 * wave, 58 + 4 * wave
        pen.ellipse(x0, y + 11, half, 5, (0, 0, 0, 70))
        pen.line([(x0 - half - 22, y), (x0 + half + 22, y)], 6, shade(wood, 0.7))
        pen.line([(x0 - half, y), (x0 + half, y)], 19, shade(wood, 0.8))
        pen.line([(x0 - half, y - 3), (x0 + half, y - 3)], 12, wood)
        for i in range(4):  # the grain of the wood turns with the pin
            turn = (t * hertz * 2 + i / 4) % 1
            pen.line([(x0 - half + 8, y - 8 + 15 * turn), (x0 + half - 8, y - 8 + 15 * turn)], 0.8, shade(wood, 0.84))
        hand(pen, s.look, x0 - half - 16, y - 2, 118)
        hand(pen, s.look, x0 + half + 16, y - 2, 62)

    return moment


DISHES = [
    ((126, 164, 66), (100, 138, 50)),
    ((222, 170, 96), (240, 206, 140)),
    ((172, 58, 40), (200, 90, 60)),
    ((150, 112, 84), (172, 134, 100)),
    ((110, 150, 160), (132, 172, 180)),
]


def sprinkle(s: Stage) -> Moment:
    """A hand shakes above a dish; grains fall and stay."""
    x0, y0, rx = 148, 190, 82
    plate(s.pen, s.look, x0, y0, rx)
    base, light = s.rng.choice([d for d in DISHES if s.food != "cheese" or d[0][0] != 222])
    s.pen.ellipse(x0, y0, rx * 0.78, rx * 0.235, shade(base, 0.8))
    s.pen.ellipse(x0, y0 - 2, rx * 0.76, rx * 0.225, base)
    for a, r in scatter(s.rng.getrandbits(16), 26):
        s.pen.ellipse(*spot(x0, y0 - 2, rx * 0.66, rx * 0.18, a, r), 5, 2.2, light)
    seed, food, hertz = s.rng.getrandbits(16), FOODS[s.food], 3.0 * s.pace
    size = {"dust": 9, "grains": 9}.get(food.grain, 8)

    def grain(pen: Pen, x: float, y: float, angle: float) -> None:
        if s.food == "cheese":
            pen.line(placed([(-4, 0), (4, 0)], x, y, angle), 2.2, food.flesh if angle % 2 < 1 else food.skin)
        else:
            piece(pen, s.food, x, y, size, angle)

    def moment(pen: Pen, t: float) -> None:
        p = t / s.duration
        for a, r in scatter(seed, 170)[: int(14 + 156 * p)]:
            grain(pen, *spot(x0, y0 - 2, rx * 0.7, rx * 0.2, a, r), a)
        x = x0 + 12 + 36 * swing(t, 0.32 * s.pace) + 6 * swing(t, hertz)
        y = 98 + 6 * math.cos(math.tau * hertz * t)
        for i, (a, r) in enumerate(scatter(seed + 1, 38)):
            fall = (t * 1.9 + i / 38) % 1
            start = t - fall / 1.9  # a grain falls from where the hand was
            gx = x0 + 12 + 36 * swing(start, 0.32 * s.pace) + 6 * swing(start, hertz) - 12
            grain(pen, gx + (a / 180 - 1) * (4 + 12 * fall), y + 16 + fall * (y0 - y - 18) + 4 * r, a + 300 * fall)
        hand(pen, s.look, x, y, 46)
        for i in range(5):
            grain(pen, x - 11 + 3 * i - 3, y + 12 - abs(i - 2), 40 * i)

    return moment


def spread(s: Stage) -> Moment:
    """A flat blade goes from side to side; a layer grows under it."""
    x0, y0 = 144, 188
    plate(s.pen, s.look, x0, y0 + 4, 100)
    base = s.rng.choice([(214, 168, 108), (240, 222, 184), (176, 122, 76)])
    toast = s.rng.random() < 0.5
    edge = [(max(-0.9, min(0.9, 1.25 * a)), max(-0.85, min(0.85, 1.25 * b))) if toast else (a, b) for a, b in CIRCLE]
    s.pen.polygon([(x0 + 78 * a, y0 + 6 + 25 * b) for a, b in edge], shade(base, 0.6))
    s.pen.polygon([(x0 + 78 * a, y0 + 25 * b) for a, b in edge], shade(base, 0.8))
    s.pen.polygon([(x0 + 72 * a, y0 - 1 + 22 * b) for a, b in edge], base)
    food, hertz = FOODS[s.food], 0.85 * s.pace
    ragged = [s.rng.uniform(0.86, 1.06) for _ in CIRCLE]

    def moment(pen: Pen, t: float) -> None:
        p = 0.32 + 0.62 * ease(t / s.duration)
        layer = [(x0 + 70 * p * a * w, y0 - 2 + 21 * p * b * w) for (a, b), w in zip(edge, ragged, strict=True)]
        pen.polygon([(x, y + 2.5) for x, y in layer], shade(food.flesh, 0.72))
        pen.polygon(layer, food.flesh)
        for i in range(4):
            r = p * (0.3 + 0.17 * i)
            pen.arc(
                x0 + 3 * i,
                y0 - 2,
                68 * r,
                18 * r,
                190 + 22 * i,
                285 + 15 * i,
                1.4,
                (*shade(food.flesh, 0.84 if i % 2 else 1.5), 180),
            )
        if s.food == "cheese":
            for a, r in scatter(5, 9):
                pen.ellipse(*spot(x0, y0 - 2, 60 * p, 16 * p, a, r), 2.4, 1.4, shade(food.flesh, 0.85))
        wave = swing(t, hertz)
        x, y = x0 + 56 * p * wave, y0 - 4 + 9 * p * swing(t, hertz * 0.45)
        tilt = -30 + 10 * math.cos(math.tau * hertz * t)
        pen.oval(x - 2, y + 1, 13, 5, 0, shade(food.flesh, 0.9))
        pen.oval(x - 2, y - 2, 10, 4, 0, shade(food.flesh, 1.3))
        pen.polygon(placed([(-10, -4), (44, -5), (44, 4), (-4, 6), (-12, 3)], x, y - 2, tilt), s.look.metal)
        pen.polygon(placed([(-4, 3), (44, 1), (44, 4), (-4, 6), (-12, 3)], x, y - 2, tilt), shade(s.look.metal, 1.5))
        pen.line(placed([(44, 0), (70, 0)], x, y - 2, tilt), 8, s.look.handle)
        hand(pen, s.look, *placed([(56, 0)], x, y - 2, tilt)[0], 46)

    return moment


def fry(s: Stage) -> Moment:
    """A pan on the fire, shaken by its handle; pieces slide, fat spits, smoke rises, all turns brown."""
    x0, y0, rx = 138, 182, 76
    stove(s.pen, x0, y0 + 20, rx * 0.85)
    seed, food, hertz = s.rng.getrandbits(16), FOODS[s.food], 1.3 * s.pace
    large = s.food in ("pancake", "egg", "chicken")
    count = {"pancake": 1, "egg": 2, "chicken": 4, "rice": 110}.get(s.food, 20)

    def moment(pen: Pen, t: float) -> None:
        p = t / s.duration
        slide = 7 * swing(t, hertz) * (0.35 + 0.65 * (swing(t, 0.25 * s.pace) > -0.3))
        x = x0 + slide
        pan(pen, s.look, x, y0, rx)
        pen.ellipse(x - 0.3 * slide, y0 + 4, rx * 0.78, rx * 0.24, (150, 118, 40))
        pen.ellipse(x - 0.4 * slide, y0 + 5, rx * 0.7, rx * 0.2, (168, 134, 50))
        for i, (a, r) in enumerate(scatter(seed, count)):
            if large:
                a, r = 360 * i / count + seed % 90, 0.0 if count == 1 else 0.52
            fx, fy = spot(x - 0.8 * slide, y0 + 3, rx * 0.66, rx * 0.19, a + 10 * swing(t, hertz / 2), r)
            shiver = 0.7 * math.sin(31 * t + 5 * i)
            hot(pen, fx, fy + shiver, a, p)
        for i in range(26):
            a, r = scatter(seed + 2, 26)[i]
            age = (3.2 * t + a / 360) % 1
            bx, by = spot(x, y0 + 4, rx * 0.76, rx * 0.23, a * 3.7, 0.35 + 0.65 * r)
            pen.ellipse(bx, by, 0.8 + 2 * age, 0.6 + 1.4 * age, (255, 236, 170, int(220 * (1 - age))))
            if i % 4 == 0:
                pen.ellipse(bx + 14 * (r - 0.5) * age, by - 44 * age * (1.3 - age), 1.3, 1.3, (255, 224, 130))
        steam(pen, x0, y0 - 6, t, 0.55, seed)
        hand(pen, s.look, x + rx + 36, y0 - 3, 42)

    def hot(pen: Pen, x: float, y: float, angle: float, p: float) -> None:
        if s.food == "pancake":
            colour = mix(food.flesh, GOLDEN, 0.4 * p)
            pen.oval(x, y + 3, 46, 15, 0, shade(colour, 0.75))
            pen.oval(x, y, 46, 14.5, 0, colour)
            pen.oval(x, y, 36, 10.5, 0, mix(colour, GOLDEN, 0.3 + 0.3 * p))
        elif s.food == "egg":
            pen.oval(x, y + 1, 26, 10, 0, mix((222, 214, 190), GOLDEN, 0.4 * p))
            pen.oval(x - 3, y, 22, 8.4, 4, FOODS["egg"].flesh)
            pen.oval(x + 6, y + 1, 17, 7, 4, FOODS["egg"].flesh)
            pen.oval(x, y - 2, 9, 5.4, 0, YOLK)
            pen.oval(x - 3, y - 4, 3, 1.4, 0, (255, 214, 110))
        elif s.food == "chicken":
            piece(pen, "chicken", x, y, 20, angle * 0.2 - 20, 0.15 + 0.6 * p)
        elif s.food == "rice":
            piece(pen, "rice", x, y - 2, 9, angle * 5, 0.5 * p)
        else:
            piece(pen, s.food, x, y, 14, angle * 3, 0.6 * p)

    return moment


def boil(s: Stage) -> Moment:
    """A pot on the fire, no hand: bubbles rise and burst, things bob, clouds of steam."""
    x0, y0, rx = 154, 150, 68
    stove(s.pen, x0, y0 + 56, rx * 0.9)
    pot(s.pen, s.look, x0, y0, rx, 50)
    seed, food = s.rng.getrandbits(16), FOODS[s.food]
    is_liquid = s.food in ("water", "milk", "soup")
    broth = food.flesh if is_liquid else mix(FOODS["water"].flesh, food.flesh, 0.18)
    count = 0 if is_liquid else {"egg": 5, "pasta": 26, "rice": 80}.get(s.food, 11)

    def moment(pen: Pen, t: float) -> None:
        y = y0 + 3
        if is_liquid:
            mass(pen, s.food, x0, y, rx * 0.93, rx * 0.27, 20 * swing(t, 0.4), seed)
        else:
            pen.ellipse(x0, y, rx * 0.93, rx * 0.27, broth)
            pen.ellipse(x0, y + 2, rx * 0.85, rx * 0.22, shade(broth, 1.15))
        for i, (a, r) in enumerate(scatter(seed, count)):
            a = a if count > 20 else 360 * i * 0.382 + seed % 360
            r = r if count > 20 else math.sqrt((i + 0.5) / count)
            px, py = spot(x0, y, rx * 0.78, rx * 0.2, a + 9 * swing(t + i, 0.5 * s.pace), r)
            py += 2.4 * math.sin(9 * t * s.pace + 2.1 * i)
            if s.food == "egg":
                pen.oval(px, py + 1, 14, 9, 20 * math.sin(i), shade(food.skin, 0.82))
                pen.oval(px, py, 13, 8, 20 * math.sin(i), food.skin)
                pen.oval(px - 4, py - 3, 4, 2, 0, shade(food.skin, 1.4))
            else:
                piece(pen, s.food, px, py, {"pasta": 12, "rice": 9}.get(s.food, 17), a * 3 + 14 * swing(t + i, 0.6))
        for i, (a, r) in enumerate(scatter(seed + 3, 34)):
            age = (t * (1.7 + 0.8 * r) * s.pace + a / 360) % 1
            bx, by = spot(x0, y, rx * 0.84, rx * 0.22, a * 2.9 + 77 * math.floor(t * 2 + i), r)
            size = (2.5 + 6.5 * (i % 3) / 2) * age
            pen.ellipse(bx, by - 2 * age, size, size * 0.8, (*shade(broth, 0.58), int(230 * (1 - age**3))))
            pen.ellipse(bx, by - 2 * age - 0.5, size * 0.78, size * 0.6, (*shade(broth, 1.6), int(250 * (1 - age**3))))
        steam(pen, x0, y0, t * s.pace, 1.0, seed)

    return moment


def mash(s: Stage) -> Moment:
    """A masher is pushed straight down again and again; lumps turn into a smooth mass."""
    x0, y0, rx = 148, 160, 68
    bowl(s.pen, s.look, x0, y0, rx, 48)
    seed, food, hertz = s.rng.getrandbits(16), FOODS[s.food], 1.6 * s.pace
    lumps = [(a, r, s.rng.uniform(0, 90)) for a, r in scatter(seed, 16)]

    def moment(pen: Pen, t: float) -> None:
        p = t / s.duration
        down = 0.5 + 0.5 * swing(t, hertz)
        x, squeeze = x0 + 24 * swing(t, 0.27 * s.pace), 3 * down
        colour = food.flesh if s.food != "egg" else mix(food.flesh, YOLK, 0.35)
        rise = 3 + 5 * p
        pen.ellipse(x0, y0 + 2, rx * 0.88, rx * 0.25, shade(colour, 0.78))
        pen.ellipse(x0, y0 + 2 - rise * 0.5, rx * (0.6 + 0.24 * p) + squeeze, rx * 0.22, colour)
        for i, (a, r) in enumerate(scatter(seed + 1, 30)[: int(30 * p)]):
            bx, by = spot(x0, y0 + 1 - rise * 0.5, rx * 0.72, rx * 0.17, a, r)
            pen.ellipse(bx, by, 5, 1.9, shade(colour, 1.3 if i % 2 else 0.87))
        for a, r, angle in lumps:
            size = 20 - 16 * p - 3 * down
            if size > 4.5:
                lx, ly = spot(x0, y0 - 2, rx * 0.64 + squeeze, rx * 0.15, a, r)
                piece(pen, s.food, lx, ly, size, angle)
        y = y0 - 42 + 40 * down
        pen.line(
            [(x - 16, y), (x - 9, y - 18), (x + 6, y - 30), (x + 9, y - 18), (x + 16, y)], 3, shade(s.look.metal, 0.72)
        )
        pen.ellipse(x, y + 2, 22, 7, shade(s.look.metal, 0.62))
        pen.ellipse(x, y, 22, 7, s.look.metal)
        for i in (-1, 0, 1):
            pen.line(
                [(x - 15 + 3 * abs(i), y + 3 * i), (x + 15 - 3 * abs(i), y + 3 * i)], 1.3, shade(s.look.metal, 0.55)
            )
        pen.line([(x + 2, y - 28), (x + 6, y - 62)], 7, s.look.handle)
        hand(pen, s.look, x + 6, y - 54, 46)

    return moment


BOARD_AND_PLATE = (slice_, chop, peel, grate, press, roll, sprinkle, spread)
POT_AND_PAN = (pour, stir, whisk, flip, crack, fry, boil, mash)
ACTIONS: dict[str, Callable[[Stage], Moment]] = {
    action.__name__.rstrip("_"): action for action in (*BOARD_AND_PLATE, *POT_AND_PAN)
}


# Scenes ---------------------------------------------------------------------------------------------------------------


def scene(
    verb: str, food: str, look: Look, empty: Image.Image, duration: float, rng: random.Random
) -> Callable[[float], Image.Image]:
    """Sets the stage of one step.

    Args:
        verb: one of `ACTIONS`.
        food: one of `FOODS`.
        look: the look of the video.
        empty: `background(look)`, drawn once for a video.
        duration: seconds that the whole step takes.
        rng: the step's own random numbers (place, scale, pace).

    Returns:
        A function from seconds since the start of the step to the picture, 320x240.
    """
    zoom = look.zoom * rng.uniform(0.92, 1.06)
    shift = (look.shift[0] + rng.uniform(-10, 10), look.shift[1] + rng.uniform(-4, 4))
    still = empty.copy()
    pen = Pen(still, zoom, shift, look.mirror)
    moment = ACTIONS[verb](Stage(pen, food, look, rng, duration, rng.uniform(0.85, 1.2)))

    def picture(t: float) -> Image.Image:
        image = still.copy()
        moment(Pen(image, zoom, shift, look.mirror), clamp(t, 0, duration))
        return image.reduce(OVERSAMPLE)

    return picture
