"""Copies the frames of a batch that snapshots may need within the GPU, and looks at their objects."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np
import structlog

from framelane.gpu.errors import OutOfMemoryError
from framelane.inference.backends.cuda.copy_plan import copy_plan
from framelane.inference.backends.cuda.copy_tables import COPIED_PLANE, launch_copy
from framelane.inference.backends.cuda.fetcher import Fetcher
from framelane.inference.backends.cuda.frame_copy import FrameCopy
from framelane.inference.backends.cuda.frame_memory import FrameMemory
from framelane.inference.backends.cuda.looks import LookPool, look_rows, regions_of
from framelane.inference.backends.cuda.surface import surface_format
from framelane.inference.backends.cuda.twin_buffer import grown
from framelane.media.surface import is_on_gpu

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import av
    from av.video.plane import VideoPlane

    from framelane.core.frames import Detections
    from framelane.gpu.stream import Stream
    from framelane.inference.backends.cuda.copy_plan import CopyPlan
    from framelane.inference.backends.cuda.preprocess import Launcher
    from framelane.inference.backends.cuda.shared_gpu import SharedGpu
    from framelane.inference.backends.cuda.twin_buffer import TwinBuffer

log = structlog.get_logger(__name__)

_TABLE_STEP = 4096


class FrameCopies:
    """What all slots of a model share for copies of frames. Costs nothing until the first one.

    Args:
        model: the model's key.
        gpu: the GPU.
    """

    def __init__(self, model: str, gpu: SharedGpu) -> None:
        self.memory = FrameMemory()
        self.looks = LookPool(gpu)
        self.fetcher = Fetcher(model, gpu)
        self._model = model
        self._refused: set[str | None] = set()

    def of(self, image: av.VideoFrame, planes: Sequence[VideoPlane]) -> FrameCopy | None:
        """Return a copy with memory for a surface's pixels; None if there is no room, or it can't be copied."""
        name = surface_format(image, planes)
        plan = copy_plan(name, (image.width, image.height))
        if plan is None:
            self._refuse(name)
            return None
        block = self.memory.take(plan.size)
        return None if block is None else FrameCopy(image, plan, block, self.fetcher.bring)

    def close(self, timeout_s: float) -> None:
        """Free everything, once no slot runs; within the device. May be called twice."""
        if self.fetcher.stop(timeout_s):
            self.looks.close()
            self.memory.close()

    def _refuse(self, name: str | None) -> None:
        if name not in self._refused:
            self._refused.add(name)
            log.warning(
                "snapshots_impossible",
                model=self._model,
                text=f"frames on the GPU with pixel format {name or 'unknown to PyAV'} give no snapshots; "
                "set `decode: cpu` for their streams",
            )


class FrameCopier:
    """Copies the frames of one slot; belongs to its thread.

    Args:
        kernels: launches them.
        copies: what the model's slots share.
    """

    def __init__(self, kernels: Launcher, copies: FrameCopies) -> None:
        self._kernels = kernels
        self._copies = copies
        self._table: TwinBuffer | None = None

    def copy(
        self, images: Sequence[av.VideoFrame], pictured: Sequence[int], stream: Stream
    ) -> dict[int, FrameCopy]:
        """Copy surfaces, asynchronously, and return the copies by their images' place in the batch.

        The CUDA stream must be done with the last batch. What finds no room is left out.

        Args:
            images: of the batch.
            pictured: of how many objects of each image the pixels are needed.
            stream: the slot's; it has waited for the decoders.
        """
        copies: dict[int, FrameCopy] = {}
        given: list[tuple[float, ...]] = []
        for number, most in enumerate(pictured):
            if not most or not is_on_gpu(images[number]):
                continue
            planes = images[number].planes
            copy = self._copies.of(images[number], planes)
            if copy is not None:
                copies[number] = copy
                given += plane_rows(copy.plan, planes, copy.block.address)
        if given and not self._launch(np.array(given, COPIED_PLANE), stream):
            copies.clear()
        return copies

    def look(
        self,
        copies: Mapping[int, FrameCopy],
        found: Sequence[Detections],
        pictured: Sequence[int],
        stream: Stream,
    ) -> None:
        """Measure how sharp the objects of copied frames are, asynchronously: of each the surest `pictured`."""
        boxes = [found[number].xyxy[: pictured[number]] for number in copies]
        counts = [len(each) for each in boxes]
        if not sum(counts):
            return
        copied = list(copies.values())
        sizes_wh = np.array([copy.plan.size_wh for copy in copied], np.int32)
        pitches = np.array([copy.plan.parts[0].pitch for copy in copied], np.int32)
        addresses = np.array([copy.block.address for copy in copied], np.uint64)
        regions = regions_of(np.concatenate(boxes), np.repeat(sizes_wh, counts, axis=0))
        rows = look_rows(np.repeat(addresses, counts), np.repeat(pitches, counts), regions)
        with suppress(OutOfMemoryError):
            looks = self._copies.looks.look(rows, self._kernels, stream)
            begin = 0
            for copy, count in zip(copied, counts, strict=True):
                copy.looked_at(looks, begin, regions[begin : begin + count])
                begin += count

    def close(self) -> None:
        """Free the table."""
        if self._table is not None:
            self._table.close()
            self._table = None

    def _launch(self, rows: np.ndarray[tuple[int, ...], np.dtype[np.void]], stream: Stream) -> bool:
        """Copy planes; return whether there was room for the table."""
        try:
            self._table = table = grown(self._table, rows.nbytes, _TABLE_STEP)
        except OutOfMemoryError:
            return False
        table.array[: rows.nbytes] = rows.view(np.uint8)
        table.upload(stream, rows.nbytes)
        launch_copy(self._kernels, stream, table.address, rows)
        return True


def plane_rows(plan: CopyPlan, planes: Sequence[VideoPlane], address: int) -> list[tuple[float, ...]]:
    """Return the rows of a surface's planes, as COPIED_PLANE."""
    return [
        (
            plane.buffer_ptr,
            address + part.offset,
            plane.line_size,
            part.pitch,
            part.samples,
            part.lines,
            plan.sample_bytes,
            plan.sample_scale,
        )
        for plane, part in zip(planes, plan.parts, strict=True)
    ]
