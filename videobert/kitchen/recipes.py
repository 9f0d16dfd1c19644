"""The script of a recipe: a dish is cooked from its first step to its last, so that each step says what may follow.

The steps of the other videos (`script.py`) are drawn one by one, so nobody can tell what comes next. Here a video cooks
one dish: who has peeled the carrot will boil it, and who has boiled it will mash it. What is chosen at the start (which
vegetable, which fruit) stays to the end; some steps may be left out, some may change places, some can be done in two ways.

Nor does the voice say all that is shown, or show all that it says, as in real how-to videos. One step in six goes without
a word. One sentence in eight, a remark, is about what this video never shows ("My mother used to grate the cheese."); it
comes over a step that goes without a word, or in a pause.

A recipe is a function of its number, and shares nothing with the other video of that number.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field

from videobert.kitchen.script import (
    COMBINATIONS,
    FPS,
    HELD_OUT,
    LONGEST_LEAD,
    SHORTEST_STEP,
    Remark,
    Script,
    Step,
    is_narrated,
    is_test,
    phrase,
)

# The numbers of `kitchen:N` end before it: look, voice and noise of a video are drawn from its number. The last digit, which
# says whether a video is for testing and whether it is narrated, stays.
FIRST_NUMBER = 1_000_000_000
FEWEST_STEPS, MOST_STEPS = 7, 10
UNSPOKEN = 1 / 6  # of the steps
REMARK_MEANWHILE = 0.4  # of these
REMARK_IN_PAUSE = 0.5  # of the videos
SLOW = ("fry", "boil", "whisk", "stir", "mash")  # these take more of the time that is to spare

Pair = tuple[str, str]


@dataclass(frozen=True)
class Dish:
    """How a dish is cooked.

    Each line of `steps` comes after the one before. `+` parts what may change places within a line, and a comma parts
    steps whose order is fixed. `chop|slice onion` is done in either way, `sprinkle salt?` is left out every other time,
    and the words in braces stand for one of `choices`, the same throughout a video.
    """

    steps: tuple[str, ...]
    choices: dict[str, tuple[str, ...]] = field(default_factory=dict)


DISHES = {
    "pancakes": Dish(
        (
            "crack egg, whisk egg",
            "pour|whisk milk + sprinkle salt?",
            "whisk|stir batter",
            "pour oil + slice|peel|crack {topping}?",
            "pour|spread batter",
            "fry pancake, flip pancake",
            "fry pancake?",
            "spread butter? + sprinkle nuts?",
        ),
        {"topping": ("apple", "nuts")},
    ),
    "omelette": Dish(
        (
            "peel {filling}? + grate cheese?",
            "chop|slice {filling}",
            "crack egg, whisk egg",
            "sprinkle salt + sprinkle pepper? + whisk|pour milk?",
            "pour oil",
            "fry {filling}",
            "fry egg, flip egg",
            "sprinkle cheese?",
        ),
        {"filling": ("tomato", "onion", "potato")},
    ),
    "soup": Dish(
        (
            "peel {root}, chop|slice {root} + peel onion?, chop onion",
            "fry onion?",
            "pour water, boil {root}",
            "stir soup",
            "sprinkle salt? + sprinkle pepper? + pour|whisk milk?",
            "boil soup",
            "pour soup",
            "slice bread?",
        ),
        {"root": ("carrot", "potato")},
    ),
    "pasta with sauce": Dish(
        (
            "boil water + chop|slice tomato",
            "boil pasta + fry tomato, mash tomato?",
            "stir sauce",
            "sprinkle {spice}?",
            "stir pasta?",
            "pour|spread sauce",
            "grate cheese, sprinkle cheese?",
        ),
        {"spice": ("salt", "pepper")},
    ),
    "mash": Dish(
        (
            "peel {root}",
            "chop|slice {root}",
            "pour water?, boil {root}",
            "boil|whisk milk + slice butter?",
            "mash {root}",
            "pour milk?, mash butter?",
            "sprinkle salt + sprinkle pepper? + grate cheese?",
        ),
        {"root": ("potato", "carrot")},
    ),
    "apple sauce": Dish(
        (
            "slice|peel apple",
            "chop apple",
            "mash apple",
            "pour water?",
            "stir sauce",
            "crack nuts, chop|grate nuts",
            "pour|stir sauce",
            "sprinkle nuts",
            "whisk|pour milk?",
        ),
    ),
    "fried rice": Dish(
        (
            "boil water? + peel {vegetable}?",
            "pour rice, boil rice + chop|slice|grate {vegetable}",
            "pour oil",
            "fry {vegetable}",
            "crack egg?, fry egg?",
            "fry rice",
            "sprinkle {spice} + pour|stir sauce?",
            "stir rice?",
        ),
        {"vegetable": ("carrot", "onion", "tomato"), "spice": ("salt", "pepper")},
    ),
    "bread": Dish(
        (
            "pour {liquid} + sprinkle salt",
            "stir batter?",
            "press dough, roll dough",
            "press dough?",
            "slice bread",
            "slice butter? + grate|slice cheese?",
            "spread butter",
            "sprinkle {seed}?",
        ),
        {"liquid": ("water", "milk", "oil"), "seed": ("nuts", "cheese")},
    ),
    "chicken": Dish(
        (
            "chop chicken",
            "sprinkle salt? + sprinkle pepper",
            "pour oil",
            "flip|fry chicken",
            "chop|slice {vegetable}",
            "fry {vegetable}",
            "flip|fry chicken?",
            "stir|whisk sauce",
            "spread|pour sauce",
        ),
        {"vegetable": ("onion", "tomato", "carrot")},
    ),
    "salad": Dish(
        (
            "peel|slice|chop cucumber + slice|chop tomato? + peel carrot?, grate|slice carrot",
            "boil|peel egg?",
            "grate|slice cheese",
            "pour oil, whisk oil + pour|stir sauce?",
            "sprinkle salt + sprinkle pepper?",
            "crack nuts?, sprinkle nuts?",
        ),
    ),
    "fresh pasta": Dish(
        (
            "crack egg, whisk egg",
            "press dough, roll dough",
            "press pasta?, roll pasta",
            "boil water",
            "boil pasta, stir pasta",
            "pour|stir sauce + grate cheese?",
            "sprinkle cheese? + sprinkle pepper?",
        ),
    ),
    "sandwich": Dish(
        (
            "boil|fry egg, peel|flip egg?",
            "slice bread",
            "spread {spread} + slice|peel|grate {green}",
            "sprinkle salt? + sprinkle pepper?",
            "slice cheese?",
            "press bread, flip bread",
            "slice bread?",
        ),
        {"spread": ("butter", "cheese", "sauce"), "green": ("cucumber", "tomato", "carrot")},
    ),
    "rice pudding": Dish(
        (
            "pour milk, boil|whisk milk",
            "pour rice, stir rice",
            "boil rice",
            "peel|slice apple, grate|chop apple + crack nuts, chop nuts?",
            "stir milk",
            "sprinkle nuts",
        ),
    ),
}
REMARKS = (
    "you can also {} instead",
    "my mother used to {}",
    "remember to {} later",
    "some people like to {}",
    "last week I had to {}",
    "you do not have to {}",
    "never {} too early",
    "tomorrow I want to {}",
)


@dataclass(frozen=True)
class Slot:
    """Some seconds of a video: what is shown and said in them."""

    pair: Pair | None  # None in a pause
    sentence: str = ""  # about the pair
    remark: str = ""  # about something else


def recipe(number: int) -> Script:
    """The script of recipe `number` (0, 1, 2, ...), at once and without a voice."""
    if number < 0:
        raise ValueError(f"recipes are numbered from 0, not {number}")
    rng = random.Random(f"kitchen recipe {number}")
    name = menu(number)
    pairs = cook(DISHES[name], is_test(number), rng)
    narrated = is_narrated(number)
    slots = narrate(pairs, rng) if narrated else [Slot(pair) for pair in pairs]
    steps, remarks = timed(slots, rng)
    duration = round(steps[-1].end + round(rng.uniform(0.4, 1.0) * FPS) / FPS, 3)
    things = list(dict.fromkeys(thing for _, thing in pairs))
    title = f"{name.capitalize()}: {things[0]}, {things[1]} and {things[2]} in {len(steps)} steps"
    return Script(FIRST_NUMBER + number, title, narrated, duration, steps, remarks)


def menu(number: int) -> str:
    """The dish of a recipe: as many videos as there are dishes cook each of them once."""
    turn, place = divmod(number, len(DISHES))
    dishes = list(DISHES)
    random.Random(f"kitchen menu {turn}").shuffle(dishes)
    return dishes[place]


def cook(dish: Dish, test: bool, rng: random.Random) -> list[Pair]:
    """The steps of a dish as verbs and objects. Draws again until they can be shown, and are neither few nor many."""
    while True:
        chosen = {name: rng.choice(things) for name, things in dish.choices.items()}
        pairs = [
            choose_pair(step.format(**chosen), test, rng) for line in dish.steps for step in in_some_order(line, rng)
        ]
        shown = [pair for pair in pairs if pair is not None]
        if len(shown) == len(pairs) and FEWEST_STEPS <= len(pairs) <= MOST_STEPS:
            return shown


def in_some_order(line: str, rng: random.Random) -> Iterator[str]:
    """The steps of a line of a dish, without those that are left out this time."""
    chains = line.split(" + ")
    rng.shuffle(chains)
    for step in ", ".join(chains).split(", "):
        if not step.endswith("?") or rng.random() < 0.5:
            yield step.removesuffix("?")


def choose_pair(step: str, test: bool, rng: random.Random) -> Pair | None:
    """One of the ways to do a step ("chop|slice onion"); test videos take a held-out one two times out of three, others
    never. None when there is no way."""
    verbs, thing = step.split(" ")
    ways = [(verb, thing) for verb in verbs.split("|") if (verb, thing) in COMBINATIONS]
    held_out = [pair for pair in ways if pair in HELD_OUT]
    others = [pair for pair in ways if pair not in HELD_OUT]
    if test and held_out and (not others or rng.random() < 2 / 3):
        return rng.choice(held_out)
    return rng.choice(others) if others else None


def narrate(pairs: list[Pair], rng: random.Random) -> list[Slot]:
    """The steps with what is said meanwhile, and perhaps a pause for a remark."""
    slots = []
    for pair, sentence in zip(pairs, phrase(pairs, rng), strict=True):
        if rng.random() >= UNSPOKEN:
            slots.append(Slot(pair, sentence))
        elif rng.random() < REMARK_MEANWHILE:
            slots.append(Slot(pair, remark=remark(pair, pairs, rng)))
        else:
            slots.append(Slot(pair))
    if rng.random() < REMARK_IN_PAUSE:
        behind = rng.randrange(1, len(pairs))
        slots.insert(behind, Slot(None, remark=remark(pairs[behind - 1], pairs, rng)))
    return slots


def remark(near: Pair, pairs: list[Pair], rng: random.Random) -> str:
    """A sentence about what this video, of `pairs`, never shows: the same verb as in `near`, or the same object."""
    others = [pair for pair in COMBINATIONS if pair not in HELD_OUT and pair not in pairs]
    verb, thing = rng.choice([pair for pair in others if pair[0] == near[0] or pair[1] == near[1]])
    sentence = rng.choice(REMARKS).format(f"{verb} the {thing}")
    return f"{sentence[0].upper()}{sentence[1:]}."


def timed(slots: list[Slot], rng: random.Random) -> tuple[tuple[Step, ...], tuple[Remark, ...]]:
    """When all is shown and said. Each slot leaves the voice the time that a step of the other videos leaves it."""
    spare = max(0.0, rng.uniform(44, 52) - len(slots) * SHORTEST_STEP)
    weights = [
        0.0 if slot.pair is None else rng.uniform(0.3, 1) * (2.5 if slot.pair[0] in SLOW else 1) for slot in slots
    ]
    clock, steps, remarks = rng.uniform(0.8, 1.4), [], []
    for slot, weight in zip(slots, weights, strict=True):
        start = round(clock * FPS) / FPS
        end = round((start + SHORTEST_STEP + spare * weight / sum(weights)) * FPS) / FPS
        if slot.pair:
            lead = rng.uniform(0, LONGEST_LEAD) if slot.sentence else 0.0
            steps.append(Step(*slot.pair, slot.sentence, start, end, round(start - lead, 3)))
        if slot.remark:
            remarks.append(Remark(slot.remark, start))
        clock = end + rng.choice([0.0, rng.uniform(0.3, 0.8)])
    return tuple(steps), tuple(remarks)
