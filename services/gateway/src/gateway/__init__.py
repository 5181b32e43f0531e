"""The only door: REST, gRPC and the Open Inference Protocol."""
