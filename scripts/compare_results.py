"""Compares two results folders: are the tables, the tokens, the model and the figures the same, byte for byte?

    python scripts/compare_results.py results/before results/after

How an output was made (its provenance) may differ, and so may what was noted on the way (logs, benchmarks, progress, journals,
event files). Everything else must be equal: each column of each Parquet file, each tensor of each safetensors file, each value
of each JSON file, and the bytes of every other file. Prints a line for each difference and exits with 1 if there is one.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# What tells how a result was made, under the names of this version and of earlier ones.
PROVENANCE = ("provenance", "made", "protocol")
# Notes of a run; the report shows times, and the card and the provenance files tell how a model was made.
NOTES = ("logs", "benchmarks", "progress", "report", "runs", ".lock")
NOT_COMPARED = ("README.md", "provenance.json", "made.json", "training.png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    options = parser.parse_args()
    before, after = _files(options.before), _files(options.after)
    differences = [f"only in {options.before}: {name}" for name in sorted(before.keys() - after.keys())]
    differences += [f"only in {options.after}: {name}" for name in sorted(after.keys() - before.keys())]
    same = sorted(before.keys() & after.keys())
    for name in same:
        differences += [f"{name}: {difference}" for difference in _compare(before[name], after[name])]
    print("\n".join([*differences, f"{len(same)} files compared, {len(differences)} differences"]))
    sys.exit(bool(differences))


def _files(folder: Path) -> dict[str, Path]:
    """The files of a results folder by their path in it."""
    if not (folder / "corpus").is_dir():
        sys.exit(f"{folder} is no results folder: it has no folder corpus")
    return {
        str(path.relative_to(folder)): path
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and path.name not in NOT_COMPARED
        and not any(part in NOTES or part.startswith(".") for part in path.relative_to(folder).parts)
    }


def _compare(before: Path, after: Path) -> Iterator[str]:
    if before.suffix == ".parquet":
        yield from _compare_tables(before, after)
    elif before.suffix == ".safetensors":
        yield from _compare_tensors(before, after)
    elif before.suffix == ".json":
        yield from _compare_values(_without_provenance(before), _without_provenance(after), "")
    elif before.read_bytes() != after.read_bytes():
        yield "the bytes differ"


def _compare_tables(before: Path, after: Path) -> Iterator[str]:
    import pyarrow.parquet as pq

    one, two = pq.ParquetFile(before).read(), pq.ParquetFile(after).read()
    if one.column_names != two.column_names:
        yield f"columns {one.column_names} and {two.column_names}"
    elif len(one) != len(two):
        yield f"{len(one)} and {len(two)} rows"
    else:
        for name in one.column_names:
            # Times and numbers as they stand, NaN included.
            if one[name].type != two[name].type or one[name].to_pylist() != two[name].to_pylist():
                yield f"column {name} differs"


def _compare_tensors(before: Path, after: Path) -> Iterator[str]:
    from safetensors.numpy import load_file

    one, two = load_file(before), load_file(after)
    if one.keys() != two.keys():
        yield f"tensors {sorted(one.keys() ^ two.keys())} stand in one of them only"
    for name in sorted(one.keys() & two.keys()):
        if one[name].dtype != two[name].dtype or one[name].tobytes() != two[name].tobytes():
            yield f"tensor {name} differs"


def _without_provenance(path: Path) -> Any:
    values = json.loads(path.read_text(encoding="utf-8"))
    return (
        {key: value for key, value in values.items() if key not in PROVENANCE} if isinstance(values, dict) else values
    )


def _compare_values(one: Any, two: Any, place: str) -> Iterator[str]:
    if isinstance(one, dict) and isinstance(two, dict):
        for key in sorted(one.keys() | two.keys()):
            yield from _compare_values(one.get(key), two.get(key), f"{place}.{key}")
    elif isinstance(one, list) and isinstance(two, list) and len(one) == len(two):
        for index, (left, right) in enumerate(zip(one, two, strict=True)):
            yield from _compare_values(left, right, f"{place}[{index}]")
    elif one != two:
        yield f"{place.lstrip('.')} is {str(one)[:60]} and {str(two)[:60]}"


if __name__ == "__main__":
    main()
