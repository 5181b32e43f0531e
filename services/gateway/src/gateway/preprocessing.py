"""The preprocessing service, as the gateway calls it."""

from collections.abc import Sequence
from typing import Protocol

from fairlead.preprocessing.v1.preprocessing_pb2 import TransformRequest, TransformResponse
from service_runtime.deadlines import Deadline

from gateway.upstream import Upstream

_TRANSFORM = "/fairlead.preprocessing.v1.PreprocessingService/Transform"


class Preprocessor(Protocol):
    """Turns images into the rows of a tensor."""

    async def transform(
        self, images: Sequence[bytes], *, feature_spec: str, digest: str, deadline: Deadline
    ) -> TransformResponse:
        """Transform encoded images under a feature spec; raises InvalidInput for a picture that cannot be read."""
        ...


class PreprocessingClient:
    """The preprocessing service over gRPC."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream

    async def transform(
        self, images: Sequence[bytes], *, feature_spec: str, digest: str, deadline: Deadline
    ) -> TransformResponse:
        """Transform encoded images under a feature spec; raises InvalidInput for a picture that cannot be read."""
        request = TransformRequest(feature_spec=feature_spec, feature_spec_digest=digest, images=images)
        answer = await self._upstream.call(_TRANSFORM, request.SerializeToString(), deadline=deadline)
        return TransformResponse.FromString(answer)
