"""A ledger stands for the files that lie beside it: they are opened by their rows alone."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from videobert.data.ledger import file_facts, open_file, process_videos
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
