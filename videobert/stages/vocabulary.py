"""The text vocabulary: WordPiece, lower case, with the paper's separator "[>]" between text and video.

Without a pretrained BERT, a vocabulary is trained on the transcripts of the train videos: frequent words become one
token, rare ones are built of pieces. With one, its tokenizer is taken and "[>]" is added. Either way the result is a
Hugging Face tokenizer folder that `AutoTokenizer.from_pretrained` loads.

Training is made repeatable: the library numbers the alphabet in the order of a hash table, which changes from run to
run, and breaks ties by these numbers; so the alphabet is given to it in a fixed order. tokenizer.json has no room for a
note of how it was made: that stands in provenance.json.
"""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from videobert.data.provenance import atomic, make_provenance, read_table, sha256, write_json
from videobert.errors import UserError
from videobert.model.tokenizer import pretrained, train

if TYPE_CHECKING:
    pass

VERSION = 1


def vocabulary(transcribe: Path, manifest: Path, output: Path, tokenizer: str | None, size: int) -> None:
    """Train the WordPiece vocabulary on the train transcripts, or take that of a pretrained BERT.

    Writes the tokenizer's settings, provenance.json and, last, tokenizer.json.

    Args:
        transcribe: folder of the transcripts, a Parquet file for each shard.
        manifest: the manifest (Parquet): which videos are for training.
        output: folder to write.
        tokenizer: name or folder of a pretrained BERT whose vocabulary is taken; none: train one.
        size: tokens in a trained vocabulary, at most (the paper: 30,000); a pretrained one keeps its own.
    """
    if tokenizer is None:
        texts, files = _train_texts(transcribe, manifest)
        trained = train(texts, size)
        note = make_provenance(
            "vocabulary", VERSION, {"size": size}, {"transcribe": files}, ("tokenizers", "transformers")
        )
    else:
        trained = pretrained(tokenizer)
        name = Path(tokenizer).name if Path(tokenizer).is_dir() else tokenizer
        note = make_provenance("vocabulary", VERSION, {"tokenizer": name}, {}, ("tokenizers", "transformers"))
    with TemporaryDirectory() as scratch:
        trained.save_pretrained(scratch)
        files = sorted(Path(scratch).iterdir(), key=lambda path: (path.name == "tokenizer.json", path.name))
        note |= {"tokens": len(trained), "vocabulary_sha256": sha256(files[-1])}
        write_json({}, output / "provenance.json", note)
        for file in files:
            with atomic(output / file.name) as temporary:
                temporary.write_bytes(file.read_bytes())
    print(f"{len(trained)} tokens", file=sys.stderr)


def _train_texts(transcribe: Path, manifest: Path) -> tuple[list[str], list[Path]]:
    """The sentences of the train videos, and the files they stand in."""
    import pyarrow as pa
    import pyarrow.compute as pc

    videos = read_table(manifest, ["video_id", "shard", "split"])
    train_ids = videos.filter(pc.equal(videos["split"], "train"))["video_id"]
    files = [transcribe / f"{shard}.parquet" for shard in sorted(videos["shard"].unique().to_pylist())]
    texts: list[str] = []
    for path in files:
        table = read_table(path, ["video_id", "text"])
        texts += table.filter(pc.is_in(table["video_id"], value_set=train_ids.combine_chunks().cast(pa.string())))[
            "text"
        ].to_pylist()
    if not any(text.strip() for text in texts):
        raise UserError(
            f"no speech in the {len(train_ids)} train videos, so there is no text to train a vocabulary on: set "
            "vocabulary.tokenizer: bert-base-uncased (or the folder of a pretrained BERT); the model then learns "
            "from video alone"
        )
    return texts, files
