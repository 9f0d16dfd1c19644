"""A pot on the stove, without a hand: bubbles rise and burst, food bobs, steam rises."""

import math

from videobert.kitchen.food import FOODS, mass, piece
from videobert.kitchen.pen import Pen, mix, scatter, shade, spot, swing
from videobert.kitchen.stage import Moment, Stage
from videobert.kitchen.tools import pot, steam, stove


def draw(stage: Stage) -> Moment:
    x0, y0, rx = 154, 150, 68
    stove(stage.pen, x0, y0 + 56, rx * 0.9)
    pot(stage.pen, stage.look, x0, y0, rx, 50)
    seed, food = stage.rng.getrandbits(16), FOODS[stage.food]
    is_liquid = stage.food in ("water", "milk", "soup")
    broth = food.flesh if is_liquid else mix(FOODS["water"].flesh, food.flesh, 0.18)
    count = 0 if is_liquid else {"egg": 5, "pasta": 26, "rice": 80}.get(stage.food, 11)

    def moment(pen: Pen, t: float) -> None:
        y = y0 + 3
        if is_liquid:
            mass(pen, stage.food, x0, y, rx * 0.93, rx * 0.27, 20 * swing(t, 0.4), seed)
        else:
            pen.ellipse(x0, y, rx * 0.93, rx * 0.27, broth)
            pen.ellipse(x0, y + 2, rx * 0.85, rx * 0.22, shade(broth, 1.15))
        for i, (a, r) in enumerate(scatter(seed, count)):
            a = a if count > 20 else 360 * i * 0.382 + seed % 360
            r = r if count > 20 else math.sqrt((i + 0.5) / count)
            px, py = spot(x0, y, rx * 0.78, rx * 0.2, a + 9 * swing(t + i, 0.5 * stage.pace), r)
            py += 2.4 * math.sin(9 * t * stage.pace + 2.1 * i)
            if stage.food == "egg":
                pen.oval(px, py + 1, 14, 9, 20 * math.sin(i), shade(food.skin, 0.82))
                pen.oval(px, py, 13, 8, 20 * math.sin(i), food.skin)
                pen.oval(px - 4, py - 3, 4, 2, 0, shade(food.skin, 1.4))
            else:
                piece(
                    pen,
                    stage.food,
                    px,
                    py,
                    {"pasta": 12, "rice": 9}.get(stage.food, 17),
                    a * 3 + 14 * swing(t + i, 0.6),
                )
        for i, (a, r) in enumerate(scatter(seed + 3, 34)):
            age = (t * (1.7 + 0.8 * r) * stage.pace + a / 360) % 1
            bx, by = spot(x0, y, rx * 0.84, rx * 0.22, a * 2.9 + 77 * math.floor(t * 2 + i), r)
            size = (2.5 + 6.5 * (i % 3) / 2) * age
            pen.ellipse(bx, by - 2 * age, size, size * 0.8, (*shade(broth, 0.58), int(230 * (1 - age**3))))
            pen.ellipse(bx, by - 2 * age - 0.5, size * 0.78, size * 0.6, (*shade(broth, 1.6), int(250 * (1 - age**3))))
        steam(pen, x0, y0, t * stage.pace, 1.0, seed)

    return moment
