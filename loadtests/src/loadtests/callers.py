"""Who calls: each caller of a load has a token of its own, as quotas are per caller."""

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
    def read(cls, ca: Path | None, tokens: Path | None) -> "Callers":
        """Read what to trust, and the tokens, one a line."""
        lines = tokens.read_text().split() if tokens else [""]
        return cls(itertools.cycle([Access(ca, token) for token in lines]))

    def next(self) -> Access:
        """Return the access of the next caller."""
        return next(self.turns)
