"""What the release workflow runs, but for building and signing themselves."""

import json
import stat
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from local_stack.settings import StackSettings

pytestmark = [pytest.mark.component, pytest.mark.timeout(600)]

SERVICES = ("gateway", "inference", "monitoring", "preprocessing")
REGISTRY = "registry.fork.test/mine"
REPOSITORY = "https://github.com/mine/fork.git"


def run(fork: Any, module: str, *arguments: object, environment: Mapping[str, str] | None = None) -> Any:
    command = [sys.executable, "-m", module, *map(str, arguments), "--root", str(fork.folder)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def changed(fork: Any) -> list[str]:
    done = run(fork, "delivery.release", "changed")
    assert done.returncode == 0, done.stderr
    return list(done.stdout.split())


def add(fork: Any, path: str, text: str = "new\n") -> str:
    """Commit a file and push it to main."""
    (fork.folder / path).parent.mkdir(parents=True, exist_ok=True)
    (fork.folder / path).write_text(text)
    commit = fork.commit(f"Change {path}")
    fork.git("push", "--quiet", "origin", "main")
    return str(commit)


@pytest.fixture
def mine(fresh_fork: Any, tmp_path: Path) -> Any:
    """A fork with a registry and a repository of its own, of which nothing was released."""
    origin = fresh_fork.folder / "platform/origin/patch-origin.yaml"
    text = origin.read_text().replace("https://git.example.com/fairlead/fairlead.git", REPOSITORY)
    origin.write_text(text.replace("registry.example.com/fairlead", REGISTRY))
    fresh_fork.commit("Ours")
    bare = tmp_path / "origin.git"
    subprocess.run(["git", "init", "--quiet", "--bare", "--initial-branch=main", bare], check=True)
    fresh_fork.git("remote", "add", "origin", str(bare))
    fresh_fork.git("push", "--quiet", "origin", "main")
    return fresh_fork


def release(fork: Any, digest: str, *services: str, revision: str = "") -> Any:
    """Do what follows a build of these services: commit, push, and bring main here."""
    folder = fork.folder.parent / f"built-{digest}"
    folder.mkdir()
    revision = revision or fork.git("rev-parse", "HEAD")
    for name in services:
        record = {
            "service": name,
            "name": f"{REGISTRY}/{name}",
            "digest": f"sha256:{digest * 64}",
            "revision": revision,
        }
        (folder / f"{name}.image.json").write_text(json.dumps(record))
    done = run(fork, "delivery.release", "commit", "--folder", folder)
    fork.git("pull", "--quiet", "--ff-only", "origin", "main")
    return done


def test_nothing_is_released_to_a_registry_that_is_nobodys(fresh_fork: Any) -> None:
    done = run(fresh_fork, "delivery.release", "changed")
    assert (done.returncode, done.stdout) == (0, "")
    assert "name yours in platform/origin/patch-origin.yaml" in done.stderr


@pytest.mark.requirement("PROMOTION-009")
def test_what_was_never_released_or_whose_inputs_changed_since_is_released(mine: Any) -> None:
    assert changed(mine) == list(SERVICES)
    release(mine, "1", *SERVICES)
    assert changed(mine) == []
    add(mine, "README.md")
    assert changed(mine) == []
    add(mine, "services/gateway/src/gateway/app.py")
    assert changed(mine) == ["gateway"]
    add(mine, "requirements/monitoring.txt")
    assert changed(mine) == ["gateway", "monitoring"]
    release(mine, "2", "gateway", "monitoring")
    assert changed(mine) == []


@pytest.mark.requirement("PROMOTION-010")
def test_the_first_release_writes_every_environment_and_each_later_one_dev_alone(mine: Any) -> None:
    release(mine, "1", "gateway")
    for environment in ("dev", "staging", "prod"):
        assert f"digest: sha256:{'1' * 64}" in mine.release_file(environment, "gateway").read_text()
    assert "newTag: unreleased" in mine.release_file("local", "gateway").read_text()
    built = mine.git("rev-parse", "HEAD")
    done = release(mine, "2", "gateway")
    assert done.stdout == "Release gateway 222222222222 to dev\n"
    assert mine.git("show", "--format=", "--name-only").splitlines() == [
        "clusters/dev/apps/gateway/release/kustomization.yaml"
    ]
    assert f"Source-Revision: {built}" in mine.git("log", "-1", "--format=%B")


@pytest.mark.requirement("PROMOTION-010")
@pytest.mark.usefixtures("kustomize")
def test_the_gate_lets_a_first_release_pass(mine: Any) -> None:
    before = mine.git("rev-parse", "HEAD")
    release(mine, "1", "gateway")
    done = run(mine, "delivery.changes", "gate", "--base", before)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.requirement("PROMOTION-010")
def test_a_release_goes_on_top_of_what_main_is_by_then(mine: Any) -> None:
    built = mine.git("rev-parse", "HEAD")
    later = add(mine, "README.md")
    mine.git("switch", "--quiet", "--detach", built)
    mine.git("branch", "--quiet", "--force", "main", built)
    mine.git("switch", "--quiet", "main")
    release(mine, "1", "gateway")
    assert mine.git("rev-parse", "HEAD^") == later


@pytest.mark.requirement("PROMOTION-010")
def test_an_older_build_that_ends_late_does_not_replace_a_newer_one(mine: Any) -> None:
    older = mine.git("rev-parse", "HEAD")
    release(mine, "1", "gateway")
    add(mine, "services/gateway/src/gateway/app.py")
    release(mine, "3", "gateway")
    done = release(mine, "2", "gateway", revision=older)
    assert "something newer" in done.stdout
    assert f"sha256:{'3' * 64}" in mine.release_file("dev", "gateway").read_text()


@pytest.mark.requirement("PROMOTION-010")
def test_a_branch_that_takes_no_push_is_told_with_what_to_do(mine: Any, tmp_path: Path) -> None:
    hook = tmp_path / "origin.git" / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\necho protected >&2\nexit 1\n")
    hook.chmod(hook.stat().st_mode | stat.S_IXUSR)
    done = release(mine, "1", "gateway")
    assert done.returncode == 1
    assert "protected" in done.stderr
    assert "Let the workflow's token past the rules of the branch" in done.stderr


@pytest.mark.requirement("PROMOTION-003")
@pytest.mark.usefixtures("kustomize")
def test_the_text_of_a_promotion_names_the_commits_that_come_and_of_a_rollback_those_that_go(mine: Any) -> None:
    release(mine, "1", "gateway")
    add(mine, "services/gateway/src/gateway/app.py")
    add(mine, "services/monitoring/src/monitoring/app.py")
    release(mine, "2", "gateway")
    steps = ("--service", "gateway", "--from", "dev", "--to", "staging")
    done = run(mine, "delivery.promotion", "promote", *steps)
    comes = done.stdout.partition("Comes with gateway:\n\n")[2].partition("\n\n")[0]
    assert [line.partition(" Change ")[2] for line in comes.splitlines()] == ["services/gateway/src/gateway/app.py"]
    branch = mine.git("branch", "--list", "promote/*", "--format=%(refname:short)")
    mine.git("merge", "--quiet", "--ff-only", branch)
    done = run(mine, "delivery.promotion", "rollback", "--service", "gateway", "--environment", "staging")
    assert "Goes with gateway:\n\n- " in done.stdout
    assert "Comes with" not in done.stdout


COSIGN = """#!/bin/sh
echo "$@" >> "$(dirname "$0")/asked"
case "$*" in *verify*staging-only*) echo "no matching signatures" >&2; exit 1 ;; esac
"""


@pytest.fixture
def cosign(tmp_path: Path) -> dict[str, str]:
    """An environment whose cosign remembers what it was asked, and finds one digest unsigned."""
    program = tmp_path / "programs" / "cosign"
    program.parent.mkdir()
    program.write_text(COSIGN.replace("staging-only", f"sha256:{'2' * 64}"))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    known = StackSettings.read().environment
    return {**known, "PATH": f"{program.parent}:{known['PATH']}"}


@pytest.mark.requirement("PROMOTION-011")
def test_every_image_is_signed_and_so_is_its_bill_of_materials(
    mine: Any, cosign: dict[str, str], tmp_path: Path
) -> None:
    release(mine, "1", "gateway", "monitoring")
    folder = tmp_path / "built-1"
    done = run(mine, "delivery.release", "sign", "--folder", folder, environment=cosign)
    assert done.returncode == 0, done.stderr
    asked = (tmp_path / "programs" / "asked").read_text().splitlines()
    image = f"{REGISTRY}/gateway@sha256:{'1' * 64}"
    bill = folder / "gateway.cdx.json"
    assert asked[:2] == [f"sign --yes {image}", f"attest --yes --type cyclonedx --predicate {bill} {image}"]
    assert len(asked) == 4


@pytest.mark.requirement("PROMOTION-011")
def test_only_what_this_repositorys_release_workflow_signed_is_verified(
    mine: Any, cosign: dict[str, str], tmp_path: Path
) -> None:
    release(mine, "1", "gateway")
    verified = ("delivery.release", "verify", "--service", "gateway", "--environment", "dev")
    done = run(mine, *verified, environment=cosign)
    assert done.returncode == 0, done.stderr
    asked = (tmp_path / "programs" / "asked").read_text()
    identity = "https://github.com/mine/fork/.github/workflows/release.yaml@refs/heads/main"
    assert f"verify --certificate-identity {identity} --certificate-oidc-issuer https://token.actions" in asked
    release(mine, "2", "gateway")
    done = run(mine, *verified, environment=cosign)
    assert done.returncode == 1
    assert "no matching signatures" in done.stderr
    assert "Do not promote it" in done.stderr
