"""Checks whether this host can run on the GPU; if not, says why in one sentence with the remedy."""

from __future__ import annotations

import ctypes
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from framelane.gpu.libcuda import LIBRARY, device_count, driver_version, error_name, error_text, initialize

if TYPE_CHECKING:
    from collections.abc import Callable

_INSTALL = "pip install framelane[gpu]"
_MODULES = (("pycuda.driver", "PyCUDA"), ("tensorrt", "TensorRT"))
_DECODER = "libnvcuvid.so.1"
_NO_DEVICE = 100
_LEAST_CUDA = 11080
_CONTAINER_MARKS = ("/.dockerenv", "/run/.containerenv")

_REMEDIES = {
    34: "the toolkit's stub is found instead of the driver; take its `stubs` folder out of LD_LIBRARY_PATH",
    802: "the system is not ready; on machines with NVSwitch start nvidia-fabricmanager",
    803: "the driver was updated while the old one runs; restart the host",
    804: "a CUDA compatibility package does not fit this GPU; remove it from LD_LIBRARY_PATH, or update the driver",
}
"""Remedies by cuInit's CUresult."""


@cache
def why_absent() -> str | None:
    """Return why TensorRT can't be used here, in a sentence with the remedy; None if it can. Checked once."""
    return why_no_driver() or why_old_driver() or why_no_modules()


@cache
def why_no_nvdec() -> str | None:
    """Return why the GPU's decoder can't be used here, in the same form. It needs only a driver and a GPU."""
    return why_no_driver() or why_no_decoder()


def in_container() -> bool:
    """Return whether this process seems to run in a container."""
    return any(Path(mark).exists() for mark in _CONTAINER_MARKS)


def why_no_driver(
    start: Callable[[], int] = initialize,
    count: Callable[[], int] = device_count,
    container: Callable[[], bool] = in_container,
) -> str | None:
    """Return why CUDA can't start: no driver, no GPU, or cuInit's error."""
    try:
        code = start()
    except OSError as error:
        return _no_library(str(error), inside=container())
    if code == _NO_DEVICE or (code == 0 and count() == 0):
        return _no_gpu(inside=container())
    if code:
        remedy = _REMEDIES.get(code, "check whether nvidia-smi works, and read the kernel log")
        return (
            f"CUDA can't start: {error_text(code) or 'cuInit failed'} ({error_name(code)}, {code}): {remedy}"
        )
    return None


def why_old_driver(version: Callable[[], int] = driver_version) -> str | None:
    """Return why the driver can't run our kernels. It must support their PTX, which came with CUDA 11.8."""
    known = version()
    if known >= _LEAST_CUDA:
        return None
    return (
        f"the NVIDIA driver is too old (CUDA {known // 1000}.{known % 1000 // 10}): update it to 520 or newer"
    )


def why_no_modules(load: Callable[[str], Any] = import_module) -> str | None:
    """Return why PyCUDA or TensorRT can't be imported."""
    for module, product in _MODULES:
        try:
            load(module)
        except ModuleNotFoundError as error:
            if error.name in (module, module.partition(".")[0]):
                return f"{product} is not installed: {_INSTALL}"
            return f"{product} lacks a module, {error.name}: {_INSTALL}"
        except (ImportError, OSError, RuntimeError, AttributeError) as error:
            return f"{product} can't be imported: {error}; its version must fit the driver and Python"
    return None


def why_no_decoder(load: Callable[[str], Any] = ctypes.CDLL) -> str | None:
    """Return why the decoder's library can't be loaded."""
    try:
        load(_DECODER)
    except OSError:
        hint = "in a container, NVIDIA_DRIVER_CAPABILITIES must name video; else install the driver's decode package"
        return f"the driver's video decoder, {_DECODER}, can't be loaded: {hint}"
    return None


def _no_library(error: str, *, inside: bool) -> str:
    if "No such file" not in error:
        return f"the NVIDIA driver's {LIBRARY} can't be loaded: {error}"
    if inside:
        return (
            f"no NVIDIA driver in this container ({LIBRARY} is missing): start it with `--gpus all`, which needs the "
            "NVIDIA Container Toolkit on the host"
        )
    return f"no NVIDIA driver ({LIBRARY} is missing): install it, and restart if nvidia-smi still fails"


def _no_gpu(*, inside: bool) -> str:
    where = "start the container with `--gpus all`" if inside else "check whether nvidia-smi shows one"
    return f"the NVIDIA driver finds no GPU: {where}, and check CUDA_VISIBLE_DEVICES if it is set"
