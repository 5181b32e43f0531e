"""make diff and make gate, in a real repository with the real kustomize."""

import shutil
import subprocess
import sys
from typing import Any

import pytest

pytestmark = [pytest.mark.component, pytest.mark.usefixtures("kustomize"), pytest.mark.timeout(600)]

DEV = "clusters/dev/apps/gateway/kustomization.yaml"
STAGING = "clusters/staging/apps/gateway/kustomization.yaml"
SHARED = "services/gateway/deploy/base/settings.env"


def keep(fork: Any, *environments: str) -> None:
    """Leave environments with two services: what is not there is not rendered, which is what takes long."""
    for folder in (fork.folder / "clusters").iterdir():
        if folder.name not in environments:
            shutil.rmtree(folder)
    for environment in environments:
        for service in ("inference", "preprocessing"):
            shutil.rmtree(fork.folder / "clusters" / environment / "apps" / service)
    fork.commit(f"Two services in {', '.join(environments)}")


def changes(fork: Any, command: str, *arguments: str, base: str = "main") -> "subprocess.CompletedProcess[str]":
    run = [sys.executable, "-m", "delivery.changes", command, "--root", str(fork.folder), "--base", base, *arguments]
    return subprocess.run(run, capture_output=True, text=True, check=False)


@pytest.mark.requirement("PROMOTION-006")
def test_the_difference_is_counted_for_every_environment_and_then_shown(fork: Any) -> None:
    """A ConfigMap with other content has another name; it is told as one that changed."""
    keep(fork, "local", "dev", "staging", "prod")
    fork.edit(DEV, "GATEWAY_LOG_LEVEL=debug", "GATEWAY_LOG_LEVEL=error")
    (fork.folder / "services/monitoring/deploy/base/poddisruptionbudget.yaml").unlink()
    fork.edit("services/monitoring/deploy/base/kustomization.yaml", "  - poddisruptionbudget.yaml\n", "")
    done = changes(fork, "diff")
    assert done.returncode == 0, done.stderr
    counted = [line.split() for line in done.stdout.splitlines()[2:7]]
    assert counted == [
        ["environment", "changed", "added", "removed"],
        ["local", "0", "0", "1"],
        ["dev", "2", "0", "1"],
        ["staging", "0", "0", "1"],
        ["prod", "0", "0", "1"],
    ]
    assert "\n-  GATEWAY_LOG_LEVEL: debug\n+  GATEWAY_LOG_LEVEL: error\n" in done.stdout
    assert "\n--- clusters/prod/apps/monitoring: PodDisruptionBudget monitoring\n+++ /dev/null\n" in done.stdout
    assert "\x1b" not in done.stdout


@pytest.mark.requirement("PROMOTION-006")
def test_what_came_to_the_base_since_is_no_change_of_this_work_tree(fork: Any) -> None:
    keep(fork, "dev")
    fork.git("switch", "--quiet", "--create", "mine")
    fork.git("switch", "--quiet", "main")
    fork.edit(DEV, "GATEWAY_LOG_LEVEL=debug", "GATEWAY_LOG_LEVEL=error")
    fork.commit("Theirs")
    fork.git("switch", "--quiet", "mine")
    assert changes(fork, "diff", "--exit-code").returncode == 0


@pytest.mark.requirement("PROMOTION-006")
def test_the_exit_code_tells_a_difference_when_asked_and_trouble_always(fork: Any) -> None:
    keep(fork, "dev")
    done = changes(fork, "diff", base="nonsense")
    assert done.returncode == 2
    assert "There is no commit 'nonsense' here." in done.stderr
    fork.edit(DEV, "GATEWAY_LOG_LEVEL=debug", "GATEWAY_LOG_LEVEL=error")
    assert changes(fork, "diff", "--exit-code").returncode == 1
    fork.edit(DEV, "  - ../../env\n", "  - ../../elsewhere\n")
    done = changes(fork, "diff")
    assert done.returncode == 2
    assert "clusters/dev/apps/gateway does not render: " in done.stderr


@pytest.mark.requirement("PROMOTION-007")
def test_the_gate_is_open_for_one_environment_wherever_the_change_is_made_and_local_is_nobodys(fork: Any) -> None:
    keep(fork, "local", "dev")
    fork.write("local", "gateway", "1")
    fork.commit("As if local were released on main")
    fork.edit(DEV, "GATEWAY_LOG_LEVEL=debug", "GATEWAY_LOG_LEVEL=error")
    fork.edit(DEV.replace("dev", "local"), "GATEWAY_LOG_LEVEL=debug", "GATEWAY_LOG_LEVEL=error")
    # A shared file that renders to nothing.
    fork.edit("platform/components/ha/README.md", "#", "##")
    assert changes(fork, "gate", base="HEAD").returncode == 0


@pytest.mark.requirement("PROMOTION-007")
def test_the_gate_is_open_while_nothing_was_released(fork: Any) -> None:
    keep(fork, "dev", "staging")
    for file in fork.folder.glob("clusters/*/apps/*/release/kustomization.yaml"):
        file.write_text(file.read_text().replace(f"digest: sha256:{'1' * 64}", "newTag: unreleased"))
    fork.commit("As in a fresh fork")
    fork.edit(SHARED, "GATEWAY_GRACE=10", "GATEWAY_GRACE=11")
    assert changes(fork, "gate", base="HEAD").returncode == 0


@pytest.mark.requirement("PROMOTION-007")
def test_the_gate_refuses_two_environments_and_names_them_and_the_way_out(fork: Any) -> None:
    keep(fork, "dev", "staging")
    fork.edit(DEV, "GATEWAY_LOG_LEVEL=debug", "GATEWAY_LOG_LEVEL=error")
    fork.edit(STAGING, "GATEWAY_LOG_LEVEL=info", "GATEWAY_LOG_LEVEL=error")
    done = changes(fork, "gate")
    assert done.returncode == 1
    assert "2 environments at once" in done.stdout
    assert "dev      apps/gateway: ConfigMap gateway-settings, apps/gateway: Deployment gateway" in done.stdout
    assert "label the pull request all-environments" in done.stdout
    assert "All-Environments: <why>" in done.stdout


@pytest.mark.requirement("PROMOTION-007")
def test_a_shared_change_goes_everywhere_with_a_label_or_a_reason_in_a_commit(fork: Any) -> None:
    keep(fork, "dev", "staging")
    fork.git("switch", "--quiet", "--create", "mine")
    fork.edit(SHARED, "GATEWAY_GRACE=10", "GATEWAY_GRACE=11")
    fork.commit("A grace period\n\nIt concerns All-Environments, this line says.")
    assert changes(fork, "gate").returncode == 1
    assert changes(fork, "gate", "--labels", "bug,all-environments").returncode == 0
    fork.git("commit", "--quiet", "--allow-empty", "--message", "Say why\n\nAll-Environments: calls take longer")
    assert changes(fork, "gate").returncode == 0
