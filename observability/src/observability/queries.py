"""What dashboards and rules ask Prometheus for, and what a /metrics has to offer."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import promql_parser

# What Grafana puts in place of its variables; those inside of quotes are text to PromQL.
_VARIABLES = {"$__rate_interval": "5m", "$__range": "1h"}


def panels(dashboard: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the panels of a dashboard that draw something."""
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def expressions(dashboard: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield each query with the title of its panel, as Prometheus would get it."""
    for panel in panels(dashboard):
        for target in panel["targets"]:
            expression = target["expr"]
            for variable, value in _VARIABLES.items():
                expression = expression.replace(variable, value)
            yield panel["title"], expression


def metrics_of(expression: str) -> set[str]:
    """Return the names of the metrics that a query reads, without those that are patterns; raises ValueError."""
    found: set[str] = set()

    def visit(node: object) -> None:
        if isinstance(node, promql_parser.VectorSelector) and node.name:
            found.add(node.name)

    promql_parser.walk(promql_parser.parse(expression), visit)
    return found


def exported(text: str) -> dict[str, set[str]]:
    """Return the series of a /metrics by name, with every value of the label route."""
    found: dict[str, set[str]] = {}
    for line in text.splitlines():
        series = re.match(r"([a-zA-Z_:][\w:]*)(\{.*\})? ", line)
        if series:
            found.setdefault(series[1], set()).update(re.findall(r'\broute="([^"]*)"', series[2] or ""))
    return found
