"""An experiment: each caller is in one of its arms, and stays there.

Weighted rendezvous hashing: an arm's score for a caller is weight / -ln(hash of experiment, arm and caller), and the
highest wins. Scores of arms do not depend on each other: a changed weight moves only the callers whom that arm gains or
loses, and an arm that goes gives its callers to the others in proportion.
"""

import math
import re
from functools import lru_cache
from hashlib import blake2b

from gateway.callers.caller import Arm

NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}", re.ASCII)

_REMEMBERED = 8192


class Experiment:
    """Assigns callers to arms."""

    def __init__(self, name: str, arms: dict[str, float], *, chosen_by_callers: bool = False) -> None:
        self._arms = {arm: (Arm(name, arm), weight) for arm, weight in arms.items()}
        self._chosen_by_callers = chosen_by_callers
        self._of = lru_cache(maxsize=_REMEMBERED)(self._assign)

    def arm(self, key: str, *, asked: str | None = None) -> Arm:
        """Return a caller's arm: the declared one that it asked for, if it may, else that of its key."""
        if asked is not None and self._chosen_by_callers and asked in self._arms:
            return self._arms[asked][0]
        return self._of(key)

    def _assign(self, key: str) -> Arm:
        return max(self._arms.values(), key=lambda weighted: _score(weighted[0], weighted[1], key))[0]


def _score(arm: Arm, weight: float, key: str) -> float:
    digest = blake2b(f"{arm.experiment}\0{arm.name}\0{key}".encode(), digest_size=8).digest()
    share = ((int.from_bytes(digest) >> 12) + 0.5) / 2**52  # as fine as a float is below 1, and never 0 or 1
    return weight / -math.log(share)


def parse_arms(text: str) -> dict[str, float]:
    """Read arms with their weights, as in control=90,treatment=10; raises ValueError with what is wrong."""
    arms: dict[str, float] = {}
    for part in text.split(","):
        name, _, weight = part.strip().partition("=")
        if not NAME.fullmatch(name) or name in arms:
            raise ValueError(f"{name!r} is no name for an arm, or is there twice; use lower case, digits and dashes")
        try:
            arms[name] = float(weight)
        except ValueError:
            raise ValueError(f"arm {name} needs a weight, as in control=90,treatment=10") from None
        if not 0 <= arms[name] < math.inf:
            raise ValueError(f"the weight of arm {name} must be 0 or more")
    if not any(arms.values()):
        raise ValueError("one arm at least needs a weight above 0")
    return arms
