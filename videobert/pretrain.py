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

import hashlib
import json
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from videobert import initial_model as checkpoint
from videobert.artefact import agreed, atomic, made_by, noted, read_table, sha256, write_json
from videobert.artefact import made as note_of
from videobert.codebook import Codebook, load
from videobert.errors import UserError
from videobert.sequences import (
    IGNORE,
    Neighbours,
    Segments,
    Vocabulary,
    fits,
    lay_out,
    lay_out_labels,
    mask_tokens,
    memory_mapped,
    on_disk,
    pad_examples,
    read_segments,
    shorten,
    token_files,
)
from videobert.sequences import (
    vocabulary as read_vocabulary,
)

if TYPE_CHECKING:
    from transformers import Trainer, TrainingArguments

VERSION = 1

PAIR, OWN, OTHER, TEXT_ONLY, VIDEO_ONLY = range(5)
PARTS = ("text_loss", "video_loss", "text_video_loss", "alignment_loss")
# A checkpoint is whole when this file, written last, is in it.
WHOLE = "whole"


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
    made = made_by(
        "pretrain",
        VERSION,
        settings,
        {"tokens": files, "codebook": centroids, "vocabulary": tokenizer},
        packages=("torch", "transformers"),
        **facts,
    )
    arguments = _arguments(output, settings, save_steps, device)
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
    trainer = _trainer(model, arguments, examples, output / "runs", made)
    with arguments.main_process_first():
        last = last_checkpoint(output / "checkpoints", made, clean=arguments.process_index == 0)
    if last:
        print(f"pretrain: going on from {last.name}", file=sys.stderr)
    trainer.train(resume_from_checkpoint=str(last) if last else None)
    if arguments.process_index == 0:
        _write(trainer, vocabulary, codebook, preprocessing, _corpus(segments, manifest, preprocessing), output, made)
        shutil.rmtree(output / "checkpoints")
        shutil.rmtree(output / "segments")


def _preprocessing(tokens: Path, features: Path, frames: Path, centroids: Path) -> dict[str, Any]:
    """How a raw video becomes visual words, from the notes of one shard: all shards agree."""
    table, ledger = features / tokens.name, frames / tokens.stem / "ledger.parquet"
    for fact in ("weights_sha256", "clip_seconds"):
        agreed([centroids, table], fact)
    network, pictures = note_of(table), note_of(ledger)
    if network["inputs"]["frames"] != sha256(ledger):
        raise UserError(f"{table} was made with other frames than those of {ledger}: run the stage features again")
    return {
        **pictures["settings"],
        **network["settings"],
        **{name: network[name] for name in ("weights_sha256", "clip_seconds", "dimension")},
        "segment_length": note_of(tokens)["settings"]["segment_length"],
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


class Examples:
    """The whole run's examples, as a map-style data set: example i is a pure function of (seed, i)."""

    def __init__(self, segments: Segments, words: Vocabulary, settings: dict[str, Any]):
        self.segments = segments
        self.words = words
        self.choices = words.choices()
        self.settings = settings
        has_text = np.diff(segments.text_offsets) > 0
        has_video = np.diff(segments.video_offsets) > 0
        self.pairs = np.flatnonzero(segments.paired & has_text & has_video)
        texts = np.flatnonzero(segments.paired & has_text)
        windows = np.flatnonzero(~segments.paired & has_video)
        visits = []
        if settings["text_video_weight"]:
            visits += [(PAIR, self.pairs)] * 2
        if settings["alignment_weight"] and len(np.unique(segments.group[self.pairs])) > 1:
            visits += [(OWN, self.pairs), (OTHER, self.pairs)]
        if settings["concatenation"]:
            self.neighbours = Neighbours(segments)
            self.joinable = self.pairs[self.neighbours.next[self.pairs] >= 0]
            # A joined text is shown with a joined video, its own or another's: if only true pairs were joined, their
            # length would give them away.
            self.others_join = len(np.unique(segments.group[self.joinable])) > 1
        if settings["text_weight"]:
            visits.append((TEXT_ONLY, texts))
        if settings["video_weight"]:
            visits.append((VIDEO_ONLY, windows))
        self.rows = np.concatenate([rows for _, rows in visits] or [[]]).astype(np.int64)
        self.kinds = np.concatenate([np.full(len(rows), kind) for kind, rows in visits] or [[]]).astype(np.int8)
        if not len(self.rows):
            raise UserError(
                "no train row serves an objective of weight above 0: raise one of pretrain.text_weight, video_weight, "
                "text_video_weight, or give videos with speech"
            )
        self._epoch, self._order = -1, np.empty(0, np.int64)

    def __len__(self) -> int:
        return self.settings["max_steps"] * self.settings["batch_size"]

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
        """(joint ids, token types, labels, alignment) of one example."""
        random = np.random.default_rng([self.settings["seed"], 1, index])
        visit = self._visit(index)
        kind, row = self.kinds[visit], self.rows[visit]
        join = self._joins(kind, row, random)
        text = self.neighbours.words_of(row) if join else self.segments.words_of(row)
        if kind == OTHER:
            row = self._of_another_video(row, self.joinable if join else self.pairs, random)
        video, own = self.segments.visual_words_of(row), self.segments.own[row]
        if join:
            video, own = self.neighbours.visual_words_of(row)
        if kind == TEXT_ONLY:
            video = video[:0]
        elif kind == VIDEO_ONLY:
            text = text[:0]
        else:
            video = video[: own + random.integers(len(video) - own + 1)]
        if len(video):
            stride = random.integers(1, self.settings["video_stride"] + 1)
            video = video[random.integers(min(stride, len(video))) :: stride]
        text, video = shorten(text, video + self.words.words, self.settings["max_length"])
        if kind in (OWN, OTHER):
            # Compared as they are: with the verb masked nobody could tell, and nothing is to be predicted from a wrong
            # partner, which would teach the model to ignore the other modality.
            ids, types = lay_out(text, video, self.words)
            return ids, types, np.full(len(ids), IGNORE), int(kind == OWN)
        text_labels, video_labels = text, video
        if len(text):
            probability = self.settings["mask_probability"]
            text, text_labels = mask_tokens(text, probability, self.choices[0], self.words.mask, random)
        if len(video):
            probability = self.settings["video_mask_probability"]
            video, video_labels = mask_tokens(video, probability, self.choices[1], self.words.mask, random)
        return *lay_out(text, video, self.words), lay_out_labels(text_labels, video_labels), IGNORE

    def _visit(self, index: int) -> int:
        epoch, place = divmod(index, len(self.rows))
        if epoch != self._epoch:
            self._order = np.random.default_rng([self.settings["seed"], 0, epoch]).permutation(len(self.rows))
            self._epoch = epoch
        return self._order[place]

    def _joins(self, kind: int, row: int, random: np.random.Generator) -> bool:
        """Whether this example is joined with the next sentence. Draws no number where none could be."""
        if not self.settings["concatenation"] or kind not in (PAIR, OWN, OTHER) or self.neighbours.next[row] < 0:
            return False
        if kind in (OWN, OTHER) and not self.others_join:
            return False
        return random.random() < self.settings["concatenation"]

    def _of_another_video(self, row: int, rows: np.ndarray, random: np.random.Generator) -> int:
        while True:
            other = rows[random.integers(len(rows))]
            if self.segments.group[other] != self.segments.group[row]:
                return other

    def collate(self, rows: list[tuple[np.ndarray, np.ndarray, np.ndarray, int]]) -> dict[str, Any]:
        return pad_examples(rows, self.words)


def last_checkpoint(folder: Path, made: dict[str, Any], clean: bool = True) -> Path | None:
    """The last whole checkpoint of a run with this note. With `clean`, removes broken ones and those of other runs."""
    mark = folder / "made"
    key = hashlib.sha256(json.dumps(made, sort_keys=True).encode()).hexdigest()
    if clean:
        if list(folder.glob("checkpoint-*")) and (not mark.exists() or mark.read_text() != key):
            print(f"pretrain: settings or inputs have changed, so {folder} is thrown away", file=sys.stderr)
            shutil.rmtree(folder)
        for broken in [path for path in folder.glob("checkpoint-*") if not (path / WHOLE).exists()]:
            shutil.rmtree(broken)
        with atomic(mark) as temporary:
            temporary.write_text(key)
    return max(
        (path.parent for path in folder.glob(f"checkpoint-*/{WHOLE}")),
        key=lambda path: int(path.name.split("-")[1]),
        default=None,
    )


def _model(settings: dict[str, Any], words: Vocabulary, tree: Codebook, bert: Any) -> Any:
    """A model that knows nothing but the codebook, of the shape of the config of a BERT (none: of BERT's own)."""
    import torch

    from videobert.model import VideoBertConfig, VideoBertForPreTraining

    torch.manual_seed(settings["seed"])
    weights = ("text_weight", "video_weight", "text_video_weight", "alignment_weight")
    # BERT-Large's 0.02, at other widths too: what a layer gives shrinks with the width, and a narrow encoder that
    # starts with 0.02 needs many steps before its attention moves anything.
    shape = {"initializer_range": round(0.02 * (1024 / settings["hidden_size"]) ** 0.5, 6)}
    if bert:
        shape = {name: getattr(bert, name) for name in checkpoint.SHAPE}
    config = VideoBertConfig(
        vocab_size=words.words,
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


def _arguments(output: Path, settings: dict[str, Any], save_steps: int, device: str) -> "TrainingArguments":
    import torch
    from transformers import TrainingArguments

    processes = int(os.environ.get("WORLD_SIZE", 1))
    if settings["batch_size"] % processes:
        size = settings["batch_size"]
        raise UserError(f"pretrain.batch_size ({size}) must be a multiple of the {processes} processes")
    arguments = TrainingArguments(
        output_dir=str(output / "checkpoints"),
        max_steps=settings["max_steps"],
        per_device_train_batch_size=settings["batch_size"] // processes,
        learning_rate=settings["learning_rate"],
        warmup_steps=settings["warmup_steps"],
        weight_decay=settings["weight_decay"],
        lr_scheduler_type="linear",
        logging_steps=settings["logging_steps"],
        save_steps=save_steps,
        save_total_limit=2,
        seed=settings["seed"],
        bf16=settings["bf16"],
        use_cpu=device == "cpu" or not torch.cuda.is_available(),
        train_sampling_strategy="sequential",
        remove_unused_columns=False,
        dataloader_pin_memory=torch.cuda.is_available() and device != "cpu",
        report_to="none",
    )
    # Several GPUs are used through torchrun; without it the Trainer would wrap the model in DataParallel, which
    # multiplies the batch.
    if arguments.n_gpu > 1:
        arguments._n_gpu = 1
    return arguments


def _trainer(
    model: Any, arguments: "TrainingArguments", examples: Examples, runs: Path, made: dict[str, Any]
) -> "Trainer":
    import torch
    from torch.utils.tensorboard import SummaryWriter
    from transformers import Trainer, TrainerCallback
    from transformers.integrations import TensorBoardCallback

    class ByObjective(Trainer):
        """A Trainer that logs the loss of each objective beside their sum."""

        sums = None  # of each part, then the number of batches that had it; on the device: no waiting in a step

        def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
            if self.args.world_size > 1:
                # The gradients of the processes are averaged: with the mean of its own share, each would give a token
                # of a share that has few masked ones more say than one of another.
                targets = self.accelerator.unwrap_model(model).count_targets(**inputs)
                inputs = {**inputs, "targets": self.accelerator.reduce(targets, "mean")}
            output = model(**inputs)
            nothing = torch.zeros((), device=output.loss.device)
            parts = [output.get(name) for name in PARTS]
            values = [nothing if part is None else part.detach().float() for part in parts]
            here = inputs["targets"] > 0 if "targets" in inputs else [part is not None for part in parts]
            row = torch.stack([*values, *[nothing + one for one in here]])
            self.sums = row if self.sums is None else self.sums + row
            return (output.loss, output) if return_outputs else output.loss

        def log(self, logs, start_time=None):
            if "loss" in logs and self.sums is not None:
                sums = self.accelerator.reduce(self.sums, "mean").tolist()
                for name, value, count in zip(PARTS, sums[: len(PARTS)], sums[len(PARTS) :], strict=True):
                    if count:
                        logs[name] = value / count
                self.sums = None
            super().log(logs, start_time)

    class Marker(TrainerCallback):
        """Marks a checkpoint as whole: the Trainer writes its files in place, and a kill may leave any part of them."""

        def on_save(self, args, state, control, **kwargs):
            if torch.distributed.is_initialized():
                torch.distributed.barrier()
            if state.is_world_process_zero:
                with atomic(Path(args.output_dir) / f"checkpoint-{state.global_step}" / WHOLE) as temporary:
                    temporary.touch()

    callbacks: list[Any] = [Marker()]
    if arguments.process_index == 0:
        callbacks.append(TensorBoardCallback(SummaryWriter(str(runs))))
    return ByObjective(model, arguments, data_collator=examples.collate, train_dataset=examples, callbacks=callbacks)


def _write(
    trainer: "Trainer",
    vocabulary: Path,
    codebook: Path,
    preprocessing: dict[str, Any],
    corpus: dict[str, Any],
    output: Path,
    made: dict[str, Any],
) -> None:
    """Writes the model folder, each file whole, the weights last."""
    with atomic(output / "centroids.safetensors") as temporary:
        shutil.copyfile(codebook / "centroids.safetensors", temporary)
    write_json(preprocessing, output / "preprocessing.json", made)
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
    write_json({"curve": curve, "corpus": corpus}, output / "training.json", made)
    _plot(curve, output / "training.png")
    write_json({}, output / "made.json", made)
    with atomic(output / ".saved") as folder:
        trainer.model.save_pretrained(folder)
        config, weights = folder / "config.json", folder / "model.safetensors"
        with atomic(output / "config.json") as temporary:
            shutil.copyfile(config, temporary)
        with atomic(output / "model.safetensors") as temporary:
            temporary.write_bytes(noted(weights.read_bytes(), made))
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
