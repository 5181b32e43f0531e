"""Build images, push them, and write down what was pushed for those who sign and release it."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from shutil import copyfile
from typing import Self

from sandbox.problem import Problem

from delivery.images.inputs import DIRTY, Inputs
from delivery.images.library import Image, Library
from delivery.repository import Repository

_PUSH_S = 1200.0
_RECORD, _SUBJECTS = ".image.json", "subjects.sha256"


@dataclass(frozen=True, slots=True)
class Pushed:
    """An image in the registry that environments pull from."""

    service: str
    name: str
    """With the registry, without tag or digest."""
    digest: str
    revision: str
    """The commit of main that it was built from."""

    @property
    def reference(self) -> str:
        """What names these bytes and no others."""
        return f"{self.name}@{self.digest}"

    @classmethod
    def read_all(cls, folder: Path) -> list[Self]:
        """Read what a build wrote down."""
        return [cls(**json.loads(path.read_text())) for path in sorted(folder.glob(f"*{_RECORD}"))]


def bill_of(folder: Path, service: str) -> Path:
    """Return where a build left the bill of materials."""
    return folder / f"{service}.cdx.json"


def build(
    repository: Repository, library: Library, services: Iterable[str], *, registry: str, into: Path
) -> list[Pushed]:
    """Build and push, and leave a record and a bill for each image and one list of all digests."""
    into.mkdir(parents=True, exist_ok=True)
    revision = repository.commit("HEAD")
    with library.held():
        pushed = [_pushed(repository, library, service, registry, revision) for service in services]
        for each, image in pushed:
            (into / f"{each.service}{_RECORD}").write_text(json.dumps(asdict(each), indent=2) + "\n")
            copyfile(library.bill(image), bill_of(into, each.service))
    done = [each for each, _ in pushed]
    (into / _SUBJECTS).write_text("".join(f"{each.digest.removeprefix('sha256:')}  {each.name}\n" for each in done))
    return done


def _pushed(
    repository: Repository, library: Library, service: str, registry: str, revision: str
) -> tuple[Pushed, Image]:
    image = library.image(Inputs.of(repository.root, service))
    if image.revision.endswith(DIRTY):
        raise Problem(f"{service} has changes that are not committed.", "Releases are made from commits: commit them.")
    library.push(image, registry, tls=True, timeout_s=_PUSH_S)
    return Pushed(service, f"{registry}/{service}", image.digest, revision), image
