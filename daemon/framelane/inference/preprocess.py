"""From decoded frames to one batch tensor on the CPU: shrink the YUV planes first, then colour, then layout."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import cv2
import numpy as np
from av.video.reformatter import VideoReformatter

from framelane.inference.layouts import GBR, LAYOUTS, NEUTRAL, YUV, colour_matrix

if TYPE_CHECKING:
    from collections.abc import Sequence

    import av
    from numpy.typing import NDArray

    from framelane.inference.inputs import InputSpec
    from framelane.inference.layouts import Layout
    from framelane.inference.letterbox import Crop, Letterbox, SizeWH

    Plane = NDArray[np.uint8]  # [h, w]
    Planes = NDArray[np.uint8]  # [3, h, w]
    Window = tuple[slice, slice]  # lines, samples of a line
    Matrix = NDArray[np.float32]  # [3, 4]

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

    def __call__(
        self, pictures: Sequence[av.VideoFrame], crops: Sequence[Crop | None] = ()
    ) -> tuple[NDArray[np.generic], list[Letterbox]]:
        """Fill the tensor with at most `batch` pictures.

        Args:
            pictures: decoded frames of any sizes and pixel formats.
            crops: which part of each is wanted; empty where all of all is.

        Returns:
            The first n rows [n, 3, h, w] of the tensor, valid until the next call, and each picture's letterbox.
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
            self._batch[row] = self._spec.pad * self._spec.scale
            self._placed[row] = box
        (left, top), (width, height) = box.pad_xy, box.new_wh
        target = self._batch[row, :, top : top + height, left : left + width]
        np.copyto(target, self._coloured(picture, box), casting="unsafe")
        if self._spec.scale != 1:
            np.multiply(target, np.float32(self._spec.scale), out=target, casting="unsafe")
        return box

    def _coloured(self, picture: av.VideoFrame, box: Letterbox) -> Planes:
        """The picture at its new size, as 8-bit planes [3, h, w] in the model's channel order."""
        planes, matrix = self._planes(picture, box)
        scratch = self._scratch_for(box.new_wh)
        for source, shrunk in zip(planes, scratch.planes, strict=True):
            cv2.resize(source, box.new_wh, dst=shrunk, interpolation=cv2.INTER_LINEAR)
        cv2.merge(list(scratch.planes), dst=scratch.packed)
        cv2.transform(scratch.packed, matrix, dst=scratch.coloured)
        cv2.split(scratch.coloured, list(scratch.planes))
        return scratch.planes

    def _planes(self, picture: av.VideoFrame, box: Letterbox) -> tuple[list[Plane], Matrix]:
        """Three planes of the part of the picture that is used, and the matrix from them to the model's channels."""
        name = picture.format.name
        if name not in LAYOUTS:
            name = GBR if picture.format.is_rgb or picture.format.has_palette else YUV
            picture = self._reformatter.reformat(picture, format=name, threads=1)
        return _read(picture, LAYOUTS[name], box), colour_matrix(picture, name, self._spec.colour)

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


def _read(picture: av.VideoFrame, layout: Layout, box: Letterbox) -> list[Plane]:
    """Views of the planes where they can be had, else 8-bit copies."""
    luma = _part(picture.planes[0], layout, _luma_window(box))
    if layout.grey:
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
    """The used part of a plane as 8-bit samples [h, w]; pairs of interleaved chroma are [h, 2 * w]."""
    if layout.sample_bytes == 1:
        bytes_: Plane = np.frombuffer(memoryview(plane), np.uint8)
        return bytes_.reshape(-1, plane.line_size)[window]
    words: NDArray[np.uint16] = np.frombuffer(memoryview(plane), np.uint16)
    used = words.reshape(-1, plane.line_size // layout.sample_bytes)[window]
    return cast("Plane", cv2.convertScaleAbs(used, alpha=layout.sample_scale))
