"""HTTP/2 as gRPC needs it, on one event loop: docs/adr/0011-lean-grpc-server.md says why it exists."""
