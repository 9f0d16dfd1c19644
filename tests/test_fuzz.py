"""Mutated files, 39 media, 45 captions, 90 lists, through the real stages.

Each outcome must be a row of a ledger (for a list: rows, or one line to the user); nothing crashes, hangs, or takes more
memory than a bound. The stages run in processes of their own, so that a crash is seen as one. Seeded: a failure comes
again, and says which file it was.
"""

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import yaml
from memory import own_peak
from test_frames import barcode, encode, encoders

from videobert.data.provenance import read_table, write_table
from videobert.errors import UserError

ROOT = Path(__file__).parents[1]
MEDIA, CAPTIONS, LISTS = 39, 45, 90  # three media of each kind
MEGABYTES = 700  # torch and S3D take most of it; a child of a stage takes less
SECONDS = 600  # some 20 s where nothing hangs
TONE = ("-f", "lavfi", "-i", "sine=d=2")
BASES = {
    "mp4": ("-c:v", "libx264", "-c:a", "aac", "-movflags", "+faststart"),
    "hevc.mp4": ("-c:v", "libx265", "-x265-params", "log-level=none", "-c:a", "aac"),
    "mov": ("-c:v", "mjpeg", "-c:a", "pcm_s16le"),
    "fragments.mp4": ("-c:v", "libx264", "-c:a", "aac", "-movflags", "frag_keyframe+empty_moov"),
    "mkv": ("-c:v", "mpeg4", "-c:a", "flac"),
    "webm": ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-c:a", "libopus"),
    "av1.webm": ("-c:v", "libsvtav1", "-preset", "12", "-c:a", "libopus"),
    "avi": ("-c:v", "mpeg4", "-c:a", "libmp3lame"),
    "ts": ("-c:v", "libx264", "-c:a", "aac"),
    "mpg": ("-c:v", "mpeg2video", "-c:a", "mp2"),
    "flv": ("-c:v", "flv", "-c:a", "libmp3lame", "-ar", "44100"),
    "ogv": ("-c:v", "libtheora", "-c:a", "libvorbis"),
    "wmv": ("-c:v", "wmv2", "-c:a", "wmav2"),
}
VTT = """WEBVTT - a title

STYLE
::cue { color: red }

NOTE a note

one
00:00:00.100 --> 00:00:00.900 align:start
Now <i>slice</i> the onion. &lt;b&gt; [music]

00:00.900 --> 00:01.900
then<00:01.200><c> stir</c> it ♪ la ♪ {\\an8}
"""
SRT = (
    "1\r\n00:00:00,100 --> 00:00:00,900\r\nNow slice the onion.\r\n\r\n2\r\n00:00:01,000 --> 00:00:01,900\r\nStir.\r\n"
)
CAPTION_TRICKS = [
    "<" * 30_000,
    "[" * 30_000,
    "9" * 5_000 + ":00:00.000 --> 00:00:01.000\nhello",
    "00:00:00.000 --> " + "9" * 5_000 + ":00:01.000\nhello",
    "00:00:01.000 --> 00:00:00.000\nbackwards",
    "99:99:99.999 --> 99:99:99.999\nhello",
    "00:00:00.000 --> 00:00:01.000\n" + "word " * 50_000,
    "00:00:00.000 --> 00:00:01.000\n\u202e\u0000\u200f\ud7ff;rm -rf\n" * 500,
    "\n" * 100_000,
    " " * 200_000 + "-->",
]
LIST = "source\tid\tsplit\tcaptions\ttitle\tlicense\nkitchen:1\ta\ttrain\t\tAn onion\tCC0\nhttps://example.org/v?v=1\tb\ttest\t\t\t\n"
LIST += "videos/c.mp4\tc\t\tc.vtt\tSoup\tMIT\nkitchen:2\t\tvalidation\t\t\t\n"
EXTREMES = [0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFFFF00, 0x00FFFFFF, 0x10000]


def mutate(data: bytes, other: bytes, rng: np.random.Generator) -> bytes:
    """One to three random damages; most of them where formats keep their sizes and counts: at the ends."""
    for _ in range(rng.integers(1, 4)):
        size = max(len(data), 1)
        near = min(size, 1500)
        at = int(rng.choice([rng.integers(size), rng.integers(near), size - 1 - rng.integers(near)]))
        length = int(rng.integers(1, max(2, size // 4)))
        match rng.integers(8):
            case 0:  # some bytes
                damaged = bytearray(data)
                for place in rng.integers(max(0, at - 500), min(size, at + 500), rng.integers(1, 30)) if data else ():
                    damaged[place] = rng.integers(256)
                data = bytes(damaged)
            case 1 | 2:  # a size, a count, a time
                number = int(rng.choice(EXTREMES)).to_bytes(4, ["big", "little"][rng.integers(2)])
                data = data[:at] + number + data[at + 4 :]
            case 3:
                data = data[:at]
            case 4:
                data = data[:at] + data[at + length :]
            case 5:
                data = data[:at] + data[at : at + length] * int(rng.integers(2, 5)) + data[at + length :]
            case 6:
                data = data[:at] + rng.bytes(length) + data[at:]
            case 7:
                data = data[:at] + other[len(other) * at // size :]
    return data


def section(stage: str, **changes: Any) -> dict[str, Any]:
    """A stage's settings, as the shipped configuration has them."""
    return yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))[stage] | changes


def twice(stage: Callable[..., None]) -> Callable[..., None]:
    """A stage as its users run it: a video that reaches a bound is tried alone by a second job."""

    def run(*files: Path, **values: Any) -> None:
        try:
            stage(*files, **values)
        except UserError as error:
            if "tries these alone" not in str(error):
                raise
            print(error, file=sys.stderr)
            stage(*files, **values)

    return run


def watch(folder: Path) -> None:
    """All the media through the stages; prints what they took. Runs in a process of its own."""
    import calls

    stages = (calls.download, calls.transcribe, calls.frames, calls.features)
    download, transcribe, frames, features = map(twice, stages)
    media, decoded = folder / "download" / "ledger.parquet", folder / "frames" / "ledger.parquet"
    download(**listed(folder / "media.tsv"), output=media, **section("download"))
    transcribe(media, *tables(folder / "heard"), **section("transcribe", engine="faster-whisper", device="cpu"))
    frames(media, decoded, **section("frames"))
    features(decoded, *tables(folder / "features"), **section("features", device="cpu"))
    say_what_it_took()


def read(folder: Path) -> None:
    """All the captions through their stage; prints what it took. Runs in a process of its own."""
    import calls

    given = listed(folder / "captions.tsv")
    given["id_register"] = given.pop("register")
    settings = section("transcribe", engine="captions", device="cpu")
    twice(calls.transcribe)(folder / "whole.parquet", *tables(folder / "captions"), **given, **settings)
    say_what_it_took()


def listed(videos: Path) -> dict[str, Any]:
    """The arguments that name a list of one shard."""
    register = videos.with_suffix(".register.parquet")
    return {"videos": videos, "register": register, "shard_size": max(MEDIA, CAPTIONS), "shard": "0000"}


def tables(folder: Path) -> tuple[Path, Path]:
    """What a stage writes: a table and a ledger."""
    return folder / "table.parquet", folder / "ledger.parquet"


def say_what_it_took() -> None:
    """In megabytes."""
    took = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024
    print(json.dumps({"own": own_peak(), "children": took}))


@pytest.fixture(scope="module")
def fuzzed(shared) -> tuple[Path, list[dict[str, int]]]:
    """The folder with every ledger, and what each process took."""
    folder = shared("fuzz", fuzz)
    return folder, json.loads((folder / "took.json").read_text(encoding="utf-8"))


def fuzz(folder: Path) -> None:
    (folder / "files").mkdir()
    write_media(folder, np.random.default_rng(1))  # of 0, one says that it lasts six hours: minutes of work
    write_captions(folder, np.random.default_rng(0))
    took = [json.loads(said_by(name, folder).splitlines()[-1]) for name in ("watch", "read")]
    (folder / "took.json").write_text(json.dumps(took), encoding="utf-8")


def write_media(folder: Path, rng: np.random.Generator) -> None:
    """Mutated videos, and their list."""
    pictures = [barcode(i, 96, 128) for i in range(40)]
    bases = {}
    for kind, how in BASES.items():
        if all(f" {name} " in encoders() for word, name in zip(how, how[1:]) if word.startswith("-c:")):
            path = folder / f"base.{kind}"
            encode(path, *how, "-map", "0:v", "-map", "1:a", "-shortest", inputs=TONE, pictures=pictures, fps=20)
            bases[kind] = path.read_bytes()
    kinds = list(bases)
    rows = ["source\tid"]
    for number in range(MEDIA):
        kind = kinds[number % len(kinds)]
        path = folder / "files" / f"m{number:03d}.{kind.split('.')[-1]}"
        path.write_bytes(mutate(bases[kind], bases[kinds[rng.integers(len(kinds))]], rng))
        rows.append(f"{path}\tm{number:03d}")
    (folder / "media.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")


def write_captions(folder: Path, rng: np.random.Generator) -> None:
    """Mutated captions, their list, and a ledger that says that their videos are whole: nothing else is read of these."""
    tricks = [trick.encode(errors="surrogatepass") for trick in CAPTION_TRICKS]
    lines = ["source\tid\tcaptions"]
    for number in range(CAPTIONS):
        path = folder / "files" / f"c{number:03d}.{'srt' if number % 2 else 'vtt'}"
        fresh = mutate([VTT, SRT][number % 2].encode() * int(rng.integers(1, 20)), tricks[number % len(tricks)], rng)
        path.write_bytes(tricks[number] if number < len(tricks) else fresh)
        lines.append(f"kitchen:{number}\tc{number:03d}\t{path}")
    (folder / "captions.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    facts = {"status": "ok", "reason": "", "captions": "", "duration": 2.0}
    rows = [{"video_id": f"c{number:03d}", **facts} for number in range(CAPTIONS)]
    write_table(pa.Table.from_pylist(rows), folder / "whole.parquet", {})


def said_by(name: str, folder: Path) -> str:
    """What a function of this module prints, in a process of its own."""
    program = f"import sys; from pathlib import Path; import test_fuzz; test_fuzz.{name}(Path(sys.argv[1]))"
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", program, folder]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=SECONDS)
    assert done.returncode == 0, f"{name} ended by {done.returncode}:\n{done.stderr[-3000:]}"
    return done.stdout


def ledger(folder: Path, stage: str) -> dict[str, dict[str, Any]]:
    rows = read_table(folder / stage / "ledger.parquet").to_pylist()
    assert len({row["video_id"] for row in rows}) == len(rows)
    return {row["video_id"]: row for row in rows}


def count(rows: dict[str, dict[str, Any]]) -> dict[str, int]:
    found: dict[str, int] = {}
    for row in rows.values():
        found[row["status"]] = found.get(row["status"], 0) + 1
    return found


def test_every_outcome_is_in_the_ledgers(fuzzed):
    stages = ("download", "frames", "heard", "features", "captions")
    downloaded, decoded, heard, seen, read = (ledger(fuzzed[0], stage) for stage in stages)
    assert len(downloaded) == MEDIA and len(read) == CAPTIONS
    here = {name for name, row in downloaded.items() if row["status"] == "ok"}
    assert set(decoded) == set(heard) == here
    assert set(seen) == {name for name, row in decoded.items() if row["status"] == "ok"}
    for rows in (downloaded, decoded, heard, seen, read):
        assert unforeseen(rows) == {}
        for row in rows.values():
            assert row["reason"].isprintable() and (row["status"] == "ok" or row["reason"]), row
    # The mutations do both: some files survive them, and some do not.
    print({"download": count(downloaded), "frames": count(decoded), "captions": count(read)})
    assert count(downloaded)["unusable"] > 6 and count(decoded)["ok"] > 12
    assert 5 < count(read)["ok"] < CAPTIONS - 5


def unforeseen(rows: dict[str, dict[str, Any]]) -> dict[str, str]:
    return {name: row["reason"] for name, row in rows.items() if row["status"] == "failed"}


def test_what_is_said_to_be_there_is_there(fuzzed):
    """Nobody counts on a file of ours that does not decode."""
    from videobert.media.decoding import pictures

    decoded = [row for row in ledger(fuzzed[0], "frames").values() if row["status"] == "ok"]
    for row in decoded:
        assert sum(1 for _ in pictures(fuzzed[0] / "frames" / row["path"])) == row["frames"], row
    assert {path.name for path in (fuzzed[0] / "frames").iterdir()} == {
        "ledger.parquet",
        *(row["path"] for row in decoded),
    }


def test_no_file_takes_much_memory(fuzzed):
    for took in fuzzed[1]:
        assert took["own"] < MEGABYTES and took["children"] < MEGABYTES, took


def lists(folder: Path) -> None:
    """Mutated lists of videos through the stage; prints what became of each. Runs in a process of its own."""
    import pandas as pd
    from calls import corpus

    rng = np.random.default_rng(1)
    pd.read_csv(pd.io.common.StringIO(LIST), sep="\t").to_parquet(folder / "base.parquet")
    parquet, outcomes = (folder / "base.parquet").read_bytes(), []
    for number in range(LISTS):
        suffix = ["tsv", "csv", "parquet"][number % 3]
        base = {"tsv": LIST.encode(), "csv": LIST.replace("\t", ",").encode(), "parquet": parquet}[suffix]
        mutated = mutate(base, parquet if number % 2 else VTT.encode(), rng)
        if suffix != "parquet" and number % 4:  # else nearly all would end at the first byte that is no UTF-8
            mutated = mutated.decode(errors="replace").encode()
        (folder / f"list.{suffix}").write_bytes(mutated)
        outputs = {name: folder / f"{number}-{name}.parquet" for name in ("output", "ledger", "register")}
        begun = time.process_time()
        try:
            corpus(folder / f"list.{suffix}", **outputs, shard_size=2, test_fraction=0.2, seed=0)
            outcome = "rows"
        except UserError as error:
            outcome = f"UserError: {error}"
        except Exception as error:
            outcome = f"unforeseen, list {number}: {type(error).__name__}: {error}"
        outcomes.append((number, outcome, time.process_time() - begun))
    own = own_peak()
    print(json.dumps([own, outcomes]))


def test_lists_of_videos_become_rows_or_one_line(tmp_path):
    own, outcomes = json.loads(said_by("lists", tmp_path).splitlines()[-1])
    assert len(outcomes) == LISTS and own < MEGABYTES and max(seconds for _, _, seconds in outcomes) < 10  # of CPU
    assert [outcome for _, outcome, _ in outcomes if outcome.startswith("unforeseen")] == []
    for number, outcome, _ in outcomes:
        if outcome == "rows":
            rows = read_table(tmp_path / f"{number}-ledger.parquet").to_pylist()
            assert rows and all(row["status"] for row in rows)
        else:
            assert outcome.startswith("UserError: corpus.videos: ") and "\n" not in outcome
    assert 5 < sum(outcome == "rows" for _, outcome, _ in outcomes) < LISTS - 5
