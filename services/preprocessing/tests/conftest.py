"""Drawn digits, encoders, and the real process."""

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from fairlead.preprocessing.v1 import preprocessing_pb2_grpc
from local_stack.ports import free_ports
from local_stack.settings import StackSettings
from local_stack.stack import Stack
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from preprocessing.feature_specs import digits_8x8
from preprocessing.pictures import Picture, PictureLimits

LIMITS = PictureLimits(max_bytes=1024**2, max_pixels=4_000_000)
STROKES = {
    2: [[(0.1, 0.25), (0.25, 0.05), (0.6, 0.0), (0.8, 0.2), (0.7, 0.45), (0.1, 1.0), (0.9, 1.0)]],
    4: [[(0.6, 0.0), (0.1, 0.65), (0.9, 0.65)], [(0.65, 0.35), (0.65, 1.0)]],
    7: [[(0.1, 0.0), (0.9, 0.0), (0.4, 1.0)], [(0.35, 0.5), (0.8, 0.5)]],
}


def draw_digit(
    digit: int = 7, *, side: int = 96, at: tuple[int, int] = (24, 12), size: int = 66, pen: int = 8
) -> Image.Image:
    """Draw a digit with a pen: 0 ground, 255 ink."""
    image = Image.new("L", (side, side), 0)
    canvas = ImageDraw.Draw(image)
    for stroke in STROKES[digit]:
        points = [(at[0] + x * size * 0.7, at[1] + y * size) for x, y in stroke]
        canvas.line(points, fill=255, width=pen, joint="curve")
    return image


def encoded(image: Image.Image, picture_format: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, picture_format, **options)
    return buffer.getvalue()


def counts_of(data: bytes, limits: PictureLimits = LIMITS) -> NDArray[np.float32]:
    return digits_8x8().row(Picture(data, limits).grey())


@pytest.fixture(name="draw", scope="session")
def _draw() -> Callable[..., Image.Image]:
    return draw_digit


@pytest.fixture(name="encode", scope="session")
def _encode() -> Callable[..., bytes]:
    return encoded


@pytest.fixture(name="counts", scope="session")
def _counts() -> Callable[..., NDArray[np.float32]]:
    return counts_of


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The real process with its default settings; leave it as you found it."""
    environment = StackSettings.read().environment
    folder: Path = tmp_path_factory.mktemp("preprocessing")
    with Stack(folder, ports=free_ports(), environment=environment, only=("preprocessing",)) as started:
        yield started


@pytest.fixture
def connect() -> Iterator[Callable[[Stack], preprocessing_pb2_grpc.PreprocessingServiceStub]]:
    """Connect to the process; the channel is closed with the test."""
    channels: list[grpc.Channel] = []

    def stub(stack: Stack) -> preprocessing_pb2_grpc.PreprocessingServiceStub:
        channels.append(grpc.insecure_channel(f"127.0.0.1:{stack.ports['preprocessing']['grpc']}"))
        return preprocessing_pb2_grpc.PreprocessingServiceStub(channels[-1])

    yield stub
    for channel in channels:
        channel.close()
