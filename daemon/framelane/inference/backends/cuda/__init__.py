"""The GPU backend: runs a model with TensorRT and our CUDA kernels."""
