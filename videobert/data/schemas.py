"""The columns and keys of every file that a stage writes: each defined once, with a line that says what it holds.

Tables are written by these lists (`arrow` makes the schema of one). The page "Stages and files" of the documentation is
made from them, and tests compare them with what a run has written. The descriptions go into no file.

`files` names every file of a run by its stage; the paths are those of videobert/layout.py.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from videobert.layout import Layout, ModelFolder

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Column:
    """A column of a table, a key of a JSON file or a tensor of a safetensors file."""

    name: str
    type: str
    """Of a column Arrow's, as `arrow_type` reads it; of a key or a tensor in words."""
    about: str
    optional: bool = False
    """Whether a JSON file may lack the key."""


Columns = tuple[Column, ...]


def arrow_type(name: str, size: int = -1) -> "pa.DataType":
    """The Arrow type of a name: "string", "int32", "list<int32>"; "float16[]" is a list of `size` numbers."""
    import pyarrow as pa

    if name.endswith("[]"):
        return pa.list_(arrow_type(name[:-2]), size)
    if name.startswith("list<"):
        return pa.list_(arrow_type(name[5:-1]))
    return pa.type_for_alias(name)


def arrow(columns: Columns, size: int = -1) -> "pa.Schema":
    """The schema of a table with these columns; `size` is the length of its vectors."""
    import pyarrow as pa

    return pa.schema([pa.field(column.name, arrow_type(column.type, size)) for column in columns])


def names(columns: Columns) -> tuple[str, ...]:
    """The columns' names in order."""
    return tuple(column.name for column in columns)


# Columns that several tables have ----------------------------------------------------------------------------------------

VIDEO_ID = Column("video_id", "string", "The video, as the manifest names it.")
SHARD = Column("shard", "string", 'The shard the video belongs to ("0000").')
START = Column("start", "float64", "Begin, in seconds of the video.")
END = Column("end", "float64", "End, in seconds of the video.")
CLIP = Column("clip", "int32", "Number of the clip in its video, from 0.")
CLIP_TIMES = (
    Column("start", "float32", "Begin of the clip, in seconds of the video."),
    Column("end", "float32", "End of the clip, in seconds of the video."),
)
SIZE = Column("size", "int64", "Size of the file in bytes.")
SHA256 = Column("sha256", "string", "SHA-256 of the file.")
# Of every ledger of a shard; what a stage adds is null for a video that is lost to it.
OUTCOME = (
    VIDEO_ID,
    Column("status", "string", "What became of the video in this stage: one of the words listed below."),
    Column("reason", "string", 'Why, in a sentence; with the status ok a remark, or "".'),
)

# The list of videos -------------------------------------------------------------------------------------------------------

MANIFEST = (
    Column("video_id", "string", "The video's unique name: letters, digits, _ and -. File names are made of it."),
    Column("source", "string", "URL, path, or kitchen:N, as the list has it."),
    SHARD,
    Column("split", "string", "train, validation or test."),
)
IDS = (
    VIDEO_ID,
    Column("listed_id", "string", 'The id that the list gives it, as it stands there, or "".'),
)
DETAILS = (
    VIDEO_ID,
    Column("title", "string", 'Title that the list gives, or "".'),
    Column("license", "string", 'License that the list gives, or "".'),
)
LOCAL_FILES = (
    Column("path", "string", "A local file of the list, as it stands there."),
    Column("size", "int64", "Its size in bytes, when it was last seen."),
    Column("time", "int64", "Its time of modification, in nanoseconds."),
    Column("content", "string", "SHA-256 of its size and of its first, middle and last 16 KiB."),
)
REGISTER = (
    Column("identity", "string", "The source, written the same way for every spelling of it."),
    Column("video_id", "string", "The name that it was given."),
    Column("shard", "string", "The shard that it was given."),
    Column("split", "string", 'The split that a small list gave it against its draw, or "".'),
)
# Of every stage alike, so that `pandas.read_parquet("results/ledger")` reads them all.
LEDGER = (
    Column("stage", "string", "The stage."),
    Column("shard", "string", 'The shard, or "" for a row of the list that is set aside.'),
    Column("video_id", "string", "The video; row-N for a row of the list that is set aside."),
    *OUTCOME[1:],
    Column("source", "string", "The source, as the list has it."),
    Column("title", "string", "The title that the list gives, else the site's or the kitchen's, or \"\"."),
)

# Of every job -------------------------------------------------------------------------------------------------------------------

PROGRESS = (
    Column("job", "string", "The job, as its log is named: `download/0000`, `pretrain`."),
    Column(
        "state",
        "string",
        "`running`, `done`, `failed` or `stopped` (by Ctrl-C, or in time). A job that was killed still says `running`.",
    ),
    Column("host", "string", "The machine it works on."),
    Column("pid", "integer", "Its process there."),
    Column("started", "number", "When it began, in seconds since 1970."),
    Column(
        "updated", "number", "When it was last alive, in seconds since 1970: a running job writes at least every 15 s."
    ),
    Column(
        "unit",
        "string",
        'What `total` and `done` count: `video`, `step` (of a training), `node` (of the codebook), or "".',
    ),
    Column("total", "integer", "How many units there are."),
    Column("done", "integer", "How many are done, lost ones and `resumed` ones included."),
    Column("resumed", "integer", "How many of these an earlier run had done; they count for no rate."),
    Column("working_since", "number", "When the first unit was begun, in seconds since 1970; 0 before."),
    Column("fraction", "number", "How much of the unit that is worked on is done, 0 to 1."),
    Column("statuses", "object", "Where videos are counted: how many have each of the words of the ledgers below."),
    Column("losses", "list of objects", "The last ten videos that this job lost: `video_id`, `status`, `reason`."),
    Column("note", "string", "What else there is to say: the loss of a training, what a download waits for."),
    Column("error", "string", "Why it failed, in one line."),
    Column(
        "device", "string", 'Where its network runs: `cpu` or `cuda`; "" where there is none, and before it is known.'
    ),
    Column(
        "gpu_seconds",
        "number",
        "Seconds from the start of the job times its processes on GPUs, in this run of the job and in earlier ones.",
    ),
)

# Shard by shard -------------------------------------------------------------------------------------------------------------

DOWNLOAD_FACTS = (
    Column("source", "string", "The source, of lost videos too."),
    Column("path", "string", "File name of the media, in the ledger's folder."),
    Column("captions", "string", 'File name of the captions, in the same folder, or "".'),
    Column("automatic_captions", "bool", "Whether the captions are those of the platform's speech recognition."),
    Column("duration", "float64", "Length in seconds."),
    Column("has_audio", "bool", "Whether there is a sound stream."),
    Column("width", "int32", "Width in pixels."),
    Column("height", "int32", "Height in pixels."),
    SIZE,
    SHA256,
    Column("title", "string", 'Title that the site or the kitchen gives, or "".'),
    Column("license", "string", 'License that the site gives, or "".'),
)
STEPS = (
    VIDEO_ID,
    START,
    END,
    Column("verb", "string", "What is done."),
    Column("object", "string", "What it is done to."),
    Column("sentence", "string", "The sentence that says it; empty in a silent video."),
)
SENTENCES = (
    VIDEO_ID,
    START,
    END,
    Column("text", "string", "The sentence."),
    Column("language", "string", "Its language, as a code (und: captions that do not tell)."),
    Column("language_probability", "float64", "How sure Whisper is of the language; null for an English-only model."),
    Column("probability", "float64", "Mean probability of the sentence's words; null for captions."),
    Column("avg_logprob", "float64", "Whisper's mean log-probability, the worst of the segments that were joined."),
    Column("no_speech_prob", "float64", "Whisper's probability that nobody speaks, the worst of those segments."),
    Column("compression_ratio", "float64", "How well the text compresses (repeated text does), the worst of them."),
)
SENTENCE_COUNTS = (
    Column("sentences", "int32", "Sentences that were kept."),
    Column("dropped_no_speech", "int32", "Whisper's segments that were dropped as silence or noise."),
    Column("dropped_improbable", "int32", "Segments and sentences that Whisper itself was not sure of."),
    Column("dropped_repetition", "int32", "Segments and sentences that repeat themselves."),
    Column("dropped_language", "int32", "Windows of some minutes in another language."),
    Column("dropped_malformed", "int32", "Cues of captions that could not be read."),
)
HEARD = (
    Column("sound_stream", "int32", "The sound stream that was heard, counted from 1; null for captions."),
    Column("sound_streams", "int32", "How many sound streams the file has; null for captions."),
    Column("sound_language", "string", 'The language that the file gives that stream, as it is written there, or "".'),
)
FRAMES_FACTS = (
    Column("path", "string", "File name of the frames, in the ledger's folder."),
    Column("frames", "int32", "Number of frames."),
    Column("duration", "float64", "Length in seconds."),
    SIZE,
    SHA256,
)
FEATURES = (
    VIDEO_ID,
    CLIP,
    *CLIP_TIMES,
    Column("feature", "float16[]", "S3D's vector: 1,024 numbers, 256 with weights that are shipped."),
)
FEATURES_FACTS = (Column("clips", "int32", "Clips of the video."),)
TOKENS = (
    VIDEO_ID,
    Column("split", "string", "train, validation or test."),
    Column("kind", "string", "text-video: a sentence and the clips in it; video: consecutive clips, without text."),
    START,
    END,
    Column("text", "string", 'The sentence; "" in rows of the kind video.'),
    Column("text_ids", "list<int32>", "Word pieces of the text, without special tokens."),
    Column("video_ids", "list<int32>", "Visual words: numbers of the codebook, without offset."),
    Column("clips", "list<int32>", "The clips they come from: the column `clip` of the features."),
)
TOKENS_FACTS = (
    Column("sentences", "int64", "Rows of the kind text-video."),
    Column("clips", "int64", "Clips of the video."),
)

# Codebook -------------------------------------------------------------------------------------------------------------------

ATLAS = (
    Column("word", "int32", "The visual word."),
    Column("rank", "int32", "0 for the clip nearest to the word's centroid, then 1, 2, ..."),
    Column("count", "int64", "Train clips of this word."),
    VIDEO_ID,
    SHARD,
    CLIP,
    *CLIP_TIMES,
    Column("distance", "float32", "Distance of the clip's feature to the centroid."),
)
CENTROIDS = (
    Column(
        "centroids.{level}",
        "float32 (branching ** level, dimension)",
        "Centroids of a level, from 1 to depth; in a residual codebook (branching, dimension).",
    ),
    Column("alive.{level}", "uint8 (branching ** level,)", "1 where train clips were assigned to the centroid."),
    Column("residual", "uint8 (1,)", "The mark of a residual codebook.", optional=True),
)
PROVENANCE = Column("provenance", "object", "How the file was made; see below.")
STATISTICS = (
    Column("words", "integer", "Visual words of the codebook."),
    Column("living_words", "integer", "Words that have a centroid of their own, or are made of living ones."),
    Column("used_words", "integer", "Words that a train clip has."),
    Column("counts", "list", "Train clips of each word; of a tree.", optional=True),
    Column(
        "levels",
        "list",
        "Of a residual codebook, for each level: living, used, perplexity, counts, and the quantisation_error down to it.",
        optional=True,
    ),
    Column("entropy_bits", "number", "Entropy of the words among train clips."),
    Column("perplexity", "number", "2 ** entropy_bits: as many words used equally often would be as varied."),
    Column("fitted_on", "integer", "Train clips that the codebook was fitted on."),
    Column("clips", "object", "Clips by split."),
    Column("quantisation_error", "object", "By split, the share of the features' variance that the words leave over."),
    PROVENANCE,
)

# Model ----------------------------------------------------------------------------------------------------------------------

PREPROCESSING = (
    Column("fps", "integer", "Frames a second."),
    Column("size", "integer", "Height and width of a frame in pixels."),
    Column("crf", "integer", "x264's quality of the frames."),
    Column("weights", "text", "S3D's weights by name."),
    Column("weights_sha256", "text", "Their SHA-256."),
    Column("precision", "text", "Arithmetic of S3D."),
    Column("clip_frames", "integer", "Frames in a clip."),
    Column("clip_seconds", "number", "Seconds of a clip."),
    Column("dimension", "integer", "Numbers in a feature."),
    Column("segment_length", "integer", "Visual words in a segment without text."),
    PROVENANCE,
)
TRAINING = (
    Column("curve", "list", "An object for each `logging_steps` steps: step, the losses, grad_norm, learning_rate."),
    Column("corpus", "object", "What was seen: videos, kitchen_videos, sentences, hours."),
    Column(
        "validation",
        "object",
        "The losses on the validation videos (`curve`), and of which step the weights are (`best`); where it was measured.",
        optional=True,
    ),
    PROVENANCE,
)
ONLY_PROVENANCE = (PROVENANCE,)
PROJECTION = (
    Column("centre", "float32 (hidden_size,)", "Mean of the video vectors."),
    Column("scale", "float32 (hidden_size,)", "Their standard deviation."),
    Column("rarity", "float32 (vocab_size,)", "Weight of each word piece: rare ones count more."),
    Column("words", "float32 (vocab_size, hidden_size)", "From a video's vector to the words that go with it."),
)

# Evaluation -----------------------------------------------------------------------------------------------------------------

SUMMARY = Column("summary", "object", 'The task\'s figures, as metrics.json has them; {"skipped": why} instead.')
LABELS = Column("labels", "object", "The verbs and the objects that are ranked.", optional=True)
RESULTS = Column(
    "results",
    "object",
    "The figures of each condition, with counts and intervals (or `no_interval`, why there is none).",
    optional=True,
)
TASKS: dict[str, Columns] = {
    "objectives": (
        SUMMARY,
        Column("masked", "object", "Accuracy and count at masks of each modality, with the other and without."),
        Column("alignment", "object", "Accuracy, count, share of own texts accepted and of others rejected."),
        PROVENANCE,
    ),
    "zero_shot": (
        SUMMARY,
        LABELS,
        RESULTS,
        Column("templates", "list", "The figures with each wording.", optional=True),
        Column("predictions", "list", "For each step, its truth and each condition's five best.", optional=True),
        Column("left_out", "integer", "Test steps without a clip.", optional=True),
        PROVENANCE,
    ),
    "probe": (
        SUMMARY,
        LABELS,
        Column("train_steps", "integer", "Steps that the classifiers learnt from.", optional=True),
        Column("train_counts", "object", "How often each label stands among them.", optional=True),
        Column("regularisation", "object", "What cross-validation chose, for each input.", optional=True),
        PROVENANCE,
    ),
    "retrieval": (
        SUMMARY,
        Column("segments", "list", "For each test segment, the rank of its text and of its video.", optional=True),
        Column("steps", "list", "For each step's query, the ranks by either stage.", optional=True),
        PROVENANCE,
    ),
    "captioning": (
        SUMMARY,
        RESULTS,
        Column("captions", "list", "For each test step, its sentence, what each decoder wrote, CIDEr.", optional=True),
        Column("cider_differences", "object", "Differences of CIDEr with their intervals.", optional=True),
        Column("count", "object", "Steps by split.", optional=True),
        Column("left_out", "object", "By split, steps without a sentence or without a clip.", optional=True),
        Column("skipped", "object", "Scores that could not be computed, and why (METEOR without Java).", optional=True),
        PROVENANCE,
    ),
    "forecasting": (
        SUMMARY,
        Column("examples", "object", "Some forecasts beside what came, and some visual words of a text."),
        PROVENANCE,
    ),
    "scaling": (
        SUMMARY,
        LABELS,
        Column("models", "list", "The figures of each model: share, seed, number of videos.", optional=True),
        PROVENANCE,
    ),
}
METRICS = (
    *(
        Column(name, "object", f"Summary of the task {task}.", optional=True)
        for name, task in (
            ("masked", "objectives"),
            ("alignment", "objectives"),
            *((task, task) for task in TASKS if task != "objectives"),
        )
    ),
    Column("protocol", "object", "By task: version, settings and labels that it was measured with."),
    PROVENANCE,
)

WEIGHTS = (
    Column("weights", "list", "Of each setting that names weights: setting, name, and files, a SHA-256 by path."),
    PROVENANCE,
)

# `videobert index` ------------------------------------------------------------------------------------------------------------

SEGMENTS = (
    Column("video", "string", "Path of the video, or its id in a results folder."),
    START,
    END,
    Column("words", "list<int32>", "Visual words of the segment."),
    Column("vector", "float32[]", "Mean of the model's outputs: hidden_size numbers."),
)
# Of an index for a model that reads features.
SEGMENTS_WITH_FEATURES = (
    *SEGMENTS,
    Column(
        "features", "list<float16>", "S3D's features of the clips, one after the other; for a model that reads them."
    ),
)

INDEXED = (
    Column("video", "string", "Path of the video, or its id in a results folder."),
    Column("status", "string", "`ok`, or why the video was left out."),
    Column("reason", "string", "What was wrong, in a sentence."),
    Column("segments", "int64", "Its rows in segments.parquet."),
    # Nobody looks for them in earlier indexes, and earlier versions read segments.parquet alone: no other format.
    Column("title", "string", 'Title that the list or the site gives, or "".', optional=True),
    Column("path", "string", 'Path of the file, or "" where there is none any more.', optional=True),
)

INDEX_MODEL = (
    Column("folder", "string", "Folder of the model that made the index, as seen from the index's folder."),
    PROVENANCE,
)

# The files of a run ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class File:
    """A file, or a pattern of files, of a run: `path` as the layout has it, with {shard} and the like."""

    path: str
    about: str
    columns: Columns = field(default=())


def files(layout: Layout) -> dict[str, list[File]]:
    """Every file of a run by its stage or task; under "" those of every job."""
    shard, video = "{shard}", "{video_id}"
    download = layout.folder("download")
    return {
        "corpus": [
            File(layout.manifest, "A row for each video.", MANIFEST),
            File(layout.register, "Which source has which id and shard; kept from run to run.", REGISTER),
            File(layout.local_files, "What local files were like; kept from run to run.", LOCAL_FILES),
            File(layout.ids, "The list's own ids, where a stage needs them.", IDS),
            File(layout.details, "What the report and the card say of the videos.", DETAILS),
            File(layout.ledger("corpus"), "What became of each row of the list.", LEDGER),
        ],
        "download": [
            File(f"{download}/{shard}/{video}.{{ext}}", "The media; links to local files."),
            File(f"{download}/{shard}/{video}.{{language}}.{{ext}}", "Captions (.vtt or .srt)."),
            File(layout.shard_ledger("download", shard), "A row for each video.", (*OUTCOME, *DOWNLOAD_FACTS)),
            File(
                layout.kept_ledger(shard), "A copy of it that Snakemake does not delete.", (*OUTCOME, *DOWNLOAD_FACTS)
            ),
            File(layout.steps(shard), "Annotated steps of kitchen videos; otherwise the head alone.", STEPS),
            _ledger(layout, "download"),
        ],
        "transcribe": [
            File(layout.table("transcribe", shard), "A row for each sentence.", SENTENCES),
            File(
                layout.shard_ledger("transcribe", shard), "A row for each video.", (*OUTCOME, *SENTENCE_COUNTS, *HEARD)
            ),
            _ledger(layout, "transcribe"),
        ],
        "frames": [
            File(layout.frames_video(shard, video), "The frames: square H.264, 20 a second."),
            File(layout.shard_ledger("frames", shard), "A row for each video.", (*OUTCOME, *FRAMES_FACTS)),
            _ledger(layout, "frames"),
        ],
        "features": [
            File(layout.table("features", shard), "A row for each clip of 1.5 s.", FEATURES),
            File(layout.shard_ledger("features", shard), "A row for each video.", (*OUTCOME, *FEATURES_FACTS)),
            _ledger(layout, "features"),
        ],
        "codebook": [
            File(layout.centroids, "The tree of centroids, level by level.", CENTROIDS),
            File(layout.statistics, "How the visual words are used.", STATISTICS),
            File(layout.atlas, "The train clips nearest to the words used most.", ATLAS),
        ],
        "vocabulary": [
            File(layout.tokenizer, "The WordPiece tokenizer, in the form of the library tokenizers."),
            File(layout.tokenizer_config, "Its configuration for transformers."),
            File(layout.vocabulary_provenance, "How it was made.", ONLY_PROVENANCE),
        ],
        "tokens": [
            File(layout.table("tokens", shard), "A row for each segment.", TOKENS),
            File(layout.shard_ledger("tokens", shard), "A row for each video.", (*OUTCOME, *TOKENS_FACTS)),
            _ledger(layout, "tokens"),
        ],
        "pretrain": _model(layout.model.folder),
        **{task: [File(layout.task(task), "The figures and what is behind them.", TASKS[task])] for task in TASKS},
        "retrieval": [
            File(layout.task("retrieval"), "The figures and what is behind them.", TASKS["retrieval"]),
            File(layout.parts.projection, "For `videobert search`.", PROJECTION),
        ],
        "captioning": [
            File(layout.task("captioning"), "The figures and what is behind them.", TASKS["captioning"]),
            File(layout.parts.decoder, "The decoder for `videobert caption`."),
            File(layout.parts.decoder_config, "Its configuration."),
            File(layout.parts.decoder_generation, "How it writes."),
        ],
        "scaling": [
            File(layout.task("scaling"), "The figures and what is behind them.", TASKS["scaling"]),
            *_model(layout.scaling_model("{share}", "{seed}").folder),
        ],
        "evaluate": [
            File(layout.metrics, "The summaries of all tasks.", METRICS),
            File(layout.model.card, "The model's card, with its figures."),
        ],
        "report": [
            File(layout.page, "The report, one page with everything in it."),
            File(layout.summary, "Its first lines as text, as the screen shows them."),
        ],
        "": [
            File(layout.log("{job}"), "What a job said."),
            File(
                layout.progress("{job}"),
                "How far a job is, or how it ended; written once a second while it works. May be lost or deleted.",
                PROGRESS,
            ),
            File(layout.benchmark("{job}"), "Time and memory of a job, measured by Snakemake."),
            File(layout.weights, "Where the pretrained weights lie; `snakemake weights` writes it.", WEIGHTS),
            File(layout.lock, "Held by the workflow that works in this results folder."),
        ],
    }


def _ledger(layout: Layout, stage: str) -> File:
    return File(layout.ledger(stage), "A row for each video, over all shards.", LEDGER)


def _model(folder: str) -> list[File]:
    model = ModelFolder(folder)
    return [
        File(model.weights, "The weights, with transformers' names."),
        File(model.config, "The configuration, `VideoBertConfig`."),
        File(model.tokenizer, "The tokenizer, a copy."),
        File(model.tokenizer_config, "Its configuration, a copy."),
        File(model.centroids, "The codebook, a copy.", CENTROIDS),
        File(model.preprocessing, "How a raw video becomes visual words.", PREPROCESSING),
        File(model.training, "The training curve, and what was seen.", TRAINING),
        File(model.provenance, "How the model was made.", ONLY_PROVENANCE),
        File(model.plot, "The training curve as a picture."),
        File(f"{folder}/runs/{{training}}/{{events}}", "The same for TensorBoard; a folder for each training."),
    ]
