"""A ledger stands for the files that lie beside it: they are opened by their rows alone."""

import pytest

from videobert.data.ledger import file_facts, open_file
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
