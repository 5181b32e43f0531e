"""Interleaved rounds, so that a noisy moment hits all contenders alike."""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from loadtests.bench.accounting import cpu_seconds, finished_children_seconds, machine_busy_seconds
from loadtests.bench.contenders import Contender
from loadtests.bench.generator import Load, closed_loop
from loadtests.bench.servers import Servers

_PROBE_REQUESTS = 200
_QUIET_SHARE = 0.1
_QUIET_PROBE_SECONDS = 0.25
_QUIET_PROBES = 12
_ATTEMPTS = 3
_MICROSECONDS = 1e6


class Unequal(Exception):
    """Not every answer of a timed run was the right one."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One contender in one round."""

    requests_per_second: float
    p50_ms: float
    p99_ms: float
    cpu_us: Mapping[str, float]
    """CPU microseconds per request by group of processes."""
    foreign_share: float
    """Core seconds that others took, anywhere on the machine, per second: the cores may share caches and units."""

    @property
    def total_cpu_us(self) -> float:
        """CPU microseconds per request of all server processes."""
        return sum(self.cpu_us.values())


def rounds(
    contenders: Sequence[Contender],
    servers: Servers,
    sizes: Mapping[str, int],
    *,
    callers: int,
    count: int,
    seconds: float,
) -> dict[str, list[Sample]]:
    """Measure every contender `count` times, in turn; the order is reversed in every other round."""
    requests = {each.name: _requests_for(each, callers, seconds) for each in contenders}
    samples: dict[str, list[Sample]] = {each.name: [] for each in contenders}
    for number in range(count):
        for contender in contenders if number % 2 == 0 else reversed(contenders):
            sample = _quietest(
                contender, servers, sizes[contender.name], callers=callers, requests=requests[contender.name]
            )
            samples[contender.name].append(sample)
            print(_progress(number, contender, sample), flush=True)
    return samples


def percentile(ordered: Sequence[float], share: float) -> float:
    """Return the value that `share` of the ordered values do not exceed."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def spread(values: Iterable[float]) -> tuple[float, float, float]:
    """Return median, least and greatest."""
    ordered = sorted(values)
    return median(ordered), ordered[0], ordered[-1]


def wait_until_quiet() -> None:
    """Wait, within bounds, until nobody else works on this machine."""
    for _ in range(_QUIET_PROBES):
        before = machine_busy_seconds()
        time.sleep(_QUIET_PROBE_SECONDS)
        if machine_busy_seconds() - before <= _QUIET_SHARE * _QUIET_PROBE_SECONDS:
            return


def _requests_for(contender: Contender, callers: int, seconds: float) -> int:
    probe = closed_loop(contender.call, callers=callers, requests=_PROBE_REQUESTS)
    return max(_PROBE_REQUESTS, round(probe.requests_per_second * seconds))


def _quietest(contender: Contender, servers: Servers, size: int, *, callers: int, requests: int) -> Sample:
    """Measure, and again when others disturbed it, at most a few times; the choice knows nothing of the result."""
    best: Sample | None = None
    for _ in range(_ATTEMPTS):
        wait_until_quiet()
        sample = _measured(contender, servers, size, callers=callers, requests=requests)
        if best is None or sample.foreign_share < best.foreign_share:
            best = sample
        if best.foreign_share <= _QUIET_SHARE:
            break
    assert best is not None  # noqa: S101 - at least one attempt
    return best


def _measured(contender: Contender, servers: Servers, size: int, *, callers: int, requests: int) -> Sample:
    pids = {name: servers.pids([name]) for name in contender.servers}
    before = {name: cpu_seconds(group) for name, group in pids.items()}
    busy, generated = machine_busy_seconds(), finished_children_seconds()
    load = closed_loop(contender.call, callers=callers, requests=requests)
    used = {name: cpu_seconds(group) - before[name] for name, group in pids.items()}
    own = sum(used.values()) + finished_children_seconds() - generated
    foreign = machine_busy_seconds() - busy - own
    latencies = load.latencies_ms()
    if len(latencies) != requests or (contender.has_fixed_size and load.data_bytes != size * requests):
        raise Unequal(_what_was_wrong(contender, load, requests, size))
    return Sample(
        requests_per_second=load.requests_per_second,
        p50_ms=percentile(latencies, 0.50),
        p99_ms=percentile(latencies, 0.99),
        cpu_us={name: seconds / requests * _MICROSECONDS for name, seconds in used.items()},
        foreign_share=max(0.0, foreign) / load.seconds,
    )


def _what_was_wrong(contender: Contender, load: Load, requests: int, size: int) -> str:
    return (
        f"{contender.name}: {len(load.latencies_ms())} of {requests} answers were good, "
        f"{load.data_bytes} bytes instead of {size * requests}"
    )


def _progress(number: int, contender: Contender, sample: Sample) -> str:
    return (
        f"  round {number + 1}  {contender.name:<46} {sample.requests_per_second:7.0f} req/s  "
        f"p50 {sample.p50_ms:6.2f} ms  p99 {sample.p99_ms:6.2f} ms  {sample.total_cpu_us:6.0f} us CPU  "
        f"others {sample.foreign_share:4.0%}"
    )
