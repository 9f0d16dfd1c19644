"""Tables that people write: every row is read as it stands, or one line says which is not, and the mend."""

import csv
import datetime
import math
import random
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from videobert.data.human_tables import read_human_lines, read_human_table, seconds_of
from videobert.data.manifest import read_list
from videobert.errors import UserError
from videobert.evaluation.steps import _read_table

CASES = Path(__file__).parent / "publiccases"
HEAD = "video_id,start,end,verb,object\n"


def refused(read, path: Path) -> str:
    with pytest.raises(UserError) as error:
        read(path)
    assert "\n" not in str(error.value) and path.name in str(error.value)
    return str(error.value)


def written(folder: Path, name: str, content: str | bytes) -> Path:
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder / name


def column(path: Path, name: str) -> list[str]:
    return [row[name] for row in read_list(path)]


def outcome(path: Path) -> list[str] | str:
    """The sources, or the line that says why there are none."""
    try:
        return column(path, "source")
    except UserError as error:
        return str(error)


def steps(path: Path) -> list[tuple[str, float, float]]:
    return [(step.video_id, step.start, step.end) for step in _read_table(path)]


def test_a_quote_in_a_tsv_is_a_character():
    assert column(CASES / "lists" / "quote.tsv", "source") == [f"kitchen:{number}" for number in (1, 3, 4, 5, 6, 7)]
    titles = ["plain", '"The best pancakes', "soup", "more soup", '"Quoted" again', "last"]
    assert column(CASES / "lists" / "quote.tsv", "title") == titles


def test_a_cell_of_a_tsv_that_a_program_quoted_is_read_without_its_quotes(tmp_path):
    titles = ['the "red" onion', '"', '""', 'a"', '"a', "", "plain"]
    for quoting in (csv.QUOTE_MINIMAL, csv.QUOTE_ALL):
        with open(tmp_path / "a.tsv", "w", encoding="utf-8", newline="") as file:
            rows = [("source", "title"), *((f"kitchen:{number}", title) for number, title in enumerate(titles))]
            csv.writer(file, delimiter="\t", quoting=quoting).writerows(rows)
        assert column(tmp_path / "a.tsv", "title") == titles


@pytest.mark.parametrize(
    ("text", "row"),
    [
        ('source,title\nkitchen:1,a\nkitchen:3,"The best\nkitchen:4,soup\nkitchen:6,"Quoted" again\n', 3),
        ('source,title\nkitchen:1,a\nkitchen:3,"The best\nkitchen:4,soup\n', 3),
        ('source,title\nkitchen:3,"12 inch\nkitchen:4,soup\nkitchen:6,7"\n', 2),
        ('title,source\n"12 inch,a.mp4\n7,b.mp4"\n', 2),
        ('source;title\nkitchen:1;a\nkitchen:3;"The best\nkitchen:4;soup"\n', 3),
    ],
)
def test_a_quote_of_a_csv_swallows_no_row(tmp_path, text, row):
    assert f"list.csv, row {row}: a " in refused(read_list, written(tmp_path, "list.csv", text))
    table = text.replace("source", "video_id").replace("title", "verb")
    path = written(tmp_path, "labels.csv", table)
    assert refused(_read_table, path)


def test_a_quoted_cell_of_a_csv_may_hold_lines(tmp_path):
    text = 'source,title\r\nkitchen:1,"First, this.\r\nThen, that."\r\n\r\nkitchen:2,"a ""b"" c"\r\n'
    assert column(written(tmp_path, "a.csv", text), "title") == ["First, this.\nThen, that.", 'a "b" c']
    wrong = text.replace('"a ""b"" c"', "b,x").replace("title", "title,split")
    assert "row 5, column split: 'x'" in refused(read_list, written(tmp_path, "b.csv", wrong))


def test_no_row_of_any_table_is_lost(tmp_path):
    """Cells with quotes, commas and spaces in all places: as many rows as were written, or one line."""
    rng = random.Random(0)
    for number in range(300):
        cells = ["".join(rng.choices("\"a, ;'", k=rng.randrange(5))) for _ in range(5)]
        for suffix, mark in ((".tsv", "\t"), (".csv", ",")):
            lines = [
                "source,title".replace(",", mark),
                *(f"kitchen:{place}{mark}{cell}" for place, cell in enumerate(cells)),
            ]
            path = written(tmp_path, f"{number}{suffix}", "\n".join(lines))
            found = outcome(path)
            assert found == [f"kitchen:{place}" for place in range(5)] or (suffix == ".csv" and "row" in found)


def test_ids_are_text(tmp_path):
    found = steps(CASES / "tables" / "leading-zeros.csv")
    assert [name for name, *_ in found] == ["0001", "0002", "1001"]
    assert column(written(tmp_path, "a.csv", "source,id\nkitchen:1,007\nkitchen:2,1e5\nkitchen:3,NA\n"), "id") == [
        "007",
        "1e5",
        "NA",
    ]


def test_parquet_of_other_tools(tmp_path):
    assert column(CASES / "tables" / "int-missing.parquet", "id") == ["7", "", "9"]
    assert column(CASES / "tables" / "dictionary-missing.parquet", "split") == ["train", "", "test"]
    clock = [datetime.time(0, 0, 12, 500000), datetime.time(1)]
    for times in (
        pa.array(clock),
        pa.array([12500, 3600000], pa.duration("ms")),
        pa.array(["00:00:12,5", "1:00:00"], pa.large_string()).dictionary_encode(),
        pa.array([12.5, 3600], pa.float32()),
    ):
        table = {"video_id": [7, 8], "start": times, "end": times, "verb": ["cut"] * 2, "object": ["egg"] * 2}
        pq.write_table(pa.table({**table, "sentence": pa.nulls(2)}), tmp_path / "a.parquet")
        assert steps(tmp_path / "a.parquet") == [("7", 12.5, 12.5), ("8", 3600, 3600)]


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        (
            "video_id",
            pa.array([None, 7.0]),
            "row 3, column video_id: '7.0' is of the type double; write the column as text",
        ),
        ("video_id", pa.array([b"\xff", b"a"]), "is of the type binary"),
        ("video_id", pa.array([["a"], ["b"]]), "is of the type list"),
        ("video_id", pa.array([datetime.date(2026, 1, 1), None]), "is of the type date32"),
        ("start", pa.array([True, False]), "row 2, column start: 'True' is of the type bool"),
        ("start", pa.array([datetime.datetime(2026, 1, 1), None]), "is of the type timestamp"),
        ("start", pa.array([0.5, math.nan]), "row 3, column start: 'nan' is not a time"),
        ("start", pa.array([0.5, None]), "row 3, column start: '' is empty"),
        ("start", pa.array([0.5, math.inf]), "row 3, column start: 'inf' is not a time"),
        ("verb", pa.nulls(2), "row 2, column verb: '' is empty"),
    ],
)
def test_parquet_that_holds_something_else_is_one_line(tmp_path, name, values, message):
    table = {"video_id": ["a", "b"], "start": [0, 1], "end": [1, 2], "verb": ["cut"] * 2, "object": ["egg"] * 2}
    pq.write_table(pa.table(table | {name: values}), tmp_path / "a.parquet")
    assert message in refused(_read_table, tmp_path / "a.parquet")


@pytest.mark.parametrize("name", ["decimalcomma.csv", "utf16.tsv"])
def test_what_excel_writes_is_read(name):
    found = steps(CASES / "tables" / name)
    assert len(found) == 60 and found[:2] == [("kitchen-0", 0.8, 5.7), ("kitchen-0", 5.7, 11.0)]


def test_clock_times_are_seconds():
    assert steps(CASES / "tables" / "clock.csv")[:2] == [("kitchen-0", 0.0, 5.0), ("kitchen-0", 5.0, 11.0)]
    times = {"01:02:03.5": 3723.5, "2:03,5": 123.5, "75:00": 4500, "00:00:00": 0, "12,5": 12.5, ".5": 0.5, "-1": -1}
    assert {text: seconds_of(text) for text in times} == times
    for text in ("", "1:60", "1:60:00", "1:2:3:4", "nan", "inf", "1e999", "1_0", "5s", "1 000", "1.000,5", "١٢", "--1"):
        assert seconds_of(text) is None


def test_semicolons_and_marks_of_excel(tmp_path):
    rows = "Crêpes;a.mp4;test\r\nSuppe, heiß;b.mp4;\r\n"
    for name, text in (("a", f"title;source;split\r\n{rows}"), ("b", f"sep=;\r\ntitle;source;split\r\n{rows}")):
        for encoding in ("utf-8-sig", "utf-16", "utf-8"):
            path = written(tmp_path, f"{name}.csv", text.encode(encoding))
            assert column(path, "title") == ["Crêpes", "Suppe, heiß"] and column(path, "split") == ["test", ""]
    labels = "video_id;start;end;verb;object;;\r\na;0,8;1,5;cut;egg;;\r\n;;;;;;\r\n"
    assert steps(written(tmp_path, "labels.csv", labels)) == [("a", 0.8, 1.5)]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "a.csv",
            f"{HEAD}a,0,1,cut,egg\nb,1,,cut,egg\n",
            "row 3, column end: '' is empty: write seconds (12.5) or a clock",
        ),
        ("a.csv", f"{HEAD}a,0,nan,cut,egg\n", "row 2, column end: 'nan' is not a time"),
        ("a.csv", f"{HEAD}a,0,00:00:09:12,cut,egg\n", "row 2, column end: '00:00:09:12' is not a time"),
        (
            "a.csv",
            f'{HEAD}a,0,"1,234",cut,egg\n',
            "row 2, column end: '1,234' may have a decimal comma or mean thousands",
        ),
        ("a.csv", f"{HEAD}a,0,1,,egg\n", "row 2, column verb: '' is empty"),
        ("a.csv", f"{HEAD},0,1,cut,egg\n", "row 2, column video_id: '' is empty"),
        ("a.csv", f"{HEAD}a,0,1,cut,egg,more\n", "row 2 has 6, the header 5"),
        ("a.csv", "", "it is empty"),
        ("a.tsv", "Video_ID\tstart\n", "no column named video_id, end, verb, object (did you mean Video_ID?)"),
        ("a.csv", "video_id,start,start,end,verb,object\n", "two columns named start"),
        ("a.csv", f"{HEAD}a,0,1,cut,Käse\n".encode("cp1252"), "row 2, column object: 'K\\\\xe4se' is not UTF-8: save"),
        ("a.csv", f"{HEAD}Käse,0,1,cut,a\n".replace(",", ";").encode("cp1252"), "row 2, column video_id: 'K\\\\xe4se'"),
        ("a.csv", HEAD.encode("utf-16-le"), "neither UTF-8 nor UTF-16 that says so"),
        ("a.tsv", b"\xff\xfea", "begins as UTF-16, but is broken"),
        ("a.parquet", b"", "cannot be read"),
        ("a.tsv", None, "does not exist"),
    ],
)
def test_what_cannot_be_read_is_one_line(tmp_path, name, content, message):
    path = tmp_path / name if content is None else written(tmp_path, name, content)
    assert message in refused(_read_table, path)


def test_an_end_that_is_missing_is_named():
    message = refused(_read_table, CASES / "tables" / "missing_end.csv")
    assert "missing_end.csv, row 4, column end: '' is empty" in message


def test_lines_are_read_in_any_encoding_that_says_which(tmp_path):
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        path = written(tmp_path, "ids.txt", 'a\r\n\r\n "b" \rcrêpe\u2028x\n'.encode(encoding))
        assert read_human_lines(path, "ids.txt") == ["a", "", "b", "crêpe\u2028x", ""]
    bad = written(tmp_path, "bad.txt", "a\ncrêpe\n".encode("cp1252"))
    assert "row 2: 'cr\\\\xeape' is not UTF-8" in refused(lambda path: read_human_lines(path, path.name), bad)


def test_a_folder_is_no_table(tmp_path):
    (tmp_path / "a.csv").mkdir()
    assert "Is a directory" in refused(lambda path: read_human_table(path, path.name, {}, {}), tmp_path / "a.csv")


def test_a_long_list_is_read_in_a_moment(tmp_path):
    path = written(tmp_path, "a.csv", "source,title\n" + '"https://example.org/1","a, b"\n' * 100_000)
    begun = time.process_time()
    assert len(read_list(path)) == 100_000
    assert time.process_time() - begun < 20


def test_a_row_that_is_too_long_is_named_with_its_own_length(tmp_path):
    file = tmp_path / "list.tsv"
    file.write_text("source\tid\nkitchen:1\ta\tmore\nkitchen:2\tb\t\t\t\t\n", encoding="utf-8")
    with pytest.raises(UserError, match="row 2 has 3, the header 2"):
        read_human_table(file, "corpus.videos: list.tsv", {"source": "text"}, {"id": "text"})
