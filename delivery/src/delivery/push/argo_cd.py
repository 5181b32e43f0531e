"""Tell Argo CD of a commit, and wait until it runs."""

import http.client
import json
import subprocess
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sandbox.commands import CommandFailed
from sandbox.kubectl import Kubectl
from sandbox.problem import Problem
from sandbox.progress import Step

from delivery.push.pods import hopeless, last_words
from delivery.push.received import DEPLOYED
from delivery.push.rollout import Application, waiting
from delivery.rollouts.told import aborted, found, refused, under_way, unsettled

_SERVICES = "/api/v1/namespaces/argocd/services"
# One answers for applications, the other for what makes them.
_RECEIVERS = (
    f"{_SERVICES}/https:argocd-server:https/proxy/api/webhook",
    f"{_SERVICES}/http:argocd-applicationset-controller:webhook/proxy/api/webhook",
)
_REFRESH = "argocd.argoproj.io/refresh=normal"
# A canary of each service that changed, one wave after another; what goes wrong is told by the cluster much earlier.
_DEADLINE_S = 900.0
_CLOCKS = timedelta(seconds=5)
"""Kubernetes tells times in whole seconds, and pods of this push may have begun while Argo CD was told of it."""
_POLL_S = 1.0
_SURE = 15


@dataclass(frozen=True, slots=True)
class ArgoCD:
    """Argo CD in the sandbox."""

    kubectl: Kubectl

    def has_root(self) -> bool:
        """Say whether the one object that is applied by hand was applied."""
        found = self.kubectl.run("get", "applications", "--namespace=argocd", "--output=name")
        return "application.argoproj.io/root" in found.split()

    def apply(self, folder: Path) -> None:
        """Apply a kustomization."""
        self.kubectl.run("apply", "--server-side", f"--kustomize={folder}")

    def notify(self, repository: str, *, before: str, commit: str, changed: Iterable[str]) -> None:
        """Send what a Git host's webhook sends; otherwise Argo CD looks every few minutes."""
        event = {
            "ref": DEPLOYED,
            "before": before,
            "after": commit,
            "repository": {"html_url": repository.removesuffix(".git"), "default_branch": "main"},
            "commits": [{"id": commit, "added": [], "removed": [], "modified": sorted(changed)}],
        }
        with self._proxy() as port:
            for receiver in _RECEIVERS:
                _post(port, receiver, json.dumps(event))
        # It skips applications whose files did not change, and they would not say that they run this commit.
        self.kubectl.run("annotate", "applications", "--all", "--overwrite", "--namespace=argocd", _REFRESH)

    def wait(self, wanted: Iterable[str], commit: str, step: Step, *, namespace: str) -> None:
        """Return when every application runs the commit; raise Problem with the reason when one cannot."""
        deadline, began = time.monotonic() + _DEADLINE_S, datetime.now(UTC) - _CLOCKS
        wanted, failing = list(wanted), 0
        while missing := [
            *waiting(applications := self._applications(), wanted, commit),
            *unsettled(rollouts := found(self.kubectl, namespace)),
        ]:
            step.detail = "; ".join((under_way(rollouts) or missing)[:3])
            failures = [failure for each in applications if (failure := each.failure(commit))]
            failures = failures or refused(rollouts)
            failures = failures or hopeless(self.kubectl, namespace, began, datetime.now(UTC))
            # What mends begins in the state that it mends.
            failing = failing + 1 if failures else 0
            if failing > _SURE or time.monotonic() > deadline:
                reasons = (
                    *(failures or missing),
                    *aborted(rollouts),
                    *last_words(self.kubectl, namespace),
                )
                why = "\n".join(f"    {line}" for line in reasons)
                raise Problem(
                    f"The commit does not run:\n{why}",
                    f"What ran before keeps serving. Look closer: kubectl get pods --namespace={namespace}",
                )
            time.sleep(_POLL_S)
        step.detail = "synced, healthy, smoke passed"

    def _applications(self) -> list[Application]:
        try:
            told = json.loads(self.kubectl.run("get", "applications", "--namespace=argocd", "--output=json"))
        except CommandFailed:
            return []  # an API server that starts again is waited for like everything else
        return [Application.read(item) for item in told["items"]]

    @contextmanager
    def _proxy(self) -> Iterator[int]:
        """Open a way to the cluster's services through the API server, with kubectl's credentials."""
        command = [str(self.kubectl.program), f"--kubeconfig={self.kubectl.kubeconfig}", "proxy", "--port=0"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            try:
                said = process.stdout.readline() if process.stdout else ""
                if not said.startswith("Starting to serve"):
                    raise Problem("kubectl proxy does not start.", "Look at: make doctor")
                yield int(said.rpartition(":")[2])
            finally:
                process.terminate()


def _post(port: int, path: str, body: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("POST", path, body, {"Content-Type": "application/json", "X-GitHub-Event": "push"})
        answer = connection.getresponse()
        if answer.status != http.client.OK:
            said = answer.read(300).decode(errors="replace")
            raise Problem(f"Argo CD refused to be told of the commit: {answer.status} {said}", "Look at: make doctor")
    finally:
        connection.close()
