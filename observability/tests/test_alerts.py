"""The rules: of the thresholds that load tests have, evaluated by Prometheus' own tool, each with its runbook."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from gateway.metrics import RequestMetrics
from grpc import StatusCode
from loadtests.slo import BadObjectives, read_thresholds
from observability.objectives import ROUTES, objectives
from observability.queries import metrics_of
from prometheus_client import CollectorRegistry

ROOT = Path(__file__).resolve().parents[2]
SLO = ROOT / "loadtests" / "slo.yaml"
SCENARIOS = Path(__file__).parent / "alerts.yaml"


@pytest.mark.requirement("GRAPHS-003")
def test_every_promise_of_the_load_tests_has_its_budget(rules: list[dict[str, Any]]) -> None:
    budgets = {
        (rule["labels"]["route"], rule["labels"]["figure"]): rule["expr"]
        for rule in rules
        if rule.get("record") == "objective:budget:ratio"
    }
    promised = read_thresholds(SLO, profile="")
    assert {(ROUTES[kind], figure.removesuffix("_ms")) for kind in promised for figure in promised[kind]} == set(
        budgets
    )
    for kind, limits in promised.items():
        assert budgets[ROUTES[kind], "availability"] == f"vector({round(1 - limits['availability'], 6)})"
        assert budgets[ROUTES[kind], "p99"] == "vector(0.01)"


@pytest.mark.requirement("GRAPHS-003")
def test_every_promised_latency_is_counted_and_not_estimated() -> None:
    registry = CollectorRegistry()
    RequestMetrics(registry).observe("/", StatusCode.OK, 1.0)
    bounds = {
        float(sample.labels["le"])
        for family in registry.collect()
        for sample in family.samples
        if sample.name == "gateway_request_seconds_bucket"
    }
    assert {each.seconds for each in objectives(SLO) if each.seconds is not None} - bounds == set()


@pytest.mark.requirement("GRAPHS-003")
def test_kinds_of_one_route_may_not_promise_different_things(tmp_path: Path) -> None:
    """The gateway does not tell them apart, so nothing could be said about either."""
    changed = tmp_path / "slo.yaml"
    changed.write_text(SLO.read_text().replace("rest.infer_binary: *infer", "rest.infer_binary: {p99_ms: 100}"))
    with pytest.raises(BadObjectives, match="differ in p99"):
        objectives(changed)


@pytest.mark.requirement("GRAPHS-004")
def test_every_alert_leads_to_a_runbook_that_names_it(rules: list[dict[str, Any]]) -> None:
    alerts = [rule for rule in rules if "alert" in rule]
    assert alerts
    for alert in alerts:
        runbook = ROOT / alert["annotations"]["runbook"]
        assert runbook.is_file(), alert["alert"]
        assert f"`{alert['alert']}`" in runbook.read_text(), f"{runbook.name} does not know {alert['alert']}"
        assert alert["labels"]["severity"] in {"page", "ticket"}


@pytest.mark.requirement("GRAPHS-002")
def test_every_rule_is_promql(rules: list[dict[str, Any]]) -> None:
    """The oldest Prometheus that runs them may know less: promtool checks it below."""
    assert [
        rule for rule in rules if not metrics_of(rule["expr"]) and not re.fullmatch(r"vector\([\d.]+\)", rule["expr"])
    ] == []


@pytest.mark.requirement("GRAPHS-003")
def test_every_alert_has_a_scenario_in_which_it_fires_and_one_in_which_it_does_not(rules: list[dict[str, Any]]) -> None:
    tests = [
        each for scenario in yaml.safe_load(SCENARIOS.read_text())["tests"] for each in scenario["alert_rule_test"]
    ]
    alerts = {rule["alert"] for rule in rules if "alert" in rule}
    assert {each["alertname"] for each in tests if each.get("exp_alerts")} == alerts
    assert {each["alertname"] for each in tests if not each.get("exp_alerts")} == alerts


@pytest.mark.requirement("GRAPHS-003")
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "command",
    [["check", "rules", "platform/alerts/rules.yaml"], ["test", "rules", str(SCENARIOS)]],
    ids=["check", "test"],
)
def test_promtool_accepts_the_rules_and_the_scenarios_come_out(promtool: str, command: list[str]) -> None:
    done = subprocess.run([promtool, *command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
