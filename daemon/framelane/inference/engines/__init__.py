"""What makes an engine file of a model file: precision, calibration, key, sidecar, cache, check."""
