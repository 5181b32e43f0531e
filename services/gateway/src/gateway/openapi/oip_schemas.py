"""The shapes of the protocol's JSON, for its OpenAPI description alone: requests are not validated by these."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, RootModel

Datatype = Literal[
    "BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64", "FP16", "FP32", "FP64", "BYTES"
]
Parameters = dict[str, bool | int | float | str]
_PIXELS = [0.0] * 64


class Shape(BaseModel):
    """A shape with documented fields."""

    model_config = ConfigDict(use_attribute_docstrings=True)


class Tensor(Shape):
    """A tensor; its data nested or flat in row-major order."""

    name: str = Field(examples=["pixels"])
    shape: list[int] = Field(examples=[[1, 64]])
    datatype: Datatype = Field(examples=["FP32"])
    parameters: Parameters = Field(default={})
    """`binary_data_size`: the tensor follows the JSON with so many bytes."""
    data: list[object] = Field(default=[], examples=[_PIXELS])


class RequestedOutput(Shape):
    """An output that the caller wants."""

    name: str = Field(examples=["label"])
    parameters: Parameters = Field(default={})
    """`binary_data`: send it as bytes after the JSON."""


class InferRequest(Shape):
    """Inputs, and which outputs to answer with; all when none is named."""

    id: str = ""
    parameters: Parameters = Field(default={})
    inputs: list[Tensor]
    outputs: list[RequestedOutput] = Field(default=[], examples=[[]])


class InferResponse(Shape):
    """The outputs, and the version that made them."""

    model_name: str = Field(examples=["digits"])
    model_version: str = Field(default="", examples=["1"])
    id: str = ""
    parameters: Parameters = Field(default={})
    outputs: list[Tensor]


class TensorMetadata(Shape):
    """Name, datatype and shape of a tensor; -1 is a variable dimension."""

    name: str = Field(examples=["pixels"])
    datatype: str = Field(examples=["FP32"])
    shape: list[int] = Field(examples=[[-1, 64]])


class ServerMetadata(Shape):
    """The server."""

    name: str
    version: str
    extensions: list[str] = Field(examples=[["binary_tensor_data"]])


class ModelMetadata(Shape):
    """A model as the protocol describes it."""

    name: str = Field(examples=["digits"])
    versions: list[str] = Field(default=[], examples=[["1"]])
    platform: str = Field(examples=["python"])
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


class Live(Shape):
    """The server runs."""

    live: bool


class Ready(Shape):
    """It takes requests."""

    ready: bool


class Details(Shape):
    """What the inference server tells of itself, passed on."""

    model_config = ConfigDict(extra="allow")


class IndexRequest(Shape):
    """Which models to list."""

    ready: bool = False
    """Only those that take requests."""


class IndexEntry(Shape):
    """A model version in the repository."""

    name: str = Field(examples=["digits"])
    version: str = Field(examples=["1"])
    state: str = Field(examples=["READY"])
    reason: str = ""


class Index(RootModel[list[IndexEntry]]):
    """The models of the repository."""
