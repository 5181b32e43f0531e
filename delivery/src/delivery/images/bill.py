"""What is in an image: its Debian and Python packages as a CycloneDX bill of materials."""

import uuid
from collections.abc import Iterator, Mapping
from datetime import datetime
from email.parser import HeaderParser
from importlib.metadata import distributions
from pathlib import Path

from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

_ENVIRONMENTS = ("opt/fairlead", "opt/triton")


def bill_of_materials(root: Path, *, name: str, version: str, digest: str, created: datetime) -> str:
    """Return the bill of what is installed below an image's root; equal images have equal bills."""
    image = PackageURL("oci", name=name.rpartition("/")[2], version=digest)
    bom = Bom(components=[*_debian(root), *_python(root)], serial_number=uuid.uuid5(uuid.NAMESPACE_OID, digest))
    bom.metadata.component = Component(
        name=name, version=version, type=ComponentType.CONTAINER, purl=image, bom_ref=str(image)
    )
    bom.metadata.timestamp = created
    bom.register_dependency(bom.metadata.component, bom.components)
    return JsonV1Dot6(bom).output_as_string(indent=2)


def _debian(root: Path) -> Iterator[Component]:
    status = root / "var" / "lib" / "dpkg" / "status"
    for paragraph in status.read_text().split("\n\n") if status.exists() else []:
        fields = HeaderParser().parsestr(paragraph)
        if fields["Status"] == "install ok installed":
            architecture = {"arch": fields["Architecture"]}
            yield _component("deb", fields["Package"], fields["Version"], "debian", architecture)


def _python(root: Path) -> Iterator[Component]:
    folders = [str(found) for each in _ENVIRONMENTS for found in (root / each).glob("lib/python3*/site-packages")]
    # Two environments of one image may hold the same package; of other versions, both count.
    found = {(each.name.lower().replace("_", "-"), each.version) for each in distributions(path=folders)}
    for name, version in sorted(found):
        yield _component("pypi", name, version)


def _component(
    kind: str, name: str, version: str, namespace: str = "", qualifiers: Mapping[str, str] | None = None
) -> Component:
    purl = PackageURL(kind, namespace or None, name, version, dict(qualifiers or {}))
    return Component(name=name, version=version, type=ComponentType.LIBRARY, purl=purl, bom_ref=str(purl))
