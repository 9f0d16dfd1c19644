"""What the machine did is not the video's fault: nothing is booked, nothing is lost, and the next run goes on."""

import errno
import os
import re
import resource
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import av
import pyarrow as pa
import pytest
from test_frames import barcode, encode, run, write_video

from videobert.data.ledger import process_videos
from videobert.data.provenance import atomic, read_json, read_provenance, read_table, write_table
from videobert.errors import BoundError, UserError
from videobert.layout import Layout
from videobert.machine import MachineFault, mend_of
from videobert.media.bounded import run_bounded
from videobert.stages.retry import retried, retry

VIDEOS = [{"video_id": name} for name in "abcd"]
PROVENANCE = {"stage": "test", "version": 1}
SCHEMA = pa.schema({"facts": pa.int64()})
TABLE = pa.schema({"video_id": pa.string(), "value": pa.int64()})


class Work:
    """Work on videos that counts its calls, and fails at `broken` with `error`."""

    def __init__(self, broken: str = "", error: BaseException | None = None) -> None:
        self.broken, self.error = broken, error
        self.asked: list[str] = []

    def __call__(self, video: dict[str, Any]) -> tuple[dict[str, Any], pa.Table]:
        self.asked.append(video["video_id"])
        if self.error and video["video_id"] in self.broken:
            raise self.error
        row = {"video_id": video["video_id"], "value": ord(video["video_id"])}
        return {"facts": 1}, pa.Table.from_pylist([row], schema=TABLE)


def job(journal: Path, work: Work) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    ledger, table = process_videos(VIDEOS, work, journal, PROVENANCE, SCHEMA, TABLE)
    assert table is not None
    return ledger.to_pylist(), table.to_pylist()


FAULTS = [
    MemoryError(),
    *(OSError(number, os.strerror(number)) for number in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)),
    *(OSError(number, os.strerror(number)) for number in (errno.ESTALE, errno.EMFILE, errno.ENOMEM)),
    RuntimeError("CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has a total capacity of 79.11 GiB"),
    RuntimeError("CUDA error: device-side assert triggered"),
    RuntimeError("CUDA failed with error out of memory"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:117] . DefaultCPUAllocator: can't allocate memory"),
    av.error.MemoryError(errno.ENOMEM, "Cannot allocate memory"),
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{type(fault).__name__}-{str(fault)[:24]}")
def test_a_fault_of_the_machine_ends_the_job_and_counts_against_no_video(tmp_path: Path, fault: BaseException) -> None:
    with pytest.raises(MachineFault, match=r"^b is not done: .*; \w") as caught:
        job(tmp_path / "journal", Work("b", fault))
    assert "\n" not in str(caught.value)
    work = Work()
    rows, table = job(tmp_path / "journal", work)
    assert work.asked == ["b", "c", "d"]  # a is kept
    assert {row["status"] for row in rows} == {"ok"} and [row["video_id"] for row in table] == list("abcd")


def test_of_a_file_that_is_cut_off_libav_says_what_the_system_says_of_a_broken_disk() -> None:
    assert mend_of(av.error.OSError(errno.EIO, "Input/output error")) is None
    assert mend_of(OSError(errno.EIO, "Input/output error"))
    assert mend_of(ValueError("no such codec")) is None


def test_memory_that_is_short_while_sound_is_read_is_no_end_of_the_sound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from videobert.media import sound

    encode(
        tmp_path / "a.wav",
        "-c:a",
        "pcm_s16le",
        "-map",
        "1:a",
        inputs=("-f", "lavfi", "-i", "sine=d=2"),
        pictures=[barcode(0)],
    )

    def short(container: Any, stream: Any) -> Any:
        yield from list(container.demux(stream))[:3]
        raise av.error.MemoryError(errno.ENOMEM, "Cannot allocate memory")

    stream = sound.choose_stream(tmp_path / "a.wav", "auto")
    monkeypatch.setattr(sound, "packets", short)
    with pytest.raises(MemoryError):
        list(sound.audio(tmp_path / "a.wav", 60, stream))


@pytest.mark.parametrize(
    "error", [ValueError("odd"), BoundError("it was not done with after 9 s")], ids=["odd", "bound"]
)
def test_what_nobody_foresaw_is_tried_alone_before_it_is_a_row(
    tmp_path: Path, error: Exception, capfd: pytest.CaptureFixture[str]
) -> None:
    first, second, third = Work("b", error), Work("b", error), Work()
    with pytest.raises(UserError, match=r"1 of 4 videos failed in a way that nobody foresaw; the first: b: .*alone"):
        job(tmp_path / "journal", first)
    assert first.asked == list("abcd")
    rows, table = job(tmp_path / "journal", second)
    assert second.asked == ["b"]
    assert [row["status"] for row in rows] == [
        "ok",
        "failed" if isinstance(error, ValueError) else "unusable",
        "ok",
        "ok",
    ]
    assert [row["video_id"] for row in table] == list("acd")
    assert [row["status"] for row in job(tmp_path / "journal", third)[0]][1] != "ok" and third.asked == []


def test_when_all_videos_of_a_shard_fail_alike_it_is_not_the_videos(tmp_path: Path) -> None:
    for _ in range(3):
        work = Work("abcd", BoundError("it asks for too much memory"))
        with pytest.raises(
            UserError, match=r"every video of this shard failed, so it is hardly the videos.*too much memory"
        ):
            job(tmp_path / "journal", work)
        assert work.asked == list("abcd")


@pytest.mark.parametrize("name", ["b.json", "b.parquet"])
@pytest.mark.parametrize("size", [0, 7])
def test_what_a_power_cut_left_of_a_journal_is_done_again(tmp_path: Path, name: str, size: int) -> None:
    job(tmp_path / "journal", Work())
    file = tmp_path / "journal" / name
    file.write_bytes(file.read_bytes()[:size])
    work = Work()
    rows, table = job(tmp_path / "journal", work)
    assert work.asked == ["b"] and {row["status"] for row in rows} == {"ok"} and len(table) == 4


def test_a_child_that_others_end_is_the_machines_fault_and_one_that_crashes_is_not() -> None:
    for name in ("SIGKILL", "SIGTERM", "SIGXCPU", "SIGXFSZ"):
        program = f"import os, signal; signal.signal(25, signal.SIG_DFL); os.kill(os.getpid(), signal.{name})"
        with pytest.raises(MachineFault, match=f"was ended by {name} from outside"):
            run_bounded([sys.executable, "-c", program], 60, 1 << 30)
    assert run_bounded([sys.executable, "-c", "import os; os.abort()"], 60, 1 << 30)[0] == -signal.SIGABRT


def test_ffmpeg_that_is_asked_to_stop_loses_no_video(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job that is cancelled: ffmpeg obeys the signal, and ends without a word."""
    from videobert.media import normalising

    write_video(tmp_path / "a.mp4", [barcode(i) for i in range(30)])
    true = normalising.run_bounded

    def asked_to_stop(command: list[str], *bounds: Any) -> Any:
        shell = 'timeout --preserve-status -s TERM 0.3 "$0" -f lavfi -i testsrc=d=100000 -loglevel error -f null -'
        return true(["sh", "-c", shell, command[0]], *bounds)

    monkeypatch.setattr(normalising, "run_bounded", asked_to_stop)
    with pytest.raises(MachineFault, match="asked to stop"):
        run(tmp_path, ["a.mp4"])
    monkeypatch.undo()
    assert run(tmp_path, ["a.mp4"])["a"]["status"] == "ok"


def test_large_stacks_of_an_account_cost_no_video(tmp_path: Path) -> None:
    """Each of ffmpeg's threads maps a stack, inside our bound of its memory; clusters give stacks of gigabytes."""
    write_video(tmp_path / "a.mp4", [barcode(i) for i in range(30)])
    program = (
        "import sys; from pathlib import Path; from test_frames import run; print(run(Path(sys.argv[1]), ['a.mp4']))"
    )
    hard = resource.getrlimit(resource.RLIMIT_STACK)[1]
    if 0 <= hard < 1 << 30:
        pytest.skip("this account may not have stacks of a gigabyte")
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_STACK, (1 << 30, hard)),
        env={**os.environ, "PYTHONPATH": f"{Path(__file__).parents[1]}:{Path(__file__).parent}"},
        capture_output=True,
        text=True,
    )
    assert "'status': 'ok'" in done.stdout, done.stdout + done.stderr


def test_a_file_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    """A bound of a file's size stands for a full disk: the system says both at the first byte too much."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(MachineFault, match=r"t\.parquet cannot be written: .*ulimit -f"):
            write_table(pa.table({"a": pa.array(range(100_000))}), tmp_path / "t.parquet", {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_takes_nothing_is_one_line_of_a_command(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.touch()
    command = [
        sys.executable,
        "-m",
        "videobert",
        "corpus",
        "--videos",
        "kitchen",
        "--id_register",
        f"{tmp_path}/r.parquet",
    ]
    command += ["--manifest", f"{blocked}/m.parquet"]
    done = subprocess.run(command, capture_output=True, text=True)
    (line,) = done.stderr.strip().splitlines()
    assert done.returncode == 1 and "file cannot be written: File exists; a file stands where" in line


def test_files_have_the_permissions_that_the_user_gives_to_new_ones(tmp_path: Path) -> None:
    program = (
        "import os, sys; os.umask(0o027); from pathlib import Path; from safetensors.numpy import save_file; import numpy\n"
        "from videobert.data.provenance import atomic\n"
        "with atomic(Path(sys.argv[1])) as file: save_file({'a': numpy.zeros(3)}, file)\n"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path / "c.safetensors")], check=True)
    assert (tmp_path / "c.safetensors").stat().st_mode & 0o777 == 0o640
    from safetensors.numpy import save_file

    with atomic(tmp_path / "folder") as folder:
        folder.mkdir()
        save_file({}, folder / "m.safetensors")
    (tmp_path / "plain").touch()
    assert (tmp_path / "folder" / "m.safetensors").stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.parametrize("stage", ["transcribe", "frames", "features"])
def test_retry_has_a_stage_try_its_failed_videos_alone(tmp_path: Path, stage: str) -> None:
    layout = Layout(tmp_path)
    (tmp_path / "download" / "0000").mkdir(parents=True)
    ledger, table = Path(layout.shard_ledger(stage, "0000")), Path(layout.table(stage, "0000"))
    journal = Path(layout.journal(stage, "0000"))
    schema = None if stage == "frames" else TABLE

    def shard(work: Work) -> list[str]:
        rows, values = process_videos(VIDEOS, work, journal, PROVENANCE, SCHEMA, schema)
        write_table(rows, ledger, PROVENANCE)
        if values is not None:
            write_table(values, table, PROVENANCE)
        subprocess.run(["rm", "-r", journal], check=True)
        return read_table(ledger)["status"].to_pylist()

    with pytest.raises(UserError):
        shard(Work("b", ValueError("odd")))
    assert shard(Work("b", ValueError("odd"))) == ["ok", "failed", "ok", "ok"]
    retry(tmp_path, ["blocked"])
    assert retried(layout, stage, "0000") == "0"
    retry(tmp_path, ["failed"])
    assert retried(layout, stage, "0000") == "1"
    work = Work()
    assert shard(work) == ["ok"] * 4 and work.asked == ["b"]
    if schema:
        assert read_table(table)["value"].to_pylist() == [97, 98, 99, 100]


RESULTS = Path(__file__).parent / "results" / "3" / "results"
KINDS = {".parquet": read_table, ".safetensors": read_provenance, ".json": read_json}


@pytest.mark.parametrize("share", [0, 0.5], ids=["empty", "half"])
@pytest.mark.parametrize("kind", KINDS)
def test_what_a_power_cut_left_of_a_result_is_one_line_with_the_mend(tmp_path: Path, kind: str, share: float) -> None:
    files = [file for file in RESULTS.rglob(f"*{kind}") if not {"logs", "benchmarks"} & {*file.parts}]
    assert len(files) >= 2
    for file in files:
        broken = tmp_path / file.name
        broken.write_bytes(file.read_bytes()[: int(share * file.stat().st_size)])
        with pytest.raises(
            UserError, match=rf"^{re.escape(str(broken))} is not a readable .*; delete it and run"
        ) as caught:
            KINDS[kind](broken)
        assert "\n" not in str(caught.value)


def test_a_file_that_may_not_be_read_is_one_line_of_a_command(tmp_path: Path) -> None:
    program = (
        "import sys; import videobert.__main__ as command\n"
        "def denied(*_): raise PermissionError(13, 'Permission denied', 'a.safetensors')\n"
        "command.function = lambda name: denied\n"
        "import videobert.cli; videobert.cli.run = denied\n"
        "command.main(['corpus'])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stderr.strip() == "videobert corpus: a.safetensors may not be read or written: correct its permissions"
