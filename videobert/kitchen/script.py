"""The script of a video: which actions on which objects, when they are shown, when and how they are spoken.

Most verbs go with many objects and most objects with many verbs, and all templates and tails go with every pair, so
neither word of a pair predicts the other. Each verb occurs once in every two videos, so the verbs are balanced. The
pairs in `HELD_OUT` are shown in test videos only: a model that names one has combined an action and an object that it
never saw together.

A script is a function of the video's number. This module needs only the standard library: reading a script loads
neither the drawings nor the voice.
"""

import random
from dataclasses import dataclass

FPS = 20

OBJECTS_OF = {
    "slice": ("tomato", "onion", "potato", "carrot", "cucumber", "apple", "cheese", "bread", "butter"),
    "chop": ("tomato", "onion", "potato", "carrot", "cucumber", "apple", "nuts", "chicken"),
    "peel": ("potato", "carrot", "cucumber", "onion", "apple", "egg"),
    "grate": ("cheese", "potato", "carrot", "apple", "nuts"),
    "pour": ("water", "oil", "milk", "soup", "sauce", "batter", "rice", "salt", "pepper"),
    "stir": ("soup", "sauce", "batter", "rice", "pasta", "milk", "water", "salt", "pepper"),
    "whisk": ("egg", "batter", "sauce", "milk", "oil"),
    "flip": ("pancake", "egg", "bread", "chicken"),
    "crack": ("egg", "nuts"),
    "press": ("dough", "pasta", "bread"),
    "roll": ("dough", "pasta", "bread"),
    "sprinkle": ("salt", "pepper", "cheese", "nuts", "rice"),
    "spread": ("butter", "sauce", "batter", "cheese"),
    "fry": ("onion", "potato", "egg", "chicken", "pancake", "rice", "carrot", "tomato"),
    "boil": ("water", "milk", "soup", "pasta", "rice", "egg", "potato", "carrot"),
    "mash": ("potato", "carrot", "tomato", "apple", "butter"),
}
VERBS: tuple[str, ...] = tuple(OBJECTS_OF)
OBJECTS: tuple[str, ...] = tuple(sorted({thing for things in OBJECTS_OF.values() for thing in things}))
COMBINATIONS: tuple[tuple[str, str], ...] = tuple((verb, thing) for verb in VERBS for thing in OBJECTS_OF[verb])
HELD_OUT: frozenset[tuple[str, str]] = frozenset(
    {
        ("slice", "cucumber"),
        ("chop", "potato"),
        ("peel", "apple"),
        ("grate", "carrot"),
        ("pour", "sauce"),
        ("whisk", "milk"),
        ("fry", "chicken"),
        ("boil", "egg"),
    }
)

OPENING = ("first we", "let us start and", "to begin with we")
TEMPLATES = (
    "now let me show you how to",
    "let me show you how to",
    "next you want to",
    "go ahead and",
    "now we are going to",
    "then you just",
    "after that we",
    "here I",
    "now you need to",
    "I always like to",
    "it is time to",
    "the next step is to",
    "once you are ready we",
    "do not forget to",
)
CLOSING = ("finally we", "last of all we", "to finish we")
TAILS = (
    "like this",
    "nice and slowly",
    "for a little while",
    "just as you see here",
    "with a bit of care",
    "until it looks right",
    "as I do it here",
    "without any hurry",
)
# Seconds. The longest sentence here takes 3.1 s, so that 0.7 s are left before the next: in a shorter pause ASR would
# join the two.
LONGEST_LEAD, SHORTEST_STEP = 0.7, 4.5


@dataclass(frozen=True)
class Step:
    """One action. Times are seconds of the video: when it is shown, and when its sentence starts."""

    verb: str
    object: str
    sentence: str  # "" where nobody speaks of it
    start: float
    end: float
    speech_start: float


@dataclass(frozen=True)
class Remark:
    """A sentence about what is not shown, and the second at which it starts."""

    sentence: str
    speech_start: float


@dataclass(frozen=True)
class Script:
    """What happens in a video and when."""

    number: int
    title: str
    narrated: bool
    duration: float
    steps: tuple[Step, ...]
    remarks: tuple[Remark, ...] = ()  # of recipes alone

    @property
    def spoken(self) -> tuple[Step | Remark, ...]:
        """All that the voice says: the steps' sentences, then the remarks."""
        return (*(step for step in self.steps if step.sentence), *self.remarks)


def is_test(number: int) -> bool:
    """Every fifth video is for testing; only these show pairs in `HELD_OUT`."""
    return number % 5 == 4


def is_narrated(number: int) -> bool:
    """Every tenth video is silent, as many how-to videos are: it serves the video-only objective."""
    return number % 10 != 7


def script(number: int) -> Script:
    """The script of video `number` (0, 1, 2, ...), at once and without a voice."""
    if number < 0:
        raise ValueError(f"kitchen videos are numbered from 0, not {number}")
    rng = random.Random(f"kitchen script {number}")
    narrated = is_narrated(number)
    verbs = deal(number)
    pairs = [(verb, choose_object(verb, is_test(number), rng)) for verb in verbs]
    sentences = phrase(pairs, rng) if narrated else [""] * len(pairs)
    longest = {7: 7.4, 8: 6.4, 9: 5.5}[len(pairs)]
    clock, steps = rng.uniform(0.8, 1.4), []
    for (verb, thing), sentence in zip(pairs, sentences, strict=True):
        start = round(clock * FPS) / FPS
        lead = rng.uniform(0, LONGEST_LEAD) if sentence else 0.0
        end = round((start + rng.uniform(SHORTEST_STEP, longest)) * FPS) / FPS
        steps.append(Step(verb, thing, sentence, start, end, round(start - lead, 3)))
        clock = end + rng.choice([0.0, rng.uniform(0.3, 0.8)])
    duration = steps[-1].end + round(rng.uniform(0.4, 1.0) * FPS) / FPS
    things = list(dict.fromkeys(step.object for step in steps))[:3]
    title = f"{things[0].capitalize()}, {things[1]} and {things[2]} in {len(steps)} steps"
    return Script(number, title, narrated, round(duration, 3), tuple(steps))


def deal(number: int) -> list[str]:
    """The verbs of a video: two videos share one shuffled deck, so that every verb is as frequent as every other."""
    rng = random.Random(f"kitchen deck {number // 2}")
    deck = list(VERBS)
    rng.shuffle(deck)
    cut = rng.choice([7, 8, 9])
    return deck[:cut] if number % 2 == 0 else deck[cut:]


def choose_object(verb: str, test: bool, rng: random.Random) -> str:
    """Half of the verbs have a held-out object; test videos take it two times out of three: a third of all steps."""
    held_out = [thing for thing in OBJECTS_OF[verb] if (verb, thing) in HELD_OUT]
    if test and held_out and rng.random() < 2 / 3:
        return rng.choice(held_out)
    things = [thing for thing in OBJECTS_OF[verb] if thing not in held_out]
    rarity = [1 / sum(thing in others for others in OBJECTS_OF.values()) for thing in things]
    return rng.choices(things, rarity)[0]  # what goes with few verbs is taken more often, for balance


def phrase(pairs: list[tuple[str, str]], rng: random.Random) -> list[str]:
    """A sentence for each step, no template twice in a video."""
    heads = rng.sample(TEMPLATES, len(pairs))
    if rng.random() < 0.6:
        heads[0] = rng.choice(OPENING)
    if rng.random() < 0.6:
        heads[-1] = rng.choice(CLOSING)
    # Every other sentence ends with the object: a model that never saw one takes the last words for a tail.
    tails = [rng.choice((*(f" {tail}" for tail in TAILS), *[""] * len(TAILS))) for _ in pairs]
    sentences = [
        f"{head} {verb} the {thing}{tail}." for head, (verb, thing), tail in zip(heads, pairs, tails, strict=True)
    ]
    return [sentence[0].upper() + sentence[1:] for sentence in sentences]
