"""Whisper by faster-whisper (CTranslate2): the fast engine."""

from typing import TYPE_CHECKING

from videobert.speech.engine import DECODING, Engine, EngineKind, Whisper, check_language
from videobert.speech.sentences import Heard, Segment, Word
from videobert.speech.weights import ctranslate2_folder, ctranslate2_is_here, ctranslate2_sizes

if TYPE_CHECKING:
    from videobert.speech.engine import Sound


def _has_gpu() -> bool:
    from ctranslate2 import get_cuda_device_count

    return bool(get_cuda_device_count() > 0)


def _compute_types(device: str) -> list[str]:
    from ctranslate2 import get_supported_compute_types

    known = set(get_supported_compute_types(device))
    chosen = "float16" if device == "cuda" else "int8"
    return [chosen, *sorted(known - {chosen})]


def _load(whisper: Whisper) -> Engine:
    from faster_whisper import WhisperModel

    network = WhisperModel(
        str(whisper.weights),
        device=whisper.device,
        compute_type=whisper.compute_type,
        cpu_threads=whisper.threads,
    )
    check_language(whisper.model, whisper.language, network.supported_languages)

    def detect(audio: "Sound") -> tuple[str, float]:
        spoken, probability, *_ = network.detect_language(audio)
        return spoken, probability

    def listen(audio: "Sound", language: str) -> Heard:
        segments, _ = network.transcribe(
            audio, language=language, beam_size=whisper.beam_size, log_prob_threshold=None, **DECODING
        )
        for found in segments:
            segment = Segment(language, None, found.avg_logprob, found.no_speech_prob, found.compression_ratio)
            words = found.words
            yield (
                segment,
                [
                    Word(word.word, float(word.start), float(word.end), float(word.probability), segment)
                    for word in words
                ],
            )

    return Engine(detect if network.model.is_multilingual else None, listen)


FASTER_WHISPER = EngineKind(
    find_weights=ctranslate2_folder,
    has_gpu=_has_gpu,
    compute_types=_compute_types,
    load=_load,
    packages=("faster-whisper", "ctranslate2"),
    sizes=ctranslate2_sizes,
    is_here=ctranslate2_is_here,
)
