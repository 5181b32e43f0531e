"""The rules that Prometheus evaluates: how fast the budgets of loadtests/slo.yaml burn, and the alerts."""

from collections.abc import Iterator
from typing import Any

from observability.alerts import ALERTS
from observability.canaries import canary_rules
from observability.objectives import FAULTS, UNANSWERED, Objective

# Those of the pairs in alerts.py.
WINDOWS = ("5m", "30m", "1h", "6h", "3d")


def rules(promises: list[Objective]) -> dict[str, Any]:
    """Return the content of the rules file."""
    groups = {
        "fairlead-objectives": [*_budgets(promises), *_burn_rates(promises)],
        "fairlead-model-quality": list(_class_shift()),
        "fairlead-alerts": [each.rule for each in ALERTS],
    }
    # Long windows move slowly, and every evaluation reads all of them.
    slow = [{"name": name, "interval": "1m", "rules": found} for name, found in groups.items()]
    return {"groups": [{"name": "fairlead-canaries", "rules": list(canary_rules())}, *slow]}


def _budgets(promises: list[Objective]) -> Iterator[dict[str, Any]]:
    for each in promises:
        yield {
            "record": "objective:budget:ratio",
            "expr": f"vector({each.budget})",
            "labels": {"service": "gateway", "figure": each.figure, "route": each.route},
        }


def _burn_rates(promises: list[Objective]) -> Iterator[dict[str, Any]]:
    for window in WINDOWS:
        for figure in dict.fromkeys(each.figure for each in promises):
            of_figure = [each for each in promises if each.figure == figure]
            yield _burn_rate(window, "gateway", figure, _missed_at_the_gateway(of_figure, window))
        # Other services have no callers but ours: what they fail, the strictest promise of the gateway pays for.
        strictest = min(each.budget for each in promises if each.figure == "availability")
        for service, missed in _missed_behind(window).items():
            yield _burn_rate(window, service, "availability", f"({missed}) / {strictest}")


def _burn_rate(window: str, service: str, figure: str, expression: str) -> dict[str, Any]:
    return {
        "record": f"objective:budget_burn:rate{window}",
        "expr": expression,
        "labels": {"service": service, "figure": figure},
    }


def _missed_at_the_gateway(promises: list[Objective], window: str) -> str:
    figure = promises[0].figure
    budget = f'on (route) group_left () objective:budget:ratio{{figure="{figure}"}}'
    if promises[0].seconds is None:
        codes = UNANSWERED if figure == "availability" else FAULTS
        routes = _any_of(each.route for each in promises)
        missed = _rate(f'gateway_requests_total{{route=~"{routes}",code=~"{codes}"}}', window)
        return f"{missed} / {_rate('gateway_requests_total', window)} / {budget}"
    quick = " or ".join(
        f'rate(gateway_request_seconds_bucket{{route=~"{routes}",le="{seconds}"}}[{window}])'
        for seconds, routes in _by_seconds(promises).items()
    )
    return f"(1 - sum by (namespace, route) ({quick}) / {_rate('gateway_request_seconds_count', window)}) / {budget}"


def _by_seconds(promises: list[Objective]) -> dict[float, str]:
    bounds = dict.fromkeys(each.seconds for each in promises if each.seconds is not None)
    return {bound: _any_of(each.route for each in promises if each.seconds == bound) for bound in bounds}


def _any_of(routes: Iterator[str]) -> str:
    """Return routes as a pattern inside a quoted matcher; braces are the only characters in them that it would read."""
    return "|".join(route.replace("{", "[{]").replace("}", "[}]").replace(".", "[.]") for route in routes)


def _rate(selector: str, window: str) -> str:
    return f"sum by (namespace, route) (rate({selector}[{window}]))"


def _missed_behind(window: str) -> dict[str, str]:
    def share(calls: str) -> str:
        failed = f'sum by (namespace) (rate({calls}{{code=~"{UNANSWERED}"}}[{window}]))'
        return f"{failed} / sum by (namespace) (rate({calls}[{window}]))"

    failed = f'sum by (namespace) (rate(nv_inference_request_failure{{reason!="CANCELED"}}[{window}]))'
    succeeded = f"sum by (namespace) (rate(nv_inference_request_success[{window}]))"
    return {
        "preprocessing": share("preprocessing_call_seconds_count"),
        "monitoring": share("monitoring_call_seconds_count"),
        "inference": f"{failed} / ({failed} + {succeeded})",
    }


def _class_shift() -> Iterator[dict[str, Any]]:
    """Record how far apart the answers of an hour and of the day before it are, as total variation distance."""
    for name, over in (("1h", "[1h]"), ("1d", "[1d] offset 1h")):
        answered = f"monitoring_predictions_recorded_total{over}"
        yield {
            "record": f"model_label:predictions:share{name}",
            "expr": f"sum by (namespace, model, label) (rate({answered}))"
            f" / on (namespace, model) group_left () sum by (namespace, model) (rate({answered}))",
        }
    hour, day = "model_label:predictions:share1h", "model_label:predictions:share1d"
    yield {
        "record": "model:class_shift:ratio1h",
        # A class that only one of the two knows counts in full; a model without a day before has not shifted.
        "expr": f"sum by (namespace, model) (abs(({hour} or 0 * {day}) - ({day} or 0 * {hour}))) / 2"
        f" and on (namespace, model) {day}",
    }
