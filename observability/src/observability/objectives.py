"""What loadtests/slo.yaml promises, as budgets per route of the gateway: alerts and load tests read the same file."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from loadtests.slo import BadObjectives, read_thresholds

# Codes of answers that broke, and of those that say that there is none now. Other codes are the caller's doing.
FAULTS = "UNKNOWN|DEADLINE_EXCEEDED|INTERNAL|DATA_LOSS"
UNANSWERED = f"{FAULTS}|UNAVAILABLE"

# Where the gateway counts each kind of request.
ROUTES = {
    "rest.predict": "/v1/models/{model}:predict",
    "grpc.predict": "/fairlead.gateway.v1.PredictionService/Predict",
    "rest.infer_json": "/v2/models/{model}/infer",
    "rest.infer_binary": "/v2/models/{model}/infer",
    "grpc.infer": "/inference.GRPCInferenceService/ModelInfer",
}
_SHARES = {"p50_ms": 0.50, "p95_ms": 0.95, "p99_ms": 0.99}


@dataclass(frozen=True, slots=True)
class Objective:
    """One promise about one route: the share of requests that may miss it, and the seconds if it is about latency."""

    route: str
    figure: str
    budget: float
    seconds: float | None = None


def objectives(slo: Path) -> list[Objective]:
    """Return the promises of the file; kinds of request that share a route must share them too."""
    found: dict[tuple[str, str], Objective] = {}
    for kind, limits in read_thresholds(slo, profile="").items():
        for each in _promised(ROUTES[kind], limits):
            if found.setdefault((each.route, each.figure), each) != each:
                raise BadObjectives(f"{slo.name}: {kind} and another kind of {each.route} differ in {each.figure}.")
    return list(found.values())


def _promised(route: str, limits: Mapping[str, float]) -> Iterator[Objective]:
    for figure, limit in limits.items():
        if figure in _SHARES:
            yield Objective(route, figure.removesuffix("_ms"), round(1 - _SHARES[figure], 6), limit / 1000)
        elif figure == "availability":
            yield Objective(route, figure, round(1 - limit, 6))
        else:
            yield Objective(route, figure, limit)
