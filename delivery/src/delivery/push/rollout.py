"""What Argo CD says of its applications, in words that a person who pushed understands."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

_FAILED = {"Failed", "Error"}


@dataclass(frozen=True, slots=True)
class Application:
    """An application as Argo CD reports it."""

    name: str
    source: str
    """The repository it comes from."""
    sync: str
    health: str
    revision: str
    phase: str
    operated: str
    message: str
    trouble: str

    @classmethod
    def read(cls, item: Mapping[str, Any]) -> Self:
        """Read it from the API server's answer; what was never synced has hardly any status."""
        status = item.get("status", {})
        operation = status.get("operationState", {})
        sync = status.get("sync", {})
        return cls(
            item["metadata"]["name"],
            item.get("spec", {}).get("source", {}).get("repoURL", ""),
            sync.get("status", "Unknown"),
            status.get("health", {}).get("status", "Unknown"),
            sync.get("revision", ""),
            operation.get("phase", ""),
            operation.get("syncResult", {}).get("revision", ""),
            operation.get("message", ""),
            _trouble(status),
        )

    def waits_for(self, commit: str) -> str:
        """Return what it still lacks to run a commit, or without one what git tells it; empty when it does."""
        if commit and self.revision != commit:
            return f"{self.name}: {self.trouble or 'has not seen the commit'}"
        if self.sync != "Synced":
            return f"{self.name}: {self.phase.lower() or 'not yet'} syncing"
        if self.phase == "Running":
            return f"{self.name}: {self.message or 'syncing'}"
        if self.health != "Healthy":
            return f"{self.name}: {self.health.lower()}"
        return ""

    def failure(self, commit: str) -> str:
        """Return why a commit cannot be deployed; empty while there is hope."""
        if self.operated == commit and self.phase in _FAILED:
            return f"{self.name}: {self.message}"
        if self.operated == commit and self.health == "Degraded":
            return f"{self.name}: its pods do not become ready, or are not what callers should get"
        return ""


def waiting(applications: Iterable[Application], wanted: Iterable[str], commit: str) -> Iterator[str]:
    """Return what is missing until every wanted application runs a commit, and addons of upstream's what they pin."""
    known = {each.name: each for each in applications}
    ours = {known[name].source for name in wanted if name in known}
    for name in sorted(set(wanted) | set(known)):
        if name not in known:
            yield f"{name}: not there yet"
        elif lacks := known[name].waits_for(commit if known[name].source in ours else ""):
            yield lacks


def _trouble(status: Mapping[str, Any]) -> str:
    return "; ".join(each.get("message", "") for each in status.get("conditions", []))
