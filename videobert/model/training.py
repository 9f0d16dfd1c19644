"""Training with transformers' Trainer: its arguments, the loss of each objective in the log, and one curve of them."""

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from videobert import progress
from videobert.devices import resolve_device
from videobert.errors import UserError
from videobert.model.checkpoints import Training, marking, newest, parts_from, put_in_order, say_from_where
from videobert.model.examples import Examples

if TYPE_CHECKING:
    from transformers import Trainer, TrainingArguments

    from videobert.model.modeling_videobert import VideoBertForPreTraining
    from videobert.model.settings import PretrainExecution, PretrainSettings


PARTS = ("text_loss", "video_loss", "text_video_loss", "alignment_loss")


def training_arguments(
    folder: Path, settings: "PretrainSettings", execution: "PretrainExecution"
) -> "TrainingArguments":
    """transformers' TrainingArguments; checkpoints come to `folder`/checkpoints."""
    from transformers import TrainingArguments

    device = resolve_device(execution.device, "pretrain.device")
    processes = int(os.environ.get("WORLD_SIZE", 1))
    if settings.batch_size % processes:
        size = settings.batch_size
        raise UserError(f"pretrain.batch_size ({size}) must be a multiple of the {processes} processes")
    arguments = TrainingArguments(
        output_dir=str(folder / "checkpoints"),
        max_steps=settings.max_steps,
        per_device_train_batch_size=settings.batch_size // processes,
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
        disable_tqdm=not sys.stderr.isatty(),  # in a log a bar is thousands of lines
    )
    # Several GPUs are used through torchrun; without it the Trainer would wrap the model in DataParallel, which
    # multiplies the batch.
    if arguments.n_gpu > 1:
        arguments._n_gpu = 1
    return arguments


def make_trainer(
    model: "VideoBertForPreTraining", arguments: "TrainingArguments", examples: Examples, runs: Path
) -> "Trainer":
    import torch
    from torch.utils.tensorboard import SummaryWriter
    from transformers import PrinterCallback, Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
    from transformers.integrations import TensorBoardCallback
    from transformers.utils import logging

    class ByObjective(Trainer):
        """A Trainer that logs the loss of each objective beside their sum."""

        # Of each part, then the number of batches that had it; on the device: no waiting in a step.
        sums: torch.Tensor | None = None

        def compute_loss(
            self,
            model: torch.nn.Module,
            inputs: dict[str, Any],
            return_outputs: bool = False,
            num_items_in_batch: torch.Tensor | int | None = None,
        ) -> torch.Tensor | tuple[torch.Tensor, Any]:
            if self.args.world_size > 1:
                # The gradients of the processes are averaged: with the mean of its own share, each would give a token
                # of a share that has few masked ones more say than one of another.
                targets = self.accelerator.unwrap_model(model).count_targets(**inputs)
                inputs = {**inputs, "targets": self.accelerator.reduce(targets, "mean")}
            output = model(**inputs)
            nothing = torch.zeros((), device=output.loss.device)
            parts = [output.get(name) for name in PARTS]
            values = [nothing if part is None else part.detach().float() for part in parts]
            present = inputs["targets"] > 0 if "targets" in inputs else [part is not None for part in parts]
            row = torch.stack([*values, *[nothing + one for one in present]])
            self.sums = row if self.sums is None else self.sums + row
            return (output.loss, output) if return_outputs else output.loss

        def _issue_warnings_after_load(self, load_result: Any) -> None:
            # A checkpoint has tied weights once, under the name of the table; they are not missing.
            tied = getattr(self.model, "_tied_weights_keys", None) or {}
            missing = [name for name in load_result.missing_keys if name not in tied]
            super()._issue_warnings_after_load(load_result._replace(missing_keys=missing))

        def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
            if "loss" in logs and self.sums is not None:
                sums = self.accelerator.reduce(self.sums, "mean").tolist()
                for name, value, count in zip(PARTS, sums[: len(PARTS)], sums[len(PARTS) :], strict=True):
                    if count:
                        logs[name] = value / count
                self.sums = None
            super().log(logs, start_time)

    class AsConfigured(TrainerCallback):
        """Saves and logs as often as is asked for now: the Trainer goes on as often as the checkpoint says."""

        def on_train_begin(
            self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
        ) -> None:
            state.compute_steps(args, args.max_steps)

    class FromTheFirstStep(TrainerCallback):
        """Writes TensorBoard's curve up to the checkpoint again. What this training's folder holds already is hidden: a killed
        training has points beyond the checkpoint that it resumes from."""

        def on_train_begin(
            self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
        ) -> None:
            for entry in state.log_history:
                logs = {name: value for name, value in entry.items() if name != "step"}
                curve.on_log(args, replace(state, global_step=int(entry["step"])), control, logs=logs)

    class Following(TrainerCallback):
        """Says how far the training is."""

        def on_train_begin(
            self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
        ) -> None:
            progress.begin("step", args.max_steps, resumed=state.global_step, bar=False)  # the Trainer has one

        def on_step_end(
            self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
        ) -> None:
            progress.reach(state.global_step)

        def on_log(
            self,
            args: TrainingArguments,
            state: TrainerState,
            control: TrainerControl,
            logs: dict[str, float] | None = None,
            **kwargs: Any,
        ) -> None:
            if logs and "loss" in logs:
                progress.note(f"loss {logs['loss']:.3g}")

    callbacks: list[TrainerCallback] = [AsConfigured()]
    if arguments.process_index == 0:
        callbacks.append(Following())
        curve = TensorBoardCallback(SummaryWriter(str(runs), purge_step=0))
        callbacks += [curve, FromTheFirstStep()]
    trainer = ByObjective(model, arguments, data_collator=examples.collate, train_dataset=examples, callbacks=callbacks)
    logging.disable_progress_bar()  # of the one file of weights that each checkpoint has
    trainer.remove_callback(PrinterCallback)  # a line at each logging step; `Following` has one a minute written
    return trainer


def train(trainer: "Trainer", folder: Path, training: Training) -> list[dict[str, Any]]:
    """Trains, from the newest whole checkpoint of this training in `folder` on.

    Returns what each part of it was made with; one part unless that changed on the way.
    """
    main = trainer.args.process_index == 0
    with trainer.args.main_process_first():
        if main:
            put_in_order(folder, training)
    last = newest(folder)
    parts = parts_from(last, training)
    if last and main:
        say_from_where(last, parts)
    trainer.add_callback(marking(training, parts))
    trainer.train(resume_from_checkpoint=str(last) if last else None)
    return parts


def training_curve(trainer: "Trainer") -> list[dict[str, Any]]:
    """The points of the training curve: step, losses and learning rate."""
    keys = ("loss", *PARTS, "learning_rate")
    return [
        {"step": entry["step"], **{key: round(entry[key], 6) for key in keys if key in entry}}
        for entry in trainer.state.log_history
        if "loss" in entry
    ]
