"""The models that Triton serves, as the gateway needs to know them."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Protocol

from service_runtime.deadlines import Deadline
from service_runtime.errors import DeadlineExceeded
from tritonclient.grpc import model_config_pb2
from tritonclient.grpc import service_pb2 as oip

from gateway.names import check_name
from gateway.triton import InferenceServer

_STAGE = "inference"


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """Name, OIP datatype and shape of a tensor; the shape includes the batch, -1 is variable."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    optional: bool = False


@dataclass(frozen=True, slots=True)
class ServedModel:
    """One version of a model. Labels and feature spec are empty when the model declares none."""

    name: str
    version: str
    versions: tuple[str, ...]
    platform: str
    ready: bool
    digest: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    max_batch_size: int
    labels: tuple[str, ...]
    feature_spec: str
    feature_spec_digest: str
    decoupled: bool = False
    inputs_by_name: Mapping[str, TensorSpec] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        """Index the inputs: every request looks them up."""
        object.__setattr__(self, "inputs_by_name", {spec.name: spec for spec in self.inputs})


class ModelCatalog(Protocol):
    """Where the use cases look up models."""

    async def get(self, name: str, version: str = "", *, deadline: Deadline) -> ServedModel:
        """Return a model, its latest version by default; raises NotFound or DependencyUnavailable."""
        ...

    async def list(self, *, deadline: Deadline) -> list[ServedModel]:
        """Return the latest version of every model."""
        ...


class TritonCatalog:
    """The catalog as Triton tells it, remembered for `ttl` seconds."""

    def __init__(self, inference: InferenceServer, *, ttl: float) -> None:
        self._inference = inference
        self._ttl = ttl
        self._known: dict[tuple[str, str], tuple[float, ServedModel]] = {}
        self._asking: dict[tuple[str, str], asyncio.Lock] = {}

    async def get(self, name: str, version: str = "", *, deadline: Deadline) -> ServedModel:
        """Return a model, its latest version by default; raises NotFound or DependencyUnavailable."""
        key = (name, version)
        known = self._known.get(key)
        if known is not None and time.monotonic() < known[0]:
            return known[1]
        check_name(name, version)
        lock = self._asking.setdefault(key, asyncio.Lock())
        try:
            async with _turn(lock, deadline):
                known = self._known.get(key)
                if known is not None and time.monotonic() < known[0]:
                    return known[1]
                model = await self._ask(name, version, deadline)
                self._known[key] = (time.monotonic() + self._ttl, model)
                return model
        finally:
            if not lock.locked():  # names come from callers: nothing of an unknown one may stay
                self._asking.pop(key, None)

    async def list(self, *, deadline: Deadline) -> list[ServedModel]:
        """Return the latest version of every model."""
        index = await self._inference.call(
            "RepositoryIndex", oip.RepositoryIndexRequest(), oip.RepositoryIndexResponse, deadline=deadline
        )
        names = sorted({model.name for model in index.models if model.state == "READY"})
        return [await self.get(name, deadline=deadline) for name in names]

    async def _ask(self, name: str, version: str, deadline: Deadline) -> ServedModel:
        metadata, config, ready = await asyncio.gather(
            self._inference.call(
                "ModelMetadata",
                oip.ModelMetadataRequest(name=name, version=version),
                oip.ModelMetadataResponse,
                deadline=deadline,
            ),
            self._inference.call(
                "ModelConfig",
                oip.ModelConfigRequest(name=name, version=version),
                oip.ModelConfigResponse,
                deadline=deadline,
            ),
            self._inference.call(
                "ModelReady",
                oip.ModelReadyRequest(name=name, version=version),
                oip.ModelReadyResponse,
                deadline=deadline,
            ),
        )
        return _served(metadata, config.config, version=version, ready=ready.ready)


@asynccontextmanager
async def _turn(lock: asyncio.Lock, deadline: Deadline) -> AsyncIterator[None]:
    """Hold the lock; whoever holds it now may have a longer deadline than we have."""
    try:
        async with asyncio.timeout(deadline.check(_STAGE)):
            await lock.acquire()
    except TimeoutError as error:
        raise DeadlineExceeded(_STAGE) from error
    try:
        yield
    finally:
        lock.release()


def _served(
    metadata: oip.ModelMetadataResponse, config: model_config_pb2.ModelConfig, *, version: str, ready: bool
) -> ServedModel:
    parameters = {key: value.string_value for key, value in config.parameters.items()}
    optional = {tensor.name for tensor in config.input if tensor.optional}
    versions = tuple(sorted(metadata.versions, key=int))
    return ServedModel(
        name=metadata.name,
        version=version or (versions[-1] if versions else ""),
        versions=versions,
        platform=metadata.platform,
        ready=ready,
        digest=parameters.get("digest", ""),
        inputs=tuple(TensorSpec(t.name, t.datatype, tuple(t.shape), t.name in optional) for t in metadata.inputs),
        outputs=tuple(TensorSpec(t.name, t.datatype, tuple(t.shape)) for t in metadata.outputs),
        max_batch_size=config.max_batch_size,
        labels=tuple(json.loads(parameters.get("labels", "[]"))),
        feature_spec=parameters.get("feature_spec", ""),
        feature_spec_digest=parameters.get("feature_spec_digest", ""),
        decoupled=config.model_transaction_policy.decoupled,
    )
