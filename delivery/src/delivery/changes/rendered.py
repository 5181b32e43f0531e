"""Everything that the environments of a checkout render to, object by object."""

import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from sandbox.problem import Problem

from delivery.environments import environment_folders
from delivery.manifests import Manifest
from delivery.rendering import DoesNotRender, Renderer

_WORKERS = 2
# kustomize hashes content with this alphabet; without it, a ConfigMap of other content is still the same object.
_HASH = re.compile(r"-[2456789bcdfghkmt]{10}$")

Objects = Mapping[str, str]
"""Texts of objects by where they are and what they are called: apps/gateway: Service gateway."""


def rendered_environments(root: Path, renderer: Renderer) -> Mapping[str, Objects]:
    """Render every environment of a checkout."""
    return {folder.name: rendered_objects(folder, renderer) for folder in environment_folders(root)}


def rendered_objects(folder: Path, renderer: Renderer) -> Objects:
    """Render every kustomization below a folder."""
    found = sorted(path.parent for path in folder.rglob("kustomization.yaml") if _builds(path))
    with ThreadPoolExecutor(_WORKERS) as pool:
        texts = pool.map(lambda each: _text(each, renderer), found)
        parts = {str(each.relative_to(folder)): text for each, text in zip(found, texts, strict=True)}
    return {f"{part}: {_name(text)}": text for part, whole in parts.items() for text in _documents(whole)}


def _builds(kustomization: Path) -> bool:
    return "kind: Kustomization\n" in kustomization.read_text()


def _text(folder: Path, renderer: Renderer) -> str:
    try:
        return renderer.text(folder)
    except DoesNotRender as error:
        where = "/".join(folder.parts[folder.parts.index("clusters") :])
        raise Problem(
            f"{where} does not render: {error}", "Mend it first; every mistake at once: make check"
        ) from error


def _documents(text: str) -> list[str]:
    return [document.strip("\n") + "\n" for document in f"\n{text}".split("\n---\n") if document.strip()]


def _name(text: str) -> str:
    (manifest,) = Manifest.parse_all(text)
    return f"{manifest.kind} {_HASH.sub('', manifest.name)}"
