"""How fast people speak: the words a second of each video."""

from pathlib import Path

from videobert.data.provenance import make_provenance, read_table, write_table
from videobert.settings import Count, Inputs, Outputs, Settings

VERSION = 1


class PaceSettings(Settings):
    """How fast people speak."""

    shortest: Count = 1
    """Words that a video must have to be counted."""


class PaceInputs(Inputs):
    transcripts: list[Path]
    """The tables of sentences (Parquet), one for each shard."""


class PaceOutputs(Outputs):
    pace: Path
    """A row for each video (Parquet): video_id, words a second."""


def pace(inputs: PaceInputs, outputs: PaceOutputs, settings: PaceSettings) -> None:
    """Measure how fast people speak."""
    import pyarrow as pa

    words: dict[str, int] = {}
    seconds: dict[str, float] = {}
    for row in (row for file in inputs.transcripts for row in read_table(file).to_pylist()):
        words[row["video_id"]] = words.get(row["video_id"], 0) + len(row["text"].split())
        seconds[row["video_id"]] = seconds.get(row["video_id"], 0.0) + row["end"] - row["start"]
    rows = [
        {"video_id": name, "pace": words[name] / seconds[name]} for name in words if words[name] >= settings.shortest
    ]
    schema = pa.schema({"video_id": pa.string(), "pace": pa.float64()})
    provenance = make_provenance("pace", VERSION, settings.fingerprint(), {"transcripts": inputs.transcripts})
    write_table(pa.Table.from_pylist(rows, schema), outputs.pace, provenance)
