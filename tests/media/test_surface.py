"""Frames on the GPU."""

from __future__ import annotations

import av
from tests.inference.backends.cuda.test_preprocess import PictureOnGpu

from framelane.media.surface import is_on_gpu


def test_only_a_frame_of_nvdec_is_on_the_gpu() -> None:
    frame = av.VideoFrame(64, 36, "nv12")
    assert not is_on_gpu(frame)
    assert is_on_gpu(PictureOnGpu(frame))
