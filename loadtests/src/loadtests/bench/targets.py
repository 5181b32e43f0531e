"""The project's targets, each with what was measured."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from loadtests.bench.accounting import Memory
from loadtests.bench.measuring import Sample
from loadtests.bench.overload import Overload

TRITON = "Triton direct, gRPC raw"
GATEWAY = "Fairlead, OIP gRPC raw"
NATIVE = "Fairlead, native REST"
PLAIN = "FastAPI + Triton, REST"

# How KServe ran when the targets were set, and how an expert runs it.
_KSERVE = ("as it starts", "tuned")
_ADDED_MS = 0.6
_CPU_RATIO = 0.7
_MEGABYTES = 350
_OVERLOAD_RATIO = 3.0

Samples = Mapping[str, Sequence[Sample]]


@dataclass(frozen=True, slots=True)
class Verdict:
    """One target."""

    figure: str
    target: str
    measured: str
    met: bool


def verdicts(one: Samples, sixteen: Samples, at_rest: Memory, overloads: Mapping[str, Overload]) -> list[Verdict]:
    """Judge every target of the side-by-side measurements, each protocol against its like."""
    return [
        _added_latency(one),
        *(verdict for how in _KSERVE for verdict in _against_kserve(sixteen, how)),
        _rate("picture by REST, req/s against plain FastAPI + Triton", sixteen, NATIVE, PLAIN, 1.0),
        Verdict(
            "RSS of our Python services at rest, without Triton",
            f"<= {_MEGABYTES} MB",
            f"{at_rest.rss / 1e6:.0f} MB (PSS {at_rest.pss / 1e6:.0f} MB)",
            at_rest.rss <= _MEGABYTES * 1e6,
        ),
        *(_overload(name, each) for name, each in overloads.items()),
    ]


def _against_kserve(samples: Samples, how: str) -> list[Verdict]:
    predictor, transformer = f"KServe predictor {how}", f"KServe transformer + Triton {how}"
    verdicts = [_rate(f"OIP gRPC raw, req/s against {predictor}", samples, GATEWAY, f"{predictor}, gRPC raw", 1.2)]
    for protocol in ("REST", "gRPC"):
        ours, theirs = f"Fairlead, native {protocol}", f"{transformer}, {protocol}"
        verdicts += [
            _rate(f"picture by {protocol}, req/s against {transformer}", samples, ours, theirs, 1.5),
            _cpu(f"picture by {protocol}, CPU against {transformer}", samples, ours, theirs),
        ]
    return verdicts


def ratios(one: Sequence[float], other: Sequence[float]) -> tuple[float, float, float]:
    """Return median, least and greatest of the ratios, round by round: both halves of a pair met the same noise."""
    paired = sorted(mine / theirs for mine, theirs in zip(one, other, strict=True))
    return median(paired), paired[0], paired[-1]


def _added_latency(samples: Samples) -> Verdict:
    pairs = zip(samples[GATEWAY], samples[TRITON], strict=True)
    added = sorted(ours.p50_ms - direct.p50_ms for ours, direct in pairs)
    measured = median(added)
    text = f"{measured:.2f} ms ({added[0]:.2f} to {added[-1]:.2f})"
    return Verdict("gateway adds on OIP gRPC raw, one caller, p50", f"<= {_ADDED_MS} ms", text, measured <= _ADDED_MS)


def _rate(figure: str, samples: Samples, ours: str, theirs: str, limit: float) -> Verdict:
    rates = [[each.requests_per_second for each in samples[name]] for name in (ours, theirs)]
    middle, least, greatest = ratios(rates[0], rates[1])
    return Verdict(figure, f">= {limit}x", f"{middle:.2f}x ({least:.2f} to {greatest:.2f})", middle >= limit)


def _cpu(figure: str, samples: Samples, ours: str, theirs: str) -> Verdict:
    costs = [[each.total_cpu_us for each in samples[name]] for name in (ours, theirs)]
    middle, least, greatest = ratios(costs[0], costs[1])
    return Verdict(figure, f"<= {_CPU_RATIO}x", f"{middle:.2f}x ({least:.2f} to {greatest:.2f})", middle <= _CPU_RATIO)


def _overload(name: str, measured: Overload) -> Verdict:
    text = (
        f"{measured.ratio:.1f}x ({measured.accepted_p99:.0f} ms against {measured.calm_p99:.0f} ms); "
        f"{measured.refused_share:.0%} refused, p99 {measured.refused_p99:.0f} ms"
    )
    met = measured.ratio <= _OVERLOAD_RATIO and not measured.others
    return Verdict(
        f"{name} at twice saturation: p99 of accepted calls against p99 at 70 %",
        f"<= {_OVERLOAD_RATIO:g}x, the rest 503",
        text,
        met,
    )
