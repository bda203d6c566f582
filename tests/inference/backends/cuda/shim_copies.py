"""Copies of frames made by the kernels on the CPU: for tests of snapshots of frames that stay on the GPU."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager, nullcontext
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from tests.gpu.shim.grid import GridOnCpu
from tests.gpu.shim.host import HostBuffer, HostEvent, HostStream
from tests.inference.backends.cuda.test_preprocess import PictureOnGpu

from framelane.core.frames import Detections
from framelane.inference.backends.cuda import fetcher, frame_memory, looks, twin_buffer
from framelane.inference.backends.cuda.frame_copier import FrameCopier, FrameCopies

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import av

    from framelane.inference.backends.cuda.frame_copy import FrameCopy

Box = tuple[float, float, float, float]
MOST = 64


class ShimCopies:
    """A slot's copier on a GPU that is the shim.

    Attributes:
        copies: what slots share.
        stream: the slot's.
        launched: names of the kernels, in order.
    """

    def __init__(self) -> None:
        self.launched: list[str] = []
        # Apart, because kernels beside one with barriers run slowly.
        self._grids = [GridOnCpu("copies.cu"), GridOnCpu("sharpness.cu")]
        gpu: Any = SimpleNamespace(device=SimpleNamespace(current=nullcontext), kernels=self)
        self.stream: Any = HostStream()
        self.copies = FrameCopies("gate", gpu)
        self.copier = FrameCopier(self, self.copies)

    def launch(self, name: str, *arguments: Any) -> None:
        self.launched.append(name)
        self._grids[name == "framelane_sharpness"].launch(name, *arguments)

    def of(
        self, frames: Sequence[av.VideoFrame], boxes: Sequence[Sequence[Box]] = (), most: int = MOST
    ) -> list[FrameCopy]:
        """The copies of frames that lie on the GPU, and that show objects in these boxes."""
        images: Any = [PictureOnGpu(frame) for frame in frames]
        pictured = [most] * len(frames)
        copies = self.copier.copy(images, pictured, self.stream)
        self.copier.look(
            copies, [found_in(each) for each in boxes or [()] * len(frames)], pictured, self.stream
        )
        return list(copies.values())


def found_in(boxes: Sequence[Box]) -> Detections:
    count = len(boxes)
    xyxy = np.array(boxes, np.float32).reshape(-1, 4)
    return Detections(xyxy, np.ones(count, np.float32), np.zeros(count, np.int32))


@contextmanager
def shim_copies() -> Iterator[ShimCopies]:
    """A copier whose memory is the host's, all of it free in the end."""
    before = HostBuffer.open_now
    with pytest.MonkeyPatch.context() as patch, ExitStack() as after:
        for module in (frame_memory, twin_buffer):
            patch.setattr(module, "DeviceBuffer", HostBuffer)
        patch.setattr(twin_buffer, "PinnedBuffer", HostBuffer)
        patch.setattr(looks, "Event", HostEvent)
        patch.setattr(fetcher, "Stream", HostStream)
        made = ShimCopies()
        after.callback(made.copies.close, 10.0)
        after.callback(made.copier.close)
        yield made
    assert HostBuffer.open_now == before
