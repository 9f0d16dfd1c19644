"""Training with transformers' Trainer: its arguments, what goes with it, and from where to where it trains."""

import math
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from videobert.devices import resolve_device
from videobert.errors import Unfinished, UserError
from videobert.model.checkpoints import Training, marking, newest, parts_from, put_in_order, say_from_where
from videobert.model.examples import Examples
from videobert.model.launching import batch_mistake

if TYPE_CHECKING:
    from transformers import TrainingArguments

    from videobert.model.modeling_videobert import VideoBertForPreTraining
    from videobert.model.settings import PretrainExecution, PretrainSettings
    from videobert.model.trainer import ByObjective
    from videobert.model.validation import Validation


def training_arguments(
    folder: Path, settings: "PretrainSettings", execution: "PretrainExecution"
) -> "TrainingArguments":
    """transformers' TrainingArguments; checkpoints come to `folder`/checkpoints."""
    from transformers import TrainingArguments

    device = resolve_device(execution.device, "pretrain.device")
    processes, parts = int(os.environ.get("WORLD_SIZE", 1)), execution.gradient_accumulation_steps
    if mistake := batch_mistake(settings, processes, parts):
        raise UserError(mistake)
    arguments = TrainingArguments(
        output_dir=str(folder / "checkpoints"),
        max_steps=settings.max_steps,
        per_device_train_batch_size=settings.batch_size // (processes * parts),
        gradient_accumulation_steps=parts,
        learning_rate=settings.learning_rate,
        warmup_steps=settings.warmup_steps,
        weight_decay=settings.weight_decay,
        lr_scheduler_type="linear",
        logging_steps=execution.logging_steps,
        save_steps=execution.save_steps,
        seed=settings.seed,
        bf16=settings.bf16,
        use_cpu=device == "cpu",
        train_sampling_strategy="sequential",
        remove_unused_columns=False,
        dataloader_pin_memory=device == "cuda",
        report_to="none",
        logging_nan_inf_filter=False,  # it would hide a loss that is no number
        disable_tqdm=not sys.stderr.isatty(),  # in a log a bar is thousands of lines
    )
    # Several GPUs are used through torchrun; without it the Trainer would wrap the model in DataParallel, which
    # multiplies the batch.
    if arguments.n_gpu > 1:
        arguments._n_gpu = 1
    return arguments


def make_trainer(
    model: "VideoBertForPreTraining", arguments: "TrainingArguments", examples: Examples, runs: Path
) -> "ByObjective":
    """The Trainer; TensorBoard's curve comes to the folder `runs`."""
    from transformers import PrinterCallback
    from transformers.utils import logging

    from videobert.model.callbacks import Curve, Following, Resuming
    from videobert.model.trainer import ByObjective

    trainer = ByObjective(model, arguments, data_collator=examples.collate, train_dataset=examples)
    trainer.add_callback(Resuming(trainer))
    if arguments.process_index == 0:
        curve = Curve(runs)
        trainer.add_callback(Following(trainer, curve.writer))
        trainer.add_callback(curve)
    logging.disable_progress_bar()  # of the one file of weights that each checkpoint has
    trainer.remove_callback(PrinterCallback)  # a line at each logging step; `Following` has one a minute written
    return trainer


def train(
    trainer: "ByObjective",
    folder: Path,
    training: Training,
    ends: float = math.inf,
    validation: "Validation | None" = None,
) -> list[dict[str, Any]]:
    """Trains, from the newest whole checkpoint of this training in `folder` on.

    Args:
        trainer: the Trainer.
        folder: where checkpoints lie.
        training: what they must be of.
        ends: when the time for it is over, by time.monotonic().
        validation: measures the validation videos meanwhile, where there are some.

    Returns what each part of it was made with; one part unless that changed on the way. Raises Unfinished when it stopped before
    its last step.
    """
    from videobert.model.callbacks import Stopping

    main = trainer.args.process_index == 0
    with trainer.args.main_process_first():
        if main:
            put_in_order(folder, training)
    last = newest(folder)
    parts = parts_from(last, training)
    if last and main:
        say_from_where(last, parts)
    stopping = Stopping(ends)
    trainer.add_callback(marking(training, parts))
    if validation:
        trainer.add_callback(validation)
    trainer.add_callback(stopping)
    trainer.train(resume_from_checkpoint=str(last) if last else None)
    if stopping.reason:
        step, steps = trainer.state.global_step, trainer.state.max_steps
        raise Unfinished(
            f"stopped at step {step:,} of {steps:,}, which is saved: {stopping.reason}. The same command goes on from there"
        )
    return parts


def training_curve(trainer: "ByObjective") -> list[dict[str, Any]]:
    """The points of the training curve: step, losses, the norm of the gradient and learning rate."""
    from videobert.model.trainer import PARTS

    keys = ("loss", *PARTS, "grad_norm", "learning_rate")
    return [
        {"step": entry["step"], **{key: round(entry[key], 6) for key in keys if key in entry}}
        for entry in trainer.state.log_history
        if "loss" in entry
    ]
