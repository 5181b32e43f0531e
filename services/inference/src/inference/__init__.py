"""Launches NVIDIA Triton with a pinned, verified model package."""
