"""Annotated steps: which lie in their video, and what times look like that do not."""

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from videobert.data.provenance import write_table
from videobert.errors import UserError
from videobert.evaluation.steps import Step, _read_table, in_videos
from videobert.kitchen.script import script
from videobert.model.sequences import open_tokens

TABLES = Path(__file__).parent / "publiccases" / "tables"
GOOD = [
    Step(f"kitchen-{number}", step.start, step.end, step.verb, step.object)
    for number in range(8)
    for step in script(number).steps
]
ENDS = {f"kitchen-{number}": script(number).duration // 1.5 * 1.5 for number in range(8)}


def times(factor: float) -> list[Step]:
    return [replace(step, start=factor * step.start, end=factor * step.end) for step in GOOD]


def refused(steps: list[Step]) -> str:
    with pytest.raises(UserError) as error:
        in_videos(steps, ENDS, 1.5, "evaluate.annotations: labels.csv")
    assert "\n" not in str(error.value) and str(error.value).startswith("evaluate.annotations: labels.csv: ")
    return str(error.value)


def test_steps_that_lie_in_their_video_stay():
    assert in_videos(GOOD, ENDS, 1.5, "") == GOOD
    unknown = replace(GOOD[0], video_id="of another list", start=1e6, end=1e7)
    assert in_videos([*GOOD, unknown], ENDS, 1.5, "") == [*GOOD, unknown]


def test_a_few_that_lie_nowhere_are_left_out_and_counted(capsys):
    end = ENDS["kitchen-0"]
    wrong = [Step("kitchen-0", start, stop, "cut", "egg") for start, stop in ((5, 4), (end + 1.5, end + 9), (-3, -1))]
    edge = [Step("kitchen-0", start, stop, "cut", "egg") for start, stop in ((end + 1, end + 9), (-3, 1), (4, 4))]
    assert in_videos([*wrong, *GOOD, *edge], ENDS, 1.5, "evaluate.annotations: x") == [*GOOD, *edge]
    said = capsys.readouterr().err
    assert (
        f"evaluate.annotations: x: 3 of {len(GOOD) + 6} steps lie nowhere in their video (1 end before they begin, "
        in said
    )
    assert "1 begin after it ends, 1 end before it begins; the first: kitchen-0, 5 to 4); they are left out" in said
    assert said.count("\n") == 1


def test_more_than_a_few_stop_with_what_it_looks_like():
    assert "60 of 60 steps" in (said := refused(_read_table(TABLES / "swapped.csv")))
    assert "start and end look swapped" in said
    assert "milliseconds" in refused(times(1000))
    for rate in (10, 25, 30, 60):
        assert "numbers of frames" in refused(times(rate))
    shifted = [replace(step, start=step.start + 60, end=step.end + 60) for step in GOOD]
    assert "another cut of the videos" in refused(shifted)
    assert refused([replace(step, start=9, end=8) for step in GOOD[:2]])


def test_the_end_of_a_video_is_that_of_its_last_clip(tmp_path):
    def rows(number: int) -> list[dict]:
        common = {"video_id": f"v{number}", "split": ["train", "test"][number % 2]}
        windows = [{**common, "kind": "video", "end": 24.0 * place} for place in range(1, number + 2)]
        return [*windows, {**common, "kind": "text-video", "end": 1e4}]

    for shard in range(2):
        table = pa.Table.from_pylist([row for number in (shard, shard + 2) for row in rows(number)])
        write_table(table, tmp_path / f"{shard}.parquet", {})
    ends = open_tokens([tmp_path / "0.parquet", tmp_path / "1.parquet"]).ends()
    assert ends == {"v0": 24.0, "v1": 48.0, "v2": 72.0, "v3": 96.0}
