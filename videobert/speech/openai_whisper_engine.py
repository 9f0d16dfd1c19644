"""Whisper by openai-whisper: the original."""

from typing import TYPE_CHECKING

from videobert.speech.engine import DECODING, Engine, EngineKind, Whisper, check_language
from videobert.speech.sentences import Heard, Segment, Word
from videobert.speech.weights import openai_checkpoint, openai_is_here, openai_sizes

if TYPE_CHECKING:
    from videobert.speech.engine import Sound


def _has_gpu() -> bool:
    from torch.cuda import is_available

    return is_available()


def _compute_types(device: str) -> list[str]:
    return ["float16", "float32"] if device == "cuda" else ["float32"]


def _load(whisper_: Whisper) -> Engine:
    import numpy as np
    import torch
    import whisper
    from whisper.timing import dtw_cpu

    # The first call of this function, compiled by numba, gives the OpenMP that torch shares a thread for each core of the
    # machine: it is made here, before the number that was asked for is set.
    dtw_cpu(np.zeros((1, 1)))
    torch.set_num_threads(whisper_.threads)
    # By its name, a network also gets the attention heads known to follow the words best.
    name = whisper_.model if whisper_.model in whisper.available_models() else str(whisper_.weights)
    network = whisper.load_model(name, device=whisper_.device, download_root=str(whisper_.weights.parent))
    known = list(whisper.tokenizer.LANGUAGES) if network.is_multilingual else ["en"]
    check_language(whisper_.model, whisper_.language, known)
    half = whisper_.compute_type == "float16"

    def detect(audio: "Sound") -> tuple[str, float]:
        sound = whisper.log_mel_spectrogram(whisper.pad_or_trim(audio), network.dims.n_mels).to(network.device)
        probabilities: dict[str, float] = network.detect_language(sound.half() if half else sound)[1]
        return max(probabilities.items(), key=lambda item: item[1])

    def listen(audio: "Sound", language: str) -> Heard:
        beams = whisper_.beam_size if whisper_.beam_size > 1 else None  # None is greedy
        result = network.transcribe(
            audio, language=language, beam_size=beams, logprob_threshold=None, fp16=half, **DECODING
        )
        for found in result["segments"]:
            figures = (found["avg_logprob"], found["no_speech_prob"], found["compression_ratio"])
            segment = Segment(language, None, *figures)
            words = [
                Word(word["word"], float(word["start"]), float(word["end"]), float(word["probability"]), segment)
                for word in found["words"]
            ]
            yield segment, words

    return Engine(detect if network.is_multilingual else None, listen)


OPENAI_WHISPER = EngineKind(
    find_weights=openai_checkpoint,
    has_gpu=_has_gpu,
    compute_types=_compute_types,
    load=_load,
    packages=("faster-whisper", "openai-whisper"),
    sizes=openai_sizes,
    is_here=openai_is_here,
)
