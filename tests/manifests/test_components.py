"""Each component does what its README says, on whatever it is for."""

from pathlib import Path

import pytest
import yaml
from delivery.check import check
from delivery.manifests import SERVERS, WORKLOADS, Manifest, dig, of_kind
from delivery.programs import Toolbox
from delivery.rendering import Renderer
from delivery.rules.mesh import sidecar_resources
from local_stack.settings import ROOT

pytestmark = pytest.mark.xdist_group("manifests")

PLATFORM = ROOT / "platform" / "components"
INFERENCE = ROOT / "services" / "inference" / "deploy"
GATEWAY = ROOT / "services" / "gateway" / "deploy"
BASES = sorted(ROOT.glob("services/*/deploy/base"))
COMPONENTS = sorted([*PLATFORM.iterdir(), *ROOT.glob("services/*/deploy/components/*")])


@pytest.mark.parametrize("component", COMPONENTS, ids=lambda path: path.name)
def test_a_component_says_what_it_does_and_names_a_mistake_that_is_refused(component: Path) -> None:
    readme = (component / "README.md").read_text()
    assert readme.startswith(f"# {component.name}\n")
    assert "Must fail: [" in readme


def everything(renderer: Renderer, name: str) -> list[Manifest]:
    return renderer.composed(BASES, [PLATFORM / name])


@pytest.mark.requirement("MANIFESTS-010")
def test_our_patches_of_argo_cd_fit_the_manifests_that_upstream_ships(renderer: Renderer, toolbox: Toolbox) -> None:
    upstream = toolbox.module("github.com/argoproj/argo-cd/v3@v3.5.3") / "manifests" / "cluster-install"
    objects = renderer.composed([upstream], [ROOT / "platform" / "addons" / "argocd"])
    (settings,) = [each for each in of_kind(objects, "ConfigMap") if each.name == "argocd-cm"]
    customized = {name.rpartition("_")[2] for name in settings.at("data") if ".health." in name}
    ours = {"Application", "ApplicationSet", "CustomResourceDefinition", "HorizontalPodAutoscaler", "Rollout"}
    assert customized == ours


@pytest.mark.requirement("MANIFESTS-010")
def test_argo_cds_programs_read_every_parameter_that_we_set(renderer: Renderer, toolbox: Toolbox) -> None:
    upstream = toolbox.module("github.com/argoproj/argo-cd/v3@v3.5.3") / "manifests" / "cluster-install"
    objects = renderer.composed([upstream], [ROOT / "platform" / "addons" / "argocd"])
    (parameters,) = [each for each in of_kind(objects, "ConfigMap") if each.name == "argocd-cmd-params-cm"]
    variables = [variable for each in objects for container in each.containers for variable in container.get("env", [])]
    read = {dig(variable, "valueFrom", "configMapKeyRef", "key") for variable in variables}
    assert parameters.at("data")
    assert set(parameters.at("data")) <= read


@pytest.mark.requirement("MANIFESTS-007")
def test_single_replica_runs_one_of_each_without_autoscalers(renderer: Renderer) -> None:
    objects = everything(renderer, "single-replica")
    assert list(of_kind(objects, "HorizontalPodAutoscaler")) == []
    assert [each.at("spec", "replicas") for each in of_kind(objects, "Rollout", "StatefulSet")] == [1, 1, 1, 1]


@pytest.mark.requirement("MANIFESTS-007")
def test_ha_keeps_three_of_each_on_different_nodes(renderer: Renderer) -> None:
    objects = everything(renderer, "ha")
    assert {each.at("spec", "minReplicas") for each in of_kind(objects, "HorizontalPodAutoscaler")} == {3}
    spread = [each.pod["topologySpreadConstraints"][0] for each in of_kind(objects, "Deployment")]
    assert {(row["topologyKey"], row["whenUnsatisfiable"]) for row in spread} == {
        ("kubernetes.io/hostname", "DoNotSchedule")
    }


@pytest.mark.requirement("MANIFESTS-007")
def test_small_asks_for_little_and_keeps_the_limits(renderer: Renderer) -> None:
    before = {each.name: each for each in of_kind(renderer.composed(BASES, []), *SERVERS)}
    for workload in of_kind(everything(renderer, "small"), *SERVERS):
        resources = workload.containers[0]["resources"]
        assert (resources["requests"]["cpu"], resources["requests"]["memory"]) == ("60m", "128Mi")
        assert resources["limits"] == before[workload.name].containers[0]["resources"]["limits"]


@pytest.mark.requirement("MANIFESTS-007")
def test_registry_puts_the_facts_registry_before_every_image(renderer: Renderer) -> None:
    facts = ROOT / "clusters" / "local" / "facts"
    objects = renderer.composed([*BASES, facts], [GATEWAY / "components" / "smoke", PLATFORM / "registry"])
    images = {container["image"] for each in objects for container in each.containers}
    names = ("gateway", "preprocessing", "inference", "monitoring")
    assert images == {f"10.245.0.2:5000/fairlead/{name}" for name in names}


@pytest.mark.requirement("MANIFESTS-007")
def test_mesh_names_callees_in_the_facts_namespace_and_bounds_every_sidecar(renderer: Renderer) -> None:
    facts = ROOT / "clusters" / "local" / "facts"
    objects = renderer.composed([*BASES, facts], [GATEWAY / "components" / "smoke", PLATFORM / "mesh"])
    hosts = [row["hosts"] for each in of_kind(objects, "Sidecar") for row in each.at("spec", "egress")]
    callees = ("inference", "monitoring", "preprocessing")
    assert sorted(hosts, key=len) == [
        ["./gateway.fairlead-local.svc.cluster.local"],
        [f"./{each}.fairlead-local.svc.cluster.local" for each in callees],
    ]
    bounded = [sidecar_resources(each)["limits"] for each in of_kind(objects, *WORKLOADS)]
    assert bounded == [{"cpu": "1", "memory": "256Mi"}] * 5


@pytest.mark.requirement("MANIFESTS-008")
@pytest.mark.parametrize(
    ("component", "resource"), [("gpu-nvidia", "nvidia.com/gpu"), ("gpu-mig", "nvidia.com/mig-1g.10gb")]
)
def test_a_gpu_component_asks_for_its_gpu_and_runs_the_gpu_image(
    renderer: Renderer, component: str, resource: str
) -> None:
    objects = renderer.composed([INFERENCE / "base"], [INFERENCE / "components" / component])
    (workload,) = of_kind(objects, "Deployment")
    (container,) = workload.containers
    asked = {name: value for name, value in container["resources"]["limits"].items() if "nvidia.com" in name}
    assert asked == {resource: "1"}
    assert container["image"] == "fairlead/inference-gpu"
    (settings,) = of_kind(objects, "ConfigMap")
    assert (settings.at("data", "INFERENCE_BACKEND"), settings.at("data", "INFERENCE_GPU")) == ("onnxruntime", "true")


@pytest.mark.requirement("MANIFESTS-008")
def test_node_port_opens_the_door_on_every_node_and_its_health_on_none(renderer: Renderer) -> None:
    objects = renderer.composed([GATEWAY / "base"], [GATEWAY / "components" / each for each in ("edge", "node-port")])
    (options,) = [each for each in of_kind(objects, "ConfigMap") if each.name == "edge"]
    ports = yaml.safe_load(options.at("data", "service"))["spec"]["ports"]
    assert ports == [{"port": 15021, "$patch": "delete"}, {"port": 443, "nodePort": 30443}]
    (service,) = of_kind(objects, "Service")
    assert service.at("spec", "type") == "ClusterIP"


@pytest.mark.requirement("CANARY-002")
@pytest.mark.parametrize(
    ("component", "weights"), [("steps-short", [25, 60, 100]), ("steps-gradual", [10, 25, 50, 100])]
)
def test_steps_give_every_rollout_the_same_weights(renderer: Renderer, component: str, weights: list[int]) -> None:
    rollouts = list(of_kind(everything(renderer, component), "Rollout"))
    assert sorted(each.name for each in rollouts) == ["gateway", "inference", "preprocessing"]
    for each in rollouts:
        steps = each.at("spec", "strategy", "canary", "steps")
        assert [step["setWeight"] for step in steps if "setWeight" in step] == weights
        asked = [row["templateName"] for step in steps if "analysis" in step for row in step["analysis"]["templates"]]
        assert set(asked) == {"evidence", "slo"}


@pytest.mark.requirement("CANARY-002")
def test_blue_green_gives_no_calls_before_there_is_evidence_from_calls_that_ask_for_it_and_then_all(
    renderer: Renderer,
) -> None:
    for each in of_kind(everything(renderer, "blue-green"), "Rollout"):
        full_size, *led, judged, switch, _ = each.at("spec", "strategy", "canary", "steps")
        assert (full_size, switch) == ({"setCanaryScale": {"weight": 100}}, {"setWeight": 100})
        assert [step["setHeaderRoute"]["name"] for step in led] == ([] if each.name == "gateway" else ["treatment"])
        assert {row["templateName"] for row in judged["analysis"]["templates"]} == {"evidence", "slo"}
        assert {"name": "arm", "value": "treatment"} in judged["analysis"]["args"]


@pytest.mark.requirement("CANARY-002")
def test_an_environment_by_blue_green_obeys_every_rule(checkout: Path, toolbox: Toolbox) -> None:
    local = checkout / "clusters" / "local"
    steps = local / "env" / "kustomization.yaml"
    steps.write_text(steps.read_text().replace("components/steps-short", "components/blue-green"))
    app = local / "apps" / "gateway" / "kustomization.yaml"
    preview = "  - ../../../../services/gateway/deploy/components/preview\n"
    app.write_text(app.read_text().replace("  - release\n", f"{preview}  - release\n"))
    assert check(checkout, toolbox) == []


@pytest.mark.requirement("CANARY-002")
def test_a_gpu_budget_gives_stables_pods_back_as_weight_moves(renderer: Renderer) -> None:
    budget = INFERENCE / "components" / "gpu-budget"
    (rollout,) = of_kind(renderer.composed([INFERENCE / "base"], [PLATFORM / "steps-short", budget]), "Rollout")
    canary = rollout.at("spec", "strategy", "canary")
    assert canary["dynamicStableScale"] is True
    assert "scaleDownDelaySeconds" not in canary
    assert canary["steps"][0] == {"setCanaryScale": {"matchTrafficWeight": True}}


@pytest.mark.requirement("MANIFESTS-008")
def test_smoke_asks_one_picture_after_every_sync(renderer: Renderer) -> None:
    objects = renderer.composed([GATEWAY / "base"], [GATEWAY / "components" / "smoke"])
    (job,) = of_kind(objects, "Job")
    assert job.annotations["argocd.argoproj.io/hook"] == "PostSync"
    (script,) = [each for each in of_kind(objects, "ConfigMap") if "smoke" in each.name]
    assert script.name in [dig(volume, "configMap", "name") for volume in job.pod["volumes"]]
