"""What a commit makes of a service's pods, and whether that is what some pods are."""

from collections.abc import Mapping
from typing import Any

from delivery.images.inputs import copied, dockerfile_of
from delivery.manifests import Manifest, of_kind
from delivery.quantities import NotAQuantity, quantity
from delivery.rendering import Renderer
from delivery.repository import Repository
from delivery.stages import release_path


def pod_template(objects: list[Manifest], service: str) -> Mapping[str, Any]:
    """Return the template of a service's pods; empty when it has none."""
    workloads = [each for each in of_kind(objects, "Deployment", "StatefulSet", "Rollout") if each.name == service]
    return next((dict(found) for each in workloads if (found := each.at("spec", "template"))), {})


def is_made_of(live: Any, told: Any) -> bool:
    """Say whether a live object is what it was told to be; it may have more, for the API server adds defaults."""
    if isinstance(told, Mapping):
        return isinstance(live, Mapping) and all(is_made_of(live.get(key), value) for key, value in told.items())
    if isinstance(told, list):
        return (
            isinstance(live, list)
            and len(live) == len(told)
            and all(is_made_of(*pair) for pair in zip(live, told, strict=True))
        )
    if not told:
        return not live  # false, empty and nothing are one to it
    return bool(live == told) or _same_quantity(live, told)


def source_of(tree: Repository, renderer: Renderer, service: str, environment: str) -> str:
    """Return all in a checkout that decides a service's pods: what its image is made of, and what is rendered."""
    dockerfile = dockerfile_of(service)
    inputs = [str(dockerfile), *copied(tree.root / dockerfile)]
    image = tree.git("ls-tree", "-r", "HEAD", "--", *inputs)
    return f"{image}\n{renderer.text(tree.root / release_path(environment, service).parents[1])}"


def _same_quantity(live: Any, told: Any) -> bool:
    """Compare 1000m with 1, as the API server writes it."""
    try:
        return quantity(live) == quantity(told)
    except NotAQuantity:
        return False
