"""Pictures that NVDEC left on the GPU: what their samples are."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    import av
    from av.video.plane import VideoPlane

ON_GPU = "cuda"  # the pixel format that PyAV gives such a picture

# DLManagedTensor of dlpack.h begins with: void* data; int32 device[2]; int32 ndim; uint8 code; uint8 bits.
_BITS_OFFSET = 21
_BY_BITS = {8: "nv12", 16: "p016le"}  # P010 and P016 differ in what the low bits hold, not in where they are

_pointer_of = ctypes.pythonapi.PyCapsule_GetPointer
_pointer_of.restype = ctypes.c_void_p
_pointer_of.argtypes = [ctypes.py_object, ctypes.c_char_p]


def surface_format(picture: av.VideoFrame, planes: Sequence[VideoPlane]) -> str | None:
    """The pixel format of a picture on the GPU, such as "nv12"; None where PyAV can't tell.

    PyAV before 18 has no `sw_format`; there the width of the samples that it exports tells.
    """
    own = getattr(picture, "sw_format", None)
    return own.name if own is not None else _exported_format(planes)


def _exported_format(planes: Sequence[VideoPlane]) -> str | None:
    """By DLPack, which PyAV 17 knows for NV12, P010 and P016 alone: of any other it raises."""
    try:
        capsule = planes[0].__dlpack__()
    except NotImplementedError:
        return None
    start = _pointer_of(capsule, b"dltensor")
    return _BY_BITS.get(ctypes.c_uint8.from_address(start + _BITS_OFFSET).value)
