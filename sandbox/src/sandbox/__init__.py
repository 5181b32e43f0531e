"""A real one-node Kubernetes with Argo CD on this machine."""
