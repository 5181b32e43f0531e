"""Rollouts in the few words that the output of a push has for them."""

import json
from collections.abc import Iterable, Iterator

from sandbox.commands import CommandFailed
from sandbox.kubectl import Kubectl

from delivery.rollouts import read
from delivery.rollouts.read import KINDS, Rollout


def found(kubectl: Kubectl, namespace: str) -> list[Rollout]:
    """Return the rollouts of a namespace; none while nobody answers, or knows what a rollout is."""
    try:
        told = kubectl.run("get", KINDS, f"--namespace={namespace}", "--output=json")
        return read.rollouts(json.loads(told)["items"])
    except CommandFailed:
        return []


def under_way(rollouts: Iterable[Rollout]) -> list[str]:
    """Return how far the canaries are."""
    canaries = [each for each in rollouts if each.canary and each.under_way and each.stable.hash]
    return [f"{each.service}: canary at {each.weight or 0} %, {each.step or each.phase}" for each in canaries]


def unsettled(rollouts: Iterable[Rollout]) -> list[str]:
    """Return what is not at an end yet, also where Argo CD takes the state before a change for the one after it."""
    return [f"{each.service}: {each.phase}" for each in rollouts if each.under_way]


def refused(rollouts: Iterable[Rollout]) -> list[str]:
    """Return which rollouts Argo Rollouts does not begin with, and why; Argo CD waits for those without an end."""
    return [f"{each.service}: {each.message}" for each in rollouts if each.message.startswith("InvalidSpec")]


def held(kubectl: Kubectl, namespace: str) -> list[str]:
    """Return which canaries wait for a person, as git tells them to, and what to type."""
    return [
        f"{each.service}: its canary is held at {each.weight or 0} %; on with it: {promotion(each, namespace)}"
        for each in found(kubectl, namespace)
        if each.phase == "held"
    ]


def promotion(rollout: Rollout, namespace: str) -> str:
    """Return the command that promotes a canary by one step."""
    return f"kubectl argo rollouts promote {rollout.service} --namespace={namespace}"


def aborted(rollouts: Iterable[Rollout]) -> Iterator[str]:
    """Return which rollouts went back to stable, and what was measured."""
    for each in rollouts:
        if each.phase == "aborted":
            yield f"{each.service}: the rollout was aborted, stable serves; its revert is proposed: make rollouts"
            yield from (f"  {line}" for line in reasons(each))


def reasons(rollout: Rollout) -> list[str]:
    """Return which measurements stopped it, with their values, or what Argo Rollouts says."""
    failed = [
        metric for analysis in rollout.analyses if analysis.failed for metric in analysis.metrics if metric.failed
    ]
    return [f"- {each}" for each in failed] or [f"- {rollout.message}"]
