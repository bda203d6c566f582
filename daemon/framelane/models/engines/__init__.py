"""Turns a model file into an engine file: precision, calibration, key, sidecar, cache, check."""
