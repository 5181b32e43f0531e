"""An aborted rollout: which commits brought it, and the branch that takes them back, in real repositories."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from delivery.proposals.branches import branch_of, proposed
from delivery.proposals.pods import is_made_of, pod_template
from delivery.proposals.revert import Aborted, Reverting
from delivery.push.release_files import write_releases
from delivery.rendering import Renderer
from delivery.repository import Repository
from sandbox.problem import Problem

pytestmark = [pytest.mark.component, pytest.mark.timeout(300)]

CODE = "services/gateway/src/gateway/app.py"
SETTINGS = "services/gateway/deploy/base/settings.env"
WHY = "- success-ratio failed: 0.8, 0.79"


class Server:
    """The sandbox's bare repository, and a clone to push from; a push deploys as its hook would."""

    def __init__(self, fork: Any, bare: Path, kustomize: Path) -> None:
        self.fork, self.bare, self.renderer = fork, Repository(bare), Renderer(kustomize)
        (fork.folder / CODE).parent.mkdir(parents=True)
        (fork.folder / CODE).write_text("first\n")
        fork.commit("Write the gateway")
        subprocess.run(["git", "init", "--quiet", "--bare", "--initial-branch=main", bare], check=True)
        install = [sys.executable, "-m", "delivery.push", "install", "--repository", str(bare)]
        subprocess.run(install, check=True)
        for hook in ("pre-receive", "post-receive"):
            (bare / "hooks" / hook).unlink()

    def push(self, message: str, **changes: str) -> Mapping[str, Any]:
        """Commit changes, push them, deploy them, and return the gateway's pods as the cluster then has them."""
        for name, text in changes.items():
            path = {"code": CODE, "settings": SETTINGS}.get(name, name)
            (self.fork.folder / path).write_text(text)
        self.fork.commit(message)
        self.fork.git("push", "--quiet", "--force", str(self.bare.root), "HEAD:main")
        with self.bare.worktree("main") as tree:
            code = (tree.root / CODE).read_bytes().hex()
            write_releases(tree.root, "local", {"gateway": f"sha256:{code:0<64}"[:71]})
            tree.git(
                "-c", "user.name=t", "-c", "user.email=t@t", "commit", "--quiet", "-am", "Release", "--allow-empty"
            )
            self.bare.git("update-ref", "refs/heads/deploy/local", tree.commit("HEAD"))
            objects = self.renderer.objects(tree.root / "clusters/local/apps/gateway")
            return {**pod_template(objects, "gateway"), "added": "by the API server"}

    def propose(self, canary: Mapping[str, Any], stable: Mapping[str, Any]) -> str:
        return Reverting(self.bare, self.renderer).propose(Aborted("gateway", canary, stable, WHY))

    def log(self, commits: str) -> list[str]:
        return self.bare.git("log", "--format=%s", commits).splitlines()


@pytest.fixture
def server(fork: Any, tmp_path: Path, kustomize: Path) -> Server:
    return Server(fork, tmp_path / "server.git", kustomize)


@pytest.mark.requirement("ROLLOUT-003")
def test_the_commit_that_was_aborted_is_reverted_on_top_of_main_and_the_message_says_why(server: Server) -> None:
    stable = server.push("Start", code="good\n")
    canary = server.push("Go faster", code="bad\n")
    main = server.bare.commit("main")
    branch = server.propose(canary, stable)
    assert branch == f"revert/gateway-{main[:12]}"
    assert server.bare.commit(f"{branch}^") == main == server.bare.commit("main")
    message = server.bare.git("log", "-1", "--format=%B", branch)
    assert message.startswith(f'Revert "Go faster"\n\nThis reverts commit {main}.\n')
    assert WHY in message
    assert server.bare.content(branch, Path(CODE)) == "good\n"


@pytest.mark.requirement("ROLLOUT-003")
def test_commits_that_do_not_change_what_the_service_runs_stay(server: Server) -> None:
    stable = server.push("Start", code="good\n")
    server.push("Say less", settings="GATEWAY_DRAIN_DELAY=5\nGATEWAY_GRACE=11\n")
    server.push("Tell of it", **{"services/gateway/deploy/README.md": "How it is deployed.\n"})
    server.push("Mend monitoring", **{"clusters/local/apps/monitoring/patch-volume.yaml": "[]\n"})
    canary = server.push("Go faster", code="bad\n")
    branch = server.propose(canary, stable)
    assert server.log(f"main..{branch}") == ['Revert "Say less"', 'Revert "Go faster"']


@pytest.mark.requirement("ROLLOUT-003")
def test_a_second_attempt_that_was_aborted_too_goes_back_to_what_serves(server: Server) -> None:
    stable = server.push("Start", code="good\n")
    server.push("Go faster", code="bad\n")
    canary = server.push("Go faster still", code="worse\n")
    branch = server.propose(canary, stable)
    assert server.log(f"main..{branch}") == ['Revert "Go faster"', 'Revert "Go faster still"']
    assert server.bare.content(branch, Path(CODE)) == "good\n"


@pytest.mark.requirement("ROLLOUT-003")
def test_a_second_notice_changes_nothing_and_the_proposal_is_one_push_away_from_what_served(server: Server) -> None:
    stable = server.push("Start", code="good\n")
    canary = server.push("Go faster", code="bad\n")
    branch = server.propose(canary, stable)
    first = server.bare.commit(branch)
    assert (server.propose(canary, stable), server.bare.commit(branch)) == (branch, first)
    assert proposed(server.bare) == {"gateway": branch}
    server.fork.git("fetch", "--quiet", str(server.bare.root), branch)
    server.fork.git("merge", "--quiet", "--ff-only", "FETCH_HEAD")
    assert server.push("Nothing of the gateway", **{"README.md": "More to read.\n"}) == stable
    assert proposed(server.bare) == {}, "main has moved on"


@pytest.mark.requirement("ROLLOUT-003")
def test_what_main_no_longer_asks_for_is_not_reverted(server: Server) -> None:
    stable = server.push("Start", code="good\n")
    canary = server.push("Go faster", code="bad\n")
    server.push("Mend it", code="mended\n")
    with pytest.raises(Problem, match="not what main asks for now"):
        server.propose(canary, stable)
    assert server.bare.git("branch", "--list", "revert/*") == ""


@pytest.mark.requirement("ROLLOUT-003")
def test_what_cannot_be_reverted_by_itself_is_left_to_a_person_and_nothing_is_written(server: Server) -> None:
    stable = server.push("Start", code="good\n")
    canary = server.push("Go faster", code="bad\n")
    unknown = {**stable, "spec": {"containers": [{"image": "from elsewhere"}]}}
    with pytest.raises(Problem, match=r"docs/runbooks/aborted-canary\.md"):
        server.propose(canary, unknown)
    assert server.bare.git("branch", "--list", "revert/*") == ""
    assert server.bare.git("worktree", "list").count("\n") == 0


def test_a_branch_is_named_after_the_service_and_the_commit() -> None:
    assert branch_of("gateway", "0123456789abcdef") == "revert/gateway-0123456789ab"


@pytest.mark.parametrize(
    ("live", "told", "same"),
    [
        ({"a": 1, "default": True}, {"a": 1}, True),
        ({"a": 1}, {"a": 2}, False),
        ({}, {"a": 1}, False),
        ({"limits": {"cpu": "1"}}, {"limits": {"cpu": "1000m"}}, True),
        ({"limits": {"cpu": "1"}}, {"limits": {"cpu": "2000m"}}, False),
        ([1, 2], [1], False),
        ({"tmp": {}}, {"tmp": {}}, True),
        ({}, {"readOnly": False}, True),
        ({"readOnly": True}, {"readOnly": False}, False),
    ],
)
def test_live_pods_are_what_was_told_but_for_what_the_api_server_adds(live: Any, told: Any, *, same: bool) -> None:
    assert is_made_of(live, told) is same
