"""Triton, as the gateway calls it."""

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from google.protobuf.message import Message
from service_runtime.deadlines import Deadline
from service_runtime.errors import DependencyUnavailable, NotFound
from tritonclient.grpc import service_pb2 as oip

from gateway.upstream import Upstream

_SERVICE = "/inference.GRPCInferenceService/"
_INFER = _SERVICE + "ModelInfer"

# A canary that gets one call in a hundred is met by 99 % of so many.
_MOST_CALLS = 500

M = TypeVar("M", bound=Message)
T = TypeVar("T")


class InferenceServer(Protocol):
    """A server of the Open Inference Protocol."""

    async def infer(self, request: bytes, *, deadline: Deadline) -> bytes:
        """Pass a serialized ModelInferRequest on; return the serialized ModelInferResponse, unparsed."""
        ...

    async def call(self, rpc: str, request: Message, response: type[M], *, deadline: Deadline) -> M:
        """Call any other unary RPC of inference.GRPCInferenceService."""
        ...


class Triton:
    """Triton's gRPC front end. Its HTTP one neither cancels nor survives hostile input."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream

    async def infer(self, request: bytes, *, deadline: Deadline) -> bytes:
        """Pass a serialized ModelInferRequest on; return the serialized ModelInferResponse, unparsed."""
        return await self._upstream.call(_INFER, request, deadline=deadline)

    async def call(self, rpc: str, request: Message, response: type[M], *, deadline: Deadline) -> M:
        """Call any other unary RPC of inference.GRPCInferenceService."""
        answer = await self._upstream.call(_SERVICE + rpc, request.SerializeToString(), deadline=deadline)
        return response.FromString(answer)

    async def check_ready(self) -> None:
        """Raise unless Triton and its models are ready."""
        answer = await self.call(
            "ServerReady", oip.ServerReadyRequest(), oip.ServerReadyResponse, deadline=Deadline.after(1)
        )
        if not answer.ready:
            raise DependencyUnavailable("Triton is not ready.")


async def until_it_is_there(call: Callable[[], Awaitable[T]]) -> T:
    """Call until the version is there: of several Tritons behind one address, some may lack it.

    For a version that one of them is known to have; a Triton without it has begun nothing. The call's own deadline
    ends it. Raises NotFound when nobody seems to have it any more.
    """
    for _ in range(_MOST_CALLS):
        try:
            return await call()
        except NotFound as error:
            missing = error
    raise missing
