"""A small world for the tests: the kitchen's own scripts and sentences, with made-up visual words and no pixels.

Each verb has a few visual words of its own, objects shift which of them are common, and a share of the clips shows a
random word. So what a good model can reach is known, and files of every kind that pretraining and evaluation read are
written in a second.
"""

import json
import random
import string
from pathlib import Path

import numpy as np
import pyarrow as pa
from calls import steps_files
from safetensors.numpy import load_file, save_file

from videobert.data.provenance import sha256, write_table
from videobert.kitchen import script as kitchen
from videobert.model.tokenizer import pretrained

CLIP = 1.5  # seconds
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[>]"]
DIMENSION = 32
NETWORK = {"weights_sha256": "0" * 64, "clip_seconds": CLIP, "dimension": DIMENSION}


def world(
    folder: Path,
    videos: int = 60,
    words: int = 96,
    noise: float = 0.2,
    shards: int = 2,
    seed: int = 0,
    bert: Path | None = None,
) -> dict:
    """Writes manifest, codebook, vocabulary and tokens of `videos` kitchen videos; returns their paths by stage.

    Beside the tokens lie the features that they were made of. The vocabulary is that of the folder `bert`, or one made
    of the sentences."""
    paths = {name: folder / name for name in ("tokens", "codebook", "vocabulary", "features", "frames")}
    paths["manifest"] = folder / "manifest.parquet"
    scripts = [kitchen.script(number) for number in range(videos)]
    if bert:
        pretrained(str(bert)).save_pretrained(paths["vocabulary"])
    else:
        _vocabulary(paths["vocabulary"], scripts)
    _codebook(paths["codebook"], words, seed)
    rows = [
        {
            "video_id": f"kitchen-{script.number}",
            "source": f"kitchen:{script.number}",
            "shard": f"{script.number * shards // videos:04d}",
            "split": "test" if kitchen.is_test(script.number) else "train",
        }
        for script in scripts
    ]
    write_table(pa.Table.from_pylist(rows), paths["manifest"], {"stage": "corpus"})
    steps_files("kitchen", paths["manifest"])
    provenance = {
        "stage": "tokens",
        "codebook_sha256": sha256(paths["codebook"] / "centroids.safetensors"),
        "vocabulary_sha256": sha256(paths["vocabulary"] / "tokenizer.json"),
        "clip_seconds": CLIP,
        "settings": {"segment_length": 16},
    }
    for shard in sorted({row["shard"] for row in rows}):
        here = [(script, row) for script, row in zip(scripts, rows, strict=True) if row["shard"] == shard]
        table = [
            segment
            for script, row in here
            for segment in _segments(script, row, paths["vocabulary"], words, noise, seed)
        ]
        _raw(paths, shard, _features([script for script, _ in here], paths["codebook"], words, noise, seed))
        provenance["inputs"] = {"features": sha256(paths["features"] / f"{shard}.parquet")}
        write_table(pa.Table.from_pylist(table, schema=SCHEMA), paths["tokens"] / f"{shard}.parquet", provenance)
    return paths


SCHEMA = pa.schema(
    [
        ("video_id", pa.string()),
        ("split", pa.string()),
        ("kind", pa.string()),
        ("start", pa.float64()),
        ("end", pa.float64()),
        ("text", pa.string()),
        ("text_ids", pa.list_(pa.int32())),
        ("video_ids", pa.list_(pa.int32())),
        ("clips", pa.list_(pa.int32())),
    ]
)


def _raw(paths: dict, shard: str, features: pa.Table) -> None:
    """The features, and a ledger without rows that says how frames would have been made."""
    ledger, nothing = paths["frames"] / shard / "ledger.parquet", pa.table({"video_id": pa.array([], pa.string())})
    write_table(nothing, ledger, {"settings": {"fps": 20, "size": 224, "crf": 18}})
    note = {
        "inputs": {"frames": sha256(ledger)},
        "settings": {"weights": "kitchen", "clip_frames": 30, "precision": "float32"},
        **NETWORK,
    }
    write_table(features, paths["features"] / f"{shard}.parquet", note)


def visual_words(script, words: int, noise: float, seed: int) -> list[int]:
    """A word for each clip of the video: of the step that is on at the clip's middle, of an empty kitchen, or noise."""
    rng = random.Random(f"visual words {seed} {script.number}")
    return [_word(script, (clip + 0.5) * CLIP, words, noise, rng) for clip in range(int(script.duration / CLIP))]


def _word(script, time: float, words: int, noise: float, rng: random.Random) -> int:
    step = next((step for step in script.steps if step.start <= time < step.end), None)
    if rng.random() < noise:
        return rng.randrange(words)
    if step is None:
        return rng.randrange(2)
    own = (words - 2) // len(kitchen.VERBS)
    # Half of the clips say something of the object: its own variant of the verb's words.
    variant = kitchen.OBJECTS.index(step.object) % own if rng.random() < 0.5 else rng.randrange(own)
    return 2 + kitchen.VERBS.index(step.verb) * own + variant


def _segments(script, row: dict, vocabulary: Path, words: int, noise: float, seed: int) -> list[dict]:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(vocabulary / "tokenizer.json"))
    video = visual_words(script, words, noise, seed)
    same = {"video_id": row["video_id"], "split": row["split"]}
    segments = []
    starts = [step.speech_start for step in script.steps] + [script.duration]
    for step, start, end in zip(script.steps, starts, starts[1:], strict=False):
        clips = [clip for clip in range(len(video)) if start <= (clip + 0.5) * CLIP < end]
        if step.sentence and clips:
            ids = tokenizer.encode(step.sentence, add_special_tokens=False).ids
            segments.append(_row("text-video", clips, video, **same, text=step.sentence, text_ids=ids))
    for first in range(0, len(video), 16):
        clips = list(range(first, min(first + 16, len(video))))
        segments.append(_row("video", clips, video, **same, text="", text_ids=[]))
    return segments


def _row(kind: str, clips: list[int], video: list[int], **rest) -> dict:
    ids = [video[clip] for clip in clips]
    return {
        "kind": kind,
        "start": clips[0] * CLIP,
        "end": (clips[-1] + 1) * CLIP,
        "clips": clips,
        "video_ids": ids,
        **rest,
    }


def _features(scripts: list, codebook: Path, words: int, noise: float, seed: int) -> pa.Table:
    """A feature for each clip: the centroid of its visual word, and what the codebook rounds off."""
    centroids = load_file(codebook / "centroids.safetensors")["centroids.1"]
    rows: list[dict] = []
    for script in scripts:
        random_ = np.random.default_rng([seed, script.number])
        for clip, word in enumerate(visual_words(script, words, noise, seed)):
            feature = (centroids[word] + 0.3 * random_.normal(size=DIMENSION)).astype(np.float16)
            times = {"start": clip * CLIP, "end": (clip + 1) * CLIP}
            rows.append({"video_id": f"kitchen-{script.number}", "clip": clip, **times, "feature": feature})
    types = [("video_id", pa.string()), ("clip", pa.int32()), ("start", pa.float64()), ("end", pa.float64())]
    return pa.Table.from_pylist(rows, schema=pa.schema([*types, ("feature", pa.list_(pa.float16(), DIMENSION))]))


def _vocabulary(folder: Path, scripts: list) -> None:
    """Every word that is said, and the letters of it for any other. In this order, and not as a trainer numbers them:
    that differs from process to process, and with it what a model learns."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

    normalizer, parter = normalizers.BertNormalizer(lowercase=True), pre_tokenizers.BertPreTokenizer()
    sentences = [normalizer.normalize_str(step.sentence) for script in scripts for step in script.steps]
    words = {word for sentence in sentences for word, _ in parter.pre_tokenize_str(sentence)}
    letters = sorted({*string.ascii_lowercase, *(letter for word in words for letter in word)})
    pieces = [*SPECIAL, *letters, *(f"##{letter}" for letter in letters), *sorted(words - set(letters))]
    ids = {piece: number for number, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.WordPiece(ids, unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizer, parter
    tokenizer.add_special_tokens(SPECIAL)
    folder.mkdir(parents=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "PreTrainedTokenizerFast"}), encoding="utf-8"
    )


def _codebook(folder: Path, words: int, seed: int) -> None:
    """Centroids as a trained S3D gives them: those of one verb near each other, those of its variants apart."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    own = (words - 2) // len(kitchen.VERBS)
    verbs = np.minimum((np.arange(words) - 2) // own + 1, len(kitchen.VERBS))
    centres = rng.normal(size=(len(kitchen.VERBS) + 1, DIMENSION))
    centroids = (centres[verbs] + 0.7 * rng.normal(size=(words, DIMENSION))).astype(np.float32)
    tensors = {"centroids.1": centroids, "alive.1": np.ones(words, np.uint8)}
    note = {"provenance": json.dumps({"stage": "codebook", **NETWORK})}
    save_file(tensors, folder / "centroids.safetensors", metadata=note)
