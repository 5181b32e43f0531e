"""Kubernetes quantities as numbers."""

import re

_FACTORS = {
    "m": 1e-3,
    "": 1.0,
    "k": 1e3,
    "M": 1e6,
    "G": 1e9,
    "T": 1e12,
    "Ki": 2.0**10,
    "Mi": 2.0**20,
    "Gi": 2.0**30,
    "Ti": 2.0**40,
}


class NotAQuantity(ValueError):
    """No number of CPUs or bytes that Kubernetes understands."""


def quantity(text: object) -> float:
    """Return a quantity such as 250m or 1536Mi as a number of CPUs or bytes."""
    match = re.fullmatch(r"([0-9.]+)(m|[kMGT]i?|Ki)?", str(text))
    if not match:
        raise NotAQuantity(f"{text!r} is no quantity: write one such as 250m or 1536Mi")
    return float(match[1]) * _FACTORS[match[2] or ""]
