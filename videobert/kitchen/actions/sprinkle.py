"""A hand shakes above a dish; grains fall and stay where they land."""

import math

from videobert.kitchen.food import FOODS, piece
from videobert.kitchen.pen import Pen, placed, scatter, shade, spot, swing
from videobert.kitchen.stage import Moment, Stage
from videobert.kitchen.tools import hand, plate

DISHES = [
    ((126, 164, 66), (100, 138, 50)),
    ((222, 170, 96), (240, 206, 140)),
    ((172, 58, 40), (200, 90, 60)),
    ((150, 112, 84), (172, 134, 100)),
    ((110, 150, 160), (132, 172, 180)),
]


def draw(stage: Stage) -> Moment:
    x0, y0, rx = 148, 190, 82
    plate(stage.pen, stage.look, x0, y0, rx)
    base, light = stage.rng.choice([d for d in DISHES if stage.food != "cheese" or d[0][0] != 222])
    stage.pen.ellipse(x0, y0, rx * 0.78, rx * 0.235, shade(base, 0.8))
    stage.pen.ellipse(x0, y0 - 2, rx * 0.76, rx * 0.225, base)
    for a, r in scatter(stage.rng.getrandbits(16), 26):
        stage.pen.ellipse(*spot(x0, y0 - 2, rx * 0.66, rx * 0.18, a, r), 5, 2.2, light)
    seed, food, hertz = stage.rng.getrandbits(16), FOODS[stage.food], 3.0 * stage.pace
    size = {"dust": 9, "grains": 9}.get(food.grain, 8)

    def grain(pen: Pen, x: float, y: float, angle: float) -> None:
        if stage.food == "cheese":
            pen.line(placed([(-4, 0), (4, 0)], x, y, angle), 2.2, food.flesh if angle % 2 < 1 else food.skin)
        else:
            piece(pen, stage.food, x, y, size, angle)

    def moment(pen: Pen, t: float) -> None:
        p = t / stage.duration
        for a, r in scatter(seed, 170)[: int(14 + 156 * p)]:
            grain(pen, *spot(x0, y0 - 2, rx * 0.7, rx * 0.2, a, r), a)
        x = x0 + 12 + 36 * swing(t, 0.32 * stage.pace) + 6 * swing(t, hertz)
        y = 98 + 6 * math.cos(math.tau * hertz * t)
        for i, (a, r) in enumerate(scatter(seed + 1, 38)):
            fall = (t * 1.9 + i / 38) % 1
            start = t - fall / 1.9  # a grain falls from where the hand was
            gx = x0 + 12 + 36 * swing(start, 0.32 * stage.pace) + 6 * swing(start, hertz) - 12
            grain(pen, gx + (a / 180 - 1) * (4 + 12 * fall), y + 16 + fall * (y0 - y - 18) + 4 * r, a + 300 * fall)
        hand(pen, stage.look, x, y, 46)
        for i in range(5):
            grain(pen, x - 11 + 3 * i - 3, y + 12 - abs(i - 2), 40 * i)

    return moment
