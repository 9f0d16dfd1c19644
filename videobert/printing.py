"""What a tool has found, printed: a table for people, JSON Lines for programs, CSV for spreadsheets.

Titles and file names come from strangers. A terminal gets no control characters; a spreadsheet no formulas: text that begins
as one does (= + - @) gets an apostrophe in front. JSON has every text as it is, with what is not printable in escapes.
"""

import csv
import json
import re
import sys
from collections.abc import Sequence
from typing import Any

from videobert.data.text import sanitized
from videobert.errors import UserError

FORMULA = ("=", "+", "-", "@")  # how a cell begins that a spreadsheet computes
NOT_PRINTABLE = re.compile(r"[\ud800-\udfff\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")  # what json leaves of it

Row = dict[str, Any]


class Printer:
    """Prints answers one by one, in one of the three forms."""

    def __init__(self, as_json: bool, as_csv: bool):
        if as_json and as_csv:
            raise UserError("--json and --csv are two forms of the same answer: give one of them")
        self.as_json, self.as_csv = as_json, as_csv
        self.has_head = False

    def answer(
        self,
        answer: Row,
        records: Sequence[Row],
        heads: Sequence[str],
        rows: Sequence[Sequence[str]],
        title: str = "",
    ) -> None:
        """Prints an answer.

        Args:
            answer: as JSON, a line of its own.
            records: as flat rows of CSV, all of the same columns.
            heads: of the table.
            rows: of the table.
            title: a line above the table: what was asked about, where it was several things.
        """
        if self.as_json:
            print(to_json(answer))
        elif self.as_csv:
            self._csv(records)
        else:
            if title:
                print(sanitized(title))
            table(heads, rows)
        sys.stdout.flush()  # whoever reads need not wait for the last one

    def _csv(self, records: Sequence[Row]) -> None:
        if not records:
            return
        writer = csv.DictWriter(sys.stdout, list(records[0]))
        if not self.has_head:
            writer.writeheader()
        self.has_head = True
        writer.writerows({name: _cell(value) for name, value in record.items()} for record in records)


def to_json(answer: Row) -> str:
    """A line of JSON."""
    text = json.dumps(answer, ensure_ascii=False)
    return NOT_PRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _cell(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    text = sanitized(value)
    return f"'{text}" if text.lstrip().startswith(FORMULA) else text


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Prints a table; one without heads has rows alone."""
    lines = [[sanitized(cell) for cell in row] for row in ([heads, *rows] if heads else rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def clock(seconds: float) -> str:
    """1:02:03.5"""
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}:{minutes:02}:{rest:04.1f}" if hours else f"{minutes}:{rest:04.1f}"
