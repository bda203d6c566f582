"""Runs a model with ONNX Runtime on the CPU."""
