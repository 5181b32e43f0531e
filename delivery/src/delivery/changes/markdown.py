"""Differences as Markdown that whoever wrote the manifests cannot break out of."""

import re
from collections.abc import Sequence

LONGEST = 60_000
"""Characters of a difference; GitHub takes texts of 65,536."""


def fenced(lines: Sequence[str], *, longest: int = LONGEST) -> str:
    """Return lines as one block of code, cut where it would be too long."""
    text = "\n".join(lines)
    kept = text if len(text) <= longest else text[:longest].rpartition("\n")[0]
    fence = "`" * (1 + max([2, *map(len, re.findall("`+", kept))]))
    left = len(lines) - len(kept.splitlines())
    more = f"\n\n{left:,} more lines: `make diff`" if left else ""
    return f"{fence}diff\n{kept}\n{fence}{more}"
