"""What the environments render to, what they have in common and where they differ."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from delivery.check import check
from delivery.declarations import Declaration
from delivery.environments import Environment
from delivery.manifests import of_kind
from delivery.programs import Toolbox
from delivery.rendering import Renderer
from delivery.rules.effective import effective_settings
from local_stack.settings import ROOT

pytestmark = pytest.mark.xdist_group("manifests")

NAMES = ("local", "dev", "staging", "prod")
DIGEST = "sha256:" + "5" * 64


@pytest.mark.requirement("MANIFESTS-001")
def test_every_environment_renders_is_valid_and_obeys_every_rule(toolbox: Toolbox) -> None:
    assert check(ROOT, toolbox) == []


def test_there_are_the_environments_that_the_design_names(environments: Mapping[str, Environment]) -> None:
    assert sorted(environments) == sorted(NAMES)


def settings(environments: Mapping[str, Environment], service: str, field: str) -> list[Any]:
    return [getattr(effective_settings(environments[name].apps[service]), field) for name in NAMES]


@pytest.mark.requirement("MANIFESTS-003")
def test_environments_differ_where_they_should(environments: Mapping[str, Environment]) -> None:
    assert settings(environments, "gateway", "log_level") == ["debug", "debug", "info", "info"]
    assert settings(environments, "gateway", "reflection") == [True, True, True, False]
    assert settings(environments, "monitoring", "keep_days") == [2, 7, 14, 90]
    assert [smallest(environments[name], "gateway") for name in NAMES] == [1, 1, 2, 3]
    quotas = [next(of_kind(environments[name].namespaces, "ResourceQuota")).at("spec", "hard") for name in NAMES]
    assert len({str(quota) for quota in quotas}) == len(NAMES)


def smallest(environment: Environment, service: str) -> int:
    objects = environment.apps[service].objects
    scalers = [each.at("spec", "minReplicas") for each in of_kind(objects, "HorizontalPodAutoscaler")]
    return int((scalers or [each.at("spec", "replicas") for each in of_kind(objects, "Rollout")])[0])


@pytest.mark.requirement("MANIFESTS-004")
@pytest.mark.parametrize("service", ["gateway", "inference"])
def test_a_release_file_means_the_same_in_the_next_environment(
    checkout: Path, renderer: Renderer, service: str
) -> None:
    """Promotion is a copy, byte for byte: no registry, namespace or setting of an environment is in it."""
    release = Path("apps") / service / "release" / "kustomization.yaml"
    source, target = checkout / "clusters" / "dev", checkout / "clusters" / "prod"
    released = (source / release).read_text().replace("newTag: unreleased", f"digest: {DIGEST}")
    (source / release).write_text(released)
    shutil.copy(source / release, target / release)
    for folder in (source, target):
        (workload,) = of_kind(renderer.objects(folder / "apps" / service), "Deployment")
        assert workload.containers[0]["image"] == f"registry.example.com/fairlead/{service}@{DIGEST}"


@pytest.mark.requirement("MANIFESTS-005")
def test_a_fork_changes_repository_and_registry_in_one_place(checkout: Path, renderer: Renderer) -> None:
    origin = checkout / "platform" / "origin" / "patch-origin.yaml"
    content = yaml.safe_load(origin.read_text())
    content["data"] |= {"repository": "https://fork.example.com/mine.git", "registry": "fork.example.com/mine"}
    origin.write_text(yaml.safe_dump(content))
    for name in ("dev", "staging", "prod"):
        cluster = checkout / "clusters" / name
        told = renderer.text(cluster / "argocd") + renderer.text(cluster / "root")
        assert "https://fork.example.com/mine.git" in told
        assert "git.example.com" not in told
        images = [
            container["image"]
            for service in ("gateway", "inference")
            for workload in renderer.objects(cluster / "apps" / service)
            for container in workload.containers
        ]
        expected = ("gateway", "gateway", "inference", "slo")
        assert sorted(images) == [f"fork.example.com/mine/{image}:unreleased" for image in expected]


@pytest.mark.requirement("MANIFESTS-006")
def test_a_changed_setting_is_a_new_configmap_and_so_a_rollout(checkout: Path, renderer: Renderer) -> None:
    app = checkout / "clusters" / "local" / "apps" / "preprocessing"
    before = {each.name for each in of_kind(renderer.objects(app), "ConfigMap")}
    overlay = app / "kustomization.yaml"
    overlay.write_text(overlay.read_text().replace("PREPROCESSING_LOG_LEVEL=debug", "PREPROCESSING_LOG_LEVEL=info"))
    assert before.isdisjoint(each.name for each in of_kind(renderer.objects(app), "ConfigMap"))


def test_every_deployed_service_declares_itself(services: Mapping[str, Declaration]) -> None:
    assert sorted(services) == ["gateway", "inference", "monitoring", "preprocessing"]
