"""The catalog as Triton tells it."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from service_runtime.deadlines import Deadline
from service_runtime.errors import DeadlineExceeded, DependencyUnavailable, NotFound
from tritonclient.grpc import service_pb2 as oip

from gateway.callers.caller import current_caller
from gateway.catalog import ServedModel
from gateway.names import check_name
from gateway.triton import InferenceServer
from gateway.triton_description import describe, describe_ready

log = structlog.get_logger()

_STAGE = "inference"
_MOST_VERSIONS = 32
_WAVES = (1, 3, 12, *(16,) * 31)  # 512 calls in all: of a canary that gets one in a hundred, 99 % of searches meet it

_Key = tuple[str, str, str]


class TritonCatalog:
    """Models, remembered for `ttl` seconds.

    One address may stand for Tritons with different versions of a model, and another one takes each call: during a
    canary, or an experiment. So a description comes from a single call, and a version that has answered stays known,
    as whoever is asked next may not have it.
    """

    def __init__(self, inference: InferenceServer, *, ttl: float) -> None:
        self._inference = inference
        self._ttl = ttl
        self._known: dict[_Key, tuple[float, ServedModel]] = {}
        self._versions: dict[tuple[str, str], ServedModel] = {}
        self._asking: dict[_Key, asyncio.Lock] = {}

    async def get(self, name: str, version: str = "", *, deadline: Deadline) -> ServedModel:
        """Return a model, its latest version by default; raises NotFound or DependencyUnavailable."""
        key = (name, version, _arm())
        known = self._fresh(key)
        if known is not None:
            return known
        check_name(name, version)
        async with self._turn(key, deadline):
            known = self._fresh(key)
            if known is not None:
                return known
            model = await self._ask(name, version, deadline)
            self._known[key] = (time.monotonic() + self._ttl, model)
            return model

    async def answering(self, name: str, version: str, *, deadline: Deadline) -> ServedModel:
        """Return the version that has just answered; raises DependencyUnavailable when nobody has it any more."""
        known = self._versions.get((name, version))
        if known is not None:
            return known
        async with self._turn((name, version, _arm()), deadline):
            known = self._versions.get((name, version))
            if known is not None:
                return known
            try:
                model = await self._find(name, version, deadline)
            except NotFound as error:
                raise DependencyUnavailable(
                    "The model version that answered has just been retired. Try again."
                ) from error
            log.info("model.version_learned", model=name, version=version, digest=model.digest)
            return model

    async def list(self, *, deadline: Deadline) -> list[ServedModel]:
        """Return the latest version of every model."""
        index = await self._inference.call(
            "RepositoryIndex", oip.RepositoryIndexRequest(), oip.RepositoryIndexResponse, deadline=deadline
        )
        names = sorted({model.name for model in index.models if model.state == "READY"})
        return [await self.get(name, deadline=deadline) for name in names]

    def _fresh(self, key: _Key) -> ServedModel | None:
        known = self._known.get(key)
        return known[1] if known is not None and time.monotonic() < known[0] else None

    async def _ask(self, name: str, version: str, deadline: Deadline) -> ServedModel:
        if (name, version) not in self._versions:  # callers invent versions: nobody is asked twice for one
            return await self._describe(name, version, deadline)
        try:
            return await self._find(name, version, deadline)
        except NotFound:
            self._versions.pop((name, version), None)
            raise

    async def _find(self, name: str, version: str, deadline: Deadline) -> ServedModel:
        """Ask more and more at a time until one has it: a canary may get one call in a hundred."""
        missing = NotFound("")
        for width in _WAVES:
            asked = (describe_ready(self._inference, name, version, deadline=deadline) for _ in range(width))
            for found in await asyncio.gather(*asked, return_exceptions=True):
                if isinstance(found, ServedModel):
                    return self._remember(found)
                if not isinstance(found, NotFound):
                    raise found
                missing = found
        raise missing

    async def _describe(self, name: str, version: str, deadline: Deadline) -> ServedModel:
        return self._remember(await describe(self._inference, name, version, deadline=deadline))

    def _remember(self, model: ServedModel) -> ServedModel:
        self._versions[model.name, model.version] = model
        if len(self._versions) > _MOST_VERSIONS:
            del self._versions[next(iter(self._versions))]
        return model

    @asynccontextmanager
    async def _turn(self, key: _Key, deadline: Deadline) -> AsyncIterator[None]:
        """Let one ask at a time; whoever does it now may have a longer deadline than we have."""
        lock = self._asking.setdefault(key, asyncio.Lock())
        try:
            try:
                async with asyncio.timeout(deadline.check(_STAGE)):
                    await lock.acquire()
            except TimeoutError as error:
                raise DeadlineExceeded(_STAGE) from error
            try:
                yield
            finally:
                lock.release()
        finally:
            if not lock.locked():  # names come from callers: nothing of an unknown one may stay
                self._asking.pop(key, None)


def _arm() -> str:
    """Return the arm that the call goes to, if it goes to one: it may have a model of its own."""
    caller = current_caller()
    return caller.arm.name if caller is not None and caller.arm is not None else ""
