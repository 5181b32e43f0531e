"""The native API: an image in, a label out, over REST and gRPC with the same meaning."""
