"""One step as a function of time: sets the stage for an action and returns what draws its pictures."""

import random
from collections.abc import Callable

from PIL import Image

from videobert.kitchen.actions import ACTIONS
from videobert.kitchen.look import Look
from videobert.kitchen.pen import OVERSAMPLE, Pen, clamp
from videobert.kitchen.stage import Stage


def scene(
    verb: str, food: str, look: Look, empty: Image.Image, duration: float, rng: random.Random
) -> Callable[[float], Image.Image]:
    """Sets the stage of one step.

    Args:
        verb: one of `ACTIONS`.
        food: one of `FOODS`.
        look: the look of the video.
        empty: `background(look)`, drawn once for a video.
        duration: seconds that the whole step takes.
        rng: the step's own random numbers (place, scale, pace).

    Returns:
        A function from seconds since the start of the step to the picture, 320x240.
    """
    zoom = look.zoom * rng.uniform(0.92, 1.06)
    shift = (look.shift[0] + rng.uniform(-10, 10), look.shift[1] + rng.uniform(-4, 4))
    still = empty.copy()
    pen = Pen(still, zoom, shift, look.mirror)
    moment = ACTIONS[verb](Stage(pen, food, look, rng, duration, rng.uniform(0.85, 1.2)))

    def picture(t: float) -> Image.Image:
        image = still.copy()
        moment(Pen(image, zoom, shift, look.mirror), clamp(t, 0, duration))
        return image.reduce(OVERSAMPLE)

    return picture
