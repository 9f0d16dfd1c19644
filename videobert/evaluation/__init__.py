"""The tasks of the evaluation, a module each, and what they share: annotated steps, scores with intervals."""
