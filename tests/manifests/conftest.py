"""Every environment, rendered once; a copy of the tree, to make mistakes in."""

import re
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest
from delivery.declarations import Declaration, declared_services
from delivery.environments import Environment, environment_folders, render_environment
from delivery.programs import KUBECONFORM, KUSTOMIZE, Toolbox
from delivery.rendering import Renderer
from delivery.schemas import schemas
from local_stack.settings import StackSettings

ROOT = Path(__file__).resolve().parents[2]
TREES = ("clusters", "platform", "models")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.timeout(900))  # where Go has to build the programs first


@pytest.fixture(scope="session")
def toolbox() -> Toolbox:
    if not shutil.which("go"):
        reason = "no Go here, and kustomize is built with it"
        if StackSettings.read().environment.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    built = Toolbox()
    for program in (KUSTOMIZE, KUBECONFORM):
        built.program(program)
    schemas(built)
    return built


@pytest.fixture(scope="session")
def renderer(toolbox: Toolbox) -> Renderer:
    return Renderer.from_toolbox(toolbox)


@pytest.fixture(scope="session")
def services() -> Mapping[str, Declaration]:
    return declared_services(ROOT)


@pytest.fixture(scope="session")
def environments(renderer: Renderer) -> Mapping[str, Environment]:
    return {folder.name: render_environment(folder, renderer) for folder in environment_folders(ROOT)}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of what the check reads, as a fork has it that has released nothing yet."""
    for tree in TREES:
        shutil.copytree(ROOT / tree, tmp_path / tree)
    for base in ROOT.glob("services/*/deploy"):
        service = base.parent
        shutil.copytree(base, tmp_path / "services" / service.name / "deploy")
        for name in ("service.yaml", "Dockerfile"):
            shutil.copy(service / name, tmp_path / "services" / service.name / name)
    for release in tmp_path.glob("clusters/*/apps/*/release/kustomization.yaml"):
        release.write_text(re.sub(r"digest: sha256:[0-9a-f]{64}", "newTag: unreleased", release.read_text()))
    return tmp_path
