"""The release files of an environment: which image each service runs."""

import re
from collections.abc import Mapping
from pathlib import Path

from sandbox.problem import Problem

from delivery.stages import release_path


def write_releases(checkout: Path, environment: str, digests: Mapping[str, str]) -> None:
    """Let an environment run these images, by digest."""
    for service, digest in digests.items():
        path = release_path(environment, service)
        file = checkout / path
        if not file.exists():
            raise Problem(f"{path} is missing.", "Restore it from another environment.")
        file.write_text(released(file.read_text(), f"fairlead/{service}", digest))


def released(text: str, image: str, digest: str) -> str:
    """Return a release file with another digest, every other byte as it was."""
    entry = re.compile(rf"(?m)^(?P<name> *- name: {re.escape(image)}\n)(?P<indent> *)(?:newTag|digest): .*$")
    changed, found = entry.subn(rf"\g<name>\g<indent>digest: {digest}", text)
    if found != 1:
        raise Problem(f"The release file names {image} {found} times.", "It must be named once, with newTag or digest.")
    return changed
