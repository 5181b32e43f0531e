"""What one run measured: a file with one line per request."""

import csv
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

OK, REFUSED, ERROR = "ok", "refused", "error"
_HEAD = ("seconds", "stage", "judged", "kind", "milliseconds", "outcome", "detail")


@dataclass(frozen=True, slots=True)
class Observation:
    """One finished request."""

    seconds: float
    """Since the beginning of the run."""
    stage: str
    judged: bool
    kind: str
    milliseconds: float
    outcome: str
    """`ok`, `refused` (the server said that it is overloaded) or `error`."""
    detail: str = ""


Record = Callable[[Observation], None]
"""Writes one observation."""


@contextmanager
def writing(path: Path) -> Iterator[Record]:
    """Write observations as they come: a run of any length needs no memory, and can be read meanwhile."""
    with path.open("w", newline="", buffering=1) as file:
        rows = csv.writer(file)
        rows.writerow(_HEAD)

        def record(seen: Observation) -> None:
            numbers = (f"{seen.seconds:.3f}", seen.stage, int(seen.judged), seen.kind, f"{seen.milliseconds:.3f}")
            rows.writerow((*numbers, seen.outcome, seen.detail))

        yield record


def read(path: Path) -> list[Observation]:
    """Read a recording."""
    with path.open(newline="") as file:
        return [_observation(row) for row in csv.DictReader(file)]


def judged(observations: Iterable[Observation]) -> list[Observation]:
    """Leave out what was measured while things warmed up."""
    return [each for each in observations if each.judged]


def _observation(row: dict[str, str]) -> Observation:
    return Observation(
        seconds=float(row["seconds"]),
        stage=row["stage"],
        judged=row["judged"] == "1",
        kind=row["kind"],
        milliseconds=float(row["milliseconds"]),
        outcome=row["outcome"],
        detail=row["detail"],
    )
