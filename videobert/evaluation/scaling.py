"""Scaling: does a model that saw more videos name more? (The paper's section 4.4 and table 2.)

Models of nested shares of the train videos are pretrained with several seeds, each for as many steps as the main model.
(The paper keeps the epochs instead, so that fewer videos take fewer steps too. A model that starts from nothing then
shows how many steps it needs, not what more videos bring: on a quarter of the built-in corpus of 240 videos, 500 steps
gave hardly more than chance, and 2,000 steps about what they gave on all of it.) A seed draws the videos and everything
else. Codebook and vocabulary stay those of all train videos. Each model is asked the zero-shot question; a share's
figures are the mean over its seeds. Their interval is that of the test videos, by a bootstrap; how far seeds lie apart
is their spread, beside it. The language prior asks the same without the video: what grows there too was not learnt from
sight.
"""

from itertools import product
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from videobert.data.provenance import make_provenance, read_json, read_provenance, sha256
from videobert.errors import UserError
from videobert.evaluation.ranking import rank_labels, without_video
from videobert.evaluation.scoring import Ranked, accuracies, chance, hits, means
from videobert.evaluation.steps import Step, select_between
from videobert.evaluation.task import (
    NO_TRUTH,
    PACKAGES,
    AnnotatedInputs,
    AnnotatedSettings,
    EvaluateExecution,
    Task,
    TaskOutputs,
    open_task,
    used_settings,
    write_task,
)
from videobert.layout import ModelFolder
from videobert.settings import Inputs, NoDuplicates, PositiveShare, Seed, Settings

VERSION = 1

AGAIN = "run snakemake --cores all scaling"


class ScalingSettings(Settings):
    """What more videos bring: models of shares of them."""

    shares: Annotated[list[PositiveShare], Field(min_length=1), NoDuplicates] = [0.1, 0.25, 0.5, 1.0]
    """Shares of the train videos. A model is pretrained for each share and each seed, each as long as the main
    model."""
    seeds: Annotated[list[Seed], Field(min_length=1), NoDuplicates] = [0, 1, 2]
    """Seeds, which also draw the videos: with one seed alone, chance can look like growth. The task needs shares times
    seeds pretrainings, less one, since the main model is not trained again (11 with the defaults). So it is not in the
    default evaluate.tasks: `snakemake --cores all scaling` runs it, and evaluate.tasks adds it to the report."""


class ScalingInputs(Inputs):
    models: list[Path]
    """model.safetensors of each model: of the first share with each seed, then of the second, and so on; the rest of each model
    folder lies beside it."""
    tokens: list[Path]
    """The token tables (Parquet), one for each shard."""
    manifest: Path
    """The manifest (Parquet)."""
    features: list[Path] = []
    """The tables of features, as for zero_shot; where the models read features."""
    steps: list[Path] = []
    """The annotated steps, as for zero_shot."""
    ids: list[Path] = []
    """The list's own ids, as for zero_shot."""
    template: str
    """The sentence with two [MASK], for the verb and the object: zero_shot's first."""


def scaling(
    inputs: ScalingInputs,
    outputs: TaskOutputs,
    settings: ScalingSettings,
    shared: AnnotatedSettings,
    execution: EvaluateExecution,
) -> None:
    """Compare models of shares of the train videos by zero-shot classification."""
    used = used_settings(settings, shared) | {"template": inputs.template}
    if shared.annotations is None:
        provenance = make_provenance("scaling", VERSION, used, {"tokens": inputs.tokens}, PACKAGES)
        return write_task(outputs.figures, provenance, {"scaling": {"skipped": NO_TRUTH}}, {})
    _check(inputs, settings)
    # For each condition and share, the hits with each seed.
    found: dict[str, dict[float, list[dict[str, npt.NDArray[np.float64]]]]] = {"cross_modal": {}, "language_prior": {}}
    details: list[dict[str, Any]] = []
    videos_of: dict[float, int] = {}
    steps: list[Step] = []
    labels: dict[str, list[str]] = {}
    for model, (share, model_seed) in zip(inputs.models, product(settings.shares, settings.seeds), strict=True):
        shared_files = inputs.model_dump(include={"tokens", "manifest", "features", "steps", "ids"})
        files = AnnotatedInputs(model=model, **shared_files)
        task = open_task(files, shared, execution)
        labels = {part: sorted({getattr(step, part) for step in task.steps}) for part in ("verb", "object")}
        steps, ranks = _rankings(task, labels, inputs.template)
        videos_of[share] = _trained_on(model)
        for name, ranked in ranks.items():
            found[name].setdefault(share, []).append(hits(steps, ranked))
        figures = {name: accuracies(steps, ranked, shared.seed) for name, ranked in ranks.items()}
        details.append({"share": share, "seed": model_seed, "videos": videos_of[share], **figures})

    results: dict[str, Any] = {"chance": chance(labels)}
    for name, rows in found.items():
        results[name] = {}
        for share, of_seeds in rows.items():
            mean = {figure: np.mean([right[figure] for right in of_seeds], axis=0) for figure in of_seeds[0]}
            row = {"videos": videos_of[share], **means(steps, mean, shared.seed), **_spread(of_seeds)}
            results[name][str(share)] = row
    sources = {"tokens": inputs.tokens, "models": inputs.models, "annotations": inputs.steps}
    provenance = make_provenance("scaling", VERSION, used, sources, PACKAGES, execution=execution.model_dump())
    return write_task(outputs.figures, provenance, {"scaling": results}, {"labels": labels, "models": details})


def _rankings(task: Task, labels: dict[str, list[str]], template: str) -> tuple[list[Step], dict[str, Ranked]]:
    """The steps of the test videos, and the model's rankings of their labels with the video and without it."""
    clips = task.clips("test")
    steps = task.steps_with(clips)
    videos = [select_between(*clips[step.video_id], step.start, step.end) for step in steps]
    return steps, {
        "cross_modal": rank_labels(task.predictor, template, labels, videos),
        "language_prior": without_video(task.predictor, template, labels, len(steps)),
    }


def _check(inputs: ScalingInputs, settings: ScalingSettings) -> None:
    """Raises UserError unless the models are those of the shares and seeds, and alike in all else."""
    models, shares, seeds = inputs.models, settings.shares, settings.seeds
    if len(models) != len(shares) * len(seeds):
        raise UserError(
            f"{len(models)} models were given for {len(shares)} shares with {len(seeds)} seeds each: {AGAIN}"
        )
    alike: list[Any] = []
    for model, wanted in zip(models, product(shares, seeds), strict=True):
        provenance = read_provenance(model)
        trained = provenance["settings"]
        is_ = trained["share"], trained["seed"]
        if is_ != wanted:
            raise UserError(f"{model.parent} has share and seed {is_}, but those of {wanted} are asked for: {AGAIN}")
        others = {key: value for key, value in trained.items() if key not in ("share", "seed")}
        alike.append((provenance["inputs"], others))
        if alike[-1] != alike[0]:
            raise UserError(
                f"{model.parent} was pretrained with other tokens or settings than {models[0].parent}: {AGAIN}"
            )
    if alike[0][0]["tokens"] != [sha256(file) for file in inputs.tokens]:
        raise UserError(
            f"{inputs.tokens[0].parent} has other tokens than those that {models[0].parent} was trained on: {AGAIN}"
        )


def _trained_on(model: Path) -> int:
    """How many videos a model was trained on."""
    videos: int = read_json(Path(ModelFolder(model.parent).training))["corpus"]["videos"]
    return videos


def _spread(of_seeds: list[dict[str, npt.NDArray[np.float64]]]) -> dict[str, float]:
    """The standard deviation of each accuracy over the seeds; nothing for one seed."""
    if len(of_seeds) < 2:
        return {}
    return {
        f"{figure}_spread": float(np.std([right[figure].mean() for right in of_seeds], ddof=1))
        for figure in of_seeds[0]
    }
