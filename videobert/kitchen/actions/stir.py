"""A spoon moves in slow circles in a pot, a pan or a bowl; the contents turn with it."""

from videobert.kitchen.food import FOODS, liquid_colour, mass
from videobert.kitchen.pen import Pen, shade, spot
from videobert.kitchen.stage import Moment, Stage
from videobert.kitchen.tools import spoon, vessel


def draw(stage: Stage) -> Moment:
    x0 = 148
    # Pepper would not be seen against the dark inside of a pot or a pan.
    kind = stage.rng.choice(["bowl", "pot", "pan"][: 1 if stage.food == "pepper" else 3])
    seed = stage.rng.getrandbits(16)
    rx, y0, depth = {"pot": (64, 154, 50), "bowl": (68, 158, 48), "pan": (72, 184, 0)}[kind]
    vessel(stage.pen, stage.look, kind, x0, y0, rx, depth)
    hertz, sense = 0.75 * stage.pace, stage.rng.choice([-1, 1])
    colour = liquid_colour(stage.food)
    wood = shade((178, 122, 70), stage.rng.uniform(0.8, 1.15))

    def moment(pen: Pen, t: float) -> None:
        turn = sense * 360 * hertz * t
        y = y0 + (4 if kind == "pan" else 3)
        mass(pen, stage.food, x0, y, rx * 0.9, rx * 0.26, turn * 0.8, seed)
        if not FOODS[stage.food].grain:
            for r, a in ((0.72, 0), (0.5, 140), (0.3, 250)):
                pen.arc(x0, y, rx * r, rx * 0.26 * r, turn + a, turn + a + 100, 1.8, (*shade(colour, 0.72), 150))
                pen.arc(x0, y + 1.4, rx * r, rx * 0.26 * r, turn + a, turn + a + 80, 1.2, (*shade(colour, 1.6), 150))
        tip = spot(x0, y, rx * 0.58, rx * 0.17, turn, 1)
        spoon(pen, stage.look, tip, (tip[0] * 0.6 + (x0 + 60) * 0.4 + 6, y0 - 62 + 0.8 * (tip[1] - y)), wood)

    return moment
