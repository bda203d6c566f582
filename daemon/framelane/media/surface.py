"""Tells frames whose pixels NVDEC left on the GPU."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    import av

    from framelane.core.frames import Picture

# The pixel format that PyAV reports for such frames.
_ON_GPU = "cuda"


def is_on_gpu(picture: Picture) -> bool:
    """Return whether the pixels of a frame are on the GPU."""
    return cast("av.VideoFrame", picture).format.name == _ON_GPU
