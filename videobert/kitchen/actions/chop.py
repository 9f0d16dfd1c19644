"""A knife strikes fast all over a heap of pieces, which become smaller and more numerous."""

import math

from videobert.kitchen.food import piece
from videobert.kitchen.pen import Pen, swing
from videobert.kitchen.stage import Moment, Stage
from videobert.kitchen.tools import board, knife


def draw(stage: Stage) -> Moment:
    board(stage.pen, stage.look)
    heap = [(stage.rng.gauss(0, 1), stage.rng.gauss(0, 1), stage.rng.uniform(0, 90)) for _ in range(64)]
    hertz = 3.0 * stage.pace

    def moment(pen: Pen, t: float) -> None:
        p = t / stage.duration
        count, size = int(18 + 46 * p), 15 - 7.5 * p
        blow = math.floor(t * hertz)
        pen.ellipse(158, 192, 74, 13, (0, 0, 0, 40))
        for i, (a, b, angle) in enumerate(heap[:count]):
            hop = 2.5 * ((i * 7 + blow) % 5 == 0) * (1 - (t * hertz) % 1)
            piece(
                pen, stage.food, 156 + 32 * a + ((i + blow) % 3 - 1), 186 + 6.5 * b - hop, size, angle + 11 * (blow % 7)
            )
        lift = abs(math.cos(math.pi * hertz * t))
        x = 186 + 40 * swing(t, 0.3 * stage.pace)
        knife(pen, stage.look, x, 172 - 20 * lift, 4 + 13 * lift)

    return moment
