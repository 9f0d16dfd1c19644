"""The text tokenizer: WordPiece, lower case, with the separator "[>]"; trained here or taken from a pretrained BERT.

Training is repeatable: the library numbers the alphabet in the order of a hash table, which changes from run to run, and
breaks ties by these numbers; so the alphabet is given to it in a fixed order.
"""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from videobert.data.text import one_line
from videobert.errors import UserError
from videobert.model.special_tokens import SEPARATOR, SPECIAL

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def train(texts: list[str], size: int) -> "PreTrainedTokenizerBase":
    """A lower-case WordPiece tokenizer of at most `size` tokens; the same for the same texts in any order."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
    from transformers import BertTokenizer

    wordpiece = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    wordpiece.normalizer = normalizers.BertNormalizer(lowercase=True)
    wordpiece.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    letters = Counter(wordpiece.normalizer.normalize_str("\n".join(texts)))
    common = sorted((-count, letter) for letter, count in letters.items() if not letter.isspace())
    # Each letter is a token twice, starting a word and going on with it; half the vocabulary is for longer pieces.
    alphabet = sorted(letter for _, letter in common[: max(1, (size - len(SPECIAL)) // 4)])
    first = [*SPECIAL, *alphabet, *(f"##{letter}" for letter in alphabet)]
    trainer = trainers.WordPieceTrainer(
        vocab_size=size, min_frequency=2, special_tokens=first, limit_alphabet=0, show_progress=False
    )
    wordpiece.train_from_iterator(texts, trainer)
    return BertTokenizer(vocab=wordpiece.get_vocab(), extra_special_tokens=[SEPARATOR])


def pretrained(tokenizer: str) -> "PreTrainedTokenizerBase":
    """The tokenizer of a pretrained BERT, with "[>]" added. Raises UserError when it is not there or not BERT-like."""
    from transformers import AutoTokenizer

    where = f"vocabulary.tokenizer: {tokenizer}"
    try:
        found = AutoTokenizer.from_pretrained(tokenizer)
    except (OSError, ValueError) as error:
        raise UserError(
            f"{where} is neither a folder with a tokenizer nor a name that the model hub answers to "
            f"({' '.join(str(error).split()).split('. ')[0]}); leave it out to train a vocabulary"
        ) from None
    if not found.is_fast:
        raise UserError(f"{where} has no tokenizer.json; save it with its fast tokenizer")
    missing = [token for token in SPECIAL[:-1] if token not in found.get_vocab()]
    if missing:
        raise UserError(f"{where} has no token {missing[0]}: it must be the tokenizer of a BERT")
    # Some checkpoints come with a fixed length; ours are cut where sequences are built, and nowhere else.
    found.backend_tokenizer.no_truncation()
    found.backend_tokenizer.no_padding()
    found.add_special_tokens({"extra_special_tokens": [SEPARATOR]})
    return found


def of_model(folder: Path) -> "PreTrainedTokenizerBase":
    """The tokenizer of a model folder as transformers has it. Raises UserError when it cannot be read."""
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    except (OSError, ValueError) as error:
        why = one_line(str(error), longest=120)
        raise UserError(f"{folder} has no tokenizer that transformers can read ({why})") from None
