"""The pipeline as a user meets it: what reruns after a change, what survives a kill, what a broken video costs.

All of it runs Snakemake for real, on the small project of conftest.py.
"""

import hashlib
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pyarrow.parquet as pq
import pytest
import yaml
from conftest import ROOT, command, configure, copy, environment, jobs, project, snakemake

from videobert.cli import parts
from videobert.data.provenance import read_table
from videobert.data.schemas import LEDGER, names
from videobert.evaluation.task import EvaluateExecution
from videobert.layout import SHARDED
from videobert.pipeline import function

STAGES = ["corpus", "download", "transcribe", "frames", "features", "codebook", "vocabulary", "tokens"]
TASKS = ["objectives", "zero_shot", "probe", "retrieval", "captioning", "forecasting", "scaling"]
STAGES += ["pretrain", *TASKS, "evaluate", "report"]
MEASURED = " ".join(TASKS)
# What lies below each stage, itself included.
BELOW = {
    "corpus": " ".join(STAGES),  # of download to features just the ledgers are gathered again
    "download": f"download transcribe frames features codebook vocabulary tokens pretrain {MEASURED} evaluate report",
    "transcribe": f"transcribe vocabulary tokens pretrain {MEASURED} evaluate report",
    "frames": f"frames features codebook tokens pretrain {MEASURED} evaluate report",
    "features": f"features codebook tokens pretrain {MEASURED} evaluate report",
    "codebook": f"codebook tokens pretrain {MEASURED} evaluate report",
    "vocabulary": f"vocabulary tokens pretrain {MEASURED} evaluate report",
    "tokens": f"tokens pretrain {MEASURED} evaluate report",
    "pretrain": f"pretrain {MEASURED} evaluate report",
    "objectives": "objectives evaluate report",
    "zero_shot": "zero_shot scaling evaluate report",  # scaling asks in its first wording
    "probe": "probe zero_shot evaluate report",  # zero_shot has its supervised row
    "forecasting": "forecasting evaluate report",
    "scaling": "scaling evaluate report",
    "captioning": "captioning evaluate report",
    "retrieval": "retrieval evaluate report",
    "evaluate": f"{MEASURED} evaluate report",
    "report": "report",
}
CHANGES = [
    ("corpus", "test_fraction", 0.3),
    ("download", "format", "best"),
    ("transcribe", "engine", "captions"),
    ("frames", "fps", 10),
    ("features", "clip_frames", 20),
    ("codebook", "branching", 3),
    ("vocabulary", "size", 250),
    ("tokens", "segment_length", 8),
    ("pretrain", "max_steps", 70),
    ("objectives", "mask_probability", 0.2),
    ("captioning", "num_beams", 2),
    ("retrieval", "candidates", 20),
    ("zero_shot", "templates", ["just [MASK] the [MASK]"]),
    ("probe", "folds", 3),
    ("forecasting", "horizon", 2),
    ("scaling", "seeds", [1]),
    ("pretrain", "share", 0.5),
    ("evaluate", "seed", 1),
    ("report", "words", 5),
    ("download", "sleep_interval", 1),
    ("features", "batch_size", 2),
    ("pretrain", "save_steps", 20),
    ("evaluate", "batch_size", 32),
]


def stages(rules: dict[str, int]) -> set[str]:
    return {re.sub("_(shard|ledger|pretrain)$", "", rule) for rule in rules}


def artefacts(folder: Path) -> dict[str, str]:
    """Hash of every artefact. Logs, timings, what shows timings, the event files of TensorBoard, and the plan that a run hands to
    its jobs and the next one may differ."""
    results = folder / "results"
    aside = ("logs", "benchmarks", "progress", "report", "pretrain/runs", "scaling/0.5-0/runs", ".lock", "corpus/.plan")
    return {
        str(path.relative_to(results)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(results.rglob("*"))
        if path.is_file() and not str(path.relative_to(results)).startswith(aside)
    }


# --- what reruns ---


def test_a_second_run_does_nothing(finished):
    said = snakemake(finished, "-n", "report")
    assert jobs(said.stdout) == {} and "Nothing to be done" in said.stdout


@pytest.mark.parametrize(("section", "key", "value"), CHANGES, ids=lambda value: str(value)[:20])
def test_a_change_reruns_its_stage_and_those_below(finished, tmp_path, section, key, value, planned):
    rules = planned(finished, "report", "--configfile", overlay(tmp_path, section, key, value))
    class_ = parts(function(section)).get("execution") if section != "evaluate" else EvaluateExecution
    executed = class_ is not None and key in class_.model_fields  # how a stage is executed is no part of what it makes
    assert stages(rules) == (set() if executed else set(BELOW[section].split()))
    if section == "corpus":
        assert not {"download_shard", "transcribe_shard", "frames_shard", "features_shard"} & set(rules)


def overlay(tmp_path: Path, section: str, key: str, value: object) -> str:
    path = tmp_path / "overlay.yaml"
    path.write_text(yaml.safe_dump({section: {key: value}}), encoding="utf-8")
    return str(path)


def test_another_shard_size_makes_everything_anew(finished, tmp_path, planned):
    rules = planned(finished, "report", "--configfile", overlay(tmp_path, "corpus", "shard_size", 4))
    assert stages(rules) == set(STAGES)
    assert rules["download_shard"] == 3


def test_another_results_folder_stands_beside(finished, tmp_path, planned):
    (tmp_path / "x.yaml").write_text("results: results/other\n", encoding="utf-8")
    assert stages(planned(finished, "report", "--configfile", tmp_path / "x.yaml")) == set(STAGES)
    assert planned(finished, "report") == {}


def test_appended_videos_leave_finished_shards_alone(finished, tmp_path, planned):
    folder = copy(finished, tmp_path / "project")
    with open(folder / "videos.tsv", "a", encoding="utf-8") as videos:
        videos.write("files/later.mp4\ttrain\n")
    rules = planned(folder, "report")
    sharded = ["download_shard", "transcribe_shard", "frames_shard", "features_shard"]
    assert {rule: rules[rule] for rule in sharded} == dict.fromkeys(sharded, 1)
    before = artefacts(folder)
    snakemake(folder, "features", "transcribe")
    after = artefacts(folder)
    old = [name for name in before if re.search(r"(download|transcribe|frames|features)/.*000[01]", name)]
    assert old
    assert all(before[name] == after[name] for name in old)
    assert read_table(folder / "results/features/0002.parquet")["video_id"].unique().to_pylist() == ["later"]


def test_a_list_that_is_written_again_with_the_same_rows_reruns_nothing(finished, tmp_path, planned):
    folder = copy(finished, tmp_path / "project")
    (folder / "videos.tsv").write_text(
        (folder / "videos.tsv").read_text(encoding="utf-8") + "\n", encoding="utf-8"
    )  # the rows count, not the bytes
    assert planned(folder, "report") == {}


def listed(folder: Path, column: str, value: str) -> None:
    """Gives the list a column more, the same value in each row."""
    header, *rows = (folder / "videos.tsv").read_text(encoding="utf-8").splitlines()
    lines = [f"{header}\t{column}", *(f"{row}\t{value}{number}" for number, row in enumerate(rows))]
    (folder / "videos.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.mark.parametrize("column", ["title", "license", "id"])
def test_what_the_list_says_besides_reruns_what_shows_it_and_no_more(finished, tmp_path, planned, column):
    folder = copy(finished, tmp_path / "project")
    listed(folder, column, "new ")
    ledgers = dict.fromkeys(["corpus_ledger", *(f"{stage}_ledger" for stage in SHARDED)], 1)
    assert planned(folder, "report") == {**ledgers, "evaluate": 1, "report": 1}


def test_a_license_that_is_not_wanted_reruns_the_download_of_its_shard(finished, tmp_path, planned):
    folder = copy(finished, tmp_path / "project")
    configure(folder, download={"license": "new"})
    before = planned(folder, "report")
    listed(folder, "license", "other ")
    assert before["download_shard"] == planned(folder, "report")["download_shard"] == 2


def test_captions_that_change_are_read_again_and_nothing_else_is(finished, tmp_path, planned):
    folder = copy(finished, tmp_path / "project")
    (folder / "a.vtt").write_text("WEBVTT\n\n00:01.000 --> 00:02.000\nSlice the onion.\n", encoding="utf-8")
    rows = (folder / "videos.tsv").read_text(encoding="utf-8").splitlines()
    lines = [f"{rows[0]}\tcaptions", f"{rows[1]}\ta.vtt", *rows[2:]]
    (folder / "videos.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert planned(folder, "transcribe") == {}  # Whisper reads no captions
    configure(folder, transcribe={"engine": "captions"})
    snakemake(folder, "transcribe")
    (folder / "a.vtt").write_text("WEBVTT\n\n00:01.000 --> 00:02.000\nSlice the lemon.\n", encoding="utf-8")
    assert planned(folder, "transcribe", "features") == {"transcribe_shard": 1, "transcribe_ledger": 1, "transcribe": 1}


def test_a_project_that_was_copied_with_other_times_reruns_nothing(finished, tmp_path, planned):
    folder = copy(finished, tmp_path / "project")
    for file in (folder / "files").iterdir():
        os.utime(file, (1_000_000_000, 1_000_000_000))
    assert planned(folder, "report") == {}


def test_a_disk_that_is_away_stops_the_run_and_nothing_is_lost(finished, tmp_path, planned):
    folder = copy(finished, tmp_path / "project")
    (folder / "files").rename(folder / "away")
    said = snakemake(folder, "-n", "report", check=False)
    away = r"^\d+ of \d+ local files that were there are not there now, all in .*project/files \("
    assert said.returncode != 0 and re.search(away, said.stderr, re.MULTILINE)
    (folder / "away").rename(folder / "files")
    assert planned(folder, "report") == {}


def test_an_excluded_video_reruns_from_tokens_down_and_is_gone(finished, tmp_path, planned):
    folder = copy(finished, tmp_path / "project")
    (folder / "exclude.txt").write_text("kitchen-1  # asked to be taken out\n", encoding="utf-8")
    configure(folder, tokens={"exclude": "exclude.txt"})
    assert stages(planned(folder, "report")) == {"corpus_ids", *BELOW["tokens"].split()}
    snakemake(folder, "tokens")
    for shard in ("0000", "0001"):
        assert "kitchen-1" not in read_table(folder / f"results/tokens/{shard}.parquet")["video_id"].to_pylist()
    fates = {row["video_id"]: row["status"] for row in read_table(folder / "results/ledger/tokens.parquet").to_pylist()}
    assert fates["kitchen-1"] == "excluded"
    assert fates["kitchen-0"] == "ok"


@pytest.mark.parametrize(
    "file",
    [
        "codebook/centroids.safetensors",
        "tokens/0000.parquet",
    ],
)
def test_a_deleted_file_comes_back_the_same_and_no_more_is_made(finished, tmp_path, file, planned):
    folder = copy(finished, tmp_path / "project")
    (folder / "results" / file).unlink()
    stage = file.split("/")[0]
    rules = planned(folder, stage)
    assert stages(rules) == {stage}
    assert rules.get(f"{stage}_shard", 1) == 1
    snakemake(folder, stage)
    assert artefacts(folder) == artefacts(finished)
    assert planned(folder, "pretrain") == {}  # what comes out the same makes nothing below it stale


def test_every_stage_is_a_target(finished, planned):
    assert planned(finished, *STAGES) == {}


@pytest.mark.slow
def test_the_papers_configuration_is_planned(tmp_path, planned):
    (tmp_path / "videos.tsv").write_text("source\nhttps://example.com/1\nhttps://example.com/2\n", encoding="utf-8")
    own = tmp_path / "own.yaml"
    own.write_text(yaml.safe_dump({"corpus": {"videos": str(tmp_path / "videos.tsv")}}), encoding="utf-8")
    rules = planned(ROOT, "--configfile", ROOT / "config/paper.yaml", own)
    assert stages(rules) - {"all"} == set(STAGES) - {"scaling"}


def test_scaling_trains_a_model_of_each_share_and_seed_but_the_main_one_once(finished, tmp_path, planned):
    path = tmp_path / "overlay.yaml"
    path.write_text(yaml.safe_dump({"scaling": {"shares": [0.25, 0.5, 1], "seeds": [0, 7]}}), encoding="utf-8")
    rules = planned(finished, "scaling", "--configfile", path)
    assert rules == {"scaling_pretrain": 4, "scaling": 1}  # 0.5-0 is there
    path.write_text(
        yaml.safe_dump({"scaling": {"shares": [0.25], "seeds": [0, 7]}, "pretrain": {"seed": 7}}), encoding="utf-8"
    )
    assert planned(finished, "scaling", "--configfile", path) == {"scaling_pretrain": 2, "scaling": 1}


def test_scaling_without_annotations_trains_nothing(finished, tmp_path, planned):
    path = tmp_path / "overlay.yaml"
    path.write_text(yaml.safe_dump({"results": "results/other", "evaluate": {"annotations": None}}), encoding="utf-8")
    rules = planned(finished, "scaling", "--configfile", path)
    assert rules["scaling"] == 1 and not {"pretrain", "scaling_pretrain"} & set(rules)


def test_scaling_is_not_measured_unasked(tmp_path, files, planned):
    folder = project(tmp_path / "project", files)
    tasks = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))["evaluate"]["tasks"]
    configure(folder, evaluate={"tasks": tasks})
    assert not {"scaling", "scaling_pretrain"} & set(planned(folder, "report"))


# --- kills ---

# Where a kill finds a different state, in order: files and a journal of the videos done, a table's rows in the journal,
# a file that is written at once, checkpoints. The other stages work as one of these does (`process_videos`
# and `atomic`). The pattern is of what the job must have written more of than lay there.
POINTS = {
    "download": "download/0000/.journal/*.json",
    "features": "features/.journal/0000/*.json",
    "corpus": None,
    "pretrain": "pretrain/checkpoints/checkpoint-*/whole",
}


SIGNALS = {"snakemake": signal.SIGKILL, "snakemake alone, as by Ctrl-C": signal.SIGINT}


def killed(folder: Path, stage: str, what: str) -> None:
    """Starts the workflow up to `stage` and kills the job of that stage, or Snakemake itself, while the job works."""
    before = written(folder, stage)
    process = subprocess.Popen(
        command(folder, stage), env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        job = _job(process, stage)
        _progress(folder, stage, job, before)
        job.kill() if what == "job" else process.send_signal(SIGNALS[what])
        process.wait(600)
    finally:
        process.kill()
    assert process.returncode != 0, f"{stage} was done before it could be killed"
    if what != "job":
        job.wait(300)


def written(folder: Path, stage: str) -> set[Path]:
    return set((folder / "results").glob(POINTS[stage])) if POINTS[stage] else set()


def _job(process: subprocess.Popen, stage: str) -> psutil.Process:
    """The process that does the stage's work; of shards the first, which has the most to do."""
    while process.poll() is None:
        for child in psutil.Process(process.pid).children(recursive=True):
            try:
                line = child.cmdline()
            except psutil.Error:
                continue
            first = any(word == "0000" or word.endswith(("=0000", "/0000.parquet")) for word in line)
            if line[1:4] == ["-m", "videobert", stage] and (first or stage not in ("download", "features")):
                return child
        time.sleep(0.005)
    raise AssertionError(f"{stage} did not start")


def _progress(folder: Path, stage: str, job: psutil.Process, before: set[Path]) -> None:
    """Waits until the job has written something (one more video, one more checkpoint)."""
    if POINTS[stage] is None:
        return time.sleep(0.1)
    while job.is_running() and job.status() != psutil.STATUS_ZOMBIE and not written(folder, stage) - before:
        time.sleep(0.005)
    return None


def test_a_killed_download_is_finished_by_the_same_command_with_the_same_bytes(finished, tmp_path):
    """Job and Snakemake, in the first shard. Also shows that two runs in two folders give the same bytes."""
    folder = copy(finished, tmp_path / "project")
    shutil.rmtree(folder / "results/download/0000")
    (folder / "results/ledger/download.parquet").unlink()  # or nobody would miss the shard
    for what in ("job", "snakemake"):
        killed(folder, "download", what)
        # No orphan goes on writing: this job had a video to render yet, some seconds, and looks every second.
        assert not (folder / "results/download/0000/ledger.parquet").exists()
    snakemake(folder, "download")
    assert same_as(finished, folder, "download")
    assert not list((folder / "results").rglob(".journal/*.json"))


def test_stages_killed_at_each_other_point_are_finished_with_the_same_bytes(finished, tmp_path, planned):
    """Snakemake, in a project whose videos are there. (A training that is killed: test_pretrain.py.)"""
    folder = copy(finished, tmp_path / "project")
    (folder / "results/features/0000.parquet").unlink()
    assert planned(folder, "features") == {"features_shard": 1, "features_ledger": 1, "features": 1}
    shutil.rmtree(folder / "results/pretrain")
    for stage, what in [("features", "snakemake"), ("pretrain", "snakemake alone, as by Ctrl-C")]:
        killed(folder, stage, what)
    # Snakemake would have waited for the training, and thrown away what it made.
    assert not (folder / "results/pretrain/model.safetensors").exists() and written(folder, "pretrain")
    snakemake(folder, "pretrain")
    assert same_as(finished, folder, "features", "pretrain")
    assert planned(folder, "pretrain") == {}
    assert not list((folder / "results").rglob(".journal/*/*.json"))


def same_as(finished: Path, folder: Path, *stages_: str) -> bool:
    """Whether all that these stages wrote is the same to the byte; the card and what tasks fit to the model are not theirs."""
    one, other = (
        {
            name: hash_
            for name, hash_ in artefacts(project_).items()
            if name.startswith(stages_) and not re.search("README|pretrain/(retrieval|captioning)", name)
        }
        for project_ in (finished, folder)
    )
    return one == other and bool(one)


def test_killed_in_the_middle_of_the_corpus_ids_and_shards_stay(finished, tmp_path):
    """The register is all that knows them: a new video on top of the list would take the first shard."""
    folder = copy(finished, tmp_path / "project")
    before = placed(folder)
    head, *rows = (folder / "videos.tsv").read_text(encoding="utf-8").splitlines()
    (folder / "videos.tsv").write_text("\n".join([head, "files/later.mp4\ttrain", *rows]) + "\n", encoding="utf-8")
    killed(folder, "corpus", "job")
    snakemake(folder, "corpus")
    after = placed(folder)
    assert after.pop("later") == "0002" and after == before


def placed(folder: Path) -> dict[str, str]:
    rows = read_table(folder / "results/corpus/manifest.parquet").to_pylist()
    return {row["video_id"]: row["shard"] for row in rows}


def test_two_workflows_in_one_results_folder_do_not_mix(finished, tmp_path):
    from videobert.process import acquire_lock

    folder = copy(finished, tmp_path / "project")
    (folder / "results/report/index.html").unlink()
    with acquire_lock(folder / "results/.lock"):
        said = snakemake(folder, "report", check=False)
    assert said.returncode != 0
    assert f"another run works in results (process {os.getpid()} on " in said.stderr and ", since " in said.stderr
    assert not (folder / "results/report/index.html").exists()


def test_two_results_folders_are_worked_in_side_by_side_and_the_second_shares_what_is_the_same(
    finished, tmp_path, planned
):
    """While another run holds `results`, a second one takes the stages above the codebook from there, and writes nothing."""
    from videobert.process import acquire_lock

    folder = copy(finished, tmp_path / "project")
    changes = {"results": "results2", "upstream": "results", "codebook": {"branching": 3}}
    (tmp_path / "second.yaml").write_text(yaml.safe_dump(changes), encoding="utf-8")
    rules = planned(folder, "report", "--configfile", tmp_path / "second.yaml")
    again = dict.fromkeys(
        ["corpus_ledger", "codebook", "tokens_ledger", "pretrain", "scaling_pretrain", *TASKS, "evaluate", "report"], 1
    )
    assert rules == {**again, "tokens_shard": 2}
    before = artefacts(folder)
    with acquire_lock(folder / "results/.lock"):
        said = snakemake(folder, "tokens", "--configfile", str(tmp_path / "second.yaml"))
    assert "features: taken from results" in said.stderr
    assert "codebook: made in results2: branching differs: 4 there, 3 here" in said.stderr
    assert artefacts(folder) == before
    made = {
        path.relative_to(folder / "results2").parts[0] for path in (folder / "results2").rglob("*") if path.is_file()
    }
    assert made <= {"corpus", "codebook", "tokens", "ledger", "logs", "benchmarks", "progress", ".lock"}
    assert (
        read_table(folder / "results2/tokens/0000.parquet")["video_ids"].combine_chunks().flatten().to_numpy().max() < 9
    )


@pytest.mark.parametrize(
    ("section", "key"),
    [("tokens", "exclude"), ("evaluate", "annotations"), ("features", "weights")],
)
def test_a_mistyped_path_stops_the_run_where_results_are_there(finished, tmp_path, section, key):
    """Snakemake alone says "Nothing to be done": a takedown list that it does not find would take nothing down."""
    folder = copy(finished, tmp_path / "project")
    configure(folder, **{section: {key: "nofile.tsv"}})
    said = snakemake(folder, "-n", "report", check=False)
    assert said.returncode != 0
    assert f"config: {section}.{key}: nofile.tsv does not exist; correct the path, or take it out" in said.stderr


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"upstream": "nowhere"}, "upstream: nowhere is no finished run"),
        ({"upstream": "results"}, "upstream and results are the same folder"),
    ],
)
def test_an_upstream_that_cannot_be_is_one_line(finished, tmp_path, changes, message):
    (tmp_path / "second.yaml").write_text(yaml.safe_dump(changes), encoding="utf-8")
    said = snakemake(finished, "-n", "report", "--configfile", str(tmp_path / "second.yaml"), check=False)
    assert said.returncode != 0 and message in said.stderr and "Traceback" not in said.stderr


# --- bad input ---


def test_the_ledgers_are_one_table(finished):
    table = pq.read_table(finished / "results" / "ledger")
    assert table.column_names == [*names(LEDGER)]
    rows = table.to_pylist()
    assert {row["stage"] for row in rows} == {"corpus", *SHARDED}
    by_video = [row for row in rows if row["video_id"] == "kitchen-0"]
    assert len(by_video) == 6 and {row["source"] for row in by_video} == {"kitchen:0"}
    assert all(row["title"] for row in by_video if row["stage"] != "corpus")  # the list gives none, the kitchen does


def test_a_broken_video_is_a_row_in_the_ledger_and_the_others_are_there(finished):
    def fates(stage: str) -> dict[str, tuple[str, str]]:
        rows = read_table(finished / f"results/ledger/{stage}.parquet").to_pylist()
        return {row["video_id"]: (row["status"], row["reason"]) for row in rows}

    download = fates("download")
    assert download["missing"][0] == "gone"
    assert download["empty"][0] == download["text"][0] == "unusable"
    assert all(reason for status, reason in download.values() if status != "ok")
    assert fates("transcribe")["mute"][0] == "no_audio"
    assert fates("transcribe")["cut"][0] == "no_speech"
    features = read_table(finished / "results/features/0000.parquet")["video_id"].unique().to_pylist()
    assert {"kitchen-0", "kitchen-4", "cut", "mute"} <= set(features)
    tokens = read_table(finished / "results/tokens/0000.parquet", ["video_id", "kind"]).to_pylist()
    assert {row["kind"] for row in tokens if row["video_id"] == "mute"} == {"video"}


@pytest.mark.parametrize(
    ("sections", "stage", "message"),
    [
        ({"frames": {"fps": 0}}, "report", "frames.fps is 0, but must be at least 1"),
        ({"corpus": {"videos": "nowhere.tsv"}}, "report", "nowhere.tsv does not exist"),
        ({"codebook": {"branching": 12, "depth": 4}}, "codebook", "20736 words"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing_half_written(finished, tmp_path, sections, stage, message):
    folder = copy(finished, tmp_path / "project")
    configure(folder, **sections)
    said = snakemake(folder, stage, check=False)
    assert said.returncode != 0
    assert message in said.stdout + said.stderr
    assert "Traceback" not in said.stdout + said.stderr
    assert not list((folder / "results").rglob(".*-*.parquet"))


def test_a_train_split_without_speech_is_said_plainly(finished, tmp_path):
    folder = copy(finished, tmp_path / "project")
    lines = (folder / "videos.tsv").read_text(encoding="utf-8").splitlines()
    silent = ("files/cut.mp4", "files/mute.mp4")
    moved = [line.split("\t")[0] + ("\ttrain" if line.startswith(silent) else "\ttest") for line in lines[1:]]
    (folder / "videos.tsv").write_text("\n".join([lines[0], *moved]) + "\n", encoding="utf-8")
    said = snakemake(folder, "vocabulary", check=False)
    assert said.returncode != 0
    assert "no speech in the" in said.stdout + said.stderr
    assert "vocabulary.tokenizer" in said.stdout + said.stderr
