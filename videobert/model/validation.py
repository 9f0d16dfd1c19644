"""The loss on validation videos while a model trains, and the weights that were best on them.

The examples are the same at each measurement, and are made as those for training are. The weights that did best so far lie beside
the checkpoints, in a folder `best-TRAINING-STEP`, whose step each checkpoint knows: a training that was killed goes on with those
that were best until then. They are set aside when they are found, however often checkpoints are saved.

It imports transformers: take it in the function that trains.
"""

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from videobert.data.provenance import atomic, read_json
from videobert.model.checkpoints import best_weights, checkpoints
from videobert.model.examples import Examples
from videobert.model.trainer import PARTS, ByObjective

if TYPE_CHECKING:
    from videobert.model.modeling_videobert import VideoBertForPreTraining

MOST = 2048  # examples that are measured
BEST = "best"  # its step and loss, in a checkpoint's state


class Validation(TrainerCallback):
    """Measures the loss, and sets the best weights aside. It comes after the callback that marks checkpoints.

    Args:
        trainer: the Trainer.
        examples: those of the validation videos.
        every: steps from one measurement to the next; the last step is measured, too.
        name: the training's.
    """

    def __init__(self, trainer: ByObjective, examples: Examples, every: int, name: str) -> None:
        self.trainer, self.examples, self.every = trainer, examples, every
        assert trainer.args.output_dir
        self.folder, self.name = Path(trainer.args.output_dir), name
        self.best: dict[str, Any] = {}

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        states: Any = state.stateful_callbacks
        self.best = states.get(BEST, {})
        if self.best and not self._place(self.best["step"]).exists():
            print(f"pretrain: {self._place(self.best['step'])} is gone, the best weights so far", file=sys.stderr)
            self.best = {}
        if state.global_step == state.max_steps and not self.best:
            self._look(state)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if state.global_step % self.every == 0 or state.global_step == state.max_steps:
            should_log = control.should_log  # of this step; the Trainer takes it for done with any log
            self._look(state)
            control.should_log = should_log

    def _look(self, state: TrainerState) -> None:
        """Measures the losses, and sets the weights aside if they are the best."""
        losses, step = self._measure(), state.global_step
        self.trainer.log({f"eval_{name}": value for name, value in losses.items()})
        if not self.best or losses["loss"] < self.best["loss"]:
            with atomic(self._place(step)) as temporary:
                self._model().save_pretrained(temporary)
            self.best = {"step": step, "loss": losses["loss"]}
        states: Any = state.stateful_callbacks
        states[BEST] = self.best

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Removes what no checkpoint knows as the best any more."""
        files = [path / "trainer_state.json" for path in checkpoints(self.folder)]
        states = [read_json(file).get("stateful_callbacks", {}) for file in files if file.exists()]
        known = [self.best, *(state.get(BEST, {}) for state in states)]
        kept = {self._place(best["step"]) for best in known if best}
        for path in best_weights(self.folder):
            if path.name.startswith(f"best-{self.name}-") and path not in kept:
                shutil.rmtree(path, ignore_errors=True)

    def best_model(self) -> "VideoBertForPreTraining":
        """The model with the weights that were best."""
        found: VideoBertForPreTraining = type(self._model()).from_pretrained(self._place(self.best["step"]))
        return found

    def curve(self) -> list[dict[str, Any]]:
        """The points of the curve: step and losses."""
        keys = ("loss", *PARTS)
        return [
            {"step": entry["step"], **{key: round(entry[f"eval_{key}"], 6) for key in keys if f"eval_{key}" in entry}}
            for entry in self.trainer.state.log_history
            if "eval_loss" in entry
        ]

    def _measure(self) -> dict[str, float]:
        model, trainer = self._model(), self.trainer
        size = trainer.args.per_device_train_batch_size
        number = min(len(self.examples.rows), MOST)
        rows = [self.examples[index] for index in range(number)]
        batches = [self.examples.collate(rows[begin : begin + size]) for begin in range(0, number, size)]
        # Of all of them together: a batch of few masked words counts less than one of many.
        targets = torch.stack([model.count_targets(**batch) for batch in batches]).mean(0).to(trainer.args.device)
        sums = torch.zeros(1 + len(PARTS), device=trainer.args.device)
        model.eval()
        with torch.no_grad(), trainer.compute_loss_context_manager():
            for batch in batches:
                on_device = {name: values.to(trainer.args.device) for name, values in batch.items()}
                output = model(**on_device, targets=targets)
                parts = [output.loss, *(output.get(name) for name in PARTS)]
                sums += torch.stack([sums.new_zeros(()) if part is None else part.float() for part in parts])
        model.train()
        means = (sums / len(batches)).tolist()
        there = [True, *(targets > 0).tolist()]
        return {name: value for name, value, is_there in zip(("loss", *PARTS), means, there, strict=True) if is_there}

    def _model(self) -> "VideoBertForPreTraining":
        return cast("VideoBertForPreTraining", self.trainer.model)

    def _place(self, step: int) -> Path:
        return self.folder / f"best-{self.name}-{step}"
