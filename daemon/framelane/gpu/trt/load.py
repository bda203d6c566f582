"""Loads a serialized engine into the GPU's memory, or explains why that fails."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from framelane.core.errors import ModelError
from framelane.gpu.errors import OutOfMemoryError
from framelane.gpu.trt.log import ERRORS, journal

if TYPE_CHECKING:
    from collections.abc import Iterable

_FULL = re.compile(
    r"out of memory|outofmemory|insufficient memory|could not allocate|cudaErrorMemoryAllocation",
    re.IGNORECASE,
)


def says_memory_full(said: Iterable[str]) -> bool:
    """Return whether TensorRT's messages say that the GPU's memory ran out."""
    return any(_FULL.search(text) for text in said)


def load_engine(trt: Any, runtime: Any, plan: bytes, name: str, remedy: str) -> Any:  # noqa: ANN401 - TensorRT's own
    """Load TensorRT's engine from a plan; a device must be current, and the runtime must outlive the engine.

    Raises:
        OutOfMemoryError: the GPU is full, which may pass; the engine itself is fine.
        ModelError: this TensorRT or GPU can't run it; the message ends with `remedy`.
    """
    said: list[str] = []

    def hear(severity: str, text: str) -> None:
        if severity in ERRORS:
            said.append(text)

    with journal.listening(hear):
        engine = runtime.deserialize_cuda_engine(plan)
    if engine is not None:
        return engine
    why = f" ({' '.join(said[-1].split())})" if said else ""
    if says_memory_full(said):
        raise OutOfMemoryError(
            f"{name}: the GPU's memory ran out while the engine was loaded{why}; "
            "free memory on it, or lower `slots` or `batch`"
        )
    raise ModelError(f"{name} can't be run by TensorRT {trt.__version__} on this GPU{why}; {remedy}")
