"""What pods that do not become ready say, for a person who pushed them."""

from collections.abc import Iterator

from sandbox.commands import CommandFailed
from sandbox.kubectl import Kubectl, Pod, trouble_of

_LINES = 3
_WIDTH = 600


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
