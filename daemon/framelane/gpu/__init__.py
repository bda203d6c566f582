"""Everything that uses NVIDIA's libraries: the driver, TensorRT and NVML. Independent of models."""
