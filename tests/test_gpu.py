"""On a GPU the stages give what they give on a CPU; and the check of a GPU, benchmarks/gpu.py, runs wherever it is.

The tests marked `gpu` need no conftest.py, and skip what packages are missing: benchmarks/gpu.py runs them on machines
that have little more than torch.
"""

import json
import math
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path

import pytest
import torch
from synthetic import world

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "benchmarks"))

import gpu as check  # noqa: E402

SEES_GPU = torch.cuda.is_available()
SETTINGS = {**check.SETTINGS, "dropout": 0.0, "max_steps": 4, "save_steps": 4, "logging_steps": 1}
QUESTIONS = {"batch_size": 32, "seed": 0, "threads": 1}


def on_gpu(test: Callable) -> Callable:
    return pytest.mark.gpu(pytest.mark.skipif(not SEES_GPU, reason="no GPU")(test))


@pytest.fixture
def exact() -> Iterator[None]:
    """Float32 without TF32's rounding."""
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    check.tf32(False)
    yield
    torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return world(tmp_path_factory.mktemp("world"), videos=20, words=66, shards=1)


def trained(paths: dict[str, Path], output: Path, **settings: object) -> Path:
    """The folder of a model by the stage pretrain."""
    for package in ("accelerate", "matplotlib", "tensorboard"):
        pytest.importorskip(package)
    from calls import pretrain

    pretrain(**paths, output=output, **{**SETTINGS, **settings})
    return output


@on_gpu
@pytest.mark.parametrize(("precision", "least"), [("float32", 0.9999), ("bfloat16", 0.98)])
def test_features_are_those_of_the_cpu(precision: str, least: float) -> None:
    from videobert.vision.embedding import embed
    from videobert.vision.s3d import load

    shown = check.clips(6, 30, 128)
    reference, preprocessing, _ = load("kitchen", "cpu")
    expected = embed(reference, shown, preprocessing)
    model, _, _ = load("kitchen", "cuda", precision)
    found = embed(model, shown, preprocessing)
    assert found.is_cuda and found.dtype == torch.float32
    mean = expected.mean(0)
    assert torch.nn.functional.cosine_similarity(found.cpu() - mean, expected - mean).min() > least


@on_gpu
def test_the_stage_pretrain_learns_the_same(exact: None, paths: dict[str, Path], tmp_path: Path) -> None:
    curves = []
    for device in ("cpu", "cuda"):
        folder = trained(paths, tmp_path / device, device=device)
        curves.append(json.loads((folder / "training.json").read_text(encoding="utf-8"))["curve"])
    assert len(curves[0]) == 4
    for one, other in zip(*curves, strict=True):
        assert other == pytest.approx(one, abs=1e-3)


@on_gpu
def test_the_stage_pretrain_in_bfloat16_with_dropout(paths: dict[str, Path], tmp_path: Path) -> None:
    folder = trained(paths, tmp_path / "model", device="cuda", bf16=True, dropout=0.1)
    losses = [point["loss"] for point in json.loads((folder / "training.json").read_text(encoding="utf-8"))["curve"]]
    assert len(losses) == 4 and all(math.isfinite(loss) for loss in losses)


@on_gpu
def test_the_evaluation_gives_the_same_figures(exact: None, paths: dict[str, Path], tmp_path: Path) -> None:
    pytest.importorskip("joblib")
    from calls import objectives, zero_shot

    model = trained(paths, tmp_path / "model", device="cuda", max_steps=60, save_steps=60, logging_steps=20)
    inputs = {"pretrain": model, "tokens": paths["tokens"], "manifest": paths["manifest"], **QUESTIONS}
    figures = []
    for device in ("cpu", "cuda"):
        masked, asked = tmp_path / f"{device}-objectives.json", tmp_path / f"{device}-zero_shot.json"
        objectives(**inputs, output=masked, mask_probability=0.3, device=device)
        zero_shot(
            **inputs,
            features=paths["features"],
            output=asked,
            annotations="kitchen",
            templates=["now let me show you how to [MASK] the [MASK]"],
            text_model=None,
            regularisation=[0.1],
            folds=2,
            device=device,
        )
        predictions = json.loads(asked.read_text(encoding="utf-8"))["predictions"]
        figures.append(
            {
                **{
                    name: row["accuracy"]
                    for name, row in json.loads(masked.read_text(encoding="utf-8"))["masked"].items()
                },
                **{str(place): step["cross_modal"]["verb"][0][1] for place, step in enumerate(predictions)},
            }
        )
    assert figures[1] == pytest.approx(figures[0], abs=0.01)


@on_gpu
def test_captions_are_learnt_and_written(paths: dict[str, Path], tmp_path: Path) -> None:
    pytest.importorskip("pycocoevalcap")
    from calls import captioning

    model = trained(paths, tmp_path / "model", device="cuda", max_length=48)
    captioning(
        pretrain=model,
        tokens=paths["tokens"],
        features=paths["features"],
        manifest=paths["manifest"],
        output=tmp_path / "captioning.json",
        annotations="kitchen",
        template="now let's [MASK] the [MASK] to the [MASK], and then [MASK] the [MASK]",
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=64,
        dropout=0.1,
        max_length=24,
        max_steps=5,
        train_batch_size=8,
        learning_rate=0.001,
        num_beams=2,
        device="cuda",
        **QUESTIONS,
    )
    assert json.loads((tmp_path / "captioning.json").read_text(encoding="utf-8"))["summary"]["captioning"]


@pytest.mark.skipif(SEES_GPU, reason="there is a GPU")
def test_cuda_without_a_gpu_is_refused_in_one_line(paths: dict[str, Path], tmp_path: Path) -> None:
    from calls import features, pretrain

    from videobert.errors import UserError

    calls = [
        lambda: features(tmp_path / "frames", tmp_path / "features", tmp_path / "ledger", device="cuda"),
        lambda: pretrain(**paths, output=tmp_path / "model", **{**SETTINGS, "device": "cuda"}),
    ]
    for call in calls:
        with pytest.raises(UserError, match="no GPU here") as caught:
            call()
        assert "\n" not in str(caught.value)


@pytest.mark.skipif(SEES_GPU, reason="there is a GPU")
def test_an_evaluation_on_cuda_without_a_gpu_is_refused_in_one_line(paths: dict[str, Path], tmp_path: Path) -> None:
    from videobert.errors import UserError
    from videobert.model.predictor import Predictor

    check.new_model({**check.SETTINGS, "words": 300, "visual_words": 66}).save_pretrained(tmp_path)
    (tmp_path / "tokenizer.json").write_bytes((paths["vocabulary"] / "tokenizer.json").read_bytes())
    with pytest.raises(UserError, match="no GPU here"):
        Predictor(tmp_path, 8, "cuda")


# The check ------------------------------------------------------------------------------------------------------------

# How many rows each part has at tiny sizes.
ROWS = {"s3d": 4, "resume": 1, "losses": 3, "evaluation": 2, "pretrain": 5, "tests": 1, "whisper": 1}


def test_the_check_runs_at_tiny_sizes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    file = tmp_path / "new" / "table.md"
    monkeypatch.setattr(sys, "argv", ["gpu.py", "--device", "cpu", "--in-process", "--output", str(file)])
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")  # the check sets it
    code = check.main()
    out, err = capsys.readouterr()
    assert code == 0, err
    text = file.read_text(encoding="utf-8")
    assert text.strip() == out.strip()
    assert "no GPU was used" in text and "the figures tell nothing" in text and f"torch {version('torch')}" in text
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")][2:]
    assert {part: sum(row[0] == part for row in rows) for part in check.PARTS} == ROWS
    assert [row for row in rows if row[3] != "ok" or not row[2]] == []
    assert "skipped: no GPU" in text


def test_what_goes_wrong_becomes_a_row_and_the_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def part(setup: check.Setup) -> Iterator[check.Measurement]:
        yield "gone", lambda: check.need(no_such_package="a reason") or ""
        yield "bad", lambda: [][0]
        yield "good", lambda: "1"
        import videobert.no_such_module  # noqa: F401

    monkeypatch.setitem(check.PARTS, "part", (part, 60))
    rows = list(check.rows_of("part", check.Setup("cpu", True, "tiny.en")))
    assert [(row["what"], row["state"]) for row in rows] == [
        ("gone", "missing"),
        ("bad", "failed"),
        ("good", "ok"),
        ("setting up", "failed"),
    ]
    assert rows[0]["result"] == "missing: no_such_package (a reason)"
    assert rows[1]["result"] == "IndexError: list index out of range"


def test_a_part_that_takes_too_long_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    assert sum(seconds for _, seconds in check.PARTS.values()) < 480
    monkeypatch.setitem(check.PARTS, "losses", (check.losses, 0.05))
    (row,) = check.apart_rows("losses", check.Setup("cpu", True, "tiny.en"))
    assert row["state"] == "failed" and row["result"] == "stopped after its 0.05 s"
