"""Golden vectors: small pictures and the rows that they must give, checked before the service is ready."""

import json
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable

from PIL import Image
from service_runtime.process import StartError

from preprocessing.feature_specs import FeatureSpec
from preprocessing.pictures import Picture, PictureLimits

VECTORS = "vectors.json"
_LIMITS = PictureLimits(max_bytes=1024**2, max_pixels=1024**2)


class GoldenMismatch(StartError):
    """This build does not give the rows that the feature spec's digest stands for."""


@dataclass(frozen=True, slots=True)
class GoldenVectors:
    """The recorded rows of one feature spec, by the name of the picture."""

    digest: str
    rows: dict[str, list[int]]


def verify(spec: FeatureSpec) -> None:
    """Raise GoldenMismatch unless `spec` gives exactly the recorded rows under the recorded digest."""
    recorded = read(spec)
    if recorded.digest != spec.digest:
        raise GoldenMismatch(f"{spec.name} is {spec.digest}, its golden vectors are of {recorded.digest}")
    computed = rows(spec)
    wrong = [name for name in recorded.rows | computed if recorded.rows.get(name) != computed.get(name)]
    if wrong:
        raise GoldenMismatch(f"{spec.name}: other rows than recorded for {', '.join(wrong)}")


def read(spec: FeatureSpec) -> GoldenVectors:
    """Return what was recorded."""
    recorded = json.loads((folder(spec) / VECTORS).read_text())
    return GoldenVectors(digest=recorded["digest"], rows=recorded["rows"])


def rows(spec: FeatureSpec) -> dict[str, list[int]]:
    """Return the rows that this build gives."""
    pictures = sorted((file for file in folder(spec).iterdir() if file.name != VECTORS), key=lambda file: file.name)
    return {file.name: [int(count) for count in spec.row(_grey(file))] for file in pictures}


def document(spec: FeatureSpec) -> str:
    """Return the file of vectors as this build would record it."""
    return json.dumps({"digest": spec.digest, "rows": rows(spec)}, indent=1, sort_keys=True) + "\n"


def folder(spec: FeatureSpec) -> Traversable:
    """Return where the pictures and rows of `spec` are."""
    return files("preprocessing") / "golden_vectors" / spec.name


def _grey(file: Traversable) -> Image.Image:
    return Picture(file.read_bytes(), _LIMITS).grey()
