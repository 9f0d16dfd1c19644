"""What strangers wrote (titles, captions, server answers), made fit for a table, a terminal and a page."""

JOINERS = "\u200c\u200d"  # emoji and some scripts need them


def sanitized(text: str) -> str:
    """Without control characters, line ends, and marks that turn the direction of writing: a space for each."""
    return "".join(character if character.isprintable() or character in JOINERS else " " for character in text)


def one_line(text: str, longest: int = 300) -> str:
    """A printable line of at most so many characters."""
    return sanitized(text)[:longest].strip()
