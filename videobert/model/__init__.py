"""The model: configuration and network, its input sequences, training, what is fitted beside it. transformers is used here."""
