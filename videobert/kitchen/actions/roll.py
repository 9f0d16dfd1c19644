"""Two hands move a rolling pin back and forth over a sheet, which grows."""

from videobert.kitchen.food import dough_colour
from videobert.kitchen.pen import CIRCLE, Pen, ease, shade, swing
from videobert.kitchen.stage import Moment, Stage
from videobert.kitchen.tools import hand


def draw(stage: Stage) -> Moment:
    x0, y0 = 152, 190
    stage.pen.ellipse(x0, y0 + 4, 124, 36, (*shade(stage.look.counter, 1.35), 190))
    hertz, colour = 0.8 * stage.pace, dough_colour(stage.food)
    wood, wobble = shade((206, 158, 102), stage.rng.uniform(0.75, 1.1)), [stage.rng.uniform(0.93, 1.07) for _ in CIRCLE]

    def moment(pen: Pen, t: float) -> None:
        p = ease(t / stage.duration)
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
        hand(pen, stage.look, x0 - half - 16, y - 2, 118)
        hand(pen, stage.look, x0 + half + 16, y - 2, 62)

    return moment
