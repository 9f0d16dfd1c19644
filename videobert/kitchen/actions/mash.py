"""A masher is pushed straight down again and again; lumps become a smooth mass."""

from videobert.kitchen.food import FOODS, YOLK, piece
from videobert.kitchen.pen import Pen, mix, scatter, shade, spot, swing
from videobert.kitchen.stage import Moment, Stage
from videobert.kitchen.tools import bowl, hand


def draw(stage: Stage) -> Moment:
    x0, y0, rx = 148, 160, 68
    bowl(stage.pen, stage.look, x0, y0, rx, 48)
    seed, food, hertz = stage.rng.getrandbits(16), FOODS[stage.food], 1.6 * stage.pace
    lumps = [(a, r, stage.rng.uniform(0, 90)) for a, r in scatter(seed, 16)]

    def moment(pen: Pen, t: float) -> None:
        p = t / stage.duration
        down = 0.5 + 0.5 * swing(t, hertz)
        x, squeeze = x0 + 24 * swing(t, 0.27 * stage.pace), 3 * down
        colour = food.flesh if stage.food != "egg" else mix(food.flesh, YOLK, 0.35)
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
                piece(pen, stage.food, lx, ly, size, angle)
        y = y0 - 42 + 40 * down
        pen.line(
            [(x - 16, y), (x - 9, y - 18), (x + 6, y - 30), (x + 9, y - 18), (x + 16, y)],
            3,
            shade(stage.look.metal, 0.72),
        )
        pen.ellipse(x, y + 2, 22, 7, shade(stage.look.metal, 0.62))
        pen.ellipse(x, y, 22, 7, stage.look.metal)
        for i in (-1, 0, 1):
            pen.line(
                [(x - 15 + 3 * abs(i), y + 3 * i), (x + 15 - 3 * abs(i), y + 3 * i)], 1.3, shade(stage.look.metal, 0.55)
            )
        pen.line([(x + 2, y - 28), (x + 6, y - 62)], 7, stage.look.handle)
        hand(pen, stage.look, x + 6, y - 54, 46)

    return moment
