"""Pretraining: masked words, masked visual words and alignment, trained with transformers' Trainer.

An epoch visits each sentence that has clips twice with words and visual words masked, once whole with its own video and
once whole with that of a sentence of another video (alignment 1 and 0), and once alone (text only); and each window of
video once (video only). An objective of weight 0 leaves its visits out. A sentence with video may be joined with the
next one of its video, and the visual words are thinned by a random stride, both as in the paper: so the model is used
to speech that is off in time and to actions of any speed. Example i of the whole
run is a pure function of (seed, i): its epoch, its place in that epoch's permutation, the masks, the other video. So
a run that goes on from a checkpoint skips to where it was without replaying anything.

Checkpoints lie in `checkpoints` of the output folder, which no rule declares, so that they survive a killed job; the
same command then goes on from the last whole one, on a CPU to the same bits. The train segments lie beside them in
`segments` while it trains, for the processes to map instead of each holding its own. `runs` holds TensorBoard's event files,
with dates and host names in them: they are for watching, not part of the result.

Under `torchrun` the processes share each batch: together they see the examples that one would see, and the losses are
divided by what all of them have to predict, so that any number of processes trains the same model. (With dropout the
numbers drawn differ, and without it the sums' last bits.)
"""

import json
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

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
from videobert.errors import UserError
from videobert.model import initial_model as checkpoint
from videobert.model.examples import Examples
from videobert.model.sequences import (
    Segments,
    Vocabulary,
    fits,
    memory_mapped,
    on_disk,
    read_segments,
    read_vocabulary,
    token_files,
)
from videobert.model.training import PARTS, last_checkpoint, make_trainer, training_arguments
from videobert.vision.quantizer import Codebook, load

if TYPE_CHECKING:
    from transformers import Trainer

VERSION = 1


def pretrain(
    tokens: Path,
    codebook: Path,
    vocabulary: Path,
    features: Path,
    frames: Path,
    manifest: Path,
    output: Path,
    hidden_size: int,
    num_hidden_layers: int,
    num_attention_heads: int,
    intermediate_size: int,
    max_length: int,
    dropout: float,
    text_weight: float,
    video_weight: float,
    text_video_weight: float,
    alignment_weight: float,
    mask_probability: float,
    video_mask_probability: float,
    max_steps: int,
    batch_size: int,
    learning_rate: float,
    warmup_steps: int,
    weight_decay: float,
    save_steps: int,
    logging_steps: int,
    bf16: bool,
    device: Literal["auto", "cpu", "cuda"],
    seed: int,
    threads: int,
    video_stride: int,
    lookahead: int,
    concatenation: float,
    initial_model: str | None,
    visual_embeddings: Literal["centroids", "random"],
    freeze_visual_embeddings: bool,
    share: float,
) -> None:
    """Pretrain the joint video-language model on the train split.

    Args:
        tokens: folder of the token tables, one for each shard.
        codebook: folder of the codebook.
        vocabulary: folder of the tokenizer; it is copied to the model.
        features: folder of the features; read for how they were made.
        frames: folder of the frames' ledgers; read for how they were made.
        manifest: the manifest, which names the shards.
        output: folder of the model, with all that a raw video needs: config, weights, tokenizer, codebook, the settings
            of frames and features; and the training curve.
        hidden_size: width of the encoder; this and the next three are the checkpoint's when there is an initial_model.
        num_hidden_layers: layers of the encoder.
        num_attention_heads: attention heads of a layer.
        intermediate_size: width of the feed-forward layers.
        max_length: longest sequence, special tokens included; longer ones are cut.
        dropout: dropout of hidden states and attention.
        text_weight: weight of a masked token in a text-only sequence.
        video_weight: weight of a masked token in a video-only sequence.
        text_video_weight: weight of a masked token in a sequence of text and video.
        alignment_weight: weight of the mean alignment loss, beside the weighted mean over all masked tokens.
        mask_probability: share of the words that are masked.
        video_mask_probability: share of the visual words that are masked.
        max_steps: steps of the optimiser.
        batch_size: sequences in a step, over all processes.
        learning_rate: peak learning rate; it rises over the warm-up, then falls linearly to zero.
        warmup_steps: steps of the warm-up.
        weight_decay: weight decay of AdamW.
        save_steps: steps between checkpoints; a multiple of logging_steps.
        logging_steps: steps between points of the training curve.
        bf16: compute in bfloat16 where it is safe (autocast).
        device: where to train; auto takes a GPU when there is one.
        seed: seed of weights, order, masks and dropout.
        threads: CPU threads.
        video_stride: visual words are thinned by a random step of 1 to this many (the paper: 5; 1 keeps them all).
        lookahead: clips after a sentence that may join its segment, a random number of them, as far as the next
            sentence; speech runs ahead of sight.
        concatenation: probability that a sentence with video is joined with the next one of its video, and with all
            clips of the time of both.
        initial_model: a BERT to start from, by its name on the model hub or its folder; vocabulary.tokenizer must name
            the same; none: start from nothing.
        visual_embeddings: what the visual words start from: the codebook's centroids (projected to the encoder's
            width), or random numbers.
        freeze_visual_embeddings: keep them as they start.
        share: share of the train videos that is trained on (above 0, up to 1), a draw of the seed; a smaller share of a
            seed lies in its larger ones. Codebook and vocabulary are those of all train videos.
    """
    if save_steps % logging_steps:
        raise UserError(f"pretrain.save_steps ({save_steps}) must be a multiple of logging_steps ({logging_steps})")
    settings = {
        name: value
        for name, value in locals().items()
        if name
        not in (
            "tokens",
            "codebook",
            "vocabulary",
            "features",
            "frames",
            "manifest",
            "output",
            "save_steps",
            "device",
            "threads",
        )
    }
    if not 0 < share <= 1:
        raise UserError(f"pretrain.share ({share}) must be above 0 and at most 1")
    files = token_files(tokens, manifest)
    centroids, tokenizer = codebook / "centroids.safetensors", vocabulary / "tokenizer.json"
    fits(files, "codebook_sha256", centroids)
    fits(files, "vocabulary_sha256", tokenizer)
    preprocessing = _preprocessing(files[0], features, frames, centroids)
    bert, facts = None, {}
    if initial_model:
        bert, has_head = checkpoint.read(initial_model, tokenizer, max_length)
        sizes = {name: getattr(bert.config, name) for name in checkpoint.SIZES}
        settings |= sizes
        if Path(initial_model).is_dir():  # notes hold no folder of this machine
            settings["initial_model"] = Path(initial_model).resolve().name
        facts["initial_model_sha256"] = checkpoint.sha256(bert, has_head)
        head = "" if has_head else "; it has no head for masked words, so ours starts from nothing"
        print(f"pretrain: starting from {initial_model}, {json.dumps(sizes)}{head}", file=sys.stderr)
    provenance = make_provenance(
        "pretrain",
        VERSION,
        settings,
        {"tokens": files, "codebook": centroids, "vocabulary": tokenizer},
        packages=("torch", "transformers"),
        **facts,
    )
    arguments = training_arguments(output, settings, save_steps, device)
    with arguments.main_process_first():
        if arguments.process_index == 0:
            on_disk(read_segments(files, "train", lookahead, share, seed), output / "segments")
    segments = memory_mapped(output / "segments")
    if not len(segments):
        raise UserError(
            f"no token row in {tokens} belongs to the split train: give more videos, "
            "or lower corpus.test_fraction, or set the column split in the list of videos"
        )

    import torch

    torch.set_num_threads(threads)
    tree = load(codebook)
    words = read_vocabulary(tokenizer, tree.words)
    examples = Examples(segments, words, settings)
    if device == "cuda" and not torch.cuda.is_available():
        raise UserError("pretrain.device is cuda, but torch finds no GPU here; set it to auto or cpu")
    model = _model(settings, words, tree, bert.config if bert else None)
    if bert:
        checkpoint.start(model, bert, has_head, words)
        del bert
    model.videobert.embeddings.video.requires_grad_(not freeze_visual_embeddings)
    trainer = make_trainer(model, arguments, examples, output / "runs", provenance)
    with arguments.main_process_first():
        last = last_checkpoint(output / "checkpoints", provenance, clean=arguments.process_index == 0)
    if last:
        print(f"pretrain: going on from {last.name}", file=sys.stderr)
    trainer.train(resume_from_checkpoint=str(last) if last else None)
    if arguments.process_index == 0:
        _write(
            trainer, vocabulary, codebook, preprocessing, _corpus(segments, manifest, preprocessing), output, provenance
        )
        shutil.rmtree(output / "checkpoints")
        shutil.rmtree(output / "segments")


def _preprocessing(tokens: Path, features: Path, frames: Path, centroids: Path) -> dict[str, Any]:
    """How a raw video becomes visual words, from the notes of one shard: all shards agree."""
    table, ledger = features / tokens.name, frames / tokens.stem / "ledger.parquet"
    for fact in ("weights_sha256", "clip_seconds"):
        common_provenance([centroids, table], fact)
    network, pictures = read_provenance(table), read_provenance(ledger)
    if network["inputs"]["frames"] != sha256(ledger):
        raise UserError(f"{table} was made with other frames than those of {ledger}: run the stage features again")
    return {
        **pictures["settings"],
        **network["settings"],
        **{name: network[name] for name in ("weights_sha256", "clip_seconds", "dimension")},
        "segment_length": read_provenance(tokens)["settings"]["segment_length"],
    }


def _corpus(segments: Segments, manifest: Path, preprocessing: dict[str, Any]) -> dict[str, Any]:
    """What the model has seen, for its card: the train videos that gave tokens."""
    listed = {row["video_id"]: row for row in read_table(manifest).to_pylist()}
    videos = [listed.get(video, {}) for video in segments.videos]
    windows = np.diff(segments.video_offsets)[~segments.paired]  # each clip stands in one
    return {
        "videos": len(videos),
        "kitchen_videos": sum(str(video.get("source")).startswith("kitchen:") for video in videos),
        "sentences": int(segments.paired.sum()),
        "hours": round(int(windows.sum()) * preprocessing["clip_seconds"] / 3600, 4),
        "licenses": sorted({video["license"] for video in videos if video.get("license")}),
    }


def _model(settings: dict[str, Any], words: Vocabulary, tree: Codebook, bert: Any) -> Any:
    """A model that knows nothing but the codebook, of the shape of the config of a BERT (none: of BERT's own)."""
    import torch

    from videobert.model.configuration_videobert import VideoBertConfig
    from videobert.model.modeling_videobert import VideoBertForPreTraining

    torch.manual_seed(settings["seed"])
    weights = ("text_weight", "video_weight", "text_video_weight", "alignment_weight")
    # BERT-Large's 0.02, at other widths too: what a layer gives shrinks with the width, and a narrow encoder that
    # starts with 0.02 needs many steps before its attention moves anything.
    shape = {"initializer_range": round(0.02 * (1024 / settings["hidden_size"]) ** 0.5, 6)}
    if bert:
        shape = {name: getattr(bert, name) for name in checkpoint.SHAPE}
    config = VideoBertConfig(
        vocab_size=words.vocab_size,
        visual_words=words.visual_words,
        max_position_embeddings=settings["max_length"],
        hidden_dropout_prob=settings["dropout"],
        attention_probs_dropout_prob=settings["dropout"],
        pad_token_id=words.pad,
        lookahead=settings["lookahead"],
        **{name: settings[name] for name in checkpoint.SIZES + weights},
        **shape,
    )
    model = VideoBertForPreTraining(config)
    if settings["visual_embeddings"] == "centroids":
        model.start_from_centroids(torch.from_numpy(tree.centroids[-1]), settings["seed"])
    return model


def _write(
    trainer: "Trainer",
    vocabulary: Path,
    codebook: Path,
    preprocessing: dict[str, Any],
    corpus: dict[str, Any],
    output: Path,
    provenance: dict[str, Any],
) -> None:
    """Writes the model folder, each file whole, the weights last."""
    with atomic(output / "centroids.safetensors") as temporary:
        shutil.copyfile(codebook / "centroids.safetensors", temporary)
    write_json(preprocessing, output / "preprocessing.json", provenance)
    for path in sorted(vocabulary.glob("*.json")) + sorted(vocabulary.glob("*.txt")):
        if path.name.startswith(("tokenizer", "special_tokens_map", "vocab")):
            with atomic(output / path.name) as temporary:
                shutil.copyfile(path, temporary)
    keys = ("loss", *PARTS, "learning_rate")
    curve = [
        {"step": entry["step"], **{key: round(entry[key], 6) for key in keys if key in entry}}
        for entry in trainer.state.log_history
        if "loss" in entry
    ]
    write_json({"curve": curve, "corpus": corpus}, output / "training.json", provenance)
    _plot(curve, output / "training.png")
    write_json({}, output / "provenance.json", provenance)
    with atomic(output / ".saved") as folder:
        trainer.model.save_pretrained(folder)
        config, weights = folder / "config.json", folder / "model.safetensors"
        with atomic(output / "config.json") as temporary:
            shutil.copyfile(config, temporary)
        with atomic(output / "model.safetensors") as temporary:
            temporary.write_bytes(with_provenance(weights.read_bytes(), provenance))
    card = output / "README.md"
    if card.exists() and sha256(output / "model.safetensors") not in card.read_text():
        card.unlink()  # it tells the figures of an earlier model; the stage evaluate writes it anew
    shutil.rmtree(output / ".saved")


def _plot(curve: list[dict[str, Any]], path: Path) -> None:
    from matplotlib.figure import Figure

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
