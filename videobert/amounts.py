"""Amounts in words: how long, how fast, how many, how many are lost."""

from collections import Counter
from collections.abc import Mapping

from videobert.errors import KEPT, is_loss


def duration_in_words(seconds: float) -> str:
    """Seconds as "8 s", "4 min 10 s", "2 h 5 min" or "3 d 4 h"."""
    if round(seconds) < 60:
        return f"{round(seconds)} s"
    if round(seconds) < 3600:
        return _two(round(seconds), 60, "min", "s")
    if round(seconds / 60) < 24 * 60:
        return _two(round(seconds / 60), 60, "h", "min")
    return _two(round(seconds / 3600), 24, "d", "h")


def _two(amount: int, size: int, large: str, small: str) -> str:
    return f"{amount // size} {large}" + (f" {amount % size} {small}" if amount % size else "")


def rate_in_words(per_second: float) -> str:
    """A rate as "18/s", "9.1/min" or "40/h"; "" for none."""
    if per_second <= 0:
        return ""
    rate, name = next(
        ((per_second * seconds, name) for name, seconds in (("s", 1), ("min", 60)) if per_second * seconds >= 1),
        (per_second * 3600, "h"),
    )
    return f"{rate:,.0f}/{name}" if rate >= 10 else f"{rate:.1f}/{name}"


def left_in_words(units: float, per_second: float) -> str:
    """How long so many units take: "3 min left"; "" when nobody knows."""
    return f"{duration_in_words(units / per_second)} left" if per_second > 0 and units > 0 else ""


def units_in_words(done: float, total: int, unit: str) -> str:
    """Such as "40 of 72 videos"."""
    return f"{int(done):,} of {total:,} {plural(total, unit)}"


def plural(count: int, unit: str) -> str:
    return unit if count == 1 else f"{unit}s"


def losses_in_words(statuses: Mapping[str, int]) -> str:
    """Of counts by status those of the ledger that are not ok: "3 lost (2 gone, 1 blocked), 5 silent"; "" when there are none."""
    classes = sorted(((count, status) for status, count in statuses.items() if is_loss(status)), reverse=True)
    kept: Counter[str] = Counter()
    for status, word in KEPT.items():
        kept[word] += statuses.get(status, 0)
    said = [f"{count:,} {word}" for word, count in kept.items() if count and word != "ok"]
    if classes:
        named = ", ".join(f"{count:,} {status}" for count, status in classes)
        said.insert(0, f"{sum(count for count, _ in classes):,} lost ({named})")
    return ", ".join(said)
