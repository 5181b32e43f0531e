"""The cluster that stories happen on: what it runs, and what its door answers."""

import json
import subprocess
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Self

from delivery.door.local import LocalDoor
from delivery.environments import Facts
from delivery.push.rollout import Application, waiting
from delivery.repository import Repository
from delivery.stages import LOCAL
from local_stack.access import Access
from local_stack.eventually import eventually
from local_stack.first_picture import Answer, ask_grpc, ask_rest
from sandbox.commands import CommandFailed
from sandbox.git_service import REPOSITORY, GitService
from sandbox.kubectl import Kubectl, Pod
from sandbox.problem import Problem
from sandbox.settings import HOST_IP, NODE_IP, ROOT, SandboxSettings

ADDONS = tuple(sorted(each.parent.name for each in ROOT.glob("platform/addons/*/application.yaml")))
SERVICES = ("gateway", "inference", "monitoring", "preprocessing")
_DOOR = f"{NODE_IP}:30443"
_READY_S = 5.0


@dataclass(frozen=True, slots=True)
class Cluster:
    """A sandbox that runs, and the environment local on it."""

    kubectl: Kubectl
    repository: str
    """Where to push to."""
    git_folder: Path
    """The bare repository behind it."""
    namespace: str = "fairlead-local"
    rest: str = f"https://{_DOOR}"
    """The door, as callers outside the cluster reach it."""
    grpc: str = _DOOR
    """The same for gRPC."""
    facts: Path = ROOT / "clusters" / LOCAL / "facts"
    """What says whose tokens the door takes."""

    @classmethod
    def running(cls) -> Self:
        """Return the sandbox of this machine; raise Problem with what to type when there is none."""
        settings = SandboxSettings.read()
        git = GitService(settings, HOST_IP)
        cluster = cls(Kubectl(settings.bin / "kubectl", settings.kubeconfig), git.url, git.repositories / REPOSITORY)
        try:
            cluster.kubectl.run("get", "--raw=/readyz", timeout_s=_READY_S)
        except (CommandFailed, OSError) as failure:
            raise Problem("These stories need a sandbox, and none answers.", "Start it: make cluster") from failure
        if not git.answers():
            raise Problem("The sandbox's git server does not answer.", "Look closer: make doctor")
        return cluster

    @property
    def door(self) -> LocalDoor:
        """What makes certificates and tokens."""
        return LocalDoor.of(Facts.read(self.facts), SandboxSettings.read())

    @property
    def ca(self) -> Path:
        """The certificate that callers trust."""
        return self.door.authority.certificate

    def token(self, *scopes: str, subject: str = "story", lifetime: timedelta = timedelta(hours=2)) -> str:
        """Return a token: for predictions and feedback, unless other scopes are named."""
        return self.door.token(subject, scopes or ("predict", "feedback"), lifetime)

    def access(self, *scopes: str, subject: str = "story") -> Access:
        """Return what a caller trusts and brings."""
        return Access(self.ca, self.token(*scopes, subject=subject))

    def predict(self) -> tuple[Answer, Answer]:
        """Send the picture of a seven over REST and over gRPC."""
        access = self.access()
        return ask_rest(self.rest, access), ask_grpc(self.grpc, access)

    def version(self) -> str:
        """Return the title of the API description: stories change it to tell versions apart."""
        with urllib.request.urlopen(f"{self.rest}/openapi.json", timeout=20, context=self.access().context()) as answer:
            return str(json.load(answer)["info"]["title"])

    def model(self) -> str:
        """Return the digest of the model that answers."""
        return ask_rest(self.rest, self.access()).digest

    def get(self, *what: str, namespace: str = "") -> Any:
        """Return objects as the API server gives them: get("deployment", "gateway")."""
        return json.loads(self.kubectl.run("get", *what, f"--namespace={namespace or self.namespace}", "--output=json"))

    def pods(self, service: str) -> list[Pod]:
        """Return the pods of a service, also those that come or go."""
        return self.kubectl.pods(f"--namespace={self.namespace}", f"--selector=app.kubernetes.io/name={service}")

    def applications(self) -> Mapping[str, Application]:
        """Return what Argo CD says of each of its applications."""
        found = self.get("applications", namespace="argocd")["items"]
        return {each.name: each for each in map(Application.read, found)}

    def runs_local(self) -> bool:
        """Say whether it is local that Argo CD keeps here; a story may have put another environment in its place."""
        return any(map(_is_local, self.get("applications", namespace="argocd")["items"]))

    def deployed(self) -> str:
        """Return the commit that Argo CD tracks: the tip of deploy/local."""
        return Repository(self.git_folder).git("for-each-ref", "--format=%(objectname)", "refs/heads/deploy/local")

    def lacks(self, commit: str = "") -> list[str]:
        """Return what is missing until every application runs a commit and is healthy, by default the deployed one."""
        return list(waiting(self.applications().values(), ["root", *SERVICES], commit or self.deployed()))

    def await_healthy(self, *, within: float = 300.0) -> None:
        """Wait until all that is deployed is synced and healthy."""
        lacks = self.lacks()

        def healthy() -> bool:
            lacks[:] = self.lacks()
            return not lacks

        try:
            eventually(healthy, within=within, every=1.0)
        except AssertionError:
            raise AssertionError(f"not healthy within {within:g} s: {'; '.join(lacks)}") from None

    @contextmanager
    def forward(self, workload: str, port: int) -> Iterator[str]:
        """Open what has no door, as people do, by port-forward: forward("statefulset/monitoring", 8081) gives a URL."""
        options = [f"--kubeconfig={self.kubectl.kubeconfig}", f"--namespace={self.namespace}"]
        command = [str(self.kubectl.program), *options, "port-forward", workload, f":{port}"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
            try:
                said = process.stdout.readline() if process.stdout else ""
                assert said.startswith("Forwarding from"), f"kubectl port-forward {workload}: {said or 'failed'}"
                yield f"http://{said.split()[2]}"
            finally:
                process.terminate()


def _is_local(application: Any) -> bool:
    name, path = application["metadata"]["name"], application["spec"].get("source", {}).get("path")
    return (name, path) == ("root", "clusters/local/argocd")
