"""The food: its colours and shapes, whole, cut, in pieces and as the contents of a vessel."""

import math
from dataclasses import dataclass
from functools import cache

from videobert.kitchen.pen import Colour, Pen, Point, mix, placed, scatter, shade, spot


@dataclass(frozen=True)
class Food:
    """Colours outside and inside; half width, half height and squareness of the whole thing."""

    skin: Colour
    flesh: Colour
    width: float = 22
    height: float = 20
    power: float = 2.0
    grain: str = ""  # of what is poured, stirred and sprinkled: "" liquid, "dust", "grains" or "tubes"
    bits: Colour | None = None  # pieces that float in a liquid


FOODS = {
    "tomato": Food((208, 34, 36), (240, 92, 70), 23, 20, 2.2),
    "onion": Food((150, 58, 112), (240, 226, 238), 22, 20),
    "potato": Food((146, 106, 62), (240, 214, 138), 32, 20, 2.2),
    "carrot": Food((238, 122, 28), (250, 152, 58), 48, 12, 2.4),
    "cucumber": Food((44, 112, 48), (176, 220, 134), 50, 13, 3.2),
    "apple": Food((142, 196, 52), (246, 244, 206), 22, 21, 2.3),
    "cheese": Food((246, 184, 40), (255, 206, 70), 32, 20, 9),
    "butter": Food((250, 238, 150), (252, 242, 172), 34, 13, 8),
    "bread": Food((142, 84, 38), (222, 180, 122), 44, 22, 3.2),
    "chicken": Food((240, 174, 158), (248, 196, 180), 36, 19, 2.3),
    "egg": Food((224, 168, 128), (250, 250, 244), 20, 15),
    "nuts": Food((112, 66, 36), (206, 156, 96), 15, 13, 2.2),
    "dough": Food((236, 220, 184), (242, 228, 196), 40, 22),
    "pasta": Food((244, 208, 92), (248, 218, 112), 40, 22, grain="tubes"),
    "pancake": Food((222, 160, 78), (236, 190, 112), 36, 12),
    "soup": Food((112, 148, 58), (126, 164, 66), bits=(232, 140, 48)),
    "water": Food((150, 202, 236), (166, 212, 242)),
    "oil": Food((196, 176, 30), (206, 188, 44)),
    "milk": Food((248, 248, 246), (252, 252, 250)),
    "sauce": Food((176, 34, 22), (188, 42, 28), bits=(120, 20, 16)),
    "batter": Food((232, 204, 152), (238, 212, 164), bits=(248, 232, 196)),
    "rice": Food((244, 240, 224), (250, 247, 236), grain="grains"),
    "salt": Food((250, 250, 252), (255, 255, 255), grain="dust"),
    "pepper": Food((52, 46, 44), (38, 34, 34), grain="dust"),
}
BEATEN_EGG, YOLK, GOLDEN = (248, 206, 62), (248, 168, 24), (164, 92, 34)


def liquid_colour(name: str) -> Colour:
    """The colour of the food in a vessel: eggs are beaten."""
    return BEATEN_EGG if name == "egg" else FOODS[name].flesh


def dough_colour(name: str) -> Colour:
    """The colour of a lump that is pressed or rolled out."""
    return (172, 118, 70) if name == "bread" else mix(FOODS[name].skin, FOODS[name].flesh, 0.5)


@cache
def outline(name: str) -> tuple[Point, ...]:
    """The convex outline of the whole thing around (0, 0): convex, so that clamping a coordinate cuts it."""
    food = FOODS[name]
    points = []
    for i in range(40):
        c, s = math.cos(math.tau * i / 40), math.sin(math.tau * i / 40)
        x = math.copysign(abs(c) ** (2 / food.power), c)
        y = math.copysign(abs(s) ** (2 / food.power), s)
        if name == "carrot":
            y *= 0.72 - 0.28 * x
        if name in ("egg", "chicken"):
            y *= 0.9 - 0.14 * x
        if name == "bread" and y > 0:
            y *= 0.85
        points.append((food.width * x, food.height * y))
    return tuple(points)


def tomato_leaves(pen: Pen, x: float, y: float, scale: float, edge: float) -> None:
    top = y - scale * FOODS["tomato"].height
    for angle in (-160, -125, -90, -55, -20):
        pen.oval(
            x + 6 * scale * math.cos(math.radians(angle)),
            top + 2 + 3 * scale * math.sin(math.radians(angle)),
            7 * scale,
            2 * scale,
            angle,
            (48, 128, 48),
        )


def apple_stalk(pen: Pen, x: float, y: float, scale: float, edge: float) -> None:
    top = y - scale * FOODS["apple"].height
    pen.line([(x, top + 3), (x + 3 * scale, top - 7 * scale)], 2 * scale, (96, 62, 34))
    pen.oval(x + 9 * scale, top - 4 * scale, 7 * scale, 3 * scale, -25, (76, 146, 56))


def onion_skin(pen: Pen, x: float, y: float, scale: float, edge: float) -> None:
    food = FOODS["onion"]
    top = y - scale * food.height
    pen.taper(x, top + 3, 5 * scale, top - 9 * scale, 2, (206, 166, 110))
    for bend in (-0.55, 0.0, 0.55):
        if bend * food.width < edge:
            pen.line(
                [(x, top + 2), (x + 1.15 * bend * scale * food.width, y), (x, y + 0.9 * scale * food.height)],
                0.8,
                shade(food.skin, 1.25),
            )


def carrot_leaves(pen: Pen, x: float, y: float, scale: float, edge: float) -> None:
    food = FOODS["carrot"]
    for angle in (150, 172, 188, 208):
        pen.line(
            [(x - scale * 46, y), *placed([(22 * scale, 0)], x - scale * 46, y, angle)], 3.5 * scale, (62, 142, 56)
        )
    for i in range(5):
        if -30 + 15 * i < edge:
            pen.line(
                [(x + scale * (-30 + 15 * i), y - scale * 7), (x + scale * (-28 + 15 * i), y - scale * 3)],
                0.8,
                shade(food.skin, 0.8),
            )


def cucumber_stripes(pen: Pen, x: float, y: float, scale: float, edge: float) -> None:
    food = FOODS["cucumber"]
    for i in range(3):
        pen.line(
            [(x - scale * 44, y - scale * (6 - 6 * i)), (x + scale * min(42, edge), y - scale * (6 - 6 * i))],
            1,
            shade(food.skin, 1.2),
        )


def potato_eyes(pen: Pen, x: float, y: float, scale: float, edge: float) -> None:
    food = FOODS["potato"]
    for a, b in ((-18, 3), (-6, -8), (4, 8), (14, -3), (22, 5)):
        if a < edge:
            pen.ellipse(x + scale * a, y + scale * b, 1.5 * scale, 1.1 * scale, shade(food.skin, 0.7))


def cheese_holes(pen: Pen, x: float, y: float, scale: float, edge: float) -> None:
    food = FOODS["cheese"]
    for a, b, r in ((-20, -6, 4), (-10, 8, 5), (4, -8, 3.5), (16, 4, 4.5), (24, -10, 3)):
        if a + r < edge:
            pen.ellipse(x + scale * a, y + scale * b, r * scale, r * scale, shade(food.skin, 0.78))


def butter_edge(pen: Pen, x: float, y: float, scale: float, edge: float) -> None:
    food = FOODS["butter"]
    top = y - scale * food.height
    pen.box(x - scale * 33, top + 1, x + scale * min(33, edge), top + 5, shade(food.skin, 1.5))


def bread_cuts(pen: Pen, x: float, y: float, scale: float, edge: float) -> None:
    for a in (-26, -8, 10, 28):
        if a + 4 < edge:
            pen.line(
                [(x + scale * (a - 4), y - scale * 4), (x + scale * (a + 4), y - scale * 15)],
                2.6 * scale,
                (226, 184, 126),
            )


def chicken_bone(pen: Pen, x: float, y: float, scale: float, edge: float) -> None:
    pen.line([(x - scale * 34, y), (x - scale * 52, y - scale * 2)], 6 * scale, (244, 234, 220))
    pen.ellipse(x - scale * 53, y - scale * 5, 4 * scale, 4 * scale, (244, 234, 220))
    pen.ellipse(x - scale * 54, y + scale * 1, 4 * scale, 4 * scale, (244, 234, 220))


def nut_seam(pen: Pen, x: float, y: float, scale: float, edge: float) -> None:
    food = FOODS["nuts"]
    pen.line(
        [(x - scale * 13, y), (x, y + 3 * scale), (x + scale * min(13, edge), y)],
        1.2 * scale,
        shade(food.skin, 0.65),
    )


# What makes a whole food recognisable, drawn around (x, y) up to `edge`, where it is cut.
DETAILS = {
    "tomato": tomato_leaves,
    "apple": apple_stalk,
    "onion": onion_skin,
    "carrot": carrot_leaves,
    "cucumber": cucumber_stripes,
    "potato": potato_eyes,
    "cheese": cheese_holes,
    "butter": butter_edge,
    "bread": bread_cuts,
    "chicken": chicken_bone,
    "nuts": nut_seam,
}


def whole(pen: Pen, name: str, x: float, y: float, scale: float = 1.0, cut: float = 1.0) -> None:
    """The whole thing at (x, y); `cut` below 1 takes the right part away and shows the cut face."""
    food = FOODS[name]
    edge = food.width * (2 * cut - 1)
    points = [(x + scale * min(a, edge), y + scale * b) for a, b in outline(name)]
    low = y + scale * food.height * 0.25
    pen.ellipse(
        x + scale * (edge - food.width) / 2,
        y + scale * food.height * 0.85,
        scale * (edge + food.width) / 2 + 2,
        scale * 6,
        (0, 0, 0, 55),
    )
    pen.polygon(points, food.skin)
    pen.polygon([(a, max(b, low)) for a, b in points], shade(food.skin, 0.86))
    if name not in ("cheese", "butter"):
        pen.oval(
            x - 0.35 * scale * food.width,
            y - 0.5 * scale * food.height,
            0.26 * scale * food.width,
            0.14 * scale * food.height,
            -12,
            shade(food.skin, 1.45),
        )
    if name in DETAILS:
        DETAILS[name](pen, x, y, scale, edge)
    if cut < 1:
        face = scale * food.height * max(0.0, 1 - abs(edge / food.width) ** food.power) ** (1 / food.power)
        pen.ellipse(x + scale * edge, y, face * 0.42, face, shade(food.skin, 0.92))
        slice_face(pen, name, x + scale * edge, y, face * 0.36, face * 0.9)


def slice_face(pen: Pen, name: str, x: float, y: float, rx: float, ry: float, angle: float = 0.0) -> None:
    """The inside as a cut shows it."""
    food = FOODS[name]
    square = name in ("cheese", "butter")
    if square:
        pen.polygon(placed([(-rx, -ry), (rx, -ry * 0.9), (rx, ry * 0.9), (-rx, ry)], x, y, angle), food.flesh)
        return
    pen.oval(x, y, rx, ry, angle, food.flesh)
    if name == "onion":
        pen.oval(x, y, rx * 0.7, ry * 0.7, angle, (206, 152, 196))
        pen.oval(x, y, rx * 0.55, ry * 0.55, angle, food.flesh)
    if name == "carrot":
        pen.oval(x, y, rx * 0.5, ry * 0.5, angle, shade(food.flesh, 1.3))
    if name in ("tomato", "cucumber"):
        seed = (252, 214, 120) if name == "tomato" else (226, 244, 196)
        for a, b in ((-0.2, -0.5), (0.3, -0.1), (-0.3, 0.15), (0.15, 0.5)):
            pen.oval(*placed([(a * rx, b * ry)], x, y, angle)[0], rx * 0.22 + 0.4, ry * 0.16, angle, seed)
    if name == "apple":
        for b in (-0.2, 0.2):
            pen.oval(*placed([(0, b * ry)], x, y, angle)[0], rx * 0.2 + 0.4, ry * 0.14, angle, (96, 60, 34))


def slice_of(pen: Pen, name: str, x: float, y: float, angle: float = 0.0) -> None:
    """One slice, leaning."""
    food = FOODS[name]
    height = food.height * 0.92
    width = height * 0.48
    pen.ellipse(x + 2, y + height * 0.85, width + 3, 3, (0, 0, 0, 45))
    if name in ("cheese", "butter"):
        pen.polygon(
            placed([(-width, -height), (width, -height), (width, height), (-width, height)], x, y, angle),
            shade(food.skin, 0.85),
        )
    else:
        pen.oval(x, y, width, height, angle, food.skin)
    slice_face(pen, name, x, y, width * 0.84, height * 0.88, angle)


def piece(pen: Pen, name: str, x: float, y: float, size: float, angle: float, done: float = 0.0) -> None:
    """A bit of the food as it lies on a board, in a pan or in a pot; `done` browns it."""
    food = FOODS[name]
    flesh, skin = mix(food.flesh, GOLDEN, 0.65 * done), mix(food.skin, GOLDEN, 0.5 * done)
    if food.grain == "grains":
        pen.oval(x, y, size * 0.42, size * 0.18, angle, flesh)
    elif food.grain == "dust":
        pen.ellipse(x, y, size * 0.16, size * 0.16, flesh)
    elif food.grain == "tubes":
        (ax, ay), (bx, by) = placed([(-size * 0.7, 0), (size * 0.7, 0)], x, y, angle)
        pen.line([(ax, ay), (bx, by)], size * 0.5, shade(flesh, 0.84))
        pen.line([(ax, ay - 0.5), (bx, by - 0.5)], size * 0.3, shade(flesh, 1.15))
    elif name == "chicken":
        pen.oval(x, y + 0.14 * size, size, size * 0.55, angle, shade(skin, 0.82))
        pen.oval(x, y, size * 0.95, size * 0.5, angle, flesh)
    else:
        box = [(-0.5, -0.5), (0.5, -0.42), (0.45, 0.5), (-0.5, 0.42)]
        corners = placed([(size * a, size * 0.8 * b) for a, b in box], x, y, angle)
        pen.polygon([(a, b + size * 0.22) for a, b in corners], skin if name != "nuts" else shade(food.flesh, 0.75))
        pen.polygon(corners, flesh)


def mass(pen: Pen, name: str, x: float, y: float, rx: float, ry: float, turn: float = 0.0, seed: int = 0) -> None:
    """Liquid or grains seen in a vessel: an ellipse with what floats in it, turned by `turn` degrees."""
    food = FOODS[name]
    colour = liquid_colour(name)
    pen.ellipse(x, y, rx, ry, shade(colour, 0.84) if food.grain else colour)
    if food.grain:
        size = {"dust": 7.0, "grains": 8.0, "tubes": 13.0}[food.grain]
        if food.grain == "dust":
            pen.ellipse(x, y, rx * 0.96, ry * 0.92, mix(colour, (150, 140, 136), 0.28))
        for a, r in scatter(seed, 70 if food.grain != "tubes" else 30):
            px, py = spot(x, y, rx * 0.92, ry * 0.88, a + turn, r)
            piece(pen, name, px, py, size, a * 7 + turn)
        return
    pen.ellipse(x, y + 0.1 * ry, rx * 0.93, ry * 0.84, shade(colour, 1.1))
    pen.arc(x, y, rx * 0.72, ry * 0.66, 200, 262, 1.6, (*shade(colour, 1.7), 190))
    if food.bits:
        for a, r in scatter(seed, 16):
            px, py = spot(x, y, rx * 0.85, ry * 0.8, a + turn * (1.3 - r), r)
            pen.ellipse(px, py, 2.4, 1.5, food.bits)
