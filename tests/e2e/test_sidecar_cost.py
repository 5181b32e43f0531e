"""What sidecars cost: the same calls through the same services, with sidecars and without, in turn."""

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from statistics import median

import pytest
from local_stack.eventually import eventually
from local_stack.settings import ROOT
from storykit.chain import CALLER, Call, Chain, as_deployed, calls, chain
from storykit.clone import Clone
from storykit.cluster import SERVICES, Cluster
from storykit.costs import CALLERS, OTHER, OWN, SIDECARS, WITH, WITHOUT, Cost, Round, costs_of, page
from storykit.story import Story
from storykit.usage import Container

NAMESPACES = {WITHOUT: "fairlead-without-sidecars", WITH: "fairlead-with-sidecars"}
SEVEN = 7
ROUNDS, CALLS, WARM_UP = 7, 1000, 200
SETTLED_S = 60.0
PAGE = ROOT / "artifacts" / "e2e" / "sidecar-cost.md"


@pytest.mark.requirement("E2E-080")
@pytest.mark.timeout(1800)
def test_the_same_calls_are_answered_with_sidecars_and_without_and_what_both_cost_is_measured(
    cluster: Cluster, clone: Clone, story: Story
) -> None:
    environment = as_deployed(cluster, clone)
    chains: dict[str, Chain] = {}
    measured: dict[str, dict[str, list[Round]]] = {}
    with ExitStack() as stack:
        for side, name in NAMESPACES.items():
            with story.given(f"one pod of each service, {side}"):
                chains[side] = stack.enter_context(chain(cluster, environment, name, sidecars=side == WITH))
        with story.then("all pods have sidecars on one side, and none on the other"):
            assert {side: with_sidecar(each) for side, each in chains.items()} == {
                WITHOUT: [],
                WITH: sorted((*SERVICES, CALLER)),
            }
            memory = {side: at_rest(each) for side, each in chains.items()}
        for call in calls():
            with story.when(f"each side is asked for {ROUNDS} times {CALLS:,} answers: {call.name}"):
                measured[call.name] = in_turn(chains, call)
    with story.then("all were given, and right"):
        rounds = [each for sides in measured.values() for side in sides.values() for each in side]
        assert [(each.calls, each.label) for each in rounds] == [(CALLS, SEVEN)] * (
            ROUNDS * len(chains) * len(measured)
        )
    costs = {name: list(costs_of(sides)) for name, sides in measured.items()}
    for name, of_call in costs.items():
        record(story, name, of_call)
    for service in SERVICES:
        story.measured(f"sidecar of {service} at rest", round(memory[WITH][service, SIDECARS], 1), unit="MiB")
    PAGE.write_text(page(costs, memory, rounds=ROUNDS, calls=CALLS))
    print(f"\n{PAGE.read_text()}\n  written to {PAGE.relative_to(ROOT)}")


def in_turn(chains: Mapping[str, Chain], call: Call) -> dict[str, list[Round]]:
    """Ask one side and the other, every second time in reverse order: a noisy moment hits both alike."""
    for each in chains.values():
        await_answers(each, call)
    rounds: dict[str, list[Round]] = {side: [] for side in chains}
    for number in range(ROUNDS):
        for side in (WITHOUT, WITH) if number % 2 else (WITH, WITHOUT):
            rounds[side].append(one_round(chains[side], chains[OTHER[side]], call))
    return rounds


def await_answers(asked: Chain, call: Call) -> None:
    """Policies, endpoints and certificates of new pods take seconds to arrive; and the first calls are dearer."""
    with suppress(AssertionError):  # what failed says more
        eventually(lambda: not asked.ask(call, WARM_UP).failed, within=SETTLED_S, every=1)
    assert asked.ask(call, WARM_UP).failed == ""


def one_round(asked: Chain, other: Chain, call: Call) -> Round:
    used, rested, began = cpu(asked), cpu(other), time.monotonic()
    answers = asked.ask(call, CALLS)
    assert not answers.failed, f"{asked.namespace}, after {len(answers.milliseconds)} answers: {answers.failed}"
    seconds = time.monotonic() - began
    return Round(
        calls=len(answers.milliseconds),
        label=answers.label,
        p50_ms=median(answers.milliseconds),
        seconds=seconds,
        used={part: value - used[part] for part, value in cpu(asked).items()},
        rested={part: value - rested[part] for part, value in cpu(other).items()},
    )


def cpu(of: Chain) -> dict[str, float]:
    used = dict.fromkeys((OWN, SIDECARS, CALLERS), 0.0)
    for container in of.containers:
        if part := part_of(container):
            used[part] += container.cpu_seconds()
    return used


def at_rest(of: Chain) -> dict[tuple[str, str], float]:
    return {(each.service, part_of(each)): each.memory_bytes() / 2**20 for each in of.containers}


def part_of(container: Container) -> str:
    """The caller itself is no part of what is measured."""
    if container.service == CALLER:
        return CALLERS if container.is_sidecar else ""
    return SIDECARS if container.is_sidecar else OWN


def with_sidecar(of: Chain) -> list[str]:
    return sorted(each.service for each in of.containers if each.is_sidecar)


def record(story: Story, call: str, costs: Sequence[Cost]) -> None:
    for cost in costs:
        for side, values in cost.sides.items():
            if any(values):
                story.measured(f"{call}, {side}: {cost.name}", round(median(values), 3), unit=cost.unit)
        if cost.ratios:
            story.measured(f"{call}: {cost.name}, with against without", round(median(cost.ratios), 2), unit="x")
