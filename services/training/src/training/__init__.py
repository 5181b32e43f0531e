"""Digits dataset to a calibrated ONNX model package."""
