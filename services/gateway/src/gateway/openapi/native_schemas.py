"""The shapes of the native API's JSON, for its OpenAPI description alone: requests are not validated by these."""

from typing import Annotated

from pydantic import UUID7, BaseModel, ConfigDict, Field

_DIGEST = "sha256:5b0c1f0e8f7a7f0cf9b3b1d0a3b6b4f0b7a1c2d3e4f5061728394a5b6c7d8e9f"
_ID = "01936f8e-6f2c-7c1e-9d53-2f6a1f1e4b77"
_TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"

Probability = Annotated[float, Field(ge=0, le=1)]
Milliseconds = Annotated[float, Field(ge=0)]
Base64 = Annotated[
    str,
    Field(
        json_schema_extra={"contentEncoding": "base64"},
        description="PNG, JPEG, GIF, WebP or BMP.",
        examples=["iVBORw0KGgoAAAANSUhEUg..."],
    ),
]


class _Schema(BaseModel):
    model_config = ConfigDict(use_attribute_docstrings=True)


class ModelRef(_Schema):
    """The model that answered."""

    name: str = Field(examples=["digits"])
    version: str = Field(examples=["1"])
    digest: str = Field(examples=[_DIGEST])
    """Digest of the model package."""


class FeatureSpec(_Schema):
    """The preprocessing that makes the model's input."""

    name: str = Field(examples=["digits-8x8"])
    digest: str = Field(examples=[_DIGEST])


class ClassProbability(_Schema):
    """The probability of one class."""

    label: str = Field(examples=["7"])
    probability: Probability = Field(examples=[0.98])


class Timings(_Schema):
    """Milliseconds in each stage."""

    preprocessing: Milliseconds = Field(examples=[1.1])
    inference: Milliseconds = Field(examples=[0.7])
    total: Milliseconds = Field(examples=[2.1])


class Prediction(_Schema):
    """The answer for one image."""

    prediction_id: UUID7 = Field(examples=[_ID])
    """Refer to it in :feedback."""
    model: ModelRef
    label: str = Field(examples=["7"])
    confidence: Probability = Field(examples=[0.98])
    """Probability of the label."""
    probabilities: list[ClassProbability]
    """One entry per class, in the order of the model's labels."""
    feature_spec: FeatureSpec
    features: list[float] = Field(examples=[[0.0, 12.0, 16.0]])
    """The model's input as it saw it, row-major."""
    timings_ms: Timings
    trace_id: str = Field(examples=[_TRACE])


class ImageRequest(_Schema):
    """One image in JSON."""

    image: Base64


class ImagesRequest(_Schema):
    """Several images in JSON."""

    images: list[Base64] = Field(min_length=1)


class Predictions(_Schema):
    """One prediction per image, in the order of the request."""

    predictions: list[Prediction]


class FeedbackRequest(_Schema):
    """The right label of a prediction."""

    label: str = Field(min_length=1, examples=["9"])
    source: str = Field(default="api", max_length=100)
    """Who says so."""


class FeedbackResponse(_Schema):
    """The feedback is durable."""

    prediction_known: bool
    """False while the prediction itself has not (yet) been recorded."""


class TensorSpec(_Schema):
    """Name, datatype and shape of a tensor; -1 is a variable dimension."""

    name: str = Field(examples=["pixels"])
    datatype: str = Field(examples=["FP32"])
    shape: list[int] = Field(examples=[[-1, 64]])


class Model(_Schema):
    """A model as it is served."""

    name: str = Field(examples=["digits"])
    version: str = Field(examples=["1"])
    digest: str = Field(examples=[_DIGEST])
    ready: bool
    inputs: list[TensorSpec]
    outputs: list[TensorSpec]
    labels: list[str] = Field(examples=[["0", "1", "2"]])
    """In the order of the probabilities; empty when not declared."""
    feature_spec: FeatureSpec | None
    """null: the model takes tensors only, by /v2."""


class Models(_Schema):
    """All models that are being served."""

    models: list[Model]


class Stats(_Schema):
    """How this gateway process has been doing; null while nothing was predicted."""

    window_seconds: float = Field(examples=[60.0])
    count: int = Field(ge=0, examples=[128])
    p50_ms: Milliseconds | None = Field(examples=[2.1])
    p99_ms: Milliseconds | None = Field(examples=[4.8])


class Violation(_Schema):
    """What is wrong with one field."""

    field: str = Field(examples=["images[3]"])
    description: str


class Problem(_Schema):
    """RFC 9457 problem details."""

    type: str = Field(examples=["about:blank"])
    title: str = Field(examples=["Invalid argument"])
    status: int = Field(examples=[400])
    detail: str
    instance: str = Field(examples=["/v1/models/digits:predict"])
    error: str
    """The detail again, where Open Inference Protocol clients look for it."""
    code: str = Field(examples=["INVALID_ARGUMENT"])
    """Name of the gRPC status code."""
    trace_id: str = Field(examples=[_TRACE])
    retryable: bool
    """Whether the same request may succeed later."""
    violations: list[Violation]
