"""Turns decoded frames into one batch tensor on the CPU: shrinks the YUV planes, then converts color."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import cv2
import numpy as np
from av.video.reformatter import VideoReformatter

from framelane.models.input.pixel_formats import GBR, LAYOUTS, NEUTRAL, YUV, color_matrix

if TYPE_CHECKING:
    from collections.abc import Sequence

    import av
    from numpy.typing import NDArray

    from framelane.models.input.letterbox import Crop, Letterbox, SizeWH
    from framelane.models.input.pixel_formats import Layout
    from framelane.models.input.spec import InputSpec

    Plane = NDArray[np.uint8]  # [h, w]
    Planes = NDArray[np.uint8]  # [3, h, w]
    Window = tuple[slice, slice]  # lines, samples of a line
    Matrix = NDArray[np.float32]  # [3, 4]

# More than one site has at once; bounds the memory.
_MOST_SIZES = 16


class Preprocessor:
    """Letterboxes decoded frames into one reused batch tensor; belongs to one thread.

    Bilinear sampling is OpenCV's (pixel centers aligned, no smoothing when shrinking), on each plane
    separately. So color conversion is done only for pixels that the model sees.
    """

    def __init__(self, spec: InputSpec, batch: int) -> None:
        self._spec = spec
        self._batch = spec.blank(batch)
        # Along the channels of an image.
        self._factors, self._offsets = spec.factors[:, None, None], spec.offsets[:, None, None]
        self._scaled, self._shifted = bool((spec.factors != 1).any()), bool(spec.offsets.any())
        self._placed: list[Letterbox | None] = [None] * batch
        self._scratch: dict[SizeWH, _Scratch] = {}
        self._reformatter = VideoReformatter()

    def __call__(
        self, pictures: Sequence[av.VideoFrame], crops: Sequence[Crop | None] = ()
    ) -> tuple[NDArray[np.generic], list[Letterbox]]:
        """Fill the tensor with at most `batch` frames.

        Args:
            pictures: decoded frames of any sizes and pixel formats.
            crops: the wanted part of each; empty if all are used whole.

        Returns:
            The first n rows [n, 3, h, w] of the tensor, valid until the next call, and each frame's
            letterbox.
        """
        parts = crops or (None,) * len(pictures)
        boxes = [
            self._place(row, picture, crop)
            for row, (picture, crop) in enumerate(zip(pictures, parts, strict=True))
        ]
        return self._batch[: len(boxes)], boxes

    def _place(self, row: int, picture: av.VideoFrame, crop: Crop | None) -> Letterbox:
        box = self._spec.letterbox((picture.width, picture.height), crop)
        if self._placed[row] is not box:
            self._batch[row] = self._spec.padding[:, None, None]
            self._placed[row] = box
        (left, top), (width, height) = box.pad_xy, box.new_wh
        target = self._batch[row, :, top : top + height, left : left + width]
        self._scale(self._colored(picture, box), target)
        return box

    def _scale(self, planes: Planes, target: NDArray[np.generic]) -> None:
        if self._shifted and target.dtype != np.float32:
            # In halves, each step would round.
            values = planes * self._factors
            np.add(values, self._offsets, out=values)
            np.copyto(target, values, casting="unsafe")
            return
        np.copyto(target, planes, casting="unsafe")
        if self._scaled:
            np.multiply(target, self._factors, out=target, casting="unsafe")
        if self._shifted:
            np.add(target, self._offsets, out=target, casting="unsafe")

    def _colored(self, picture: av.VideoFrame, box: Letterbox) -> Planes:
        """Return the frame at its new size, as 8-bit planes [3, h, w] in the model's channel order."""
        planes, matrix = self._planes(picture, box)
        scratch = self._scratch_for(box.new_wh)
        for source, shrunk in zip(planes, scratch.planes, strict=True):
            cv2.resize(source, box.new_wh, dst=shrunk, interpolation=cv2.INTER_LINEAR)
        cv2.merge(list(scratch.planes), dst=scratch.packed)
        cv2.transform(scratch.packed, matrix, dst=scratch.colored)
        cv2.split(scratch.colored, list(scratch.planes))
        return scratch.planes

    def _planes(self, picture: av.VideoFrame, box: Letterbox) -> tuple[list[Plane], Matrix]:
        """Return three planes of the frame's used part, and the matrix from them to the model's channels."""
        name = picture.format.name
        if name not in LAYOUTS:
            name = GBR if picture.format.is_rgb or picture.format.has_palette else YUV
            picture = self._reformatter.reformat(picture, format=name, threads=1)
        return _read(picture, LAYOUTS[name], box), color_matrix(picture, name, self._spec.color)

    def _scratch_for(self, new_wh: SizeWH) -> _Scratch:
        if new_wh not in self._scratch:
            if len(self._scratch) >= _MOST_SIZES:
                self._scratch.clear()
            self._scratch[new_wh] = _Scratch(new_wh)
        return self._scratch[new_wh]


class _Scratch:
    """Memory for one size of frame. New planes for every frame cost more than all the arithmetic on them."""

    def __init__(self, size_wh: SizeWH) -> None:
        width, height = size_wh
        self.planes: Planes = np.empty((3, height, width), np.uint8)
        self.packed = np.empty((height, width, 3), np.uint8)
        self.colored = np.empty((height, width, 3), np.uint8)


def _read(picture: av.VideoFrame, layout: Layout, box: Letterbox) -> list[Plane]:
    """Return views of the planes if possible, else 8-bit copies."""
    luma = _part(picture.planes[0], layout, _luma_window(box))
    if layout.gray:
        neutral = np.full((1, 1), NEUTRAL, np.uint8)
        return [luma, neutral, neutral]
    window = _chroma_window(box, layout)
    if not layout.interleaved:
        return [luma, *(_part(plane, layout, window) for plane in picture.planes[1:])]
    pairs = _part(picture.planes[1], layout, window)
    first, second = pairs[:, 0::2].copy(), pairs[:, 1::2].copy()
    return [luma, second, first] if layout.v_first else [luma, first, second]


def _luma_window(box: Letterbox) -> Window:
    (left, top), (width, height) = box.origin_xy, box.crop_wh
    return slice(top, top + height), slice(left, left + width)


def _chroma_window(box: Letterbox, layout: Layout) -> Window:
    across, down = layout.subsampling_xy
    width, height = layout.chroma_wh(box.crop_wh)
    left, top = box.origin_xy[0] >> across, box.origin_xy[1] >> down
    samples = 2 if layout.interleaved else 1
    return slice(top, top + height), slice(left * samples, (left + width) * samples)


def _part(plane: av.video.plane.VideoPlane, layout: Layout, window: Window) -> Plane:
    """Return the used part of a plane as 8-bit samples [h, w]; pairs of interleaved chroma are [h, 2 * w]."""
    if layout.sample_bytes == 1:
        bytes_: Plane = np.frombuffer(memoryview(plane), np.uint8)
        return bytes_.reshape(-1, plane.line_size)[window]
    words: NDArray[np.uint16] = np.frombuffer(memoryview(plane), np.uint16)
    used = words.reshape(-1, plane.line_size // layout.sample_bytes)[window]
    return cast("Plane", cv2.convertScaleAbs(used, alpha=layout.sample_scale))
