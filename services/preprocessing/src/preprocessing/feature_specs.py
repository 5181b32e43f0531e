"""Feature specs: named, versioned ways from a picture to a row of numbers."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from preprocessing.digits_8x8 import Digits8x8Parameters, block_counts

Row = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class FeatureSpec:
    """A way from a grey picture to a row."""

    name: str
    digest: str
    """SHA-256 over the canonical JSON of name, version and parameters: what a model is trained for."""
    parameters_json: str
    row_length: int
    row: Callable[[Image.Image], Row]


def digits_8x8(parameters: Digits8x8Parameters | None = None, *, version: int = 1) -> FeatureSpec:
    """Return the spec `digits-8x8`; raise the version whenever the code gives other counts for the same parameters."""
    chosen = parameters or Digits8x8Parameters()
    described = {"name": "digits-8x8", "version": version, "parameters": asdict(chosen)}
    canonical = json.dumps(described, sort_keys=True, separators=(",", ":"))
    return FeatureSpec(
        name="digits-8x8",
        digest=f"sha256:{hashlib.sha256(canonical.encode()).hexdigest()}",
        parameters_json=canonical,
        row_length=(chosen.bitmap_side // chosen.block_side) ** 2,
        row=lambda grey: block_counts(grey, chosen),
    )
