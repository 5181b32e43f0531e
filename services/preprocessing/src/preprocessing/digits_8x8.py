"""The feature spec digits-8x8: a picture of one digit as the 64 block counts of scikit-learn's digits."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from preprocessing.ink import InkParameters, find_ink

_BOX = Image.Resampling.BOX


@dataclass(frozen=True, slots=True)
class Digits8x8Parameters:
    """Everything that the 64 counts depend on besides the picture."""

    bitmap_side: int = 32
    """Side of the bitmap that the digit fills."""

    block_side: int = 4
    """Side of the blocks whose set pixels are counted."""

    min_ink: int = 240
    """Thinner digits are drawn bolder by one pixel all round: the data set's have 310 of 1,024 set, give or take 35."""

    max_ink: int = 400
    """Bolder digits are drawn thinner by one pixel all round."""

    ink: InkParameters = field(default_factory=InkParameters)


def block_counts(grey: Image.Image, parameters: Digits8x8Parameters) -> NDArray[np.float32]:
    """Return the counts, 0 to 16, row by row; raises PictureRefused on a blank picture."""
    ink = find_ink(grey, parameters.ink)
    side, block = parameters.bitmap_side, parameters.block_side
    bitmap = _even_stroke(_bitmap(ink.cutout, ink.threshold, side), parameters)
    tall = bitmap.reshape(side // block, block, side).sum(axis=1, dtype=np.uint32)
    counts: NDArray[np.float32] = tall.reshape(-1, block).sum(axis=1, dtype=np.float32)
    return counts


def _bitmap(cutout: Image.Image, threshold: int, side: int) -> NDArray[np.bool_]:
    """Scale the digit to the full height or width, centred, its aspect kept."""
    scale = side / max(cutout.size)
    width, height = (max(1, round(length * scale)) for length in cutout.size)
    digit = np.frombuffer(cutout.resize((width, height), _BOX).tobytes(), np.uint8).reshape(height, width)
    bitmap = np.zeros((side, side), np.bool_)
    left, top = (side - width) // 2, (side - height) // 2
    bitmap[top : top + height, left : left + width] = digit > threshold
    return bitmap


def _even_stroke(bitmap: NDArray[np.bool_], parameters: Digits8x8Parameters) -> NDArray[np.bool_]:
    ink = np.count_nonzero(bitmap)
    if ink < parameters.min_ink:
        return _grown(bitmap)
    if ink > parameters.max_ink:
        return ~_grown(~bitmap)
    return bitmap


def _grown(bitmap: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Set every pixel that touches a set one, corners included."""
    tall = bitmap.copy()
    tall[1:] |= bitmap[:-1]
    tall[:-1] |= bitmap[1:]
    grown = tall.copy()
    grown[:, 1:] |= tall[:, :-1]
    grown[:, :-1] |= tall[:, 1:]
    return grown
