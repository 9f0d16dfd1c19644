"""An egg or a nut is knocked twice on the rim of a bowl and opened above it; the inside falls into the bowl."""

import math

from videobert.kitchen.food import FOODS, YOLK
from videobert.kitchen.pen import CIRCLE, Pen, clamp, ease, placed, scatter, shade, spot
from videobert.kitchen.stage import Moment, Stage
from videobert.kitchen.tools import bowl, hand


def draw(stage: Stage) -> Moment:
    x0, y0, rx = 140, 166, 66
    bowl(stage.pen, stage.look, x0, y0, rx, 44)
    cycles = max(2, round(stage.duration / 2.1 * stage.pace))
    seed = stage.rng.getrandbits(16)

    def moment(pen: Pen, t: float) -> None:
        done, phase = divmod(clamp(t / stage.duration, 0, 0.999) * cycles, 1)
        inner = int(done + (phase > 0.76))
        if inner and stage.food == "egg":
            grow = min(1.0, 0.5 + 0.12 * inner)
            pen.ellipse(x0, y0 + 4, rx * 0.84 * grow, rx * 0.24 * grow, (244, 240, 222))
        for a, r in scatter(seed, 12)[:inner]:
            inside(pen, stage.food, *spot(x0, y0 + 3, rx * 0.5, rx * 0.12, a, r))
        if phase < 0.46:  # two knocks on the right rim
            knock = abs(math.sin(math.tau * phase / 0.46))
            x, y = x0 + 68 + 10 * knock, y0 - 14 - 36 * knock
            shell(pen, stage.food, x, y, 20)
            if phase > 0.12:
                pen.line([(x - 6, y - 5), (x - 3, y + 1), (x - 7, y + 5), (x - 3, y + 10)], 1.2, (90, 60, 44))
            hand(pen, stage.look, x + 15, y - 3, 42)
            return
        over, apart = ease((phase - 0.46) / 0.12), ease((phase - 0.58) / 0.1)
        away = ease((phase - 0.86) / 0.14)
        x, y = x0 + 78 - 68 * over + 110 * away, y0 - 50 - 22 * over
        if 0.6 < phase <= 0.76:
            fall = (phase - 0.6) / 0.16
            inside(pen, stage.food, x0 + 6, y + 8 + (y0 - y - 6) * fall * fall, 0.85)
        shell(pen, stage.food, x - 6 - 18 * apart, y - 4 * apart, 24 * apart, -1)
        shell(pen, stage.food, x + 2 + 12 * apart, y - 4 * apart, -24 * apart, 1)
        hand(pen, stage.look, x - 26 - 14 * apart, y - 8, 132)
        hand(pen, stage.look, x + 20 + 12 * apart, y - 8, 42)

    return moment


def inside(pen: Pen, name: str, x: float, y: float, scale: float = 1.0) -> None:
    """What falls out of the shell."""
    if name == "egg":
        pen.ellipse(x, y, 17 * scale, 8 * scale, (246, 242, 226, 190))
        pen.ellipse(x, y - 1, 9 * scale, 6.5 * scale, YOLK)
        pen.ellipse(x - 3, y - 3, 2.6, 1.6, (255, 214, 110))
    else:
        for dx in (-5, 4):
            pen.oval(x + dx, y, 7, 5.5, 30 * dx, FOODS[name].flesh)
            pen.line([(x + dx - 4, y), (x + dx + 4, y + 1)], 1.2, shade(FOODS[name].flesh, 0.7))


def shell(pen: Pen, name: str, x: float, y: float, angle: float, half: int = 0) -> None:
    """The whole shell, or its left (-1) or right (1) half."""
    food = FOODS[name]
    r, h = (18, 14) if name == "egg" else (14, 12)
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
