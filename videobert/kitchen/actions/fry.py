"""A pan on the stove is shaken by its handle: pieces slide, fat spits, smoke rises, the food turns brown."""

import math

from videobert.kitchen.food import FOODS, GOLDEN, YOLK, piece
from videobert.kitchen.pen import Pen, mix, scatter, shade, spot, swing
from videobert.kitchen.stage import Moment, Stage
from videobert.kitchen.tools import hand, pan, steam, stove


def draw(stage: Stage) -> Moment:
    x0, y0, rx = 138, 182, 76
    stove(stage.pen, x0, y0 + 20, rx * 0.85)
    seed, hertz = stage.rng.getrandbits(16), 1.3 * stage.pace
    large = stage.food in ("pancake", "egg", "chicken")
    count = {"pancake": 1, "egg": 2, "chicken": 4, "rice": 110}.get(stage.food, 20)

    def moment(pen: Pen, t: float) -> None:
        p = t / stage.duration
        slide = 7 * swing(t, hertz) * (0.35 + 0.65 * (swing(t, 0.25 * stage.pace) > -0.3))
        x = x0 + slide
        pan(pen, stage.look, x, y0, rx)
        pen.ellipse(x - 0.3 * slide, y0 + 4, rx * 0.78, rx * 0.24, (150, 118, 40))
        pen.ellipse(x - 0.4 * slide, y0 + 5, rx * 0.7, rx * 0.2, (168, 134, 50))
        for i, (a, r) in enumerate(scatter(seed, count)):
            if large:
                a, r = 360 * i / count + seed % 90, 0.0 if count == 1 else 0.52
            fx, fy = spot(x - 0.8 * slide, y0 + 3, rx * 0.66, rx * 0.19, a + 10 * swing(t, hertz / 2), r)
            shiver = 0.7 * math.sin(31 * t + 5 * i)
            frying(pen, stage.food, fx, fy + shiver, a, p)
        for i in range(26):
            a, r = scatter(seed + 2, 26)[i]
            age = (3.2 * t + a / 360) % 1
            bx, by = spot(x, y0 + 4, rx * 0.76, rx * 0.23, a * 3.7, 0.35 + 0.65 * r)
            pen.ellipse(bx, by, 0.8 + 2 * age, 0.6 + 1.4 * age, (255, 236, 170, int(220 * (1 - age))))
            if i % 4 == 0:
                pen.ellipse(bx + 14 * (r - 0.5) * age, by - 44 * age * (1.3 - age), 1.3, 1.3, (255, 224, 130))
        steam(pen, x0, y0 - 6, t, 0.55, seed)
        hand(pen, stage.look, x + rx + 36, y0 - 3, 42)

    return moment


def frying(pen: Pen, name: str, x: float, y: float, angle: float, p: float) -> None:
    """One piece in the pan, at the share `p` of the step."""
    if name == "pancake":
        colour = mix(FOODS[name].flesh, GOLDEN, 0.4 * p)
        pen.oval(x, y + 3, 46, 15, 0, shade(colour, 0.75))
        pen.oval(x, y, 46, 14.5, 0, colour)
        pen.oval(x, y, 36, 10.5, 0, mix(colour, GOLDEN, 0.3 + 0.3 * p))
    elif name == "egg":
        pen.oval(x, y + 1, 26, 10, 0, mix((222, 214, 190), GOLDEN, 0.4 * p))
        pen.oval(x - 3, y, 22, 8.4, 4, FOODS[name].flesh)
        pen.oval(x + 6, y + 1, 17, 7, 4, FOODS[name].flesh)
        pen.oval(x, y - 2, 9, 5.4, 0, YOLK)
        pen.oval(x - 3, y - 4, 3, 1.4, 0, (255, 214, 110))
    elif name == "chicken":
        piece(pen, "chicken", x, y, 20, angle * 0.2 - 20, 0.15 + 0.6 * p)
    elif name == "rice":
        piece(pen, "rice", x, y - 2, 9, angle * 5, 0.5 * p)
    else:
        piece(pen, name, x, y, 14, angle * 3, 0.6 * p)
