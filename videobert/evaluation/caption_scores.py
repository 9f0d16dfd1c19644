"""Scores of captions against one reference each: BLEU, METEOR, ROUGE-L and CIDEr (table 3 of the paper).

All are pycocoevalcap's, whose figures papers report; higher is better, BLEU, METEOR and ROUGE-L go to 1 and CIDEr to 10.
Three things of the package are done here instead: its tokenizer and its METEOR run Java without a limit of time, and a
METEOR that fails in the middle holds a lock for which its own end then waits for ever. So the tokens are made in Python,
by the same rules for plain English, and METEOR's program is run here, under a clock; where there is no Java, METEOR alone
is missing. Nothing of SPICE is imported.
"""

import os
import re
import shutil
import subprocess
import threading
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from videobert.evaluation.scoring import bounds, interval, middle, resampled

OPTIONS = ("-", "-", "-stdio", "-l", "en", "-norm")  # pycocoevalcap's
METEOR_SECONDS = 600  # it takes 10 to start, and a thousand captions a second or two
CONTRACTION = r"n't|'(?:s|m|d|ll|re|ve)\b"
TOKEN = rf"{CONTRACTION}|\d+(?:[.,:/]\d+)*(?:-\w+)*|\w+(?:-\w+)*|[%$#@+=*]"


def tokenize(text: str) -> str:
    """Words in lower case with spaces between and no punctuation, contractions apart ("do n't"), as the Penn Treebank's."""
    text = text.lower().replace("’", "'").replace("_", " ")
    text = re.sub(r"\bcannot\b", "can not", re.sub(r"\b(gon|wan)na\b", r"\1 na", text))
    return " ".join(re.findall(TOKEN, re.sub(CONTRACTION, r" \g<0>", text)))


def scores(
    references: list[str], captions: list[str], groups: npt.NDArray[np.str_], seed: int
) -> tuple[dict[str, Any], npt.NDArray[np.float64]]:
    """All scores but METEOR, with their 95 % intervals by a bootstrap over videos.

    BLEU is that of the whole corpus, and so is each resample's. ROUGE-L and CIDEr are means over the captions; a word's
    weight in CIDEr comes from all references, in every resample.

    Args:
        references: what was said, as tokens.
        captions: what was written, as tokens.
        groups: (n,) the video of each.
        seed: seed of the bootstrap.

    Returns:
        (figures by name, CIDEr of each caption (n,)).
    """
    # Not pycocoevalcap.eval, which would start Java and fetch SPICE's models.
    from pycocoevalcap.bleu.bleu_scorer import BleuScorer
    from pycocoevalcap.cider.cider_scorer import CiderScorer
    from pycocoevalcap.rouge.rouge import Rouge

    bleu_scorer, cider_scorer, rouge = BleuScorer(n=4), CiderScorer(), Rouge()
    for reference, caption in zip(references, captions, strict=True):
        bleu_scorer += (caption, [reference])
        cider_scorer += (caption, [reference])
    bleu, _ = bleu_scorer.compute_score(option="closest", verbose=0)
    cider, ciders = cider_scorer.compute_score()
    rouges = np.array([rouge.calc_score([caption], [reference]) for reference, caption in zip(references, captions)])
    # Corpus BLEU follows from sums over the captions, and so does that of a resample of the videos.
    parts = np.array(
        [[*item["correct"], *item["guess"], item["testlen"], *item["reflen"]] for item in bleu_scorer.ctest]
    )
    resamples = corpus_bleu(resampled(parts, groups, seed))
    figures: dict[str, Any] = {}
    for n in (3, 4):
        figures[f"bleu{n}"] = float(bleu[n - 1])
        figures |= bounds(f"bleu{n}_interval", groups, partial(middle, resamples[:, n - 1]))
    figures |= {"rouge_l": float(rouges.mean()), "cider": float(cider)}
    figures |= bounds("rouge_l_interval", groups, partial(interval, rouges, groups, seed))
    figures |= bounds("cider_interval", groups, partial(interval, ciders, groups, seed))
    return figures, ciders


def corpus_bleu(sums: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """BLEU-1 to BLEU-4 (..., 4) of sums (..., 10): matched n-grams, n-grams, and words of captions and of references."""
    small, tiny = 1e-9, 1e-15  # pycocoevalcap's, against division by zero
    precisions = np.cumprod((sums[..., :4] + tiny) / (sums[..., 4:8] + small), axis=-1) ** (1 / np.arange(1, 5))
    ratio = (sums[..., 8:9] + tiny) / (sums[..., 9:] + small)
    return precisions * np.exp(np.minimum(0, 1 - 1 / ratio))


def meteor(references: list[str], captions: dict[str, list[str]]) -> tuple[dict[str, float], str]:
    """(METEOR of each list of captions against the references, ""), or ({}, why there is none).

    Starts Java once, and ends it, whatever happens.
    """
    import pycocoevalcap.meteor.meteor as package

    if not shutil.which("java"):
        return (
            {},
            "METEOR needs Java, and there is no java on the PATH: install one (apt-get install default-jre-headless)",
        )
    # UTF-8 whatever the locale says; the paraphrases want the memory.
    command = ["java", "-Dfile.encoding=UTF-8", "-Xmx2G", "-jar", package.METEOR_JAR, *OPTIONS]
    try:
        with subprocess.Popen(
            command,
            cwd=Path(package.__file__).parent,
            env={**os.environ, "LC_ALL": "C.UTF-8"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            encoding="utf-8",
        ) as java:
            clock = threading.Timer(METEOR_SECONDS, java.kill)
            clock.start()
            try:
                return {name: _meteor(java, references, ours) for name, ours in captions.items()}, ""
            finally:
                clock.cancel()
                java.kill()
    except (OSError, ValueError):  # which of them depends on when it failed, and the reason goes into the figures' file
        return {}, f"METEOR's Java program failed, or took more than {METEOR_SECONDS} s"


def _meteor(java: subprocess.Popen[str], references: list[str], captions: list[str]) -> float:
    """METEOR of the corpus, by the program's protocol: a line of counts for each pair, then one score for all."""
    to, back = java.stdin, java.stdout
    assert to and back  # pipes

    def ask(line: str) -> str:
        to.write(f"{line}\n")
        to.flush()
        return back.readline().strip()

    counts = [ask(f"SCORE ||| {reference} ||| {caption}") for reference, caption in zip(references, captions)]
    ask(" ||| ".join(["EVAL", *counts]))  # the first pair's own score; the others' follow, and then that of all
    return float([back.readline() for _ in counts][-1])
