"""Rollouts as the API server describes them: phase, step, weight, revisions and their analyses."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from delivery.manifests import dig
from delivery.rollouts.analyses import Analysis

KINDS = (
    "rollouts.argoproj.io,analysisruns.argoproj.io,deployments.apps,replicasets.apps,"
    "virtualservices.networking.istio.io,configmaps"
)
"""What is asked for in one call."""
_HASH = "rollouts-pod-template-hash"
_PINS = "INFERENCE_PINS"
_SHORT = 12


@dataclass(frozen=True, slots=True)
class Revision:
    """What one ReplicaSet runs."""

    hash: str
    runs: str
    """Image and, for who serves models, their digests, short."""


@dataclass(frozen=True, slots=True)
class Rollout:
    """One service on its way from one revision to the next, or at rest."""

    service: str
    phase: str
    """healthy, canary, held, paused, aborted, degraded, or what Argo Rollouts says besides."""
    message: str
    step: str
    weight: int | None
    """Percent of calls that the canary gets, as the VirtualService says; None without one."""
    intended: int | None
    """The same, as Argo Rollouts says."""
    lost_routes: tuple[str, ...]
    """Names of those that a step has set and that are gone: stable answers who came by them."""
    stable: Revision
    canary: Revision | None
    analyses: tuple[Analysis, ...]

    @property
    def under_way(self) -> bool:
        """Whether it is not at an end yet."""
        return self.phase not in {"healthy", "held", "aborted", "degraded"}

    @property
    def well(self) -> bool:
        """Whether it ended as git says, which may be to wait for a person."""
        return self.phase in {"healthy", "held"}


def rollouts(items: Iterable[Mapping[str, Any]]) -> list[Rollout]:
    """Return every rollout among the objects of a namespace."""
    objects = list(items)
    found = [each for each in objects if each["kind"] == "Rollout"]
    return [_rollout(each, objects) for each in sorted(found, key=lambda item: str(item["metadata"]["name"]))]


def _rollout(item: Mapping[str, Any], objects: list[Mapping[str, Any]]) -> Rollout:
    status, name = item.get("status", {}), str(item["metadata"]["name"])
    stable, current = status.get("stableRS", ""), status.get("currentPodHash", "")
    own = [each for each in objects if _owner(each) == name]
    revisions = {revision.hash: revision for revision in _revisions(own, objects)}
    unknown = Revision(current, "")
    return Rollout(
        service=name,
        phase=_phase(item, objects),
        message=status.get("message", ""),
        step=_step(item),
        weight=_weight(item, objects),
        intended=dig(status, "canary", "weights", "canary", "weight"),
        lost_routes=_lost_routes(item, objects),
        stable=revisions.get(stable, Revision(stable, "")),
        canary=revisions.get(current, unknown) if current != stable else None,
        analyses=tuple(_analyses(own, current)),
    )


def _phase(item: Mapping[str, Any], objects: Iterable[Mapping[str, Any]]) -> str:
    status = item.get("status", {})
    # Until the controller has seen a change, its status is about the one before.
    observed, template = status.get("observedGeneration", ""), status.get("workloadObservedGeneration", "")
    if str(observed) != str(item["metadata"].get("generation", "")):
        return "not seen yet"
    wanted = dig(item, "spec", "workloadRef", "name")
    for each in objects:
        is_its_template = (each["kind"], each["metadata"]["name"]) == ("Deployment", wanted)
        if is_its_template and str(template) != str(each["metadata"].get("generation", "")):
            return "not seen yet"
    if status.get("abort"):
        return "aborted"
    phase = str(status.get("phase", "unknown")).lower()
    pauses = {each.get("reason") for each in status.get("pauseConditions", [])}
    waits = phase == "paused" and pauses == {"CanaryPauseStep"}
    if waits and _is_held(item):
        return "held"
    as_planned = phase == "progressing" or waits
    return "canary" if as_planned and status.get("stableRS") != status.get("currentPodHash") else phase


def _is_held(item: Mapping[str, Any]) -> bool:
    """Say whether git tells it to wait, at this step, until a person promotes it; as Argo CD's health check does."""
    pause = _current_step(item).get("pause")
    return pause is not None and not pause.get("duration") and not dig(item, "spec", "paused", default=False)


def _steps(item: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    steps: Sequence[Mapping[str, Any]] = dig(item, "spec", "strategy", "canary", "steps", default=[])
    return steps


def _current_step(item: Mapping[str, Any]) -> Mapping[str, Any]:
    steps, index = _steps(item), dig(item, "status", "currentStepIndex")
    return steps[index] if index is not None and index < len(steps) else {}


def _step(item: Mapping[str, Any]) -> str:
    step = _current_step(item)
    return f"step {item['status']['currentStepIndex'] + 1} of {len(_steps(item))}: {_said(step)}" if step else ""


def _said(step: Mapping[str, Any]) -> str:
    [(kind, value), *_] = step.items()
    if kind == "setWeight":
        return f"weight {value} %"
    if kind == "pause":
        duration = (value or {}).get("duration")
        return f"pause {duration}" if duration else "pause until promoted"
    if kind == "analysis":
        return "analysis " + ", ".join(each["templateName"] for each in value.get("templates", []))
    if kind == "setHeaderRoute":
        return f"route {value['name']} to the canary" if value.get("match") else f"no route {value['name']}"
    return str(kind)


def _weight(item: Mapping[str, Any], objects: Iterable[Mapping[str, Any]]) -> int | None:
    routing = dig(item, "spec", "strategy", "canary", "trafficRouting", default={})
    subset = dig(routing, "istio", "destinationRule", "canarySubsetName")
    # Those lead all that they match to the canary: no weight.
    managed = {each["name"] for each in routing.get("managedRoutes", [])}
    weighed = [each for each in _routes(item, objects) if each.get("name") not in managed]
    rows = [row for each in weighed for row in each.get("route", [])]
    return next((row.get("weight", 0) for row in rows if dig(row, "destination", "subset") == subset), None)


def _lost_routes(item: Mapping[str, Any], objects: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """Return routes that steps have set and that are gone: after a crash Argo Rollouts does not set them again."""
    status = item.get("status", {})
    ended = status.get("abort") or status.get("promoteFull") or status.get("stableRS") == status.get("currentPodHash")
    done = 0 if ended else status.get("currentStepIndex") or 0
    steps = _steps(item)[:done]
    there = {each.get("name") for each in _routes(item, objects)}
    return tuple(sorted({dig(each, "setHeaderRoute", "name") for each in steps if "setHeaderRoute" in each} - there))


def _routes(item: Mapping[str, Any], objects: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    wanted = dig(item, "spec", "strategy", "canary", "trafficRouting", "istio", "virtualService", "name")
    found = (each for each in objects if (each["kind"], each["metadata"]["name"]) == ("VirtualService", wanted))
    return list(dig(next(found, {}), "spec", "http", default=[]))


def _revisions(own: Iterable[Mapping[str, Any]], objects: list[Mapping[str, Any]]) -> Iterator[Revision]:
    settings = {each["metadata"]["name"]: each.get("data", {}) for each in objects if each["kind"] == "ConfigMap"}
    for each in own:
        if each["kind"] == "ReplicaSet":
            containers = dig(each, "spec", "template", "spec", "containers", default=[])
            parts = [f"image {short(container['image'])}" for container in containers[:1]]
            parts += [f"model {model}" for model in _models(containers, settings)]
            yield Revision(each["metadata"]["labels"].get(_HASH, ""), ", ".join(parts))


def _models(containers: Iterable[Mapping[str, Any]], settings: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    for container in containers:
        for source in container.get("envFrom", []):
            pins = settings.get(dig(source, "configMapRef", "name", default=""), {}).get(_PINS, "")
            for pin in filter(None, pins.split(",")):
                yield short(pin)


def _analyses(own: Iterable[Mapping[str, Any]], current: str) -> list[Analysis]:
    """Return the analyses of the revision that git asks for, oldest first."""
    found = [Analysis.read(each) for each in own if each["kind"] == "AnalysisRun"]
    return sorted((each for each in found if each.revision == current), key=lambda each: each.created)


def _owner(item: Mapping[str, Any]) -> str:
    owners = item["metadata"].get("ownerReferences", [])
    return next((str(each["name"]) for each in owners if each["kind"] == "Rollout"), "")


def short(reference: str) -> str:
    """Return an image's or a model's digest as it is told to people."""
    return reference.rpartition("@")[2].rpartition(":")[2][:_SHORT]
