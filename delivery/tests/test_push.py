"""What the sandbox's git server does with a push, up to where a cluster begins."""

import json
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from delivery.push.pods import hopeless, last_words
from delivery.push.received import Update, deployable, refusal, updates
from delivery.push.release_files import released, write_releases
from delivery.push.rollout import Application, waiting
from local_stack.settings import StackSettings
from sandbox.kubectl import Kubectl
from sandbox.problem import Problem

ROOT = Path(__file__).resolve().parents[2]
NONE, OLD, NEW = "0" * 40, "1" * 40, "2" * 40
DIGEST = f"sha256:{'a' * 64}"
OURS = "http://10.245.0.1:3000/fairlead.git"


def application(name: str = "gateway", source: str = OURS, **changes: Any) -> dict[str, Any]:
    status = {
        "sync": {"status": "Synced", "revision": NEW},
        "health": {"status": "Healthy"},
        "operationState": {"phase": "Succeeded", "syncResult": {"revision": NEW}, "message": "done"},
    }
    return {"metadata": {"name": name}, "spec": {"source": {"repoURL": source}}, "status": status | changes}


@pytest.mark.requirement("PUSH-001")
def test_a_push_to_main_deploys_its_commit_and_no_other_push_does() -> None:
    received = list(updates([f"{OLD} {NEW} refs/heads/main\n", f"{NONE} {OLD} refs/heads/idea\n"]))
    assert deployable(received) == NEW
    assert deployable(received[1:]) == ""
    assert deployable([Update(OLD, NONE, "refs/heads/main")]) == ""


@pytest.mark.requirement("PUSH-002")
def test_the_deployed_branch_and_the_removal_of_main_are_refused_with_the_way_out() -> None:
    assert "git push sandbox HEAD:main" in refusal(Update(OLD, NEW, "refs/heads/deploy/local"))
    assert "make cluster-down" in refusal(Update(OLD, NONE, "refs/heads/main"))
    assert refusal(Update(OLD, NEW, "refs/heads/main")) == ""
    assert refusal(Update(OLD, NONE, "refs/heads/idea")) == ""


@pytest.mark.requirement("PUSH-003")
@pytest.mark.parametrize("service", ["gateway", "inference", "monitoring", "preprocessing"])
def test_a_release_file_gets_a_digest_and_keeps_every_other_byte(service: str) -> None:
    before = (ROOT / f"clusters/local/apps/{service}/release/kustomization.yaml").read_text()
    after = released(before, f"fairlead/{service}", DIGEST)
    different = [pair for pair in zip(before.splitlines(), after.splitlines(), strict=True) if pair[0] != pair[1]]
    assert [new for _, new in different] == [f"    digest: {DIGEST}"]
    other = f"sha256:{'b' * 64}"
    assert released(after, f"fairlead/{service}", other) == after.replace(DIGEST, other)


@pytest.mark.requirement("PUSH-003")
def test_a_release_file_that_is_gone_or_names_no_image_is_a_problem(tmp_path: Path) -> None:
    with pytest.raises(Problem, match="clusters/local/apps/gateway/release"):
        write_releases(tmp_path, "local", {"gateway": DIGEST})
    with pytest.raises(Problem, match="names fairlead/gateway 0 times"):
        released("images: []\n", "fairlead/gateway", DIGEST)


@pytest.mark.requirement("PUSH-004")
@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({}, []),
        ({"sync": {"status": "Synced", "revision": OLD}}, ["gateway: has not seen the commit"]),
        ({"sync": {"status": "OutOfSync", "revision": NEW}}, ["gateway: succeeded syncing"]),
        (
            {
                "sync": {"status": "Unknown"},
                "conditions": [{"type": "InvalidSpecError", "message": "repo not permitted"}],
            },
            ["gateway: repo not permitted"],
        ),
        ({"health": {"status": "Progressing"}}, ["gateway: progressing"]),
        (
            {"operationState": {"phase": "Running", "message": "waiting for completion of hook smoke"}},
            ["gateway: waiting for completion of hook smoke"],
        ),
    ],
)
def test_waiting_names_what_is_missing(changes: dict[str, Any], says: list[str]) -> None:
    assert list(waiting([Application.read(application(**changes))], ["gateway"], NEW)) == says


@pytest.mark.requirement("PUSH-004")
def test_an_application_that_is_not_there_is_waited_for() -> None:
    assert list(waiting([], ["inference"], NEW)) == ["inference: not there yet"]
    fresh = Application.read({"metadata": {"name": "inference"}})
    assert list(waiting([fresh], ["inference"], NEW)) == ["inference: has not seen the commit"]


@pytest.mark.requirement("PUSH-004")
def test_an_addon_runs_what_git_pins_and_not_the_commit() -> None:
    gateway = Application.read(application())
    elsewhere = {"status": "Synced", "revision": "1.31.0"}
    istiod = Application.read(application("istiod", source="https://github.com/istio/istio.git", sync=elsewhere))
    assert list(waiting([gateway, istiod], ["gateway"], NEW)) == []
    late = Application.read(application("monitoring", sync=elsewhere))
    assert list(waiting([gateway, late], ["gateway"], NEW)) == ["monitoring: has not seen the commit"]


@pytest.mark.requirement("PUSH-004")
def test_a_failure_is_told_for_the_commit_that_failed_only() -> None:
    broken = {"phase": "Failed", "syncResult": {"revision": NEW}, "message": "one or more hooks failed: gateway-smoke"}
    failed = Application.read(application(operationState=broken))
    assert failed.failure(NEW) == "gateway: one or more hooks failed: gateway-smoke"
    assert failed.failure(OLD) == ""
    assert Application.read(application(health={"status": "Degraded"})).failure(NEW) != ""
    assert Application.read(application()).failure(NEW) == ""


@pytest.mark.requirement("PUSH-004")
def test_what_git_refuses_is_told_with_what_main_is_by_then(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "--quiet", "--bare", tmp_path], check=True)
    deploy = [sys.executable, "-m", "delivery.push", "deploy", "--repository", str(tmp_path)]
    told = subprocess.run(
        deploy, input=f"{OLD} {NEW} refs/heads/main\n", capture_output=True, text=True, check=False
    ).stderr
    assert f"main is {NEW[:12]}, but it is not deployed: git worktree add" in told
    assert "Traceback" not in told


@pytest.fixture
def server(tmp_path: Path) -> Path:
    """A bare repository with the real hooks, but for the one that deploys."""
    if not shutil.which("go"):
        reason = "no Go here, and kustomize is built with it"
        if StackSettings.read().environment.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    bare = tmp_path / "server.git"
    subprocess.run(["git", "init", "--quiet", "--bare", "--initial-branch=main", bare], check=True)
    install = [sys.executable, "-m", "delivery.push", "install", "--repository", str(bare)]
    subprocess.run(install, check=True)
    (bare / "hooks" / "post-receive").unlink()
    return bare


def pushed(server: Path, folder: Path, target: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["git", "push", str(server), f"HEAD:{target}"], cwd=folder, capture_output=True, text=True, check=False
    )


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A clone of what is checked out here, changed files included."""
    folder = tmp_path / "checkout"
    subprocess.run(["git", "clone", "--quiet", "--shared", str(ROOT), str(folder)], check=True)
    return folder


def commit(folder: Path) -> None:
    identity = ("-c", "user.name=t", "-c", "user.email=t@t")
    subprocess.run(["git", *identity, "commit", "--quiet", "--all", "--message", "change"], cwd=folder, check=True)


@pytest.mark.requirement("PUSH-002")
@pytest.mark.component
def test_a_push_that_breaks_a_rule_is_refused_with_the_finding(server: Path, checkout: Path) -> None:
    deployment = checkout / "services/gateway/deploy/base/deployment.yaml"
    deployment.write_text(
        deployment.read_text().replace("readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false")
    )
    commit(checkout)
    done = pushed(server, checkout, "main")
    assert done.returncode != 0
    assert "This commit is refused" in done.stderr
    assert "readOnlyRootFilesystem" in done.stderr
    assert "make check" in done.stderr


@pytest.mark.requirement("PUSH-001")
@pytest.mark.component
def test_a_push_that_obeys_is_accepted_and_what_is_not_main_is_not_judged(server: Path, checkout: Path) -> None:
    accepted = pushed(server, checkout, "main")
    assert accepted.returncode == 0, accepted.stderr
    assert "manifests: rendered, valid, within the rules" in accepted.stderr
    deployment = checkout / "services/gateway/deploy/base/deployment.yaml"
    deployment.write_text("not: [yaml\n")
    commit(checkout)
    assert pushed(server, checkout, "idea").returncode == 0
    assert "git push sandbox HEAD:main" in pushed(server, checkout, "deploy/local").stderr


@pytest.mark.requirement("PUSH-005")
@pytest.mark.component
def test_manifests_are_judged_once_and_again_when_something_of_them_or_of_the_settings_changes(
    server: Path, checkout: Path
) -> None:
    assert "within the rules" in pushed(server, checkout, "main").stderr
    append(checkout / "services/gateway/src/gateway/app.py", "# A change of code.\n")
    commit(checkout)
    assert "as they were judged before" in pushed(server, checkout, "main").stderr
    append(checkout / "services/gateway/src/gateway/settings.py", "Settings.model_fields.pop('grace')\n")
    commit(checkout)
    refused = pushed(server, checkout, "main")
    assert refused.returncode != 0
    assert "GATEWAY_GRACE" in refused.stderr


def append(file: Path, line: str) -> None:
    file.write_text(file.read_text() + line)


@pytest.mark.requirement("PUSH-004")
def test_a_pod_that_is_not_ready_is_named_with_what_it_wrote_last(tmp_path: Path) -> None:
    kubectl = fake_kubectl(
        tmp_path,
        [
            pod("gateway-old", ready=True, state={"running": {}}),
            pod("gateway-new", ready=False, state={"waiting": {"reason": "CrashLoopBackOff"}}),
            pod("gateway-mute", ready=False, state={"waiting": {"reason": "ErrImagePull"}}),
        ],
        {"gateway-new": "".join(f"line {number}\n" for number in range(9))},
    )
    assert list(last_words(kubectl, "fairlead-local")) == [
        "fairlead-local/gateway-new (CrashLoopBackOff)",
        "  line 6",
        "  line 7",
        "  line 8",
        "fairlead-local/gateway-mute (ErrImagePull)",
    ]


@pytest.mark.requirement("PUSH-004")
def test_a_pod_of_this_push_that_cannot_begin_or_ends_again_and_again_is_not_waited_for(tmp_path: Path) -> None:
    since = datetime(2026, 11, 30, 10, tzinfo=UTC)
    ends = pod("ends", ready=False, state={"terminated": {}})
    ends["status"]["containerStatuses"][0]["restartCount"] = 3
    before = pod("before", ready=False, state={"waiting": {"reason": "ErrImagePull"}})
    before["metadata"]["creationTimestamp"] = "2026-11-30T09:59:59Z"
    pods = [
        pod("mute", ready=False, state={"waiting": {"reason": "ErrImagePull"}}),
        ends,
        pod("slow", ready=False, state={"running": {}}),
        pod("well", ready=True, state={"running": {}}),
        before,
    ]
    kubectl = fake_kubectl(tmp_path, pods, {})
    soon, late = (hopeless(kubectl, "fairlead-local", since, since + timedelta(seconds=after)) for after in (60, 80))
    assert [each.split()[0] for each in soon] == ["fairlead-local/mute", "fairlead-local/ends"]
    assert [each.split()[0] for each in late] == [*(each.split()[0] for each in soon), "fairlead-local/slow"]


def pod(name: str, *, ready: bool, state: dict[str, Any]) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "namespace": "fairlead-local", "creationTimestamp": "2026-11-30T10:00:00Z"},
        "status": {
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": str(ready)}],
            "containerStatuses": [{"state": state}],
        },
    }


def fake_kubectl(folder: Path, pods: list[dict[str, Any]], logs: dict[str, str]) -> Kubectl:
    """A program that answers `get pods` and `logs NAME` from files; it fails where a container never started."""
    (folder / "pods.json").write_text(json.dumps({"items": pods}))
    for name, text in logs.items():
        (folder / f"{name}.log").write_text(text)
    program = folder / "kubectl"
    program.write_text(f'#!/bin/sh\ncd "{folder}"\ncase $2 in get) cat pods.json ;; logs) cat "$3.log" ;; esac\n')
    program.chmod(0o755)
    return Kubectl(program, folder / "kubeconfig")
