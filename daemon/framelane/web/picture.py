"""Decodes a picture that somebody has sent, whatever it may be."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, cast

import av
from av import error as av_error

from framelane.web.problem import ProblemError

if TYPE_CHECKING:
    from av.video.codeccontext import VideoCodecContext

DECODERS = {"image/jpeg": "mjpeg", "image/png": "png", "image/webp": "webp"}
"""FFmpeg's decoders by media type."""

_SCAN = b"\xff\xda"  # start of scan; never within the entropy-coded data of one
_MOST_SCANS = 100  # each costs a pass over the whole picture; the customary progressive JPEG has 10
_PNG_SIGNATURE_BYTES = 8
_PNG_FRAME_BYTES = 12  # of a chunk: its length, its type and its checksum
_PNG_PIXELS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")


def check_media_type(media_type: str) -> None:
    """Raise ProblemError 415 where there is no decoder for it."""
    if media_type not in DECODERS:
        detail = f"send one of {', '.join(DECODERS)} as the body"
        raise ProblemError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, detail)


def decode_picture(data: bytes, media_type: str, most_pixels: int) -> av.VideoFrame:
    """The picture in its own pixel format, as it is stored: an orientation in EXIF is not applied.

    The decoder itself looks at width and height as it finds them, and refuses before it allocates: there is no second
    parser of headers that a crafted file could show another size. Damage is no basis for a detection: it is refused.

    Raises:
        ProblemError: 415 for another media type, 413 for more than `most_pixels`, 422 for what can't be decoded.
    """
    check_media_type(media_type)
    decoder = DECODERS[media_type]
    if decoder == "mjpeg" and data.count(_SCAN) > _MOST_SCANS:
        raise _unreadable(f"it has more than {_MOST_SCANS} scans")
    if decoder == "png":
        data = _pixels_alone(data)
    try:
        picture = _decoded(decoder, data, most_pixels)
    except av_error.ArgumentError as error:  # EINVAL: the size was refused
        most = f"{most_pixels / 1e6:g} megapixels"
        remedy = "send it smaller, or raise http.detect.max_megapixels"
        raise ProblemError(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"no pixels, or more than {most}: {remedy}"
        ) from error
    except (av_error.FFmpegError, EOFError) as error:
        raise _unreadable("it is damaged, far too large, or something else") from error
    if picture is None:
        raise _unreadable("there is no picture in it")
    return picture


def _pixels_alone(data: bytes) -> bytes:
    """A PNG without what is not pixels: FFmpeg inflates texts and colour profiles, however large they become."""
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
    return ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, f"the picture can't be decoded: {why}")
