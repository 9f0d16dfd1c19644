"""Tables that people write: the list of videos, annotated steps, excluded ids.

People write them in editors, in Excel and with other tools, so nothing is guessed and nothing is lost without a word. Every
cell is text at first: an id 0001 stays 0001. What a column holds is declared by who reads it. What is not that is a
`UserError` of one line: file, row, column, value, and the mend.

In a TSV a quote is a character; only a cell that is quoted as a whole, as programs write it, is read without its quotes. In a
CSV a quoted cell may hold line ends if it closes properly. UTF-8 and UTF-16 are read, and Excel's semicolons.
"""

import codecs
import csv
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from videobert.errors import UserError

if TYPE_CHECKING:
    import pyarrow as pa

Kind = Literal["text", "seconds"]

SAVE = "save the table as UTF-8 (Excel: Save As, CSV UTF-8)"
LINE_END = re.compile(r"\r\n|\n|\r")
SEPARATOR = re.compile(r'"?sep=(.)"?')
MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32",  # before UTF-16's, with which it begins
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:[.,][0-9]*)?|[.,][0-9]+)(?:[eE][+-]?[0-9]+)?")
CLOCK = re.compile(r"(?:([0-9]+):)?([0-9]+):([0-9]{1,2}(?:[.,][0-9]+)?)")  # HH:MM:SS, MM:SS.s
THOUSANDS = re.compile(r"[+-]?[1-9][0-9]{0,2},[0-9]{3}")  # 1,234: may be 1.234 or 1234
SOURCE = re.compile(r"(?:https?|file|kitchen):.*|\S.*\.[A-Za-z0-9]{2,4}", re.IGNORECASE)  # a URL or the name of a file


@dataclass(frozen=True)
class HumanTable:
    """A table as text, with the columns that were asked for: `rows` hold "" where nothing is given.

    `numbers` say where each row stands: its line, for Parquet its row if the head were row 1.
    """

    where: str
    rows: list[dict[str, str]]
    numbers: list[int]

    def wrong(self, row: int, column: str, problem: str) -> UserError:
        """The error for a cell of the row with this index: `problem` says what it is and the mend."""
        place = f"{self.where}, row {self.numbers[row]}, column {column}"
        return UserError(f"{place}: {_shown(self.rows[row][column])} {problem}")

    def seconds(self, *columns: str) -> list[tuple[float, ...]]:
        """Columns of times: numbers, decimal commas and clock times. Raises UserError at the first that is none."""
        self._check_commas(columns)
        return [tuple(self._time(index, column) for column in columns) for index in range(len(self.rows))]

    def _time(self, index: int, column: str) -> float:
        text = self.rows[index][column]
        seconds = seconds_of(text)
        if seconds is None:
            given = "is empty" if not text else "is not a time"
            raise self.wrong(index, column, f"{given}: write seconds (12.5) or a clock time (00:00:12.5)")
        return seconds

    def _check_commas(self, columns: tuple[str, ...]) -> None:
        """1,234 alone may be 1.234 or 1234; beside 0,8 it is 1.234, beside 0.8 neither."""
        places = [(index, column) for column in columns for index, row in enumerate(self.rows) if "," in row[column]]
        doubtful = [place for place in places if THOUSANDS.fullmatch(self.rows[place[0]][place[1]])]
        points = any("." in row[column] for row in self.rows for column in columns)
        if doubtful and (points or len(doubtful) == len(places)):
            raise self.wrong(*doubtful[0], "may have a decimal comma or mean thousands: write a decimal point")


def read_human_table(path: Path, where: str, columns: dict[str, Kind], optional: dict[str, Kind]) -> HumanTable:
    """The columns of a TSV, CSV or Parquet file, by its suffix (anything else is read as TSV); others are ignored.

    Args:
        where: the setting and the file, how errors begin.
        columns: those that must be there, and what they hold.
        optional: those that may be missing.

    Raises UserError when the file or what it holds cannot be read.
    """
    suffix = path.suffix.lower()
    kinds = columns | optional
    if suffix == ".parquet":
        return _read_parquet(path, where, columns, kinds)
    text = _read_text(path, where, suffix)
    lines = _csv_rows(text, where) if suffix == ".csv" else _tsv_rows(text)
    header, *rows = lines or [(1, [])]
    names = [name.strip() for name in header[1]]
    if not any(names):
        raise UserError(f"{where} cannot be read: it is empty; write a head with the columns {', '.join(columns)}")
    _check_names(names, where, list(columns), kinds)
    for number, cells in rows:
        if len(cells) > len(names) and any(cell.strip() for cell in cells[len(names) :]):
            raise UserError(
                f"{where} has rows with more columns than its header names: row {number} has {len(cells)}, the header "
                f"{len(names)}; give each column a name, or put what holds the separator in quotes (in a CSV)"
            )
        if suffix == ".csv":
            _check_lines_within(cells, names, number, where, kinds)
    places = [(name, names.index(name)) for name in kinds if name in names]
    nothing = dict.fromkeys(kinds, "")
    found = [
        nothing | {name: cells[place].strip() for name, place in places if place < len(cells)} for _, cells in rows
    ]
    return HumanTable(where, found, [number for number, _ in rows])


def read_human_lines(path: Path, where: str) -> list[str]:
    """A text file's lines, stripped, in any encoding that says which it is. Raises UserError when it cannot be read."""
    return [_unquoted(line.strip()).strip() for line in LINE_END.split(_read_text(path, where, ""))]


def seconds_of(text: str) -> float | None:
    """The seconds of 12.5, 12,5, 00:00:12.5 or 0:12; None for anything else, what is not finite included."""
    if clock := CLOCK.fullmatch(text):
        hours, minutes, seconds = int(clock[1] or 0), int(clock[2]), float(clock[3].replace(",", "."))
        valid = seconds < 60 and (clock[1] is None or minutes < 60)
        return hours * 3600 + minutes * 60 + seconds if valid else None
    number = float(text.replace(",", ".")) if NUMBER.fullmatch(text) else math.nan
    return number if math.isfinite(number) else None


def _shown(value: str) -> str:
    return repr(value if len(value) <= 60 else f"{value[:60]}...")


def _check_names(names: list[str], where: str, needed: list[str], known: Iterable[str]) -> None:
    missing = [name for name in needed if name not in names]
    if missing:
        shown = ", ".join(name[:40] for name in names[:20])
        near = get_close_matches(missing[0].lower(), [name.lower() for name in names], 1)
        same = next((name for name in names if near and name.lower() == near[0]), "")
        hint = f" (did you mean {same}?)" if same else ""
        if len(names) == 1 and set(" ,;") & set(names[0]):  # a TSV whose columns are parted by something else
            hint = " (separate the columns by tabs)"
        raise UserError(f"{where} has no column named {', '.join(missing)}{hint}; its columns are: {shown}")
    twice = [name for name in known if Counter(names)[name] > 1]
    if twice:
        raise UserError(f"{where} has two columns named {twice[0]}: take one out, or give it another name")


# Text -----------------------------------------------------------------------------------------------------------------


def _read_text(path: Path, where: str, suffix: str) -> str:
    """A file's text. The suffix says, for the error, what parts its columns."""
    data = _read_bytes(path, where)
    encoding = next((name for mark, name in MARKS.items() if data.startswith(mark)), "utf-8")
    if encoding == "utf-8":
        data = data.removeprefix(codecs.BOM_UTF8)
        if data[:2000].count(0) > len(data[:2000]) // 5:
            raise UserError(f"{where} is neither UTF-8 nor UTF-16 that says so at its beginning: {SAVE}")
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        if encoding != "utf-8":
            raise UserError(f"{where} begins as {encoding.upper()}, but is broken: {SAVE}") from None
        raise _not_utf8(data, error.start, where, suffix) from None


def _read_bytes(path: Path, where: str) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise UserError(f"{where} does not exist; make it, or correct the path") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"{where} cannot be read: {reason}; correct the path or its permissions") from None


def _not_utf8(data: bytes, place: int, where: str, suffix: str) -> UserError:
    """Names the cell: what its bytes mean depends on the system that wrote it, and a guess would be a wrong name."""
    lines = LINE_END.split(data.decode("utf-8", "backslashreplace"))
    before = LINE_END.split(data[:place].decode())
    separator = {".csv": _separator(lines), "": "\0"}.get(suffix, "\t")
    column, header = before[-1].count(separator), lines[0].split(separator)
    name = f", column {header[column]}" if suffix and len(before) > 1 and column < len(header) else ""
    value = lines[len(before) - 1].split(separator)[column]
    return UserError(f"{where}, row {len(before)}{name}: {_shown(value)} is not UTF-8: {SAVE}")


def _tsv_rows(text: str) -> list[tuple[int, list[str]]]:
    """(line, cells) of each line that is not blank. A quote is a character."""
    lines = enumerate(LINE_END.split(text), 1)
    return [(number, _tsv_cells(line)) for number, line in lines if line.strip(" ")]


def _tsv_cells(line: str) -> list[str]:
    cells = line.split("\t")
    return [_unquoted(cell) for cell in cells] if '"' in line else cells


def _unquoted(cell: str) -> str:
    if not cell.startswith('"'):
        return cell
    inside = cell[1:-1]
    whole = len(cell) > 1 and cell.endswith('"') and '"' not in inside.replace('""', "")
    return inside.replace('""', '"') if whole else cell


def _csv_rows(text: str, where: str) -> list[tuple[int, list[str]]]:
    """(first line, cells) of each row that is not blank. Raises UserError where a quote does not close as it should."""
    lines = LINE_END.split(text)
    separator = _separator(lines)
    if SEPARATOR.fullmatch(lines[0]):
        lines[0] = ""
    reader = csv.reader((f"{line}\n" for line in lines), delimiter=separator, strict=True)
    rows: list[tuple[int, list[str]]] = []
    begin = 1
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells) or len(cells) > 1:
                rows.append((begin, cells))
            begin = reader.line_num + 1
    except csv.Error as error:
        raise UserError(
            f"{where}, row {begin}: a cell that begins with a quote does not close as a quoted cell must ({error}): write "
            'the quotes in it twice, as in "a ""b"" c", or save the table as TSV'
        ) from None
    return rows


def _separator(lines: list[str]) -> str:
    """What parts the columns of a CSV: what its first line names as Excel does, or the first of these in its head."""
    if named := SEPARATOR.fullmatch(lines[0]):
        return named[1]
    head = re.sub(r'"[^"]*"', "", next((line for line in lines if line.strip()), ""))
    return next((mark for mark in ",;\t" if mark in head), ",")


def _check_lines_within(cells: list[str], names: list[str], number: int, where: str, kinds: dict[str, Kind]) -> None:
    """Raises UserError when a quoted cell holds a line that is a row of this table: it closed at another row's quote."""
    for cell in cells:
        for line in cell.split("\n")[1:]:
            if any(_is_row(line.split(mark), names, kinds) for mark in ",;\t"):
                raise UserError(
                    f"{where}, row {number}: a quoted cell goes on over the row {_shown(line)}: close its quote, write it "
                    "twice if it is a character, or save the table as TSV"
                )


def _is_row(cells: list[str], names: list[str], kinds: dict[str, Kind]) -> bool:
    if len(cells) != len(names):
        return False
    given = dict(zip(names, (cell.strip() for cell in cells), strict=True))
    times = [given[name] for name, kind in kinds.items() if kind == "seconds" and name in given]
    return (
        all(seconds_of(time) is not None for time in times)
        if times
        else bool(SOURCE.fullmatch(given.get("source", "")))
    )


# Parquet --------------------------------------------------------------------------------------------------------------


def _read_parquet(path: Path, where: str, columns: dict[str, Kind], kinds: dict[str, Kind]) -> HumanTable:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
        names = file.schema_arrow.names
        _check_names(names, where, list(columns), kinds)
        table = file.read(columns=[name for name in kinds if name in names])
        texts = {name: _texts(table[name], where, name, kinds[name]) for name in table.column_names}
    except FileNotFoundError:
        raise UserError(f"{where} does not exist; make it, or correct the path") from None
    except (pa.ArrowException, ValueError, OSError) as error:
        raise UserError(f"{where} cannot be read: {' '.join(str(error).split())}") from None
    count = len(table)
    rows = [{name: texts[name][index] if name in texts else "" for name in kinds} for index in range(count)]
    return HumanTable(where, rows, list(range(2, count + 2)))


def _texts(column: "pa.ChunkedArray", where: str, name: str, kind: Kind) -> list[str]:
    """A column's values as text. Raises UserError for a type that is not what the column is declared to hold."""
    import pyarrow.types as is_

    type_ = column.type
    if column.null_count == len(column):
        return [""] * len(column)
    if is_.is_dictionary(type_):
        return _texts(column.cast(type_.value_type), where, name, kind)
    if is_.is_string(type_) or is_.is_large_string(type_) or is_.is_string_view(type_) or is_.is_integer(type_):
        return ["" if value is None else str(value).strip() for value in column.to_pylist()]
    if kind == "seconds" and (numbers := _numbers(column)) is not None:
        return ["" if number is None else repr(number) for number in numbers]
    value = next(_values(column))
    wanted = "text or whole numbers" if kind == "text" else "seconds: numbers, or text such as 00:00:12.5"
    number = next(index for index, valid in enumerate(column.is_valid().to_pylist(), 2) if valid)
    raise UserError(
        f"{where}, row {number}, column {name}: {_shown(str(value))} is of the type {type_}; write the column as {wanted}"
    )


def _numbers(column: "pa.ChunkedArray") -> list[float | None] | None:
    """Seconds of a column of numbers, durations or times of a clock; None for others."""
    import pyarrow as pa
    import pyarrow.types as is_

    type_ = column.type
    if is_.is_floating(type_) or is_.is_decimal(type_):
        numbers: list[float | None] = column.cast(pa.float64()).to_pylist()
        return numbers
    if is_.is_duration(type_) or is_.is_time(type_):
        units = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
        whole = column.cast(pa.int32() if is_.is_time32(type_) else pa.int64()).to_pylist()
        return [None if value is None else value / units[type_.unit] for value in whole]
    return None


def _values(column: "pa.ChunkedArray") -> Iterator[object]:
    return (value for value in column.to_pylist() if value is not None)
