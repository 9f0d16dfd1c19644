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

import shutil
import sys
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from videobert import progress
from videobert.data.tables import FeatureTables
from videobert.errors import UserError
from videobert.evaluation.scoring import bounds, interval
from videobert.evaluation.steps import Step, Track, select_between
from videobert.evaluation.task import (
    NO_TRUTH,
    AnnotatedSettings,
    EvaluateExecution,
    FeatureInputs,
    Task,
    TaskOutputs,
    open_task,
    used_settings,
    write_task,
)
from videobert.model.captioner import (
    ROWS,
    SAVED,
    Memory,
    memories_of,
    model_outputs,
    room_for_clips,
    save_decoder,
    template_ids,
    train_decoder,
    write_captions,
)
from videobert.model.predictor import Predictor
from videobert.model.processing_videobert import Video
from videobert.model.settings import CaptioningSettings

VERSION = 1
NO_SENTENCE = "no step of the split {} has a sentence: give the table evaluate.annotations a column sentence"


class CaptioningOutputs(TaskOutputs):
    decoder: Path
    """The weights (safetensors) of the decoder of the row videobert, for `videobert caption`; its configuration is written beside
    them. None is made when no step has a sentence."""


def captioning(
    inputs: FeatureInputs,
    outputs: CaptioningOutputs,
    settings: CaptioningSettings,
    shared: AnnotatedSettings,
    execution: EvaluateExecution,
) -> None:
    """Train decoders that write the annotated steps' sentences, and score them on the test videos."""
    # Of an earlier run, and no longer what these settings say; earlier versions kept it beside the figures.
    shutil.rmtree(outputs.figures.with_suffix(""), ignore_errors=True)
    outputs.decoder.unlink(missing_ok=True)
    task = open_task(inputs, shared, execution)
    predictor, seed = task.predictor, shared.seed
    _check_room(predictor, settings.template)
    provenance = task.provenance("captioning", VERSION, used_settings(settings, shared))
    clips = {"train": task.clips("train"), "test": task.clips("test")}
    steps, reason = _steps_with_sentences(task, clips)
    if reason:
        return write_task(outputs.figures, provenance, {"captioning": {"skipped": reason}}, {})
    assert task.features  # of FeatureInputs
    s3d = _clip_features(task.features, {step.video_id for split in steps for step in steps[split]})
    memory = {split: _seen(predictor, settings.template, steps[split], clips[split], s3d) for split in steps}

    sentences = [predictor.pieces(step.sentence) for step in steps["train"]]
    captions = {}
    progress.begin("step", len(ROWS) * settings.max_steps)
    for row, parts in ROWS.items():
        memories = {split: memories_of(memory[split], parts) for split in memory}
        decoder = train_decoder(memories["train"], sentences, predictor, settings, seed)
        captions[row] = write_captions(predictor, decoder, memories["test"])
        print(f"captioning: {row}: {captions[row][0]!r} for {steps['test'][0].sentence!r}", file=sys.stderr)
        if row == SAVED:
            save_decoder(decoder, outputs.decoder, provenance)

    summary, details = _scored(steps["test"], captions, seed)
    details["left_out"] = _left_out(task, clips, steps)
    details["count"] = {split: len(steps[split]) for split in steps}
    return write_task(outputs.figures, provenance, {"captioning": summary}, details)


def _check_room(predictor: Predictor, template: str) -> None:
    length = len(template_ids(predictor, template))
    if room_for_clips(predictor, template_ids(predictor, template)) < 1:
        raise UserError(
            f"captioning.template is {length} word pieces long: beside it, no clip has room in pretrain.max_length, "
            f"which is {predictor.model.config.max_position_embeddings}"
        )


def _steps_with_sentences(task: Task, clips: dict[str, Any]) -> tuple[dict[str, list[Step]], str]:
    """By split, the steps that have clips and a sentence; and why there is nothing to do ("" when there is)."""
    if task.annotations is None:
        return {}, NO_TRUTH
    named = {split: [step for step in task.steps if step.video_id in clips[split]] for split in clips}
    task.steps_with(clips["test"])
    steps = {split: [step for step in named[split] if task.predictor.pieces(step.sentence).size] for split in named}
    for split in steps:
        if not steps[split]:
            return {}, NO_SENTENCE.format(split)
    return steps, ""


def _left_out(task: Task, clips: dict[str, Any], steps: dict[str, list[Step]]) -> dict[str, dict[str, int]]:
    """By split, how many annotated steps have no sentence, and how many have no clips."""
    counts = {}
    for split, kept in steps.items():
        with_clips = sum(step.video_id in clips[split] for step in task.steps)
        listed = sum(task.splits.get(step.video_id) == split for step in task.listed)
        counts[split] = {"without_sentence": with_clips - len(kept), "without_clips": listed - with_clips}
    return counts


# What the decoder is given --------------------------------------------------------------------------------------------


def _seen(
    predictor: Predictor,
    template: str,
    steps: list[Step],
    clips: dict[str, Track],
    s3d: dict[str, Memory],
) -> dict[str, list[Memory]]:
    """For each step, each of the parts of ROWS: float32 (clips, size)."""
    videos: list[Video] = []
    features: list[Memory] = []
    for step in steps:
        middles, video = clips[step.video_id]
        if len(s3d.get(step.video_id, ())) != len(video):
            raise UserError(f"the features of {step.video_id} do not fit its tokens: run the stage tokens again")
        chosen = select_between(middles, np.arange(len(video)), step.start, step.end)
        videos.append(video[chosen])
        features.append(s3d[step.video_id][chosen])
    seen = model_outputs(predictor, template, videos)
    # The model cuts a step that is too long for it.
    return seen | {"s3d": [clip[: len(video)] for clip, video in zip(features, seen["video"], strict=True)]}


def _clip_features(tables: FeatureTables, videos: set[str]) -> dict[str, Memory]:
    """For each of these videos, its clips' S3D features in order, float32 (clips, size)."""
    s3d = {}
    for table, vectors in tables:
        names, numbers = np.array(table["video_id"].to_pylist()), table["clip"].to_numpy()
        for name in videos.intersection(names):
            rows = np.flatnonzero(names == name)
            s3d[name] = vectors[rows[np.argsort(numbers[rows])]].astype(np.float32)
    return s3d


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
            **bounds("interval", groups, partial(interval, ciders[better] - ciders[row], groups, seed)),
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
