"""What decides an image: its Dockerfile and the files that its COPY lines name, in git's view of a checkout."""

import hashlib
import re
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import yaml

from delivery.repository import Repository

_COPY = re.compile(r"^COPY (?!--from=)(?P<sources>.+) \S+$", re.MULTILINE)
_PLAIN, _PROGRAM = 0o644, 0o755
_SERVICES = Path("services")
# Images of what is no service.
_ELSEWHERE = {"slo": Path("loadtests")}
DIRTY = "-dirty"


@dataclass(frozen=True, slots=True)
class Inputs:
    """The files that a service's image is made of; nothing else is in its build's context."""

    root: Path
    service: str
    files: tuple[Path, ...]

    @classmethod
    def of(cls, root: Path, service: str) -> "Inputs":
        """Find them: tracked files, and new ones that git does not ignore."""
        dockerfile = dockerfile_of(service)
        named = [str(dockerfile), *copied(root / dockerfile)]
        listed = Repository(root).git("ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *named)
        files = {Path(name) for name in listed.split("\0") if name and (root / name).is_file()}
        return cls(root, service, tuple(sorted(files)))

    @property
    def digest(self) -> str:
        """Return the digest of names, contents and executable bits."""
        total = hashlib.sha256()
        for file in self.files:
            path = self.root / file
            content = hashlib.sha256(path.read_bytes()).hexdigest()
            total.update(f"{file}\0{_mode(path):o}\0{content}\n".encode())
        return total.hexdigest()

    @property
    def revision(self) -> str:
        """Return the last commit that changed them, with -dirty behind it when that is not all."""
        git, names = Repository(self.root).git, [str(file) for file in self.files]
        commit = git("log", "-1", "--format=%H", "--", *names) or "unknown"
        changed = git("status", "--porcelain", "--", *names)
        return f"{commit}{DIRTY}" if changed else commit

    @property
    def created(self) -> datetime:
        """Return when that commit was made."""
        names = [str(file) for file in self.files]
        seconds = Repository(self.root).git("log", "-1", "--format=%ct", "--", *names)
        return datetime.fromtimestamp(int(seconds or 0), UTC)

    @property
    def source(self) -> str:
        """Return the address of the repository, which an image names as its source."""
        origin = self.root / "platform" / "origin" / "patch-origin.yaml"
        return str(yaml.safe_load(origin.read_text())["data"]["repository"])

    def write(self, folder: Path) -> None:
        """Make the build's context: these files, with modes that no umask decided."""
        for file in self.files:
            target = folder / file
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(self.root / file, target)
            target.chmod(_mode(self.root / file))
        for made in folder.rglob("*"):
            if made.is_dir():
                made.chmod(_PROGRAM)


def source_of(image: str) -> Path:
    """Return the folder of a checkout that an image is made of: a service's, or another's."""
    return _ELSEWHERE.get(image, _SERVICES / image)


def dockerfile_of(image: str) -> Path:
    """Return where an image's Dockerfile lies in a checkout."""
    return source_of(image) / "Dockerfile"


def services_with_images(root: Path) -> list[str]:
    """Return the services of a checkout that have a Dockerfile, and what else has."""
    services = [path.parent.name for path in root.glob(str(dockerfile_of("*")))]
    return sorted([*services, *(name for name in _ELSEWHERE if (root / dockerfile_of(name)).is_file())])


def copied(dockerfile: Path) -> list[str]:
    """Return what the Dockerfile copies from its context."""
    found = _COPY.finditer(dockerfile.read_text())
    return sorted({source.rstrip("/") for match in found for source in match["sources"].split()})


def _mode(path: Path) -> int:
    return _PROGRAM if path.stat().st_mode & 0o100 else _PLAIN
