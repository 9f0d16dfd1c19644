"""A source of the kitchen, and the script that it names."""

from videobert.data.kitchen_sources import kitchen_source
from videobert.kitchen.recipes import recipe
from videobert.kitchen.script import Script, script


def script_of(source: str) -> Script:
    """The script of `kitchen:17` or `kitchen:recipe-17`."""
    found = kitchen_source(source)
    if found is None:
        raise ValueError(f"{source} is no video of the kitchen")
    return recipe(found.number) if found.is_recipe else script(found.number)
