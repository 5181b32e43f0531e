"""Arms of an experiment and copies for a shadow reach the canary by a header, before the weights."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from delivery.check import check
from delivery.manifests import of_kind
from delivery.programs import Toolbox
from delivery.rendering import Renderer
from local_stack.settings import ROOT

pytestmark = pytest.mark.xdist_group("manifests")

SHARED = ROOT / "platform" / "components"
STEPS = SHARED / "steps-short"


def deploy(service: str) -> Path:
    return ROOT / "services" / service / "deploy"


def component(service: str, name: str) -> Path:
    own = deploy(service) / "components" / name
    return own if own.exists() else SHARED / name


def rendered(renderer: Renderer, service: str, *components: str) -> Any:
    folders = [component(service, name) for name in components]
    return renderer.composed([deploy(service) / "base"], [STEPS, *folders])


def routes_of(objects: Any, name: str) -> Any:
    return next(each.at("spec", "http") for each in of_kind(objects, "VirtualService") if each.name == name)


def canary_of(objects: Any) -> Any:
    (rollout,) = of_kind(objects, "Rollout")
    return rollout.at("spec", "strategy", "canary")


@pytest.mark.requirement("MODELS-006", "MODELS-007")
@pytest.mark.parametrize(
    ("service", "name", "header"),
    [
        ("gateway", "preview", {"x-experiment-arm": {"exact": "treatment"}}),
        ("inference", "shadow", {"x-fairlead-shadow": {"exact": "1"}}),
    ],
)
def test_a_header_leads_to_the_canary_and_all_others_go_by_weight(
    renderer: Renderer, service: str, name: str, header: dict[str, Any]
) -> None:
    routes = routes_of(rendered(renderer, service, name), service)
    assert [match["headers"] for match in routes[0]["match"]] == [header]
    assert [row["destination"] for row in routes[0]["route"]] == [{"host": service, "subset": "canary"}]
    assert routes[-1]["delegate"] == {"name": f"{service}-weights"}


@pytest.mark.requirement("MODELS-006")
@pytest.mark.parametrize("service", ["inference", "preprocessing"])
def test_an_arm_is_led_to_a_canary_that_has_a_pod_and_waits_for_a_person(renderer: Renderer, service: str) -> None:
    objects = rendered(renderer, service, "experiment")
    assert [each["name"] for each in routes_of(objects, service)] == ["default"]
    small, route, hold, full_size, *others = canary_of(objects)["steps"]
    assert (small, hold) == ({"setCanaryScale": {"replicas": 1}}, {"pause": {}})
    match = {"headerName": "x-experiment-arm", "headerValue": {"exact": "treatment"}}
    assert route == {"setHeaderRoute": {"name": "treatment", "match": [match]}}
    assert full_size == {"setCanaryScale": {"weight": 100}}
    assert others == canary_of(rendered(renderer, service))["steps"]


@pytest.mark.requirement("MODELS-006")
@pytest.mark.parametrize("service", ["inference", "preprocessing"])
def test_the_route_of_an_experiment_that_ended_is_still_argo_rollouts_to_take_away(
    renderer: Renderer, service: str
) -> None:
    """It reads the list of the Rollout as it is then, and Argo CD leaves what it wrote alone."""
    assert canary_of(rendered(renderer, service))["trafficRouting"]["managedRoutes"] == [{"name": "treatment"}]


@pytest.mark.requirement("MODELS-007")
def test_a_held_canary_runs_without_calls_by_weight_until_it_is_promoted(renderer: Renderer) -> None:
    small, hold, full_size, *others = canary_of(rendered(renderer, "inference", "hold"))["steps"]
    assert (small, hold) == ({"setCanaryScale": {"replicas": 1}}, {"pause": {}})
    assert full_size == {"setCanaryScale": {"weight": 100}}
    assert others == canary_of(rendered(renderer, "inference"))["steps"]


@pytest.mark.requirement("MODELS-006", "MODELS-007")
def test_a_shadow_beside_an_experiment_is_the_treatment(renderer: Renderer) -> None:
    both = rendered(renderer, "inference", "experiment", "shadow")
    assert [each["name"] for each in routes_of(both, "inference")] == ["shadow", "default"]
    assert canary_of(both)["steps"] == canary_of(rendered(renderer, "inference", "experiment"))["steps"]


@pytest.mark.requirement("MODELS-007")
def test_a_shadow_is_watched_for_disagreement_besides_and_no_step_waits_for_its_verdict(renderer: Renderer) -> None:
    (rollout,) = of_kind(rendered(renderer, "inference", "hold", "shadow"), "Rollout")
    (before,) = of_kind(rendered(renderer, "inference", "hold"), "Rollout")
    templates, usual = (each.at("spec", "strategy", "canary", "analysis", "templates") for each in (rollout, before))
    assert templates == [*usual, {"templateName": "disagreement"}]
    steps, same = (each.at("spec", "strategy", "canary", "steps") for each in (rollout, before))
    assert steps == same


@pytest.mark.requirement("MODELS-006", "MODELS-007")
@pytest.mark.parametrize("names", [("experiment", "shadow"), ("shadow", "experiment"), ("hold", "shadow")])
def test_an_environment_with_a_treatment_or_a_shadow_obeys_every_rule(
    checkout: Path, toolbox: Toolbox, names: tuple[str, str]
) -> None:
    app = checkout / "clusters" / "local" / "apps" / "inference" / "kustomization.yaml"
    folders = (component("inference", name).relative_to(ROOT) for name in names)
    components = "".join(f"  - ../../../../{folder}\n" for folder in folders)
    app.write_text(app.read_text().replace("  - ../../env\n", f"  - ../../env\n{components}"))
    assert check(checkout, toolbox) == []


@pytest.mark.requirement("MODELS-006", "MODELS-007")
def test_the_headers_are_those_that_the_gateway_sends(renderer: Renderer) -> None:
    source = "".join(path.read_text() for path in (ROOT / "services" / "gateway" / "src").rglob("*.py"))
    objects = rendered(renderer, "inference", "experiment", "shadow")
    (asked,) = canary_of(objects)["steps"][1]["setHeaderRoute"]["match"]
    (copied,) = routes_of(objects, "inference")[0]["match"]
    for header in (asked["headerName"], *copied["headers"]):
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
