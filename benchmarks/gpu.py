"""Does this project work on this GPU, and how fast? One table, in under 8 minutes.

    python benchmarks/gpu.py

It needs a CUDA GPU, torch, transformers and numpy; each part says in its rows what else is missing. It needs no network,
and the project need not be installed. The table is printed and written to benchmarks/results/gpu-DEVICE-DATE.md.
The exit code is 1 if a part has failed; a missing package is no failure.

Each part runs in a process of its own, for as long as its share of the 8 minutes: what hangs or breaks the GPU for its
process costs its own rows and no others. `--parts pretrain,resume` runs these alone.

Without a GPU, or with `--device cpu`, the same code runs at tiny sizes on the CPU. That shows that the checks run, and
nothing else; no file is written then, unless `--output` names one.

The model FLOPs of a training step, from which the share of the card's peak follows, are 6 for each weight of the encoder
and each token, 12 x length^2 x width for the attention of each layer and sequence, and 6 for each weight of the heads
and each masked token. The peak is that of dense bfloat16 in all rows, whatever the precision of the row.
"""

import argparse
import contextlib
import functools
import gc
import importlib.machinery
import importlib.metadata
import importlib.util
import io
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import types
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import torch

START = time.monotonic()
ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from small_model import SETTINGS  # noqa: E402

# What a part measures: its name in the table, and what gives the result in words.
Measurement = tuple[str, Callable[[], str]]

# Dense bfloat16, TFLOP/s, as the vendor says; the first name that is in the device's counts.
PEAKS = {
    "B200": 2250,
    "H100 PCIe": 756,
    "H100 NVL": 835,
    "GH200": 989,
    "H200": 989,
    "H100": 989,
    "A100": 312,
    "A10G": 70,
    "A10": 125,
    "L40S": 362,
    "L40": 181,
    "L4": 121,
    "RTX 5090": 209,
    "RTX 4090": 165,
    "RTX 3090": 71,
}


class Missing(Exception):
    """Something is not on this machine, so that a row cannot be measured: no failure."""


class Wrong(Exception):
    """A row was measured, and is not as it should be."""


@dataclass(frozen=True)
class Setup:
    """How to run: `device` is cpu or cuda; `tiny` asks for sizes that a CPU masters; `whisper` is a size or a path."""

    device: str
    tiny: bool
    whisper: str

    @property
    def on_gpu(self) -> bool:
        return self.device == "cuda"


def need(**packages: str) -> None:
    """Raises Missing when a package (its module's name) is not here; the value says what it is needed for."""
    for name, purpose in packages.items():
        if importlib.util.find_spec(name) is None:
            raise Missing(f"{name} ({purpose})")


def wait(device: str) -> None:
    """Until the GPU has done all that it was given."""
    import torch

    if device == "cuda":
        torch.cuda.synchronize()


def tf32(allowed: bool) -> None:
    """Whether float32 convolutions and matrix products may be rounded to TF32's 10 bits."""
    import torch

    torch.backends.cudnn.allow_tf32 = allowed
    torch.backends.cuda.matmul.allow_tf32 = allowed


def pace(step: Callable[[], Any], device: str, seconds: float, most: int = 50) -> float:
    """Seconds that a step takes, on average over at most `seconds` or `most` steps, after two that do not count."""
    for _ in range(2):
        step()
    wait(device)
    together = 4 if device == "cuda" else 1  # or the GPU would stand still between steps
    start, count = time.perf_counter(), 0
    while count < most and (count == 0 or time.perf_counter() - start < seconds):
        for _ in range(together):
            step()
        wait(device)
        count += together
    return (time.perf_counter() - start) / count


def memory(device: str) -> str:
    """The most memory that torch has held on the GPU since the last call, in words."""
    import torch

    if device != "cuda":
        return "memory not measured"
    gc.collect()
    torch.cuda.init()  # before that it knows no peak
    peak = torch.cuda.max_memory_allocated() / 2**30
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    return f"peak memory {peak:.1f} GiB"


# S3D ------------------------------------------------------------------------------------------------------------------


def s3d(setup: Setup) -> Iterator[Measurement]:
    """Clips a second in each precision, and agreement of the features with float32 on the CPU."""
    variants = [("float32", "float32", 0.9999), ("bfloat16", "bfloat16", 0.95)]
    frames, size = (8, 32) if setup.tiny else (30, 224)
    compared = clips(6, frames, size)
    expected = embeddings(network(setup.tiny), compared, "cpu", "float32", size)
    for name, precision, least in variants:
        model = network(setup.tiny)

        def agreement(precision: str = precision, least: float = least, model: Any = model) -> str:
            return agreeing(embeddings(model, compared, setup.device, precision, size), expected, least)

        yield f"{name}: agreement with float32 on the CPU", agreement
        for batch in (2,) if setup.tiny else (8, 32, 64):

            def paced(batch: int = batch, model: Any = model) -> str:
                return clips_a_second(model, clips(batch, frames, size), setup, size)

            yield f"{name}, batch {batch}", paced


def network(tiny: bool) -> Any:
    """An S3D of random weights whose features tell clips apart: its batch norms are fitted to noise. Not optimised."""
    import torch

    from videobert.vision.s3d import S3D

    torch.manual_seed(0)
    model = S3D(classes=8, width=0.125 if tiny else 1.0)
    for module in model.modules():
        if isinstance(module, torch.nn.Conv3d):
            torch.nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        if isinstance(module, torch.nn.BatchNorm3d):
            module.momentum = 1.0  # the running mean and variance become those of the one batch below
    with torch.no_grad():
        model.train().embed(torch.randn(4, 3, 8, 64, 64))
    return model.eval()


def clips(count: int, frames: int, size: int) -> "torch.Tensor":
    """Clips that differ: coloured blobs that move. uint8 [count, frames, size, size, 3]."""
    import torch

    generator = torch.Generator().manual_seed(1)
    blobs = torch.rand(min(count, 8), 3, 4, 6, 6, generator=generator)
    moving = torch.nn.functional.interpolate(blobs, (frames, size, size), mode="trilinear")
    return (moving * 255).byte().permute(0, 2, 3, 4, 1).repeat(-(-count // 8), 1, 1, 1, 1)[:count].contiguous()


def embeddings(model: Any, shown: "torch.Tensor", device: str, precision: str, size: int) -> "torch.Tensor":
    """The features of clips by the project's own path, float32 on the CPU. The model is optimised in place and moved."""
    import torch

    from videobert.vision.embedding import embed
    from videobert.vision.s3d import KINETICS400_PREPROCESSING, optimise

    optimise(model, precision).to(device)
    how = {**KINETICS400_PREPROCESSING, "size": size}
    return torch.cat([embed(model, part, how).float().cpu() for part in shown.split(4)])


def agreeing(found: "torch.Tensor", expected: "torch.Tensor", least: float) -> str:
    """Smallest cosine of features and expected ones, without the mean feature. Raises Wrong when it is below `least`.

    With all numbers rounded to TF32, a CPU gave 0.9997 at full width, and in bfloat16 0.989."""
    import torch

    mean = expected.mean(0)
    cosines = torch.nn.functional.cosine_similarity(found - mean, expected - mean)
    error = (found - expected).norm() / expected.norm()
    words = f"cosine without the mean feature {cosines.min():.6f} or more; relative error {error:.1e}"
    if not cosines.min() >= least:
        raise Wrong(f"{words}; at least {least} was expected")
    return words


def clips_a_second(model: Any, shown: "torch.Tensor", setup: Setup, size: int) -> str:
    """Speed of preprocessing and network, from clips in the CPU's memory to features there."""
    import torch

    from videobert.vision.embedding import embed
    from videobert.vision.s3d import KINETICS400_PREPROCESSING

    how = {**KINETICS400_PREPROCESSING, "size": size}
    memory(setup.device)
    try:
        seconds = pace(lambda: embed(model, shown, how).cpu(), setup.device, 0.1 if setup.tiny else 1.5)
    except torch.OutOfMemoryError:
        raise Missing(f"memory: {len(shown)} clips at once do not fit") from None
    return f"{len(shown) / seconds:,.1f} clips a second; {memory(setup.device)}"


# Whisper --------------------------------------------------------------------------------------------------------------


def whisper(setup: Setup) -> Iterator[Measurement]:
    """Seconds of computing for a second of sound, by both engines, with weights that need no network."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    engines = {"faster-whisper": "faster_whisper", "openai-whisper": "whisper"}
    for engine in list(engines)[: 1 if setup.tiny else 2]:

        def run(engine: str = engine) -> str:
            need(**{engines[engine]: engine})
            return heard(engine, whisper_weights(engine, setup.whisper), setup)

        yield f"{engine}, {setup.whisper}", run


def whisper_weights(engine: str, model: str) -> Path:
    """The weights that the project finds here; openai-whisper's are written from the other engine's if need be."""
    from videobert.errors import UserError
    from videobert.speech.weights import cache, ctranslate2_folder, openai_checkpoint

    try:
        if engine == "openai-whisper" and ((cache() / f"{model}.pt").is_file() or Path(model).is_file()):
            return openai_checkpoint(model)
        need(faster_whisper="it finds the weights")
        folder = ctranslate2_folder(model)
    except UserError as error:
        raise Missing(str(error)) from None
    if engine == "faster-whisper":
        return folder
    from openai_checkpoint import write_openai_checkpoint

    return write_openai_checkpoint(folder / "model.bin", Path(tempfile.mkdtemp()) / f"{model}.pt")


def heard(engine: str, weights: Path, setup: Setup) -> str:
    from videobert.speech.engine import Whisper
    from videobert.speech.whisper import choose_compute_type, choose_device, load_engine

    audio, kind = sound(setup.tiny)
    device = choose_device(engine, setup.device)
    type_ = choose_compute_type(engine, device, "auto")
    _, listen = load_engine(Whisper(engine, weights, str(weights), "en", 1, device, type_, 4))
    if not setup.tiny:
        list(listen(audio, "en"))  # the first time does not count
    start = time.perf_counter()
    words = sum(len(spoken) for _, spoken in listen(audio, "en"))
    seconds = time.perf_counter() - start
    length = len(audio) / 16000
    return f"{device}, {type_}: {seconds / length:.4f} of real time ({words} words in {length:.0f} s of {kind})"


def sound(tiny: bool) -> tuple["np.ndarray", str]:
    """(sound at 16 kHz, what it is): the kitchen's voice where its package is, or else noise."""
    import numpy as np

    if tiny or importlib.util.find_spec("hibari") is None:
        noise = np.random.default_rng(0).normal(size=16000 * (2 if tiny else 60))
        return (0.01 * noise).astype(np.float32), "noise"
    from videobert.kitchen.script import script
    from videobert.kitchen.voice import SAMPLE_RATE
    from videobert.kitchen.voice import sound as voiced

    track = np.concatenate([voiced(script(number)) for number in range(3)])
    times = np.arange(0, len(track), SAMPLE_RATE / 16000)
    return np.interp(times, np.arange(len(track)), track).astype(np.float32), "the kitchen's voice"


# Pretraining: speed ---------------------------------------------------------------------------------------------------


# hidden_size, num_hidden_layers, num_attention_heads, intermediate_size
SIZES = {"BERT-Base": (768, 12, 12, 3072), "BERT-Large": (1024, 24, 16, 4096), "tiny": (32, 2, 2, 64)}
PRECISIONS = {"bf16": (True, False), "TF32": (False, True), "float32": (False, False)}  # bf16, TF32


def speed(setup: Setup) -> Iterator[Measurement]:
    """Useful tokens a second of training steps: the model's own, and those of the Trainer as the stage sets it up."""
    length = 32 if setup.tiny else 512
    for size in ("tiny",) if setup.tiny else ("BERT-Base", "BERT-Large"):
        for precision in ("bf16",) if setup.tiny else PRECISIONS:

            def run(size: str = size, precision: str = precision) -> str:
                return step_speed(size, precision, length, length, setup)

            yield f"{size}, {precision}, sequences of {length}", run
    size = "tiny" if setup.tiny else "BERT-Base"
    mean = length // 2
    name = f"{size}, bf16, sequences of {mean} on average"
    yield name, lambda: step_speed(size, "bf16", length, mean, setup)
    yield f"{name}, through the stage's Trainer", lambda: trainer_speed(size, length, mean, setup)
    yield f"{name}: where a step waits", lambda: waits(size, length, mean, setup)
    yield f"{name}: what a step's time goes to", lambda: profile(size, length, mean, setup)


def corpus(settings: dict[str, Any], mean: int) -> Any:
    """The stage's examples of random tokens, text and video in each; `mean` tokens long (max_length: all so long)."""
    import numpy as np

    from videobert.model.examples import Examples
    from videobert.model.processing_videobert import Vocabulary
    from videobert.model.sequences import Segments

    words = Vocabulary(0, 1, 2, 3, 4, vocab_size=settings["words"], visual_words=settings["visual_words"])
    random, rows = np.random.default_rng(0), 512
    spread = 0 if mean == settings["max_length"] else mean / 6
    # Counts of text and of video, 3 special tokens apart; whatever is too long is cut.
    counts = [np.clip(random.normal(mean / 2 + (0 if spread else 8), spread, rows).astype(int), 4, None) for _ in "tv"]
    offsets = [np.concatenate([[0], np.cumsum(count)]) for count in counts]
    segments = Segments(
        random.integers(5, words.vocab_size, offsets[0][-1]).astype(np.int32),
        offsets[0],
        random.integers(0, words.visual_words, offsets[1][-1]).astype(np.int32),
        offsets[1],
        np.zeros(offsets[1][-1], np.int32),
        counts[1],
        paired=np.ones(rows, bool),
        group=np.arange(rows, dtype=np.int32),
        start=np.zeros(rows),
        end=np.ones(rows),
        first=np.zeros(rows + 1, np.int64),
        videos=[str(row) for row in range(rows)],
    )
    return Examples(segments, words, SimpleNamespace(**settings))


def training(size: str, length: int, setup: Setup, **others: Any) -> dict[str, Any]:
    """The stage's settings for a size; masked pairs alone, so that sequences are as long as asked for."""
    names = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
    only = {"text_weight": 0.0, "video_weight": 0.0, "alignment_weight": 0.0}
    vocabulary = {"words": 300, "visual_words": 96} if setup.tiny else {"words": 30522, "visual_words": 20736}
    masks = {"mask_probability": 0.15, "video_mask_probability": 0.15}
    how = {"max_length": length, "batch_size": 4 if setup.tiny else 32, "learning_rate": 1e-4}
    return SETTINGS | dict(zip(names, SIZES[size], strict=True)) | only | vocabulary | masks | how | others


def new_model(settings: dict[str, Any]) -> Any:
    """The model of these settings with random weights, on the CPU."""
    import torch

    from videobert.model.configuration_videobert import VideoBertConfig
    from videobert.model.modeling_videobert import VideoBertForPreTraining

    torch.manual_seed(settings["seed"])
    names = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
    weights = ("text_weight", "video_weight", "text_video_weight", "alignment_weight")
    config = VideoBertConfig(
        vocab_size=settings["words"],
        visual_words=settings["visual_words"],
        max_position_embeddings=settings["max_length"],
        hidden_dropout_prob=settings["dropout"],
        attention_probs_dropout_prob=settings["dropout"],
        pad_token_id=0,
        initializer_range=0.02 * (1024 / settings["hidden_size"]) ** 0.5,  # as in the stage
        **{name: settings[name] for name in names + weights},
    )
    return VideoBertForPreTraining(config)


def stepper(settings: dict[str, Any], mean: int, precision: str, device: str) -> tuple[Callable[[], Any], list, Any]:
    """(a function that trains one step and returns the loss, the batches it takes in turn, the model)."""
    import torch

    bf16, allowed = PRECISIONS[precision]
    tf32(allowed)
    examples = corpus(settings, mean)
    size = settings["batch_size"]
    batches = [examples.collate([examples[i] for i in range(n * size, (n + 1) * size)]) for n in range(4)]
    model = new_model(settings).to(device).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=settings["learning_rate"], fused=device == "cuda" or None)
    turn = iter(range(10**9))

    def step() -> Any:
        batch = {name: tensor.to(device) for name, tensor in batches[next(turn) % 4].items()}
        with torch.autocast(device, torch.bfloat16, enabled=bf16):
            loss = model(**batch).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss

    return step, batches, model


def step_speed(size: str, precision: str, length: int, mean: int, setup: Setup) -> str:
    """Speed of training steps alone. The batch is halved until it fits into the GPU's memory."""
    import torch

    batch = 4 if setup.tiny else 32
    while True:
        memory(setup.device)
        step = batches = model = None
        try:
            settings = training(size, length, setup, batch_size=batch)
            step, batches, model = stepper(settings, mean, precision, setup.device)
            seconds = pace(step, setup.device, 0.1 if setup.tiny else 4.0, 40)
            break
        except torch.OutOfMemoryError:
            if batch == 1:
                raise
            batch //= 2
    tokens = sum(int(one["attention_mask"].sum()) for one in batches) / len(batches)
    full = tokens * len(batches) / sum(one["attention_mask"].numel() for one in batches)
    flops = sum(model_flops(model, one) for one in batches) / len(batches) / seconds
    rows = f"batch {batch}, {1 - full:.0%} of it padding"
    return f"{tokens / seconds:,.0f} tokens a second; {share(flops, setup.device)}; {rows}; {memory(setup.device)}"


def model_flops(model: Any, batch: dict[str, Any]) -> float:
    """Model FLOPs of a training step on this batch, as the top of this file defines them."""
    config = model.config
    lengths = batch["attention_mask"].sum(1).double()
    words, masked = config.vocab_size, batch["labels"][batch["labels"] >= 0]
    encoder = sum(weight.numel() for weight in model.videobert.encoder.parameters())
    attention = 12 * config.num_hidden_layers * config.hidden_size * float((lengths**2).sum())
    heads = config.hidden_size * (
        int((masked < words).sum()) * (config.hidden_size + words)
        + int((masked >= words).sum()) * (config.hidden_size + config.visual_words)
    )
    return 6 * encoder * float(lengths.sum()) + attention + 6 * heads


def share(flops: float, device: str) -> str:
    """Model FLOPs a second in words, with the share of the card's peak where that is known."""
    import torch

    name = torch.cuda.get_device_name() if device == "cuda" else "the CPU"
    peak = next((peak for key, peak in PEAKS.items() if key.lower() in name.lower()), None)
    words = f"{flops / 1e12:,.1f} TFLOP/s"
    return f"{words}, {flops / 1e12 / peak:.1%} of {peak}" if peak else f"{words} (peak of {name} not known)"


def trainer_speed(size: str, length: int, mean: int, setup: Setup) -> str:
    """Speed of the stage's own Trainer: collation, copies, logging and the optimiser as they are."""
    need(accelerate="transformers' Trainer needs it")
    notes = stand_ins()
    from transformers import TrainerCallback

    from videobert.model.training import make_trainer, training_arguments

    tf32(False)
    steps = 4 if setup.tiny else 30
    settings = training(size, length, setup, bf16=True, max_steps=steps, logging_steps=10)
    examples = corpus(settings, mean)
    clock: list[float] = []

    class Clock(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **others: Any) -> None:
            if state.global_step in (2, steps):
                wait(setup.device)
                clock.append(time.perf_counter())

    memory(setup.device)
    with tempfile.TemporaryDirectory() as scratch, quiet():
        execution = {"save_steps": 10**6, "device": setup.device, "gradient_accumulation_steps": 1}
        named = SimpleNamespace(**settings | execution)
        arguments = training_arguments(Path(scratch), named, named)
        trainer = make_trainer(new_model(settings), arguments, examples, Path(scratch) / "runs")
        trainer.add_callback(Clock())
        trainer.train()
    batch = settings["batch_size"]
    tokens = sum(len(examples[index][0].input.ids) for index in range(2 * batch, steps * batch))
    return f"{tokens / (clock[1] - clock[0]):,.0f} tokens a second; batch {batch}; {memory(setup.device)}{notes}"


def waits(size: str, length: int, mean: int, setup: Setup) -> str:
    """How often the CPU waits for the GPU in a step, and in which lines."""
    import torch

    if not setup.on_gpu:
        return "nothing to wait for on a CPU"
    step, _, _ = stepper(training(size, length, setup), mean, "bf16", setup.device)
    step()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            step()
        finally:
            torch.cuda.set_sync_debug_mode("default")
    waits_ = [one for one in caught if "synchroniz" in str(one.message)]
    places = Counter(f"{Path(one.filename).name}:{one.lineno}" for one in waits_)
    return f"{len(waits_)} times: " + ", ".join(f"{place} ({count})" for place, count in places.most_common(12))


def profile(size: str, length: int, mean: int, setup: Setup) -> str:
    """The operators that take most time of a step, themselves."""
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as profiler

    step, _, _ = stepper(training(size, length, setup), mean, "bf16", setup.device)
    for _ in range(2):
        step()
    wait(setup.device)
    kinds = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if setup.on_gpu else [])]
    with profiler(activities=kinds) as seen:
        step()
        wait(setup.device)
    key = "self_device_time_total" if setup.on_gpu else "self_cpu_time_total"
    times = {event.key: getattr(event, key) for event in seen.key_averages() if event.key.startswith("aten::")}
    whole = sum(times.values()) or 1
    best = sorted(times, key=times.get, reverse=True)[:8]
    return ", ".join(f"{name.removeprefix('aten::')} {times[name] / whole:.0%}" for name in best)


# Pretraining: the same numbers ----------------------------------------------------------------------------------------


SMALL = {"hidden_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 256}


def small(setup: Setup, **others: Any) -> dict[str, Any]:
    """The stage's settings for the checks of numbers."""
    sizes = {} if setup.tiny else SMALL | {"batch_size": 32}
    return SETTINGS | sizes | {"device": setup.device} | others


def world(folder: Path, setup: Setup) -> dict[str, Path]:
    """The tests' small corpus: real sentences, made-up visual words."""
    need(pyarrow="the tables", tokenizers="the vocabulary", safetensors="the codebook")
    import synthetic

    return synthetic.world(folder, videos=12 if setup.tiny else 60, words=66, noise=0.1)


def small_examples(paths: dict[str, Path], settings: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """(the stage's examples of the small corpus, the settings with the sizes of its vocabularies)."""

    from videobert.model.examples import Examples
    from videobert.model.sequences import read_segments, read_vocabulary

    words = read_vocabulary(paths["vocabulary"] / "tokenizer.json", 66)
    files = sorted(paths["tokens"].glob("*.parquet"))
    examples = Examples(read_segments(files, "train"), words, SimpleNamespace(**settings))
    return examples, settings | {"words": words.vocab_size, "visual_words": words.visual_words}


def losses(setup: Setup) -> Iterator[Measurement]:
    """The loss of each of 50 steps, on the CPU in float32 and on the GPU, without dropout."""
    steps = 5 if setup.tiny else 50
    folder = Path(tempfile.mkdtemp())
    settings = small(setup, dropout=0.0, max_steps=steps)
    examples, settings = small_examples(world(folder, setup), settings)
    tf32(False)
    expected = curve(examples, settings, "cpu", "float32", steps)
    for precision, most in (("float32", 0.01), ("TF32", 0.1), ("bf16", 0.2)):

        def compare(precision: str = precision, most: float = most) -> str:
            found = curve(examples, settings, setup.device, precision, steps)
            gaps = [abs(one - other) for one, other in zip(found, expected, strict=True)]
            words = f"largest difference of {steps} losses {max(gaps):.1e} (of the first: {gaps[0]:.1e})"
            words += f"; loss from {found[0]:.3f} to {found[-1]:.3f}"
            if not max(gaps) <= most:
                raise Wrong(f"{words}; at most {most} was expected")
            return words

        yield f"{setup.device} in {precision}, beside the CPU in float32", compare


def curve(examples: Any, settings: dict[str, Any], device: str, precision: str, steps: int) -> list[float]:
    """The losses of training steps from the same start."""
    import torch

    bf16, allowed = PRECISIONS[precision]
    tf32(allowed)
    model = new_model(settings).to(device).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=settings["learning_rate"])
    size, found = settings["batch_size"], []
    for step in range(steps):
        batch = examples.collate([examples[index] for index in range(step * size, (step + 1) * size)])
        with torch.autocast(device, torch.bfloat16, enabled=bf16):
            loss = model(**{name: tensor.to(device) for name, tensor in batch.items()}).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        found.append(loss.detach().float())
    tf32(False)
    return torch.stack(found).tolist()


# Pretraining: going on from a checkpoint ------------------------------------------------------------------------------


class Stopped(Exception):
    """Ends a training run in the middle of a step."""


def resume(setup: Setup) -> Iterator[Measurement]:
    """A run of the stage that is stopped after its first checkpoint and started again, beside two undisturbed ones."""
    need(accelerate="transformers' Trainer needs it")
    folder = Path(tempfile.mkdtemp())
    paths = world(folder / "world", setup)
    steps = 8 if setup.tiny else 60
    for bf16 in (False,) if setup.tiny else (False, True):
        every = {"max_steps": steps, "save_steps": steps // 2, "logging_steps": steps // 4, "bf16": bf16}

        def run(bf16: bool = bf16, every: dict[str, Any] = every) -> str:
            return resumed(paths, folder / f"bf16-{bf16}", small(setup, **every))

        yield f"{'bf16' if bf16 else 'float32'}, {steps} steps, dropout 0.1, stopped after {3 * steps // 4}", run


def resumed(paths: dict[str, Path], folder: Path, settings: dict[str, Any]) -> str:
    notes = stand_ins()
    from calls import pretrain

    from videobert.model.examples import Examples

    said = io.StringIO()
    with quiet():
        pretrain(**paths, output=folder / "first", **settings)
        pretrain(**paths, output=folder / "second", **settings)
    get = Examples.__getitem__
    last = 3 * settings["max_steps"] // 4 * settings["batch_size"]

    def stopping(self: Any, index: int) -> Any:
        if index >= last:
            raise Stopped
        return get(self, index)

    Examples.__getitem__ = stopping
    try:
        with quiet(), contextlib.suppress(Stopped):
            pretrain(**paths, output=folder / "stopped", **settings)
    finally:
        Examples.__getitem__ = get
    if (folder / "stopped" / "model.safetensors").exists():
        raise Wrong("the run that was to be stopped has finished")
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
        pretrain(**paths, output=folder / "stopped", **settings)
    if "going on from checkpoint-" not in said.getvalue():
        raise Wrong("the run that was stopped began anew, not from its checkpoint")
    chance, gap = (call_isolated(folder / "first", folder / name) for name in ("second", "stopped"))
    words = ["bit-equal" if value == 0 else f"weights {value:.1e} apart at most" for value in (chance, gap)]
    result = f"stopped and resumed: {words[1]}; two undisturbed runs: {words[0]}{notes}"
    # Where the GPU itself adds in any order, the resumed run is no nearer to the first than a second one.
    if gap > max(10 * chance, 1e-6):
        raise Wrong(result)
    return result


def call_isolated(one: Path, other: Path) -> float:
    """The largest difference of two model folders' weights; 0 if they are equal in each bit.

    Attention does not depend on the bias of its keys: it has a gradient of rounding errors, which Adam blows up.
    """
    from safetensors.torch import load_file

    first, second = (load_file(folder / "model.safetensors") for folder in (one, other))
    return max(
        float((weight - second[name]).abs().max()) for name, weight in first.items() if not name.endswith("key.bias")
    )


@functools.cache
def stand_ins() -> str:
    """Puts stand-ins for packages that only draw or log, where they are missing; says so, for the row."""
    missing = [name for name in ("matplotlib", "tensorboard") if importlib.util.find_spec(name) is None]
    if "matplotlib" in missing:
        from unittest.mock import MagicMock

        class Figure(MagicMock):
            def savefig(self, path: Path, **others: Any) -> None:
                Path(path).touch()

        empty_module("matplotlib")
        empty_module("matplotlib.figure").Figure = Figure
    if "tensorboard" in missing:
        import transformers.integrations
        from transformers import TrainerCallback

        empty_module("torch.utils.tensorboard").SummaryWriter = lambda folder: None
        transformers.integrations.TensorBoardCallback = lambda writer: TrainerCallback()
    return f" (with stand-ins for {', '.join(missing)})" if missing else ""


def empty_module(name: str) -> Any:
    """A new module of this name, ready to be imported."""
    sys.modules[name] = module = types.ModuleType(name)
    module.__spec__ = importlib.machinery.ModuleSpec(name, None)  # or whoever looks for it again gets an error
    return module


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without the progress bars and warnings of the Trainer; what it said is shown when it fails."""
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            yield
    except Stopped:
        raise
    except BaseException:
        print(said.getvalue()[-2000:], file=sys.stderr)
        raise


# Evaluation -----------------------------------------------------------------------------------------------------------


def evaluation(setup: Setup) -> Iterator[Measurement]:
    """Zero-shot classification by the same model on both: the ranks of all verbs and objects."""
    folder = Path(tempfile.mkdtemp())
    paths = world(folder / "world", setup)
    steps = 10 if setup.tiny else 300
    only = {"text_weight": 0.0, "video_weight": 0.0, "alignment_weight": 0.0, "mask_probability": 0.5}
    settings = small(setup, dropout=0.0, max_steps=steps, learning_rate=0.002, **only)
    examples, settings = small_examples(paths, settings)
    model = trained(examples, settings, setup.device, steps)
    model.save_pretrained(folder / "model")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / "model" / name).write_bytes((paths["vocabulary"] / name).read_bytes())
    expected = ranked(folder / "model", paths, "cpu")
    for name, allowed in (("float32", False), ("TF32 of matrix products on", True)):

        def compare(allowed: bool = allowed) -> str:
            tf32(allowed)
            found = ranked(folder / "model", paths, setup.device)
            tf32(False)
            return same_ranks(found, expected, 0.05 if allowed else 0.001)

        yield f"zero-shot, {name}, beside the CPU", compare


def trained(examples: Any, settings: dict[str, Any], device: str, steps: int) -> Any:
    """A model after some training, on the CPU: an untrained one ranks all labels nearly alike."""
    import torch

    model = new_model(settings).to(device).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=settings["learning_rate"])
    size = settings["batch_size"]
    for step in range(steps):
        batch = examples.collate([examples[index] for index in range(step * size, (step + 1) * size)])
        loss = model(**{name: tensor.to(device) for name, tensor in batch.items()}).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model.cpu().eval()


def ranked(model: Path, paths: dict[str, Path], device: str) -> dict[str, list]:
    """For each test step, its verbs and objects with their probabilities, best first; and the steps' own labels."""

    from calls import steps_files

    from videobert.evaluation.ranking import rank_labels
    from videobert.evaluation.steps import clips_of_videos, read_steps, select_between
    from videobert.model.predictor import Predictor
    from videobert.model.sequences import read_segments

    predictor = Predictor(model, 32, device)
    clips = clips_of_videos(read_segments(sorted(paths["tokens"].glob("*.parquet")), "test"))
    every = read_steps(steps_files("kitchen", paths["manifest"]), "kitchen")
    steps = [step for step in every if step.video_id in clips]
    videos = [select_between(*clips[step.video_id], step.start, step.end) for step in steps]
    labels = {part: sorted({getattr(step, part) for step in every}) for part in ("verb", "object")}
    found = rank_labels(predictor, "now let me show you how to [MASK] the [MASK]", labels, videos)
    return {**found, "truth": [step.verb for step in steps]}


def same_ranks(found: dict[str, list], expected: dict[str, list], most: float) -> str:
    """How far two rankings agree, in words. Raises Wrong when a probability differs by more than `most`."""
    pairs = [pair for part in ("verb", "object") for pair in zip(found[part], expected[part], strict=True)]
    names = [([label for label, _ in one], [label for label, _ in other]) for one, other in pairs]
    same = sum(one == other for one, other in names)
    first = sum(one[0] == other[0] for one, other in names)
    gap = max(abs(dict(one)[label] - share) for one, other in pairs for label, share in other)
    right = sum(one[0][0] == verb for one, verb in zip(found["verb"], found["truth"], strict=True))
    words = (
        f"{same} of {len(pairs)} rankings the same, {first} with the same first label; probabilities {gap:.1e} apart"
    )
    words += f" at most; {right / len(found['truth']):.0%} of the verbs right"
    if not gap <= most:
        raise Wrong(f"{words}; at most {most} apart was expected")
    return words


# The tests ------------------------------------------------------------------------------------------------------------


def tests(setup: Setup) -> Iterator[Measurement]:
    """pytest's tests that are marked `gpu`."""
    yield "pytest -m gpu", lambda: pytest_marked(setup)


def pytest_marked(setup: Setup) -> str:
    need(pytest="the tests")
    # Without conftest.py, which needs more packages than these tests do.
    options = ["-m", "gpu", "-q", "-rfEs", "--tb=short", "--noconftest", "-p", "no:cacheprovider", "-o", "addopts="]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    if not setup.on_gpu:
        environment["CUDA_VISIBLE_DEVICES"] = ""
    command = [sys.executable, "-m", "pytest", *options, str(ROOT / "tests" / "test_gpu.py")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment)
    lines = done.stdout.strip().splitlines() or [done.stderr.strip()[-300:]]
    if done.returncode:
        print(done.stdout + done.stderr, file=sys.stderr)
        raise Wrong("; ".join([lines[-1], *(line for line in lines if line.startswith(("FAILED", "ERROR")))]))
    reasons = sorted({line.rsplit(": ", 1)[-1] for line in lines if line.startswith("SKIPPED")})
    return lines[-1].strip("= ") + (f" (skipped: {', '.join(reasons)})" if reasons else "")


# The run --------------------------------------------------------------------------------------------------------------


# Each part, and its seconds; together less than 8 minutes. First what tells most of what works.
PARTS: dict[str, tuple[Callable[[Setup], Iterator[Measurement]], int]] = {
    "s3d": (s3d, 95),
    "resume": (resume, 60),
    "losses": (losses, 40),
    "evaluation": (evaluation, 40),
    "pretrain": (speed, 125),
    "tests": (tests, 75),
    "whisper": (whisper, 40),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, help="the table's file (Markdown)")
    parser.add_argument("--parts", default=",".join(PARTS), help="parts to run, with commas (all: %(default)s)")
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    parser.add_argument("--tiny", action="store_true", help="tiny sizes; always so on a CPU")
    parser.add_argument("--whisper", default="tiny.en", help="size or path of the Whisper model")
    parser.add_argument("--in-process", action="store_true", help="all parts in this process, without bounds of time")
    parser.add_argument("--rows", type=Path, help=argparse.SUPPRESS)  # for the process of a part: where its rows go
    options = parser.parse_args()
    parts = options.parts.split(",")
    if unknown := sorted(set(parts) - set(PARTS)):
        parser.error(f"--parts: there is no {', '.join(unknown)}; there are {', '.join(PARTS)}")
    if importlib.util.find_spec("torch") is None:
        parser.error("torch is not installed here, and without it there is nothing to measure")
    import torch

    here = torch.cuda.is_available()
    if options.device == "cuda" and not here:
        parser.error("--device cuda, but torch sees no GPU here")
    device = "cuda" if here and options.device != "cpu" else "cpu"
    setup = Setup(device, options.tiny or device == "cpu", options.whisper)
    if options.rows:
        (part,) = parts
        with open(options.rows, "a", encoding="utf-8") as file:
            for row in rows_of(part, setup, START):
                file.write(json.dumps(row) + "\n")
                file.flush()
        return 0
    if device == "cpu":
        print("gpu: no GPU is used: tiny sizes on the CPU, to see that the checks run", file=sys.stderr)
    run = rows_of if options.in_process else apart_rows
    head = header(setup)  # before the parts change how torch is set
    with tempfile.TemporaryDirectory() as scratch:
        tempfile.tempdir = scratch  # what a part leaves goes with the folder
        rows = [row for part in parts for row in run(part, setup)]
        tempfile.tempdir = None
    text = head + table(rows)
    print(text)
    output = options.output or (default_output() if device == "cuda" else None)
    if output:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(text, encoding="utf-8")
        print(f"gpu: written to {output}", file=sys.stderr)
    return int(any(row["state"] == "failed" for row in rows))


def rows_of(part: str, setup: Setup, start: float | None = None) -> Iterator[dict[str, str]]:
    """Runs a part, a row for each measurement; what goes wrong becomes a row. `start`: when its time began to count."""
    measurements, seconds = PARTS[part]
    start = start or time.monotonic()
    rows = measurements(setup)
    while True:
        what, measure = "setting up", lambda: ""
        try:
            what, measure = next(rows)
        except StopIteration:
            return
        except Exception as error:
            yield row(part, what, *verdict(error))
            return
        # The parent stops a part at its seconds; what is begun late would be lost without a word.
        if time.monotonic() - start > 0.85 * seconds:
            yield row(part, what, f"not begun: {seconds} s are all that this part has", "failed")
            continue
        try:
            yield row(part, what, measure(), "ok")
        except Exception as error:
            yield row(part, what, *verdict(error))


def verdict(error: Exception) -> tuple[str, str]:
    """(what to say of it in one line, the state of its row)."""
    if isinstance(error, Missing):
        return f"missing: {one_line(error)}", "missing"
    name = getattr(error, "name", None) or ""
    if isinstance(error, ModuleNotFoundError) and name.split(".")[0] not in (
        "",
        "videobert",
        "synthetic",
        "openai_checkpoint",
    ):
        return f"missing: {name}", "missing"
    if isinstance(error, Wrong):
        return one_line(error), "failed"
    traceback.print_exception(error)
    return f"{type(error).__name__}: {one_line(error)}", "failed"


def one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]


def row(part: str, what: str, result: str, state: str) -> dict[str, str]:
    print(f"gpu: {part}: {what}: {result} [{state}]", file=sys.stderr, flush=True)
    return {"part": part, "what": what, "result": result, "state": state}


def apart_rows(part: str, setup: Setup) -> list[dict[str, str]]:
    """Runs a part in a process of its own, which is stopped with all its children when its time is over."""
    seconds = PARTS[part][1]
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "rows"
        file.touch()
        command = [sys.executable, str(Path(__file__).resolve()), "--parts", part, "--rows", str(file)]
        command += ["--device", setup.device, "--whisper", setup.whisper, *(["--tiny"] if setup.tiny else [])]
        environment = {**os.environ, "TMPDIR": scratch}
        process = subprocess.Popen(command, start_new_session=True, env=environment)
        ended = None
        try:
            code = process.wait(seconds)
            if code:
                ended = f"its process ended with {signal.Signals(-code).name if code < 0 else f'exit code {code}'}"
        except subprocess.TimeoutExpired:
            ended = f"stopped after its {seconds} s"
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    return rows + ([row(part, "the part", ended, "failed")] if ended else [])


def header(setup: Setup) -> str:
    """What ran where, as Markdown."""
    versions = {}
    for name in ("torch", "transformers", "numpy"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    import torch

    name, driver = gpu()
    if setup.on_gpu:
        device = f"{name}, driver {driver}, CUDA {torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}"
    else:
        device = f"no GPU was used; CPU ({platform.processor() or platform.machine()}), {os.cpu_count()} cores"
    flags = {"convolutions": torch.backends.cudnn.allow_tf32, "matrix products": torch.backends.cuda.matmul.allow_tf32}
    states = {name: "on" if allowed else "off" for name, allowed in flags.items()}
    sizes = "tiny sizes: the figures tell nothing but that the checks run" if setup.tiny else "full sizes"
    lines = [
        "# GPU check",
        "",
        f"- device: {device}",
        f"- sizes: {sizes}",
        f"- TF32 as torch has it: {', '.join(f'{name} {state}' for name, state in states.items())}",
        f"- versions: Python {platform.python_version()}, {', '.join(f'{key} {versions[key]}' for key in versions)}",
        f"- date: {time.strftime('%Y-%m-%d')}",
        f"- command: python {' '.join(['benchmarks/gpu.py', *sys.argv[1:]])}",
        "",
        "",
    ]
    return "\n".join(lines)


def gpu() -> tuple[str, str]:
    """(name of the first GPU, version of its driver), as nvidia-smi has them."""
    query = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True)
        name, driver = done.stdout.splitlines()[0].split(", ")
        return name, driver
    except (OSError, subprocess.SubprocessError, IndexError, ValueError):
        return "a GPU", "not known"


def table(rows: list[dict[str, str]]) -> str:
    """The rows as a Markdown table."""
    lines = ["| part | what | result | state |", "| --- | --- | --- | --- |"]
    for one in rows:
        cells = [one[key].replace("|", "\\|") for key in ("part", "what", "result", "state")]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def default_output() -> Path:
    name = "-".join("".join(letter if letter.isalnum() else " " for letter in gpu()[0]).lower().split())
    return ROOT / "benchmarks" / "results" / f"gpu-{name}-{time.strftime('%Y-%m-%d')}.md"


if __name__ == "__main__":
    sys.exit(main())
