"""Staging runs in place of local, from a fork of its own, and gets a release by promotion."""

import re
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from delivery.environments import Facts
from delivery.images.inputs import Inputs
from delivery.images.library import Library
from delivery.push.release_files import write_releases
from delivery.stages import release_path
from local_stack.eventually import eventually
from local_stack.first_picture import ask_rest
from sandbox.commands import output_of
from sandbox.progress import Progress, Step
from storykit.changes import another_title, pinned
from storykit.clone import Clone
from storykit.cluster import Cluster
from storykit.fork import bring_up, make_fork, refresh
from storykit.rollouts import promote, rollout_of
from storykit.story import Story

UP_S, BEGUN_S, PROMOTED_S = 600.0, 180.0, 300.0
FIRST_WEIGHT = 10


@pytest.fixture
def fork(cluster: Cluster, clone: Clone) -> Clone:
    """A fork on the sandbox's git server, in the same folder."""
    return make_fork(cluster, clone, "fork")


@pytest.fixture
def staging(cluster: Cluster, fork: Clone) -> Cluster:
    facts = fork.folder / "clusters" / "staging" / "facts"
    return replace(cluster, namespace="fairlead-staging", facts=facts)


@pytest.mark.requirement("E2E-008")
@pytest.mark.timeout(1800)
def test_staging_comes_up_from_a_fork_and_is_promoted_to_by_a_copied_file(
    fork: Clone, staging: Cluster, story: Story, progress: Progress
) -> None:
    with story.given("a fork that changed its origin, and passes every check"):
        output_of([sys.executable, "-m", "delivery", "check", str(fork.folder)], timeout_s=300)
    with story.when("its staging is brought up in place of local"):
        first = fork.push().commit
        bring_up(staging, fork.folder / "clusters" / "staging" / "root")
        applied = time.monotonic()
    with story.then("all of it runs from git and answers the golden prediction") as step:
        eventually(lambda: nothing_lacks(staging, first, step), within=UP_S, every=2.0)
        story.measured("staging, from its root object to smoke passed", time.monotonic() - applied)
        with staging.forward("service/gateway", 8080) as url:
            answer = ask_rest(url, staging.access())
        assert (answer.label, answer.digest) == ("7", pinned(fork))
    with story.when("dev has a new gateway, and it is promoted"):
        title, digest = released_to_dev(fork, progress)
        branch = promoted(fork)
        fork.git("merge", "--quiet", "--ff-only", branch)
        second = fork.push().commit
        refresh(staging)
    with story.then("its release file is dev's, byte for byte, and nothing else changed"):
        contents = {(fork.folder / release_path(name, "gateway")).read_bytes() for name in ("dev", "staging")}
        assert len(contents) == 1
        assert digest.encode() in contents.pop()
        assert fork.git("diff", "--name-only", "HEAD~1").split() == [str(release_path("staging", "gateway"))]
    with story.then("it begins there as a canary of few calls"):
        eventually(lambda: rollout_of(staging, "gateway").weight == FIRST_WEIGHT, within=BEGUN_S, every=1)
    with story.when("somebody promotes it at once, for its steps take half an hour"):
        promote(staging, "gateway")
    with story.then("staging runs it") as step:
        # A forward takes any pod of the Service, and pods of the version before stay for a while.
        eventually(lambda: answering(staging) == title, within=PROMOTED_S, every=2.0)
        eventually(lambda: nothing_lacks(staging, second, step), within=PROMOTED_S, every=2.0)


def released_to_dev(fork: Clone, progress: Progress) -> tuple[str, str]:
    """Commit a change of the gateway and its release to dev, as the release workflow does; return title and digest."""
    title = another_title(fork)
    fork.commit("Rename the API")
    library = Library(Path.home() / ".cache" / "fairlead", progress)
    with library.held():
        image = library.image(Inputs.of(fork.folder, "gateway"))
        library.push(image, Facts.read(fork.folder / "clusters" / "staging" / "facts").registry)
    write_releases(fork.folder, "dev", {"gateway": image.digest})
    fork.commit("Release the gateway to dev")
    return title, image.digest


def promoted(fork: Clone) -> str:
    """Run make promote's program in the fork and return the branch that it made."""
    program = [sys.executable, "-m", "delivery.promotion", "promote", "--print"]
    said = output_of(
        [*program, "--service", "gateway", "--from", "dev", "--to", "staging"], cwd=fork.folder, timeout_s=300
    )
    [branch] = re.findall(r"on branch (\S+?),", said)
    return str(branch)


def answering(staging: Cluster) -> str:
    with staging.forward("service/gateway", 8080) as url:
        return replace(staging, rest=url).version()


def nothing_lacks(cluster: Cluster, commit: str, step: Step) -> bool:
    lacks = cluster.lacks(commit)
    step.detail = "; ".join(lacks[:3])
    return not lacks
