"""Colours, points, timing curves, and the pen that draws them through the camera.

Coordinates are those of a 320x240 picture, y downwards, before the camera. The camera zooms, shifts and mirrors.
Pillow draws at twice the size; the picture is then reduced by half, which is the antialiasing.
"""

import math
import random
from collections.abc import Sequence
from functools import cache

from PIL import Image, ImageDraw

WIDTH, HEIGHT, OVERSAMPLE = 320, 240, 2
Colour = tuple[int, ...]
Point = tuple[float, float]

WHITE, BLACK = (255, 255, 255), (25, 25, 28)
CIRCLE = [(math.cos(a * math.tau / 28), math.sin(a * math.tau / 28)) for a in range(28)]


def shade(colour: Colour, factor: float) -> Colour:
    """Darker below 1, lighter above (towards white, so that dark colours get highlights too)."""
    return mix(colour, WHITE, factor - 1) if factor > 1 else tuple(int(c * factor) for c in colour[:3])


def mix(a: Colour, b: Colour, share: float) -> Colour:
    """From `a` (share 0) to `b` (share 1)."""
    return tuple(int(x + (y - x) * share) for x, y in zip(a[:3], b[:3], strict=True))


def placed(points: Sequence[Point], x: float, y: float, angle: float) -> list[Point]:
    """Turns points by `angle` degrees (clockwise as seen) and moves them to (x, y)."""
    c, s = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    return [(x + c * a - s * b, y + s * a + c * b) for a, b in points]


@cache
def scatter(seed: int, count: int) -> tuple[tuple[float, float], ...]:
    """Random places in a unit disc as (angle in degrees, radius), uniform over its area."""
    rng = random.Random(seed)
    return tuple((rng.uniform(0, 360), math.sqrt(rng.random())) for _ in range(count))


def spot(x: float, y: float, rx: float, ry: float, angle: float, radius: float) -> Point:
    """A place of `scatter` in the ellipse (x, y, rx, ry)."""
    return x + rx * radius * math.cos(math.radians(angle)), y + ry * radius * math.sin(math.radians(angle))


def clamp(value: float, low: float = 0.0, high: float = 1.0) -> float:
    return min(max(value, low), high)


def ease(value: float) -> float:
    """A smooth step from 0 to 1."""
    value = clamp(value)
    return value * value * (3 - 2 * value)


def swing(t: float, hertz: float) -> float:
    """A sine between -1 and 1."""
    return math.sin(math.tau * hertz * t)


class Pen:
    """Draws on an image through the camera: 320x240 coordinates in, pixels of the oversampled image out."""

    def __init__(self, image: Image.Image, zoom: float = 1.0, shift: Point = (0.0, 0.0), mirror: bool = False):
        self.draw = ImageDraw.Draw(image, "RGBA")
        self.k = OVERSAMPLE * zoom
        self.kx = -self.k if mirror else self.k
        self.ox = OVERSAMPLE * (WIDTH / 2 + shift[0]) - self.kx * WIDTH / 2
        self.oy = OVERSAMPLE * (170 + shift[1]) - self.k * 170

    def at(self, points: Sequence[Point]) -> list[Point]:
        kx, k, ox, oy = self.kx, self.k, self.ox, self.oy
        return [(ox + kx * x, oy + k * y) for x, y in points]

    def polygon(self, points: Sequence[Point], colour: Colour) -> None:
        self.draw.polygon(self.at(points), colour)

    def ellipse(self, x: float, y: float, rx: float, ry: float, colour: Colour) -> None:
        cx, cy, rx, ry = self.ox + self.kx * x, self.oy + self.k * y, self.k * rx, self.k * ry
        if rx > 0 and ry > 0:
            self.draw.ellipse((cx - rx, cy - ry, cx + rx, cy + ry), colour)

    def box(self, left: float, top: float, right: float, bottom: float, colour: Colour) -> None:
        self.polygon([(left, top), (right, top), (right, bottom), (left, bottom)], colour)

    def taper(self, x: float, top: float, above: float, bottom: float, below: float, colour: Colour) -> None:
        """Four corners symmetrical about x, whose half width goes from `above` at the top to `below` at the bottom."""
        self.polygon([(x - above, top), (x + above, top), (x + below, bottom), (x - below, bottom)], colour)

    def oval(self, x: float, y: float, rx: float, ry: float, angle: float, colour: Colour) -> None:
        self.polygon(placed([(rx * a, ry * b) for a, b in CIRCLE], x, y, angle), colour)

    def line(self, points: Sequence[Point], width: float, colour: Colour) -> None:
        """Round ends; opaque colours only (the ends overlap the line)."""
        points = self.at(points)
        width *= self.k
        self.draw.line(points, colour, max(1, round(width)), "curve" if len(points) > 2 else None)
        if width >= 4:
            r = width / 2 - 0.5
            for x, y in (points[0], points[-1]):
                self.draw.ellipse((x - r, y - r, x + r, y + r), colour)

    def arc(
        self, x: float, y: float, rx: float, ry: float, start: float, end: float, width: float, colour: Colour
    ) -> None:
        cx, cy, rx, ry = self.ox + self.kx * x, self.oy + self.k * y, self.k * rx, self.k * ry
        if self.kx < 0:
            start, end = 180 - end, 180 - start
        if rx > 0 and ry > 0:
            self.draw.arc((cx - rx, cy - ry, cx + rx, cy + ry), start, end, colour, max(1, round(width * self.k)))
