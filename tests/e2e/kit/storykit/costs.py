"""What rounds of calls cost, with sidecars and without: per call, at rest, and as a page for docs/mesh-cost.md."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from loadtests.bench.machine import commit, machine
from loadtests.bench.measuring import spread
from loadtests.bench.results import table

WITHOUT, WITH = "without sidecars", "with sidecars"
OTHER = {WITHOUT: WITH, WITH: WITHOUT}
OWN, SIDECARS, CALLERS = "services", "sidecars", "the caller's sidecar"
_PER_CALL = (
    ("CPU of services, per call", (OWN,)),
    ("CPU of their sidecars, per call", (SIDECARS,)),
    ("CPU of both, per call", (OWN, SIDECARS)),
    ("CPU of the caller's sidecar, per call", (CALLERS,)),
)
_AT_REST = (("CPU of services at rest", OWN), ("CPU of their sidecars at rest", SIDECARS))
_WHOLE_NUMBERS = 100


@dataclass(frozen=True, slots=True)
class Round:
    """One side in one round; CPU in seconds, by part."""

    calls: int
    label: int | None
    p50_ms: float
    seconds: float
    used: Mapping[str, float]
    """By the chain that was asked."""
    rested: Mapping[str, float]
    """By the other one meanwhile."""


Rounds = Mapping[str, Sequence[Round]]
Memory = Mapping[str, Mapping[tuple[str, str], float]]
"""MiB by side, then by service and part."""


@dataclass(frozen=True, slots=True)
class Cost:
    """One figure of both sides, round by round."""

    name: str
    unit: str
    sides: Mapping[str, Sequence[float]]

    @property
    def ratios(self) -> list[float]:
        """What sidecars multiply it by, round by round; empty where there is nothing without them."""
        pairs = list(zip(self.sides[WITHOUT], self.sides[WITH], strict=True))
        return [more / less for less, more in pairs] if all(less for less, _ in pairs) else []

    def row(self) -> tuple[str, ...]:
        """Return it for the table."""
        shown = [_shown(self.sides[side]) for side in (WITHOUT, WITH)]
        return (f"{self.name} ({self.unit})", *shown, _shown(self.ratios))


def costs_of(rounds: Rounds) -> Iterator[Cost]:
    """Yield each figure; what a chain uses while nobody asks it is no cost of calls, and stands apart."""
    yield Cost("p50", "ms", {side: [each.p50_ms for each in rounds[side]] for side in rounds})
    spent = {side: _per_call(rounds[side], _resting(rounds[OTHER[side]])) for side in rounds}
    for name, parts in _PER_CALL:
        yield Cost(name, "us", {side: [sum(each[part] for part in parts) for each in spent[side]] for side in spent})
    rested = {side: rounds[OTHER[side]] for side in rounds}
    for name, part in _AT_REST:
        cores = {side: [each.rested[part] / each.seconds * 1e3 for each in rested[side]] for side in rested}
        yield Cost(name, "thousandths of a core", cores)


def page(costs: Mapping[str, Sequence[Cost]], memory: Memory, *, rounds: int, calls: int) -> str:
    """Return all of it in Markdown."""
    head = f"Commit {commit()}. {machine()}. {rounds} rounds of {calls:,} calls each; median (least to greatest)."
    parts = {name: table(("", WITHOUT, WITH, "ratio"), [each.row() for each in rows]) for name, rows in costs.items()}
    parts["Memory at rest (MiB)"] = _memory(memory)
    return "\n\n".join([head, *(f"### {name}\n\n{text}" for name, text in parts.items())]) + "\n"


def _resting(rounds: Sequence[Round]) -> dict[str, float]:
    """Return what the chain that was not asked used each second: probes, timers, what the mesh says to itself."""
    seconds = sum(each.seconds for each in rounds)
    return {part: sum(each.rested[part] for each in rounds) / seconds for part in (OWN, SIDECARS, CALLERS)}


def _per_call(rounds: Sequence[Round], rest: Mapping[str, float]) -> list[dict[str, float]]:
    return [
        {part: (used - rest[part] * each.seconds) / each.calls * 1e6 for part, used in each.used.items()}
        for each in rounds
    ]


def _memory(memory: Memory) -> str:
    columns = ((WITHOUT, OWN), (WITH, OWN), (WITH, SIDECARS))
    services = sorted(service for service, part in memory[WITHOUT] if part == OWN)
    rows = [(service, *(f"{memory[side][service, part]:.0f}" for side, part in columns)) for service in services]
    return table(("", f"service, {WITHOUT}", f"service, {WITH}", "its sidecar"), rows)


def _shown(values: Sequence[float]) -> str:
    if not any(values):
        return ""
    middle, least, greatest = spread(values)
    digits = 0 if middle >= _WHOLE_NUMBERS else 2
    return f"{middle:.{digits}f} ({least:.{digits}f} to {greatest:.{digits}f})"
