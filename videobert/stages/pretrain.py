"""Pretraining: masked words, masked visual words and alignment, trained with transformers' Trainer.

An epoch visits each sentence that has clips twice with words and visual words masked, once whole with its own video and
once whole with that of a sentence of another video (alignment 1 and 0), and once alone (text only); and each window of
video once (video only). An objective of weight 0 leaves its visits out. A sentence with video may be joined with the
next one of its video, and the visual words are thinned by a random stride, both as in the paper: so the model is used
to speech that is off in time and to actions of any speed. Example i of the whole
run is a pure function of (seed, i): its epoch, its place in that epoch's permutation, the masks, the other video. So
a run that goes on from a checkpoint skips to where it was without replaying anything.

Checkpoints lie in `checkpoints` of the output folder, which no rule declares, so that they survive a killed job; the
same command then goes on from the last whole one, on a CPU to the same bits (videobert/model/checkpoints.py). Each of these
folders may be a link to another disk. The train segments lie beside them in
`segments` while it trains, for the processes to map instead of each holding its own. `runs` holds TensorBoard's event files,
a folder for each training, so that trainings with other settings are separate runs there and a resumed one stays one run. They
contain dates and host names: they are for watching, not part of the result.

Several processes (videobert/model/launching.py) share each batch: together they see the examples that one would see, and the
losses are divided by what all of them have to predict, so that any number of processes trains the same model. (With dropout
the numbers drawn differ, and without it the sums' last bits.)

It stops before its last step when its time is nearly over (`runtime`) or when it is sent SIGTERM, and has then saved the step
where it is.
"""

import json
import math
import os
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from videobert.data.provenance import (
    atomic,
    common_provenance,
    make_provenance,
    read_provenance,
    read_table,
    sha256,
    with_provenance,
    write_json,
)
from videobert.data.tables import FeatureTables, open_features
from videobert.errors import UserError
from videobert.layout import ModelFolder
from videobert.model import initial_model as checkpoint
from videobert.model.checkpoints import checkpoints, clear, training_of
from videobert.model.examples import Examples
from videobert.model.launching import launch as launch  # the command line starts the processes by it
from videobert.model.processing_videobert import Vocabulary
from videobert.model.sequences import (
    Segments,
    TokenTables,
    memory_mapped,
    on_disk,
    open_tokens,
    read_vocabulary,
    with_features,
)
from videobert.model.settings import PretrainExecution, PretrainSettings
from videobert.model.training import make_trainer, train, training_arguments, training_curve
from videobert.settings import Inputs, Outputs
from videobert.vision.quantizer import Codebook, load

if TYPE_CHECKING:
    import numpy.typing as npt

    from videobert.model.modeling_videobert import VideoBertForPreTraining
    from videobert.model.trainer import ByObjective
    from videobert.model.validation import Validation

VERSION = 1


class PretrainInputs(Inputs):
    tokens: list[Path]
    """The token tables (Parquet), one for each shard."""
    centroids: Path
    """The codebook (safetensors)."""
    tokenizer: Path
    """tokenizer.json; the tokenizer's other files, beside it, are copied to the model, too."""
    features: list[Path]
    """The tables of features (Parquet), one for each shard, where `visual_input` or `regression_weight` asks for them; else
    one of them is enough, read for how features were made."""
    frames: Path
    """The same shard's frames ledger; read for how frames were made."""
    manifest: Path
    """The manifest (Parquet)."""


class PretrainOutputs(Outputs):
    model: Path
    """model.safetensors. Beside it stands all that a raw video needs: configuration, tokenizer, codebook, the settings of frames
    and features; and the training curve."""


def pretrain(
    inputs: PretrainInputs, outputs: PretrainOutputs, settings: PretrainSettings, execution: PretrainExecution
) -> None:
    """Pretrain the joint video-language model on the train split."""
    import torch

    ends = time.monotonic() + execution.runtime * 60 if execution.runtime else math.inf
    data = _open(inputs, settings)
    start = _initial_model(settings, data)
    settings = start.settings
    folder = outputs.model.parent
    arguments = training_arguments(folder, settings, execution)
    provenance = _provenance(data, start, execution, arguments.device.type)
    with arguments.main_process_first():
        if arguments.process_index == 0:
            _follow_links(folder)
            train_rows = data.tokens.segments("train", settings.lookahead, settings.share, settings.seed)
            on_disk(train_rows, _segments(folder), data.features if settings.needs_features else None)
    segments = memory_mapped(_segments(folder))
    if not len(segments):
        raise UserError(
            "no row of the token tables belongs to the split train: give more videos, or lower corpus.test_fraction, or "
            "set the column split in the list of videos"
        )
    torch.set_num_threads(execution.threads)
    examples = Examples(segments, data.vocabulary, settings)
    model = _build_model(data, start, segments)
    training = training_of(provenance)
    trainer = make_trainer(model, arguments, examples, folder / "runs" / training.name)
    validation = _validation(trainer, data, settings, training.name) if arguments.process_index == 0 else None
    parts = train(trainer, folder / "checkpoints", training, ends, validation)
    if arguments.process_index == 0:
        if len(parts) > 1:
            provenance["parts"] = parts
        statistics = {"curve": training_curve(trainer), "corpus": _corpus(segments, data)}
        if validation:
            statistics["validation"] = {"curve": validation.curve(), "best": validation.best}
        network = validation.best_model() if validation else cast("VideoBertForPreTraining", trainer.model)
        _write(network, data, statistics, ModelFolder(folder), provenance)
        _tidy_up(folder)


def _validation(trainer: "ByObjective", data: "_Data", settings: PretrainSettings, name: str) -> "Validation | None":
    """What measures the validation videos; None where it is not asked for, or there are none."""
    if settings.eval_steps is None:
        return None
    from videobert.model.validation import Validation

    segments = data.tokens.segments("validation", settings.lookahead)
    if len(segments) and settings.needs_features:
        segments = with_features(segments, data.features)
    if not len(segments):
        print(
            "pretrain: no video is for validation, so pretrain.eval_steps does nothing and the weights of the last step are "
            "kept: set corpus.validation_fraction, or the split validation in the list",
            file=sys.stderr,
        )
        return None
    return Validation(trainer, Examples(segments, data.vocabulary, settings), settings.eval_steps, name)


# Its working folders --------------------------------------------------------------------------------------------------


def _follow_links(folder: Path) -> None:
    """Makes the folders that links lead to where they are gone: the disks that people link to are swept now and then.

    Not those above them: a disk that is not mounted is not to be made. Raises UserError that names the link.
    """
    for link in (folder / "checkpoints", folder / "runs", folder / "segments"):
        if link.is_symlink() and not link.exists():
            try:
                Path(os.path.realpath(link)).mkdir()
            except OSError as error:
                raise UserError(
                    f"{link} is a link to {os.readlink(link)}, which is not there and cannot be made ({error.strerror}): "
                    "make that folder, or remove the link"
                ) from None


def _segments(folder: Path) -> Path:
    """Where the train segments lie. What else lies in a folder that a user linked is the user's."""
    segments = folder / "segments"
    return segments / "train" if segments.is_symlink() else segments


def _tidy_up(folder: Path) -> None:
    """Removes what was needed to train, the checkpoints last. A disk that refuses must not cost the model: Snakemake deletes that
    of a job that fails."""
    shutil.rmtree(_segments(folder), ignore_errors=True)
    clear(folder / "checkpoints")
    for path in (_segments(folder), *checkpoints(folder / "checkpoints")):
        if path.exists():
            print(f"pretrain: the model is written, but {path} cannot be removed: delete it", file=sys.stderr)


# What it reads --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Data:
    """The inputs, opened and checked to fit together."""

    tokens: TokenTables
    features: FeatureTables
    codebook: Codebook
    vocabulary: Vocabulary
    manifest: dict[str, dict[str, Any]]  # rows by video id
    preprocessing: dict[str, Any]  # how a raw video becomes visual words
    files: dict[str, bytes]  # what goes with the model as it is: tokenizer and codebook
    tokenizer_json: str
    sources: dict[str, Path | list[Path]]  # for the provenance


def _open(inputs: PretrainInputs, settings: PretrainSettings) -> _Data:
    """Raises UserError when a file is missing, or when they do not fit together."""
    tokens = open_tokens(inputs.tokens)
    tokens.check_made_with("codebook_sha256", inputs.centroids)
    tokens.check_made_with("vocabulary_sha256", inputs.tokenizer)
    if settings.needs_features:
        tokens.check_made_of(inputs.features)
    codebook = load(inputs.centroids)
    beside = sorted(path for path in inputs.tokenizer.parent.iterdir() if path.suffix in (".json", ".txt"))
    names = ("tokenizer", "special_tokens_map", "vocab")
    carried = [path for path in beside if path.name.startswith(names)]
    return _Data(
        tokens=tokens,
        features=open_features(inputs.features),
        codebook=codebook,
        vocabulary=read_vocabulary(
            inputs.tokenizer, codebook.words, codebook.depth if codebook.kind == "residual" else 1
        ),
        manifest={row["video_id"]: row for row in read_table(inputs.manifest).to_pylist()},
        preprocessing=_preprocessing(inputs, tokens),
        files={path.name: path.read_bytes() for path in [inputs.centroids, *carried]},
        tokenizer_json=inputs.tokenizer.read_text(encoding="utf-8"),
        sources={"tokens": inputs.tokens, "codebook": inputs.centroids, "vocabulary": inputs.tokenizer},
    )


def _preprocessing(inputs: PretrainInputs, tokens: TokenTables) -> dict[str, Any]:
    """How a raw video becomes visual words, from the provenance of one shard: all shards agree."""
    for fact in ("weights_sha256", "clip_seconds"):
        common_provenance([inputs.centroids, *inputs.features], fact)
    features, frames = read_provenance(inputs.features[0]), read_provenance(inputs.frames)
    if features["inputs"]["frames"] != sha256(inputs.frames):
        raise UserError(
            f"{inputs.features[0]} was made with other frames than those of {inputs.frames}: run the stage features again"
        )
    return {
        **frames["settings"],
        **features["settings"],
        **{name: features[name] for name in ("weights_sha256", "clip_seconds", "dimension")},
        "segment_length": tokens.provenance["settings"]["segment_length"],
    }


@dataclass(frozen=True)
class _Start:
    """What the model starts from: the settings, whose sizes are the checkpoint's, and the BERT if there is one."""

    settings: PretrainSettings
    bert: "checkpoint.Bert | None" = None
    has_head: bool = False


def _initial_model(settings: PretrainSettings, data: _Data) -> _Start:
    if settings.initial_model is None:
        return _Start(settings)
    bert, has_head = checkpoint.read(settings.initial_model, data.tokenizer_json, settings.max_length)
    sizes = {name: getattr(bert.config, name) for name in checkpoint.SIZES}
    head = "" if has_head else "; it has no head for masked words, so ours starts from nothing"
    print(f"pretrain: starting from {settings.initial_model}, {json.dumps(sizes)}{head}", file=sys.stderr)
    return _Start(settings.model_copy(update=sizes), bert, has_head)


def _provenance(data: _Data, start: _Start, execution: PretrainExecution, device: str) -> dict[str, Any]:
    used, facts = start.settings.fingerprint(), {}
    if start.bert:
        if Path(used["initial_model"]).is_dir():  # provenance holds no folder of this machine
            used["initial_model"] = Path(used["initial_model"]).resolve().name
        facts["initial_model_sha256"] = checkpoint.sha256(start.bert, start.has_head)
    executed = execution.model_dump(exclude={"runtime"}) | {"device": device}  # the same bytes on a cluster
    packages = ("torch", "transformers")
    return make_provenance("pretrain", VERSION, used, data.sources, packages, execution=executed, **facts)


# The model ------------------------------------------------------------------------------------------------------------


def _build_model(data: _Data, start: _Start, segments: Segments) -> "VideoBertForPreTraining":
    """The model before the first step: what the codebook and the checkpoint know, and random numbers."""
    import torch

    from videobert.model.configuration_videobert import VideoBertConfig
    from videobert.model.modeling_videobert import VideoBertForPreTraining

    settings, bert = start.settings, start.bert
    torch.manual_seed(settings.seed)
    weights = tuple(name for name in type(settings).model_fields if name.endswith("_weight"))
    # BERT-Large's 0.02, at other widths too: what a layer gives shrinks with the width, and a narrow encoder that
    # starts with 0.02 needs many steps before its attention moves anything.
    shape = {"initializer_range": round(0.02 * (1024 / settings.hidden_size) ** 0.5, 6)}
    if bert:
        shape = {name: getattr(bert.config, name) for name in checkpoint.SHAPE}
    config = VideoBertConfig(
        vocab_size=data.vocabulary.vocab_size,
        visual_words=data.vocabulary.visual_words,
        visual_levels=data.vocabulary.visual_levels,
        max_position_embeddings=settings.max_length,
        hidden_dropout_prob=settings.dropout,
        attention_probs_dropout_prob=settings.dropout,
        pad_token_id=data.vocabulary.pad,
        lookahead=settings.lookahead,
        visual_input=settings.visual_input,
        feature_size=data.features.dimension if settings.needs_features else 0,
        **{name: getattr(settings, name) for name in checkpoint.SIZES + weights},
        **shape,
    )
    model = VideoBertForPreTraining(config)
    if settings.visual_embeddings == "centroids":
        model.start_from_centroids(torch.from_numpy(_embedded(data.codebook)), settings.seed)
    if segments.features is not None:
        model.start_from_features(segments.features)
    if bert:
        checkpoint.start(model, bert, start.has_head, data.vocabulary)
    model.videobert.embeddings.video.requires_grad_(not settings.freeze_visual_embeddings)
    return model


def _embedded(codebook: Codebook) -> "npt.NDArray[np.float32]":
    """The centroids that have an embedding, (embeddings, dimension): the leaves of a tree, or all levels of a residual
    codebook."""
    return np.concatenate(codebook.centroids) if codebook.kind == "residual" else codebook.centroids[-1]


# What it writes -------------------------------------------------------------------------------------------------------


def _corpus(segments: Segments, data: _Data) -> dict[str, Any]:
    """What the model has seen, for its card: the train videos that gave tokens."""
    videos = [data.manifest.get(video, {}) for video in segments.videos]
    windows = np.diff(segments.video_offsets)[~segments.paired]  # each clip stands in one
    return {
        "videos": len(videos),
        "kitchen_videos": sum(str(video.get("source")).startswith("kitchen:") for video in videos),
        "sentences": int(segments.paired.sum()),
        "hours": round(int(windows.sum()) * data.preprocessing["clip_seconds"] / 3600, 4),
    }


def _write(
    network: "VideoBertForPreTraining",
    data: _Data,
    statistics: dict[str, Any],
    model: ModelFolder,
    provenance: dict[str, Any],
) -> None:
    """Writes the model folder, each file whole, the weights last."""
    folder = Path(model.folder)
    for name, content in data.files.items():
        with atomic(folder / name) as temporary:
            temporary.write_bytes(content)
    write_json(data.preprocessing, Path(model.preprocessing), provenance)
    write_json(statistics, Path(model.training), provenance)
    _plot(statistics["curve"], Path(model.plot))
    write_json({}, Path(model.provenance), provenance)
    with atomic(folder / ".saved") as saved:
        network.save_pretrained(saved)
        with atomic(Path(model.config)) as temporary:
            shutil.copyfile(saved / "config.json", temporary)
        with atomic(Path(model.weights)) as temporary:
            temporary.write_bytes(with_provenance((saved / "model.safetensors").read_bytes(), provenance))
    card = Path(model.card)
    if card.exists() and sha256(Path(model.weights)) not in card.read_text(encoding="utf-8"):
        card.unlink()  # it tells the figures of an earlier model; the stage evaluate writes it anew
    shutil.rmtree(folder / ".saved", ignore_errors=True)


def _plot(curve: list[dict[str, Any]], path: Path) -> None:
    from matplotlib.figure import Figure

    from videobert.model.trainer import PARTS

    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    for name in ("loss", *PARTS):
        points = [(entry["step"], entry[name]) for entry in curve if name in entry]
        if points:
            axes.plot(*zip(*points, strict=True), label=name.replace("_", " "))
    axes.set(xlabel="step", ylabel="loss", ylim=(0, None))
    axes.grid(alpha=0.3)
    if axes.lines:  # none in a run shorter than logging_steps
        axes.legend()
    with atomic(path) as temporary:
        figure.savefig(temporary, metadata={"Software": None})
