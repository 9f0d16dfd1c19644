"""A wire whisk moves in fast short strokes in a bowl; froth appears."""

import math

from videobert.kitchen.food import liquid_colour, mass
from videobert.kitchen.pen import Pen, scatter, shade, spot, swing
from videobert.kitchen.stage import Moment, Stage
from videobert.kitchen.tools import bowl, hand


def draw(stage: Stage) -> Moment:
    x0, y0, rx = 148, 158, 66
    bowl(stage.pen, stage.look, x0, y0, rx, 48)
    seed, hertz, colour = stage.rng.getrandbits(16), 4.2 * stage.pace, liquid_colour(stage.food)

    def moment(pen: Pen, t: float) -> None:
        p = t / stage.duration
        mass(pen, stage.food, x0, y0 + 3, rx * 0.9, rx * 0.26, 60 * swing(t, hertz / 2), seed)
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
            pen.line(
                [neck, middle, (tip[0] + bulge * 0.5, tip[1])], 1.5, shade(stage.look.metal, 1.25 if bulge else 0.8)
            )
        pen.line([neck, grip], 6, shade(stage.look.metal, 0.75))
        hand(pen, stage.look, *grip, 44)

    return moment
