"""What is known before the first job is said before the first job."""

import json
from pathlib import Path

import pyarrow as pa
import pytest
from hostile_web import write_video

from videobert.config import check
from videobert.data.manifest import Planned, local_path, read_list
from videobert.data.plan import Plan
from videobert.data.provenance import write_json, write_table
from videobert.errors import UserError
from videobert.layout import Layout
from videobert.media.probing import total_duration
from videobert.preflight import Preflight
from videobert.weights import needed, weights


def row(video_id: str, source: str, split: str = "train", listed_id: str = "") -> dict[str, str]:
    return {"video_id": video_id, "source": source, "split": split, "shard": "0000", "listed_id": listed_id}


ROWS = [
    row("a", "https://example.com/a.mp4", listed_id="a!"),
    row("b", "https://example.com/b.mp4", "test"),
]


@pytest.fixture
def small_video(tmp_path: Path) -> Path:
    return write_video(tmp_path / "six.mp4", seconds=6)


def preflight(tmp_path: Path, rows: list[dict[str, str]] = ROWS, **sections: dict) -> Preflight:
    return Preflight(check(sections), Plan(lambda: Planned(rows, [])), Layout(tmp_path / "results"))


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ("video_id\tstart\tend\tverb\n", "has no column named object"),
        ("video_id\tstart\tend\tverb\tobject\nc\t0\t1\tcut\tegg\n", "names no video of the list"),
        ("video_id\tstart\tend\tverb\tobject\na\t0\t1\tcut\tegg\n", "has no step of a test video"),
        ("video_id\tstart\tend\tverb\tobject\na\tzero\t1\tcut\tegg\n", "zero"),
    ],
)
def test_annotations_that_cannot_be_used_stop_the_plan(tmp_path, steps, message):
    table = tmp_path / "steps.tsv"
    table.write_text(steps, encoding="utf-8")
    with pytest.raises(UserError, match=message):
        preflight(tmp_path, evaluate={"annotations": str(table)}).check("zero_shot")


def test_annotations_that_name_videos_by_the_lists_ids_are_fine(tmp_path, capsys):
    table = tmp_path / "steps.tsv"
    steps = ["video_id\tstart\tend\tverb\tobject", "a!\t0\t1\tcut\tegg", "b\t0\t1\tcut\tegg", "c\t0\t1\tcut\tegg"]
    table.write_text("\n".join(steps) + "\n", encoding="utf-8")
    checks = preflight(tmp_path, evaluate={"annotations": str(table), "tasks": ["zero_shot", "captioning"]})
    for stage in ("objectives", "zero_shot", "captioning"):
        checks.check(stage)
    said = capsys.readouterr().err
    assert said.count("1 of 3 steps name no video of the list") == 1
    assert said.count("has no column sentence, so captioning is not measured") == 1


def test_habits_of_a_first_list_and_configuration_are_met(tmp_path, monkeypatch):
    with pytest.raises(UserError, match=r"corpus\.model is not a key of section corpus; model is a key of transcribe"):
        check({"corpus": {"model": "tiny.en"}})
    monkeypatch.setenv("HOME", str(tmp_path))
    assert local_path("~/clips/a.mp4") == tmp_path / "clips" / "a.mp4" and local_path("a~/b.mp4") == Path("a~/b.mp4")
    table = tmp_path / "videos.tsv"
    table.write_text("source title\na.mp4 An egg\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"no column named source \(separate the columns by tabs\)"):
        read_list(table)


def test_a_task_without_test_videos_and_a_codebook_without_train_videos_stop_the_plan(tmp_path):
    with pytest.raises(UserError, match="no video is in the split test"):
        preflight(tmp_path, ROWS[:1]).check("probe")
    with pytest.raises(UserError, match="its only video is in the split test"):
        preflight(tmp_path, ROWS[1:]).check("codebook")
    preflight(tmp_path, ROWS[:1]).check("pretrain")


@pytest.mark.parametrize("engine", ["faster-whisper"])
def test_a_whisper_that_nobody_knows_stops_the_plan(tmp_path, engine):
    checks = preflight(tmp_path, transcribe={"engine": engine, "model": "tiny.english"})
    with pytest.raises(UserError, match=r"'tiny\.english' is neither a path nor a size; the sizes are .*tiny"):
        checks.check("transcribe")
    preflight(tmp_path, transcribe={"engine": engine, "model": str(tmp_path)}).check("transcribe")
    preflight(tmp_path, transcribe={"engine": "captions", "model": "tiny.english"}).check("transcribe")


# --- the size of the codebook ---


def test_a_codebook_too_large_for_the_kitchen_videos_of_the_list_stops_the_plan(tmp_path):
    rows = [row("k", "kitchen:1"), row("l", "kitchen:2", "test")]
    with pytest.raises(UserError, match=r"= 144 words but only \d\d train clips: set codebook.branching: "):
        preflight(tmp_path, rows, codebook={"branching": 12, "depth": 2}).check("codebook")
    preflight(tmp_path, rows, codebook={"branching": 4, "depth": 2}).check("codebook")


def test_local_files_are_asked_for_their_length(tmp_path, small_video):
    rows = [row("k", str(small_video)), row("l", "kitchen:2", "test")]
    with pytest.raises(UserError, match=r"= 144 words but only \d train clips"):
        preflight(tmp_path, rows, codebook={"branching": 12, "depth": 2}).check("codebook")
    preflight(tmp_path, rows, codebook={"branching": 2, "depth": 1}).check("codebook")
    many = [
        small_video,
        *[tmp_path / f"{'x' * 200}{number}.mp4" for number in range(2000)],
    ]  # more than a command takes
    assert total_duration(many, 100.0) == pytest.approx(6, abs=0.2)
    assert total_duration([tmp_path / "none.mp4", small_video, small_video], 1.0) == pytest.approx(6, abs=0.2)
    assert total_duration([small_video, small_video], 100.0) == pytest.approx(12, abs=0.4)


def test_what_only_the_download_will_tell_stops_nothing(tmp_path):
    checks = preflight(tmp_path, [*ROWS, row("k", "kitchen:1")], codebook={"branching": 12, "depth": 4})
    checks.check("codebook")
    # After the download their lengths are known.
    ledger = Path(checks.layout.shard_ledger("download", "0000"))
    lengths = pa.table({"video_id": ["a", "b", "c"], "status": ["ok", "ok", "gone"], "duration": [45.0, 90.0, None]})
    write_table(lengths, ledger, {})
    rows = [*ROWS, row("c", "https://example.com/c.mp4")]
    again = preflight(tmp_path, rows, codebook={"branching": 12, "depth": 2})
    with pytest.raises(UserError, match="= 144 words but only 30 train clips"):
        again.check("codebook")
    # A codebook that is there has shown that it fits.
    made = {"stage": "codebook", "settings": {"branching": 12, "depth": 2}}
    write_json({}, Path(again.layout.statistics), made)
    preflight(tmp_path, ROWS, codebook={"branching": 12, "depth": 2}).check("codebook")


# --- weights ---


def test_a_run_hands_its_configuration_on_before_the_first_job(tmp_path, capfd):
    broken = tmp_path / "none.safetensors"
    broken.write_bytes(b"none")
    checks = preflight(tmp_path, features={"weights": str(broken)}, pretrain={"learning_rate": 5e-5})
    with pytest.raises(UserError, match="nothing was run"):
        checks.start({"features"}, runs_here=True)
    assert f"{broken} is not a readable state dict" in capfd.readouterr().err


def test_what_came_with_the_packages_needs_no_fetching():
    kitchen = {
        "transcribe": {"model": "tiny.en"},
        "features": {"weights": "kitchen"},
        "vocabulary": {"tokenizer": None},
        "pretrain": {"initial_model": None},
    }
    stages = ["transcribe", "features", "vocabulary", "pretrain", "zero_shot", "report"]
    assert needed(check(kitchen), stages) == []
    real = {"transcribe": {"model": "small.en"}, "features": {"weights": "kinetics400"}}
    bert = {"pretrain": {"initial_model": "bert-base-uncased"}, "zero_shot": {"text_model": "bert-base-uncased"}}
    assert [one.setting for one in needed(check(real | bert), stages)] == [
        "transcribe.model",
        "features.weights",
        "vocabulary.tokenizer",
        "pretrain.initial_model",
        "zero_shot.text_model",
    ]
    assert [one.name for one in needed(check(real | bert), ["features"])] == ["kinetics400"]


def test_all_brokenthat_cannot_be_had_are_named_at_once(tmp_path):
    broken = tmp_path / "s3d.safetensors"
    broken.write_bytes(b"none")
    (tmp_path / "bert").mkdir()
    config = tmp_path / "config.yaml"
    lines = [
        f"features: {{weights: {broken}}}",
        f"vocabulary: {{tokenizer: {tmp_path / 'bert'}}}",
        f"pretrain: {{initial_model: {tmp_path / 'bert'}}}",
        "transcribe: {engine: captions}",
    ]
    config.write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(UserError) as error:
        weights([config])
    named = [line.split(" ")[0] for line in str(error.value).split("\n")]
    assert len(named) == 3 and str(broken) in named[0]
    assert [name.rstrip(":") for name in named[1:]] == ["vocabulary.tokenizer", "pretrain.initial_model"]


def test_the_configuration_of_a_run_is_handed_on_whole(tmp_path):
    """As JSON, in which Python writes small numbers as YAML would not read them."""
    config = check({"pretrain": {"learning_rate": 5e-5, "initial_model": None}, "vocabulary": {"tokenizer": None}})
    kitchen = config.model_dump() | {"features": {"weights": "kitchen"}, "transcribe": {"model": "tiny.en"}}
    (tmp_path / "config.json").write_text(json.dumps(kitchen), encoding="utf-8")
    weights([tmp_path / "config.json"])


def test_the_kitchens_s3d_on_real_videos_is_said(tmp_path, capsys):
    mixed = [*ROWS, row("k", "kitchen:1")]
    for rows, said in ((ROWS, "but the videos are not of the built-in corpus"), (mixed, "but 2 of 3 videos are not")):
        checks = preflight(tmp_path, rows, features={"weights": "kitchen"})
        checks.check("features")
        checks.check("features")
        assert capsys.readouterr().err.count(said) == 1
    for rows, name in (([row("k", "kitchen:1")], "kitchen"), (ROWS, "kinetics400")):
        preflight(tmp_path, rows, features={"weights": name}).check("features")
        assert not capsys.readouterr().err
