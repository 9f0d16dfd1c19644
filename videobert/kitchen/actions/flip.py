"""A pan is jerked upwards; the food in it turns over in the air and falls back."""

import math

from videobert.kitchen.food import FOODS, GOLDEN, YOLK
from videobert.kitchen.pen import Pen, clamp, mix, placed, shade, swing
from videobert.kitchen.stage import Moment, Stage
from videobert.kitchen.tools import hand, pan, stove


def draw(stage: Stage) -> Moment:
    x0, y0, rx = 136, 188, 66
    stove(stage.pen, x0, y0 + 16, rx * 0.8)
    cycles = max(3, round(stage.duration * 0.75 * stage.pace))
    turns = stage.rng.choice([1, 1, 1.5])

    def moment(pen: Pen, t: float) -> None:
        done, phase = divmod(clamp(t / stage.duration, 0, 0.999) * cycles, 1)
        fly = clamp((phase - 0.32) / 0.5)
        dip = 6 * math.sin(math.pi * clamp(phase / 0.32)) - 18 * math.sin(math.pi * clamp((phase - 0.2) / 0.3))
        px, py = x0 + 3 * swing(t, 1.2), y0 + dip
        pan(pen, stage.look, px, py, rx, -0.45 * max(0.0, -dip))
        up = 4 * fly * (1 - fly)
        if up > 0.02:
            pen.ellipse(px, py + 4, 34 - 12 * up, 9 - 3 * up, (0, 0, 0, 90))
        turned = 360 * turns * fly
        flat_food(pen, stage.food, px, py + 1 - 92 * up, turned, 0 < turned < 360 * turns, done + (fly > 0.5))
        hand(pen, stage.look, px + rx + 34, py - 1 + 0.3 * dip, 40)

    return moment


def flat_food(pen: Pen, name: str, x: float, y: float, angle: float, flying: bool, sides: float) -> None:
    """The food as it turns over: by `angle` degrees in this flight, after `sides` flights."""
    food = FOODS[name]
    face = math.cos(math.radians(angle))
    flat = max(0.16, 0.3 * abs(face) + 0.14) if flying else 0.3
    tilt = 18 * math.sin(math.radians(angle))
    browned = (sides + (face < 0)) % 2
    size = {"pancake": 44, "egg": 42, "bread": 36}.get(name, 40)
    colour = {"pancake": food.skin, "chicken": mix(food.flesh, GOLDEN, 0.25)}.get(name, food.flesh)
    colour = mix(colour, GOLDEN, 0.35 if browned and name != "egg" else 0.0)
    rim = food.skin if name == "bread" else shade(colour, 0.78)
    if name == "bread":
        box = [(-1, -0.9), (-0.4, -1.1), (0.4, -1.1), (1, -0.9), (0.92, 1), (-0.92, 1)]
        pen.polygon(placed([(size * a, size * flat * b + 5) for a, b in box], x, y, tilt), shade(rim, 0.9))
        pen.polygon(placed([(size * a, size * flat * b) for a, b in box], x, y, tilt), rim)
        pen.polygon(placed([(size * 0.86 * a, size * flat * 0.84 * b) for a, b in box], x, y, tilt), colour)
        return
    pen.oval(x, y + 4, size, size * flat, tilt, rim)
    if name == "egg":
        for dx, dy, r in ((-12, 3, 0.8), (12, -2, 0.82)):
            pen.oval(x + dx, y + dy * flat, size * r, size * flat * r * 1.1, tilt, colour)
        if not browned:
            pen.oval(x, y - 3, 14, 14 * flat * 1.8, tilt, YOLK)
            pen.oval(x - 4, y - 4, 4, 5 * flat, tilt, (255, 206, 90))
        return
    if name == "chicken":
        pen.oval(x + 18, y + 1, size * 0.62, size * flat * 0.8, tilt, colour)
        pen.line(placed([(-size * 0.8, 0), (-size * 1.25, -3)], x, y, tilt), 6, (244, 234, 220))
    pen.oval(x, y, size * (0.98 if name == "pancake" else 0.86), size * flat * 0.94, tilt, colour)
    if name == "pancake":
        pen.oval(x, y, size * 0.72, size * flat * 0.66, tilt, mix(colour, GOLDEN, 0.45))
    pen.oval(x - 8, y - 2, size * 0.22, size * flat * 0.2, tilt, shade(colour, 1.35))
