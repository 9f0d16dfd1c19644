"""transformers' Trainer for our objectives: their losses apart in the log, parts of a batch that count as one, a curve that a
stop leaves no mark in, and an end when the loss is no number any more.

It imports transformers: take it in the function that trains.
"""

import math
import time
from collections.abc import Iterator
from typing import Any

import torch
from transformers import Trainer

from videobert.errors import UserError

PARTS = ("text_loss", "video_loss", "text_video_loss", "alignment_loss", "contrastive_loss", "regression_loss")
SUMS = (*PARTS, *(f"batches with {part}" for part in PARTS))
SINCE = "since_the_last_point"  # of the curve, in a checkpoint's state


class ByObjective(Trainer):
    """A Trainer that logs the loss of each objective beside their sum."""

    # Of each part, then the number of batches that had it; on the device: no waiting in a step.
    sums: torch.Tensor | None = None
    # What each part of the present batch has to predict, on average; None where it is one part.
    targets: torch.Tensor | None = None
    # Tokens since the last point of the curve, and when that was.
    tokens: torch.Tensor | None = None
    timed_from = 0.0
    tokens_per_second = 0.0

    def get_batch_samples(
        self, epoch_iterator: Iterator[Any], num_batches: int, device: torch.device
    ) -> tuple[list[Any], torch.Tensor | int | None]:
        """The parts of this process's share of a batch.

        The gradients of all parts are averaged: with the mean of its own tokens, each part would give a token of a part that
        has few masked ones more say than one of another.
        """
        self.timed_from = self.timed_from or time.monotonic()
        parts, items = super().get_batch_samples(epoch_iterator, num_batches, device)
        if self.args.world_size > 1 or len(parts) > 1:
            count = self.accelerator.unwrap_model(self.model).count_targets
            own = torch.stack([count(**part) for part in parts]).mean(0)
            self.targets = self.accelerator.reduce(own, "mean")
        return parts, items

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> torch.Tensor | tuple[torch.Tensor, Any]:
        if self.targets is not None:
            inputs = {**inputs, "targets": self.targets}
        output = model(**inputs)
        nothing = torch.zeros((), device=output.loss.device)
        parts = [output.get(name) for name in PARTS]
        values = [nothing if part is None else part.detach().float() for part in parts]
        present = inputs["targets"] > 0 if "targets" in inputs else [part is not None for part in parts]
        row = torch.stack([*values, *[nothing + one for one in present]])
        self.sums = row if self.sums is None else self.sums + row
        tokens = inputs["attention_mask"].sum()
        self.tokens = tokens if self.tokens is None else self.tokens + tokens
        return (output.loss, output) if return_outputs else output.loss

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        if "loss" in logs and self.sums is not None and self.tokens is not None:
            sums = self.accelerator.reduce(self.sums, "mean").tolist()
            for name, value, count in zip(PARTS, sums[: len(PARTS)], sums[len(PARTS) :], strict=True):
                if count:
                    logs[name] = value / count
            now = time.monotonic()
            self.tokens_per_second = self.accelerator.reduce(self.tokens, "sum").item() / (now - self.timed_from)
            self.sums, self.tokens, self.timed_from = None, None, now
        for name, value in logs.items():
            if not math.isfinite(value):
                raise _not_finite(f"{name} is {value}", self.state.global_step)
        super().log(logs, start_time)

    # A checkpoint between two points of the curve holds what was summed up since the last one.

    def _save_checkpoint(self, model: torch.nn.Module, trial: Any) -> None:
        if not all(bool(weights.isfinite().all()) for weights in model.parameters()):
            raise _not_finite("some weights are no numbers", self.state.global_step)
        sums = {}
        if self.sums is not None:
            sums = dict(zip(SUMS, self.accelerator.reduce(self.sums, "mean").tolist(), strict=True))
        loss = self.accelerator.reduce(self._tr_loss, "mean").item()
        held: Any = self.state.stateful_callbacks  # a dict by then
        held[SINCE] = {"step": self._globalstep_last_logged, "loss": loss, "sums": sums}
        super()._save_checkpoint(model, trial)

    def take_up_sums(self) -> None:
        """Takes up what the checkpoint holds; when the training begins, since the Trainer sets its own to nothing before."""
        states: Any = self.state.stateful_callbacks
        held = states.get(SINCE)
        if held and held["step"] < self.state.global_step:
            self._globalstep_last_logged = held["step"]
            self._tr_loss += held["loss"]
            if held["sums"]:
                self.sums = torch.tensor([held["sums"].get(name, 0.0) for name in SUMS], device=self.args.device)

    def _issue_warnings_after_load(self, load_result: Any) -> None:
        # A checkpoint has tied weights once, under the name of the table; they are not missing.
        tied = getattr(self.model, "_tied_weights_keys", None) or {}
        missing = [name for name in load_result.missing_keys if name not in tied]
        super()._issue_warnings_after_load(load_result._replace(missing_keys=missing))


def _not_finite(what: str, step: int) -> UserError:
    return UserError(
        f"{what} at step {step:,}: nothing is saved of it, and the checkpoint before it is kept. Lower "
        "pretrain.learning_rate, or raise pretrain.warmup_steps; and where pretrain.bf16 is true, try false"
    )
