"""A knife cuts in slow strokes; the food gets shorter, and each stroke leaves a slice."""

import math

from videobert.kitchen.food import FOODS, slice_of, whole
from videobert.kitchen.pen import Pen, clamp
from videobert.kitchen.stage import Moment, Stage
from videobert.kitchen.tools import board, knife


def draw(stage: Stage) -> Moment:
    board(stage.pen, stage.look)
    strokes = max(5, round(stage.duration * 1.35 * stage.pace))
    food = FOODS[stage.food]
    left = stage.rng.uniform(112, 126) - max(0, food.width - 34)
    tilts = [stage.rng.uniform(-14, 14) for _ in range(strokes)]

    def moment(pen: Pen, t: float) -> None:
        done, phase = divmod(clamp(t / stage.duration, 0, 0.999) * strokes, 1)
        left_over = 1 - 0.78 * (done + (phase > 0.5)) / strokes
        for i in range(int(done + (phase > 0.5))):
            slice_of(pen, stage.food, 178 + 84 * i / strokes + 3 * (i % 2), 188 - 5 * (i % 3), tilts[i])
        whole(pen, stage.food, left, 180 - food.height * 0.5, 1.15, left_over)
        edge = left + 1.15 * food.width * (2 * left_over - 1)
        down = 0.5 - 0.5 * math.cos(math.tau * phase)
        knife(pen, stage.look, edge + 40 - 16 * down, 128 + 40 * down, 20 - 18 * down)

    return moment
