"""What a service says of itself: service.yaml, its image's environment, its settings."""

import importlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

EDGE = "edge"
LOCALHOST = "localhost"
KUBELET = "kubelet"
ROLLOUTS = "argo-rollouts"


@dataclass(frozen=True, slots=True)
class Port:
    """A port that a service listens on."""

    name: str
    number: int
    protocol: str
    open_to: frozenset[str]
    methods: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """By peer, the gRPC methods that it calls here: package.Service/Method."""

    @property
    def in_the_pod(self) -> bool:
        """Whether anything outside the process can reach it."""
        return LOCALHOST not in self.open_to

    @property
    def in_the_service(self) -> bool:
        """Whether the Kubernetes Service has it; operations and metrics are asked pod by pod."""
        return self.in_the_pod and KUBELET not in self.open_to


@dataclass(frozen=True)
class Declaration:
    """A service, as its own folder describes it."""

    folder: Path

    @property
    def name(self) -> str:
        """The service's name, which is its folder's."""
        return self.folder.name

    @cached_property
    def content(self) -> Mapping[str, Any]:
        """service.yaml."""
        return dict(yaml.safe_load((self.folder / "service.yaml").read_text()))

    @cached_property
    def ports(self) -> tuple[Port, ...]:
        """Every port, also those that only the process itself uses."""
        return tuple(map(_port, self.content["ports"]))

    @cached_property
    def image_environment(self) -> Mapping[str, str]:
        """The settings that the CPU image brings along."""
        dockerfile = (self.folder / "Dockerfile").read_text()
        return dict(re.findall(rf"\b({self.prefix}[A-Z_]+)=(\S+)", dockerfile))

    @property
    def prefix(self) -> str:
        """What the names of its settings begin with."""
        return f"{self.name.upper()}_"

    @cached_property
    def settings(self) -> Any:
        """The Settings class."""
        return importlib.import_module(f"{self.name}.settings").Settings


def _port(row: Mapping[str, Any]) -> Port:
    methods = {peer: frozenset(names) for peer, names in row.get("methods", {}).items()}
    return Port(row["name"], row["port"], row["protocol"], frozenset(row["from"]), methods)


def declared_services(root: Path) -> dict[str, Declaration]:
    """Return the services that are deployed, by name."""
    return {base.parents[1].name: Declaration(base.parents[1]) for base in sorted(root.glob("services/*/deploy/base"))}
