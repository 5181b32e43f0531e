"""kubectl with the sandbox's credentials, and waiting until workloads are healthy."""

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import NotRequired, TypedDict

from sandbox.commands import CommandFailed, output_of, succeeds
from sandbox.problem import Problem
from sandbox.progress import Step

_POLL_S = 1.0
_NEW = timedelta(seconds=30)


class _Condition(TypedDict):
    type: str
    status: str


class _Waiting(TypedDict, total=False):
    reason: str
    message: str


class _State(TypedDict, total=False):
    waiting: _Waiting


class _Container(TypedDict):
    state: _State
    restartCount: NotRequired[int]


class _Status(TypedDict, total=False):
    phase: str
    conditions: list[_Condition]
    containerStatuses: list[_Container]
    initContainerStatuses: list[_Container]


class _Metadata(TypedDict):
    name: str
    namespace: str
    creationTimestamp: str
    labels: dict[str, str]


class Pod(TypedDict):
    """What is read of a pod."""

    metadata: _Metadata
    status: _Status


@dataclass(frozen=True, slots=True)
class Kubectl:
    """The program and the credentials it uses."""

    program: Path
    kubeconfig: Path

    def run(self, *arguments: str, text: str = "", timeout_s: float = 120) -> str:
        """Run kubectl and return what it prints."""
        return output_of(
            [str(self.program), f"--kubeconfig={self.kubeconfig}", *arguments], text=text, timeout_s=timeout_s
        )

    def await_api(self, *, timeout_s: float) -> None:
        """Wait until the API server is ready: after a restart of the node it takes some seconds."""
        deadline = time.monotonic() + timeout_s
        while not succeeds([str(self.program), f"--kubeconfig={self.kubeconfig}", "get", "--raw=/readyz"]):
            if time.monotonic() > deadline:
                raise Problem(f"The API server is not ready after {timeout_s:.0f} s.", "Look closer with: make doctor")
            time.sleep(_POLL_S)

    def apply(self, manifests: str, *, namespace: str = "") -> None:
        """Apply server-side, as the only way in which large definitions go through."""
        where = [f"--namespace={namespace}"] if namespace else []
        self.run("apply", "--server-side", "--force-conflicts", *where, "--filename=-", text=manifests)

    def pods(self, *selection: str) -> list[Pod]:
        """Return the selected pods, of all namespaces unless told otherwise."""
        found: list[Pod] = json.loads(self.run("get", "pods", *(selection or ("--all-namespaces",)), "--output=json"))[
            "items"
        ]
        return found

    def wait_until_healthy(self, step: Step, *, timeout_s: float, namespaces: Sequence[str]) -> None:
        """Wait until every pod of these namespaces is ready; say meanwhile, and in the error, which are not."""
        deadline = time.monotonic() + timeout_s
        while unready := list(self._unready(namespaces)):
            step.detail = f"waiting for {', '.join(unready[:4])}"
            if time.monotonic() > deadline:
                lines = "\n".join(f"    {line}" for line in unready)
                raise Problem(f"Not healthy after {timeout_s:.0f} s:\n{lines}", "Look closer with: make doctor")
            time.sleep(_POLL_S)
        step.detail = ""

    def _unready(self, namespaces: Sequence[str]) -> Iterator[str]:
        for namespace in namespaces:
            try:
                pods = self.pods(f"--namespace={namespace}")
            except CommandFailed as failure:
                yield f"{namespace}: {failure.output.strip()[-120:]}"
                continue
            if not pods:
                yield f"any pod in {namespace}"
            yield from (trouble for pod in pods if (trouble := trouble_of(pod)))


def is_new(pod: Pod, now: datetime) -> bool:
    """Say whether a pod may still be on its way to ready."""
    return now - datetime.fromisoformat(pod["metadata"]["creationTimestamp"]) < _NEW


def trouble_of(pod: Pod) -> str:
    """Return why a pod is not ready, empty when it is or has done its work."""
    status = pod["status"]
    if status.get("phase") == "Succeeded":
        return ""
    if any(each["type"] == "Ready" and each["status"] == "True" for each in status.get("conditions", [])):
        return ""
    name = f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
    for container in (*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])):
        reason = container["state"].get("waiting", {}).get("reason", "")
        if reason not in {"", "PodInitializing", "ContainerCreating"}:
            return f"{name} ({reason})"
    return f"{name} ({status.get('phase', 'unknown')})"
