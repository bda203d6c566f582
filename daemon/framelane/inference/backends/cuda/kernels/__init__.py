"""The kernels: CUDA C++, and the PTX that scripts/build_kernels.py compiles it to."""

from __future__ import annotations

from importlib.resources import files


def ptx() -> bytes:
    """Return the PTX of all kernels."""
    return files(__name__).joinpath("framelane.ptx").read_bytes()
