"""The pixel format of frames that NVDEC left on the GPU."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    import av
    from av.video.plane import VideoPlane

# DLManagedTensor of dlpack.h begins with: void* data; int32 device[2]; int32 ndim; uint8 code; uint8 bits.
_BITS_OFFSET = 21
# P010 and P016 differ only in the content of the low bits.
_BY_BITS = {8: "nv12", 16: "p016le"}

_pointer_of = ctypes.pythonapi.PyCapsule_GetPointer
_pointer_of.restype = ctypes.c_void_p
_pointer_of.argtypes = [ctypes.py_object, ctypes.c_char_p]


def surface_format(frame: av.VideoFrame, planes: Sequence[VideoPlane]) -> str | None:
    """Return the pixel format of a frame on the GPU, such as "nv12"; None if PyAV can't tell.

    PyAV before 18 has no `sw_format`; there the width of the exported samples tells.
    """
    own = getattr(frame, "sw_format", None)
    return own.name if own is not None else _exported_format(planes)


def _exported_format(planes: Sequence[VideoPlane]) -> str | None:
    """Read the format from DLPack, which PyAV 17 supports for NV12, P010 and P016 alone.

    It raises for others.
    """
    try:
        capsule = planes[0].__dlpack__()
    except NotImplementedError:
        return None
    start = _pointer_of(capsule, b"dltensor")
    return _BY_BITS.get(ctypes.c_uint8.from_address(start + _BITS_OFFSET).value)
