"""How results are written: whole or not at all, and each saying how it was made.

Every output goes to a temporary name beside its own and is renamed when complete, so that a killed job leaves nothing
half-written where a later stage would read it; and it is flushed to the disk before that, or after a power cut the new name
could stand for an empty file. Every output carries its provenance: the stage, the version of the stage's
meaning, its settings, how it was executed, the packages that shaped it and the hashes of its inputs. Parquet and
safetensors files carry it in their metadata, JSON files under the key "provenance". No date, host name or absolute path
goes into it: the same settings, the same inputs and the same execution give the same bytes.

Beside it stands the format of the file: which columns, keys and neighbours it has. Files of an older format are read as they
are, or `videobert upgrade` brings them up to date (videobert/upgrade.py); those of a newer one are refused.
"""

import errno
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from videobert.data.text import one_line
from videobert.errors import UserError
from videobert.machine import writing_fault

if TYPE_CHECKING:
    import pyarrow as pa

# 1: until November 2026, without a number in the file. 2: the ledgers of download and frames have size and sha256 of
# each file, and each shard of download has a steps.tsv. 3: titles, licenses and the list's ids stand in files of their own, which
# the next run makes; the manifest of before has more columns, which nobody reads.
FORMAT = 3
# What earlier versions called it: what they fetched is not to be fetched again.
OLD_KEY = "made"


class DamagedFile(UserError):
    """A file of ours does not hold what it should."""


# The permissions that the user gives to new files; some libraries give their own. (It can only be asked for by a change.)
_UMASK = os.umask(0)
os.umask(_UMASK)


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yields a temporary path beside `path` (file or folder, same suffix); renames it to `path` if the block succeeds.

    Raises MachineFault that names the file when it cannot be written.
    """
    # The leading dot hides it from readers of the folder; the suffix stays, since encoders choose formats by it.
    temporary = path.with_name(f".{uuid.uuid4().hex[:8]}-{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        for part in sorted(temporary.rglob("*")) if temporary.is_dir() else [temporary]:
            if part.is_file() and not part.is_symlink():
                settle(part)
        if temporary.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        os.replace(temporary, path)
        flush(path.parent)
    except Exception as error:
        if fault := writing_fault(error, path):
            raise fault from error
        raise
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary, ignore_errors=True)
        else:
            with suppress(OSError):  # it is not there, or cannot be
                temporary.unlink()


def settle(file: Path) -> None:
    """Gives a file that a library wrote the user's permissions, and flushes it to the disk.

    Raises MachineFault when the disk does not take it.
    """
    try:
        os.chmod(file, 0o666 & ~_UMASK)
        flush(file)
    except OSError as error:
        raise writing_fault(error, file) or error from None


def flush(path: Path) -> None:
    """Has the system write a file or folder to the disk: until then a power cut may leave its name, and nothing in it."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (
            errno.EINVAL,
            errno.ENOTSUP,
            errno.EBADF,
        ):  # some disks do not know it, of folders above all
            raise
    finally:
        os.close(descriptor)


def sha256(path: Path) -> str:
    """Hash of a file's bytes. Raises UserError when the file is missing."""
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        raise UserError(f"{path} is missing: the stage that makes it has not run, or the file was deleted") from None


def make_provenance(
    stage: str,
    version_: int,
    settings: dict[str, Any],
    inputs: Mapping[str, Path | list[Path]],
    packages: tuple[str, ...] = (),
    **facts: Any,
) -> dict[str, Any]:
    """How an output is made.

    Args:
        stage: the stage's name.
        version_: the stage's VERSION.
        settings: the settings that shape the output (no paths, no devices, nothing that leaves the bytes alone).
        inputs: name -> file or files; their hashes stand in the order given.
        packages: distributions whose version can change the output.
        facts: anything else a later stage must know (the hash of weights, a number of dimensions).
    """

    def hashes(paths: Path | list[Path]) -> str | list[str]:
        return [sha256(path) for path in paths] if isinstance(paths, list) else sha256(paths)

    return {
        "stage": stage,
        "version": version_,
        "settings": settings,
        "inputs": {name: hashes(paths) for name, paths in inputs.items()},
        "packages": {name: version(name) for name in packages},
        **facts,
    }


def provenance_key(provenance: dict[str, Any]) -> str:
    """A hash of what a result depends on: work under one key can go on under the same. How it was executed is not in it."""
    known = {name: value for name, value in provenance.items() if name != "execution"}
    return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()


def as_text(provenance: dict[str, Any]) -> str:
    """The provenance as it stands in the metadata of a file that is written now."""
    return json.dumps({**provenance, "format": FORMAT}, sort_keys=True)


def write_table(table: "pa.Table", path: Path, provenance: dict[str, Any]) -> None:
    """Writes a Parquet file with its provenance in the metadata: the one place that writes Parquet."""
    import pyarrow.parquet as pq

    table = table.replace_schema_metadata({"provenance": as_text(provenance)})
    # The plain encoding is read by everything. Byte stream split makes features 7 % smaller, but fastparquet does not read
    # it, nor DuckDB for float16; dictionaries make our tables larger. Format 1.0 has the pages that fastparquet reads.
    format_ = {"compression": "zstd", "use_dictionary": False, "data_page_version": "1.0", "write_page_checksum": True}
    with atomic(path) as temporary:
        pq.write_table(table, temporary, **format_)


def read_table(path: Path, columns: list[str] | None = None) -> "pa.Table":
    """Reads a Parquet file of ours. Raises UserError that names the file, and what makes it, when it is missing or broken."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    maker = ""
    try:
        # One file, read as it lies: a path with "=" in it must not be taken for a partitioned data set.
        file = pq.ParquetFile(path, page_checksum_verification=True)
        maker = _provenance(file.schema_arrow.metadata, path).get("stage", "")
        return file.read(columns=columns)
    except FileNotFoundError:
        raise UserError(f"{path} is missing: the stage that makes it has not run, or the file was deleted") from None
    except (pa.ArrowException, OSError, ValueError) as error:
        raise damaged(path, error, maker) from None


def damaged(path: Path, error: Exception, maker: str = "") -> Exception:
    """What to raise when a file of ours does not hold what it should; a fault of the disk stays what it is.

    `maker`: the stage or command that makes the file, where that is known.
    """
    if isinstance(error, OSError) and error.errno is not None:
        return error
    kinds = {".parquet": "Parquet", ".safetensors": "safetensors", ".json": "JSON"}
    what = f"is not a readable {kinds.get(path.suffix, '')} file ({one_line(str(error), longest=120)})"
    again = f"run {maker} again" if maker else "run again"
    return DamagedFile(f"{path} {what}; delete it and {again}, or copy it anew from where it was made")


def read_json(path: Path) -> dict[str, Any]:
    """Reads a JSON file of ours. Raises UserError that names the file when it is missing or broken."""
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} is missing: the stage that makes it has not run, or the file was deleted") from None
    except ValueError as error:
        raise damaged(path, error) from None
    return content


def write_json(data: dict[str, Any], path: Path, provenance: dict[str, Any]) -> None:
    """Writes a JSON file, keys sorted, with its provenance."""
    with atomic(path) as temporary:
        temporary.write_text(
            json.dumps(
                {**data, "provenance": {**provenance, "format": FORMAT}}, indent=1, sort_keys=True, ensure_ascii=False
            )
            + "\n",
            encoding="utf-8",
        )


def with_provenance(data: bytes, provenance: dict[str, Any]) -> bytes:
    """Safetensors bytes of a model with the provenance beside transformers' own metadata.

    The header is written here because the library writes several metadata keys in a random order.
    """
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    header["__metadata__"] = {"format": "pt", "provenance": as_text(provenance)}
    text = json.dumps(header, sort_keys=True).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + data[8 + size :]


def read_provenance(path: Path) -> dict[str, Any]:
    """The provenance of a Parquet, safetensors or JSON file of ours ({} when it has none).

    Raises UserError when the file is missing, or of a newer format than this version knows.
    """
    if not path.exists():
        raise UserError(f"{path} is missing: the stage that makes it has not run, or the file was deleted")
    try:
        return _provenance(_metadata(path), path)
    except Exception as error:  # each library has its own
        if isinstance(error, UserError | MemoryError):
            raise
        raise damaged(path, error) from None


def _metadata(path: Path) -> dict[Any, Any] | None:
    if path.suffix == ".parquet":
        import pyarrow.parquet as pq

        metadata: dict[Any, Any] | None = pq.read_schema(path).metadata
        return metadata
    if path.suffix == ".safetensors":
        from safetensors import safe_open

        with safe_open(path, "np") as file:
            told: dict[Any, Any] | None = file.metadata()
        return told
    content: dict[Any, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def _provenance(metadata: dict[Any, Any] | None, path: Path) -> dict[str, Any]:
    """The provenance among a file's metadata."""
    metadata = metadata or {}
    keys = ("provenance", OLD_KEY)
    found: Any = next((metadata[key] for name in keys for key in (name, name.encode()) if key in metadata), {})
    provenance: dict[str, Any] = json.loads(found) if isinstance(found, str | bytes) else found
    if provenance.get("format", 1) > FORMAT:
        raise UserError(
            f"{path} was made by a newer version of videobert (format {provenance['format']}; this one reads up to {FORMAT}): "
            "install that version or a later one"
        )
    return provenance


def common_provenance(paths: list[Path], fact: str) -> Any:
    """The value of one fact that all these files were made with.

    Raises UserError that names two files when they disagree: features of two networks or tokens of two codebooks do
    not fit together, and nothing downstream could tell.
    """
    first, *others = paths
    value = read_provenance(first).get(fact)
    for other in others:
        if read_provenance(other).get(fact) != value:
            raise UserError(
                f"{other} was made with {fact} = {read_provenance(other).get(fact)!r}, but {first} with {value!r}: "
                f"they do not fit together; delete the older one and run again"
            )
    return value
