"""A frame's pixels in the GPU's memory, which outlive its surface, until nobody needs them any more."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import av
import numpy as np

from framelane.core.errors import FramelaneError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Future

    from numpy.typing import NDArray

    from framelane.inference.backends.cuda.copy_plan import CopyPlan, Region
    from framelane.inference.backends.cuda.frame_memory import Block
    from framelane.inference.backends.cuda.looks import Looks
    from framelane.models.input.letterbox import SizeWH

    Bring = Callable[["FrameCopy", Region, SizeWH], Future[av.VideoFrame]]


class Fetched(NamedTuple):
    """Parts of a frame on their way to host memory.

    Attributes:
        whole: the whole frame, reduced; None if it is not wanted.
        crops: the regions, in their own size.
        whole_bytes: size of the whole frame.
    """

    whole: Future[av.VideoFrame] | None
    crops: list[Future[av.VideoFrame]]
    whole_bytes: int


class FrameCopy:
    """A copy of a frame with 8-bit samples. Its memory is free again with the last reference to it.

    Attributes:
        plan: how it lies in memory.
        block: where.
        colorspace: as PyAV tells it.
        color_range: as PyAV tells it.
    """

    __slots__ = (
        "_begin",
        "_bring",
        "_looks",
        "_regions",
        "_sharpness",
        "block",
        "color_range",
        "colorspace",
        "plan",
    )

    def __init__(self, image: av.VideoFrame, plan: CopyPlan, block: Block, bring: Bring) -> None:
        self.plan = plan
        self.block = block
        self.colorspace, self.color_range = image.colorspace, image.color_range
        self._bring = bring
        self._looks: Looks | None = None
        self._regions: NDArray[np.int32] = np.empty((0, 4), np.int32)
        self._begin = 0
        self._sharpness: dict[Region, float] | None = None

    @property
    def width(self) -> int:
        """Width in pixels."""
        return self.plan.size_wh[0]

    @property
    def height(self) -> int:
        """Height in pixels."""
        return self.plan.size_wh[1]

    def looked_at(self, looks: Looks, begin: int, regions: NDArray[np.int32]) -> None:
        """Note whose sharpness is measured: that of `regions` [n, 4], the results from `begin` on."""
        self._looks, self._begin, self._regions = looks, begin, regions

    def sharpness(self, region: Region) -> float | None:
        """Return how sharp an object's region is, from 0 to 1; None if it was not measured."""
        if self._sharpness is None:
            self._sharpness = self._measured()
        return self._sharpness.get(region)

    def fetch(self, regions: Sequence[Region], longest: int) -> Fetched:
        """Bring regions to the host, and the frame with at most `longest` pixels on its longer side, unless 0."""
        crops = [self._bring(self, each, (each[2] - each[0], each[3] - each[1])) for each in regions]
        if not longest:
            return Fetched(None, crops, 0)
        everything = (0, 0, self.width, self.height)
        share = min(longest / max(self.width, self.height), 1.0)
        whole_wh = max(round(self.width * share), 1), max(round(self.height * share), 1)
        size = sum(math.prod(channel.size_wh(whole_wh)) for channel in self.plan.channels)
        return Fetched(self._bring(self, everything, whole_wh), crops, size)

    def _measured(self) -> dict[Region, float]:
        if self._looks is None:
            return {}
        looks, self._looks = self._looks, None
        try:
            values = looks.values()
        # The slot that looked will meet the same fault, and tells it.
        except FramelaneError:
            return {}
        regions = [tuple(region) for region in self._regions.tolist()]
        return dict(zip(regions, values[self._begin :], strict=False))


def frame_of(copy: FrameCopy, size_wh: SizeWH, planes: Sequence[NDArray[np.uint8]]) -> av.VideoFrame:
    """Return a frame in host memory with the copy's colors and these planes [lines, samples]."""
    frame = av.VideoFrame(*size_wh, copy.plan.pixel_format)
    frame.colorspace, frame.color_range = copy.colorspace, copy.color_range
    for plane, given in zip(frame.planes, planes, strict=True):
        target = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
        target[: given.shape[0], : given.shape[1]] = given
    return frame
