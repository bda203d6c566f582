"""Decodes uploaded images, which may be damaged or malicious."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, cast

import av
from av import error as av_error

from framelane.media.image_files import upright
from framelane.web.problem import ProblemError

if TYPE_CHECKING:
    from av.video.codeccontext import VideoCodecContext

DECODERS = {"image/jpeg": "mjpeg", "image/png": "png", "image/webp": "webp"}
"""FFmpeg's decoders by media type."""

# Start of scan; it never occurs within a scan's entropy-coded data.
_SCAN = b"\xff\xda"
# Each scan costs a pass over the whole image; a usual progressive JPEG has 10.
_MOST_SCANS = 100
_PNG_SIGNATURE_BYTES = 8
# A chunk's length, type and checksum.
_PNG_FRAME_BYTES = 12
_PNG_PIXELS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")


def check_media_type(media_type: str) -> None:
    """Raise ProblemError 415 if there is no decoder for the media type."""
    if media_type not in DECODERS:
        detail = f"send one of {', '.join(DECODERS)} as the body"
        raise ProblemError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, detail)


def decode_picture(data: bytes, media_type: str, most_pixels: int) -> av.VideoFrame:
    """Return the image in its own pixel format, turned as its EXIF data says.

    The decoder itself checks width and height before it allocates memory, so no separate header parser can be
    shown another size by a crafted file. Damaged images are refused, because detections in them mean nothing.

    Raises:
        ProblemError: 415 for other media types, 413 for more than `most_pixels`, 422 if it can't be decoded.
    """
    check_media_type(media_type)
    file = data
    decoder = DECODERS[media_type]
    if decoder == "mjpeg" and data.count(_SCAN) > _MOST_SCANS:
        raise _unreadable(f"it has more than {_MOST_SCANS} scans")
    if decoder == "png":
        data = _without_metadata(data)
    try:
        picture = _decoded(decoder, data, most_pixels)
    except av_error.ArgumentError as error:
        # EINVAL: the decoder refused the size.
        most = f"{most_pixels / 1e6:g} megapixels"
        remedy = "send it smaller, or raise http.detect.max_megapixels"
        raise ProblemError(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"no pixels, or more than {most}: {remedy}"
        ) from error
    except (av_error.FFmpegError, EOFError) as error:
        raise _unreadable("it is damaged, far too large, or of another type") from error
    if picture is None:
        raise _unreadable("it contains no image")
    return upright(picture, file)


def _without_metadata(data: bytes) -> bytes:
    """Keep only a PNG's pixel chunks: FFmpeg inflates texts and color profiles without a limit."""
    kept = [data[:_PNG_SIGNATURE_BYTES]]
    at = _PNG_SIGNATURE_BYTES
    while at < len(data):
        end = at + _PNG_FRAME_BYTES + int.from_bytes(data[at : at + 4], "big")
        if data[at + 4 : at + 8] in _PNG_PIXELS:
            kept.append(data[at:end])
        at = end
    return b"".join(kept)


def _decoded(decoder: str, data: bytes, most_pixels: int) -> av.VideoFrame | None:
    context = cast("VideoCodecContext", av.CodecContext.create(decoder, "r"))
    context.thread_count = 1
    context.options = {"max_pixels": str(most_pixels), "err_detect": "explode"}
    return next(iter(context.decode(av.Packet(data))), None)


def _unreadable(why: str) -> ProblemError:
    return ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, f"the image can't be decoded: {why}")
