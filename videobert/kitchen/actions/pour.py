"""A jug or bottle is tipped, a stream falls, the level in the vessel rises."""

import math

from videobert.kitchen.food import FOODS, liquid_colour, mass, piece
from videobert.kitchen.pen import Pen, Point, clamp, ease, placed, shade, swing
from videobert.kitchen.stage import Moment, Stage
from videobert.kitchen.tools import bowl, hand, pan, pot


def draw(stage: Stage) -> Moment:
    x0 = 138
    vessel = stage.rng.choice(
        ["glass", "bowl", "pot", "pan"][: 2 if stage.food == "pepper" else 4]
    )  # black on black hides it
    jug = stage.rng.choice(["bottle", "jug"]) if not FOODS[stage.food].grain else "jug"
    rx, top, depth = {"glass": (46, 146, 56), "pan": (64, 186, 0), "pot": (56, 152, 46), "bowl": (60, 160, 44)}[vessel]
    if vessel == "pan":
        pan(stage.pen, stage.look, x0, top, rx)
    elif vessel == "pot":
        pot(stage.pen, stage.look, x0, top, rx, depth)
    elif vessel == "bowl":
        bowl(stage.pen, stage.look, x0, top, rx, depth)
    else:
        stage.pen.ellipse(x0 + 4, top + depth + 4, rx, 12, (0, 0, 0, 60))
        stage.pen.taper(x0, top, rx, top + depth + 4, rx * 0.9, (235, 245, 250, 80))
        stage.pen.ellipse(x0, top + depth + 3, rx * 0.9, 12, (235, 245, 250, 90))
        stage.pen.ellipse(x0, top, rx, 13, (220, 232, 240, 110))
    food, colour = FOODS[stage.food], liquid_colour(stage.food)
    seed, body = (
        stage.rng.getrandbits(16),
        stage.rng.choice([(226, 236, 240), (170, 204, 196), (222, 206, 190), (204, 190, 222)]),
    )

    def level(pen: Pen, p: float) -> float:
        """Draws what is in the vessel and returns the height of its surface."""
        if vessel == "glass":
            y = top + depth - 8 - (depth - 22) * p
            pen.ellipse(x0, top + depth, rx * 0.86, 11, (*shade(colour, 0.9), 255))
            pen.taper(x0, y, rx * 0.9, top + depth, rx * 0.86, shade(colour, 0.9))
            mass(pen, stage.food, x0, y, rx * 0.9, 12, 40 * p, seed)
            pen.polygon(
                [
                    (x0 - rx * 0.8, top + 8),
                    (x0 - rx * 0.64, top + 10),
                    (x0 - rx * 0.6, top + depth),
                    (x0 - rx * 0.72, top + depth - 2),
                ],
                (255, 255, 255, 90),
            )
            pen.arc(x0, top, rx, 13, 0, 360, 1.6, (246, 250, 252, 220))
            return y
        size = 0.3 + 0.62 * ease(p * 1.3)
        y = top + {"pan": 4, "pot": 8 - 7 * p, "bowl": 9 - 8 * p}[vessel]
        mass(pen, stage.food, x0, y, rx * size * (0.88 if vessel == "pan" else 0.96), rx * 0.28 * size, 40 * p, seed)
        return y

    def container(pen: Pen, x: float, y: float, angle: float) -> Point:
        """The vessel in the hand, its spout at the returned point."""
        if jug == "bottle":
            shape = [(-62, -5), (-44, -6), (-32, -16), (22, -16), (22, 16), (-32, 16), (-44, 6), (-62, 5)]
            pen.polygon(placed(shape, x, y, angle), shade(colour, 0.8))
            pen.polygon(placed([(-30, -13), (20, -13), (20, -4), (-30, -4)], x, y, angle), shade(colour, 1.25))
            pen.polygon(placed([(-14, -16), (10, -16), (10, 16), (-14, 16)], x, y, angle), body)
            pen.polygon(placed([(-62, -6), (-54, -6), (-54, 6), (-62, 6)], x, y, angle), shade(body, 0.7))
            return placed([(-62, 3)], x, y, angle)[0]
        pen.line(placed([(8, 18), (26, 20), (28, 34), (-6, 26)], x, y, angle), 5, shade(body, 0.75))
        pen.polygon(placed([(-46, -22), (-34, -26), (22, -20), (22, 20), (-34, 22), (-40, 18)], x, y, angle), body)
        pen.polygon(placed([(-40, -20), (-34, -22), (2, -18), (2, 17), (-34, 18)], x, y, angle), shade(colour, 0.9))
        pen.oval(*placed([(-36, -2)], x, y, angle)[0], 5, 22, angle, colour)
        return placed([(-45, -20)], x, y, angle)[0] if angle < -70 else placed([(-38, 18)], x, y, angle)[0]

    def moment(pen: Pen, t: float) -> None:
        p = t / stage.duration
        tip = ease(p / 0.1) * ease((1 - p) / 0.06)
        surface = level(pen, clamp((p - 0.08) / 0.86))
        hx, hy = x0 + 62 + 3 * swing(t, 0.4), 88 + 3 * swing(t, 0.7 * stage.pace) + 6 * (1 - tip)
        spout = container(pen, hx, hy, 62 - 82 * tip)
        if tip > 0.8:
            stream(pen, spout, surface, t)
        if jug == "bottle":
            hand(pen, stage.look, hx + 10, hy + 8, 50)
        else:
            hand(pen, stage.look, *placed([(22, 28)], hx, hy, 62 - 82 * tip)[0], 50)

    def stream(pen: Pen, spout: Point, surface: float, t: float) -> None:
        if food.grain:
            for i in range(46):
                fall = (t * 2.4 + i / 46) % 1
                x = spout[0] - 12 * math.sqrt(fall) + 5 * math.sin(i * 12.9) * (0.3 + fall)
                piece(
                    pen,
                    stage.food,
                    x,
                    spout[1] + fall * (surface - spout[1]),
                    8 if food.grain != "tubes" else 12,
                    50 * i + 200 * t,
                )
            return
        edge = []
        for i in range(9):
            f = i / 8
            x = spout[0] - 13 * math.sqrt(f) + 1.6 * math.sin(9 * f - 16 * t)
            edge.append((x, spout[1] + f * (surface - spout[1]), 4.2 - 1.6 * f + 0.9 * math.sin(14 * f - 23 * t)))
        pen.polygon([(x - w, y) for x, y, w in edge] + [(x + w, y) for x, y, w in reversed(edge)], shade(colour, 0.93))
        pen.polygon([(x - w * 0.5, y) for x, y, w in edge] + [(x, y) for x, y, w in reversed(edge)], shade(colour, 1.4))
        x = edge[-1][0]
        for i in range(3):
            ring = (t * 1.6 + i / 3) % 1
            pen.arc(x, surface, 5 + 20 * ring, 2 + 6 * ring, 0, 360, 1.2, (*shade(colour, 0.75), int(200 * (1 - ring))))

    return moment
