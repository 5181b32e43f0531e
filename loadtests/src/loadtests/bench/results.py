"""The table that the bench writes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from loadtests.bench import machine
from loadtests.bench.accounting import Memory
from loadtests.bench.contenders import Contender
from loadtests.bench.measuring import Sample, spread
from loadtests.bench.overload import Overload
from loadtests.bench.targets import verdicts

_MEBI = 2**20


@dataclass(frozen=True, slots=True)
class Measured:
    """Everything that one run of the bench found."""

    contenders: Sequence[Contender]
    one: Mapping[str, Sequence[Sample]]
    sixteen: Mapping[str, Sequence[Sample]]
    at_rest: Mapping[str, Memory]
    """Memory of every group of processes before the first load."""
    loaded: Mapping[str, Memory]
    """And after the last."""
    own_services: Sequence[str]
    overloads: Mapping[str, Overload]


def render(measured: Measured) -> str:
    """Return the whole page."""
    return (
        "\n\n".join(
            [
                _head(),
                _targets(measured),
                *_jobs(measured),
                _shares(measured),
                _memory(measured),
                _overloads(measured),
                _tools(),
            ]
        )
        + "\n"
    )


def at_rest(measured: Measured) -> Memory:
    """Return what our services hold together before the first load."""
    held = [measured.at_rest[name] for name in measured.own_services]
    return Memory(sum(each.rss for each in held), sum(each.pss for each in held))


def _head() -> str:
    today = datetime.now(UTC).date().isoformat()
    return f"""# Side by side

Written by `make bench` on {today} at commit {machine.commit()}. [How it is measured](README.md).

{machine.machine()}. All servers on core 0, h2load on core 1, rounds
interleaved; median (least to greatest) of the rounds. CPU is user plus system time of all server processes, Triton's
model process included. Every answer was verified equal."""


def _targets(measured: Measured) -> str:
    judged = verdicts(measured.one, measured.sixteen, at_rest(measured), measured.overloads)
    rows = [(each.figure, each.target, each.measured, "met" if each.met else "**missed**") for each in judged]
    return "## Targets\n\n" + table(("figure", "target", "measured", ""), rows)


def _jobs(measured: Measured) -> list[str]:
    titles = {"tensor": "One row of 64 numbers", "picture": "One PNG of 280 x 280 to an answer"}
    return [f"## {title}\n\n{_job(measured, job)}" for job, title in titles.items()]


def _job(measured: Measured, job: str) -> str:
    head = (
        "",
        "p50, 1 caller (ms)",
        "p99, 1 caller (ms)",
        "req/s, 16 callers",
        "p99, 16 callers (ms)",
        "CPU per request (us)",
        "RSS (MiB)",
    )
    rows = []
    for each in measured.contenders:
        if each.job == job:
            one, sixteen = measured.one[each.name], measured.sixteen[each.name]
            rss = sum(measured.loaded[name].rss for name in each.servers)
            rows.append(
                (
                    each.name,
                    _spread([sample.p50_ms for sample in one], 2),
                    _spread([sample.p99_ms for sample in one], 2),
                    _spread([sample.requests_per_second for sample in sixteen], 0),
                    _spread([sample.p99_ms for sample in sixteen], 1),
                    _spread([sample.total_cpu_us for sample in sixteen], 0),
                    f"{rss / _MEBI:.0f}",
                )
            )
    return table(head, rows)


def _shares(measured: Measured) -> str:
    rows = []
    for each in measured.contenders:
        samples = measured.sixteen[each.name]
        parts = [f"{name} {spread(sample.cpu_us[name] for sample in samples)[0]:.0f}" for name in each.servers]
        foreign = spread(sample.foreign_share for sample in samples)
        rows.append((each.name, ", ".join(parts), f"{foreign[0]:.2f} (at most {foreign[2]:.2f})"))
    title = "## Where the CPU goes at sixteen callers (us per request), and how quiet the machine was"
    return f"{title}\n\n" + table(("", "by process", "others used, in cores"), rows)


def _memory(measured: Measured) -> str:
    rows = [
        (name, *(f"{value / _MEBI:.0f}" for value in (rest.rss, rest.pss, measured.loaded[name].rss)))
        for name, rest in measured.at_rest.items()
    ]
    return "## Memory (MiB)\n\n" + table(("", "RSS at rest", "PSS at rest", "RSS after the rounds"), rows)


def _overloads(measured: Measured) -> str:
    head = (
        "",
        "saturation (req/s)",
        "offered",
        "accepted",
        "p99 at 70 % (ms)",
        "p99 of accepted (ms)",
        "refused",
        "refused p50 / p99 (ms)",
        "other answers",
    )
    rows = [
        (
            name,
            f"{each.saturation:.0f}",
            f"{each.offered_rate:.0f}",
            f"{each.accepted_rate:.0f}",
            f"{each.calm_p99:.1f}",
            f"{each.accepted_p99:.1f}",
            f"{each.refused_share:.0%}",
            f"{each.refused_p50:.1f} / {each.refused_p99:.1f}",
            str(sum(each.others.values())),
        )
        for name, each in measured.overloads.items()
    ]
    return "## Overload: an open loop at twice saturation\n\n" + table(head, rows)


def _tools() -> str:
    return "## Versions\n\n" + table(("", ""), list(machine.versions().items()))


def _spread(values: Sequence[float], digits: int) -> str:
    middle, least, greatest = spread(values)
    return f"{middle:.{digits}f} ({least:.{digits}f} to {greatest:.{digits}f})"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
