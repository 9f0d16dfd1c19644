"""Pretraining's useful tokens a second, beside transformers' own BertForMaskedLM padded to the maximum length.

    python benchmarks/pretrain.py --threads 1

Both models have the same sizes and see the same sequences in the same order through transformers' Trainer, in this one
process, in turns. The peer is what one gets by following the documentation: every sequence padded to the maximum length,
scores of the whole vocabulary at every position, float32. Ours is the stage pretrain as it is, with bf16. The tokens
are random, since only their number matters: sentences and clips of a length that follows a normal distribution.
The peer has one table of `--vocabulary` entries for words and visual words together; ours has them for the words alone, and
the visual words beside them.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from transformers import BertConfig, BertForMaskedLM, Trainer, TrainerCallback, TrainingArguments

from videobert.model.examples import Examples
from videobert.model.processing_videobert import Vocabulary, pad_examples
from videobert.model.sequences import Segments
from videobert.model.training import make_trainer, training_arguments

VISUAL_WORDS = 1728
# Every sequence holds text and video, for an even mean length.
SETTINGS = {
    "mask_probability": 0.15,
    "video_mask_probability": 0.15,
    "text_weight": 0.0,
    "video_weight": 0.0,
    "text_video_weight": 1.0,
    "alignment_weight": 0.0,
    "hard_negatives": 0.0,
    "contrastive_weight": 0.0,
    "regression_weight": 0.0,
    "visual_input": "words",
    "video_mask_span": 1,
    "video_stride": 1,
    "concatenation": 0.0,
    "learning_rate": 1e-4,
    "warmup_steps": 10,
    "weight_decay": 0.01,
    "seed": 0,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hidden_size", type=int, default=384)
    parser.add_argument("--num_hidden_layers", type=int, default=6)
    parser.add_argument("--num_attention_heads", type=int, default=12)
    parser.add_argument("--intermediate_size", type=int, default=1536)
    parser.add_argument("--vocabulary", type=int, default=30522)
    parser.add_argument("--max_length", type=int, default=128)
    parser.add_argument("--mean_length", type=int, default=48)
    parser.add_argument("--batch_size", type=int, default=32)
    parser.add_argument("--steps", type=int, default=4, help="timed steps of a round, after one that is not timed")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    sizes = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
    settings = SETTINGS | {name: getattr(options, name) for name in (*sizes, "max_length", "batch_size")}
    settings |= {"max_steps": options.steps + 1, "logging_steps": 10**6, "bf16": True}
    words = Vocabulary(0, 101, 102, 103, 104, vocab_size=options.vocabulary, visual_words=VISUAL_WORDS)
    examples = Examples(segments(options.mean_length, words), words, SimpleNamespace(**settings))
    lengths = [len(examples[i][0].input.ids) for i in range(len(examples))]
    print(f"lengths: mean {np.mean(lengths):.1f}, longest {max(lengths)}, padded to {options.max_length}")
    figures: dict[str, list[float]] = {"peer": [], "ours": []}
    for turn in range(options.rounds):
        for name, trainer in (("peer", peer), ("ours", ours)):
            with tempfile.TemporaryDirectory() as folder:
                seconds = timed(trainer(examples, settings, words, Path(folder)))
            figures[name].append(sum(lengths[options.batch_size :]) / seconds)
            print(f"round {turn + 1}: {name} {figures[name][-1]:.0f} useful tokens a second")
    medians = {name: float(np.median(values)) for name, values in figures.items()}
    ratios = [ours / peer for ours, peer in zip(figures["ours"], figures["peer"], strict=True)]
    result = {
        "useful_tokens_a_second": {name: round(value) for name, value in medians.items()},
        "ratio": round(float(np.median(ratios)), 2),
        "ratios": [round(ratio, 2) for ratio in ratios],
        "torch": torch.__version__,
        **vars(options),
    }
    print(json.dumps(result))


def segments(mean_length: int, words: Vocabulary, rows: int = 2000) -> Segments:
    """Rows of text and video of random tokens, half a sequence each."""
    random = np.random.default_rng(0)
    half = (mean_length - 3) / 2
    draw = lambda: np.clip(random.normal(half, half / 2.5, rows).astype(np.int64), 4, None)  # noqa: E731
    text, video = draw(), draw()
    offsets = [np.concatenate([[0], np.cumsum(counts)]) for counts in (text, video)]
    return Segments(
        random.integers(1000, words.vocab_size, offsets[0][-1]).astype(np.int32),
        offsets[0],
        random.integers(0, words.visual_words, offsets[1][-1]).astype(np.int32),
        offsets[1],
        np.zeros(offsets[1][-1], np.int32),
        video,
        paired=np.ones(rows, bool),
        group=np.arange(rows, dtype=np.int32),
        start=np.zeros(rows),
        end=np.ones(rows),
        first=np.zeros(rows + 1, np.int64),
        videos=[str(row) for row in range(rows)],
    )


def ours(examples: Examples, settings: dict[str, Any], words: Vocabulary, folder: Path) -> Trainer:
    from videobert.model.configuration_videobert import VideoBertConfig
    from videobert.model.modeling_videobert import VideoBertForPreTraining

    sizes = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
    config = VideoBertConfig(
        vocab_size=words.vocab_size,
        visual_words=words.visual_words,
        max_position_embeddings=settings["max_length"],
        pad_token_id=words.pad,
        **{name: settings[name] for name in sizes},
    )
    execution = {"save_steps": 10**6, "device": "cpu", "gradient_accumulation_steps": 1}
    named = SimpleNamespace(**settings | execution)
    arguments = training_arguments(folder, named, named)
    return make_trainer(VideoBertForPreTraining(config), arguments, examples, folder / "runs")


def peer(examples: Examples, settings: dict[str, Any], words: Vocabulary, folder: Path) -> Trainer:
    sizes = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
    config = BertConfig(
        vocab_size=words.vocab_size,
        max_position_embeddings=settings["max_length"],
        pad_token_id=words.pad,
        **{name: settings[name] for name in sizes},
    )

    def collate(rows: list) -> dict[str, torch.Tensor]:
        batch = pad_examples([example for example, _ in rows], words)
        filler = {"input_ids": words.pad, "attention_mask": 0, "token_type_ids": 0, "labels": -100}
        room = settings["max_length"] - batch["input_ids"].shape[1]
        padded = {name: torch.nn.functional.pad(batch[name], (0, room), value=value) for name, value in filler.items()}
        # One table for both kinds of words: some share an entry.
        for name in ("input_ids", "labels"):
            padded[name] = torch.where(padded[name] >= words.vocab_size, padded[name] - words.vocab_size, padded[name])
        return padded

    arguments = TrainingArguments(
        output_dir=str(folder),
        max_steps=settings["max_steps"],
        per_device_train_batch_size=settings["batch_size"],
        learning_rate=settings["learning_rate"],
        train_sampling_strategy="sequential",
        remove_unused_columns=False,
        use_cpu=True,
        report_to="none",
        save_strategy="no",
        logging_steps=10**6,
        disable_tqdm=True,
    )
    return Trainer(BertForMaskedLM(config), arguments, data_collator=collate, train_dataset=examples)


def timed(trainer: Trainer) -> float:
    """Seconds of all steps but the first."""
    clock: list[float] = []

    class Clock(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **others: Any) -> None:
            clock.append(time.perf_counter())

    trainer.add_callback(Clock())
    trainer.train()
    return clock[-1] - clock[0]


if __name__ == "__main__":
    main()
