"""Loads kernels from PTX and launches them."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from framelane.gpu.errors import GpuError, cuda_errors

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

    from framelane.gpu.device import Device
    from framelane.gpu.stream import Stream

Dim = tuple[int, int, int]

_ENTRY = re.compile(r"\.visible\s+\.entry\s+(\w+)\s*\(([^)]*)\)")
_PARAM = re.compile(r"\.param\s+(?:\.align\s+\d+\s+)?\.(\w+)(?:\s+\.ptr\S*)?[^,\[]*(\[)?")
# PTX parameters have no sign; our addresses and counts fit signed numbers.
_FORMATS = {"u64": "q", "s64": "q", "b64": "q", "u32": "i", "s32": "i", "b32": "i", "f32": "f", "f64": "d"}


class Kernels:
    """The kernels of one PTX file on one GPU; created by `Kernels.load`."""

    def __init__(self, device: Device, module: Any, entries: Mapping[str, _Kernel]) -> None:  # noqa: ANN401 - PyCUDA has no types
        self._device = device
        self._module: Any = module
        self._kernels = dict(entries)

    @staticmethod
    def load(device: Device, ptx: bytes) -> Kernels:
        """Load kernels.

        The first time, the driver compiles them for this GPU, which takes seconds, and caches the result.

        Args:
            device: the GPU.
            ptx: the kernels' PTX text.

        Raises:
            GpuError: the driver can't compile them, for example because it is too old.
        """
        import pycuda.driver as cuda  # noqa: PLC0415 - only where a GPU is wanted

        with cuda_errors("loading the kernels"), device.current(), device.pycuda_current():
            module = cuda.module_from_buffer(ptx + b"\0")
            kernels = {
                name: _Kernel(module.get_function(name), struct.Struct(layout))
                for name, layout in layouts(ptx.decode("utf-8")).items()
            }
        return Kernels(device, module, kernels)

    def launch(
        self, name: str, grid: Dim, block: Dim, stream: Stream, *args: np.generic | float, shared: int = 0
    ) -> None:
        """Launch a kernel and return at once. `shared` is its dynamic shared memory in bytes.

        Raises:
            GpuError: there is no such kernel, its arguments differ, or the launch is refused.
        """
        kernel = self._kernels.get(name)
        if kernel is None:
            raise GpuError(f"there is no kernel {name}")
        try:
            packed = kernel.arguments.pack(*args)
        except struct.error as error:
            raise GpuError(f"{name}: {error}") from error
        with cuda_errors(name):
            kernel.function._launch_kernel(grid, block, packed, shared, stream.pycuda)  # noqa: SLF001 - its one way to launch packed arguments

    def close(self) -> None:
        """Unload the kernels; none may be running."""
        if self._module is not None:
            held, self._module = [self._module, *self._kernels.values()], None
            self._kernels.clear()
            self._device.free(held.clear)


@dataclass(frozen=True, slots=True)
class _Kernel:
    """A PyCUDA function, and the memory layout of its arguments."""

    function: Any
    arguments: struct.Struct


def layouts(ptx: str) -> dict[str, str]:
    """Return the `struct` format of each kernel's arguments, aligned to their own sizes as CUDA requires.

    Raises:
        GpuError: a kernel takes something other than numbers and addresses.
    """
    return {name: _layout(name, _PARAM.findall(parameters)) for name, parameters in _ENTRY.findall(ptx)}


def _layout(name: str, parameters: list[tuple[str, str]]) -> str:
    layout = "="
    for kind, array in parameters:
        if array or kind not in _FORMATS:
            raise GpuError(f"{name}: a parameter of type {kind} is not supported")
        layout += "x" * (-struct.calcsize(layout) % struct.calcsize(_FORMATS[kind])) + _FORMATS[kind]
    return layout
