"""The driver's own library by ctypes, for the calls that PyCUDA lacks and those that its destructors can't make safely.

Every function is there twice. `quick` keeps the interpreter lock: right for a call of a few microseconds, because a
thread that lets the lock go may wait for milliseconds until it has it again. `patient` lets it go meanwhile.
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
"""Arguments as in cuda.h of CUDA 11.4 and newer; every function returns a CUresult."""


@dataclass(frozen=True, slots=True)
class Libcuda:
    """The library, opened twice: see the module's text."""

    quick: ctypes.CDLL
    patient: ctypes.CDLL


@cache
def libcuda() -> Libcuda:
    """The library.

    Raises:
        OSError: there is none, that is, no NVIDIA driver.
    """
    return Libcuda(_typed(ctypes.PyDLL(LIBRARY)), _typed(ctypes.CDLL(LIBRARY)))


def initialise() -> int:
    """Call cuInit with the environment it needs; returns its CUresult. Repeats cost nothing.

    GPUs are numbered as nvidia-smi numbers them: CUDA's own default is the fastest first. Who calls cuInit first
    decides that for the process, so this is called before FFmpeg, TensorRT or PyCUDA may.
    """
    os.environ.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
    choose_cache()
    return int(libcuda().patient.cuInit(0))


def device_count() -> int:
    """How many GPUs CUDA sees, after CUDA_VISIBLE_DEVICES; 0 if it can't say."""
    count = c_int()
    return 0 if libcuda().patient.cuDeviceGetCount(ctypes.byref(count)) else count.value


def driver_version() -> int:
    """The newest CUDA that the driver knows, as 11080 for 11.8; 0 if it can't say."""
    version = c_int()
    return 0 if libcuda().patient.cuDriverGetVersion(ctypes.byref(version)) else version.value


def pci_bus_id(index: int) -> str | None:
    """Where CUDA's device `index` sits, as `0000:0a:00.0`: what NVML knows it by. None if there is none such."""
    text = ctypes.create_string_buffer(64)
    if initialise() or libcuda().patient.cuDeviceGetPCIBusId(text, len(text), index):
        return None
    return text.value.decode("ascii")


def error_name(code: int) -> str:
    """As CUDA_ERROR_OUT_OF_MEMORY; the plain number where there is no driver to ask, or it doesn't know."""
    return _asked("cuGetErrorName", code) or f"CUDA error {code}"


def error_text(code: int) -> str:
    """As `out of memory`; empty where there is no driver to ask, or it doesn't know."""
    return _asked("cuGetErrorString", code)


def _asked(function: str, code: int) -> str:
    text = c_char_p()
    try:
        library = libcuda().quick
    except OSError:
        return ""
    if getattr(library, function)(code, ctypes.byref(text)) or text.value is None:
        return ""
    return text.value.decode("utf-8", "replace")


def _typed(library: ctypes.CDLL) -> ctypes.CDLL:
    """Give the functions their signatures; one that an old driver lacks fails when it is called."""
    for name, arguments in _SIGNATURES.items():
        function = getattr(library, name, None)
        if function is not None:
            function.argtypes = arguments
            function.restype = c_int
    return library
