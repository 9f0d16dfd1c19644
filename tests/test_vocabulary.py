"""The vocabulary: repeatable WordPiece training on train transcripts, or a pretrained BERT's with [>] added."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest
from calls import vocabulary

from videobert.data.provenance import write_table
from videobert.errors import UserError
from videobert.model.special_tokens import SPECIAL
from videobert.model.tokenizer import train

TRAIN = [
    "Now slice the tomato, and put the tomatoes in the pan.",
    "Let me show you how to whisk the eggs.",
    "Slice the onion; fry the onion in the pan!",
    "Whisk the tomato sauce.",
] * 3


def corpus(folder: Path, train_texts: list[str], test_texts: list[str]) -> tuple[Path, Path]:
    videos = {"a": ("0000", "train", train_texts[::2]), "b": ("0001", "train", train_texts[1::2])}
    videos["c"] = ("0001", "test", test_texts)
    manifest = [{"video_id": v, "shard": shard, "split": split} for v, (shard, split, _) in videos.items()]
    write_table(pa.Table.from_pylist(manifest), folder / "manifest.parquet", {})
    schema = pa.schema(
        [("video_id", pa.string()), ("start", pa.float64()), ("end", pa.float64()), ("text", pa.string())]
    )
    for shard in ("0000", "0001"):
        rows = [
            {"video_id": v, "start": 1.0 * n, "end": n + 1.0, "text": text}
            for v, (place, _, texts) in videos.items()
            if place == shard
            for n, text in enumerate(texts)
        ]
        write_table(pa.Table.from_pylist(rows, schema), folder / f"transcribe/{shard}.parquet", {})
    return folder / "transcribe", folder / "manifest.parquet"


def test_a_trained_vocabulary_loads_as_a_hugging_face_tokenizer(tmp_path):
    from transformers import AutoTokenizer

    transcribe, manifest = corpus(tmp_path, TRAIN, ["grate the zucchini"] * 9)
    vocabulary(transcribe, manifest, tmp_path / "out", tokenizer=None, size=300)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    assert [tokenizer.convert_ids_to_tokens(n) for n in range(6)] == list(SPECIAL)
    assert tokenizer.mask_token == "[MASK]" and tokenizer.pad_token_id == 0
    assert tokenizer.tokenize("Slice the TOMATO, [MASK] [>]") == ["slice", "the", "tomato", ",", "[MASK]", "[>]"]
    ids = tokenizer("slice the tomato").input_ids
    assert (ids[0], ids[-1]) == (tokenizer.cls_token_id, tokenizer.sep_token_id)
    assert tokenizer.decode(ids, skip_special_tokens=True) == "slice the tomato"
    assert tokenizer.decode([5], skip_special_tokens=True) == ""  # [>] is special
    assert "zucchini" not in tokenizer.get_vocab()  # said in a test video only
    assert "[UNK]" not in tokenizer.tokenize("pantomime")  # rare words are built of pieces
    note = json.loads((tmp_path / "out/provenance.json").read_text(encoding="utf-8"))["provenance"]
    assert note["vocabulary_sha256"] == hashlib.sha256((tmp_path / "out/tokenizer.json").read_bytes()).hexdigest()
    assert str(tmp_path) not in "".join(path.read_text(encoding="utf-8") for path in (tmp_path / "out").iterdir())


def test_size_is_an_upper_bound_and_frequent_words_are_whole():
    assert len(train(TRAIN, 60)) <= 60
    assert len(train(TRAIN, 24)) <= 24
    large = train(TRAIN, 1000)
    assert len(large) < 300  # no more pieces than there are
    assert large.tokenize("tomato tomatoes whisk") == ["tomato", "tomatoes", "whisk"]


SCRIPT = """
import hashlib, random
from videobert.model.tokenizer import train
letters, pick = "abcdefghijklmnopqrstuvwxyz", random.Random(0)
words = ["".join(pick.choices(letters, k=pick.randint(2, 8))) for _ in range(800)]
texts = [" ".join(pick.choices(words, k=9)) for _ in range(500)]
random.Random({order}).shuffle(texts)
print(hashlib.sha256(train(texts, 700).backend_tokenizer.to_str().encode()).hexdigest())
"""


@pytest.mark.slow
def test_training_is_the_same_in_every_process_and_for_every_order():
    # In processes of their own: the library's hash tables are seeded once for each.
    runs = [
        subprocess.run(
            [sys.executable, "-c", SCRIPT.format(order=n)], capture_output=True, text=True, check=True
        ).stdout
        for n in range(2)
    ]
    assert len(set(runs)) == 1


def test_a_pretrained_tokenizer_is_kept_and_gets_the_separator(tmp_path):
    from tokenizers import Tokenizer
    from transformers import AutoTokenizer, BertTokenizer, PreTrainedTokenizerFast

    tokens = ["[PAD]", "[unused0]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "tomato", "##es"]
    bert = BertTokenizer(vocab={token: n for n, token in enumerate(tokens)}).backend_tokenizer
    bert.enable_truncation(3)  # as some checkpoints have it
    names = {f"{name.lower()}_token": f"[{name}]" for name in ("PAD", "UNK", "CLS", "SEP", "MASK")}
    PreTrainedTokenizerFast(tokenizer_object=bert, **names).save_pretrained(tmp_path / "bert")
    transcribe, manifest = corpus(tmp_path, [], [])  # no speech is no matter here
    vocabulary(transcribe, manifest, tmp_path / "out", str(tmp_path / "bert"), size=100)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    assert tokenizer.convert_ids_to_tokens(list(range(10))) == [*tokens, "[>]"]
    assert tokenizer.tokenize("the tomatoes [>] the") == ["the", "tomato", "##es", "[>]", "the"]
    assert "[>]" in tokenizer.all_special_tokens
    assert len(Tokenizer.from_file(str(tmp_path / "out/tokenizer.json")).encode("the " * 99).ids) == 101
    assert str(tmp_path) not in "".join(path.read_text(encoding="utf-8") for path in (tmp_path / "out").iterdir())


def test_a_train_split_without_speech_is_said_with_a_way_out(tmp_path):
    transcribe, manifest = corpus(tmp_path, [], ["only the test video speaks"])
    with pytest.raises(
        UserError, match=r"no speech in the 2 train videos.*set vocabulary\.tokenizer: bert-base-uncased"
    ):
        vocabulary(transcribe, manifest, tmp_path / "out", None, 300)


def test_a_tokenizer_that_is_not_there_or_not_berts_is_named(tmp_path, monkeypatch):
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    monkeypatch.setitem(os.environ, "HF_HUB_OFFLINE", "1")
    transcribe, manifest = corpus(tmp_path, TRAIN, [])
    with pytest.raises(UserError, match=r"vocabulary\.tokenizer: .*nowhere") as error:
        vocabulary(transcribe, manifest, tmp_path / "out", str(tmp_path / "nowhere"), 300)
    assert "\n" not in str(error.value)
    vocab = {token: n for n, token in enumerate(["[PAD]", "[UNK]", "a"])}
    PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.WordPiece(vocab, unk_token="[UNK]"))).save_pretrained(
        tmp_path / "gpt"
    )
    with pytest.raises(UserError, match=r"has no token \[CLS\]: it must be the tokenizer of a BERT"):
        vocabulary(transcribe, manifest, tmp_path / "out", str(tmp_path / "gpt"), 300)
