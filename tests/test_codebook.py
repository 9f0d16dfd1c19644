"""The codebook: a tree of k-means over the train clips only, with one rule to assign words."""

import hashlib
import json
import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from calls import codebook
from safetensors.numpy import load_file

from videobert.data.provenance import read_provenance, read_table, write_table
from videobert.errors import UserError
from videobert.stages import codebook as stage
from videobert.vision import sampling
from videobert.vision.quantizer import assign, fit, load

FILE = "centroids.safetensors"
DIMENSION = 8


def write_manifest(path: Path, videos: dict[str, tuple[str, str]]) -> Path:
    """videos: id -> (shard, split)."""
    rows = [{"video_id": video, "shard": shard, "split": split} for video, (shard, split) in videos.items()]
    write_table(pa.Table.from_pylist(rows), path, {})
    return path


def write_features(
    folder: Path, videos: dict[str, tuple[str, str]], vectors: dict[str, np.ndarray], weights="net"
) -> Path:
    """A Parquet file for each shard, as the stage features writes it."""
    for shard in sorted({shard for shard, _ in videos.values()}):
        own = [video for video, (place, _) in videos.items() if place == shard and video in vectors]
        flat = np.concatenate([np.empty((0, DIMENSION), np.float16), *(vectors[video] for video in own)]).astype(
            np.float16
        )
        clip = np.concatenate([np.empty(0, np.int32), *(np.arange(len(vectors[v]), dtype=np.int32) for v in own)])
        table = pa.table(
            {
                "video_id": pa.array([v for v in own for _ in range(len(vectors[v]))], pa.string()),
                "clip": pa.array(clip, pa.int32()),
                "start": pa.array(clip * 1.5, pa.float32()),
                "end": pa.array(clip * 1.5 + 1.5, pa.float32()),
                "feature": pa.FixedSizeListArray.from_arrays(pa.array(flat.ravel(), pa.float16()), DIMENSION),
            }
        )
        write_table(table, folder / f"{shard}.parquet", {"weights_sha256": weights})
    return folder


def planted(videos: list[str], seed: int, clips: int = 40, spread: float = 0.05) -> dict[str, np.ndarray]:
    """Clips around 9 points: three far groups of three near ones, so that a 3 x 3 tree can find them."""
    random = np.random.default_rng(seed)
    far, near = 10 * np.eye(3, DIMENSION), np.eye(3, DIMENSION, 4)
    centres = (far[:, None] + near[None]).reshape(9, DIMENSION)
    return {
        v: centres[random.integers(0, 9, clips)] + spread * random.standard_normal((clips, DIMENSION)) for v in videos
    }


def run(folder: Path, videos, vectors, weights="net", **settings) -> Path:
    """The stage on synthetic features; the folder it wrote."""
    settings = {"branching": 3, "depth": 2, "sample": 10_000, "batch_size": 256, "seed": 1, "threads": 1} | settings
    manifest = write_manifest(folder / "manifest.parquet", videos)
    write_features(folder / "features", videos, vectors, weights)
    codebook(folder / "features", manifest, folder / "codebook", **settings)
    return folder / "codebook"


VIDEOS = {f"v{n}": (f"000{n % 2}", "test" if n > 7 else "train") for n in range(10)}


def test_planted_clusters_are_found_and_counted(tmp_path):
    vectors = planted(list(VIDEOS), seed=0)
    folder = run(tmp_path, VIDEOS, vectors)
    tree = load(folder / FILE)
    assert (tree.words, tree.dimension, [len(level) for level in tree.centroids]) == (9, DIMENSION, [3, 9])
    clips = np.concatenate(list(vectors.values()))
    words = assign(clips, tree)
    assert words.dtype == np.int32
    truth = clips[:, :3].argmax(1) * 3 + clips[:, 4:7].argmax(1)
    assert len(set(zip(words, truth, strict=True))) == 9  # one word for each planted cluster

    statistics = json.loads((folder / "statistics.json").read_text(encoding="utf-8"))
    train = np.concatenate([vectors[v].astype(np.float16) for v in VIDEOS if VIDEOS[v][1] == "train"])
    counts = np.bincount(assign(train, tree), minlength=9)
    assert statistics["counts"] == counts.tolist()
    assert statistics["used_words"] == 9 and statistics["clips"] == {"train": 320, "test": 80}
    share = counts / counts.sum()
    assert statistics["perplexity"] == pytest.approx(2 ** -(share * np.log2(share)).sum())
    error = ((train - tree.centroids[-1][assign(train, tree)]) ** 2).sum() / ((train - train.mean(0)) ** 2).sum()
    assert statistics["quantisation_error"]["train"] == pytest.approx(error, rel=1e-3)
    assert statistics["quantisation_error"]["test"] < 0.01
    assert read_provenance(folder / "centroids.safetensors")["weights_sha256"] == "net"


def test_a_codebook_that_has_collapsed_is_said(tmp_path, capsys):
    healthy, still, lopsided = planted(list(VIDEOS), seed=0), {v: np.ones((40, DIMENSION)) for v in VIDEOS}, {}
    run(tmp_path / "healthy", VIDEOS, healthy)
    said = capsys.readouterr().err
    assert "9 of 9 words live, 9 used by 320 train clips" in said and "warning" not in said
    run(tmp_path / "still", VIDEOS, still)
    said = capsys.readouterr().err
    assert "1 of 9 words live, 1 used by 320 train clips" in said
    assert "warning: the codebook has collapsed: 1 of 9 visual words live, used as if there were 1.0." in said
    # All words live, but one has nearly all clips.
    random = np.random.default_rng(0)
    lopsided = {v: np.ones((400, DIMENSION)) for v in VIDEOS}
    lopsided["v0"][:80] = 5 * random.standard_normal((80, DIMENSION))
    run(tmp_path / "lopsided", VIDEOS, lopsided, branching=8)
    assert re.search(r"warning: .* visual words live, used as if there were 1\.\d\.", capsys.readouterr().err)


def test_assignment_is_the_descent_to_the_nearest_living_child():
    random = np.random.default_rng(3)
    tree = fit(random.standard_normal((900, DIMENSION)), branching=4, depth=3, batch_size=256, seed=0)
    for alive in tree.alive[1:]:
        alive[random.random(len(alive)) < 0.2] = False
        alive[::4] = True  # every node keeps a child
    clips = random.standard_normal((500, DIMENSION)).astype(np.float32)

    def descend(clip: np.ndarray) -> int:
        node = 0
        for centroids, alive in zip(tree.centroids, tree.alive, strict=True):
            children = [c for c in range(4 * node, 4 * node + 4) if alive[c]]
            node = min(children, key=lambda child: ((clip - centroids[child]) ** 2).sum())
        return node

    assert assign(clips, tree).tolist() == [descend(clip) for clip in clips]
    assert assign(clips[:0], tree).shape == (0,)


def test_a_node_with_fewer_distinct_clips_than_children_leaves_dead_ones():
    points = np.eye(3, DIMENSION)
    clips = np.concatenate([np.repeat(points, 200, axis=0), points[:1] + 5])
    tree = fit(clips, branching=5, depth=3, batch_size=64, seed=0)
    words = assign(clips, tree)
    assert len(set(words.tolist())) == 4 == tree.alive[-1].sum()
    assert tree.alive[-1][words].all()
    assert np.isfinite(tree.centroids[-1]).all()
    np.testing.assert_allclose(tree.centroids[-1][words], clips, atol=1e-5)
    # Whatever comes later, a dead word is never given.
    later = np.random.default_rng(0).standard_normal((1000, DIMENSION)) * 9
    assert tree.alive[-1][assign(later, tree)].all()


def test_only_train_clips_shape_the_centroids(tmp_path):
    vectors = planted(list(VIDEOS), seed=0)
    moved = {v: clips + 50 * (VIDEOS[v][1] == "test") for v, clips in vectors.items()}
    first, second = (run(tmp_path / name, VIDEOS, clips) for name, clips in (("a", vectors), ("b", moved)))
    assert (first / "centroids.safetensors").read_bytes() == (second / "centroids.safetensors").read_bytes()
    errors = [
        json.loads((f / "statistics.json").read_text(encoding="utf-8"))["quantisation_error"] for f in (first, second)
    ]
    assert errors[0]["train"] == errors[1]["train"] and errors[0]["test"] < 0.01 and errors[1]["test"] > 0.9
    train = dict.fromkeys(VIDEOS, ("0000", "train"))
    assert (run(tmp_path / "c", train, moved) / "centroids.safetensors").read_bytes() != (
        first / "centroids.safetensors"
    ).read_bytes()


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def test_same_bytes_twice_whatever_the_shards_and_the_threads(tmp_path):
    vectors = planted(list(VIDEOS), seed=0, clips=60, spread=2)
    settings = {"sample": 300, "branching": 4}  # fewer than the 480 train clips: the sample counts
    first = digests(run(tmp_path / "a", VIDEOS, vectors, **settings))
    assert list(first) == ["atlas.parquet", "centroids.safetensors", "statistics.json"]
    assert digests(run(tmp_path / "b", VIDEOS, vectors, **settings)) == first
    threaded = run(tmp_path / "c", VIDEOS, vectors, **settings, threads=2)  # it differs in what says so
    assert read_provenance(threaded / FILE)["execution"] == {"threads": 2}
    one, other = load(tmp_path / "a" / "codebook" / FILE), load(threaded / FILE)
    assert all(np.array_equal(a, b) for a, b in zip(one.centroids, other.centroids, strict=True))
    assert read_table(threaded / "atlas.parquet") == read_table(tmp_path / "a" / "codebook" / "atlas.parquet")
    others = {v: (f"000{9 - n}", VIDEOS[v][1]) for n, v in enumerate(reversed(VIDEOS))}
    resharded = digests(run(tmp_path / "d", others, vectors, **settings))
    assert resharded.pop("atlas.parquet") and resharded.items() <= first.items()  # the atlas names the shards
    assert digests(run(tmp_path / "e", VIDEOS, vectors, **settings, seed=2)) != first


def test_sample_is_the_same_whatever_the_order_and_at_most_its_size(monkeypatch):
    monkeypatch.setattr(sampling, "ROWS", 16)  # so that a small reservoir must shrink often
    random = np.random.default_rng(0)
    vectors, priority = random.standard_normal((5000, 2)).astype(np.float16), random.permutation(5000).astype(np.uint64)
    best = vectors[np.argsort(priority)][:100]
    for order in (np.arange(5000), np.argsort(priority), np.argsort(-priority.astype(int))):
        reservoir = sampling.Reservoir(100, 2)
        for part in np.array_split(order, 37):
            reservoir.add(vectors[part], priority[part])
        np.testing.assert_array_equal(reservoir.result(), best)


def test_atlas_holds_the_train_clips_nearest_to_each_word(tmp_path):
    vectors = planted(list(VIDEOS), seed=0, spread=0.5)
    folder = run(tmp_path, VIDEOS, vectors)
    tree, atlas = load(folder / FILE), read_table(folder / "atlas.parquet").to_pandas()
    assert [VIDEOS[video] for video in atlas["video_id"]] == [(shard, "train") for shard in atlas["shard"]]
    train = [(v, n) for v in sorted(VIDEOS) if VIDEOS[v][1] == "train" for n in range(40)]
    clips = np.stack([vectors[v][n] for v, n in train]).astype(np.float16).astype(np.float32)
    words = assign(clips, tree)
    distance = np.linalg.norm(clips - tree.centroids[-1][words], axis=1)
    counts = np.bincount(words, minlength=9)
    assert atlas["word"].drop_duplicates().tolist() == np.argsort(-counts, kind="stable").tolist()
    for word, rows in atlas.groupby("word"):
        own = np.flatnonzero(words == word)
        nearest = own[np.argsort(distance[own])][:8]
        assert list(zip(rows["video_id"], rows["clip"], strict=True)) == [train[n] for n in nearest]
        assert rows["rank"].tolist() == list(range(8)) and set(rows["count"]) == {counts[word]}
        np.testing.assert_allclose(rows["distance"], distance[nearest], rtol=1e-4)
        np.testing.assert_allclose(rows["end"] - rows["start"], 1.5)


@pytest.mark.parametrize(
    ("split", "given", "settings", "said"),
    [
        ("test", ["v0"], {}, "no train clips: none of the 10 videos is in the split train"),
        ("train", [], {}, "no train clips: none of the 10 train videos has features"),
        (
            "train",
            list(VIDEOS),
            {"branching": 12, "depth": 4},
            "20736 words but only 400 train clips: set codebook.branching: ",
        ),
        ("train", list(VIDEOS), {"sample": 8}, "set codebook.sample: 72"),
        ("train", list(VIDEOS), {"branching": 1}, "branching is 1, but must be at least 2"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(tmp_path, split, given, settings, said):
    videos = dict.fromkeys(VIDEOS, ("0000", split))
    with pytest.raises(UserError) as error:
        run(tmp_path, videos, planted(given, seed=0), **settings)
    assert said in str(error.value) and "\n" not in str(error.value)
    assert not (tmp_path / "codebook").exists()


@pytest.mark.parametrize("clips", [2, 3, 16, 400, 812, 10_000])
def test_the_smaller_tree_that_is_suggested_works(tmp_path, clips):
    branching, depth = stage._smaller(clips, 12, 4)
    vectors = {"v0": np.random.default_rng(0).standard_normal((clips, DIMENSION))}
    tree = load(run(tmp_path, {"v0": ("0000", "train")}, vectors, branching=branching, depth=depth) / FILE)
    assert 2 <= tree.words <= max(2, clips / 8)


def test_features_of_two_networks_are_refused(tmp_path):
    vectors = planted(list(VIDEOS), seed=0)
    run(tmp_path, VIDEOS, vectors)
    write_features(tmp_path / "features", {v: p for v, p in VIDEOS.items() if p[0] == "0001"}, vectors, "other")
    with pytest.raises(UserError, match=r"0001\.parquet was made with weights_sha256 = 'other', but .*0000\.parquet"):
        codebook(tmp_path / "features", tmp_path / "manifest.parquet", tmp_path / "c", 3, 2, 1000, 256, 1, 1)


def test_a_missing_shard_or_codebook_is_named(tmp_path):
    run(tmp_path, VIDEOS, planted(list(VIDEOS), seed=0))
    (tmp_path / "features/0001.parquet").unlink()
    with pytest.raises(UserError, match=r"0001\.parquet is missing"):
        codebook(tmp_path / "features", tmp_path / "manifest.parquet", tmp_path / "c", 3, 2, 1000, 256, 1, 1)
    with pytest.raises(UserError, match="run the stage codebook first"):
        load(tmp_path / "nowhere" / FILE)


def test_tensors_are_as_documented(tmp_path):
    tensors = load_file(run(tmp_path, VIDEOS, planted(list(VIDEOS), seed=0)) / "centroids.safetensors")
    shapes = {name: (tensor.dtype.name, tensor.shape) for name, tensor in sorted(tensors.items())}
    assert shapes == {
        "alive.1": ("uint8", (3,)),
        "alive.2": ("uint8", (9,)),
        "centroids.1": ("float32", (3, DIMENSION)),
        "centroids.2": ("float32", (9, DIMENSION)),
    }
