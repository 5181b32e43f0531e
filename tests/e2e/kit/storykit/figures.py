"""What stories measure: recorded beside its target and shown at the end, never judged here."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value; a target of None says that none was promised."""

    name: str
    value: float
    unit: str = "s"
    target: float | None = None


@dataclass(slots=True)
class Figures:
    """All of a run, in a file that is complete after every one of them."""

    path: Path
    rows: list[Figure] = field(default_factory=list)

    def record(self, figure: Figure) -> None:
        """Keep one."""
        self.rows.append(figure)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(json.dumps([asdict(row) for row in self.rows], indent=2) + "\n")

    def table(self) -> list[str]:
        """Return them for a person."""
        width = max((len(row.name) for row in self.rows), default=0)
        return [_line(row, width) for row in self.rows]


def _line(row: Figure, width: int) -> str:
    value = f"{row.value:.1f}" if row.unit == "s" else f"{row.value:g}"
    shown = f"  {row.name:<{width}}  {value:>8} {row.unit}"
    if row.target is None:
        return shown
    verdict = "" if row.value <= row.target else "  MISSED"
    return f"{shown}  (target {row.target:g}){verdict}"
