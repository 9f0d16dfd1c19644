"""What happens beside the steps of a training: how far it is, and when it stops before its last step.

It stops when its time is nearly over or when it is asked to (SIGTERM), with a checkpoint of the step where it is, so that nothing
is lost.

It imports transformers: take it in the function that trains.
"""

import signal
import threading
import time
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch.utils.tensorboard import SummaryWriter
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.integrations import TensorBoardCallback

from videobert import progress
from videobert.model.trainer import ByObjective

STARTING = 30.0  # seconds of a job that are over when the training begins to count: Snakemake, imports
FIRST_SAVE = 30.0  # seconds that are left for a checkpoint before one was measured
AGREE = 10  # steps from one agreement of several processes to the next: each waits for all


class Resuming(TrainerCallback):
    """What the Trainer leaves undone when it goes on from a checkpoint: to save and log as often as is asked for now, and to take
    up the sums of the curve."""

    def __init__(self, trainer: ByObjective) -> None:
        self.trainer = trainer

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        state.compute_steps(args, args.max_steps)
        self.trainer.take_up_sums()


class Following(TrainerCallback):
    """Says how far the training is: in the progress file, and in TensorBoard's curve how fast and how long yet."""

    def __init__(self, trainer: ByObjective, writer: SummaryWriter) -> None:
        self.trainer, self.writer = trainer, writer

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        progress.begin("step", args.max_steps, resumed=state.global_step, bar=False)  # the Trainer has one
        self.began, self.first = time.monotonic(), state.global_step

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        progress.reach(state.global_step)

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if "loss" in kwargs["logs"]:
            speed = self.trainer.tokens_per_second
            progress.note(f"loss {kwargs['logs']['loss']:.3g}, {speed:,.0f} tokens/s")
            passed, steps = time.monotonic() - self.began, max(state.global_step - self.first, 1)
            left = (args.max_steps - state.global_step) * passed / steps
            self.writer.add_scalar("train/tokens_per_second", speed, state.global_step)
            self.writer.add_scalar("train/hours_left", left / 3600, state.global_step)


class Curve(TensorBoardCallback):
    """TensorBoard's curve, from the first step on: the part up to the checkpoint is written again. What this training's folder
    holds already is hidden: a killed training has points beyond the checkpoint that it resumes from."""

    def __init__(self, folder: Path) -> None:
        self.writer = SummaryWriter(str(folder), purge_step=0)
        super().__init__(self.writer)  # type: ignore[no-untyped-call]

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        super().on_train_begin(args, state, control, **kwargs)  # type: ignore[no-untyped-call]
        for entry in state.log_history:
            logs = {name: value for name, value in entry.items() if name != "step"}
            then = replace(state, global_step=int(entry["step"]))
            self.on_log(args, then, control, logs=logs)  # type: ignore[no-untyped-call]


class Stopping(TrainerCallback):
    """Saves and stops when it is time. SIGTERM waits for the end of a step while it trains.

    It comes after the callback that marks checkpoints, since a save is over then.

    Args:
        ends: when the job's time is over, by time.monotonic(); infinity where it has no end.
    """

    def __init__(self, ends: float) -> None:
        self.ends = ends - STARTING
        self.asked = False
        self.longest_save = self.longest_step = 0.0
        self.reason = ""  # why it stopped

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self.is_main_thread = threading.current_thread() is threading.main_thread()
        if self.is_main_thread:
            self.before = signal.signal(signal.SIGTERM, self._ask)
        self.step_began = time.monotonic()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        now = time.monotonic()
        self.longest_step = max(self.longest_step, now - self.step_began)
        self.step_began = self.save_began = now
        every = AGREE if args.world_size > 1 else 1
        if state.global_step % every or state.global_step >= state.max_steps:
            return
        reason = self._why(every)
        if _one_says_so(bool(reason), args):
            self.reason = reason or "another of its processes must stop"
            control.should_save = True

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        self.step_began = time.monotonic()
        self.longest_save = max(self.longest_save, self.step_began - self.save_began)
        if self.reason:
            _one_says_so(True, args)  # none ends before all have saved
            control.should_training_stop = True

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if self.is_main_thread:  # it ends now, where it was asked to
            signal.signal(signal.SIGTERM, signal.SIG_IGN if self.reason else self.before)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.asked = True

    def _why(self, steps: int) -> str:
        """Why it must stop now, where it looks again after so many steps; "" when it need not."""
        if self.asked:
            return "it was asked to end (SIGTERM)"
        margin = 2 * (self.longest_save or FIRST_SAVE) + steps * self.longest_step
        return "its time is nearly over" if time.monotonic() + margin > self.ends else ""


def _one_says_so(said: bool, args: TrainingArguments) -> bool:
    """Whether one of the processes says so; all of them ask at the same step."""
    if args.world_size == 1:
        return said
    flag = torch.tensor(float(said), device=args.device)
    torch.distributed.all_reduce(flag)
    return bool(flag.item())
