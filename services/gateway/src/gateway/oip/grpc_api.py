"""The protocol over gRPC: inference.GRPCInferenceService, with tensors passed through unparsed."""

from __future__ import annotations  # grpc's run-time classes are not subscriptable

from collections.abc import Awaitable, Callable
from typing import TypeVar

import grpc
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import DecodeError, Message
from service_runtime.deadlines import Deadline
from service_runtime.errors import InvalidInput
from service_runtime.grpc_errors import Context
from tritonclient.grpc import service_pb2 as oip

from gateway.grpc_edge import GrpcEdge
from gateway.oip.inference import Inference, InferMessage
from gateway.oip.queries import Queries
from gateway.oip.streaming import StreamInference
from gateway.refusals import NotOffered

OIP_SERVICE = "inference.GRPCInferenceService"

Request = TypeVar("Request", bound=Message)
Handler = Callable[[bytes, Context], Awaitable[bytes]]


def add_oip_servicer(server: grpc.aio.Server, *, edge: GrpcEdge, inference: Inference, queries: Queries) -> None:
    """Serve the whole service; what is not offered says so."""
    methods = {method.name: _unary(_not_offered(method.name)) for method in _methods()}
    methods |= {name: _unary(handler) for name, handler in _query_handlers(edge, queries).items()}
    methods["ModelInfer"] = _unary(_infer_handler(edge, inference))
    methods["ModelStreamInfer"] = grpc.stream_stream_rpc_method_handler(StreamInference(edge, inference).answers)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(OIP_SERVICE, methods),))


def _infer_handler(edge: GrpcEdge, inference: Inference) -> Handler:
    async def model_infer(message: bytes, context: Context) -> bytes:
        async with edge.admitted(context) as deadline:
            return await inference.infer_message(InferMessage.parse(message), deadline=deadline)

    return model_infer


def _query_handlers(edge: GrpcEdge, queries: Queries) -> dict[str, Handler]:
    def query(kind: type[Request], answer: Callable[[Request, Deadline], Awaitable[Message]]) -> Handler:
        async def handle(message: bytes, context: Context) -> bytes:
            return (await answer(_parse(kind, message), edge.deadline(context))).SerializeToString()

        return handle

    return {
        "ServerLive": query(oip.ServerLiveRequest, queries.server_live),
        "ServerReady": query(oip.ServerReadyRequest, queries.server_ready),
        "ServerMetadata": query(oip.ServerMetadataRequest, queries.server_metadata),
        "ModelReady": query(oip.ModelReadyRequest, queries.model_ready),
        "ModelMetadata": query(oip.ModelMetadataRequest, queries.model_metadata),
        "ModelConfig": query(oip.ModelConfigRequest, queries.model_config),
        "ModelStatistics": query(oip.ModelStatisticsRequest, queries.model_statistics),
        "RepositoryIndex": query(oip.RepositoryIndexRequest, queries.repository_index),
    }


def _not_offered(method: str) -> Handler:
    async def refuse(_message: bytes, _context: Context) -> bytes:
        raise NotOffered(f"{method} is not offered: models, memory and settings of the server are not its callers'.")

    return refuse


def _unary(handler: Handler) -> grpc.RpcMethodHandler[bytes, bytes]:
    # No deserializer: bytes that are no message would end as INTERNAL inside grpc, and tensors need no decoding.
    return grpc.unary_unary_rpc_method_handler(handler)


def _parse(kind: type[Request], message: bytes) -> Request:
    try:
        return kind.FromString(message)
    except DecodeError as error:
        raise InvalidInput(f"The message is not a {kind.DESCRIPTOR.name}.") from error


def _methods() -> list[MethodDescriptor]:
    methods: list[MethodDescriptor] = oip.DESCRIPTOR.services_by_name["GRPCInferenceService"].methods
    return methods
