"""The models that are served, as the gateway needs to know them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from service_runtime.deadlines import Deadline


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

    async def answering(self, name: str, version: str, *, deadline: Deadline) -> ServedModel:
        """Return the version that has just answered; raises DependencyUnavailable when nobody has it any more."""
        ...

    async def list(self, *, deadline: Deadline) -> list[ServedModel]:
        """Return the latest version of every model."""
        ...
