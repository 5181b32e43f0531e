"""What containers use, from their control groups: this machine's kernel counts it, whatever the node is made of."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from delivery.manifests import NAME_LABEL

from sandbox import cgroups
from storykit.cluster import Cluster

SIDECAR = "istio-proxy"
# Of version 1 and of version 2.
_CPU = ("cpuacct.usage", "cpu.stat")
_MEMORY = ("memory.stat", "memory.stat")


@dataclass(frozen=True, slots=True)
class Container:
    """A container that runs, and where its use is counted."""

    service: str
    name: str
    cpu: Path
    memory: Path

    @property
    def is_sidecar(self) -> bool:
        """Whether it is the mesh's and not the service's own."""
        return self.name == SIDECAR

    def cpu_seconds(self) -> float:
        """Return the CPU time that it has used so far."""
        if self.cpu.name == _CPU[0]:
            return int(self.cpu.read_text()) / 1e9
        return _counts(self.cpu)["usage_usec"] / 1e6

    def memory_bytes(self) -> int:
        """Return what it holds for itself: pages of files count for whoever happened to read them first."""
        counts = _counts(self.memory)
        return counts["total_rss"] if "total_rss" in counts else counts["anon"]


def containers(cluster: Cluster, namespace: str) -> list[Container]:
    """Return every container that runs in a namespace."""
    found = {}
    for pod in cluster.get("pods", namespace=namespace)["items"]:
        status, service = pod["status"], pod["metadata"]["labels"][NAME_LABEL]
        # A sidecar is an init container that stays.
        for each in (*status["containerStatuses"], *status.get("initContainerStatuses", [])):
            if "running" in each["state"]:
                found[each["containerID"].rpartition("/")[2]] = (service, each["name"])
    cpu, memory = _files("cpuacct", _CPU, found), _files("memory", _MEMORY, found)
    return [Container(*found[container], cpu[container], memory[container]) for container in found]


def _files(controller: str, names: tuple[str, str], wanted: Mapping[str, object]) -> dict[str, Path]:
    """Find the file in each container's group; a machine with both versions has its controllers in the first."""
    found: dict[str, Path] = {}
    for hierarchy in sorted(cgroups.of_this_machine(), key=lambda each: each.version):
        if hierarchy.version == 1 and controller not in hierarchy.controllers.split(","):
            continue
        for folder, groups, _ in os.walk(hierarchy.mount):
            for group in groups:
                for container in wanted:
                    if container in group:
                        found.setdefault(container, Path(folder, group, names[hierarchy.version - 1]))
    return found


def _counts(file: Path) -> dict[str, int]:
    return {name: int(value) for name, value in map(str.split, file.read_text().splitlines())}
