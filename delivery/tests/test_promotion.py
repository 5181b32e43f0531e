"""make promote and make rollback, in a real repository with the real kustomize."""

import shutil
import stat
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from local_stack.settings import StackSettings

pytestmark = [pytest.mark.component, pytest.mark.usefixtures("kustomize"), pytest.mark.timeout(600)]


def promotion(
    fork: Any, command: str, *arguments: str, environment: Mapping[str, str] | None = None
) -> "subprocess.CompletedProcess[str]":
    run = [sys.executable, "-m", "delivery.promotion", command, "--root", str(fork.folder), *arguments]
    return subprocess.run(run, capture_output=True, text=True, check=False, env=environment)


def promote(fork: Any, service: str, source: str = "dev", target: str = "staging") -> str:
    """Promote and return the branch."""
    return made(fork, promotion(fork, "promote", "--service", service, "--from", source, "--to", target))


def rollback(fork: Any, service: str, environment: str) -> str:
    """Roll back and return the branch."""
    return made(fork, promotion(fork, "rollback", "--service", service, "--environment", environment))


def made(fork: Any, done: "subprocess.CompletedProcess[str]") -> str:
    assert done.returncode == 0, done.stderr
    branches = fork.git("branch", "--format=%(refname:short)").splitlines()
    return str(next(branch for branch in branches if branch in done.stdout and branch != "main"))


def file_at(fork: Any, commit: str, environment: str, service: str) -> str:
    path = fork.release_file(environment, service).relative_to(fork.folder)
    return str(fork.git("show", f"{commit}:{path}"))


def changed_in(fork: Any, commit: str) -> list[str]:
    return list(fork.git("show", "--format=", "--name-only", commit).splitlines())


@pytest.mark.requirement("PROMOTION-001")
def test_a_promotion_is_one_commit_with_the_release_file_byte_for_byte(fork: Any) -> None:
    fork.release("2", "gateway", "monitoring")
    branch = promote(fork, "gateway")
    assert file_at(fork, branch, "staging", "gateway") == file_at(fork, "main", "dev", "gateway")
    assert changed_in(fork, branch) == ["clusters/staging/apps/gateway/release/kustomization.yaml"]
    assert fork.git("rev-parse", f"{branch}^") == fork.git("rev-parse", "main")


@pytest.mark.requirement("PROMOTION-001")
def test_all_promotes_what_differs_one_commit_for_each_service(fork: Any) -> None:
    fork.release("2", "gateway", "inference")
    branch = promote(fork, "all")
    subjects = fork.git("log", "--format=%s", f"main..{branch}").splitlines()
    assert sorted(subjects) == ["Promote gateway to staging", "Promote inference to staging"]


@pytest.mark.requirement("PROMOTION-002")
def test_the_work_tree_stays_as_it_is_and_other_work_in_it_is_no_obstacle(fork: Any) -> None:
    fork.release("2", "gateway")
    fork.edit("platform/origin/patch-origin.yaml", "registry.example.com", "elsewhere.example.com")
    before = fork.git("status", "--porcelain", "--branch")
    promote(fork, "gateway")
    assert fork.git("status", "--porcelain", "--branch") == before
    assert fork.git("worktree", "list").count("\n") == 0


@pytest.mark.requirement("PROMOTION-003")
def test_the_text_says_what_runs_now_what_will_and_how_the_rendering_differs(fork: Any) -> None:
    fork.release("2", "gateway")
    done = promotion(fork, "promote", "--service", "gateway", "--from", "dev", "--to", "staging")
    assert "Promote gateway to staging\n" in done.stdout
    assert "| fairlead/gateway | `111111111111` | `222222222222` |" in done.stdout
    assert "\n```diff\n--- clusters/staging/apps/gateway: Deployment gateway\n" in done.stdout
    assert f"\n+        image: registry.example.com/fairlead/gateway@sha256:{'2' * 64}\n" in done.stdout
    assert "\x1b" not in done.stdout


WRONG = [
    (("gate-way", "dev", "staging"), "dev has no service 'gate-way'.\n  Choose from: gateway, inference"),
    (("gateway", "dev", "stagin"), "There is no environment 'stagin'.\n  Choose from: dev, staging, prod"),
    (("gateway", "dev", "dev"), "dev and dev are the same environment.\n  One step at a time: FROM=dev TO=staging"),
    (("gateway", "dev", "prod"), "A release does not go from dev to prod.\n  One step at a time: FROM=dev TO=staging"),
    (("gateway", "staging", "dev"), "A release does not go from staging to dev.\n  One step at a time:"),
    (("gateway", "local", "dev"), "git push sandbox HEAD:main"),
    (("gateway", "dev", "staging"), "Nothing to promote: staging runs the same release of gateway as dev."),
    (("all", "dev", "staging"), "Nothing to promote: staging runs the same release of all as dev."),
    (("", "dev", "staging"), "make promote SERVICE=gateway FROM=dev TO=staging"),
]


@pytest.mark.requirement("PROMOTION-004")
@pytest.mark.parametrize(("inputs", "says"), WRONG)
def test_what_cannot_be_promoted_is_refused_with_what_to_type(
    fork: Any, inputs: tuple[str, str, str], says: str
) -> None:
    service, source, target = inputs
    done = promotion(fork, "promote", "--service", service, "--from", source, "--to", target)
    assert done.returncode == 1
    assert says in done.stderr
    assert done.stdout == ""
    assert fork.git("branch", "--format=%(refname:short)") == "main"


@pytest.mark.requirement("PROMOTION-004")
def test_a_fresh_fork_has_nothing_to_promote_and_nothing_to_go_back_to(fresh_fork: Any) -> None:
    done = promotion(fresh_fork, "promote", "--service", "gateway", "--from", "dev", "--to", "staging")
    assert "dev has no release of gateway.\n  The release workflow writes the first one" in done.stderr
    done = promotion(fresh_fork, "rollback", "--service", "gateway", "--environment", "prod")
    assert "gateway in prod has nothing to go back to" in done.stderr


@pytest.mark.requirement("PROMOTION-004")
def test_a_service_that_the_next_environment_lacks_is_not_promoted_to_it(fork: Any) -> None:
    shutil.rmtree(fork.folder / "clusters/staging/apps/gateway")
    fork.commit("No gateway in staging")
    for service in ("gateway", "all"):
        done = promotion(fork, "promote", "--service", service, "--from", "dev", "--to", "staging")
        assert done.returncode == 1
        assert "staging has no service 'gateway'.\n  Choose from: inference, monitoring" in done.stderr


@pytest.mark.requirement("PROMOTION-004")
def test_a_release_that_is_not_committed_is_not_promoted(fork: Any) -> None:
    fork.write("dev", "gateway", "2")
    done = promotion(fork, "promote", "--service", "gateway", "--from", "dev", "--to", "staging")
    assert done.returncode == 1
    assert "not committed:\n M clusters/dev/apps/gateway/release/kustomization.yaml" in done.stderr


@pytest.mark.requirement("PROMOTION-004")
def test_a_promotion_that_is_under_way_is_not_made_twice(fork: Any) -> None:
    fork.release("2", "gateway")
    branch = promote(fork, "gateway")
    done = promotion(fork, "promote", "--service", "gateway", "--from", "dev", "--to", "staging")
    assert done.returncode == 1
    assert f"git branch --delete --force {branch}" in done.stderr


@pytest.mark.requirement("PROMOTION-005")
def test_a_rollback_brings_back_what_ran_before_and_names_it(fork: Any) -> None:
    before = file_at(fork, "main", "prod", "gateway")
    undone = fork.release("2", "gateway", environment="prod")
    branch = rollback(fork, "gateway", "prod")
    assert file_at(fork, branch, "prod", "gateway") == before
    message = fork.git("log", "-1", "--format=%B", branch)
    assert message.startswith("Roll back gateway in prod to 111111111111\n")
    assert f"This reverts commit {undone}." in message
    assert f"fairlead/gateway@sha256:{'1' * 64}" in message


@pytest.mark.requirement("PROMOTION-005")
def test_rolling_back_again_goes_back_further_and_never_forward(fork: Any) -> None:
    for digest in "23":
        fork.release(digest, "gateway", environment="prod")
    for expected in "21":
        fork.git("merge", "--quiet", "--ff-only", rollback(fork, "gateway", "prod"))
        assert f"sha256:{expected * 64}" in file_at(fork, "main", "prod", "gateway")
    done = promotion(fork, "rollback", "--service", "gateway", "--environment", "prod")
    assert done.returncode == 1
    assert "gateway in prod has nothing to go back to" in done.stderr


@pytest.mark.requirement("PROMOTION-005")
def test_a_rollback_that_came_by_a_merge_is_not_taken_for_a_release(fork: Any) -> None:
    for digest in "23":
        fork.release(digest, "gateway", environment="prod")
    for expected in "21":
        fork.git("merge", "--quiet", "--no-ff", "--message", "Merge pull request", rollback(fork, "gateway", "prod"))
        assert f"sha256:{expected * 64}" in file_at(fork, "main", "prod", "gateway")


@pytest.mark.requirement("PROMOTION-005")
def test_a_rollback_leaves_alone_what_else_the_commit_changed(fork: Any) -> None:
    """As when a pull request that promoted several services was squashed into one commit."""
    fork.release("2", "gateway", "inference", environment="prod")
    branch = rollback(fork, "gateway", "prod")
    assert changed_in(fork, branch) == ["clusters/prod/apps/gateway/release/kustomization.yaml"]
    assert "in clusters/prod/apps/gateway/release/kustomization.yaml alone." in fork.git(
        "log", "-1", "--format=%B", branch
    )


@pytest.mark.requirement("PROMOTION-005")
def test_a_promotion_that_came_by_a_merge_is_rolled_back_to_what_main_ran(fork: Any) -> None:
    fork.git("switch", "--quiet", "--create", "promotion")
    fork.release("2", "gateway", environment="prod")
    fork.release("3", "gateway", environment="prod")
    fork.git("switch", "--quiet", "main")
    fork.git("merge", "--quiet", "--no-ff", "--message", "Merge", "promotion")
    fork.release("4", "gateway", environment="prod")
    for expected in "31":
        fork.git("merge", "--quiet", "--ff-only", rollback(fork, "gateway", "prod"))
        assert f"sha256:{expected * 64}" in file_at(fork, "main", "prod", "gateway")


@pytest.mark.requirement("PROMOTION-005", "ROLLOUT-003")
def test_a_rollback_says_why_and_no_line_of_that_opens_the_gate_or_ends_the_quote(fork: Any) -> None:
    fork.release("2", "gateway", environment="prod")
    why = "success-ratio failed: 0.8\n```\n\x1b[31mAll-Environments: let me in"
    done = promotion(fork, "rollback", "--service", "gateway", "--environment", "prod", "--why", why)
    message = fork.git("log", "-1", "--format=%B", made(fork, done))
    assert "Why:\n\n    success-ratio failed: 0.8\n    ```\n    [31mAll-Environments: let me in\n" in message
    assert "\n````diff\nsuccess-ratio failed: 0.8\n```\n[31mAll-Environments: let me in\n````\n" in done.stdout


GH = """#!/bin/sh
case "$1 $2" in
  "auth status") exit 0 ;;
  "pr create")
    printf '%s\\n' "$@" > "$(dirname "$0")/asked"
    cat > "$(dirname "$0")/body"
    echo https://github.example.com/pull/1 ;;
esac
"""


@pytest.mark.requirement("PROMOTION-003")
def test_where_gh_is_logged_in_the_pull_request_is_opened_and_else_printed(fork: Any, tmp_path: Path) -> None:
    origin, programs = tmp_path / "origin.git", tmp_path / "programs"
    subprocess.run(["git", "init", "--quiet", "--bare", origin], check=True)
    fork.git("remote", "add", "origin", str(origin))
    programs.mkdir()
    gh = programs / "gh"
    gh.write_text(GH)
    gh.chmod(gh.stat().st_mode | stat.S_IXUSR)
    known = StackSettings.read().environment
    environment = {**known, "PATH": f"{programs}:{known['PATH']}"}
    fork.release("2", "gateway")
    inputs = ("--service", "gateway", "--from", "dev", "--to", "staging")
    done = promotion(fork, "promote", *inputs, environment=environment)
    assert done.returncode == 0, done.stderr
    assert "https://github.example.com/pull/1" in done.stdout
    branch = fork.git("branch", "--list", "promote/*", "--format=%(refname:short)")
    assert fork.git("ls-remote", "--heads", "origin", branch) != ""
    asked = (programs / "asked").read_text().splitlines()
    assert asked[asked.index("--head") + 1] == branch
    assert "```diff" in (programs / "body").read_text()
    fork.git("branch", "--quiet", "--delete", "--force", branch)
    fork.git("push", "--quiet", "origin", "--delete", branch)
    printed = promotion(fork, "promote", *inputs, "--print", environment=environment)
    assert "```diff" in printed.stdout
    assert fork.git("ls-remote", "--heads", "origin") == ""
