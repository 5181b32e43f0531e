"""Vectors of the Open Inference Protocol as data, sent in every encoding to any server."""
