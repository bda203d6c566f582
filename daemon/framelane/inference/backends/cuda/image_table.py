"""Tells the preprocess kernel where a batch's images are, and uploads those that are not on the GPU."""

from __future__ import annotations

import struct
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from av.video.reformatter import VideoReformatter

from framelane.gpu.memory import DeviceBuffer, PinnedBuffer
from framelane.inference.backends.cuda.plane_table import PICTURE
from framelane.inference.backends.cuda.surface import surface_format
from framelane.media.surface import is_on_gpu
from framelane.models.input.pixel_formats import GBR, LAYOUTS, NEUTRAL, YUV, color_matrix

if TYPE_CHECKING:
    from collections.abc import Sequence

    import av
    from av.video.plane import VideoPlane
    from numpy.typing import NDArray

    from framelane.gpu.stream import Stream
    from framelane.models.input.letterbox import Crop, Letterbox, SizeWH
    from framelane.models.input.pixel_formats import Layout
    from framelane.models.input.spec import InputSpec

_ALIGN = 256
_STAGING_STEP = 1 << 20
# More kinds of images than an installation has at once; bounds the memory.
_MOST_PLANS = 512
# The row's first field.
_ADDRESSES = struct.Struct("=3Q")
# The fixed-point one of cv::transform's weights.
_ONE = 1024


class ImageTable:
    """The table of a batch, and the staging memory for images from the CPU; belongs to one thread.

    A row is computed once per kind of image; each frame only looks its row up and writes its addresses.
    Staging memory grows to what a batch needs: at most `batch` times the largest image.

    Args:
        spec: the model's input images.
        batch: most rows.
    """

    def __init__(self, spec: InputSpec, batch: int) -> None:
        self._spec = spec
        # The first bytes are the chroma of gray images.
        size = _ALIGN + batch * PICTURE.itemsize
        self._device = DeviceBuffer(size)
        self._host = PinnedBuffer(size)
        self._host.array[:_ALIGN] = NEUTRAL
        self._rows = self._host.array.data
        self._staging = _Staging()
        self._plans: dict[tuple[object, ...], _Plan] = {}
        self._reformatter = VideoReformatter()
        self._count = 0

    @property
    def address(self) -> int:
        """The device address of the first row; never changes."""
        return self._device.address + _ALIGN

    def fill(self, images: Sequence[av.VideoFrame], crops: Sequence[Crop | None] = ()) -> list[Letterbox]:
        """Write a row for each image, and copy images from the CPU to pinned memory.

        Images on the GPU are read in place, so keep them until the kernel has run. The last upload must be
        complete.

        Args:
            images: decoded images, on the GPU or not.
            crops: the part of each image to look at; empty if all images count whole.

        Raises:
            OutOfMemoryError: there is no room for images of this size.
        """
        parts = crops or (None,) * len(images)
        found = [self._find(image, crop) for image, crop in zip(images, parts, strict=True)]
        self._staging.reserve(sum(plan.staged for plan, _ in found))
        at = _ALIGN
        for plan, planes in found:
            self._rows[at : at + PICTURE.itemsize] = plan.row
            _ADDRESSES.pack_into(self._rows, at, *self._addresses(plan, planes))
            at += PICTURE.itemsize
        self._count = len(found)
        return [plan.box for plan, _ in found]

    def upload(self, stream: Stream) -> None:
        """Upload the rows and the staged images, asynchronously."""
        stream.copy_in(self._device.address, self._host.address, _ALIGN + self._count * PICTURE.itemsize)
        self._staging.upload(stream)

    def close(self) -> None:
        """Free all memory."""
        self._rows = memoryview(b"")
        self._staging.close()
        self._host.close()
        self._device.close()

    def _find(self, image: av.VideoFrame, crop: Crop | None) -> tuple[_Plan, Sequence[VideoPlane]]:
        """Return an image's plan and planes, converting pixel formats that the kernel can't read."""
        planes = image.planes
        own = image.format
        on_gpu = is_on_gpu(image)
        name = surface_format(image, planes) if on_gpu else own.name
        if name is None or name not in LAYOUTS:
            # An image on the GPU is YUV. Reformatting downloads it too, but loses its color properties, so
            # those are read from the original.
            name = GBR if own.is_rgb or own.has_palette else YUV
            converted = self._reformatter.reformat(image, format=name, threads=1)
            planes = converted.planes
            image, on_gpu = (image if on_gpu else converted), False
        pitches = [plane.line_size for plane in planes]
        key = (
            name, on_gpu, image.width, image.height, image.colorspace, image.color_range, crop, *pitches
        )  # fmt: skip
        plan = self._plans.get(key)
        if plan is None:
            if len(self._plans) >= _MOST_PLANS:
                self._plans.clear()
            box = self._spec.letterbox((image.width, image.height), crop)
            matrix = color_matrix(image, name, self._spec.color)
            plan = self._plans[key] = _plan(LAYOUTS[name], box, pitches, matrix, staged=not on_gpu)
        return plan, planes

    def _addresses(self, plan: _Plan, planes: Sequence[VideoPlane]) -> list[int]:
        if plan.staged:
            bases = [
                self._staging.put(plane, window) for plane, window in zip(planes, plan.windows, strict=True)
            ]
        else:
            bases = [plane.buffer_ptr for plane in planes]
        neutral = self._device.address
        return [neutral if plane is None else bases[plane] + offset for plane, offset in plan.sources]


@dataclass(frozen=True, slots=True)
class _Plan:
    """What one kind of image (format, size, pitches, colors, crop) needs.

    Attributes:
        box: its place in the model's input.
        row: its row of the table, without the addresses.
        windows: for each plane, the first byte read and the one after the last.
        staged: bytes of staging memory it needs; 0 if it is on the GPU.
        sources: for Y, U and V: the plane, and the bytes from its base to the first sample; None is
            neutral chroma.
    """

    box: Letterbox
    row: bytes
    windows: tuple[tuple[int, int], ...]
    staged: int
    sources: tuple[tuple[int | None, int], ...]


def _plan(
    layout: Layout, box: Letterbox, pitches: Sequence[int], matrix: NDArray[np.float32], *, staged: bool
) -> _Plan:
    tops = [box.origin_xy[1], *[box.origin_xy[1] >> layout.subsampling_xy[1]] * 2]
    chroma_wh = layout.chroma_wh(box.crop_wh)
    heights = [box.crop_wh[1], chroma_wh[1], chroma_wh[1]]
    windows = tuple(
        (top * pitch, (top + height) * pitch)
        for top, height, pitch in zip(tops, heights, pitches, strict=False)
    )
    # A staged plane begins with its window's first line.
    begins = [0 if staged else begin for begin, _ in windows]
    return _Plan(
        box,
        _row(layout, box, pitches, matrix).tobytes(),
        windows,
        sum(_aligned(end - begin) for begin, end in windows) if staged else 0,
        tuple(_sources(layout, box, begins)),
    )


def _sources(layout: Layout, box: Letterbox, begins: Sequence[int]) -> list[tuple[int | None, int]]:
    size = layout.sample_bytes
    luma = (0, begins[0] + box.origin_xy[0] * size)
    if layout.gray:
        return [luma, (None, 0), (None, 0)]
    left = (box.origin_xy[0] >> layout.subsampling_xy[0]) * size
    if not layout.interleaved:
        return [luma, (1, begins[1] + left), (2, begins[2] + left)]
    first, second = (1, begins[1] + 2 * left), (1, begins[1] + 2 * left + size)
    return [luma, second, first] if layout.v_first else [luma, first, second]


def _row(
    layout: Layout, box: Letterbox, pitches: Sequence[int], matrix: NDArray[np.float32]
) -> NDArray[np.void]:
    """Return the row of the table, as kernels/picture.h defines it, without the addresses."""
    row = np.zeros(1, PICTURE)
    chroma_wh = layout.chroma_wh(box.crop_wh)
    row["luma_ratio"], row["chroma_ratio"] = _ratio(box.crop_wh, box), _ratio(chroma_wh, box)
    if layout.gray:
        row["pitch"] = pitches[0], 0, 0
    else:
        row["pitch"] = pitches[0], pitches[1], pitches[1 if layout.interleaved else 2]
    row["sample_bytes"], row["sample_scale"] = layout.sample_bytes, layout.sample_scale
    row["chroma_step"] = 2 if layout.interleaved else 1
    row["luma_wh"], row["chroma_wh"] = box.crop_wh, chroma_wh
    row["new_wh"], row["pad_xy"] = box.new_wh, box.pad_xy
    row["matrix"] = _fixed_point(matrix).ravel()
    row["factor"], row["origin"] = box.factor_xy, box.origin_xy
    row["limit"] = [start + size for start, size in zip(box.origin_xy, box.crop_wh, strict=True)]
    return row


def _ratio(size_wh: SizeWH, box: Letterbox) -> tuple[float, float]:
    """Return samples per output pixel, computed through the inverse as cv::resize does."""
    return 1 / (box.new_wh[0] / size_wh[0]), 1 / (box.new_wh[1] / size_wh[1])


def _fixed_point(matrix: NDArray[np.float32]) -> NDArray[np.int32]:
    """Return the matrix as cv::transform uses it for 8-bit pixels: in 1024ths, plus the half that rounds."""
    half = np.array([0, 0, 0, 0.5], np.float32)
    fixed: NDArray[np.int32] = np.rint((matrix + half) * np.float32(_ONE)).astype(np.int32)
    return fixed


class _Staging:
    """Pinned memory and as much device memory; uploads copy to the same offsets."""

    def __init__(self) -> None:
        self._host: PinnedBuffer | None = None
        self._device: DeviceBuffer | None = None
        self._size = 0
        self._used = 0

    def reserve(self, size: int) -> None:
        """Empty it and make room for `size` bytes.

        If that fails, keep the old memory and raise OutOfMemoryError.
        """
        self._used = 0
        if size <= self._size:
            return
        size = -(-size // _STAGING_STEP) * _STAGING_STEP
        with ExitStack() as undo:
            host = PinnedBuffer(size)
            undo.callback(host.close)
            device = DeviceBuffer(size)
            undo.pop_all()
        self.close()
        self._host, self._device, self._size = host, device, size

    def put(self, plane: VideoPlane, window: tuple[int, int]) -> int:
        """Copy a window of a plane's bytes; return the device address they will have."""
        if self._host is None or self._device is None:
            raise AssertionError("no room was reserved")
        begin, end = window
        offset = self._used
        self._used += _aligned(end - begin)
        pixels = np.frombuffer(memoryview(plane), np.uint8)
        # NumPy releases the interpreter lock while it copies.
        self._host.array[offset : offset + end - begin] = pixels[begin:end]
        return self._device.address + offset

    def upload(self, stream: Stream) -> None:
        """Upload the copied bytes, asynchronously."""
        if self._used and self._host is not None and self._device is not None:
            stream.copy_in(self._device.address, self._host.address, self._used)

    def close(self) -> None:
        """Free the memory; it can be reserved again."""
        host, device = self._host, self._device
        self._host = self._device = None
        self._size = self._used = 0
        for buffer in (host, device):
            if buffer is not None:
                buffer.close()


def _aligned(size: int) -> int:
    return -(-size // _ALIGN) * _ALIGN
