"""A flat blade moves from side to side; a layer grows under it."""

import math

from videobert.kitchen.food import FOODS
from videobert.kitchen.pen import CIRCLE, Pen, ease, placed, scatter, shade, spot, swing
from videobert.kitchen.stage import Moment, Stage
from videobert.kitchen.tools import hand, plate


def draw(stage: Stage) -> Moment:
    x0, y0 = 144, 188
    plate(stage.pen, stage.look, x0, y0 + 4, 100)
    base = stage.rng.choice([(214, 168, 108), (240, 222, 184), (176, 122, 76)])
    toast = stage.rng.random() < 0.5
    edge = [(max(-0.9, min(0.9, 1.25 * a)), max(-0.85, min(0.85, 1.25 * b))) if toast else (a, b) for a, b in CIRCLE]
    stage.pen.polygon([(x0 + 78 * a, y0 + 6 + 25 * b) for a, b in edge], shade(base, 0.6))
    stage.pen.polygon([(x0 + 78 * a, y0 + 25 * b) for a, b in edge], shade(base, 0.8))
    stage.pen.polygon([(x0 + 72 * a, y0 - 1 + 22 * b) for a, b in edge], base)
    food, hertz = FOODS[stage.food], 0.85 * stage.pace
    ragged = [stage.rng.uniform(0.86, 1.06) for _ in CIRCLE]

    def moment(pen: Pen, t: float) -> None:
        p = 0.32 + 0.62 * ease(t / stage.duration)
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
        if stage.food == "cheese":
            for a, r in scatter(5, 9):
                pen.ellipse(*spot(x0, y0 - 2, 60 * p, 16 * p, a, r), 2.4, 1.4, shade(food.flesh, 0.85))
        wave = swing(t, hertz)
        x, y = x0 + 56 * p * wave, y0 - 4 + 9 * p * swing(t, hertz * 0.45)
        tilt = -30 + 10 * math.cos(math.tau * hertz * t)
        pen.oval(x - 2, y + 1, 13, 5, 0, shade(food.flesh, 0.9))
        pen.oval(x - 2, y - 2, 10, 4, 0, shade(food.flesh, 1.3))
        pen.polygon(placed([(-10, -4), (44, -5), (44, 4), (-4, 6), (-12, 3)], x, y - 2, tilt), stage.look.metal)
        pen.polygon(
            placed([(-4, 3), (44, 1), (44, 4), (-4, 6), (-12, 3)], x, y - 2, tilt), shade(stage.look.metal, 1.5)
        )
        pen.line(placed([(44, 0), (70, 0)], x, y - 2, tilt), 8, stage.look.handle)
        hand(pen, stage.look, *placed([(56, 0)], x, y - 2, tilt)[0], 46)

    return moment
