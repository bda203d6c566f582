"""Everything that talks to NVIDIA's libraries: the driver, TensorRT and NVML; knows nothing of models."""
