"""What the evaluation's tasks share: their settings, their inputs, opened and checked, and a task's file.

A task measures on the test split alone. Its file, `results/evaluate/TASK.json`, holds a `summary`, which the stage
evaluate merges into metrics.json, and the details behind it. Each figure that is a mean over the test set stands beside
its 95 % interval, by a bootstrap over videos: the segments of one video are no independent draws.
"""

import math
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from videobert.data.provenance import make_provenance, read_table, write_json
from videobert.data.tables import FeatureTables, open_features
from videobert.data.video_names import open_names
from videobert.errors import UserError
from videobert.evaluation.scoring import rounded
from videobert.evaluation.steps import Step, Track, clips_of_videos, in_videos, matched, read_steps
from videobert.model.predictor import Predictor, check_same_codebook
from videobert.model.sequences import Segments, TokenTables, open_tokens, with_features
from videobert.settings import Count, DeviceExecution, Inputs, Outputs, Seed, Settings, Text

TaskName = Literal["objectives", "zero_shot", "probe", "retrieval", "captioning", "forecasting", "scaling"]
PACKAGES = ("torch", "transformers")
NO_TRUTH = "evaluate.annotations is null: there is nothing to compare with"


class SeededSettings(Settings):
    seed: Seed = 0
    """Seed of the masks, of the shuffled pairs and of the bootstrap."""


class AnnotatedSettings(SeededSettings):
    annotations: Text | None = None
    """The annotated steps for the tasks that need them: kitchen (those of the built-in corpus), a TSV, CSV or Parquet
    file with the columns video_id, start, end, verb, object and, for captioning, sentence; or null to leave those tasks
    out."""


class EvaluateSettings(AnnotatedSettings):
    """What the tasks of the evaluation share; each of them has a section and a target of its own."""

    tasks: Annotated[list[TaskName], Field(min_length=1)] = [
        "objectives",
        "zero_shot",
        "probe",
        "retrieval",
        "forecasting",
    ]
    """What is measured: objectives (masked accuracy and alignment), zero_shot (verbs and objects of annotated steps),
    probe (the same, learnt by linear classifiers from frozen features), retrieval (the video for a text, the text for a
    video), captioning (sentences for the steps; it trains for a minute or two), forecasting (the next visual words) and
    scaling (zero_shot by the number of train videos; it pretrains many models)."""


class EvaluateExecution(DeviceExecution):
    batch_size: Count = 64
    """Sequences per batch."""
    threads: Count = 2
    """CPU threads."""


class TaskInputs(Inputs):
    model: Path
    """model.safetensors; the rest of the model folder lies beside it."""
    tokens: list[Path]
    """The token tables (Parquet), one for each shard."""
    manifest: Path
    """The manifest (Parquet)."""
    features: list[Path] = []
    """The tables of the features that the tokens were made of (Parquet), one for each shard; where the model reads features
    (pretrain.visual_input)."""


class AnnotatedInputs(TaskInputs):
    steps: list[Path] = []
    """The annotated steps (TSV, CSV or Parquet): video_id, start, end (seconds), verb, object and perhaps sentence."""
    ids: list[Path] = []
    """The list's own ids (Parquet), by which the steps may name their videos, too."""


class FeatureInputs(AnnotatedInputs):
    features: list[Path]
    """The tables of the features that the tokens were made of (Parquet), one for each shard."""


class TaskOutputs(Outputs):
    figures: Path
    """The task's figures and details (JSON)."""


@dataclass(frozen=True)
class Task:
    """What a task works with: its inputs, opened and checked to fit together."""

    predictor: Predictor
    tokens: TokenTables
    test: Segments  # the rows of the test split, with the clips that the model was trained to see
    splits: dict[str, str]  # by video id
    annotations: str | None = None
    listed: list[Step] = field(default_factory=list)  # all that the table of annotations has
    steps: list[Step] = field(default_factory=list)  # those of them whose times lie in their video, of all splits
    features: FeatureTables | None = None  # where the inputs have them
    sources: dict[str, Path | list[Path]] = field(default_factory=dict)  # for the provenance
    execution: dict[str, Any] = field(default_factory=dict)

    def clips(self, split: str) -> dict[str, Track]:
        """For each video of a split, the middles of its clips (seconds) and their visual words."""
        return clips_of_videos(self.test if split == "test" else self.segments(split))

    def segments(self, split: str, lookahead: int = 0) -> Segments:
        """The rows of a split, with all that the model reads of their clips."""
        return _segments(self.tokens, self.predictor, self.features, split, lookahead)

    def steps_with(self, clips: dict[str, Any]) -> list[Step]:
        """The steps of the videos in `clips`. Raises UserError when there is none."""
        found = [step for step in self.steps if step.video_id in clips]
        if not found:
            raise UserError(
                f"evaluate.annotations ({self.annotations}) has no step of a test video with tokens: name its videos by "
                "the list's id, the manifest's video_id or the source, or set annotations to null"
            )
        return found

    def provenance(
        self, name: str, version: int, settings: dict[str, Any], packages: tuple[str, ...] = PACKAGES
    ) -> dict[str, Any]:
        return make_provenance(name, version, settings, self.sources, packages, execution=self.execution)


def open_task(
    inputs: TaskInputs, settings: SeededSettings, execution: EvaluateExecution, seeing: int | None = None
) -> Task:
    """Opens what the task reads, by its class of inputs.

    Args:
        seeing: clips after a sentence that belong to it; None: as many as the model was trained to see.

    Raises UserError when a file is missing, when two do not fit together, or when no video is in the split test.
    """
    tokens = open_tokens(inputs.tokens)
    check_same_codebook(tokens.provenance, inputs.tokens[0], inputs.model)
    predictor = Predictor(inputs.model.parent, execution.batch_size, execution.device, execution.threads)
    lookahead = predictor.model.config.lookahead if seeing is None else seeing
    rows = read_table(inputs.manifest, ["video_id", "split"]).to_pylist()
    sources: dict[str, Path | list[Path]] = {"model": inputs.model, "tokens": inputs.tokens}
    annotations = settings.annotations if isinstance(settings, AnnotatedSettings) else None
    listed: list[Step] = []
    steps: list[Step] = []
    if annotations is not None and isinstance(inputs, AnnotatedInputs):
        where = f"evaluate.annotations: {annotations}"
        listed = matched(read_steps(inputs.steps, annotations), open_names(inputs.manifest, inputs.ids), where)
        slack = tokens.provenance.get("clip_seconds") or math.inf  # unknown: nothing is said to lie after the end
        steps = in_videos(listed, tokens.ends(), slack, where)
        sources["annotations"] = inputs.steps
    features = None
    if inputs.features:
        features = open_features(inputs.features)
        tokens.check_made_of(inputs.features)
        sources["features"] = inputs.features
    return Task(
        predictor=predictor,
        tokens=tokens,
        test=_test_segments(tokens, predictor, features, lookahead),
        splits={row["video_id"]: row["split"] for row in rows},
        annotations=annotations,
        listed=listed,
        steps=steps,
        features=features,
        sources=sources,
        execution=execution.model_dump() | {"device": predictor.device},
    )


def _segments(
    tokens: TokenTables, predictor: Predictor, features: FeatureTables | None, split: str, lookahead: int
) -> Segments:
    segments = tokens.segments(split, lookahead)
    if not predictor.reads_features:
        return segments
    if features is None:
        raise UserError("the model reads features (pretrain.visual_input): give the tables of them, --features")
    return with_features(segments, features)


def _test_segments(
    tokens: TokenTables, predictor: Predictor, features: FeatureTables | None, lookahead: int
) -> Segments:
    segments = _segments(tokens, predictor, features, "test", lookahead)
    if not len(segments):
        raise UserError(
            "no token row belongs to the split test: raise corpus.test_fraction, or set the column split of some "
            "videos to test in the list of videos"
        )
    return segments


def used_settings(settings: Settings, shared: SeededSettings) -> dict[str, Any]:
    """A task's settings for its provenance; of a table of annotations the name, since its path is of this machine."""
    used = shared.fingerprint() | settings.fingerprint()
    return used | {"annotations": Path(used["annotations"]).name} if used.get("annotations") else used


def write_task(figures: Path, provenance: dict[str, Any], summary: dict[str, Any], details: dict[str, Any]) -> None:
    """Writes a task's file: what goes into metrics.json, the details, and how they were made."""
    write_json(rounded({"summary": summary, **details}), figures, provenance)
    print(f"{provenance['stage']}: {in_words(summary)}", file=sys.stderr)


def in_words(summary: dict[str, Any]) -> str:
    """A task's summary in one line: the figures of each row, without counts and intervals."""
    parts = []
    for name, value in summary.items():
        if name == "no_interval":
            continue
        if isinstance(value, dict):
            figures = [f"{item:.2f}" for item in value.values() if isinstance(item, float)]
            parts.append(f"{name} {'/'.join(figures)}" if figures else in_words(value))
        elif isinstance(value, str):
            parts.append(value)
    return ", ".join(filter(None, parts))
