"""The use case: encoded pictures to one tensor, under limits of number, size and time."""

import asyncio
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from service_runtime.deadlines import Deadline
from service_runtime.errors import DeadlineExceeded, FailedPrecondition, InvalidInput, NotFound, Violation

from preprocessing.feature_specs import FeatureSpec, Row
from preprocessing.pictures import Picture, PictureLimits, PictureRefused

STAGE = "preprocessing"


@dataclass(frozen=True, slots=True)
class TransformLimits:
    """What one call may cost."""

    picture: PictureLimits
    max_images: int
    inline_pixels: int
    """Calls with fewer pixels are done in the event loop: a thread would cost more than it frees."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """Rows under a feature spec: FP32, row-major, little endian."""

    spec: FeatureSpec
    rows: int
    data: bytes


class Transformer:
    """Turns pictures into tensors; big ones in worker threads, so that small ones need not wait for them."""

    def __init__(self, specs: Iterable[FeatureSpec], *, limits: TransformLimits, workers: ThreadPoolExecutor) -> None:
        self.specs = {spec.name: spec for spec in specs}
        self._limits = limits
        self._workers = workers

    async def transform(self, name: str, images: Sequence[bytes], *, digest: str, deadline: Deadline) -> Tensor:
        """Return one row per image; a `digest` that is set must be the spec's."""
        spec = self._spec(name, digest)
        pictures = self._opened(images)
        deadline.check(STAGE)
        if sum(picture.pixels for picture in pictures) < self._limits.inline_pixels:
            rows = _rows(spec, pictures, deadline)
        else:
            rows = await self._in_worker(spec, pictures, deadline)
        return Tensor(spec, len(rows), b"".join(row.tobytes() for row in rows))

    def _spec(self, name: str, digest: str) -> FeatureSpec:
        spec = self.specs.get(name)
        if spec is None:
            raise NotFound(f"There is no feature spec '{name[:64]}'. Known: {', '.join(sorted(self.specs))}.")
        if digest and digest != spec.digest:
            raise FailedPrecondition(
                f"Feature spec '{name}' is {spec.digest} here, not {digest[:80]}: "
                "deploy the preprocessing that the model was made for, or a model for this one."
            )
        return spec

    def _opened(self, images: Sequence[bytes]) -> list[Picture]:
        if not 0 < len(images) <= self._limits.max_images:
            reason = f"Send 1 to {self._limits.max_images} images, not {len(images)}."
            raise InvalidInput(reason, violations=(Violation("images", reason),))
        pictures, violations = [], []
        for position, data in enumerate(images):
            try:
                pictures.append(Picture(data, self._limits.picture))
            except PictureRefused as refused:
                violations.append(_violation(position, refused))
        if violations:
            raise _invalid(violations)
        return pictures

    async def _in_worker(self, spec: FeatureSpec, pictures: list[Picture], deadline: Deadline) -> list[Row]:
        running = asyncio.get_running_loop().run_in_executor(self._workers, _rows, spec, pictures, deadline)
        try:
            async with asyncio.timeout(deadline.remaining()):
                return await running
        except TimeoutError as error:
            raise DeadlineExceeded(STAGE) from error


def _rows(spec: FeatureSpec, pictures: Iterable[Picture], deadline: Deadline) -> list[Row]:
    rows: list[Row] = []
    violations = []
    for position, picture in enumerate(pictures):
        deadline.check(STAGE)
        try:
            rows.append(spec.row(picture.grey()))
        except PictureRefused as refused:
            violations.append(_violation(position, refused))
    if violations:
        raise _invalid(violations)
    return rows


def _violation(position: int, refused: PictureRefused) -> Violation:
    return Violation(f"images[{position}]", str(refused))


def _invalid(violations: Sequence[Violation]) -> InvalidInput:
    first, *others = violations
    more = f" ({len(others)} more refused)" if others else ""
    return InvalidInput(f"{first.field}: {first.description}{more}", violations=tuple(violations))
