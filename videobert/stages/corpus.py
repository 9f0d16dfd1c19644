"""The list of videos, made safe to work with: clean unique ids, shards that stay, a split.

The user's list is a TSV, CSV or Parquet file with a column `source`: a URL, a local path, or `kitchen:N` for the
built-in corpus. The columns `id`, `split`, `captions`, `title` and `license` are optional. Ids become file names, so
everything but letters, digits, "_" and "-" is replaced. A source that is listed twice is one video.

Sharding is stable: a register in the results folder remembers which source has which id and which shard, so that
appended videos open new shards and finished shards are left alone, wherever in the list the new rows stand. The split
is a seeded hash of the id, the same on every machine and whatever the list's order, unless the list gives one.

Each file holds what some stage needs of the list, and no more, so that a change of the list makes that anew: manifest (sources,
shards, splits), ids (for annotations and excluded videos), ledger and details (for the report and the card).

The Snakefile calls `plan` when it is parsed, so that the shards are known before anything runs (a Snakemake checkpoint
would cost seconds for each thousand jobs); the stage `corpus` writes the same plan down.
"""

import sys
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from videobert.data.limit import limit_in_words
from videobert.data.manifest import Place, Planned, digest, identity_of, plan, read_register, shards
from videobert.data.provenance import make_provenance, write_table
from videobert.data.schemas import DETAILS, IDS, LEDGER, MANIFEST, REGISTER, Column, arrow, names
from videobert.data.splits import SPLITS, Draw, moved
from videobert.errors import Status
from videobert.settings import Count, Inputs, Outputs, Seed, Settings, Text

VERSION = 1


class CorpusSettings(Settings):
    """The list of videos: ids, shards, and the split into train and test."""

    videos: Text = "videos.tsv"
    """Your list of videos: a TSV, CSV or Parquet file with a column `source` (a URL, a local path, or kitchen:N).
    Optional columns: `id`, `split` (train, validation, test), `captions` (a .vtt or .srt file), `title`, `license`.
    `kitchen` and `kitchen-full` are the built-in corpora of 72 and 240 videos; in the 240 of `recipes` steps follow from
    each other."""
    shard_size: Count = 32
    """Videos in a shard, the unit of a job: a few hundred for a large corpus (aim at 100 to 2,000 shards), few for a
    small corpus, so that all cores have work. A change reruns everything."""
    test_fraction: Annotated[float, Field(ge=0, lt=1)] = 0.2
    """The probability of each video to be held out for testing, where the list gives no split. Each video is drawn
    independently, so its split stays the same when others are appended; the share of test videos is not exact. If the
    draws of a small list leave train or test empty, one video is moved there: the one whose draw is nearest."""
    validation_fraction: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """The probability of each video that is not held out for testing to be held out for validation: pretrain.eval_steps then
    keeps the weights that do best on them. They are taken from the train videos; no test video moves."""
    seed: Seed = 0
    """Seed of these draws, and of the draw of `limit`. A change moves videos between train and test: the stages from the
    codebook on run again."""
    limit: Count | None = None
    """Takes so many videos of the list, drawn by the seed, through every stage: 20 for a trial. null takes all. The drawn
    videos get shards of their own, so that with a higher limit, or none, they are not downloaded, transcribed or encoded
    again; codebook, vocabulary, tokens and model are made anew. Both splits are in the draw where the list has both. Shards
    that have been downloaded stay in the run, and their videos count first: a lower limit takes none of them out."""

    @property
    def draw(self) -> Draw:
        return Draw(self.test_fraction, self.seed, self.limit, self.validation_fraction)


class CorpusOutputs(Outputs):
    manifest: Path
    """The manifest (Parquet): a row for each video, with shard and split."""
    id_register: Path
    """Which source has which id and shard (Parquet); kept from run to run, so that sharding is stable."""


class ListInputs(Inputs):
    id_register: Path
    """Which source has which id and shard, as the stage corpus wrote it."""


class IdsOutputs(Outputs):
    ids: Path
    """The list's own ids (Parquet)."""


class CorpusLedgerOutputs(Outputs):
    ledger: Path
    """The ledger (Parquet): what became of each row of the list."""
    details: Path
    """Titles and licenses (Parquet)."""


def corpus(outputs: CorpusOutputs, settings: CorpusSettings) -> None:
    """Read the list of videos and write the manifest: a row for each video, with id, shard and split."""
    register = outputs.id_register
    manifest, rows, left_out = _plan(register, settings)
    remembered = read_register(register, settings.shard_size, settings.draw)
    remembered.update(
        {identity_of(row["source"]): Place(row["video_id"], row["shard"], row["kept"]) for row in manifest}
    )
    known = [{"identity": identity, **place._asdict()} for identity, place in remembered.items()]
    kept_under = _used(settings) | {"videos": ""}
    _write(known, REGISTER, register, {"stage": "corpus", "settings": kept_under})
    _write(manifest, MANIFEST, outputs.manifest, _provenance(settings, manifest, MANIFEST))
    lost = sum(row["status"] != Status.OK for row in rows)
    splits = {split: sum(row["split"] == split for row in manifest) for split in SPLITS}
    print(
        f"{len(manifest)} videos in {len(shards(manifest))} shards ({lost} rows set aside); "
        + ", ".join(f"{split} {count}" for split, count in splits.items() if count),
        file=sys.stderr,
    )
    if left_out:
        print(limit_in_words(len(manifest), left_out), file=sys.stderr)
    for row in manifest:
        if row["kept"]:
            print(moved(row), file=sys.stderr)


def corpus_ids(inputs: ListInputs, outputs: IdsOutputs, settings: CorpusSettings) -> None:
    """Write down the list's own ids, by which annotations and excluded videos may name the videos."""
    manifest = _plan(inputs.id_register, settings).manifest
    _write(manifest, IDS, outputs.ids, _provenance(settings, manifest, IDS))


def corpus_ledger(inputs: ListInputs, outputs: CorpusLedgerOutputs, settings: CorpusSettings) -> None:
    """Write down what became of each row of the list, and the titles and licenses that it gives."""
    manifest, rows, _ = _plan(inputs.id_register, settings)
    _write(rows, LEDGER, outputs.ledger, _provenance(settings, rows, LEDGER))
    _write(manifest, DETAILS, outputs.details, _provenance(settings, manifest, DETAILS))


def _plan(register: Path, settings: CorpusSettings) -> Planned:
    return plan(Path(settings.videos), register, settings.shard_size, settings.draw)


def _used(settings: CorpusSettings) -> dict[str, Any]:
    """The settings for the provenance: no path of this machine, and of the later ones none that does nothing, as before there
    was one."""
    said = settings.fingerprint()
    unsaid = ["videos", *(name for name in ("limit", "validation_fraction") if not said[name])]
    return {name: value for name, value in said.items() if name not in unsaid}


def _provenance(settings: CorpusSettings, rows: list[dict[str, Any]], columns: tuple[Column, ...]) -> dict[str, Any]:
    """Of the list what went into this file: a title that changes elsewhere in the list makes no other one."""
    return make_provenance("corpus", VERSION, _used(settings), {}, rows_sha256=digest(rows, *names(columns)))


def _write(rows: list[dict[str, Any]], columns: tuple[Column, ...], path: Path, provenance: dict[str, Any]) -> None:
    import pyarrow as pa

    wanted = names(columns)
    chosen = [{name: row[name] for name in wanted} for row in rows]
    write_table(pa.Table.from_pylist(chosen, arrow(columns)), path, provenance)
