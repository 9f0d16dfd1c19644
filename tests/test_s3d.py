"""S3D: torchvision's names and numbers, the fast form, and loading weights of every kind."""

import hashlib
import json
import pickle
import resource
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from videobert.errors import UserError
from videobert.kitchen.script import OBJECTS, VERBS
from videobert.vision import s3d, s3d_weights
from videobert.vision.s3d import S3D, load, optimise


def lively(width: float = 0.25, classes: int = 7) -> S3D:
    """A network whose batch norms do something, as trained ones do."""
    torch.manual_seed(0)
    model = S3D(classes=classes, width=width).eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm3d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.3, 1.0)
            nn.init.uniform_(module.weight, 0.8, 1.6)
            nn.init.normal_(module.bias, 0, 0.2)
    return model


def test_names_and_shapes_are_torchvisions():
    state = S3D().state_dict()
    listing = "\n".join(f"{name} {tuple(value.shape)}" for name, value in state.items())
    # Taken from torchvision's source (torchvision/models/video/s3d.py), which says 8320048 parameters as well.
    assert len(state) == 464
    digest = hashlib.sha256(listing.encode()).hexdigest()
    assert digest == "9ad548ac6bd63bd64f3dd6e6fcd9574a2be98e29a02c9e0e83acf1b91f6a68de"
    assert sum(p.numel() for p in S3D().parameters()) == 8_320_048
    assert tuple(state["features.14.branch1.1.0.0.weight"].shape) == (320, 160, 1, 3, 3)
    assert {(m.eps, m.momentum) for m in S3D().modules() if isinstance(m, nn.BatchNorm3d)} == {(0.001, 0.001)}


@pytest.mark.parametrize("shape", [(1, 3, 30, 224, 224), (1, 3, 16, 256, 288), (1, 3, 15, 64, 64)])
def test_logits_are_torchvisions_and_the_classifier_of_the_features(shape):
    model = lively()
    x = torch.randn(shape)
    with torch.inference_mode():
        maps = model.features(x)
        window = (2, min(7, maps.shape[3]), min(7, maps.shape[4]))
        torchvisions = model.classifier(nn.AvgPool3d(window, stride=1)(maps)).mean(dim=(2, 3, 4))
        features = model.embed(x)
        classified = model.classifier(features[:, :, None, None, None]).flatten(1)
        logits = model(x)
    assert features.shape == (shape[0], 256)
    assert torchvisions.std() > 0.01
    torch.testing.assert_close(logits, torchvisions, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(logits, classified)


def drawn_weights() -> dict[str, torch.Tensor]:
    """Weights of torchvision's names and shapes, drawn from a stream that numpy keeps for ever."""
    rng = np.random.RandomState(0)
    weights = {}
    for name, value in S3D().state_dict().items():
        if name.endswith("num_batches_tracked"):
            weights[name] = torch.tensor(7)
            continue
        x = rng.standard_normal(value.shape).astype(np.float32)
        if name.endswith("running_var"):
            x = 0.5 + x * x
        elif name.endswith(("running_mean", "bias")):
            x = x * 0.1
        elif value.ndim == 1:
            x = 1 + 0.1 * x
        else:
            x = x * (2 / np.prod(value.shape[1:])) ** 0.5
        weights[name] = torch.from_numpy(np.asarray(x, np.float32))
    return weights


def in_cache(folder: Path, monkeypatch: pytest.MonkeyPatch, write) -> Path:
    """A file that is taken for the fetched Kinetics weights: in the cache, with its hash in its name."""
    folder.mkdir()
    write(folder / "written")
    digest = hashlib.sha256((folder / "written").read_bytes()).hexdigest()
    path = (folder / "written").rename(folder / f"s3d-{digest[:8]}.pth")
    monkeypatch.setenv("VIDEOBERT_CACHE", str(folder))
    monkeypatch.setattr(s3d_weights, "KINETICS400", f"http://127.0.0.1:9/{path.name}")  # nobody listens there
    return path


def test_kinetics400_gives_the_numbers_of_torchvision(tmp_path, monkeypatch):
    from videobert.vision.embedding import embed

    in_cache(tmp_path / "cache", monkeypatch, lambda path: torch.save(drawn_weights(), path))
    model, preprocessing, _ = load("kinetics400")
    time, row, column = np.ogrid[:16, :224, :224]
    colours = [time * 9 + row * 3 + column, time * 5 + row * row // 9 + column * 2, row * column // 40 + time * 11]
    clip = torch.from_numpy(np.stack(np.broadcast_arrays(*colours), axis=-1).astype(np.uint8))
    features = embed(model, clip[None], preprocessing)
    with torch.inference_mode():
        logits = model.classifier(features[:, :, None, None, None]).flatten()
    # What torchvision 0.28.0's own S3D says of these weights and this clip (mean over its avgpool's output; logits).
    expected = [5.640503, 0.110504, 6.802469, 5.618185, 0.000119, 25.02583, 3.515903, 38.533176]
    torch.testing.assert_close(features[0, ::128], torch.tensor(expected), rtol=1e-3, atol=1e-3)
    assert (features.mean().item(), features.std().item()) == pytest.approx((6.536668, 9.489187), rel=1e-4)
    expected = [-24.262493, 19.833706, 17.570868, -56.444794, 21.400267, 27.26149, -3.076392, 1.945859]
    torch.testing.assert_close(logits[::50], torch.tensor(expected), rtol=1e-3, atol=1e-2)
    assert logits.argmax() == 20


def test_optimised_network_gives_the_same_features():
    x = torch.randn(3, 3, 15, 64, 64)
    with torch.inference_mode():
        expected = lively().embed(x)
        fast = optimise(lively()).embed(x.contiguous(memory_format=torch.channels_last_3d))
        halved = optimise(lively(), "bfloat16").embed(x.bfloat16())
    assert expected.std() > 0.01
    torch.testing.assert_close(fast, expected, atol=1e-3, rtol=1e-3)
    assert not any(isinstance(module, nn.BatchNorm3d) for module in optimise(lively()).modules())
    assert halved.dtype == torch.float32
    assert torch.cosine_similarity(halved, expected).min() > 0.99


@pytest.mark.parametrize("name", s3d_weights.SHIPPED)
def test_weights_ship_with_the_project(name):
    model, preprocessing, sha256 = load(name)
    assert sha256 == hashlib.sha256(s3d_weights.SHIPPED[name].read_bytes()).hexdigest()
    assert s3d_weights.SHIPPED[name].stat().st_size < 3e6
    assert model.dimension == 256
    assert preprocessing["size"] == 64 and preprocessing["frames"] == 15
    assert len(preprocessing["classes"]) == model.classifier[1].out_channels


def test_shapes_were_named_by_no_word_of_the_kitchen():
    """These weights stand for those that were trained on something else."""
    assert not {*load("shapes")[1]["classes"]} & {*VERBS, *OBJECTS}


def test_a_path_loads_and_its_size_is_read_from_it(tmp_path):
    trained = lively(classes=5)
    torch.save(trained.state_dict(), tmp_path / "mine.pth")
    save_file(trained.state_dict(), tmp_path / "mine.safetensors", {"preprocessing": json.dumps({"size": 96})})
    x = torch.randn(1, 3, 16, 64, 64)
    with torch.inference_mode():
        expected = trained(x)
        for name, size in (("mine.pth", 224), ("mine.safetensors", 96)):
            model, preprocessing, _ = load(str(tmp_path / name))
            torch.testing.assert_close(model(x), expected, atol=1e-4, rtol=1e-4)
            assert preprocessing["size"] == size
    assert s3d.KINETICS400_PREPROCESSING["mean"] == [0.43216, 0.394666, 0.37645]
    assert s3d.KINETICS400_PREPROCESSING["std"] == [0.22803, 0.22145, 0.216989]


def missing(state):
    del state["features.9.branch2.1.0.0.weight"]


def unknown(state):
    state["fc.0.weight"] = torch.zeros(3)


def misshapen(state):
    state["features.3.0.0.weight"] = torch.zeros(8, 8, 1, 3, 3)


def another_network(state):
    state.clear()
    state["conv1.weight"] = torch.zeros(3)


@pytest.mark.parametrize("spoil", [missing, unknown, misshapen, another_network])
def test_wrong_state_dicts_are_refused(tmp_path, spoil):
    state = lively().state_dict()
    spoil(state)
    torch.save(state, tmp_path / "wrong.pth")
    with pytest.raises(UserError, match=r"wrong\.pth does not hold an S3D"):
        load(str(tmp_path / "wrong.pth"))


class Payload:
    def __reduce__(self):
        return (print, ("code of a stranger ran",))


@pytest.mark.parametrize("name", ["text.pth", "text.safetensors", "code.pth", "none.pth", "list.pth"])
def test_files_that_are_no_weights_are_refused(tmp_path, name, capsys):
    path = tmp_path / name
    if name.startswith("text"):
        path.write_text("not weights " * 100, encoding="utf-8")
    if name.startswith("code"):
        torch.save({"features.0.0.0.weight": Payload()}, path)
    if name.startswith("list"):
        torch.save([1, 2], path)
    with pytest.raises(UserError, match=name):
        load(str(path))
    assert "stranger" not in capsys.readouterr().out


@pytest.mark.filterwarnings("ignore")
def test_code_is_refused_however_it_is_packed(tmp_path, monkeypatch, capsys):
    class Module(nn.Module):
        def forward(self, x):
            return x

    packed = {
        "zip": lambda path: torch.save({"features.0.0.0.weight": Payload()}, path),
        "old": lambda path: torch.save([Payload()], path, _use_new_zipfile_serialization=False),
        "pickle": lambda path: path.write_bytes(pickle.dumps(Payload())),
        "script": lambda path: torch.jit.save(torch.jit.script(Module()), path),
        "model": lambda path: torch.save(lively(), path),
    }
    for name, write in packed.items():
        path = in_cache(tmp_path / name, monkeypatch, write)
        with pytest.raises(UserError, match=rf"{path.name} is not a readable state dict"):
            load("kinetics400")
    assert "stranger" not in capsys.readouterr().out


@pytest.mark.parametrize(
    "said",
    ["nonsense", "[]", '{"size": -1}', '{"size": "64"}', '{"mean": [0, 0]}', '{"std": [0, 1, 1]}', '{"frames": 0.5}'],
)
def test_preprocessing_that_cannot_be_is_refused(tmp_path, said):
    save_file(lively().state_dict(), tmp_path / "odd.safetensors", {"preprocessing": said})
    with pytest.raises(UserError, match=r"odd\.safetensors is not a readable state dict"):
        load(str(tmp_path / "odd.safetensors"))


def test_a_small_file_that_says_it_is_large_gets_no_memory(tmp_path):
    state = {name: torch.zeros(()).expand(value.shape) for name, value in lively().state_dict().items()}
    state["features.0.0.0.weight"] = torch.zeros(()).expand(384, 3, 1, 7, 7)  # six times as wide: 1.2 GB
    torch.save(state, tmp_path / "wide.pth")
    assert (tmp_path / "wide.pth").stat().st_size < 1e6
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(UserError, match="does not hold an S3D"):
        load(str(tmp_path / "wide.pth"))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # kilobytes


def test_a_cache_that_cannot_be_written_says_so(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("", encoding="utf-8")
    monkeypatch.setenv("VIDEOBERT_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(UserError, match=r"s3d-d76dad2f\.pth could not be fetched .*set VIDEOBERT_CACHE"):
        load("kinetics400")


def test_offline_kinetics_weights_say_which_file_to_put_where(tmp_path, monkeypatch):
    monkeypatch.setenv("VIDEOBERT_CACHE", str(tmp_path / "cache"))
    for variable in ("https_proxy", "HTTPS_PROXY", "http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")  # nobody listens there
    with pytest.raises(UserError) as error:
        load("kinetics400")
    assert "s3d-d76dad2f.pth" in str(error.value) and str(tmp_path / "cache") in str(error.value)
    assert list((tmp_path / "cache").iterdir()) == []


def test_weights_are_fetched_once_and_checked(tmp_path, monkeypatch):
    served, cache = tmp_path / "served", tmp_path / "cache"
    served.mkdir()
    torch.save(lively().state_dict(), served / "s3d.pth")
    digest = hashlib.sha256((served / "s3d.pth").read_bytes()).hexdigest()
    for name in (f"s3d-{digest[:8]}.pth", "s3d-00000000.pth"):
        (served / name).write_bytes((served / "s3d.pth").read_bytes())
    monkeypatch.setenv("VIDEOBERT_CACHE", str(cache))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    handler = partial(SimpleHTTPRequestHandler, directory=served)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setattr(s3d_weights, "KINETICS400", f"{address}/s3d-00000000.pth")
        with pytest.raises(UserError, match="invalid hash"):
            load("kinetics400")
        assert list(cache.iterdir()) == []
        monkeypatch.setattr(s3d_weights, "KINETICS400", f"{address}/s3d-{digest[:8]}.pth")
        assert load("kinetics400")[2] == digest
        server.shutdown()
    assert load("kinetics400")[2] == digest  # the server is gone
    (cache / f"s3d-{digest[:8]}.pth").write_bytes(b"cut off")
    with pytest.raises(UserError, match="damaged"):
        load("kinetics400")
