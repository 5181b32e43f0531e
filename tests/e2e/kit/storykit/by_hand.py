"""What people do to a live cluster by hand, and waiting until it is undone."""

import json
import re
import time
from dataclasses import dataclass
from typing import Protocol

from storykit.cluster import Cluster

UNDONE_S = 60


class ByHand(Protocol):
    """A change of a live object."""

    def undone(self, cluster: Cluster) -> float:
        """Make it, and return after how many seconds it was undone."""
        ...


@dataclass(frozen=True, slots=True)
class Edited:
    """One field of a live object gets another value, as by kubectl edit."""

    kind: str
    name: str
    pointer: str
    value: object
    namespace: str = ""

    def undone(self, cluster: Cluster) -> float:
        """Make it, and return after how many seconds it was undone."""
        where = f"--namespace={self.namespace or cluster.namespace}"
        path = f"jsonpath={{{self._path()}}}"
        before = cluster.kubectl.run("get", self.kind, self.name, where, f"--output={path}")
        patch = json.dumps([{"op": "replace", "path": self.pointer, "value": self.value}])
        began = time.monotonic()
        after = cluster.kubectl.run(
            "patch", self.kind, self.name, where, "--type=json", f"--patch={patch}", f"--output={path}"
        )
        assert after != before, f"{self.kind} {self.name} was {before} already"
        cluster.kubectl.run("wait", f"{self.kind}/{self.name}", where, f"--for={path}={before}", _timeout())
        return time.monotonic() - began

    def _path(self) -> str:
        """Return what the pointer points at in kubectl's own language."""
        steps = self.pointer.strip("/").split("/")
        return "".join(f"[{step}]" if step.isdecimal() else f".{step}" for step in steps)

    def __str__(self) -> str:
        """Say what was done."""
        field = next(step for step in reversed(self.pointer.split("/")) if not step.isdecimal())
        return f"{self.kind} {_without_hash(self.name)} got another {field}"


@dataclass(frozen=True, slots=True)
class Deleted:
    """A live object is deleted."""

    kind: str
    name: str
    namespace: str = ""

    def undone(self, cluster: Cluster) -> float:
        """Make it, and return after how many seconds it was undone."""
        where = f"--namespace={self.namespace or cluster.namespace}"
        uid = "--output=jsonpath={.metadata.uid}"
        before = cluster.kubectl.run("get", self.kind, self.name, where, uid)
        began = time.monotonic()
        cluster.kubectl.run("delete", self.kind, self.name, where)
        cluster.kubectl.run("wait", f"{self.kind}/{self.name}", where, "--for=create", _timeout())
        after = cluster.kubectl.run("get", self.kind, self.name, where, uid)
        assert after != before, f"{self.kind} {self.name} was never gone"
        return time.monotonic() - began

    def __str__(self) -> str:
        """Say what was done."""
        return f"{self.kind} {_without_hash(self.name)} was deleted"


def _timeout() -> str:
    return f"--timeout={UNDONE_S}s"


def _without_hash(name: str) -> str:
    """Leave out what kustomize appends to the names of ConfigMaps: figures of two commits are of the same thing."""
    return re.sub(r"-[a-z0-9]{10}$", "", name)
