"""What a provider of a Kubernetes owes to everything above it."""

from collections.abc import Iterator
from typing import Protocol

from sandbox.checks import Finding
from sandbox.kubectl import Kubectl
from sandbox.progress import Progress
from sandbox.upstream import Manifests


class Provider(Protocol):
    """One way to get a Kubernetes with a registry, storage, metrics and enforced network policies."""

    name: str
    namespaces: tuple[str, ...]
    """Where its own pods are."""

    def requirements(self, *, running: bool) -> Iterator[Finding]:
        """Look at what this machine must have."""
        ...

    def up(self, progress: Progress) -> Kubectl:
        """Bring the cluster up, continuing where an earlier command was killed."""
        ...

    def manifests(self) -> Manifests:
        """Return the access to upstream's manifests."""
        ...

    def kubectl(self) -> Kubectl:
        """Return the access to a cluster that is up."""
        ...

    def running(self) -> bool:
        """Say whether anything of the cluster runs."""
        ...

    def host_address(self) -> str:
        """Return this machine's address as pods see it."""
        ...

    def registry_address(self) -> str:
        """Return the registry that takes images from this machine."""
        ...

    def findings(self) -> Iterator[Finding]:
        """Look at the running cluster below Kubernetes."""
        ...

    def down(self, progress: Progress) -> None:
        """Remove the cluster and everything of it from this machine."""
        ...
