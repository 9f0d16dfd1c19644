"""Two fists push into a lump in turn; it gives way and springs back."""

import math

from videobert.kitchen.food import dough_colour
from videobert.kitchen.pen import Pen, scatter, shade, spot, swing
from videobert.kitchen.stage import Moment, Stage
from videobert.kitchen.tools import hand


def draw(stage: Stage) -> Moment:
    x0, y0 = 152, 198
    stage.pen.ellipse(x0, y0 + 4, 112, 26, (*shade(stage.look.counter, 1.35), 190))
    for a, r in scatter(stage.rng.getrandbits(16), 40):
        stage.pen.ellipse(*spot(x0, y0 + 4, 108, 24, a, r), 1.5, 0.9, (252, 248, 238))
    hertz, colour = 0.95 * stage.pace, dough_colour(stage.food)

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
        hand(pen, stage.look, x0 - 30, y0 - 54 + 20 * low, 112 - 60)
        hand(pen, stage.look, x0 + 32, y0 - 54 + 20 * high, 48)

    return moment
