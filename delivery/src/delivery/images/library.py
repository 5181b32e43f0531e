"""The images of a checkout: found when their inputs did not change, else built; described and pushed."""

import fcntl
import json
import tempfile
import time
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from sandbox.cache import digest_of
from sandbox.commands import output_of
from sandbox.problem import Problem
from sandbox.progress import Progress, Step

from delivery.images.base import UPSTREAM, Base, ensure_base
from delivery.images.bill import bill_of_materials
from delivery.images.buildah import Build, Buildah
from delivery.images.inputs import DIRTY, Inputs, dockerfile_of, source_of

_PUSH_S = 600.0


@dataclass(frozen=True, slots=True)
class Image:
    """An image of a service, as its record says."""

    service: str
    tag: str
    digest: str
    revision: str
    """A commit that has these inputs: the one it was first built from here."""
    created: str
    megabytes: int
    seconds: float
    """How long its build took."""

    @property
    def name(self) -> str:
        """What manifests call it."""
        return f"fairlead/{self.service}"


class Library:
    """Images in the cache: an OCI layout, and a record and a bill of materials beside it for each."""

    def __init__(self, cache: Path, progress: Progress) -> None:
        self.folder = cache / "images"
        self.layout = self.folder / "layout"
        self.buildah = Buildah(self.folder)
        self._progress = progress

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let one command at a time build."""
        self.buildah.require()
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def image(self, inputs: Inputs) -> Image:
        """Return the image of these inputs, built now when they are new here."""
        revision, created = inputs.revision, inputs.created.isoformat()
        # What was never committed is nobody's revision, so a clean checkout does not take over its image.
        committed = str(not revision.endswith(DIRTY))
        decides = (inputs.digest, self.base.digest, inputs.source, committed, self.buildah.recipe)
        tag = f"{inputs.service}-{digest_of(decides)[:16]}"
        record = self._record(tag)
        if record.exists():
            return Image(**json.loads(record.read_text()))
        with self._progress.step(f"image {inputs.service}") as step:
            started = time.monotonic()
            self._build(inputs, tag, revision, created, step)
            digest = self.buildah.export(_local(tag), self.layout, tag)
            seconds = round(time.monotonic() - started, 1)
            image = Image(inputs.service, tag, digest, revision, created, self._megabytes(digest), seconds)
            self._describe(image, inputs)
            step.detail = f"{image.megabytes} MB, {image.digest[:19]}"
        record.write_text(json.dumps(asdict(image), indent=2) + "\n")
        return image

    def rebuilt(self, image: Image, inputs: Inputs) -> str:
        """Build every layer again and return the digest: what the record's should be."""
        tag = f"{inputs.service}-again"
        with self._progress.step(f"image {inputs.service}, again from nothing") as step:
            self._build(inputs, tag, image.revision, image.created, step, layers_kept=False)
            return self.buildah.export(_local(tag), self.layout, tag)

    def bill(self, image: Image) -> Path:
        """Return where an image's bill of materials lies."""
        return self.folder / f"{image.tag}.cdx.json"

    def config(self, image: Image) -> Mapping[str, Any]:
        """Return the configuration that a container of an image starts with."""
        config = self._blob(self._blob(image.digest)["config"]["digest"])["config"]
        return dict(config)

    @contextmanager
    def mounted(self, image: Image) -> Iterator[Path]:
        """Show an image's root file system as a folder, for a while."""
        with self.buildah.mounted(_local(image.tag)) as root:
            yield root

    def push(self, image: Image, registry: str, *, tls: bool = False, timeout_s: float = _PUSH_S) -> str:
        """Copy an image into a registry, unchanged, and return the name to pull it by.

        The sandbox's registry has no certificate; of any other one ask for it: tls.
        """
        name = f"{registry}/{image.service}"
        with self._progress.step(f"push {name}"):
            options = ("--quiet", "--preserve-digests", f"--dest-tls-verify={str(tls).lower()}")
            target = f"docker://{name}:{image.tag.rpartition('-')[2]}"
            output_of(["skopeo", "copy", *options, f"oci:{self.layout}:{image.tag}", target], timeout_s=timeout_s)
        return f"{name}@{image.digest}"

    @cached_property
    def base(self) -> Base:
        """What every image starts from."""
        return ensure_base(self.folder, self.buildah, self._progress)

    def _record(self, tag: str) -> Path:
        return self.folder / f"{tag}.json"

    def _build(
        self, inputs: Inputs, tag: str, revision: str, created: str, step: Step, *, layers_kept: bool = True
    ) -> None:
        def show(line: str) -> None:
            if " STEP " in line:
                step.detail = line.partition(" STEP ")[2][:60]

        arguments = {
            "PYTHON_IMAGE": self.base.name,
            "VERSION": _version(inputs),
            "CREATED": created,
            "REVISION": revision,
            "SOURCE": inputs.source,
            "BASE_NAME": UPSTREAM,
            "BASE_DIGEST": self.base.digest,
        }
        with tempfile.TemporaryDirectory(prefix="context-", dir=self.folder) as scratch:
            context = Path(scratch)
            inputs.write(context)
            dockerfile = context / dockerfile_of(inputs.service)
            self.buildah.build(Build(_local(tag), context, dockerfile, arguments, layers_kept), show)

    def _describe(self, image: Image, inputs: Inputs) -> None:
        with self.buildah.mounted(_local(image.tag)) as root:
            told = bill_of_materials(
                root, name=image.name, version=_version(inputs), digest=image.digest, created=inputs.created
            )
        self.bill(image).write_text(told)

    def _megabytes(self, digest: str) -> int:
        sizes: list[int] = [layer["size"] for layer in self._blob(digest)["layers"]]
        return round(sum(sizes) / 1_000_000)

    def _blob(self, digest: str) -> Any:
        return json.loads((self.layout / "blobs" / "sha256" / digest.removeprefix("sha256:")).read_text())


def _local(tag: str) -> str:
    return f"localhost/fairlead/{tag}:built"


def _version(inputs: Inputs) -> str:
    pyproject = inputs.root / source_of(inputs.service) / "pyproject.toml"
    if pyproject.relative_to(inputs.root) not in inputs.files:
        raise Problem(f"{dockerfile_of(inputs.service)} does not copy the service's pyproject.toml.", "Copy it.")
    return str(tomllib.loads(pyproject.read_text())["project"]["version"])
