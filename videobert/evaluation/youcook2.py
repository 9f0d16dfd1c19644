"""YouCook II, the data set of the paper's figures: its annotations made into a list of videos and a table of steps.

The official file, youcookii_annotations_trainval.json, gives each video a split and steps with times and a sentence. Its
training videos become `train` and its validation videos `test`: the paper measures on validation, since the sentences of
the testing videos were never published. Those of testing are left out: to train on them would spoil what they are for.

A step wants a verb and an object, and the data set has only sentences. The paper runs a part-of-speech tagger and keeps
the 45 most common verbs and the 100 most common nouns. A tagger is a model that must be fetched; here a rule over lists
of words does it, which gives the same answer everywhere and can be read. The rule (`verb_and_object`):

- The verb is the first word that is in VERBS in any of its forms (chopped, chopping: chop), unless an article or a
  preposition stands before it ("a cutting board"). If it has no object, the next clause's verb is tried.
- The object is the last noun of the phrase after it, in the singular. Articles, numbers, measures, adjectives and
  participles are passed over; a preposition, a pronoun, a comma, a further verb or "and" ends the phrase.

It errs where English wants understanding: of "salt and pepper" it keeps salt, of "olive oil" oil (the noun, as a tagger
would); "season with salt" has no object; "stir in a pan" takes the pan for what is stirred, as in "stir in the milk";
"cook the egg roll" stops before roll, which is a verb elsewhere. How often, nobody has counted: the rule was written
without the official file at hand. Look at left_out.tsv, and correct labels.tsv by hand where it matters.
"""

import csv
import json
import math
import re
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from videobert.data.provenance import atomic
from videobert.data.schemas import STEPS, names
from videobert.errors import UserError

OFFICIAL = "youcookii_annotations_trainval.json"
SPLITS = {"training": "train", "validation": "test", "testing": ""}

VIDEO_COLUMNS = ("source", "id", "split")
STEP_COLUMNS = names(STEPS)


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# What a cook does. Not here: words that are nouns more often (butter, salt, water, cream, oil), and "use" and "let",
# whose sentence says the deed later ("use a knife to cut the meat").
VERBS = _words("""
    add adjust arrange assemble bake baste beat blanch blend boil braise break bring broil brown brush char check
    chill chop close coat combine cook cool core cover crack crumble crush cube cut deglaze devein dice dip discard
    dissolve divide drain dredge dress drizzle drop dry dunk dust filet fill fillet flatten flip fold form freeze
    fry garnish glaze grate grease grill grind hammer heat insert julienne keep knead ladle lay layer leave lift
    line lower make marinate mash massage measure melt microwave mince mix moisten mold move open pack pat peel pick
    pierce place plate poach pound pour preheat prepare press pull punch puree push put reduce refrigerate remove
    repeat rinse roast roll rub saute scatter scoop score scramble scrape seal sear season separate serve set shake
    shape shave shred sift simmer skewer skim slice slide smash smoke soak soften split spoon spray spread sprinkle
    squeeze stack steam stew stir strain stretch stuff take taste tear tenderize thicken thread throw tie tilt toast
    top toss transfer trim turn twist unroll warm wash whip whisk wipe wrap
""")
IRREGULAR_VERBS = {
    "beaten": "beat",
    "broken": "break",
    "brought": "bring",
    "frozen": "freeze",
    "ground": "grind",
    "laid": "lay",
    "left": "leave",
    "provenance": "make",
    "shaken": "shake",
    "sautéed": "saute",
    "sautéing": "saute",
    "sauté": "saute",
    "taken": "take",
    "torn": "tear",
}

DETERMINERS = _words("""
    a all an another any both each either every few half its many more most much my no other our remaining several
    some such that the their these this those various whatever your
""")
NUMBERS = _words("""
    one two three four five six seven eight nine ten eleven twelve dozen couple first second third last quarter
    double
""")
# Said of how much or which part: passed over before "of" and before a noun, and after one ("bacon slices" is bacon).
MEASURES = _words("""
    amount bag batch bit block bottle bowl bowlful box bunch can chunk clove container cube cup dash dollop drop end
    floret fragment glass gram handful head inch kilo kind lb leaf liter litre lot lump mound number ounce oz packet
    part piece pinch portion pound rest ring round scoop set sheet side slice splash spoon spoonful sprig stalk
    stick strip tablespoon tbsp teaspoon top tsp tin type wedge white
""")
ADJECTIVES = _words("""
    additional aromatic baby bare big bitter black boneless brown clean clear coarse cold cool creamy crisp crispy
    crunchy damp dark deep different dry empty entire even excess extra fatty fine firm flat fresh full golden good
    green heavy hot italian japanese chinese french indian korean mexican thai kosher large lean little light long
    low medium mini nice oily old plain pure purple quick raw red ripe rough same sharp short skinless slight small
    smooth soft solid sour spare spicy square sticky sweet tender thick thin uncooked unsalted vegetarian warm well
    wet white whole wide yellow again also just once only too very
""")
# A word of these ends an object, and right after a verb means that it has none.
PREPOSITIONS = _words("""
    about above across after against along among around as at before behind below beneath between by during for from
    in inside into near on onto over per through throughout to toward towards under underneath until till upon via
    with within without
""")
OTHER_ENDS = _words("""
    because but everything he her him how if is are was it itself next she so something than that's them themselves
    then there they we what when where which while who will you . ; : ! ? ( ) , and or plus &
""")
JOINTS = {",", "and", "then", "or", "&"}
CLAUSE_STARTS = JOINTS | {".", ";", "to"}
PARTICLES = {"apart", "aside", "away", "back", "down", "off", "out", "together", "up"}
# "add in the flour", but "bake in the oven".
TAKE_IN = {"add", "fold", "pour", "stir"}

# Nouns that look like a participle, an adverb or a verb.
NOUNS = _words("""
    belly coating dressing dumpling filling frosting icing jelly pickling pudding seasoning stuffing topping
    wrapping wrapper
""")
IRREGULAR_NOUNS = {
    "brownies": "brownie",
    "calves": "calf",
    "cookies": "cookie",
    "fries": "fry",
    "halves": "half",
    "knives": "knife",
    "leaves": "leaf",
    "loaves": "loaf",
    "molasses": "molasses",
    "pies": "pie",
    "shelves": "shelf",
    "smoothies": "smoothie",
    "veggies": "veggie",
}


def youcook2(annotations: Path, output: Path = Path("youcook2"), verbs: int = 45, objects: int = 100) -> None:
    """Turn YouCook II's annotations into a list of videos and a table of steps.

    Writes videos.tsv (for corpus.videos: training is train, validation is test), labels.tsv (for evaluate.annotations:
    video_id, start, end, verb, object, sentence) and left_out.tsv (every video and step in neither, and why).

    Args:
        annotations: the official youcookii_annotations_trainval.json.
        output: the folder to write to.
        verbs: keep the steps whose verb is one of so many most common; the paper's 45.
        objects: keep the steps whose object is one of so many most common; the paper's 100.
    """
    if verbs < 1 or objects < 1:
        raise UserError(f"verbs is {verbs} and objects is {objects}, but both must be at least 1")
    videos: list[dict[str, Any]] = []
    steps: list[dict[str, Any]] = []
    left_out: list[dict[str, Any]] = []
    for video_id, video in _database(annotations).items():
        split = SPLITS[video["subset"]]
        if not split:
            left_out.append({"video_id": video_id, "reason": "testing: its sentences are not published"})
            continue
        videos.append({"source": f"https://www.youtube.com/watch?v={video_id}", "id": video_id, "split": split})
        for annotation in video.get("annotations", []):
            step = _described(video_id, annotation)
            (left_out if step["reason"] else steps).append(step)
    if not videos:
        raise UserError(f"{annotations} has no training or validation video; take {OFFICIAL}")
    steps, rare = _common(steps, verbs, objects)
    if not steps:
        raise UserError(f"{annotations} has no step with a sentence that gives a verb and an object; take {OFFICIAL}")
    # The list comes last: where it stands, the run was complete.
    _write(left_out + rare, (*STEP_COLUMNS, "reason"), output / "left_out.tsv")
    _write(steps, STEP_COLUMNS, output / "labels.tsv")
    _write(videos, VIDEO_COLUMNS, output / "videos.tsv")
    print(_in_words(videos, steps, left_out + rare), file=sys.stderr)


def verb_and_object(sentence: str) -> tuple[str, str]:
    """The verb and the object of a sentence, by the rule above; "" for what is not found.

    Raises nothing: a sentence without a verb gives ("", ""), one whose verbs have no object the first verb and "".
    """
    words = re.findall(r"[^\W\d_]+(?:'[^\W\d_]+)?|\d+|[.,;:!?()&]", sentence.lower().replace("’", "'"))
    first = ""
    for place, word in enumerate(words):
        verb = _verb(word, words[place - 1] if place else "")
        if not verb or (first and words[place - 1] not in CLAUSE_STARTS):
            continue
        first = first or verb
        if found := _object(verb, words[place + 1 :]):
            return verb, found
    return first, ""


def _verb(word: str, before: str) -> str:
    """The verb that `word` is a form of, or "". After "to" it is one only in its own form: "to boiling water"."""
    if before in DETERMINERS or (before in PREPOSITIONS and not (before == "to" and word in VERBS)):
        return ""
    return _lemma(word)


def _lemma(word: str) -> str:
    """chop of chop, chopped and chopping; "" of a word that is no form of a verb in VERBS. Plurals are nouns here."""
    if word in VERBS or word in IRREGULAR_VERBS:
        return IRREGULAR_VERBS.get(word, word)
    stem = re.sub(r"(ing|ed)$", "", word)
    if stem == word or word in NOUNS:
        return ""
    # chopp: chop; grat: grate; fri: fry
    forms = (stem, f"{stem}e", re.sub(r"(.)\1$", r"\1", stem), re.sub(r"i$", "y", stem))
    return next((form for form in forms if form in VERBS), "")


def _object(verb: str, words: list[str]) -> str:
    """The head of the first noun phrase of `words`, which follow the verb; "" when something else comes first."""
    if verb in TAKE_IN and words[:1] == ["in"]:
        words = words[1:]
    phrase: list[str] = []
    determined = False
    for word in words:
        if word == "of" and all(_singular(part) in MEASURES for part in phrase):
            phrase = []  # "two cups of flour": the measure is not the object
        elif word in DETERMINERS and not phrase:
            determined = True
        elif not phrase and (word in PARTICLES or word in JOINTS or (word in VERBS and not determined)):
            continue  # "cut up the", "the peeled, chopped", "peel and chop the"; but "the roll" is a noun
        elif _ends(word, phrase):
            break
        elif not _is_passed_over(word):
            phrase.append(word)
    phrase = [_singular(word) for word in phrase]
    nouns = [word for word in phrase if word not in MEASURES]
    return (nouns or phrase or [""])[-1]


def _ends(word: str, phrase: list[str]) -> bool:
    if word in PREPOSITIONS or word in OTHER_ENDS:
        return True
    follows = word == "of" or word in DETERMINERS or word in PARTICLES or (word in VERBS and word not in MEASURES)
    return follows and bool(phrase)


def _is_passed_over(word: str) -> bool:
    """Whether a word of a noun phrase is none of its nouns: an adjective, an adverb, a number, a participle."""
    if word in NOUNS or word.endswith("eed"):
        return False
    looks = word.isdigit() or word.endswith(("ly", "ed")) or word in IRREGULAR_VERBS
    return looks or word in ADJECTIVES | NUMBERS or (word.endswith("ing") and bool(_lemma(word)))


def _singular(noun: str) -> str:
    noun = noun.removesuffix("'s")
    if noun in IRREGULAR_NOUNS:
        return IRREGULAR_NOUNS[noun]
    if len(noun) < 4 or noun.endswith(("ss", "us", "is")):
        return noun
    if noun.endswith("ies"):
        return f"{noun[:-3]}y"
    if noun.endswith(("ches", "shes", "sses", "xes", "oes")):
        return noun[:-2]
    return noun.removesuffix("s")


def _common(steps: list[dict[str, Any]], verbs: int, objects: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The steps whose verb and object are among the most common ones, and the others with their reason."""
    kept: list[dict[str, Any]] = []
    rare: list[dict[str, Any]] = []
    common = {part: _most_common(steps, part, count) for part, count in (("verb", verbs), ("object", objects))}
    for step in steps:
        outside = [part for part in common if step[part] not in common[part]]
        reason = " and ".join(f"{part} not among the {len(common[part])} most common" for part in outside)
        (rare if outside else kept).append({**step, "reason": reason})
    return kept, rare


def _most_common(steps: list[dict[str, Any]], part: str, count: int) -> set[str]:
    counts = Counter(step[part] for step in steps)
    # Ties by the alphabet: the order of the file must not decide.
    return set(sorted(counts, key=lambda label: (-counts[label], label))[:count])


# Reading and writing --------------------------------------------------------------------------------------------------


def _database(annotations: Path) -> dict[str, dict[str, Any]]:
    """The file's videos by id, their shape checked. Raises UserError that names the file and the video."""
    try:
        content = json.loads(annotations.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{annotations} does not exist; {OFFICIAL} is at http://youcook2.eecs.umich.edu") from None
    except (ValueError, OSError) as error:  # ValueError: JSON's and unicode's
        raise UserError(f"{annotations} cannot be read as JSON: {error}") from None
    database = content.get("database") if isinstance(content, dict) else None
    if not isinstance(database, dict) or not database:
        raise UserError(f'{annotations} has no "database" of videos; take {OFFICIAL}')
    for video_id, video in database.items():
        where = f"{annotations}, video {video_id!r}"
        # The id is the key between list and labels, and `corpus` would change any other character.
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", video_id):
            raise UserError(f"{where}: a YouTube id has letters, digits, _ and - only")
        if not isinstance(video, dict) or not isinstance(video.get("annotations", []), list):
            raise UserError(f'{where}: its entry must have "subset" and a list "annotations"')
        if video.get("subset") not in list(SPLITS):
            raise UserError(f"{where}: subset is {video.get('subset')!r}; allowed are {', '.join(SPLITS)}")
    return database


def _described(video_id: str, annotation: Any) -> dict[str, Any]:
    """A step's row, with the reason why it has no label ("" when it has)."""
    annotation = annotation if isinstance(annotation, dict) else {}
    sentence, segment = annotation.get("sentence"), annotation.get("segment")
    # One line without tabs, since readers of tables take quoted line ends differently.
    caption = " ".join(sentence.split()) if isinstance(sentence, str) else ""
    start, end = segment if _is_segment(segment) else (None, None)
    verb, object_ = verb_and_object(caption)
    if end is None:
        reason = "segment is not [start, end] in seconds, start before end"
    elif not caption:
        reason = "no sentence"
    elif not object_:
        reason = "no object found" if verb else "no verb found"
    else:
        reason = ""
    row = {"video_id": video_id, "start": start, "end": end, "verb": verb, "object": object_}
    return {**row, "sentence": caption, "reason": reason}


def _is_segment(segment: Any) -> bool:
    if not isinstance(segment, list) or len(segment) != 2 or not all(type(time) in (int, float) for time in segment):
        return False
    start, end = segment
    return bool(0 <= start < end < math.inf)


def _write(rows: list[dict[str, Any]], columns: tuple[str, ...], path: Path) -> None:
    with atomic(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, delimiter="\t", lineterminator="\n", extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)


def _in_words(videos: list[dict[str, Any]], steps: list[dict[str, Any]], left_out: list[dict[str, Any]]) -> str:
    splits = Counter(video["split"] for video in videos)
    reasons = Counter(row["reason"] for row in left_out)
    kinds = {part: len({step[part] for step in steps}) for part in ("verb", "object")}
    lines = [
        f"{len(videos)} videos (" + ", ".join(f"{split} {count}" for split, count in splits.items()) + "); "
        f"{len(steps)} steps with {kinds['verb']} verbs and {kinds['object']} objects",
        *(f"left out: {count} ({reason})" for reason, count in sorted(reasons.items(), key=lambda item: -item[1])),
    ]
    return "\n".join(lines)
