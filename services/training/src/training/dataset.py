"""The digits dataset: rows in file order, its digest, and the split with the sealed holdout."""

import hashlib
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits

Pixels = NDArray[np.float32]
Labels = NDArray[np.int64]

HOLDOUT_SHARE = 0.25
VALIDATION_SHARE = 1 / 6


@dataclass(frozen=True, slots=True)
class Rows:
    """Pictures of 64 counts 0..16 with the digit each one shows."""

    pixels: Pixels
    labels: Labels

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, rows: slice) -> "Rows":
        return Rows(self.pixels[rows], self.labels[rows])


@dataclass(frozen=True, slots=True)
class Dataset:
    """The three parts of the data: only the last evaluation ever reads the holdout."""

    train: Rows
    validation: Rows
    holdout: Rows
    digest: str

    @classmethod
    def split(cls, rows: Rows) -> Self:
        """Cut in file order: neighbours were drawn by one hand, so a shuffled holdout would leak writers."""
        held = len(rows) - round(len(rows) * HOLDOUT_SHARE)
        validated = held - round(held * VALIDATION_SHARE)
        return cls(rows[:validated], rows[validated:held], rows[held:], digest_of(rows))


def load_rows() -> Rows:
    """Return the rows of scikit-learn's bundled digits, in file order."""
    pixels, labels = load_digits(return_X_y=True)
    return Rows(pixels.astype(np.float32), labels.astype(np.int64))


def digest_of(rows: Rows) -> str:
    """Return the sha256 over all counts and labels, one byte each, row by row."""
    content = np.column_stack([rows.pixels, rows.labels]).astype(np.uint8).tobytes()
    return "sha256:" + hashlib.sha256(content).hexdigest()
