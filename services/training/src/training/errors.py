"""The one error that ends a training run with a sentence instead of a trace."""


class TrainingError(Exception):
    """Says what is wrong and what to do about it."""
