"""The special tokens of the text vocabulary; "[>]" stands between text and video."""

SEPARATOR = "[>]"


SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", SEPARATOR)
