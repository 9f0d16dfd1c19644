"""Hands, tools and vessels. Hands come from the right, before the camera mirrors half of the videos."""

import math

from videobert.kitchen.look import Look
from videobert.kitchen.pen import Colour, Pen, Point, placed, scatter, shade


def hand(pen: Pen, look: Look, x: float, y: float, angle: float = 48.0) -> None:
    """A fist at (x, y); its arm leaves the picture at `angle` degrees (0 to the right, 90 downwards)."""
    c, s = math.cos(math.radians(angle)), math.sin(math.radians(angle))

    def p(i: float, j: float) -> Point:
        return x + c * i - s * j, y + s * i + c * j

    dark, darker = shade(look.skin, 0.86), shade(look.skin, 0.72)
    pen.polygon([p(4, -8), p(4, 8), p(64, 11.5), p(64, -11.5)], look.skin)
    pen.polygon([p(4, 3), p(4, 8), p(64, 11.5), p(64, 5)], dark)
    pen.polygon([p(54, -14), p(54, 14), p(280, 24), p(280, -24)], look.sleeve)
    pen.polygon([p(54, 5), p(54, 14), p(280, 24), p(280, 9)], shade(look.sleeve, 0.84))
    pen.polygon([p(52, -14.5), p(52, 14.5), p(57, 15), p(57, -15)], shade(look.sleeve, 1.2))
    pen.oval(*p(3, 0), 13, 11.5, angle, darker)
    pen.oval(*p(3.4, -0.6), 12.2, 10.6, angle, look.skin)
    for j in (7.4, 2.6, -2.2, -7.0):
        pen.line([p(1, j), p(-9, 0.9 * j)], 6.2, darker)
        pen.line([p(1, j - 0.4), p(-8.6, 0.9 * j - 0.4)], 4.8, look.skin)
    pen.line([p(8, -9), p(-3, -11.5)], 6.4, darker)
    pen.line([p(8, -9.4), p(-2.8, -11.8)], 5.2, shade(look.skin, 1.06))


def knife(pen: Pen, look: Look, x: float, y: float, angle: float) -> None:
    """A chef's knife: (x, y) is where blade and handle meet, the blade points left; with the hand that holds it."""
    pen.polygon(placed([(0, -5), (-56, -6), (-74, 4), (-60, 8), (-30, 10), (0, 9)], x, y, angle), look.metal)
    pen.polygon(
        placed([(0, 5), (-30, 6.5), (-58, 5.5), (-74, 4), (-60, 8), (-30, 10), (0, 9)], x, y, angle),
        shade(look.metal, 1.5),
    )
    pen.line(placed([(0, 0), (32, 0)], x, y, angle), 9, look.handle)
    hand(pen, look, *placed([(17, 1)], x, y, angle)[0], 42 + angle * 0.4)


def spoon(pen: Pen, look: Look, tip: Point, grip: Point, colour: Colour) -> None:
    """From the hand at `grip` down to `tip`."""
    pen.line([tip, grip], 4.6, shade(colour, 0.8))
    pen.line([(tip[0] - 0.7, tip[1]), (grip[0] - 0.7, grip[1])], 2.8, colour)
    pen.oval(tip[0], tip[1], 8, 5, 0, shade(colour, 0.86))
    hand(pen, look, grip[0], grip[1], 44)


def board(pen: Pen, look: Look) -> None:
    pen.polygon([(42, 214), (284, 214), (276, 220), (50, 220)], (0, 0, 0, 60))
    pen.polygon([(62, 160), (258, 160), (288, 206), (32, 206)], look.board)
    pen.box(32, 206, 288, 214, shade(look.board, 0.7))
    for i in range(5):
        pen.draw.line(
            pen.at([(56 - 5 * i, 167 + 8 * i), (264 + 5 * i, 167 + 8 * i)]), (*shade(look.board, 0.85), 130), 2
        )


def pot(pen: Pen, look: Look, x: float, y: float, rx: float, depth: float) -> None:
    """A pot whose rim is the ellipse (x, y, rx, 0.3 rx)."""
    ry = 0.3 * rx
    pen.ellipse(x + 4, y + depth + 4, rx * 1.12, ry * 1.1, (0, 0, 0, 70))
    for side in (-1, 1):
        pen.line([(x + side * rx * 0.95, y + 12), (x + side * (rx + 13), y + 11)], 7, shade(look.handle, 0.9))
    pen.ellipse(x, y + depth, rx * 0.94, ry, shade(look.pot, 0.8))
    pen.taper(x, y, rx, y + depth, rx * 0.94, look.pot)
    pen.polygon(
        [(x + rx * 0.45, y), (x + rx, y), (x + rx * 0.94, y + depth), (x + rx * 0.45, y + depth + ry * 0.86)],
        shade(look.pot, 0.82),
    )
    pen.polygon(
        [(x - rx * 0.8, y), (x - rx * 0.6, y), (x - rx * 0.58, y + depth + 6), (x - rx * 0.76, y + depth + 4)],
        shade(look.pot, 1.3),
    )
    pen.ellipse(x, y, rx * 1.03, ry * 1.06, shade(look.pot, 0.62))
    pen.ellipse(x, y + 1, rx * 0.96, ry * 0.94, shade(look.pot, 0.45))


def bowl(pen: Pen, look: Look, x: float, y: float, rx: float, depth: float) -> None:
    """A bowl whose rim is the ellipse (x, y, rx, 0.3 rx)."""
    ry = 0.3 * rx
    pen.ellipse(x + 3, y + depth + 1, rx * 0.66, ry * 0.55, (0, 0, 0, 80))
    side = [(x + rx * math.cos(a), y + depth * math.sin(a) ** 0.8) for a in (math.pi * i / 18 for i in range(1, 18))]
    pen.polygon([(x + rx, y), *side, (x - rx, y)], look.bowl)
    pen.polygon([(x + rx, y), *side[:7], (x + rx * 0.55, y)], shade(look.bowl, 0.84))
    pen.ellipse(x, y + depth, rx * 0.44, 5, shade(look.bowl, 0.7))
    pen.oval(x - rx * 0.6, y + depth * 0.45, 4, depth * 0.24, 28, shade(look.bowl, 1.4))
    pen.ellipse(x, y, rx, ry, shade(look.bowl, 1.25))
    pen.ellipse(x, y + 1, rx * 0.95, ry * 0.92, shade(look.bowl, 0.72))


def pan(pen: Pen, look: Look, x: float, y: float, rx: float, tilt: float = 0.0) -> None:
    """A frying pan with its handle to the right, raised by `tilt` degrees."""
    ry = 0.34 * rx
    pen.line(placed([(rx * 0.9, 2), (rx + 54, -6)], x, y, tilt), 9, shade(look.handle, 0.9))
    pen.oval(x, y + 8, rx * 0.94, ry, tilt, (34, 34, 38))
    pen.oval(x, y, rx, ry, tilt, (58, 58, 64))
    pen.oval(x, y + 1, rx * 0.94, ry * 0.92, tilt, (30, 30, 34))
    pen.oval(x, y + 4, rx * 0.84, ry * 0.78, tilt, (44, 44, 50))


def vessel(pen: Pen, look: Look, kind: str, x: float, y: float, rx: float, depth: float) -> None:
    """A pot, a bowl or a pan; the pan's depth is fixed."""
    if kind == "pan":
        pan(pen, look, x, y, rx)
    else:
        {"pot": pot, "bowl": bowl}[kind](pen, look, x, y, rx, depth)


def plate(pen: Pen, look: Look, x: float, y: float, rx: float) -> None:
    ry = 0.32 * rx
    pen.ellipse(x + 3, y + 5, rx, ry, (0, 0, 0, 60))
    pen.ellipse(x, y + 3, rx, ry, shade(look.plate, 0.78))
    pen.ellipse(x, y, rx, ry, look.plate)
    pen.ellipse(x, y + 1, rx * 0.74, ry * 0.7, shade(look.plate, 0.9))


def stove(pen: Pen, x: float, y: float, rx: float) -> None:
    pen.ellipse(x, y, rx * 1.3, rx * 0.42, (30, 30, 34))
    pen.ellipse(x, y, rx * 1.15, rx * 0.36, (52, 46, 48))
    pen.ellipse(x, y, rx * 1.02, rx * 0.32, (226, 88, 36))


def steam(pen: Pen, x: float, y: float, t: float, strength: float, seed: int) -> None:
    """Clouds that rise, grow and fade."""
    count = int(9 * strength)
    for i in range(count):
        a, r = scatter(seed, 12)[i]
        age = (t * (0.45 + 0.2 * r) + a / 360) % 1
        sway = 7 * math.sin(5 * age + a)
        alpha = int(120 * strength * math.sin(math.pi * age))
        pen.oval(
            x + (a / 180 - 1) * 36 * (0.6 + 0.5 * age) + sway,
            y - 12 - 90 * age,
            6 + 12 * age,
            5 + 8 * age,
            0,
            (244, 246, 250, alpha),
        )
