"""Encodes a frame as a small JPEG image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
from av import error as av_error

if TYPE_CHECKING:
    import av

_QUALITY = 75


class StillError(Exception):
    """The frame can't become a still: its format is unknown, or the GPU does not give it."""


def reduced(picture: av.VideoFrame, longest: int) -> av.VideoFrame:
    """Return the frame in host memory as BGR, with sides of at most `longest` pixels; never enlarged.

    Raises:
        StillError: that is impossible.
    """
    share = min(longest / max(picture.width, picture.height), 1.0)
    width, height = (max(round(side * share), 1) for side in (picture.width, picture.height))
    try:
        return picture.reformat(width, height, "bgr24", interpolation="AREA")
    except (av_error.FFmpegError, OSError, ValueError) as error:
        raise StillError(str(error)) from error


def jpeg(picture: av.VideoFrame) -> bytes:
    """Return a BGR frame as JPEG.

    Raises:
        StillError: that is impossible.
    """
    try:
        _, data = cv2.imencode(".jpg", picture.to_ndarray(), [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    except cv2.error as error:
        raise StillError(str(error)) from error
    return np.asarray(data).tobytes()
