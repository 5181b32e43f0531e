"""python -m delivery check, on checkouts with a mistake in a file."""

import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from delivery.programs import Toolbox

pytestmark = pytest.mark.xdist_group("manifests")

RELEASE = "clusters/{}/apps/gateway/release/kustomization.yaml"
DIGEST = "sha256:" + "5" * 64


def delivery(checkout: Path, environment: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "delivery", "check", str(checkout)]
    return subprocess.run(command, capture_output=True, text=True, timeout=100, check=False, env=environment)


def edit(path: Path, old: str, new: str) -> None:
    text, times = re.subn(old, new, path.read_text())
    assert times
    path.write_text(text)


@pytest.mark.requirement("MANIFESTS-009")
def test_mistakes_in_files_are_named_with_what_to_do(checkout: Path, toolbox: Toolbox) -> None:
    """Several at once: a person mends them in one go."""
    assert toolbox
    edit(checkout / RELEASE.format("dev"), "newTag: unreleased", f"digest: {DIGEST}")
    edit(checkout / RELEASE.format("local"), "newTag: unreleased", "newTag: latest")
    edit(
        checkout / RELEASE.format("staging").replace("gateway", "inference"),
        r"digits@sha256:\w{3}",
        "digits@sha256:000",
    )
    edit(checkout / "services/inference/deploy/base/deployment.yaml", "revisionHistoryLimit", "revisionHistory")
    done = delivery(checkout)
    assert done.returncode == 1
    said = done.stdout
    assert "clusters/staging/apps/gateway/release/kustomization.yaml: fairlead/gateway is unreleased here" in said
    assert "fairlead/gateway is {'newTag': 'latest'}: give it a digest" in said
    assert "models/digits/releases has no record of sha256:000" in said
    assert "additional properties 'revisionHistory' not allowed [valid]" in said


@pytest.mark.requirement("MANIFESTS-009")
def test_what_does_not_render_or_is_gone_is_refused(checkout: Path, toolbox: Toolbox) -> None:
    assert toolbox
    (checkout / "clusters/local/apps/gateway/release/kustomization.yaml").unlink()
    for path in sorted((checkout / "clusters/dev/apps/monitoring").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    edit(checkout / "services/preprocessing/deploy/base/kustomization.yaml", "  - poddisruptionbudget.yaml\n", "")
    shutil.copytree(checkout / "clusters/prod/apps/gateway", checkout / "clusters/prod/apps/debug")
    done = delivery(checkout)
    assert done.returncode == 1
    assert "clusters/local: " in done.stdout
    assert "[renders]" in done.stdout
    assert "clusters/dev: monitoring is missing: add clusters/dev/apps/monitoring" in done.stdout
    assert "clusters/prod/apps/preprocessing: drops PodDisruptionBudget, which every service needs" in done.stdout
    assert "clusters/prod/apps/debug: debug is no service, so no rule reads it, but Argo CD runs it" in done.stdout


@pytest.mark.requirement("MANIFESTS-009")
def test_a_selector_that_differs_in_one_environment_is_refused(checkout: Path, toolbox: Toolbox) -> None:
    assert toolbox
    overlay = checkout / "clusters/prod/apps/gateway/kustomization.yaml"
    overlay.write_text(overlay.read_text() + SELECTOR_PATCH)
    done = delivery(checkout)
    assert "services/gateway/deploy: differs between environments" in done.stdout


SELECTOR_PATCH = """\
  - target:
      kind: Deployment
    patch: |-
      - op: add
        path: /spec/selector/matchLabels/tier
        value: edge
      - op: add
        path: /spec/template/metadata/labels/tier
        value: edge
"""


def test_without_go_the_check_says_so(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    done = delivery(checkout, {"PATH": "/nonexistent", "HOME": str(tmp_path_factory.mktemp("home"))})
    assert done.returncode == 2
    assert "Go is not installed" in done.stderr


def test_a_folder_without_environments_is_no_checkout(tmp_path: Path) -> None:
    done = delivery(tmp_path)
    assert done.returncode == 2
    assert f"{tmp_path} has no environment" in done.stderr
