"""Arms of an experiment and copies for a shadow reach the canary by a header, before the weights."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from delivery.manifests import of_kind
from delivery.rendering import Renderer
from local_stack.settings import ROOT

pytestmark = pytest.mark.xdist_group("manifests")

STEPS = ROOT / "platform" / "components" / "steps-short"


def deploy(service: str) -> Path:
    return ROOT / "services" / service / "deploy"


def rendered(renderer: Renderer, service: str, *components: str) -> Any:
    folders = [deploy(service) / "components" / name for name in components]
    return renderer.composed([deploy(service) / "base"], [STEPS, *folders])


@pytest.mark.requirement("MODELS-006", "MODELS-007")
@pytest.mark.parametrize(
    ("service", "component", "header"),
    [
        ("inference", "experiment", {"x-experiment-arm": {"exact": "treatment"}}),
        ("preprocessing", "experiment", {"x-experiment-arm": {"exact": "treatment"}}),
        ("gateway", "preview", {"x-experiment-arm": {"exact": "treatment"}}),
        ("inference", "shadow", {"x-fairlead-shadow": {"exact": "1"}}),
    ],
)
def test_a_header_leads_to_the_canary_and_all_others_go_by_weight(
    renderer: Renderer, service: str, component: str, header: dict[str, Any]
) -> None:
    (routes,) = [
        each.at("spec", "http")
        for each in of_kind(rendered(renderer, service, component), "VirtualService")
        if each.name == service
    ]
    assert [match["headers"] for match in routes[0]["match"]] == [header]
    assert [row["destination"] for row in routes[0]["route"]] == [{"host": service, "subset": "canary"}]
    assert routes[-1]["delegate"] == {"name": f"{service}-weights"}


@pytest.mark.requirement("MODELS-006")
def test_a_held_canary_runs_without_calls_by_weight_until_it_is_promoted(renderer: Renderer) -> None:
    (rollout,) = of_kind(rendered(renderer, "inference", "hold"), "Rollout")
    (before,) = of_kind(rendered(renderer, "inference"), "Rollout")
    steps = rollout.at("spec", "strategy", "canary", "steps")
    assert steps[:2] == [{"setCanaryScale": {"replicas": 1}}, {"pause": {}}]
    assert steps[3:] == before.at("spec", "strategy", "canary", "steps")


@pytest.mark.requirement("MODELS-007")
def test_a_shadow_is_watched_for_disagreement_besides_and_no_step_waits_for_its_verdict(renderer: Renderer) -> None:
    (rollout,) = of_kind(rendered(renderer, "inference", "hold", "shadow"), "Rollout")
    (before,) = of_kind(rendered(renderer, "inference", "hold"), "Rollout")
    templates, usual = (each.at("spec", "strategy", "canary", "analysis", "templates") for each in (rollout, before))
    assert templates == [*usual, {"templateName": "disagreement"}]
    steps, same = (each.at("spec", "strategy", "canary", "steps") for each in (rollout, before))
    assert steps == same


@pytest.mark.requirement("MODELS-006", "MODELS-007")
def test_the_headers_are_those_that_the_gateway_sends(renderer: Renderer) -> None:
    source = "".join(path.read_text() for path in (ROOT / "services" / "gateway" / "src").rglob("*.py"))
    for component in ("experiment", "shadow"):
        patch = (
            deploy("inference")
            / "components"
            / component
            / f"patch-{'treatment' if component == 'experiment' else component}.yaml"
        ).read_text()
        (header,) = [line.strip().rstrip(":") for line in patch.splitlines() if line.strip().startswith("x-")]
        assert f'"{header}"' in source


@pytest.mark.requirement("MODELS-007")
def test_monitoring_lets_the_gateway_call_whatever_it_calls() -> None:
    """Comparisons were refused by the mesh once, and nobody heard of it: for the gateway monitoring was away."""
    source = "".join(path.read_text() for path in (ROOT / "services" / "gateway" / "src").rglob("*.py"))
    called = set(re.findall(r"_stub\.([A-Z]\w+)\(", source))
    (port,) = [
        each
        for each in yaml.safe_load((ROOT / "services" / "monitoring" / "service.yaml").read_text())["ports"]
        if each["name"] == "grpc"
    ]
    declared = {method.rpartition("/")[2] for method in port["methods"]["gateway"]}
    assert "RecordComparisons" in called
    assert called == declared
