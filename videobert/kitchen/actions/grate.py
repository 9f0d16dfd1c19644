"""A hand moves a piece of food up and down a grater; shreds fall and pile up."""

import math

from videobert.kitchen.food import FOODS, slice_face, whole
from videobert.kitchen.pen import Pen, placed, shade, swing
from videobert.kitchen.stage import Moment, Stage
from videobert.kitchen.tools import hand, plate


def draw(stage: Stage) -> Moment:
    x0, y0 = 150, 196
    plate(stage.pen, stage.look, x0, y0, 84)
    shreds = [(stage.rng.uniform(-1, 1), stage.rng.random(), stage.rng.uniform(0, 180)) for _ in range(130)]
    hertz, food = 1.5 * stage.pace, FOODS[stage.food]

    def moment(pen: Pen, t: float) -> None:
        p = t / stage.duration
        for a, b, angle in shreds[: int(12 + 118 * p)]:
            x, y = x0 + 52 * a, y0 + 6 - (12 * p * b + 4 * b) * (1 - a * a)
            pen.line(placed([(-5, 0), (5, 0)], x, y, angle if a > 0 else -angle), 2, shade(food.flesh, 0.86 + 0.22 * b))
        pen.taper(x0, 96, 24, y0 - 2, 42, stage.look.metal)
        pen.polygon([(x0 + 24, 96), (x0 + 34, 101), (x0 + 52, y0 - 8), (x0 + 42, y0 - 2)], shade(stage.look.metal, 0.7))
        pen.box(x0 - 26, 90, x0 + 26, 98, stage.look.handle)
        for row in range(7):
            for column in range(5):
                hx = x0 + (column - 2 + 0.5 * (row % 2) - 0.25) * (9 + 0.9 * row)
                pen.ellipse(hx, 107 + 12 * row, 2.2, 1.6, shade(stage.look.metal, 0.5))
        for i in range(6):
            fall = (t * 2.1 + i / 6) % 1
            x = x0 - 36 + 12 * i + 4 * math.sin(9 * i)
            pen.line(placed([(-4, 0), (4, 0)], x, 168 + fall * 24, 50 * i + 90 * fall), 2, food.flesh)
        down = 0.5 + 0.5 * swing(t, hertz)
        x, y = x0 - 2 + 10 * down, 112 + 54 * down
        size = 1 - 0.35 * p
        lump = min(1.0, 24 / food.width) * size
        whole(pen, stage.food, x - 2, y + 3, lump * 1.15)
        slice_face(pen, stage.food, x - 18 * size, y + 4, 4 * size, 10 * size)
        hand(pen, stage.look, x + 16, y - 4, 40)

    return moment
