"""Speech to sentences: what is said in a video, and when.

The paper splits the ASR of a video into sentences with punctuation and cuts the video by the sentences' times
(section 4.1). Here Whisper writes punctuated words with times, through faster-whisper or openai-whisper, or a video's
captions are read; one splitter makes sentences of either, so that the engines are interchangeable.

Only speech is shown to Whisper: a voice activity detector (Silero, as shipped with faster-whisper) cuts out the rest,
in which Whisper would invent text, and the times are mapped back. Decoding is greedy or by beam at temperature 0,
each window by itself: sampling and carried-over text would make a transcript depend on chance and on one early error.
What Whisper says is believed only if its own figures allow (`doubt`); what is dropped is counted in the ledger, and a
sentence keeps the figures it was believed by, so that a stricter choice needs no second run.

A video is heard in windows of minutes, one in memory at a time, however long it is.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from videobert import progress
from videobert.amounts import duration_in_words
from videobert.data.file_names import existing
from videobert.data.ledger import completed, open_file, process_videos, remove_journal
from videobert.data.plan import DrawInputs, rows_of
from videobert.data.provenance import make_provenance, sha256, write_table
from videobert.data.schemas import HEARD, SENTENCE_COUNTS, SENTENCES, arrow, names
from videobert.errors import Status, UserError, VideoError
from videobert.media.decoding import SAMPLE_RATE
from videobert.media.sound import SoundStream, audio, choose_stream
from videobert.settings import Count, DeviceExecution, Outputs, Settings, Text
from videobert.speech.captions import caption_words
from videobert.speech.engine import Whisper
from videobert.speech.sentences import DROPPED, Segment, Word, credible, sentence_row, sentences
from videobert.speech.whisper import (
    ENGINES,
    WINDOW,
    choose_compute_type,
    choose_device,
    load_engine,
    transcribe_windows,
)

if TYPE_CHECKING:
    import pyarrow as pa

    from videobert.speech.engine import Sound

VERSION = 2


class TranscribeSettings(Settings):
    """Speech to sentences with times, by Whisper or from captions."""

    engine: Literal["faster-whisper", "openai-whisper", "captions"] = "faster-whisper"
    """faster-whisper (the fast one), openai-whisper (the original), or captions (what the platform or the list gives)."""
    model: Text = "small.en"
    """A Whisper model: tiny.en, base, small, medium, large-v3, ... or a path. Larger ones make fewer errors and take
    longer."""
    language: Annotated[str, Field(min_length=2)] = "en"
    """The language spoken, as a code (en, de, ja, ...); speech in another language is dropped. A model whose name ends
    in .en knows English only, so take a multilingual one for a mixed list. auto keeps every language. Of several audio
    streams, the one that the file marks with this language is used."""
    beam_size: Count = 1
    """Beam size of the decoder: 1 is greedy and fast, 5 is a little better."""
    compute_type: Literal[
        "auto", "int8", "int8_float32", "int8_float16", "int8_bfloat16", "int16", "float16", "bfloat16", "float32"
    ] = "auto"
    """Whisper's arithmetic: auto (on a CPU faster-whisper's int8 and openai-whisper's float32, on a GPU float16), or
    one that the engine and the device support."""


class TranscribeExecution(DeviceExecution):
    threads: Count = 1
    """CPU threads of one job. More shards at a time use the cores better than more threads per shard."""


class TranscribeInputs(DrawInputs):
    download: Path
    """The shard's download ledger; the media lie beside it."""
    videos: Path | None = None
    """The list of videos, as for the stage corpus: for the engine captions, since it may name captions of its own."""
    id_register: Path | None = None
    """Which source has which shard, as for the stage corpus."""
    shard_size: Count | None = None
    """Videos in a shard, as for the stage corpus."""
    shard: str | None = None
    """The shard ("0000")."""


class TranscribeOutputs(Outputs):
    table: Path
    """A row per sentence (Parquet): video_id, start, end (seconds), text, language, and Whisper's own figures (null where
    there is none): language_probability, probability (mean of its words), and the worst of the segments it was heard in,
    avg_logprob, no_speech_prob, compression_ratio."""
    ledger: Path
    """A row per video (Parquet): its status; of those that are ok the number of sentences, and how many of Whisper's segments
    and sentences (for the language, windows of some minutes) were dropped as no_speech, improbable, repetition or language,
    or cues of captions as malformed; which of the file's sound streams was heard."""


def transcribe(
    inputs: TranscribeInputs, outputs: TranscribeOutputs, settings: TranscribeSettings, execution: TranscribeExecution
) -> None:
    """Turn one shard's speech into sentences with times."""
    source = _captions(inputs, settings) if settings.engine == "captions" else _whisper(inputs, settings, execution)

    def work(video: dict[str, Any]) -> tuple[dict[str, Any], "pa.Table"]:
        return _sentences(video, source.words, settings.language)

    provenance = make_provenance(
        "transcribe",
        VERSION,
        source.settings,
        {"download": inputs.download},
        source.packages,
        **source.facts,
    )
    journal = outputs.table.parent / ".journal" / outputs.table.stem
    schemas = arrow((*SENTENCE_COUNTS, *HEARD)), arrow(SENTENCES)
    rows, table = process_videos(completed(inputs.download), work, journal, provenance, *schemas)
    write_table(rows, outputs.ledger, provenance)
    write_table(table, outputs.table, provenance)
    remove_journal(journal)


# The sound stream that is heard, none for captions, and its words.
Words = Callable[[dict[str, Any], Counter[str]], tuple[SoundStream | None, Iterator[Word]]]


@dataclass(frozen=True)
class _Source:
    """Where words come from: a function of (video, counts of what is dropped), and what the provenance says of it."""

    words: Words
    settings: dict[str, Any]
    packages: tuple[str, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)


def _captions(inputs: TranscribeInputs, settings: TranscribeSettings) -> _Source:
    own = _own_captions(inputs)

    def words(video: dict[str, Any], dropped: Counter[str]) -> tuple[None, Iterator[Word]]:
        given = own.get(video["video_id"])
        path, tag = _listed(given, settings.language) if given else _fetched(inputs.download, video)
        return None, _captioned(path, tag, video, settings.language, dropped)

    return _Source(words, {"engine": "captions", "language": settings.language})


def _whisper(inputs: TranscribeInputs, settings: TranscribeSettings, execution: TranscribeExecution) -> _Source:
    engine, model = settings.engine, settings.model
    device = choose_device(engine, execution.device)
    progress.runs_on(device)
    compute_type = choose_compute_type(engine, device, settings.compute_type)
    weights = ENGINES[engine].find_weights(model)
    whisper = Whisper(
        engine, weights, model, settings.language, settings.beam_size, device, compute_type, execution.threads
    )

    def words(video: dict[str, Any], dropped: Counter[str]) -> tuple[SoundStream, Iterator[Word]]:
        path = open_file(inputs.download, video)
        stream = choose_stream(path, settings.language)
        sound = _followed(audio(path, WINDOW, stream), video["duration"])
        return stream, transcribe_windows(sound, load_engine(whisper), settings.language, dropped)

    # The path of a model is of this machine; the weights' hash says which they are.
    used = settings.fingerprint() | {"model": Path(model).name, "compute_type": compute_type}
    facts = {
        "weights_sha256": sha256(weights / "model.bin" if weights.is_dir() else weights),
        "execution": execution.model_dump() | {"device": device},
    }
    return _Source(words, used, (*ENGINES[engine].packages, "av"), facts)


def _followed(windows: "Iterator[tuple[int, Sound]]", duration: float) -> "Iterator[tuple[int, Sound]]":
    """The windows of a sound, saying how far the video is heard."""
    for place, window in windows:
        seconds = place / SAMPLE_RATE
        if seconds and duration:
            heard = f"{duration_in_words(seconds)} of {duration_in_words(duration)} of a video"
            progress.within(seconds / duration, heard)
        yield place, window


def _sentences(video: dict[str, Any], words: Words, language: str) -> tuple[dict[str, Any], "pa.Table"]:
    """A video's facts for the ledger, and its sentences. Raises VideoError when there is none."""
    import pyarrow as pa

    dropped: Counter[str] = Counter()
    stream, spoken = words(video, dropped)
    believed = credible(map(sentence_row, sentences(spoken)), dropped)
    rows = [{"video_id": video["video_id"], **row} for row in believed]
    remark = ", ".join(f"{dropped[why]} {why}" for why in DROPPED if dropped[why])
    which = f"heard: sound stream {stream.number} of {stream.of}" if stream and stream.of > 1 else ""
    if not rows and dropped["language"]:
        reason = f"its speech is not in {language}; dropped: {remark}"
        raise VideoError(Status.OTHER_LANGUAGE, _joined(reason, which))
    if not rows:
        reason = f"no speech in it is credible; dropped: {remark}" if remark else "there is no speech in it"
        raise VideoError(Status.NO_SPEECH, _joined(reason, which))
    counts = {f"dropped_{why}": dropped[why] for why in DROPPED}
    heard = dict(zip(names(HEARD), stream, strict=True)) if stream else {}
    facts = {
        "reason": _joined(f"dropped: {remark}" if remark else "", which),
        "sentences": len(rows),
        **counts,
        **heard,
    }
    return facts, pa.Table.from_pylist(rows, schema=arrow(SENTENCES))


def _joined(*remarks: str) -> str:
    return "; ".join(filter(None, remarks))


# --- captions ---


def _own_captions(inputs: TranscribeInputs) -> dict[str, str]:
    """The captions that the list itself names, by video id."""
    if inputs.videos is None or inputs.id_register is None or inputs.shard_size is None or inputs.shard is None:
        return {}
    rows = rows_of(inputs.shard, inputs.videos, inputs.id_register, inputs.shard_size, inputs.draw)
    return {row["video_id"]: row["captions"] for row in rows if row["captions"]}


def _listed(given: str, language: str) -> tuple[Path, str]:
    """The captions that the list names, and their language, which is taken to be the one that is wanted."""
    path = existing(given)
    if path is None or not path.is_file():
        raise VideoError(Status.NO_CAPTIONS, f"there is no file {given}, which the list names as its captions")
    if path.suffix.lower() not in (".vtt", ".srt"):
        raise VideoError(
            Status.NO_CAPTIONS, f"its captions {path.name} are neither .vtt nor .srt, which alone are read"
        )
    return path, "und" if language == "auto" else language


def _fetched(ledger: Path, video: dict[str, Any]) -> tuple[Path, str]:
    """The captions that came with a video, and their language: {video_id}.{language}.vtt."""
    if not video["captions"]:
        raise VideoError(Status.NO_CAPTIONS, "no captions came with it")
    path = ledger.parent / video["captions"]
    if not path.is_file():
        raise UserError(f"{path} is missing, though {ledger} lists it; delete that ledger and run again")
    return path, path.suffixes[-2][1:] if len(path.suffixes) > 1 else "und"


def _captioned(path: Path, tag: str, video: dict[str, Any], language: str, dropped: Counter[str]) -> Iterator[Word]:
    spoken = tag.split("-")[0]
    if spoken != "und" and language not in ("auto", spoken):
        raise VideoError(Status.OTHER_LANGUAGE, f"its captions are in {tag}, transcribe.language is {language}")
    words, dropped["malformed"] = caption_words(path, video["duration"], spoken)
    if not words:
        raise VideoError(Status.NO_CAPTIONS, "its captions hold no text")
    segment = Segment(spoken, None, None, None, None)
    for text, start, end in words:
        yield Word(text, start, end, None, segment)
