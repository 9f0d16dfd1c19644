"""Captioning: a transformer decoder writes the sentence of an annotated step (section 4.5 of the paper, table 3).

The steps' times are given, as in the paper. A decoder is trained on the train videos' steps and scored on the test
videos'; its size, its training and its seed are the same for each row, and only what it is shown differs:

- no_video: nothing. What the language alone gives, and the control to compare with.
- s3d: the S3D features of the step's clips.
- videobert_video_only: VideoBERT's outputs at the step's visual words, read without text.
- videobert: VideoBERT reads the template "now let's [MASK] the [MASK] to the [MASK], and then [MASK] the [MASK]" before
  the visual words; its outputs at the visual words and at the masks.
- videobert_s3d: both.

What differs from the paper, which shows its decoder one vector, the averages over the clips and over the masks: here
the decoder attends to a vector for each clip (the clip's own output and feature and, the same in each, the outputs at
all masks) in every row alike, since with averages every row names fewer objects; and it is a small one, trained from
nothing with the model's own word pieces.

Two things limit the kitchen's figures. Its sentences begin and end at random ("nice and slowly"), which nobody can see.
And its S3D, which stands in for one trained on Kinetics, was trained on labelled clips of the kitchen itself: the row
s3d names more of the actions than those that read its visual words, and the paper's order of the rows (s3d, then
videobert, then videobert_s3d) is not to be expected. The details hold the differences of CIDEr with their intervals.
"""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from videobert.data.provenance import common_provenance, make_provenance, read_provenance, read_table, sha256
from videobert.data.tables import read_features
from videobert.errors import UserError
from videobert.evaluation.scoring import interval
from videobert.evaluation.steps import Step, clips_of_videos, read_steps, select_between, test_segments
from videobert.evaluation.task import NO_TRUTH, inputs_of, write_task
from videobert.model.captioner import (
    ROWS,
    SAVED,
    memories_of,
    model_outputs,
    pad_memories,
    padded,
    room_for_clips,
    save_decoder,
    template_ids,
    write_captions,
)
from videobert.model.predictor import Predictor
from videobert.model.sequences import IGNORE, read_segments, token_files

if TYPE_CHECKING:
    from videobert.model.caption_decoder import CaptionDecoder

VERSION = 1
NO_SENTENCE = "no step of the split {} has a sentence: give the table evaluate.annotations a column sentence"


def captioning(
    pretrain: Path,
    tokens: Path,
    features: Path,
    manifest: Path,
    output: Path,
    annotations: str | None,
    template: str,
    hidden_size: int,
    num_hidden_layers: int,
    num_attention_heads: int,
    intermediate_size: int,
    dropout: float,
    max_length: int,
    max_steps: int,
    train_batch_size: int,
    learning_rate: float,
    num_beams: int,
    batch_size: int,
    seed: int,
    threads: int,
    device: Literal["auto", "cpu", "cuda"] = "auto",
) -> None:
    """Train decoders that write the annotated steps' sentences, and score them on the test videos.

    Beside the output stands a folder of the same name with the decoder of the row videobert, for `caption`.

    Args:
        pretrain: folder of the model.
        tokens: folder of the token tables, one for each shard.
        features: folder of the features that the tokens were made of.
        manifest: the manifest, which names the shards and the videos' sources.
        output: captioning.json.
        annotations: the steps: kitchen (the built-in corpus), or a TSV, CSV or Parquet file with the columns video_id,
            start, end (seconds), verb, object and sentence; null leaves the task out.
        template: the sentence whose masks the model fills when it has seen the clips.
        hidden_size: width of the decoder.
        num_hidden_layers: layers of the decoder.
        num_attention_heads: attention heads of a layer.
        intermediate_size: width of the feed-forward layers.
        dropout: dropout of the decoder and of what it is shown.
        max_length: longest caption in word pieces, with its two special tokens.
        max_steps: training steps of each row's decoder.
        train_batch_size: captions in a training step.
        learning_rate: peak learning rate; it rises over the first tenth of the steps, then falls linearly to zero.
        num_beams: beams of the search for a caption; 1 is greedy.
        batch_size: sequences that the model reads, and captions that are written, at a time.
        seed: seed of the decoders' weights, order and dropout, and of the intervals.
        threads: CPU threads.
        device: where to run; auto takes a GPU when there is one.
    """
    import shutil

    settings = {
        name: value
        for name, value in locals().items()
        if name
        not in ("pretrain", "tokens", "features", "manifest", "output", "threads", "device", "batch_size", "shutil")
    }
    settings["annotations"] = annotations and Path(annotations).name
    folder = output.with_suffix("")
    shutil.rmtree(folder, ignore_errors=True)  # of an earlier run, and no longer what these settings say
    predictor = Predictor(pretrain, batch_size, device, threads)
    _check(predictor, template, hidden_size, num_attention_heads)
    test = test_segments(predictor, pretrain, tokens, manifest)
    files = token_files(tokens, manifest)
    inputs = inputs_of(pretrain, tokens, manifest, annotations)

    def leave_out(reason: str) -> None:
        write_task("captioning", VERSION, output, {"captioning": {"skipped": reason}}, {}, settings, inputs)

    if annotations is None:
        return leave_out(NO_TRUTH)
    every, splits = read_steps(annotations, manifest)
    clips = {"train": clips_of_videos(read_segments(files, "train")), "test": clips_of_videos(test)}
    named = {split: [step for step in every if step.video_id in clips[split]] for split in clips}
    if not named["test"]:
        raise UserError(
            f"evaluate.annotations ({annotations}) has no step of a test video with tokens: name its videos as the "
            "manifest's video_id does, or set annotations to null"
        )
    steps = {split: [step for step in named[split] if predictor.pieces(step.sentence).size] for split in named}
    for split in steps:
        if not steps[split]:
            return leave_out(NO_SENTENCE.format(split))
    s3d = _read_s3d(features, tokens, manifest, {step.video_id for split in steps for step in steps[split]})
    shown = {split: _shown(predictor, template, steps[split], clips[split], s3d) for split in steps}

    note = make_provenance("captioning", VERSION, settings, inputs, packages=("torch", "transformers"))
    sentences = [predictor.pieces(step.sentence) for step in steps["train"]]
    captions = {}
    for row, parts in ROWS.items():
        memories = {split: memories_of(shown[split], parts) for split in shown}
        decoder = _train(memories["train"], sentences, predictor, settings)
        captions[row] = write_captions(predictor, decoder, memories["test"])
        print(f"captioning: {row}: {captions[row][0]!r} for {steps['test'][0].sentence!r}", file=sys.stderr)
        if row == SAVED:
            save_decoder(decoder, folder, note)

    summary, details = _scored(steps["test"], captions, seed)
    details["left_out"] = {
        split: {
            "without_sentence": len(named[split]) - len(steps[split]),
            "without_clips": sum(splits.get(step.video_id) == split for step in every) - len(named[split]),
        }
        for split in steps
    }
    details["count"] = {split: len(steps[split]) for split in steps}
    write_task("captioning", VERSION, output, {"captioning": summary}, details, settings, inputs)


def _check(predictor: Predictor, template: str, hidden_size: int, num_attention_heads: int) -> None:
    if "[MASK]" not in template:
        raise UserError(f"captioning.template must have a [MASK]: {template!r}")
    if room_for_clips(predictor, template_ids(predictor, template)) < 1:
        raise UserError(
            f"captioning.template is {len(template_ids(predictor, template))} word pieces long: beside it, no clip has room in "
            f"pretrain.max_length, which is {predictor.model.config.max_position_embeddings}"
        )
    if hidden_size % num_attention_heads:
        raise UserError(
            f"captioning.hidden_size is {hidden_size}, but must be a multiple of captioning.num_attention_heads, "
            f"which is {num_attention_heads}"
        )


# What the decoder is shown --------------------------------------------------------------------------------------------


def _shown(
    predictor: Predictor,
    template: str,
    steps: list[Step],
    clips: dict[str, tuple[np.ndarray, np.ndarray]],
    s3d: dict[str, np.ndarray],
) -> dict[str, list[np.ndarray]]:
    """For each step, each of the parts of ROWS: float32 (clips, size)."""
    videos, seen = [], []
    for step in steps:
        middles, words = clips[step.video_id]
        if len(s3d.get(step.video_id, ())) != len(words):
            raise UserError(f"the features of {step.video_id} do not fit its tokens: run the stage tokens again")
        chosen = select_between(middles, np.arange(len(words)), step.start, step.end)
        videos.append(words[chosen])
        seen.append(s3d[step.video_id][chosen])
    shown = model_outputs(predictor, template, videos)
    # The model cuts a step that is too long for it.
    return shown | {"s3d": [clip[: len(video)] for clip, video in zip(seen, shown["video"], strict=True)]}


def _read_s3d(features: Path, tokens: Path, manifest: Path, videos: set[str]) -> dict[str, np.ndarray]:
    """For each of these videos, its clips' S3D features in order, float32 (clips, size)."""
    listed = read_table(manifest, ["video_id", "shard"]).to_pylist()
    shards = sorted({video["shard"] for video in listed if video["video_id"] in videos})
    common_provenance([features / f"{shard}.parquet" for shard in shards], "weights_sha256")
    s3d = {}
    for shard in shards:
        file, path = tokens / f"{shard}.parquet", features / f"{shard}.parquet"
        # The stage tokens has seen to it that these features are of the codebook's network.
        if read_provenance(file).get("inputs", {}).get("features") != sha256(path):
            raise UserError(f"{file} was made with other features than {path}: run the stage tokens again")
        table, vectors = read_features(path)
        names, numbers = np.array(table["video_id"].to_pylist()), table["clip"].to_numpy()
        for name in videos.intersection(names):
            rows = np.flatnonzero(names == name)
            s3d[name] = vectors[rows[np.argsort(numbers[rows])]].astype(np.float32)
    return s3d


# The decoder ----------------------------------------------------------------------------------------------------------


def _train(
    memories: list[np.ndarray], sentences: list[np.ndarray], predictor: Predictor, settings: dict[str, Any]
) -> "CaptionDecoder":
    """A decoder trained to write each sentence from its memory; the same seed, order and steps for every row."""
    import torch
    from transformers import get_linear_schedule_with_warmup

    decoder = _decoder(memories, predictor, settings)
    targets = [
        np.concatenate([[predictor.vocabulary.cls], ids[: settings["max_length"] - 2], [predictor.vocabulary.sep]])
        for ids in sentences
    ]
    optimizer = torch.optim.AdamW(decoder.parameters(), lr=settings["learning_rate"])
    steps, size = settings["max_steps"], settings["train_batch_size"]
    schedule = get_linear_schedule_with_warmup(optimizer, steps // 10, steps)
    random = np.random.default_rng([settings["seed"], 4])
    order = np.concatenate([random.permutation(len(targets)) for _ in range(-(-steps * size // len(targets)))])
    decoder.train()
    for step in range(steps):
        rows = order[step * size : (step + 1) * size]
        ids = padded([targets[row] for row in rows], predictor.vocabulary.pad).to(predictor.device)
        here = padded([np.ones(len(targets[row]), np.int64) for row in rows], 0).to(predictor.device)
        labels = ids.masked_fill(here == 0, IGNORE)
        seen = decoder.look(*pad_memories([memories[row] for row in rows], predictor.device))
        loss = decoder(ids, attention_mask=here, labels=labels, **seen).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(decoder.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    return decoder.eval()


def _decoder(memories: list[np.ndarray], predictor: Predictor, settings: dict[str, Any]) -> "CaptionDecoder":
    """A decoder that knows nothing but the mean and the scale of what it will be shown."""
    import torch

    from videobert.model.caption_decoder import CaptionDecoder, CaptionDecoderConfig

    torch.manual_seed(settings["seed"])
    sizes = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
    words = predictor.vocabulary
    config = CaptionDecoderConfig(
        vocab_size=words.vocab_size,
        max_position_embeddings=settings["max_length"],
        hidden_dropout_prob=settings["dropout"],
        attention_probs_dropout_prob=settings["dropout"],
        pad_token_id=words.pad,
        bos_token_id=words.cls,
        eos_token_id=words.sep,
        is_decoder=True,
        add_cross_attention=True,
        memory_size=memories[0].shape[1],
        template=settings["template"],
        # As in pretraining: a narrow network that starts with BERT's 0.02 needs many steps before it attends to anything.
        initializer_range=round(0.02 * (1024 / settings["hidden_size"]) ** 0.5, 6),
        **{name: settings[name] for name in sizes},
    )
    decoder = CaptionDecoder(config)
    decoder.generation_config.num_beams = settings["num_beams"]
    decoder.generation_config.max_length = settings["max_length"]
    clips = np.concatenate(memories).astype(np.float64)
    decoder.mean.copy_(torch.from_numpy(clips.mean(0)))
    decoder.scale.copy_(torch.from_numpy(clips.std(0) + 1e-3))  # a number that never moves is no news, and no infinity
    return decoder.to(predictor.device)


# Figures --------------------------------------------------------------------------------------------------------------


def _scored(steps: list[Step], captions: dict[str, list[str]], seed: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """(the figures of each row, the details)."""
    from videobert.evaluation.caption_scores import meteor, scores, tokenize

    groups = np.array([step.video_id for step in steps])
    references = [tokenize(step.sentence) for step in steps]
    written = {row: [tokenize(sentence) for sentence in captions[row]] for row in captions}
    summary, ciders = {}, {}
    meteors, reason = meteor(references, written)
    for row in captions:
        figures, ciders[row] = scores(references, written[row], groups, seed)
        summary[row] = {**figures, "meteor": meteors.get(row), "count": len(steps)}
    details: dict[str, Any] = {"results": summary}
    if reason:
        print(f"captioning: {reason}", file=sys.stderr)
        details["skipped"] = {"meteor": reason}
    # The paper's order, each against the one before, on the same steps.
    details["cider_differences"] = {
        f"{better} - {row}": {
            "difference": float((ciders[better] - ciders[row]).mean()),
            "interval": interval(ciders[better] - ciders[row], groups, seed),
        }
        for row, better in (("no_video", "s3d"), ("s3d", "videobert"), ("videobert", "videobert_s3d"))
    }
    details["captions"] = [
        {
            **asdict(step),
            "written": {row: captions[row][index] for row in captions},
            "cider": {row: float(ciders[row][index]) for row in captions},
        }
        for index, step in enumerate(steps)
    ]
    return summary, details
