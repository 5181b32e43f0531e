"""A gRPC server on one event loop: docs/adr/0011-lean-grpc-server.md says why it exists beside grpc.aio."""
