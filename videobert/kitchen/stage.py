"""What an action is given (`Stage`) and what it returns (`Moment`)."""

import random
from collections.abc import Callable
from dataclasses import dataclass

from videobert.kitchen.look import Look
from videobert.kitchen.pen import Pen

Moment = Callable[[Pen, float], None]  # draws what moves, at a time in seconds since the start of the step


@dataclass(frozen=True)
class Stage:
    """What an action is given."""

    pen: Pen  # draws on the still picture
    food: str  # a key of `FOODS`
    look: Look
    rng: random.Random  # the step's own random numbers
    duration: float  # seconds, of the whole step
    pace: float  # how fast the hand is, about 1
