"""The sixteen actions, a file each; a file's docstring says what motion it shows.

`draw(stage)` of an action draws what does not move (board, pot, bowl) on the still picture once, and returns a function
that draws the moment `t` on a copy of it. A new action is a file here, its lines below, and its objects in
`script.OBJECTS_OF`.
"""

from collections.abc import Callable

from videobert.kitchen.actions import (
    boil,
    chop,
    crack,
    flip,
    fry,
    grate,
    mash,
    peel,
    pour,
    press,
    roll,
    slice,
    spread,
    sprinkle,
    stir,
    whisk,
)
from videobert.kitchen.stage import Moment, Stage

ACTIONS: dict[str, Callable[[Stage], Moment]] = {
    "boil": boil.draw,
    "chop": chop.draw,
    "crack": crack.draw,
    "flip": flip.draw,
    "fry": fry.draw,
    "grate": grate.draw,
    "mash": mash.draw,
    "peel": peel.draw,
    "pour": pour.draw,
    "press": press.draw,
    "roll": roll.draw,
    "slice": slice.draw,
    "sprinkle": sprinkle.draw,
    "spread": spread.draw,
    "stir": stir.draw,
    "whisk": whisk.draw,
}
