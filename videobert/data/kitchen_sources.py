"""The sources of the built-in corpus: `kitchen:17`, and `kitchen:recipe-17`, the same number of another kind of video."""

import re
from typing import NamedTuple

SOURCE = re.compile(r"kitchen:(recipe-)?(\d{1,9})")


class KitchenSource(NamedTuple):
    """What a source of the kitchen says."""

    is_recipe: bool
    number: int

    def __str__(self) -> str:
        return f"kitchen:{'recipe-' * self.is_recipe}{self.number}"


def kitchen_source(source: str) -> KitchenSource | None:
    """A source that names a video of the kitchen, read; None for any other."""
    found = SOURCE.fullmatch(source)
    return KitchenSource(found[1] is not None, int(found[2])) if found else None
