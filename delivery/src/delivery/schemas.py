"""JSON schemas for kubeconform, made from the API server's OpenAPI and upstream's CRDs; cached, never committed."""

import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from delivery.programs import Toolbox

KUBERNETES = "k8s.io/kubernetes@v1.35.4"
CRDS = {
    "github.com/argoproj/argo-cd/v3@v3.5.3": "manifests/crds/*-crd.yaml",
    "github.com/argoproj/argo-rollouts@v1.9.1": "manifests/crds/*-crd.yaml",
    "github.com/cert-manager/cert-manager@v1.21.2": "deploy/crds/*.yaml",
    "istio.io/istio@v0.0.0-20260827124520-eed52ebb66ad": "manifests/charts/base/files/crd-all.gen.yaml",
    "sigs.k8s.io/gateway-api@v1.6.0": "config/crd/standard/*.yaml",
}
_FORMAT = 2
_REF = "#/components/schemas/"
_METADATA = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
_PROSE = ("description", "default")
_JUNCTORS = ("allOf", "anyOf", "oneOf", "not")
# Some CRDs leave out what every object has.
_ENVELOPE = {"apiVersion": {"type": "string"}, "kind": {"type": "string"}}

Schema = dict[str, Any]


def schemas(toolbox: Toolbox) -> Path:
    """Return a folder of strict schemas, one per group, version and kind."""
    sources = "+".join(source.rpartition("/")[2].replace("@", "-") for source in (KUBERNETES, *CRDS))
    kept = toolbox.folder / f"schemas-{_FORMAT}-{sources}"
    with toolbox.locked(kept):
        if not kept.exists():
            scratch = kept.with_name(f".{kept.name}")
            shutil.rmtree(scratch, ignore_errors=True)
            scratch.mkdir()
            _write_all(scratch, toolbox)
            scratch.replace(kept)
    return kept


def location(folder: Path) -> str:
    """Return the template by which kubeconform finds the schema of an object."""
    return f"{folder}/{{{{.ResourceKind}}}}{{{{.KindSuffix}}}}.json"


def _write_all(folder: Path, toolbox: Toolbox) -> None:
    metadata: Schema = {}
    for document in (toolbox.module(KUBERNETES) / "api" / "openapi-spec" / "v3").glob("*_openapi.json"):
        components = json.loads(document.read_text()).get("components", {}).get("schemas", {})
        if _METADATA in components:
            metadata = {_METADATA: components[_METADATA], **_closure(components[_METADATA], components)}
        for name, schema in components.items():
            for identity in schema.get("x-kubernetes-group-version-kind", []):
                _write(folder, identity, {name: schema, **_closure(schema, components)}, name)
    for module, pattern in CRDS.items():
        for path in toolbox.module(module).glob(pattern):
            for identity, schema in _versions(path):
                schema["properties"] |= _ENVELOPE | {"metadata": {"$ref": _REF + _METADATA}}
                _write(folder, identity, {"crd": schema, **metadata}, "crd")


def _versions(file: Path) -> Iterator[tuple[Mapping[str, str], Schema]]:
    for document in yaml.load_all(file.read_text(), Loader=yaml.CSafeLoader):
        if not document or document["kind"] != "CustomResourceDefinition":
            continue  # an admission policy lies among the Gateway API's
        spec = document["spec"]
        for version in spec["versions"]:
            identity = {"group": spec["group"], "version": version["name"], "kind": spec["names"]["kind"]}
            yield identity, version["schema"]["openAPIV3Schema"]


def _write(folder: Path, identity: Mapping[str, str], definitions: Mapping[str, Schema], root: str) -> None:
    parts = (identity["kind"], identity["group"].partition(".")[0], identity["version"])
    name = "-".join(part for part in parts if part)  # the core group has none
    strict = {each: _strict(schema) for each, schema in definitions.items()}
    content = {"$ref": f"#/definitions/{root}", "definitions": strict}
    (folder / f"{name.lower()}.json").write_text(json.dumps(content))


def _closure(schema: Any, components: Mapping[str, Schema]) -> dict[str, Schema]:
    """Return every schema that this one refers to, however far away."""
    found: dict[str, Schema] = {}
    waiting = [schema]
    while waiting:
        for name in _references(waiting.pop()):
            if name not in found:
                found[name] = components[name]
                waiting.append(components[name])
    return found


def _references(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        if isinstance(reference := schema.get("$ref"), str):
            yield reference.removeprefix(_REF)
        for value in schema.values():
            yield from _references(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from _references(value)


def _strict(schema: Any, *, closed: bool = True) -> Any:
    """Refuse fields that nobody declared: a misspelt one would be dropped by the API server, or stop the sync."""
    if isinstance(schema, list):
        return [_strict(each, closed=closed) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("x-kubernetes-int-or-string"):
        return {"type": ["integer", "string"]}
    # What stands below a junctor only constrains fields that are declared beside it.
    made = {
        key: _strict(value, closed=closed and key not in _JUNCTORS)
        for key, value in schema.items()
        if key not in _PROSE or isinstance(value, dict)
    }
    if isinstance(reference := made.get("$ref"), str):
        made["$ref"] = reference.replace(_REF, "#/definitions/")
    if closed and isinstance(schema.get("properties"), dict) and not schema.get("x-kubernetes-preserve-unknown-fields"):
        made.setdefault("additionalProperties", False)
    return made
