"""From decoded frames to one batch tensor on the CPU: shrink the YUV planes first, then colour, then layout."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
from av.video.reformatter import ColorRange, VideoReformatter

from framelane.inference.colour import yuv_matrix

if TYPE_CHECKING:
    from collections.abc import Sequence

    import av
    from numpy.typing import NDArray

    from framelane.inference.inputs import InputSpec
    from framelane.inference.letterbox import Letterbox, SizeWH

    Plane = NDArray[np.uint8]  # [h, w]
    Planes = NDArray[np.uint8]  # [3, h, w]
    Matrix = NDArray[np.float32]  # [3, 4]

# Read as they are; every other format (10 bit, packed, palette, RGB) goes through one swscale conversion first.
_PLANAR = {"yuv420p", "yuv422p", "yuv444p", "yuvj420p", "yuvj422p", "yuvj444p"}
_GREY = {"gray", "gray8"}
_SEMIPLANAR = {"nv12"}
_NEUTRAL = 128
_FROM_GBR = {
    "rgb": np.array([[0, 0, 1, 0], [1, 0, 0, 0], [0, 1, 0, 0]], np.float32),
    "bgr": np.array([[0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 1, 0]], np.float32),
}
_MOST_SIZES = 16  # more at once than a site has; bounds the memory


class Preprocessor:
    """Letterboxes decoded frames into one reused batch tensor; belongs to one thread.

    Bilinear sampling is OpenCV's (pixel centres aligned, no smoothing on shrinking), on each plane apart; so a pixel
    costs its colour conversion only where the model sees it.
    """

    def __init__(self, spec: InputSpec, batch: int) -> None:
        self._spec = spec
        self._batch = np.full(spec.shape(batch), spec.pad * spec.scale, spec.dtype)
        self._placed: list[Letterbox | None] = [None] * batch
        self._scratch: dict[SizeWH, _Scratch] = {}
        self._reformatter = VideoReformatter()

    def __call__(self, pictures: Sequence[av.VideoFrame]) -> tuple[NDArray[np.generic], list[Letterbox]]:
        """Fill the tensor with at most `batch` pictures.

        Returns:
            The first n rows [n, 3, h, w] of the tensor, valid until the next call, and each picture's letterbox.
        """
        boxes = [self._place(row, picture) for row, picture in enumerate(pictures)]
        return self._batch[: len(boxes)], boxes

    def _place(self, row: int, picture: av.VideoFrame) -> Letterbox:
        box = self._spec.letterbox((picture.width, picture.height))
        if self._placed[row] is not box:
            self._batch[row] = self._spec.pad * self._spec.scale
            self._placed[row] = box
        (left, top), (width, height) = box.pad_xy, box.new_wh
        target = self._batch[row, :, top : top + height, left : left + width]
        np.copyto(target, self._coloured(picture, box.new_wh), casting="unsafe")
        if self._spec.scale != 1:
            np.multiply(target, np.float32(self._spec.scale), out=target, casting="unsafe")
        return box

    def _coloured(self, picture: av.VideoFrame, new_wh: SizeWH) -> Planes:
        """The picture at its new size, as 8-bit planes [3, h, w] in the model's channel order."""
        planes, matrix = self._planes(picture)
        scratch = self._scratch_for(new_wh)
        for source, shrunk in zip(planes, scratch.planes, strict=True):
            cv2.resize(source, new_wh, dst=shrunk, interpolation=cv2.INTER_LINEAR)
        cv2.merge(list(scratch.planes), dst=scratch.packed)
        cv2.transform(scratch.packed, matrix, dst=scratch.coloured)
        cv2.split(scratch.coloured, list(scratch.planes))
        return scratch.planes

    def _planes(self, picture: av.VideoFrame) -> tuple[list[Plane], Matrix]:
        """Three planes of the picture, and the matrix from them to the model's channels."""
        name = picture.format.name
        if name in _PLANAR:
            return [_view(plane) for plane in picture.planes], self._from_yuv(picture)
        if name in _SEMIPLANAR:
            luma, chroma = picture.planes
            pairs = np.frombuffer(memoryview(chroma), np.uint8).reshape(-1, chroma.line_size)
            pairs = pairs[: chroma.height, : 2 * chroma.width]
            return [_view(luma), pairs[:, 0::2].copy(), pairs[:, 1::2].copy()], self._from_yuv(picture)
        if name in _GREY:
            neutral = np.full((1, 1), _NEUTRAL, np.uint8)
            return [_view(picture.planes[0]), neutral, neutral], self._from_yuv(picture)
        if picture.format.is_rgb or picture.format.has_palette:
            converted = self._reformatter.reformat(picture, format="gbrp", threads=1)
            return [_view(plane) for plane in converted.planes], _FROM_GBR[self._spec.colour]
        converted = self._reformatter.reformat(picture, format="yuv444p", threads=1)
        return [_view(plane) for plane in converted.planes], self._from_yuv(converted)

    def _from_yuv(self, picture: av.VideoFrame) -> Matrix:
        full_range = picture.color_range == ColorRange.JPEG or picture.format.name.startswith("yuvj")
        return yuv_matrix(picture.colorspace, picture.height, full_range=full_range, order=self._spec.colour)

    def _scratch_for(self, new_wh: SizeWH) -> _Scratch:
        if new_wh not in self._scratch:
            if len(self._scratch) >= _MOST_SIZES:
                self._scratch.clear()
            self._scratch[new_wh] = _Scratch(new_wh)
        return self._scratch[new_wh]


class _Scratch:
    """Memory for one size of picture. Fresh planes for every picture cost more than all the arithmetic on them."""

    def __init__(self, size_wh: SizeWH) -> None:
        width, height = size_wh
        self.planes: Planes = np.empty((3, height, width), np.uint8)
        self.packed = np.empty((height, width, 3), np.uint8)
        self.coloured = np.empty((height, width, 3), np.uint8)


def _view(plane: av.video.plane.VideoPlane) -> Plane:
    """The plane's pixels [h, w], without a copy."""
    pixels: Plane = np.frombuffer(memoryview(plane), np.uint8)
    return pixels.reshape(-1, plane.line_size)[: plane.height, : plane.width]
