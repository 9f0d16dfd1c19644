"""The text vocabulary: WordPiece, lower case, with the paper's separator "[>]" between text and video.

Without a pretrained BERT, a vocabulary is trained on the transcripts of the train videos: frequent words become one
token, rare ones are built of pieces. With one, its tokenizer is taken and "[>]" is added. Either way the result is a
Hugging Face tokenizer folder that `AutoTokenizer.from_pretrained` loads.

Training is made repeatable: the library numbers the alphabet in the order of a hash table, which changes from run to
run, and breaks ties by these numbers; so the alphabet is given to it in a fixed order. tokenizer.json has no room for its
provenance: that stands in provenance.json.
"""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

from pydantic import Field

from videobert.data.provenance import atomic, make_provenance, read_table, sha256, write_json
from videobert.errors import UserError
from videobert.model.tokenizer import pretrained, train
from videobert.settings import Inputs, Outputs, Settings, Text

VERSION = 1


class VocabularySettings(Settings):
    """The WordPiece vocabulary of the text."""

    tokenizer: Text | None = "bert-base-uncased"
    """A BERT checkpoint whose WordPiece vocabulary is used (bert-base-uncased, or a folder); null trains one on the
    train transcripts, which suits a small domain such as the kitchen."""
    size: Annotated[int, Field(ge=100)] = 30_000
    """Word pieces of a vocabulary that is trained, at most (the paper: 30,000)."""


class VocabularyInputs(Inputs):
    transcripts: list[Path]
    """The tables of sentences (Parquet), one for each shard."""
    manifest: Path
    """The manifest (Parquet): which videos are for training."""


class VocabularyOutputs(Outputs):
    tokenizer_json: Path
    """tokenizer.json; the tokenizer's other files are written beside it."""
    provenance: Path
    """How it was made (JSON): tokenizer.json has no room for it."""


def vocabulary(inputs: VocabularyInputs, outputs: VocabularyOutputs, settings: VocabularySettings) -> None:
    """Train the WordPiece vocabulary on the train transcripts, or take that of a pretrained BERT."""
    name, packages = settings.tokenizer, ("tokenizers", "transformers")
    if name is None:
        trained = train(_train_texts(inputs), settings.size)
        sources = {"transcribe": inputs.transcripts}
        provenance = make_provenance("vocabulary", VERSION, {"size": settings.size}, sources, packages)
    else:
        trained = pretrained(name)
        used = {"tokenizer": Path(name).name if Path(name).is_dir() else name}
        provenance = make_provenance("vocabulary", VERSION, used, {}, packages)
    with TemporaryDirectory() as scratch:
        trained.save_pretrained(scratch)
        files = sorted(Path(scratch).iterdir(), key=lambda path: (path.name == outputs.tokenizer_json.name, path.name))
        provenance |= {
            "tokens": len(trained),
            "vocabulary_sha256": sha256(files[-1]),
        }
        write_json({}, outputs.provenance, provenance)
        for file in files:
            with atomic(outputs.tokenizer_json.parent / file.name) as temporary:
                temporary.write_bytes(file.read_bytes())
    print(f"{len(trained)} tokens", file=sys.stderr)


def _train_texts(inputs: VocabularyInputs) -> list[str]:
    """The sentences of the train videos."""
    import pyarrow as pa
    import pyarrow.compute as pc

    videos = read_table(inputs.manifest, ["video_id", "split"])
    train_ids = videos.filter(pc.equal(videos["split"], "train"))["video_id"]
    texts: list[str] = []
    for path in inputs.transcripts:
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
    return texts
