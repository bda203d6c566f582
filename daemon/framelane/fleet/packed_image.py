"""A decoded image as plain values, to be sent to a worker process."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from av import VideoFrame


@dataclass(frozen=True, slots=True)
class PackedImage:
    """An image's planes and color properties.

    Attributes:
        pixel_format: FFmpeg's name of the pixel format.
        width: width in pixels.
        height: height in pixels.
        planes: the rows of each plane, with FFmpeg's padding.
        line_sizes: bytes per row of each plane.
        colorspace: FFmpeg's number of the YUV matrix.
        color_range: FFmpeg's number of the value range.
    """

    pixel_format: str
    width: int
    height: int
    planes: tuple[bytes, ...]
    line_sizes: tuple[int, ...]
    colorspace: int
    color_range: int

    @staticmethod
    def of(image: VideoFrame) -> PackedImage:
        """Pack an image."""
        return PackedImage(
            image.format.name,
            image.width,
            image.height,
            tuple(bytes(plane) for plane in image.planes),
            tuple(plane.line_size for plane in image.planes),
            int(image.colorspace),
            int(image.color_range),
        )

    def unpack(self) -> VideoFrame:
        """Return the image."""
        image = VideoFrame(self.width, self.height, self.pixel_format)
        for plane, packed, line_size in zip(image.planes, self.planes, self.line_sizes, strict=True):
            rows = np.frombuffer(packed, np.uint8).reshape(-1, line_size)
            own = np.zeros((len(rows), plane.line_size), np.uint8)
            used = min(line_size, plane.line_size)
            own[:, :used] = rows[:, :used]
            plane.update(own.tobytes())
        image.colorspace = self.colorspace
        image.color_range = self.color_range
        return image
