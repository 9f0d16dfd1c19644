"""The columns and keys that videobert/data/schemas.py describes are those that a run has written, and every file of a run is
described."""

import csv
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from calls import codebook, corpus, tokens
from safetensors import safe_open
from synthetic import world

from videobert.api import VideoBert
from videobert.data.provenance import read_provenance, read_table, write_table
from videobert.data.schemas import (
    ATLAS,
    CENTROIDS,
    INDEX_MODEL,
    INDEXED,
    LEDGER,
    MANIFEST,
    OUTCOME,
    REGISTER,
    SEGMENTS,
    SENTENCE_COUNTS,
    SENTENCES,
    STATISTICS,
    TASKS,
    TOKENS,
    TOKENS_FACTS,
    Columns,
    File,
    arrow,
    files,
    names,
)
from videobert.errors import UserError
from videobert.evaluation.task import TaskName
from videobert.layout import Layout
from videobert.pipeline import READS, STAGES
from videobert.speech.sentences import DROPPED

# What a job leaves for the next one of its kind, or Snakemake: not for readers.
OURS = [r"corpus/\.plan\.parquet", r"download/\d+/\.(written|retried)", r".*\.snakemake_timestamp"]


def expect(path: Path, columns: Columns) -> None:
    """Compares a file with its description."""
    if path.suffix == ".parquet":
        found = pq.read_schema(path)
        vectors = [field.type.list_size for field in found if pa.types.is_fixed_size_list(field.type)]
        expected = arrow(columns, *vectors)
        assert [(field.name, field.type) for field in found] == [(field.name, field.type) for field in expected], path
        assert list(found.metadata) == [b"provenance"], path
        assert not any(field.metadata for field in found), path
        assert encodings(path) <= {"PLAIN", "RLE"}, path  # RLE is how Parquet has lists and missing values
    elif path.suffix == ".tsv":
        with open(path, encoding="utf-8", newline="") as file:
            assert next(csv.reader(file, delimiter="\t")) == list(names(columns)), path
    elif path.suffix == ".json":
        keys = json.loads(path.read_text(encoding="utf-8")).keys()
        assert {column.name for column in columns if not column.optional} <= keys <= set(names(columns)), path
    else:
        with safe_open(path, "np") as file:
            found = {re.sub(r"\d+", "{level}", name) for name in file.keys()}  # noqa: SIM118
            assert {column.name for column in columns if not column.optional} <= found <= set(names(columns)), path


def encodings(path: Path) -> set[str]:
    """How the numbers and texts of a table are written."""
    footer = pq.read_metadata(path)
    groups = [footer.row_group(number) for number in range(footer.num_row_groups)]
    return {name for group in groups for column in range(footer.num_columns) for name in group.column(column).encodings}


def flip(path: Path) -> None:
    """Changes a byte in the data of a table: the last one of its first column."""
    column = pq.read_metadata(path).row_group(0).column(0)
    data = bytearray(path.read_bytes())
    data[column.data_page_offset + column.total_compressed_size - 1] ^= 1
    path.write_bytes(data)


def pattern(path: str) -> str:
    """A regular expression for a path with {shard} and the like."""
    return re.sub(r"\\\{(\w+)\\\}", lambda name: ".+" if name[1] == "job" else "[^/]+", re.escape(path))


def described(results: Path) -> Iterator[tuple[Path, File]]:
    """Each file of a run with its description."""
    known = [(pattern(file.path), file) for group in files(Layout(results)).values() for file in group]
    # Of two patterns that match, the one that says more: a ledger is no {video_id}.{ext}.
    known.sort(key=lambda pair: pair[1].path.count("{"))
    for path in sorted(path for path in results.rglob("*") if path.is_file()):
        if any(re.fullmatch(ours, str(path.relative_to(results))) for ours in OURS):
            continue
        file = next((file for regex, file in known if re.fullmatch(regex, str(path))), None)
        assert file, f"{path} is not described"
        yield path, file


def test_every_file_of_a_run_is_described_and_has_the_columns_that_its_description_names(finished):
    results = finished / "results"
    met = set()
    for path, file in described(results):
        met.add(file.path)
        if file.columns:
            expect(path, file.columns)
    all_files = {file.path for group in files(Layout(results)).values() for file in group}
    # The small run has no captions, no table that might name videos by the list's own ids, and was not asked for weights.
    captions = f"{results}/download/{{shard}}/{{video_id}}.{{language}}.{{ext}}"
    assert all_files - met <= {captions, Layout(results).ids, Layout(results).local_files, Layout(results).weights}


def test_a_byte_that_flips_in_any_kind_of_table_is_one_line_that_says_what_makes_it_anew(finished, tmp_path):
    kinds = {file.path: path for path, file in described(finished / "results") if path.suffix == ".parquet"}
    for number, path in enumerate(kinds.values()):
        copy = Path(shutil.copyfile(path, tmp_path / f"{number}.parquet"))
        flip(copy)
        again = f"delete it and run {read_provenance(path)['stage']} again"
        with pytest.raises(UserError, match=rf"{copy} is not a readable Parquet file .*{again}") as error:
            read_table(copy)
        assert "\n" not in str(error.value)


def test_the_tables_of_earlier_versions_are_read():
    """They are in encodings that few others read."""
    old = [*Path(__file__).with_name("results").glob("[12]/**/*.parquet")]
    assert {"BYTE_STREAM_SPLIT"} <= {name for path in old for name in encodings(path)}
    for path in old:
        assert read_table(path).num_columns, path


def test_an_index_has_the_columns_that_are_described(finished, tmp_path):
    VideoBert.from_pretrained(finished / "results/pretrain").index([finished / "results"], tmp_path)
    model, segments, videos = sorted(tmp_path.iterdir())
    expect(model, INDEX_MODEL)
    expect(segments, SEGMENTS)
    expect(videos, INDEXED)


def test_the_stages_that_need_no_video_write_the_columns_that_are_described(tmp_path):
    listed = tmp_path / "videos.tsv"
    listed.write_text("source\nkitchen:0\nkitchen:1\nkitchen:0\n", encoding="utf-8")
    written = [tmp_path / name for name in ("m.parquet", "l.parquet", "r.parquet")]
    corpus(listed, *written, shard_size=2, test_fraction=0.2, seed=0)
    for path, columns in zip(written, (MANIFEST, LEDGER, REGISTER), strict=True):
        expect(path, columns)


def test_the_codebook_and_the_tokens_have_the_columns_that_are_described(tmp_path):
    paths = world(tmp_path / "world", videos=6, words=34)
    codebook(paths["features"], paths["manifest"], tmp_path / "codebook", 3, 2)
    for name, columns in (
        ("centroids.safetensors", CENTROIDS),
        ("statistics.json", STATISTICS),
        ("atlas.parquet", ATLAS),
    ):
        expect(tmp_path / "codebook" / name, columns)
    sentence = {"video_id": "kitchen-0", "start": 0.0, "end": 3.0, "text": "now slice the tomato"}
    write_table(pa.Table.from_pylist([sentence], arrow(SENTENCES)), tmp_path / "sentences.parquet", {})
    tokens(
        transcribe=tmp_path / "sentences.parquet",
        features=paths["features"] / "0000.parquet",
        codebook=tmp_path / "codebook",
        vocabulary=paths["vocabulary"],
        manifest=paths["manifest"],
        shard="0000",
        output=tmp_path / "tokens.parquet",
        ledger=tmp_path / "ledger.parquet",
    )
    expect(tmp_path / "tokens.parquet", TOKENS)
    expect(tmp_path / "ledger.parquet", (*OUTCOME, *TOKENS_FACTS))


def test_every_stage_and_task_is_described_and_every_file_of_the_layout():
    layout = Layout("results")
    assert list(files(layout)) == [*STAGES, ""]
    paths = {file.path for group in files(layout).values() for file in group}
    for stage in READS:
        assert set(layout.files(stage, ["{shard}"])) <= paths
    assert set(TASKS) == set(TaskName.__args__)
    assert set(layout.model.complete()) <= paths


def test_every_reason_to_drop_a_sentence_has_its_column():
    assert names(SENTENCE_COUNTS) == ("sentences", *(f"dropped_{why}" for why in DROPPED))


@pytest.mark.parametrize("group", list(files(Layout("results"))))
def test_descriptions_are_sentences(group):
    for file in files(Layout("results"))[group]:
        for text in (file.about, *(column.about for column in file.columns)):
            assert text.endswith(".") and "\n" not in text and "|" not in text and len(text) < 120
        assert len(set(names(file.columns))) == len(file.columns)
