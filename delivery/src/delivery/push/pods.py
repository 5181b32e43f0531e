"""What pods that do not become ready say, for a person who pushed them."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from sandbox.commands import CommandFailed
from sandbox.kubectl import Kubectl, Pod, trouble_of

_LINES = 3
_RESTARTS = 3
# Longer than any startupProbe here gives. Rollouts itself does not count: while a canary is not ready it stops before
# it looks at progressDeadlineSeconds ("delaying destination rule switch").
_PATIENCE = timedelta(seconds=75)
# The kubelet's words for what another minute does not mend.
_HOPELESS = {"CreateContainerConfigError", "ErrImageNeverPull", "ErrImagePull", "ImagePullBackOff", "InvalidImageName"}
_WIDTH = 600


def hopeless(kubectl: Kubectl, namespace: str, since: datetime, now: datetime) -> list[str]:
    """Return the pods of this push that cannot begin, end again and again, or run and do not become ready."""
    try:
        pods = kubectl.pods(f"--namespace={namespace}")
    except CommandFailed:
        return []
    new = [pod for pod in pods if _created(pod) >= since]
    return [f"{trouble_of(pod)}: it does not come up" for pod in new if trouble_of(pod) and _is_hopeless(pod, now)]


def _created(pod: Pod) -> datetime:
    return datetime.fromisoformat(pod["metadata"]["creationTimestamp"])


def _is_hopeless(pod: Pod, now: datetime) -> bool:
    if pod["status"]["phase"] == "Running" and now - _created(pod) > _PATIENCE:
        return True
    containers = (*pod["status"].get("initContainerStatuses", []), *pod["status"].get("containerStatuses", []))
    reasons = {each["state"].get("waiting", {}).get("reason", "") for each in containers}
    return bool(reasons & _HOPELESS) or any(each.get("restartCount", 0) >= _RESTARTS for each in containers)


def last_words(kubectl: Kubectl, namespace: str) -> Iterator[str]:
    """Return each pod that is not ready, with the last lines that it wrote."""
    for pod in kubectl.pods(f"--namespace={namespace}"):
        if trouble := trouble_of(pod):
            yield trouble
            yield from (f"  {line[:_WIDTH]}" for line in _log(kubectl, pod).splitlines()[-_LINES:])


def _log(kubectl: Kubectl, pod: Pod) -> str:
    name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
    command = ("logs", name, f"--namespace={namespace}", "--all-containers", f"--tail={_LINES}")
    try:
        # Of a container that starts again, what it said before it ended.
        return kubectl.run(*command) or kubectl.run(*command, "--previous")
    except CommandFailed:
        return ""  # it never wrote anything: its state says why
