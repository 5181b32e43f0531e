"""What happens at twice the load that the gateway can bear."""

from collections.abc import Mapping
from dataclasses import dataclass

from loadtests.bench.contenders import Contender
from loadtests.bench.generator import Load, closed_loop, open_loop
from loadtests.bench.measuring import percentile, wait_until_quiet

_SATURATING_CALLERS = 32
_CALM_SHARE = 0.7
_OVERLOAD_SHARE = 2.0
_CALM_CALLERS = 64
# More than the gateway works on and queues: some callers are always free to ask, whatever it holds back.
_OVERLOAD_CALLERS = 256
_OK, _REFUSED = 200, 503


@dataclass(frozen=True, slots=True)
class Overload:
    """Latencies in milliseconds below saturation and at twice saturation."""

    saturation: float
    calm_rate: float
    calm_p99: float
    offered_rate: float
    accepted_rate: float
    accepted_p99: float
    refused_p50: float
    refused_p99: float
    refused_share: float
    others: Mapping[int, int]
    """Answers that were neither, by status; -1 is none at all."""

    @property
    def ratio(self) -> float:
        """How much the slowest accepted calls suffer."""
        return self.accepted_p99 / self.calm_p99


def overload(contender: Contender, *, seconds: float) -> Overload:
    """Find saturation, then offer 70 % and 200 % of it in an open loop."""
    probe = closed_loop(contender.call, callers=_SATURATING_CALLERS, requests=400)
    requests = round(probe.requests_per_second * seconds)
    wait_until_quiet()
    saturation = closed_loop(contender.call, callers=_SATURATING_CALLERS, requests=requests).requests_per_second
    wait_until_quiet()
    calm = open_loop(contender.call, callers=_CALM_CALLERS, rate=saturation * _CALM_SHARE, seconds=seconds)
    wait_until_quiet()
    stressed = open_loop(contender.call, callers=_OVERLOAD_CALLERS, rate=saturation * _OVERLOAD_SHARE, seconds=seconds)
    return judged(saturation, calm, stressed)


def judged(saturation: float, calm: Load, stressed: Load) -> Overload:
    """Compare the two loads."""
    accepted, refused = stressed.latencies_ms(_OK), stressed.latencies_ms(_REFUSED) or [0.0]
    statuses = [each.status for each in (*calm.outcomes, *stressed.outcomes)]
    return Overload(
        saturation=saturation,
        calm_rate=calm.requests_per_second,
        calm_p99=percentile(calm.latencies_ms(_OK), 0.99),
        offered_rate=stressed.requests_per_second,
        accepted_rate=len(accepted) / stressed.seconds,
        accepted_p99=percentile(accepted, 0.99),
        refused_p50=percentile(refused, 0.50),
        refused_p99=percentile(refused, 0.99),
        refused_share=1 - len(accepted) / len(stressed.outcomes),
        others={status: statuses.count(status) for status in set(statuses) - {_OK, _REFUSED}},
    )
