"""The look of a video: what it keeps from its first frame to its last, and the empty kitchen drawn from it."""

import colorsys
import math
import random
from dataclasses import dataclass

import numpy as np
from PIL import Image

from videobert.kitchen.pen import BLACK, HEIGHT, OVERSAMPLE, WIDTH, Colour, Pen, Point, mix, placed, shade


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


def random_look(rng: random.Random) -> Look:
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
    picture = np.where(is_wall, np.array(look.wall, np.float32), np.array(look.counter, np.float32)) * light
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
    """Tiles, bricks, planks or paper on the wall."""
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
