"""Features: the right clips at the right times, what the network sees, and the notes that later stages rely on."""

from pathlib import Path

import av
import numpy as np
import pyarrow as pa
import pytest
import torch
from calls import features, with_facts

from videobert.data.provenance import read_provenance, read_table, write_table
from videobert.errors import UserError
from videobert.vision.embedding import batches, preprocess
from videobert.vision.s3d import S3D
from videobert.vision.s3d_weights import SHIPPED

# Weights of these tests: random, so that what is tested is the stage and not the training.
SIZE = 64


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    import json

    from safetensors.torch import save_file

    torch.manual_seed(0)
    model = S3D(classes=3, width=0.25)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm3d):
            module.momentum = 1.0
    with torch.no_grad():  # batch norms take the statistics of such pictures, so that clips come out different
        clips = np.stack([[clip_picture(clip, frame) for frame in range(0, 30, 2)] for clip in range(100, 108)])
        model(
            torch.nn.functional.adaptive_avg_pool3d(
                torch.tensor(clips).permute(0, 4, 1, 2, 3) / 128 - 1, (15, SIZE, SIZE)
            )
        )
    preprocessing = {"frames": 15, "size": SIZE, "mean": [0.5, 0.4, 0.3], "std": [0.2, 0.25, 0.3]}
    path = tmp_path_factory.mktemp("weights") / "random.safetensors"
    save_file(model.state_dict(), path, {"preprocessing": json.dumps(preprocessing)})
    return path


def clip_picture(clip: int, frame: int) -> np.ndarray:
    """Clips differ in their pattern; within a clip a bright bar moves."""
    rng = np.random.default_rng(clip)
    picture = np.kron(rng.integers(0, 200, (4, 4, 3)), np.ones((28, 28, 1))).astype(np.uint8)
    picture[:, frame * 3 : frame * 3 + 20] = 255
    return picture


def write_frames(folder: Path, counts: dict[str, int]) -> Path:
    """A folder as `frames` leaves it: 20 fps videos and their ledger."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for name, count in counts.items():
        with av.open(str(folder / f"{name}.mp4"), "w") as file:
            video = file.add_stream("libx264", rate=20, options={"crf": "5"})
            video.width, video.height, video.pix_fmt = 112, 112, "yuv420p"
            for i in range(count):
                file.mux(video.encode(av.VideoFrame.from_ndarray(clip_picture(i // 30, i % 30), format="rgb24")))
            file.mux(video.encode(None))
        row = {
            "video_id": name,
            "status": "ok",
            "reason": "",
            "path": f"{name}.mp4",
            "frames": count,
            "duration": count / 20,
        }
        rows.append(row)
    rows.append(
        {"video_id": "broken", "status": "unusable", "reason": "", "path": None, "frames": None, "duration": None}
    )
    rows = [with_facts(folder, row) for row in rows]
    write_table(pa.Table.from_pylist(rows), folder / "ledger.parquet", {"stage": "frames", "settings": {"fps": 20}})
    return folder / "ledger.parquet"


def run(frames: Path, output: Path, weights: Path, **settings) -> tuple[pa.Table, dict[str, dict]]:
    ledger = output.parent / ".ledger" / output.name
    features(frames, output, ledger, weights=str(weights), device="cpu", **settings)
    return read_table(output), {row["video_id"]: row for row in read_table(ledger).to_pylist()}


def numbers(table: pa.Table) -> np.ndarray:
    return np.stack(table["feature"].to_numpy()).astype(np.float32)


def test_every_clip_has_its_row_at_its_time(tmp_path, weights):
    frames = write_frames(tmp_path / "frames", {"a": 100, "b": 29, "c": 30})
    table, ledger = run(frames, tmp_path / "features" / "0000.parquet", weights, batch_size=2)
    assert [
        (row["video_id"], row["clip"], row["start"], row["end"]) for row in table.drop(["feature"]).to_pylist()
    ] == [
        ("a", 0, 0.0, 1.5),
        ("a", 1, 1.5, 3.0),
        ("a", 2, 3.0, 4.5),
        ("c", 0, 0.0, 1.5),
    ]
    assert table.schema.field("feature").type == pa.list_(pa.float16(), 256)
    assert {name: (row["status"], row["clips"]) for name, row in ledger.items()} == {
        "a": ("ok", 3),
        "b": ("too_short", None),
        "c": ("ok", 1),
    }


def test_features_are_the_networks_for_each_clips_own_frames(tmp_path, weights):
    from safetensors.torch import load_file

    frames = write_frames(tmp_path / "frames", {"a": 100})
    table, _ = run(frames, tmp_path / "features" / "0000.parquet", weights, batch_size=2)
    found = torch.tensor(numbers(table))
    # The long way round: plain network, every second frame, means over pixel areas, as the weights' file demands.
    model = S3D(classes=3, width=0.25).eval()
    model.load_state_dict(load_file(weights))
    with av.open(str(frames.parent / "a.mp4")) as file:
        pictures = [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]
    assert np.abs(pictures[64].astype(int) - clip_picture(2, 4)).mean() < 10
    clips = np.stack([pictures[30 * clip : 30 * clip + 30 : 2] for clip in range(3)]) / 255
    x = torch.tensor(clips, dtype=torch.float32).permute(0, 4, 1, 2, 3)
    x = torch.nn.functional.adaptive_avg_pool3d(x, (15, SIZE, SIZE))
    x = (x - torch.tensor([0.5, 0.4, 0.3]).view(3, 1, 1, 1)) / torch.tensor([0.2, 0.25, 0.3]).view(3, 1, 1, 1)
    with torch.inference_mode():
        expected = model.embed(x)
    assert (expected[0] - expected[1]).abs().max() > 1
    torch.testing.assert_close(found, expected, atol=5e-3, rtol=5e-3)


def test_batch_size_is_no_setting_of_the_result(tmp_path, weights):
    frames = write_frames(tmp_path / "frames", {"a": 160})
    tables = [run(frames, tmp_path / str(size) / "0000.parquet", weights, batch_size=size)[0] for size in (1, 4)]
    np.testing.assert_allclose(*map(numbers, tables), rtol=2e-3, atol=2e-3)
    assert tables[0].drop(["feature"]) == tables[1].drop(["feature"])


def test_batches_drop_the_tail_and_keep_the_order(tmp_path):
    frames = write_frames(tmp_path / "frames", {"a": 47})
    path = frames.parent / "a.mp4"
    together = list(batches(path, clip_frames=10, batch_size=3))
    assert [batch.shape for batch in together] == [(3, 10, 112, 112, 3), (1, 10, 112, 112, 3)]
    bars = [picture[5].mean(axis=-1) > 245 for batch in list(batches(path, 10, 1)) for picture in batch[0]]
    assert [int(np.flatnonzero(bar)[0]) // 3 for bar in bars if bar.any()][:30] == list(range(30))


def test_preprocessing_normalises_in_rgb_and_averages_areas():
    clips = np.zeros((1, 4, 8, 8, 3), np.uint8)
    clips[0, :, ::2, :, 0] = 255  # red stripes: half red on average
    clips[0, 2:, :, :, 2] = 51  # blue from the third frame on
    how = {"frames": 2, "size": 4, "mean": [0.5, 0.0, 0.0], "std": [0.5, 1.0, 0.1]}
    x = preprocess(torch.from_numpy(clips), how)
    assert x.shape == (1, 3, 2, 4, 4)
    torch.testing.assert_close(x[0, 0], torch.zeros(2, 4, 4))
    torch.testing.assert_close(x[0, 2].mean(dim=(1, 2)), torch.tensor([0.0, 2.0]))
    whole = {key: value for key, value in how.items() if key != "frames"}
    assert preprocess(torch.from_numpy(clips), whole).shape == (1, 3, 4, 4, 4)


def test_same_bytes_again_and_the_note_says_which_weights(tmp_path, weights):
    from videobert.data.provenance import sha256

    frames = write_frames(tmp_path / "frames", {"a": 70, "b": 40})
    outputs = [tmp_path / name / "0000.parquet" for name in ("one", "two")]
    for output in outputs:
        run(frames, output, weights)
    for name in ("0000.parquet", ".ledger/0000.parquet"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    note = read_provenance(outputs[0])
    assert note["weights_sha256"] == sha256(weights)
    assert (note["dimension"], note["clip_seconds"]) == (256, 1.5)
    assert note["settings"]["weights"] == "random.safetensors"  # no folder of this machine
    run(frames, tmp_path / "kitchen" / "0000.parquet", "kitchen")
    assert read_provenance(tmp_path / "kitchen" / "0000.parquet")["weights_sha256"] == sha256(SHIPPED["kitchen"])


def test_a_stopped_shard_goes_on_where_it_was(tmp_path, weights):
    frames = write_frames(tmp_path / "frames", {"a": 40, "b": 40})
    expected, _ = run(frames, tmp_path / "whole" / "0000.parquet", weights)
    first, second, hidden = (frames.parent / name for name in ("a.mp4", "b.mp4", "hidden"))
    second.rename(hidden)
    output = tmp_path / "stopped" / "0000.parquet"
    with pytest.raises(UserError, match=r"b\.mp4 is missing"):
        run(frames, output, weights)
    assert not output.exists()
    hidden.rename(second)
    first.unlink()  # nobody needs it any more
    table, ledger = run(frames, output, weights)
    assert table.equals(expected) and ledger["a"]["clips"] == 1
    assert not (output.parent / ".journal" / "0000").exists()


def test_damaged_frames_are_not_taken_for_the_whole_video(tmp_path, weights):
    frames = write_frames(tmp_path / "frames", {"a": 100, "b": 40})
    write_frames(tmp_path / "other", {"a": 40})
    (tmp_path / "other" / "a.mp4").rename(frames.parent / "a.mp4")
    with pytest.raises(UserError, match=r"a\.mp4 is not the file that .*ledger\.parquet lists"):
        run(frames, tmp_path / "features" / "0000.parquet", weights)


def test_bfloat16_agrees_with_float32(tmp_path, weights):
    frames = write_frames(tmp_path / "frames", {"a": 100})
    exact, quick = (
        numbers(run(frames, tmp_path / name / "0000.parquet", weights, precision=name)[0])
        for name in ("float32", "bfloat16")
    )
    cosine = (exact * quick).sum(1) / np.linalg.norm(exact, axis=1) / np.linalg.norm(quick, axis=1)
    assert cosine.min() > 0.98 and not np.array_equal(exact, quick)
