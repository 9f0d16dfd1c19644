"""A peeler moves in long strokes from left to right; each stroke bares a band, and a strip curls off."""

import math

from videobert.kitchen.food import FOODS, Food, outline, whole
from videobert.kitchen.pen import Pen, clamp, ease, placed, shade
from videobert.kitchen.stage import Moment, Stage
from videobert.kitchen.tools import board, hand


def draw(stage: Stage) -> Moment:
    board(stage.pen, stage.look)
    bands = 6
    hertz = bands / stage.duration
    food, scale = FOODS[stage.food], 1.5 if FOODS[stage.food].width < 40 else 1.25
    x0, y0 = 140, 172 - food.height * 0.35
    fallen = [
        (stage.rng.uniform(60, 250), stage.rng.uniform(190, 202), stage.rng.uniform(-25, 25)) for _ in range(bands)
    ]

    def moment(pen: Pen, t: float) -> None:
        done, phase = divmod(clamp(t * hertz, 0, bands - 0.001), 1)
        stroke = ease(phase / 0.7)
        for x, y, angle in fallen[: int(done)]:
            strip(pen, food, x, y, angle)
        whole(pen, stage.food, x0, y0, scale)
        high = 2 * food.height / bands
        bare = food.flesh if stage.food != "carrot" else shade(food.flesh, 1.3)
        for band in range(int(done) + 1):
            end = food.width * (2 * stroke - 1) if band == done else food.width
            top, low = -food.height + band * high, -food.height + (band + 1) * high
            points = [(x0 + scale * min(a, end), y0 + scale * clamp(b, top, low)) for a, b in outline(stage.food)]
            pen.polygon(points, bare if band % 2 else shade(bare, 0.95))
        back = 1 - ease((phase - 0.7) / 0.3)
        x = x0 - scale * food.width + 2 * scale * food.width * stroke * back
        y = (
            y0
            - scale * food.height * 0.75
            + scale * high * done * 0.7
            - (14 * math.sin(math.pi * (phase - 0.7) / 0.3) if phase > 0.7 else 0)
        )
        if phase < 0.85:
            curl = 8 + 26 * stroke
            points = [(x - 2 - 3 * math.sin(i), y - 6 + i * curl / 6) for i in range(7)]
            pen.line(points, 4.6, shade(food.flesh, 0.9))
            pen.line(points, 3.4, food.skin)
        pen.line([(x - 3, y - 8), (x + 4, y + 8)], 4, stage.look.metal)
        pen.line([(x, y), (x + 16, y - 12)], 4, shade(stage.look.metal, 0.8))
        pen.line([(x + 14, y - 11), (x + 36, y - 27)], 7, stage.look.handle)
        hand(pen, stage.look, x + 30, y - 22, 40)

    return moment


def strip(pen: Pen, food: Food, x: float, y: float, angle: float) -> None:
    """A strip of peel on the board."""
    points = [(34 * (i / 6 - 0.5), 4 * math.sin(i * 1.1)) for i in range(7)]
    pen.line(placed([(a, b + 1) for a, b in points], x, y, angle), 4.5, shade(food.flesh, 0.9))
    pen.line(placed(points, x, y, angle), 3.6, food.skin)
