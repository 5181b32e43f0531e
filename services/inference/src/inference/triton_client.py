"""The few calls that the launcher makes to its own Triton, over gRPC."""

from types import TracebackType
from typing import Self

import grpc
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc.service_pb2_grpc import GRPCInferenceServiceStub

_TIMEOUT_SECONDS = 10.0


class NotReady(Exception):
    """Triton does not answer, or says that it is not ready."""


class TritonClient:
    """Asks Triton for its readiness and for inferences."""

    def __init__(self, address: str) -> None:
        self._channel = grpc.aio.insecure_channel(address, options=[("grpc.max_reconnect_backoff_ms", 500)])
        self._stub = GRPCInferenceServiceStub(self._channel)

    async def __aenter__(self) -> Self:
        """Connect on the first call."""
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _stack: TracebackType | None
    ) -> None:
        """Close the connection."""
        await self._channel.close()

    async def check_ready(self) -> None:
        """Return when Triton is ready, all models included; raise NotReady otherwise."""
        try:
            answer = await self._stub.ServerReady(pb.ServerReadyRequest(), timeout=1)
        except grpc.aio.AioRpcError as error:
            raise NotReady(f"Triton does not answer: {error.code().name}") from error
        if not answer.ready:
            raise NotReady("Triton says that it is not ready")

    async def infer(self, request: pb.ModelInferRequest) -> pb.ModelInferResponse:
        """Return Triton's answer."""
        response: pb.ModelInferResponse = await self._stub.ModelInfer(request, timeout=_TIMEOUT_SECONDS)
        return response
