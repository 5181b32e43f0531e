"""The whole chain reads digits rendered in typefaces that training never saw.

Sizes, strokes, turns up to 15 degrees, both polarities, noise and every format.
"""

import io
import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import grpc
import numpy as np
import onnxruntime
import pytest
import yaml
from fairlead.gateway.v1.gateway_pb2 import BatchPredictRequest
from fairlead.gateway.v1.gateway_pb2_grpc import PredictionServiceStub
from local_stack.settings import ROOT
from local_stack.stack import Stack
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from preprocessing.feature_specs import digits_8x8
from preprocessing.pictures import Picture, PictureLimits

FLOOR = 0.85
NUMBER = 700
LIMITS = PictureLimits(max_bytes=1024**2, max_pixels=1024**2)


def newest_model() -> Path:
    """Return the ONNX graph of the highest version among the release records."""
    models = ROOT / "models" / "digits"
    records = [yaml.safe_load(path.read_text()) for path in (models / "releases").glob("*.yaml")]
    newest = max(records, key=lambda record: int(record["version"]))
    (graph,) = [file["sha256"] for file in newest["files"] if file["path"].endswith(".onnx")]
    return models / "blobs" / "sha256" / str(graph)


def judge(labels: list[int]) -> None:
    """Print the confusion matrix; fail below the floor."""
    confusion = np.zeros((10, 10), np.int64)
    for picture, label in zip(rendered_digits(), labels, strict=True):
        confusion[picture.digit, label] += 1
    right = confusion.trace() / len(labels)
    print(f"{right:.1%} of {len(labels)} right; rows: shown, columns: read\n{confusion}")
    assert right >= FLOOR


@pytest.mark.requirement("PREPROCESSING-016")
def test_preprocessing_and_the_newest_model_read_them() -> None:
    spec = digits_8x8()
    rows = np.stack([spec.row(Picture(picture.data, LIMITS).grey()) for picture in rendered_digits()])
    session = onnxruntime.InferenceSession(str(newest_model()))
    (labels,) = session.run(["label"], {"pixels": rows})
    judge([int(label) for label in np.ravel(labels)])


@pytest.mark.requirement("PREPROCESSING-016")
def test_the_running_services_read_them(stack: Stack) -> None:
    pictures = [picture.data for picture in rendered_digits()]
    labels: list[int] = []
    with grpc.insecure_channel(stack.grpc_address) as channel:
        service = PredictionServiceStub(channel)
        for start in range(0, NUMBER, 20):
            asked = BatchPredictRequest(model="digits", images=pictures[start : start + 20])
            labels += [int(prediction.label) for prediction in service.BatchPredict(asked, timeout=20).predictions]
    judge(labels)


FACES = {
    "font_caladea": ("Caladea-Regular.ttf", "Caladea-Bold.ttf"),
    "font_fredoka_one": ("FredokaOne-Regular.ttf",),
    "font_lato": ("Lato-Light.ttf", "Lato-Regular.ttf", "Lato-Black.ttf", "Lato-Italic.ttf"),
    "font_manrope": ("Manrope-Regular.ttf", "Manrope-ExtraBold.ttf"),
    "font_source_sans_pro": ("SourceSansPro-Regular.ttf", "SourceSansPro-Semibold.ttf"),
    "font_source_serif_pro": ("SourceSerifPro-Regular.ttf", "SourceSerifPro-Bold.ttf", "SourceSerifPro-It.ttf"),
}
SIDES = (28, 48, 64, 100, 160, 280)
FORMATS = ("PNG", "JPEG", "GIF", "BMP", "WEBP")


@dataclass(frozen=True, slots=True)
class Rendered:
    """One picture and the digit that it shows."""

    digit: int
    face: str
    data: bytes


@cache
def rendered_digits() -> tuple[Rendered, ...]:
    """Return the pictures; every digit and every face equally often."""
    return tuple(_rendered())


def _rendered() -> Iterator[Rendered]:
    rng = random.Random(20261121)
    faces = [Path(_folder(package)) / "files" / file for package, files in FACES.items() for file in files]
    for position in range(NUMBER):
        digit, face = position % 10, faces[position // 10 % len(faces)]
        buffer = io.BytesIO()
        _picture(digit, face, rng).save(buffer, FORMATS[position % len(FORMATS)])
        yield Rendered(digit, face.stem, buffer.getvalue())


def _folder(package: str) -> str:
    spec = find_spec(package)
    assert spec is not None
    assert spec.submodule_search_locations is not None
    return spec.submodule_search_locations[0]


def _picture(digit: int, face: Path, rng: random.Random) -> Image.Image:
    side = rng.choice(SIDES)
    shape = _shape(digit, face, rng, side)
    ground, ink = rng.uniform(0, 80), rng.uniform(175, 255)
    if rng.random() < 0.5:
        ground, ink = ink, ground
    levels = ground + (ink - ground) * np.asarray(shape) / 255.0
    return Image.fromarray(_noisy(levels, rng).clip(0, 255).astype(np.uint8))


def _shape(digit: int, face: Path, rng: random.Random, side: int) -> Image.Image:
    """Return the digit at a random size, weight, turn and place: 0 ground, 255 ink."""
    font = ImageFont.truetype(str(face), max(8, int(side * rng.uniform(0.4, 0.8) / 0.72)))
    canvas = Image.new("L", (2 * side, 2 * side), 0)
    weight = rng.choice((0, 0, 0, 1, 2, 3)) * side // 200
    ImageDraw.Draw(canvas).text((side, side), str(digit), font=font, fill=255, anchor="mm", stroke_width=weight)
    turned = canvas.rotate(rng.uniform(-15, 15), Image.Resampling.BICUBIC)
    glyph = turned.crop(turned.getbbox())
    shape = Image.new("L", (side, side), 0)
    room = (max(0, side - glyph.width), max(0, side - glyph.height))
    shape.paste(glyph, (int(room[0] * rng.uniform(0.1, 0.9)), int(room[1] * rng.uniform(0.1, 0.9))))
    return shape


def _noisy(levels: NDArray[np.float64], rng: random.Random) -> NDArray[np.float64]:
    noise = np.random.default_rng(rng.getrandbits(32))
    kind = rng.choice(("none", "gauss", "gauss", "specks"))
    if kind == "gauss":
        return levels + noise.normal(0, rng.uniform(3, 25), levels.shape)
    if kind == "specks":
        specks = noise.random(levels.shape) < rng.uniform(0.002, 0.015)
        return np.where(specks, noise.choice((0.0, 255.0), levels.shape), levels)
    return levels
