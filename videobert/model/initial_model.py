"""The BERT that pretraining may start from, by its name on the model hub or by its folder.

What the text taught it is kept: the word, position and token type embeddings, the encoder and, where the checkpoint has
it, the head for masked words, which also starts the head for visual words. The sizes are the checkpoint's. So is the
text vocabulary, but for [>], which starts as [SEP], the token that parts two segments for a BERT: the encoder knows what
to do with it, while the mean of all words says nothing. New is what no text can teach: the visual words and the
alignment.
"""

import hashlib
from typing import TYPE_CHECKING, Any, TypeAlias

from videobert.errors import UserError
from videobert.model.processing_videobert import Vocabulary
from videobert.model.quiet import quiet
from videobert.model.special_tokens import SEPARATOR

if TYPE_CHECKING:
    from transformers import BertForMaskedLM, PreTrainedTokenizerBase

    from videobert.model.modeling_videobert import VideoBertForPreTraining

Bert: TypeAlias = "BertForMaskedLM"  # for those who import nothing of transformers

SIZES = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
# The rest of a BERT's shape, which is no setting of ours.
SHAPE = ("hidden_act", "layer_norm_eps", "initializer_range")
HEAD = "cls.predictions."


def read(initial_model: str, tokenizer_json: str, max_length: int) -> tuple["BertForMaskedLM", bool]:
    """The checkpoint, and whether it has a head for masked words. UserError when it is not there or does not fit.

    Args:
        initial_model: name on the model hub, or folder.
        tokenizer_json: the text vocabulary, as in tokenizer.json.
        max_length: longest sequence.
    """
    from tokenizers import Tokenizer

    bert, has_head, theirs = load_initial(initial_model, max_length)
    ours, words = Tokenizer.from_str(tokenizer_json).get_vocab(), theirs.get_vocab()
    for vocabulary in (ours, words):
        vocabulary.pop(SEPARATOR, None)
    if ours != words or len(words) > bert.config.vocab_size:
        raise UserError(
            f"pretrain.initial_model: {initial_model} has another text vocabulary ({len(words)} tokens) than the stage "
            f"vocabulary made ({len(ours)} "
            f"without {SEPARATOR}): set vocabulary.tokenizer to {initial_model} as well, so that words keep their meaning"
        )
    return bert, has_head


def load_initial(initial_model: str, max_length: int) -> tuple["BertForMaskedLM", bool, "PreTrainedTokenizerBase"]:
    """`load` for pretraining. UserError when the checkpoint is shorter than `max_length`."""
    found = load(initial_model, f"pretrain.initial_model: {initial_model}", "null starts from nothing")
    positions = found[0].config.max_position_embeddings
    if positions < max_length:
        raise UserError(
            f"pretrain.max_length is {max_length}, but {initial_model} knows {positions} positions: set max_length to that "
            "at most"
        )
    return found


def load(name: str, where: str, otherwise: str) -> tuple["BertForMaskedLM", bool, "PreTrainedTokenizerBase"]:
    """The checkpoint, whether it has a head for masked words, and its tokenizer. UserError when it is not there.

    Args:
        name: name on the model hub, or folder.
        where: the setting that names it, for the error.
        otherwise: what the setting null does, for the error.
    """
    import torch
    from transformers import AutoConfig, AutoTokenizer, BertForMaskedLM

    bert: BertForMaskedLM
    report: dict[str, Any]
    try:
        kind = AutoConfig.from_pretrained(name).model_type
        if kind == "bert":
            tokenizer = AutoTokenizer.from_pretrained(name)
            with quiet():
                loaded: Any = BertForMaskedLM.from_pretrained(name, dtype=torch.float32, output_loading_info=True)
                bert, report = loaded
    except Exception as error:  # a network, a cache and broken files fail in the ways of many libraries
        raise UserError(
            f"{where} cannot be loaded ({type(error).__name__}: {' '.join(str(error).split()).split('. ')[0]}): give a "
            "name that the model hub answers to, or a folder with a BERT's config.json, model.safetensors and "
            f"tokenizer.json; {otherwise}"
        ) from error
    if kind != "bert":
        raise UserError(f"{where} is of the kind {kind}, but the encoder is a BERT: give a checkpoint of that kind")
    missing = [name for name in report["missing_keys"] if not name.startswith("cls.")]
    if missing:
        raise UserError(f"{where} has no weights for {missing[0]}: it is not whole, or not a BERT; give another")
    return bert, not any(name.startswith(HEAD) for name in report["missing_keys"]), tokenizer


def start(model: "VideoBertForPreTraining", bert: "BertForMaskedLM", has_head: bool, words: Vocabulary) -> None:
    """Copies what the checkpoint knows into the model, whose sizes must be the checkpoint's."""
    import torch

    tables, learnt = model.videobert.embeddings, bert.bert.embeddings
    with torch.no_grad():
        # The table may be longer than the vocabulary, for speed; positions beyond max_length are not needed.
        tables.text.weight[: words.video] = learnt.word_embeddings.weight[: words.video]
        tables.text.weight[words.video] = learnt.word_embeddings.weight[words.sep]
        tables.position.weight.copy_(learnt.position_embeddings.weight[: len(tables.position.weight)])
        tables.token_type.weight.copy_(learnt.token_type_embeddings.weight)
        tables.LayerNorm.load_state_dict(learnt.LayerNorm.state_dict())
        model.videobert.encoder.load_state_dict(bert.bert.encoder.state_dict())
        if has_head:
            for transform in (model.text_transform, model.video_transform):
                transform.load_state_dict(bert.cls.predictions.transform.state_dict())
            model.text_bias[: words.video] = bert.cls.predictions.bias[: words.video]
            model.text_bias[words.video] = bert.cls.predictions.bias[words.sep]
        # As loud as words: they stand beside each other, and beside the same positions.
        tables.video.weight *= learnt.word_embeddings.weight.std() / model.config.initializer_range


def sha256(bert: "BertForMaskedLM", has_head: bool) -> str:
    """Hash of the weights that are taken: the same for a name, a folder, one file or many."""
    digest = hashlib.sha256()
    for name, tensor in sorted(bert.state_dict().items()):
        if has_head or not name.startswith("cls."):
            digest.update(name.encode() + tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()
