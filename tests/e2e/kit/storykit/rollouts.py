"""Somebody who looks at a rollout all the time: its phase, its weights, and when each of them came."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from delivery.rollouts.read import KINDS, Rollout, rollouts
from local_stack.eventually import eventually
from sandbox.commands import CommandFailed

from storykit.cluster import Cluster

_PAUSE_S = 0.5


@dataclass(frozen=True, slots=True)
class Look:
    """What a rollout was, by the monotonic clock."""

    at: float
    rollout: Rollout


@dataclass(slots=True)
class Looks:
    """All that was seen of one rollout."""

    service: str
    seen: list[Look] = field(default_factory=list)

    def weights(self) -> list[int]:
        """Return the weights of the canary in the order in which they came."""
        weights = [each.rollout.weight or 0 for each in self.seen]
        return [weight for before, weight in zip([None, *weights], weights, strict=False) if weight != before]

    def first(self, is_so: Callable[[Rollout], bool]) -> float:
        """Return when something was so for the first time."""
        times = [each.at for each in self.seen if is_so(each.rollout)]
        assert times, f"{self.service} never was so; it was {[each.rollout.phase for each in self.seen[-3:]]}"
        return times[0]

    def began(self) -> float:
        """Return when the canary got its first weight."""
        return self.first(lambda rollout: bool(rollout.weight))

    def ended(self) -> float:
        """Return when it got none any more."""
        began = self.began()
        times = [each.at for each in self.seen if each.at > began and not each.rollout.weight]
        assert times, f"the canary of {self.service} still has weight"
        return times[0]

    def heaviest(self) -> int:
        """Return the largest weight that a canary had."""
        return max(self.weights(), default=0)

    def canary(self) -> str:
        """Return the revision of the last canary that was seen."""
        return next(each.rollout.canary.hash for each in reversed(self.seen) if each.rollout.canary)


@contextmanager
def looking(cluster: Cluster, service: str) -> Iterator[Looks]:
    """Look from the beginning to the end of a block."""
    looks, finished = Looks(service), threading.Event()

    def look() -> None:
        while not finished.is_set():
            with suppress(CommandFailed, LookupError):  # an API server that is busy answers the next time
                looks.seen.append(Look(time.monotonic(), rollout_of(cluster, service)))
            finished.wait(_PAUSE_S)

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        eventually(lambda: looks.seen, within=20)
        yield looks
    finally:
        finished.set()
        thread.join()


def rollout_of(cluster: Cluster, service: str) -> Rollout:
    """Return what a rollout is now."""
    told = cluster.kubectl.run("get", KINDS, f"--namespace={cluster.namespace}", "--output=json")
    found = {each.service: each for each in rollouts(json.loads(told)["items"])}
    return found[service]


def abort(cluster: Cluster, service: str) -> None:
    """Abort a rollout as `kubectl argo rollouts abort` does."""
    _tell(cluster, service, abort=True)


def retry(cluster: Cluster, service: str) -> None:
    """Begin an aborted one again as `kubectl argo rollouts retry rollout` does."""
    _tell(cluster, service, abort=False)


def promote(cluster: Cluster, service: str) -> None:
    """Skip what is left of a rollout as `kubectl argo rollouts promote --full` does."""
    _tell(cluster, service, promoteFull=True)


def _tell(cluster: Cluster, service: str, **status: bool) -> None:
    where = (f"rollout/{service}", f"--namespace={cluster.namespace}", "--subresource=status", "--type=merge")
    cluster.kubectl.run("patch", *where, "--patch", json.dumps({"status": status}))


@contextmanager
def held(cluster: Cluster, service: str) -> Iterator[None]:
    """Let a rollout stay at its step for a block, as `kubectl argo rollouts pause` does."""
    where = (f"rollout/{service}", f"--namespace={cluster.namespace}", "--type=merge")
    cluster.kubectl.run("patch", *where, "--patch", json.dumps({"spec": {"paused": True}}))
    try:
        yield
    finally:
        cluster.kubectl.run("patch", *where, "--patch", json.dumps({"spec": {"paused": None}}))


def serving(cluster: Cluster, service: str, revision: str) -> dict[str, int]:
    """Return the pods of one revision that do not go, and how often each began again."""
    return {
        pod["metadata"]["name"]: sum(each["restartCount"] for each in pod["status"].get("containerStatuses", []))
        for pod in cluster.get("pods", f"--selector=app.kubernetes.io/name={service}")["items"]
        if pod["metadata"]["labels"].get("rollouts-pod-template-hash") == revision
        and "deletionTimestamp" not in pod["metadata"]
    }
