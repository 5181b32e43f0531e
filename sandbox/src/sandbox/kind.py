"""The provider for machines with Docker and kind: upstream's own images, pulled from upstream."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from sandbox.cache import Cache
from sandbox.checks import Finding
from sandbox.commands import output_of, succeeds
from sandbox.kubectl import Kubectl
from sandbox.problem import Problem
from sandbox.progress import Progress
from sandbox.settings import TOOLS, SandboxSettings
from sandbox.upstream import METRICS, Manifests

_CLUSTER = "fairlead"
_REGISTRY = "fairlead-registry"
_REGISTRY_PORT = 5001
_CREATE_S = 900
_REPOSITORIES = {
    "github.com/argoproj/argo-cd/v3": "https://github.com/argoproj/argo-cd",
    METRICS.module: "https://github.com/kubernetes-sigs/metrics-server",
}
_CONFIGURATION = """\
kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
containerdConfigPatches:
  - |-
    [plugins."io.containerd.grpc.v1.cri".registry]
      config_path = "/etc/containerd/certs.d"
"""
_MIRROR = f'[host."http://{_REGISTRY}:5000"]\n  capabilities = ["pull", "resolve"]\n'


class KindProvider:
    """A kind cluster, which brings storage and enforces network policies itself."""

    name = "kind"
    namespaces = ("kube-system", "local-path-storage")

    def __init__(self, settings: SandboxSettings) -> None:
        self._settings = settings
        self._cache = Cache(settings.cache)

    def requirements(self, *, running: bool) -> Iterator[Finding]:
        """Look at the programs, and whether Docker answers."""
        del running
        for program in ("docker", "git", "kind", "kubectl"):
            there = shutil.which(program)
            yield Finding(program) if there else Finding(program, f"{program} is not installed.", f"Install {program}.")
        if shutil.which("docker") and not succeeds(["docker", "info"]):
            yield Finding("docker", "Docker does not answer.", "Start Docker, and see that `docker info` works.")

    def up(self, progress: Progress) -> Kubectl:
        """Create the cluster and its registry, add metrics."""
        with progress.step("kind creates the cluster"):
            if not self.running():
                command = ["kind", "create", "cluster", f"--name={_CLUSTER}", "--wait=120s", "--config=-"]
                output_of(
                    [*command, f"--kubeconfig={self._settings.kubeconfig}"], text=_CONFIGURATION, timeout_s=_CREATE_S
                )
        with progress.step("registry"):
            self._start_registry()
        kubectl = self.kubectl()
        with progress.step("metrics"):
            kubectl.apply(self.manifests().render(METRICS))
        return kubectl

    def manifests(self) -> Manifests:
        """Return the access to upstream's manifests, cloned at the versions that sandbox/tools pins."""
        return Manifests(self._clone, ("kubectl", "kustomize"))

    def kubectl(self) -> Kubectl:
        """Return the access to the cluster."""
        return Kubectl(Path(shutil.which("kubectl") or "kubectl"), self._settings.kubeconfig)

    def running(self) -> bool:
        """Say whether kind knows the cluster."""
        return bool(shutil.which("kind")) and _CLUSTER in output_of(["kind", "get", "clusters"]).split()

    def host_address(self) -> str:
        """Return this machine's address on kind's network."""
        gateway = "{{range .IPAM.Config}}{{.Gateway}} {{end}}"
        addresses = output_of(["docker", "network", "inspect", "kind", f"--format={gateway}"]).split()
        return next(address for address in addresses if ":" not in address)

    def registry_address(self) -> str:
        """Return the registry's port on this machine."""
        return f"localhost:{_REGISTRY_PORT}"

    def findings(self) -> Iterator[Finding]:
        """Look at the cluster and its registry."""
        yield Finding("kind") if self.running() else Finding("kind", "The cluster does not exist.", "make cluster")
        inspect = ["docker", "inspect", "--format={{.State.Running}}", _REGISTRY]
        there = succeeds(inspect) and output_of(inspect).strip() == "true"
        yield Finding("registry") if there else Finding("registry", "It does not run.", "make cluster")

    def down(self, progress: Progress) -> None:
        """Delete the cluster and the registry."""
        with progress.step("kind deletes the cluster"):
            output_of(["kind", "delete", "cluster", f"--name={_CLUSTER}"], timeout_s=300)
            output_of(["docker", "rm", "--force", "--volumes", _REGISTRY])

    def _start_registry(self) -> None:
        if not succeeds(["docker", "inspect", _REGISTRY]):
            ports = f"--publish=127.0.0.1:{_REGISTRY_PORT}:5000"
            run = ["docker", "run", "--detach", "--restart=always", "--network=kind", ports, f"--name={_REGISTRY}"]
            output_of([*run, "docker.io/library/registry:2"], timeout_s=_CREATE_S)
        folder = f"/etc/containerd/certs.d/{self.registry_address()}"
        node = f"{_CLUSTER}-control-plane"
        output_of(["docker", "exec", node, "mkdir", "-p", folder])
        output_of(["docker", "exec", "--interactive", node, "tee", f"{folder}/hosts.toml"], text=_MIRROR)

    def _clone(self, family: str, module: str) -> Path:
        version = _pinned(family, module)
        entry = self._cache.path("sources", f"{family}-clone", inputs=[module, version])
        clone = ["git", "clone", "--quiet", "--depth=1", f"--branch={version}", _REPOSITORIES[module]]

        def build(made: Path) -> None:
            output_of([*clone, str(made)], timeout_s=_CREATE_S)

        return self._cache.make(entry, build)


def _pinned(family: str, module: str) -> str:
    file = TOOLS / family / "go.mod"
    found = re.search(rf"{re.escape(module)} (v[\w.]+)", file.read_text())
    if not found:
        raise Problem(f"{file} does not pin {module}.", "Restore it: git checkout sandbox/tools")
    return found[1]
