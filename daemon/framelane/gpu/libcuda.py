"""The driver's library through ctypes, for calls that PyCUDA lacks or that its destructors can't make safely.

Every function exists twice. `with_gil` keeps the interpreter lock, which is right for a call of a few
microseconds: a thread that releases the lock may wait milliseconds to get it back. `without_gil` releases the
lock during the call.
"""

from __future__ import annotations

import ctypes
import os
from ctypes import POINTER, c_char_p, c_int, c_size_t, c_uint, c_uint64, c_ulonglong, c_void_p
from dataclasses import dataclass
from functools import cache

from framelane.gpu.compute_cache import choose_cache

LIBRARY = "libcuda.so.1"

_SIGNATURES: dict[str, tuple[type, ...]] = {
    "cuInit": (c_uint,),
    "cuDriverGetVersion": (POINTER(c_int),),
    "cuDeviceGetCount": (POINTER(c_int),),
    "cuDeviceGetPCIBusId": (c_char_p, c_int, c_int),
    "cuGetErrorName": (c_int, POINTER(c_char_p)),
    "cuGetErrorString": (c_int, POINTER(c_char_p)),
    "cuDevicePrimaryCtxSetFlags_v2": (c_int, c_uint),
    "cuDevicePrimaryCtxGetState": (c_int, POINTER(c_uint), POINTER(c_int)),
    "cuCtxPushCurrent_v2": (c_void_p,),
    "cuCtxPopCurrent_v2": (POINTER(c_void_p),),
    "cuMemGetInfo_v2": (POINTER(c_size_t), POINTER(c_size_t)),
    "cuMemcpyHtoDAsync_v2": (c_uint64, c_void_p, c_size_t, c_void_p),
    "cuMemcpyDtoHAsync_v2": (c_void_p, c_uint64, c_size_t, c_void_p),
    "cuStreamBeginCapture_v2": (c_void_p, c_int),
    "cuStreamEndCapture": (c_void_p, POINTER(c_void_p)),
    "cuGraphInstantiateWithFlags": (POINTER(c_void_p), c_void_p, c_ulonglong),
    "cuGraphUpload": (c_void_p, c_void_p),
    "cuGraphLaunch": (c_void_p, c_void_p),
    "cuGraphExecDestroy": (c_void_p,),
    "cuGraphDestroy": (c_void_p,),
}
"""Arguments as in cuda.h of CUDA 11.4 and newer. Every function returns a CUresult."""


@dataclass(frozen=True, slots=True)
class Libcuda:
    """The library, opened twice: see the module's docstring."""

    with_gil: ctypes.CDLL
    without_gil: ctypes.CDLL


@cache
def libcuda() -> Libcuda:
    """Return the driver's library.

    Raises:
        OSError: there is no NVIDIA driver.
    """
    return Libcuda(_typed(ctypes.PyDLL(LIBRARY)), _typed(ctypes.CDLL(LIBRARY)))


def initialize() -> int:
    """Call cuInit with the right environment and return its CUresult. Repeated calls cost nothing.

    GPUs are numbered in nvidia-smi's order; CUDA's own default puts the fastest first. The first cuInit
    decides that for the process, so this is called before FFmpeg, TensorRT or PyCUDA may call it.
    """
    os.environ.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
    choose_cache()
    return int(libcuda().without_gil.cuInit(0))


def device_count() -> int:
    """Return how many GPUs CUDA sees, after CUDA_VISIBLE_DEVICES; 0 if unknown."""
    count = c_int()
    return 0 if libcuda().without_gil.cuDeviceGetCount(ctypes.byref(count)) else count.value


def driver_version() -> int:
    """Return the newest CUDA version that the driver supports, 11080 for 11.8; 0 if unknown."""
    version = c_int()
    return 0 if libcuda().without_gil.cuDriverGetVersion(ctypes.byref(version)) else version.value


def pci_bus_id(index: int) -> str | None:
    """Return the PCI address of CUDA's device `index`, such as `0000:0a:00.0`, for NVML.

    None without that device.
    """
    text = ctypes.create_string_buffer(64)
    if initialize() or libcuda().without_gil.cuDeviceGetPCIBusId(text, len(text), index):
        return None
    return text.value.decode("ascii")


def error_name(code: int) -> str:
    """Return a name such as CUDA_ERROR_OUT_OF_MEMORY; the number without a driver or for unknown errors."""
    return _asked("cuGetErrorName", code) or f"CUDA error {code}"


def error_text(code: int) -> str:
    """Return a text such as `out of memory`; empty if there is no driver, or it does not know the error."""
    return _asked("cuGetErrorString", code)


def _asked(function: str, code: int) -> str:
    text = c_char_p()
    try:
        library = libcuda().with_gil
    except OSError:
        return ""
    if getattr(library, function)(code, ctypes.byref(text)) or text.value is None:
        return ""
    return text.value.decode("utf-8", "replace")


def _typed(library: ctypes.CDLL) -> ctypes.CDLL:
    """Set the functions' signatures. A function that an old driver lacks fails when it is called."""
    for name, arguments in _SIGNATURES.items():
        function = getattr(library, name, None)
        if function is not None:
            function.argtypes = arguments
            function.restype = c_int
    return library
