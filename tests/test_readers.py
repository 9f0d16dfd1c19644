"""Our tables in other people's readers: each in an environment of its own, that has nothing of this checkout.

It downloads and installs, so `make test` leaves it out and `make test-readers` runs it (.ci/run does).
"""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from videobert.data.provenance import FORMAT, read_table, write_table
from videobert.data.schemas import INDEXED, SEGMENTS, Columns, arrow, files
from videobert.layout import Layout

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif("VIDEOBERT_TEST_READERS" not in os.environ, reason="installs other readers: make test-readers"),
]
DIMENSION = 256
# The package, what is imported, and the expression that reads `file`: a list for each column.
READERS = {
    "duckdb 1.4": ("duckdb==1.4.*", "import duckdb", "by_rows(duckdb.read_parquet(file))"),
    "duckdb": ("duckdb", "import duckdb", "by_rows(duckdb.read_parquet(file))"),
    "polars": ("polars", "import polars", "polars.read_parquet(file).to_dict(as_series=False)"),
    "fastparquet": ("fastparquet", "import fastparquet", "fastparquet.ParquetFile(file).to_pandas().to_dict('list')"),
    "pyarrow 17": ("pyarrow==17.*", "import pyarrow.parquet", "pyarrow.parquet.read_table(file).to_pydict()"),
    "pyarrow": ("pyarrow", "import pyarrow.parquet", "pyarrow.parquet.read_table(file).to_pydict()"),
}
SCRIPT = """
import json, struct, sys
{imports}

def by_rows(relation):
    rows = relation.fetchall()
    return {{name: [row[place] for row in rows] for place, name in enumerate(relation.columns)}}

def plain(value):
    # fastparquet gives the two bytes of a float16, without zeros at the end.
    if isinstance(value, bytes):
        return struct.unpack("<e", value.ljust(2, b"\\0"))[0]
    if hasattr(value, "tolist"):
        return value.tolist()
    return list(value) if isinstance(value, tuple) else None  # pandas' NA

for file in sys.argv[1:]:
    print(json.dumps({expression}, default=plain))
"""


FOLDERS = """
import json, sys, datasets

print(json.dumps([datasets.load_dataset(folder)["train"].num_rows for folder in sys.argv[1:]]))
"""


def values(type_: pa.DataType, count: int) -> pa.Array:
    """Some values of a column; every seventh is missing, but in lists, where none ever is."""
    random = np.random.default_rng(0)
    if pa.types.is_fixed_size_list(type_):
        numbers = random.gamma(0.5, size=count * DIMENSION).astype(type_.value_type.to_pandas_dtype())
        return pa.FixedSizeListArray.from_arrays(pa.array(numbers), DIMENSION)
    if pa.types.is_list(type_):
        return pa.array([list(range(row, row + row % 5)) for row in range(count)], type_)
    kinds = {pa.string(): lambda row: f"é {row}" if row % 3 else "", pa.bool_(): lambda row: row % 2 == 0}
    make = kinds.get(type_, lambda row: row * 3 if pa.types.is_integer(type_) else row / 7)
    return pa.array([make(row) if row % 7 else None for row in range(count)], type_)


def tables() -> dict[str, Columns]:
    """The columns of each kind of table that a run or an index has."""
    of_runs = {file.path: file.columns for group in files(Layout("results")).values() for file in group}
    return of_runs | {"index/segments.parquet": SEGMENTS, "index/videos.parquet": INDEXED}


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> list[Path]:
    """Each kind of table, with rows enough for several pages of features, and with none."""
    folder, paths = tmp_path_factory.mktemp("tables"), []
    for number, columns in enumerate(columns for path, columns in tables().items() if path.endswith(".parquet")):
        schema = arrow(columns, DIMENSION)
        for count in (0, 2500):
            paths.append(folder / f"{number}-{count}.parquet")
            table = pa.Table.from_arrays([values(field.type, count) for field in schema], schema=schema)
            write_table(table, paths[-1], {"stage": "some"})
    return paths


@pytest.mark.parametrize("reader", READERS)
def test_every_table_is_read_with_the_same_values(reader, written, tmp_path):
    package, imports, expression = READERS[reader]
    if package == "pyarrow==17.*" and sys.version_info >= (3, 13):
        pytest.skip("pyarrow 17 has no package for Python 3.13 and newer")
    printed = run_with(tmp_path, package, SCRIPT.format(imports=imports, expression=expression), written)
    for path, line in zip(written, printed.splitlines(), strict=True):
        ours = read_table(path).to_pydict()
        theirs = {name: [missing(value) for value in column] for name, column in json.loads(line).items()}
        assert theirs == ours, f"{reader} reads {path.name} otherwise"


def test_datasets_reads_a_stages_folder_as_it_lies(tmp_path):
    """The shards' ledgers, the journals and the marks of `videobert retry` lie beside the tables."""
    kept = Path(__file__).parent / "results" / str(FORMAT) / "results"
    folders = [kept / stage for stage in ("transcribe", "features", "tokens", "ledger")]
    rows = [sum(len(read_table(file)) for file in folder.glob("*.parquet")) for folder in folders]
    assert all(rows) and json.loads(run_with(tmp_path, "datasets", FOLDERS, folders).splitlines()[-1]) == rows


def run_with(folder: Path, package: str, script: str, arguments: list[Path]) -> str:
    """What a script prints in an environment that has this package and nothing of the checkout."""
    uv = [sys.executable, "-m", "uv"]
    subprocess.run([*uv, "venv", "--quiet", "--python", sys.executable, folder / "venv"], check=True)
    python = folder / "venv/bin/python"
    subprocess.run([*uv, "pip", "install", "--quiet", "--python", python, package], check=True)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    environment |= {"HF_HUB_OFFLINE": "1", "HF_HOME": str(folder / "cache")}
    command = [python, "-c", script, *arguments]
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    return done.stdout


def missing(value: object) -> object:
    """None for the NaN by which pandas says that a number is missing."""
    return None if isinstance(value, float) and math.isnan(value) else value
