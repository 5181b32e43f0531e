"""A Kubernetes object as read from YAML, with the few questions that rules ask of it."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

WORKLOADS = frozenset({"Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob", "AnalysisTemplate"})
SERVERS = frozenset({"Deployment", "StatefulSet", "DaemonSet"})
NAME_LABEL = "app.kubernetes.io/name"


@dataclass(frozen=True, slots=True)
class Manifest:
    """One object."""

    content: Mapping[str, Any]

    @classmethod
    def parse_all(cls, text: str) -> list["Manifest"]:
        """Read a stream of documents."""
        return [cls(document) for document in yaml.load_all(text, Loader=yaml.CSafeLoader) if document]

    @property
    def kind(self) -> str:
        """The kind, without its group."""
        return str(self.content.get("kind", ""))

    @property
    def group(self) -> str:
        """The API group; empty for the core."""
        group, slash, _version = str(self.content.get("apiVersion", "")).partition("/")
        return group if slash else ""

    @property
    def name(self) -> str:
        """The object's name."""
        return str(self.at("metadata", "name", default=""))

    @property
    def namespace(self) -> str:
        """The namespace; empty when it has none."""
        return str(self.at("metadata", "namespace", default=""))

    @property
    def labels(self) -> Mapping[str, str]:
        """The object's own labels."""
        return dict(self.at("metadata", "labels", default={}))

    @property
    def annotations(self) -> Mapping[str, str]:
        """The object's own annotations."""
        return dict(self.at("metadata", "annotations", default={}))

    def at(self, *path: str | int, default: Any = None) -> Any:
        """Return what lies at a path of keys and indexes, or the default."""
        return dig(self.content, *path, default=default)

    @property
    def pod(self) -> Mapping[str, Any]:
        """The spec of the pods that this workload makes."""
        return dict(self.at(*self._template, "spec", default={}))

    @property
    def pod_labels(self) -> Mapping[str, str]:
        """The labels of the pods that this workload makes."""
        return dict(self.at(*self._template, "metadata", "labels", default={}))

    @property
    def pod_annotations(self) -> Mapping[str, str]:
        """The annotations of the pods that this workload makes."""
        return dict(self.at(*self._template, "metadata", "annotations", default={}))

    @property
    def _template(self) -> tuple[str | int, ...]:
        inside: dict[str, tuple[str | int, ...]] = {
            "CronJob": ("jobTemplate", "spec"),
            "AnalysisTemplate": ("metrics", 0, "provider", "job", "spec"),
        }
        return ("spec", *inside.get(self.kind, ()), "template")

    @property
    def containers(self) -> list[Mapping[str, Any]]:
        """All containers of the pods, the first ones included that end before the others begin."""
        return [*self.pod.get("containers", []), *self.pod.get("initContainers", [])]

    def __str__(self) -> str:
        """Return kind and name."""
        return f"{self.kind} {self.name}"


def dig(content: Any, *path: str | int, default: Any = None) -> Any:
    """Return what lies at a path of keys and indexes, or the default."""
    for step in path:
        try:
            content = content[step]
        except (KeyError, IndexError, TypeError):
            return default
    return content


def of_kind(objects: Iterable[Manifest], *kinds: str) -> Iterator[Manifest]:
    """Return the objects of these kinds."""
    return (each for each in objects if each.kind in kinds)
