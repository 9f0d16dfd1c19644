"""The files of a run: the tree below the results folder, each file of each stage by name.

Rules and package ask this module, and no other module spells the name of another stage's file. It imports nothing but
words for its types. Paths are text, as Snakemake wants them; a shard may be "{shard}", which makes a pattern.

Stages that are shared with a finished run (the key `upstream` of the configuration) have their files in its folder.
"""

from collections.abc import Iterable, Sequence
from os import PathLike

KEPT_LEDGER = ".ledger.parquet"  # the hidden copy of the download's ledger, which Snakemake does not delete

SHARDED = ("download", "transcribe", "frames", "features", "tokens")
PER_VIDEO = SHARDED[:-1]  # the stages in which a video can be lost


class Parts:
    """What tasks of the evaluation fit to a model, for `videobert search` and `videobert caption`."""

    def __init__(self, folder: str | PathLike[str]) -> None:
        self.projection = f"{folder}/retrieval/projection.safetensors"
        self.decoder = f"{folder}/captioning/model.safetensors"
        self.decoder_config = f"{folder}/captioning/config.json"
        self.decoder_generation = f"{folder}/captioning/generation_config.json"


class ModelFolder:
    """The files of a model folder: a Hugging Face model with all that a raw video needs."""

    def __init__(self, folder: str | PathLike[str]) -> None:
        self.folder = str(folder)
        self.parts = Parts(folder)
        self.weights = f"{folder}/model.safetensors"
        self.config = f"{folder}/config.json"
        self.tokenizer = f"{folder}/tokenizer.json"
        self.tokenizer_config = f"{folder}/tokenizer_config.json"
        self.centroids = f"{folder}/centroids.safetensors"
        self.preprocessing = f"{folder}/preprocessing.json"
        self.training = f"{folder}/training.json"
        self.provenance = f"{folder}/provenance.json"

    def files(self) -> dict[str, str]:
        """All of them by name, the weights first."""
        names = ("weights", "config", "tokenizer", "tokenizer_config", "centroids", "preprocessing", "training")
        return {name: getattr(self, name) for name in (*names, "provenance")}

    def complete(self) -> list[str]:
        """The files of a folder that lacks nothing."""
        return [*self.files().values(), *vars(self.parts).values(), self.card, self.plot]

    def places(self) -> tuple[Parts, Parts]:
        """Where the parts may lie: in the folder, or where earlier versions put them, among the results."""
        above = self.folder.rstrip("/").rpartition("/")[0]
        return self.parts, Parts(f"{above or '.'}/evaluate")

    @property
    def card(self) -> str:
        return f"{self.folder}/README.md"

    @property
    def plot(self) -> str:
        return f"{self.folder}/training.png"


class Layout:
    """The files of the run in `results`; stages in `shared` have theirs in `upstream`."""

    def __init__(
        self,
        results: str | PathLike[str],
        upstream: str | PathLike[str] | None = None,
        shared: Iterable[str] = (),
    ) -> None:
        self.results = str(results)
        self.upstream = str(upstream) if upstream else None
        self.shared = frozenset(shared if upstream else ())

    def root(self, stage: str) -> str:
        """The results folder that holds a stage's files."""
        return self.upstream if self.upstream and stage in self.shared else self.results

    def folder(self, stage: str) -> str:
        return f"{self.root(stage)}/{stage}"

    # Corpus

    @property
    def manifest(self) -> str:
        return f"{self.folder('corpus')}/manifest.parquet"

    @property
    def register(self) -> str:
        return f"{self.folder('corpus')}/register.parquet"

    @property
    def local_files(self) -> str:
        """What the list's local files were like when a run last saw them."""
        return f"{self.results}/corpus/files.parquet"

    @property
    def plan(self) -> str:
        """The videos of the present run, for its jobs."""
        return f"{self.results}/corpus/.plan.parquet"

    @property
    def ids(self) -> str:
        """The ids that the list gives."""
        return f"{self.results}/corpus/ids.parquet"

    @property
    def details(self) -> str:
        """What the list says of the videos for people: titles, licenses."""
        return f"{self.results}/corpus/details.parquet"

    # Stages that work shard by shard

    def shard_ledger(self, stage: str, shard: str) -> str:
        """The ledger of a stage's shard: with the media in its folder, else hidden from readers of the tables."""
        if stage in ("download", "frames"):
            return f"{self.folder(stage)}/{shard}/ledger.parquet"
        return f"{self.folder(stage)}/.ledger/{shard}.parquet"

    def table(self, stage: str, shard: str) -> str:
        """The table of a shard: sentences (transcribe), features or tokens."""
        return f"{self.folder(stage)}/{shard}.parquet"

    def steps(self, shard: str) -> str:
        """The annotated steps that came with a shard's videos: of the kitchen's, which know their own."""
        return f"{self.folder('download')}/{shard}/steps.tsv"

    def frames_video(self, shard: str, video_id: str) -> str:
        return f"{self.folder('frames')}/{shard}/{video_id}.mp4"

    def kept_ledger(self, shard: str) -> str:
        return f"{self.folder('download')}/{shard}/{KEPT_LEDGER}"

    def journal(self, stage: str, shard: str) -> str:
        """What the job of a shard that was broken off has done."""
        return self._hidden(stage, shard, ".journal")

    def retries(self, stage: str, shard: str) -> str:
        """How often `videobert retry` asked for a shard's videos again."""
        return self._hidden(stage, shard, ".retried")

    def _hidden(self, stage: str, shard: str, name: str) -> str:
        if stage in ("download", "frames"):
            return f"{self.folder(stage)}/{shard}/{name}"
        return f"{self.folder(stage)}/{name}/{shard}"

    def ledger(self, stage: str) -> str:
        """What became of each video in a stage, over all shards; of the corpus, of each row of the list."""
        root = self.results if stage == "corpus" else self.root(stage)
        return f"{root}/ledger/{stage}.parquet"

    # Stages that work on all shards

    @property
    def centroids(self) -> str:
        return f"{self.folder('codebook')}/centroids.safetensors"

    @property
    def statistics(self) -> str:
        return f"{self.folder('codebook')}/statistics.json"

    @property
    def atlas(self) -> str:
        return f"{self.folder('codebook')}/atlas.parquet"

    @property
    def tokenizer(self) -> str:
        return f"{self.folder('vocabulary')}/tokenizer.json"

    @property
    def tokenizer_config(self) -> str:
        return f"{self.folder('vocabulary')}/tokenizer_config.json"

    @property
    def vocabulary_provenance(self) -> str:
        return f"{self.folder('vocabulary')}/provenance.json"

    @property
    def model(self) -> ModelFolder:
        return ModelFolder(self.folder("pretrain"))

    def scaling_model(self, share: float | str, seed: int | str) -> ModelFolder:
        return ModelFolder(f"{self.folder('scaling')}/{share}-{seed}")

    def _whole(self) -> dict[str, list[str]]:
        """Of the stages up to pretrain that work on all shards."""
        return {
            "corpus": [self.manifest, self.register],
            "codebook": [self.centroids, self.statistics, self.atlas],
            "vocabulary": [self.vocabulary_provenance, self.tokenizer, self.tokenizer_config],
            "pretrain": list(self.model.files().values()),
        }

    def files(self, stage: str, shards: Sequence[str]) -> list[str]:
        """The files of a stage up to pretrain that other stages or the report read; the first carries its provenance."""
        if stage in (whole := self._whole()):
            return whole[stage]
        return [*(file for shard in shards for file in self.shard_files(stage, shard)), self.ledger(stage)]

    def shard_files(self, stage: str, shard: str) -> list[str]:
        """The files of a stage's shard that rules declare; the first carries its provenance."""
        beside = {"download": [self.steps(shard)], "frames": []}
        return [self.shard_ledger(stage, shard), *beside.get(stage, [self.table(stage, shard)])]

    # Evaluation and report

    def task(self, name: str) -> str:
        """A task's figures."""
        return f"{self.folder('evaluate')}/{name}.json"

    @property
    def parts(self) -> Parts:
        """What tasks fit to the model: in its folder, unless that is another run's, where nothing is written."""
        return Parts(self.folder("evaluate")) if "pretrain" in self.shared else self.model.parts

    @property
    def metrics(self) -> str:
        return self.task("metrics")

    @property
    def page(self) -> str:
        return f"{self.folder('report')}/index.html"

    @property
    def summary(self) -> str:
        return f"{self.folder('report')}/summary.txt"

    # Of every job

    def first_file(self, job: str) -> str:
        """The first file that a job writes: it is there when the job is done."""
        stage, _, part = job.partition("/")
        if stage in SHARDED:
            return self.shard_ledger(stage, part)
        if part:  # a model of scaling
            share, _, seed = part.rpartition("-")
            return self.scaling_model(share, seed).weights
        if stage in (whole := self._whole()):
            return whole[stage][0]
        return {"evaluate": self.metrics, "report": self.page}.get(stage) or self.task(stage)

    def log(self, job: str) -> str:
        return f"{self.results}/logs/{job}.log"

    def progress(self, job: str) -> str:
        """How far a job is (videobert/progress.py). No rule declares it."""
        return f"{self.progress_folder}/{job}.json"

    @property
    def progress_folder(self) -> str:
        return f"{self.results}/progress"

    def benchmark(self, job: str) -> str:
        return f"{self.results}/benchmarks/{job}.tsv"

    @property
    def weights(self) -> str:
        """Where the pretrained weights of the configuration lie on this machine. No other stage reads it."""
        return f"{self.results}/weights.json"

    @property
    def lock(self) -> str:
        """Held by the workflow that works in this results folder."""
        return f"{self.results}/.lock"
