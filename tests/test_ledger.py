"""A ledger stands for the files that lie beside it: they are opened by their rows alone."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from videobert.data.ledger import LedgerInputs, LedgerOutputs, file_facts, ledger, open_file, process_videos
from videobert.data.provenance import read_table, write_table
from videobert.data.schemas import HEARD, names
from videobert.errors import UserError


@pytest.fixture
def row(tmp_path):
    (tmp_path / "v.mp4").write_bytes(b"as it was written")
    return {"video_id": "v", "path": "v.mp4", **file_facts(tmp_path / "v.mp4")}


def test_the_file_of_a_row_is_opened(tmp_path, row):
    assert open_file(tmp_path / "ledger.parquet", row) == tmp_path / "v.mp4"


def test_a_file_that_is_missing_is_one_line_with_the_mend(tmp_path, row):
    (tmp_path / "v.mp4").unlink()
    with pytest.raises(UserError, match=r"v\.mp4 is missing, though .*ledger\.parquet lists it; delete that ledger"):
        open_file(tmp_path / "ledger.parquet", row)


def test_a_file_of_the_same_size_with_other_content_is_refused(tmp_path, row):
    (tmp_path / "v.mp4").write_bytes(b"as it is not here")
    with pytest.raises(UserError, match=r"v\.mp4 is not the file that .*ledger\.parquet lists"):
        open_file(tmp_path / "ledger.parquet", row)


def test_shards_of_before_and_after_a_column_was_added_are_gathered(tmp_path):
    """A finished run keeps its ledgers; videos that are added later have a stage's newer facts."""
    outcome = {"status": "ok", "reason": ""}
    manifest = {"video_id": ["a", "b"], "shard": ["0000", "0001"], "source": ["a.mp4", "https://b"]}
    write_table(pa.table(manifest), tmp_path / "manifest.parquet", {})
    write_table(pa.table({"video_id": ["a", "b"], "title": ["", "of the list"]}), tmp_path / "details.parquet", {})
    write_table(pa.table({"video_id": ["a", "b"], "title": ["of the site"] * 2}), tmp_path / "download.parquet", {})
    write_table(pa.Table.from_pylist([{"video_id": "a"} | outcome]), tmp_path / "old.parquet", {})
    new = {"video_id": "b"} | outcome | dict(zip(names(HEARD), (1, 2, "eng"), strict=True))
    write_table(pa.Table.from_pylist([new]), tmp_path / "new.parquet", {})
    inputs = {
        "ledgers": [tmp_path / "old.parquet", tmp_path / "new.parquet"],
        "manifest": tmp_path / "manifest.parquet",
        "details": tmp_path / "details.parquet",
        "downloads": [tmp_path / "download.parquet"],
    }
    ledger(LedgerInputs(**inputs, stage="transcribe"), LedgerOutputs(ledger=tmp_path / "x" / "ledger.parquet"))
    rows = read_table(tmp_path / "x" / "ledger.parquet").to_pylist()
    assert [tuple(row.values()) for row in rows] == [
        ("transcribe", "0000", "a", "ok", "", "a.mp4", "of the site"),
        ("transcribe", "0001", "b", "ok", "", "https://b", "of the list"),
    ]


def test_what_a_journal_keeps_of_a_video_is_done_again_when_a_byte_of_it_has_flipped(tmp_path):
    schema, done = pa.schema([("number", pa.int32())]), []

    def work(video):
        done.append(video["video_id"])
        return {}, pa.table({"number": range(3)}, schema)

    def shard():
        videos, provenance = [{"video_id": name} for name in "ab"], {"stage": "features"}
        return process_videos(videos, work, tmp_path, provenance, pa.schema([]), schema)[1].to_pydict()

    whole = shard()
    assert shard() == whole and done == ["a", "b"]
    part = tmp_path / "b.parquet"
    column = pq.read_metadata(part).row_group(0).column(0)
    data = bytearray(part.read_bytes())
    data[column.data_page_offset + column.total_compressed_size - 1] ^= 1
    part.write_bytes(data)
    assert shard() == whole and done == ["a", "b", "b"]
