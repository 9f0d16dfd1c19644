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
from typing import Any, Literal

import numpy as np

from videobert.data.provenance import read_provenance, sha256
from videobert.errors import UserError
from videobert.evaluation.ranking import rank_labels, without_video
from videobert.evaluation.scoring import accuracies, chance, hits, means
from videobert.evaluation.steps import clips_of_videos, read_steps, select_between, test_segments, with_tokens
from videobert.evaluation.task import NO_TRUTH, write_task
from videobert.model.predictor import Predictor
from videobert.model.sequences import token_files

VERSION = 1

AGAIN = "run snakemake --cores all scaling"


def scaling(
    models: list[Path],
    tokens: Path,
    manifest: Path,
    output: Path,
    shares: list[float],
    seeds: list[int],
    template: str,
    annotations: str | None,
    batch_size: int,
    seed: int,
    threads: int,
    device: Literal["auto", "cpu", "cuda"] = "auto",
) -> None:
    """Compare models of shares of the train videos by zero-shot classification.

    Args:
        models: folders of the models: of the first share with each seed, then of the second, and so on; none without
            annotations.
        tokens: folder of the token tables, one for each shard.
        manifest: the manifest, which names the shards and the videos' sources.
        output: scaling.json.
        shares: shares of the train videos that the models were pretrained on.
        seeds: seeds of the models of each share.
        template: the sentence with two [MASK], for the verb and the object.
        annotations: the steps: kitchen (the built-in corpus), or a TSV, CSV or Parquet file with the columns video_id,
            start, end (seconds), verb and object; null leaves the task out.
        batch_size: sequences in a batch.
        seed: seed of the intervals.
        threads: CPU threads.
        device: where to run; auto takes a GPU when there is one.
    """
    settings = {"seed": seed, "shares": shares, "seeds": seeds, "template": template}
    settings["annotations"] = annotations and Path(annotations).name
    files = token_files(tokens, manifest)
    inputs: dict[str, Path | list[Path]] = {"tokens": files}
    if annotations is None:
        write_task("scaling", VERSION, output, {"scaling": {"skipped": NO_TRUTH}}, {}, settings, inputs)
        return
    _check(models, shares, seeds, files)
    inputs["models"] = [folder / "model.safetensors" for folder in models]
    if annotations != "kitchen":
        inputs["annotations"] = Path(annotations)
    every, _ = read_steps(annotations, manifest)
    labels = {part: sorted({getattr(step, part) for step in every}) for part in ("verb", "object")}
    clips: dict[str, Any] = {}
    # For each condition and share, the hits with each seed.
    found: dict[str, dict[float, list[dict[str, np.ndarray]]]] = {"cross_modal": {}, "language_prior": {}}
    details, videos_of = [], {}
    for folder, (share, model_seed) in zip(models, product(shares, seeds), strict=True):
        predictor = Predictor(folder, batch_size, device, threads)
        clips = clips or clips_of_videos(test_segments(predictor, folder, tokens, manifest))
        steps = with_tokens(every, clips, annotations)
        videos = [
            select_between(*clips[step.video_id], step.start, step.end) + predictor.vocabulary.vocab_size
            for step in steps
        ]
        videos_of[share] = _trained_on(folder)
        ranks = {
            "cross_modal": rank_labels(predictor, template, labels, videos),
            "language_prior": without_video(predictor, template, labels, len(steps)),
        }
        for name, ranked in ranks.items():
            found[name].setdefault(share, []).append(hits(steps, ranked))
        figures = {name: accuracies(steps, ranked, seed) for name, ranked in ranks.items()}
        details.append({"share": share, "seed": model_seed, "videos": videos_of[share], **figures})

    results: dict[str, Any] = {"chance": chance(labels)}
    for name, rows in found.items():
        results[name] = {}
        for share, of_seeds in rows.items():
            mean = {figure: np.mean([right[figure] for right in of_seeds], axis=0) for figure in of_seeds[0]}
            results[name][str(share)] = {"videos": videos_of[share], **means(steps, mean, seed), **_spread(of_seeds)}
    write_task(
        "scaling", VERSION, output, {"scaling": results}, {"labels": labels, "models": details}, settings, inputs
    )


def _check(models: list[Path], shares: list[float], seeds: list[int], files: list[Path]) -> None:
    """Raises UserError unless the models are those of the shares and seeds, and alike in all else."""
    if len(models) != len(shares) * len(seeds):
        raise UserError(
            f"{len(models)} models were given for {len(shares)} shares with {len(seeds)} seeds each: {AGAIN}"
        )
    alike: list[Any] = []
    for folder, wanted in zip(models, product(shares, seeds), strict=True):
        note = read_provenance(folder / "model.safetensors")
        settings = note["settings"]
        is_ = settings["share"], settings["seed"]
        if is_ != wanted:
            raise UserError(f"{folder} has share and seed {is_}, but those of {wanted} are asked for: {AGAIN}")
        alike.append((note["inputs"], {key: value for key, value in settings.items() if key not in ("share", "seed")}))
        if alike[-1] != alike[0]:
            raise UserError(f"{folder} was pretrained with other tokens or settings than {models[0]}: {AGAIN}")
    if alike[0][0]["tokens"] != [sha256(file) for file in files]:
        raise UserError(f"{files[0].parent} has other tokens than those that {models[0]} was trained on: {AGAIN}")


def _trained_on(folder: Path) -> int:
    """How many videos a model was trained on."""
    import json

    return json.loads((folder / "training.json").read_text())["corpus"]["videos"]


def _spread(of_seeds: list[dict[str, np.ndarray]]) -> dict[str, float]:
    """The standard deviation of each accuracy over the seeds; nothing for one seed."""
    if len(of_seeds) < 2:
        return {}
    return {
        f"{figure}_spread": float(np.std([right[figure].mean() for right in of_seeds], ddof=1))
        for figure in of_seeds[0]
    }
