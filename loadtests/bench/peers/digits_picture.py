"""The peers' preprocessing: Fairlead's own pure function, so that every contender gives the same answer."""

import numpy as np
from numpy.typing import NDArray
from preprocessing.feature_specs import digits_8x8
from preprocessing.pictures import Picture, PictureLimits

_LIMITS = PictureLimits(max_bytes=8 << 20, max_pixels=16 << 20)
_SPEC = digits_8x8()


def row_of(picture: bytes) -> NDArray[np.float32]:
    """Return the 64 counts of one picture as a batch of one."""
    return _SPEC.row(Picture(picture, _LIMITS).grey()).reshape(1, -1)
