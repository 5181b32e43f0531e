"""Who calls: each caller of a load has a token of its own, as quotas are per caller, and some ask for an arm."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from local_stack.access import OPEN, Access


@dataclass(frozen=True, slots=True)
class Callers:
    """Gives every user the access of the next caller; without tokens all are alike."""

    turns: Iterator[Access] = field(default_factory=lambda: itertools.repeat(OPEN))

    @classmethod
    def read(cls, ca: Path | None, tokens: Path | None, arm: str = "") -> "Callers":
        """Read what to trust, and the tokens, one a line; with an arm every second caller asks for it."""
        lines = tokens.read_text().split() if tokens else [""]
        arms = ("", arm) if arm else ("",)
        return cls(itertools.cycle([Access(ca, token, arm) for token in lines for arm in arms]))

    def next(self) -> Access:
        """Return the access of the next caller."""
        return next(self.turns)
