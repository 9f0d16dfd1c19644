"""Whether a codebook has collapsed, by its statistics: the stage that makes it and the report ask this."""

from typing import Any

# Below these shares of the words a codebook says little of a video: that live, and that are used (the perplexity).
LIVING, VARIED = 0.5, 0.05


def collapse(statistics: dict[str, Any]) -> str:
    """What is wrong with a codebook by its statistics, in a sentence; "" when it has not collapsed."""
    for level, part in enumerate(statistics.get("levels", []), 1):
        what = f"centroids of level {level}"
        if said := _collapse(len(part["counts"]), part["living"], part["perplexity"], what):
            return said
    if "levels" in statistics:  # hardly any of all combinations can occur
        return ""
    words, living, perplexity = (statistics.get(name) for name in ("words", "living_words", "perplexity"))
    if words is None or living is None or perplexity is None:
        return ""
    return _collapse(words, living, perplexity, "visual words")


def _collapse(words: int, living: int, perplexity: float, what: str) -> str:
    if living >= LIVING * words and perplexity >= VARIED * words:
        return ""
    return (
        f"the codebook has collapsed: {living} of {words} {what} live, used as if there were {perplexity:.1f}. The clips' "
        "features hardly differ, or a few kinds of clips outnumber all: look at the frames, or make codebook.branching and "
        "codebook.depth smaller"
    )
