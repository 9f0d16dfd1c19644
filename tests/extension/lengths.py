"""How long the segments of the test split are, in words and in visual words."""

import numpy as np

from videobert.evaluation.task import (
    EvaluateExecution,
    SeededSettings,
    TaskInputs,
    TaskOutputs,
    open_task,
    used_settings,
    write_task,
)
from videobert.settings import Count, Settings

VERSION = 1


class LengthsSettings(Settings):
    """How long the segments of the test split are."""

    longest: Count = 1000
    """Longer segments are counted as this long."""


def lengths(
    inputs: TaskInputs,
    outputs: TaskOutputs,
    settings: LengthsSettings,
    shared: SeededSettings,
    execution: EvaluateExecution,
) -> None:
    """Measure how long the segments of the test split are."""
    task = open_task(inputs, shared, execution)
    counts = {"text": np.diff(task.test.text_offsets), "video": np.diff(task.test.video_offsets)}
    summary = {name: float(np.minimum(count, settings.longest).mean()) for name, count in counts.items()}
    write_task(
        outputs.figures, task.provenance("lengths", VERSION, used_settings(settings, shared)), {"lengths": summary}, {}
    )
