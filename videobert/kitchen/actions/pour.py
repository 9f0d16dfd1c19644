"""A jug or bottle is tipped, a stream falls, the level in the vessel rises."""

import math

from videobert.kitchen.food import FOODS, liquid_colour, mass, piece
from videobert.kitchen.pen import Colour, Pen, Point, clamp, ease, placed, shade, swing
from videobert.kitchen.stage import Moment, Stage
from videobert.kitchen.tools import hand, vessel

X = 138  # of the vessel's middle
# Half width and height of the rim in the picture, and depth.
VESSELS = {"glass": (46, 146, 56), "pan": (64, 186, 0), "pot": (56, 152, 46), "bowl": (60, 160, 44)}
CONTAINERS = [(226, 236, 240), (170, 204, 196), (222, 206, 190), (204, 190, 222)]  # colours


def draw(stage: Stage) -> Moment:
    # Pepper would not be seen against the dark inside of a pot or a pan.
    kind = stage.rng.choice(["glass", "bowl", "pot", "pan"][: 2 if stage.food == "pepper" else 4])
    container = stage.rng.choice([bottle, jug]) if not FOODS[stage.food].grain else jug
    if kind == "glass":
        glass_behind(stage.pen)
    else:
        rx, top, depth = VESSELS[kind]
        vessel(stage.pen, stage.look, kind, X, top, rx, depth)
    colour = liquid_colour(stage.food)
    seed, body = stage.rng.getrandbits(16), stage.rng.choice(CONTAINERS)

    def moment(pen: Pen, t: float) -> None:
        p = t / stage.duration
        tip = ease(p / 0.1) * ease((1 - p) / 0.06)
        full = clamp((p - 0.08) / 0.86)
        surface = (
            fill_glass(pen, stage.food, full, seed) if kind == "glass" else fill(pen, kind, stage.food, full, seed)
        )
        x, y = X + 62 + 3 * swing(t, 0.4), 88 + 3 * swing(t, 0.7 * stage.pace) + 6 * (1 - tip)
        angle = 62 - 82 * tip
        spout = container(pen, x, y, angle, colour, body)
        if tip > 0.8 and FOODS[stage.food].grain:
            falling_grains(pen, stage.food, spout, surface, t)
        elif tip > 0.8:
            stream(pen, colour, spout, surface, t)
        grip = (x + 10, y + 8) if container is bottle else placed([(22, 28)], x, y, angle)[0]
        hand(pen, stage.look, *grip, 50)

    return moment


def glass_behind(pen: Pen) -> None:
    """The parts of an empty glass that are seen through what it holds."""
    rx, top, depth = VESSELS["glass"]
    pen.ellipse(X + 4, top + depth + 4, rx, 12, (0, 0, 0, 60))
    pen.taper(X, top, rx, top + depth + 4, rx * 0.9, (235, 245, 250, 80))
    pen.ellipse(X, top + depth + 3, rx * 0.9, 12, (235, 245, 250, 90))
    pen.ellipse(X, top, rx, 13, (220, 232, 240, 110))


def fill_glass(pen: Pen, name: str, full: float, seed: int) -> float:
    """Draws the contents of the glass and the glass before them; returns the height of the surface in the picture."""
    rx, top, depth = VESSELS["glass"]
    colour = shade(liquid_colour(name), 0.9)
    y = top + depth - 8 - (depth - 22) * full
    pen.ellipse(X, top + depth, rx * 0.86, 11, (*colour, 255))
    pen.taper(X, y, rx * 0.9, top + depth, rx * 0.86, colour)
    mass(pen, name, X, y, rx * 0.9, 12, 40 * full, seed)
    reflection = [
        (X - rx * 0.8, top + 8),
        (X - rx * 0.64, top + 10),
        (X - rx * 0.6, top + depth),
        (X - rx * 0.72, top + depth - 2),
    ]
    pen.polygon(reflection, (255, 255, 255, 90))
    pen.arc(X, top, rx, 13, 0, 360, 1.6, (246, 250, 252, 220))
    return y


def fill(pen: Pen, kind: str, name: str, full: float, seed: int) -> float:
    """Draws the contents of pan, pot or bowl; returns the height of the surface in the picture."""
    rx, top, _ = VESSELS[kind]
    size = 0.3 + 0.62 * ease(full * 1.3)
    y = top + {"pan": 4, "pot": 8 - 7 * full, "bowl": 9 - 8 * full}[kind]
    mass(pen, name, X, y, rx * size * (0.88 if kind == "pan" else 0.96), rx * 0.28 * size, 40 * full, seed)
    return y


def bottle(pen: Pen, x: float, y: float, angle: float, colour: Colour, body: Colour) -> Point:
    """A bottle around (x, y), turned by `angle` degrees; returns where its mouth is."""
    shape = [(-62, -5), (-44, -6), (-32, -16), (22, -16), (22, 16), (-32, 16), (-44, 6), (-62, 5)]
    pen.polygon(placed(shape, x, y, angle), shade(colour, 0.8))
    pen.polygon(placed([(-30, -13), (20, -13), (20, -4), (-30, -4)], x, y, angle), shade(colour, 1.25))
    pen.polygon(placed([(-14, -16), (10, -16), (10, 16), (-14, 16)], x, y, angle), body)
    pen.polygon(placed([(-62, -6), (-54, -6), (-54, 6), (-62, 6)], x, y, angle), shade(body, 0.7))
    return placed([(-62, 3)], x, y, angle)[0]


def jug(pen: Pen, x: float, y: float, angle: float, colour: Colour, body: Colour) -> Point:
    """A jug around (x, y), turned by `angle` degrees; returns where its spout is."""
    pen.line(placed([(8, 18), (26, 20), (28, 34), (-6, 26)], x, y, angle), 5, shade(body, 0.75))
    pen.polygon(placed([(-46, -22), (-34, -26), (22, -20), (22, 20), (-34, 22), (-40, 18)], x, y, angle), body)
    pen.polygon(placed([(-40, -20), (-34, -22), (2, -18), (2, 17), (-34, 18)], x, y, angle), shade(colour, 0.9))
    pen.oval(*placed([(-36, -2)], x, y, angle)[0], 5, 22, angle, colour)
    return placed([(-38, 18)], x, y, angle)[0]


def falling_grains(pen: Pen, name: str, spout: Point, surface: float, t: float) -> None:
    """Grains on their way from the spout to the surface."""
    for i in range(46):
        fall = (t * 2.4 + i / 46) % 1
        x = spout[0] - 12 * math.sqrt(fall) + 5 * math.sin(i * 12.9) * (0.3 + fall)
        y = spout[1] + fall * (surface - spout[1])
        piece(pen, name, x, y, 8 if FOODS[name].grain != "tubes" else 12, 50 * i + 200 * t)


def stream(pen: Pen, colour: Colour, spout: Point, surface: float, t: float) -> None:
    """A stream of liquid, and the rings that it makes where it meets the surface."""
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
