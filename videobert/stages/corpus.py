"""The list of videos, made safe to work with: clean unique ids, shards that stay, a split.

The user's list is a TSV, CSV or Parquet file with a column `source`: a URL, a local path, or `kitchen:N` for the
built-in corpus. The columns `id`, `split`, `captions`, `title` and `license` are optional. Ids become file names, so
everything but letters, digits, "_" and "-" is replaced. A source that is listed twice is one video.

Sharding is stable: a register in the results folder remembers which source has which id and which shard, so that
appended videos open new shards and finished shards are left alone, wherever in the list the new rows stand. The split
is a seeded hash of the id, the same on every machine and whatever the list's order, unless the list gives one.

The Snakefile calls `plan` when it is parsed, so that the shards are known before anything runs (a Snakemake checkpoint
would cost seconds for each thousand jobs); the stage `corpus` writes the same plan down.
"""

import sys
from pathlib import Path
from typing import Annotated

from pydantic import Field

from videobert.data.manifest import SPLITS, identity_of, list_file, plan, read_register, shards
from videobert.data.provenance import make_provenance, write_table
from videobert.data.schemas import CORPUS_LEDGER, MANIFEST, REGISTER, arrow
from videobert.errors import Status
from videobert.settings import Count, Outputs, Seed, Settings, Text

VERSION = 1


class CorpusSettings(Settings):
    """The list of videos: ids, shards, and the split into train and test."""

    videos: Text = "videos.tsv"
    """Your list of videos: a TSV, CSV or Parquet file with a column `source` (a URL, a local path, or kitchen:N), and if you
    like `id`, `split` (train, validation, test), `captions` (a .vtt or .srt file), `title`, `license`. `kitchen` and
    `kitchen-full` are the built-in corpora of 72 and 240 videos."""
    shard_size: Count = 32
    """Videos in a shard, the unit of a job: a few hundred for a large corpus (aim at 100 to 2,000 shards), few when the
    corpus is small, so that all cores have work. A change makes everything anew."""
    test_fraction: Annotated[float, Field(ge=0, lt=1)] = 0.2
    """Share of the videos held out for testing where the list gives no split."""
    seed: Seed = 0
    """Seed of that choice. A change moves videos between train and test: the stages from the codebook on run again."""


class CorpusOutputs(Outputs):
    manifest: Path
    """The manifest (Parquet): a row for each video, with id, shard and split."""
    ledger: Path
    """The ledger (Parquet): what became of each row of the list."""
    id_register: Path
    """Which source has which id and shard (Parquet); kept from run to run, so that sharding is stable."""


def corpus(outputs: CorpusOutputs, settings: CorpusSettings) -> None:
    """Read the list of videos and write the manifest: a row for each video, with id, shard and split."""
    import pyarrow as pa

    videos, shard_size, register = Path(settings.videos), settings.shard_size, outputs.id_register
    manifest, rows = plan(videos, register, shard_size, settings.test_fraction, settings.seed)
    listed = {row["video_id"]: row["listed_id"] for row in manifest if "listed_id" in row}
    used = {
        name: value for name, value in settings.fingerprint().items() if name != "videos"
    }  # no path of this machine
    provenance = make_provenance("corpus", VERSION, used, {"videos": list_file(videos)}, listed_ids=listed)
    remembered = read_register(register, shard_size)
    remembered.update({identity_of(row["source"]): (row["video_id"], row["shard"]) for row in manifest})
    known = [{"identity": key, "video_id": value[0], "shard": value[1]} for key, value in remembered.items()]
    sizes = {"stage": "corpus", "settings": {"shard_size": shard_size}}
    write_table(pa.Table.from_pylist(known, arrow(REGISTER)), register, sizes)
    write_table(pa.Table.from_pylist(rows, arrow(CORPUS_LEDGER)), outputs.ledger, provenance)
    write_table(pa.Table.from_pylist(manifest, arrow(MANIFEST)), outputs.manifest, provenance)
    lost = sum(row["status"] != Status.OK for row in rows)
    splits = {split: sum(row["split"] == split for row in manifest) for split in SPLITS}
    print(
        f"{len(manifest)} videos in {len(shards(manifest))} shards ({lost} rows set aside); "
        + ", ".join(f"{split} {count}" for split, count in splits.items() if count),
        file=sys.stderr,
    )
