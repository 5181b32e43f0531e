"""A lean gRPC client for unary calls: raw bytes in, raw bytes out, on one event loop.

docs/adr/0004-lean-unary-client.md says why it exists beside grpc.aio, which stays the client of every stream.
"""

from gateway.grpc_unary.answers import RpcError
from gateway.grpc_unary.channel import UnaryChannel

__all__ = ["RpcError", "UnaryChannel"]
