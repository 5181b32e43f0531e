"""What is broken is refused, or never takes traffic; what ran before keeps serving."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial

import pytest
from storykit.callers import Callers
from storykit.changes import another_digest, another_title, ends_at_once, is_never_ready, pinned
from storykit.clone import Clone
from storykit.cluster import Cluster
from storykit.story import Story, following
from storykit.watcher import watching

CallersOf = Callable[[], AbstractContextManager[Callers]]
BASE = "services/gateway/deploy/base"


def breaks_a_rule(clone: Clone) -> None:
    clone.replace(f"{BASE}/deployment.yaml", "readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false")


def does_not_render(clone: Clone) -> None:
    clone.replace(f"{BASE}/kustomization.yaml", "- deployment.yaml", "- no-such-file.yaml")


def drops_an_object(clone: Clone) -> None:
    clone.replace(f"{BASE}/kustomization.yaml", "  - poddisruptionbudget.yaml\n", "")


@pytest.mark.core
@pytest.mark.requirement("E2E-005")
@pytest.mark.parametrize(
    ("mistake", "says"),
    [
        (breaks_a_rule, "readOnlyRootFilesystem"),
        (does_not_render, "no-such-file.yaml"),
        (drops_an_object, "drops PodDisruptionBudget, which every service needs"),
    ],
    ids=["breaks a rule", "does not render", "drops an object"],
)
def test_a_mistake_in_the_manifests_is_refused_with_what_to_mend(
    cluster: Cluster, clone: Clone, story: Story, mistake: Callable[[Clone], None], says: str
) -> None:
    before = clone.main()
    with story.when(f"a commit that {mistake.__name__.replace('_', ' ')} is pushed") as step:
        mistake(clone)
        clone.commit("Change the gateway's manifests")
        push = clone.push(on_line=partial(following, step))
    with story.then("git says no, what is wrong and how to see it"):
        assert not push.accepted
        assert says in push.output
        assert "make check" in push.output
    with story.then("nothing has changed"):
        assert clone.main() == before
        cluster.await_healthy()


@pytest.mark.requirement("E2E-006")
@pytest.mark.parametrize(
    ("mistake", "words"),
    [pytest.param(is_never_ready, "(Running)", marks=pytest.mark.core), (ends_at_once, "no settings today")],
    ids=["is never ready", "ends at once"],
)
def test_a_broken_gateway_never_takes_traffic_and_a_revert_mends_it(
    cluster: Cluster,
    clone: Clone,
    callers: CallersOf,
    story: Story,
    *,
    mistake: Callable[[Clone], None],
    words: str,
) -> None:
    name = mistake.__name__.replace("_", " ")
    with callers() as load, watching(cluster.version) as watcher:
        with story.given("callers of every kind, answered by what is committed here"):
            old = cluster.version()
        with story.when(f"a gateway that {name} is pushed") as step:
            another_title(clone)
            mistake(clone)
            broken = clone.commit("Break the gateway")
            push = clone.push(on_line=partial(following, step))
        with story.then("the push says that it does not run, which pod it is and what it last said"):
            assert push.accepted
            assert not push.deployed
            why = push.output.partition("does not run")[2]
            assert f"{cluster.namespace}/gateway-" in why
            assert words in why
        with story.when("it is reverted") as step:
            clone.revert(broken)
            back = clone.push(on_line=partial(following, step))
            assert back.deployed, back.output
    story.measured(f"push of a gateway that {name}, to the reason", push.seconds)
    story.measured("revert of it, to its end", back.seconds)
    with story.then("nobody met it, and no request was lost"):
        assert watcher.versions() == {old}
        assert load.sent()
        assert load.lost() == []


@pytest.mark.requirement("E2E-007")
def test_a_model_whose_bytes_are_not_its_digest_is_never_served(
    cluster: Cluster, clone: Clone, callers: CallersOf, story: Story
) -> None:
    with callers() as load, watching(cluster.model) as watcher:
        with story.given("a model that is what its digest says"):
            model = pinned(clone)
            assert cluster.model() == model
        with story.when("a digest is pinned that its bytes do not have") as step:
            another_digest(clone)
            broken = clone.commit("Pin another model")
            push = clone.push(on_line=partial(following, step))
        with story.then("the push says which pod does not run, and that its files are not what is pinned"):
            assert push.accepted
            assert not push.deployed
            why = push.output.partition("does not run")[2]
            assert f"{cluster.namespace}/inference-" in why
            assert "but the pin is" in why
        with story.when("it is reverted") as step:
            clone.revert(broken)
            back = clone.push(on_line=partial(following, step))
            assert back.deployed, back.output
    story.measured("push of a wrong model digest, to the reason", push.seconds)
    with story.then("every answer came from the old model, and no request was lost"):
        assert watcher.versions() == {model}
        assert load.sent()
        assert load.lost() == []
