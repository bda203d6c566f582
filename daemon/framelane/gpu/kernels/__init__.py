"""CUDA sources, and the PTX made of them by scripts/build_kernels.py: `framelane.ptx` is what a host loads."""
