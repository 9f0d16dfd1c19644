"""What strangers wrote (titles, captions, server answers), made fit for a table, a terminal and a page."""

import unicodedata

TURNS = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"  # of the direction of writing
JOINERS = "\u200c\u200d"  # emoji and some scripts need them
ZERO_WIDTH_SPACE = "\u200b"
# Scripts that part words by a zero-width space, if by anything: Thai, Lao, Tibetan, Myanmar, Khmer, and their neighbours.
WITHOUT_SPACES = ((0x0E00, 0x0FFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x1950, 0x19FF), (0x1A20, 0x1AAF))
LATIN_ENDS = "\u024f"


def sanitized(text: str) -> str:
    """Without control characters and line ends, a space for each, and without what is invisible: soft hyphens, marks that turn
    the direction of writing, characters of no width. These go without a space, since they stand within words."""
    if text.isprintable():
        return text
    around = f" {text} "
    return "".join(_shown(*around[place : place + 3]) for place in range(len(text)))


def _shown(before: str, character: str, after: str) -> str:
    if character.isprintable():
        return character
    if character in JOINERS:
        return "" if before <= LATIN_ENDS else character
    if character == ZERO_WIDTH_SPACE:
        return " " if _is_without_spaces(before) or _is_without_spaces(after) else ""
    return "" if unicodedata.category(character) == "Cf" else " "


def _is_without_spaces(character: str) -> bool:
    return any(first <= ord(character) <= last for first, last in WITHOUT_SPACES)


def is_control(character: str) -> bool:
    """Whether a character does something instead of being shown: a control, a line end, a turn of the direction of writing."""
    return unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") or character in TURNS


def one_line(text: str, longest: int = 300) -> str:
    """A printable line of at most so many characters."""
    return sanitized(text)[:longest].strip()
