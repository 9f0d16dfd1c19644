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
from typing import TYPE_CHECKING

from videobert.data.manifest import SPLITS, identity_of, plan, read_register, shards
from videobert.data.provenance import make_provenance, write_table

if TYPE_CHECKING:
    pass

VERSION = 1


def corpus(
    videos: Path, output: Path, ledger: Path, register: Path, shard_size: int, test_fraction: float, seed: int
) -> None:
    """Read the list of videos and write the manifest: a row for each video, with id, shard and split.

    Args:
        videos: the list: TSV, CSV or Parquet with a column `source` (URL, local path or kitchen:N).
        output: the manifest to write (Parquet).
        ledger: the ledger to write (Parquet): what became of each row of the list.
        register: which source has which id and shard; kept from run to run, so that sharding is stable.
        shard_size: videos in a shard, the unit of a job.
        test_fraction: share of the videos held out for testing, where the list gives no split.
        seed: seed of the split.
    """
    import pyarrow as pa

    manifest, rows = plan(videos, register, shard_size, test_fraction, seed)
    settings = {"shard_size": shard_size, "test_fraction": test_fraction, "seed": seed}
    provenance = make_provenance("corpus", VERSION, settings, {"videos": videos})
    remembered = read_register(register, shard_size)
    remembered.update({identity_of(row["source"]): (row["video_id"], row["shard"]) for row in manifest})
    known = [{"identity": key, "video_id": value[0], "shard": value[1]} for key, value in remembered.items()]
    write_table(pa.Table.from_pylist(known), register, {"stage": "corpus", "settings": {"shard_size": shard_size}})
    write_table(pa.Table.from_pylist(rows), ledger, provenance)
    write_table(pa.Table.from_pylist(manifest), output, provenance)
    lost = sum(row["status"] != "ok" for row in rows)
    splits = {split: sum(row["split"] == split for row in manifest) for split in SPLITS}
    print(
        f"{len(manifest)} videos in {len(shards(manifest))} shards ({lost} rows set aside); "
        + ", ".join(f"{split} {count}" for split, count in splits.items() if count),
        file=sys.stderr,
    )
