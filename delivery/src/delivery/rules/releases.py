"""Rules for release files and for what environments must have in common."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from delivery.declarations import Declaration
from delivery.environments import Environment
from delivery.findings import Finding

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_PIN = re.compile(r"([a-z0-9_-]+)@(sha256:[0-9a-f]{64})")
_KEYS = {"apiVersion", "kind", "images", "configMapGenerator"}
_UNRELEASED = "unreleased"


def every_service_is_everywhere(
    environments: Sequence[Environment], services: Mapping[str, Declaration]
) -> Iterator[Finding]:
    """Each environment runs each service, and what one needs is not dropped from another."""
    for environment in environments:
        for name in sorted(set(services) - set(environment.apps)):
            says = f"{name} is missing: add clusters/{environment.name}/apps/{name}, or remove its deploy/base"
            yield Finding(f"clusters/{environment.name}", "every-service-is-everywhere", says)
        for name in sorted({path.parent.name for path in environment.folder.glob("apps/*/*.yaml")} - set(services)):
            says = f"{name} is no service, so no rule reads it, but Argo CD runs it: add services/{name}/service.yaml"
            yield Finding(f"clusters/{environment.name}/apps/{name}", "every-service-is-everywhere", says)
        for name, app in environment.apps.items():
            kinds = {each.kind for each in app.objects}
            wanted = {"ServiceAccount", "ConfigMap", "Service", "PodDisruptionBudget", "NetworkPolicy"}
            if missing := wanted - kinds:
                says = f"drops {', '.join(sorted(missing))}, which every service needs"
                yield Finding(f"clusters/{environment.name}/apps/{name}", "every-service-is-everywhere", says)


def releases_stand_alone(environments: Sequence[Environment], models: Path) -> Iterator[Finding]:
    """A release file holds digests of images and of the model, nothing that belongs to one environment."""
    for environment in environments:
        for service in environment.apps:
            path = environment.release(service)
            where = f"clusters/{environment.name}/apps/{service}/release/kustomization.yaml"
            content = yaml.safe_load(path.read_text()) if path.is_file() else {}
            for says in _mistakes(content, service, environment, models):
                yield Finding(where, "releases-stand-alone", says)
    yield from _released_alike(environments)


def _mistakes(content: Mapping[str, Any], service: str, environment: Environment, models: Path) -> Iterator[str]:
    if strange := set(content) - _KEYS:
        yield f"holds {', '.join(sorted(strange))}; promotion copies it, so only images and the model pin belong in it"
    images = content.get("images", [])
    if f"fairlead/{service}" not in [image.get("name") for image in images]:
        yield f"does not name fairlead/{service}"
    for image in images:
        rest = {key: value for key, value in image.items() if key != "name"}
        released = set(rest) == {"digest"} and _DIGEST.fullmatch(rest["digest"])
        if not released and rest != {"newTag": _UNRELEASED}:
            yield f"{image.get('name')} is {rest}: give it a digest sha256:<64 hex digits>, nothing else"
    literals = [line for row in content.get("configMapGenerator", []) for line in row.get("literals", [])]
    if service == "inference" and not literals:
        yield "pins no model: INFERENCE_PINS=model@sha256:<64 hex digits>"
    for name, _, value in (line.partition("=") for line in literals):
        if name == "INFERENCE_PINS":
            yield from _bad_pins(value, models)
        else:
            yield f"{name} is no part of a release: it belongs in clusters/{environment.name}/apps/{service}"


def _bad_pins(pins: str, models: Path) -> Iterator[str]:
    for pin in pins.split(","):
        if not (found := _PIN.fullmatch(pin)):
            yield f"{pin!r} is no pin: write model@sha256:<64 hex digits>"
        elif not _is_recorded(models, found[1], found[2]):
            yield f"models/{found[1]}/releases has no record of {found[2]}"


def _is_recorded(models: Path, model: str, digest: str) -> bool:
    record = models / model / "releases" / f"{digest.removeprefix('sha256:')[:12]}.yaml"
    return record.is_file() and yaml.safe_load(record.read_text())["digest"] == digest


def _released_alike(environments: Sequence[Environment]) -> Iterator[Finding]:
    """A fresh fork has released nothing; the first release of an image writes every environment that tracks main."""
    digests: dict[str, dict[str, bool]] = {}
    for environment in environments:
        if environment.facts.revision == "main":
            for service in environment.apps:
                for image in _images(environment.release(service)):
                    where = f"clusters/{environment.name}/apps/{service}/release/kustomization.yaml"
                    digests.setdefault(image["name"], {})[where] = "digest" in image
    for name, released in digests.items():
        if any(released.values()):
            for where in (where for where, has_digest in released.items() if not has_digest):
                says = (
                    f"{name} is unreleased here and has a digest elsewhere: the first release writes every environment"
                )
                yield Finding(where, "releases-stand-alone", says)


def _images(release: Path) -> list[Mapping[str, str]]:
    content = yaml.safe_load(release.read_text()) if release.is_file() else {}
    return list(content.get("images", []))


def selectors_agree(environments: Sequence[Environment]) -> Iterator[Finding]:
    """A workload has the same selector, name and kind everywhere: a selector cannot be changed in a running one."""
    for service in sorted({name for each in environments for name in each.apps}):
        shapes: dict[str, list[str]] = {}
        for environment in environments:
            if service in environment.apps:
                shape = [
                    f"{each} selects {each.at('spec', 'selector')}"
                    for each in environment.apps[service].objects
                    if each.kind in ("Deployment", "StatefulSet", "Service")
                ]
                shapes.setdefault("; ".join(sorted(shape)), []).append(environment.name)
        if len(shapes) > 1:
            says = f"differs between environments: {shapes}"
            yield Finding(f"services/{service}/deploy", "selectors-agree", says)
