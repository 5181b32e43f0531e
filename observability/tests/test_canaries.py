"""What canaries are judged by, evaluated by Prometheus' own tool: the recorded rules and the queries that read them."""

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from gateway.callers.scopes import NEEDED, OPEN
from inference.metrics import PINNED
from monitoring.judgement_metrics import JudgementMetrics
from observability.canaries import canary_rules
from prometheus_client import CollectorRegistry

ROOT = Path(__file__).resolve().parents[2]
ARGUMENTS = {"namespace": "prod", "service": "gateway", "stable": "old", "canary": "new", "window": "5m"}

Series = dict[str, str]


def metric_of(template: str, name: str) -> Any:
    path = ROOT / "platform" / "analysis" / f"analysistemplate-{template}.yaml"
    (found,) = [each for each in yaml.safe_load(path.read_text())["spec"]["metrics"] if each["name"] == name]
    return found


def query(template: str, metric: str, **arguments: str) -> str:
    """Return what an analysis asks, its arguments in their places."""
    text: str = metric_of(template, metric)["provider"]["prometheus"]["query"]
    for name, value in {**ARGUMENTS, **arguments}.items():
        text = text.replace(f"{{{{args.{name}}}}}", value)
    return text


def pod(revision: str, service: str = "gateway", *, name: str = "", begun: str = "100x60") -> Series:
    return {f"process_start_time_seconds{labels(revision, service, name)}": begun}


def labels(revision: str, service: str, name: str = "", **more: str) -> str:
    found = {
        "namespace": "prod",
        "service": service,
        "rollouts_pod_template_hash": revision,
        "pod": name or f"{service}-{revision}",
        **more,
    }
    return "{" + ",".join(f'{key}="{value}"' for key, value in found.items()) + "}"


def calls(revision: str, code: str, counted: str, *, route: str = "/v2/models/{model}/infer", name: str = "") -> Series:
    return {f"gateway_requests_total{labels(revision, 'gateway', name, route=route, code=code)}": counted}


@dataclass(frozen=True)
class Case:
    """What was scraped every five seconds for five minutes, what is asked at its end, and the answer: None is none."""

    series: Series
    asked: str
    answer: float | None


def worse(template: str) -> str:
    """Ask whether a canary is judged to be worse, or better, than the limit of a template."""
    _, _, limit = metric_of(template, "failed-calls")["successCondition"].partition(" <= ")
    return f"({query(template, 'failed-calls')}) > bool {limit}"


BOTH = pod("old") | pod("new")
WELL = calls("old", "OK", "0+75x60") | calls("new", "OK", "0+25x60")
# Ten minutes of nothing else, and one of it for both, when the canary had been there for a minute.
BURST = "0x12 0+{0}x12 {1}x36"

CASES = {
    "equal": Case(BOTH | WELL, worse("failures"), 0),
    "equal, as evidence": Case(BOTH | WELL, worse("evidence"), 0),
    "a fifth of the canary's fails": Case(BOTH | WELL | calls("new", "INTERNAL", "0+6x60"), worse("failures"), 1),
    "a fifth of the canary's fails, as evidence": Case(
        BOTH | WELL | calls("new", "INTERNAL", "0+6x60"), worse("evidence"), 1
    ),
    "failures that both met": Case(
        BOTH
        | WELL
        | calls("old", "UNAVAILABLE", BURST.format(75, 900))
        | calls("new", "UNAVAILABLE", BURST.format(25, 300)),
        worse("failures"),
        0,
    ),
    "a canary that came just then": Case(
        pod("old")
        | pod("new", begun="_x48 100x12")
        | calls("old", "OK", "0+75x60")
        | calls("new", "OK", "_x48 0+13x12")
        | calls("old", "UNAVAILABLE", "0x48 0+37x12")
        | calls("new", "UNAVAILABLE", "_x48 0+12x12"),
        worse("failures"),
        0,
    ),
    "nobody calls stable": Case(BOTH | calls("new", "INTERNAL", "0+25x60"), worse("evidence"), None),
    "nobody calls the canary": Case(BOTH | calls("old", "OK", "0+75x60"), worse("evidence"), None),
    "probes that anybody may send": Case(
        BOTH | WELL | calls("new", "INVALID_ARGUMENT", "0+500x60", route="/v2/health/live"), worse("failures"), 0
    ),
    "a pod of stable that went and one that came": Case(
        BOTH
        | pod("old", name="b", begun="100x30 _x30")
        | pod("old", name="c", begun="_x30 100x30")
        | WELL
        | calls("old", "OK", "50000+75x30 _x30", name="b")
        | calls("old", "OK", "_x30 0+75x30", name="c"),
        'avg_over_time(version:calls:rate{rollouts_pod_template_hash="old"}[200s:1s])',
        30,  # a second, whoever answered
    ),
    "what Triton counts apart": Case(
        pod("new", "inference")
        | {f"nv_inference_request_success{labels('new', 'inference')}": "0+20x60"}
        | {f"nv_inference_request_failure{labels('new', 'inference', reason='BACKEND')}": "0+5x60"}
        | {f"nv_inference_request_failure{labels('new', 'inference', reason='CANCELED')}": "0+5x60"},
        "version:failed_calls:rate / version:calls:rate",
        0.2,
    ),
    "crashes": Case(pod("new", begun="1x20 2x10 3x20 4x10") | pod("old"), query("crashes", "crashes"), 3),
    "a node that began again": Case(
        pod("new", begun="1x20 2x40") | pod("old", begun="1x20 2x40"), query("crashes", "crashes"), 0
    ),
    "a service without a model": Case(BOTH | WELL, query("evidence", "labelled-answers"), 1),
    "a service of which nothing is known as yet": Case(
        pod("new", begun="_x60 100"), query("evidence", "labelled-answers"), None
    ),
    "a model without labels": Case(
        pod("new", "inference")
        | {f"inference_model_pinned_info{labels('new', 'inference', digest='sha256:1')}": "1x60"},
        query("evidence", "labelled-answers", service="inference"),
        None,
    ),
}


@pytest.mark.requirement("CANARY-004")
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_what_prometheus_answers_an_analysis(promtool: str, case: Case, tmp_path: Path) -> None:
    wanted = [] if case.answer is None else [{"labels": "{}", "value": case.answer}]
    asked = f"sum({case.asked}) without (namespace, service, rollouts_pod_template_hash)"
    scenario: dict[str, Any] = {
        "rule_files": [str(ROOT / "platform" / "alerts" / "rules.yaml")],
        "evaluation_interval": "5s",
        "tests": [
            {
                "interval": "5s",
                "input_series": [{"series": name, "values": values} for name, values in case.series.items()],
                "promql_expr_test": [{"expr": asked, "eval_time": "5m", "exp_samples": wanted}],
            }
        ],
    }
    path = tmp_path / "scenario.yaml"
    path.write_text(yaml.safe_dump(scenario))
    done = subprocess.run([promtool, "test", "rules", str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.requirement("CANARY-004")
def test_what_anybody_may_ask_for_is_no_work_and_everything_else_is() -> None:
    (rule,) = [each["expr"] for each in canary_rules() if each["record"] == "pod:calls:total"]
    left_out = re.compile(re.findall(r'gateway_requests_total\{route!~"([^"]+)"\}', rule)[0])
    assert {operation for operation in NEEDED if left_out.fullmatch(operation)} == {
        operation for operation, scope in NEEDED.items() if scope is OPEN
    }


@pytest.mark.requirement("CANARY-006")
@pytest.mark.parametrize("template", ["wrong-answers", "disagreement"])
def test_what_a_verdict_is_asked_for_is_what_monitoring_and_inference_publish(template: str) -> None:
    """Prometheus answers a question after a metric or a label that does not exist with nothing: nobody would notice."""
    published = CollectorRegistry()
    verdicts = JudgementMetrics(published)
    labels = {gauge._name: gauge._labelnames for gauge in (verdicts.verdict, verdicts.disagreement, PINNED)}
    text = (ROOT / "platform" / "analysis" / f"analysistemplate-{template}.yaml").read_text()
    asked = re.findall(r"\b(monitoring_\w+|inference_\w+)\{([^}]*(?:\{\{[^}]*\}\}[^}]*)*)\}", text)
    assert len(asked) >= 2
    for name, selector in asked:
        given = set(re.findall(r"(\w+)=", selector)) - {"namespace", "service", "rollouts_pod_template_hash"}
        assert given <= set(labels[name])
    for joined in re.findall(r"on \((\w+)\)", text):
        assert joined in {each for name, _ in asked if name in labels for each in labels[name]}
        assert f'"{joined}", "$1", "digest"' in text
    assert "digest" in labels["inference_model_pinned_info"]
