"""Opens what FFmpeg reads: one connection an attempt, which waits for no picture.

FFmpeg looks into a stream before it hands it over: at pictures until it knows their size, and at twenty of them for
their rate. A camera may take a minute for that, and the session description tells all that reading needs. So FFmpeg is
told a size and a pixel format, which the decoder replaces with its own, and looks at nothing. Where the description
lacks the parameter sets it still looks for them, into one packet.
"""

from __future__ import annotations

import time
import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING

import av
from av import error as av_error

from framelane.sources.access_units import AccessUnits
from framelane.sources.certificates import tls_options
from framelane.sources.nal_units import NAL_SYNTAXES
from framelane.sources.source import LIVE_KINDS, Kind

if TYPE_CHECKING:
    from av.container import InputContainer

    from framelane.config.schema import StreamOptions

_NO_PARSER = 0x20  # AVFMT_FLAG_NOPARSE, libavformat/avformat.h
_SLACK_S = 1.0
_WHOLE_PACKETS = ("mjpeg", "vp8", "vp9", "av1")
"""Codecs of which FFmpeg makes whole pictures of RTP packets; their parsers hold nothing back."""
_UNSEEN = {
    "fpsprobesize": "0",
    "max_ts_probe": "0",
    "probesize": "32",  # the least that FFmpeg takes
    "analyzeduration": "1",
    "video_size": "16x16",
    "pixel_format": "yuv420p",
}
_IN_PIECES = "its session description lacks the parameter sets, and it began amid a picture"


@dataclass(frozen=True, slots=True)
class Opened:
    """An open container.

    Attributes:
        container: FFmpeg's; its video has no size yet where it comes over RTSP.
        units: puts its access units together where FFmpeg's parser is left out, None elsewhere.
        parser_reason: why it is read through FFmpeg's parser, a frame late, though it should not; else empty.
    """

    container: InputContainer
    units: AccessUnits | None = None
    parser_reason: str = ""


def open_container(url: str, kind: Kind, options: StreamOptions) -> Opened:
    """Open what a URL names.

    Raises:
        FFmpegError, OSError, ValueError: FFmpeg can't; texts hold the URL with its password.
        SourceError: there is nothing to verify a certificate by.
    """
    if kind != "rtsp":
        return Opened(_open(url, kind, options, {}))
    opened = _open_rtsp(url, options)
    for stream in opened.container.streams.video:
        if stream.codec_context is not None:  # None where there is no decoder
            stream.codec_context.width = stream.codec_context.height = 0
    return opened


def _open_rtsp(url: str, options: StreamOptions) -> Opened:
    kind: Kind = "rtsp"
    if not options.low_latency:
        return Opened(_open(url, kind, options, _UNSEEN))
    began_s = time.monotonic()
    try:
        container = _open(url, kind, options, {**_UNSEEN, "fflags": "+noparse"})
    except av_error.InvalidDataError as error:
        if not _met_a_piece(error) or time.monotonic() - began_s >= options.open_timeout_s:
            raise
        return Opened(_open(url, kind, options, _UNSEEN), parser_reason=_IN_PIECES)
    # FFmpeg names the codec of a stream that it has no decoder for "none", and PyAV gives it no context.
    context = container.streams.video[0].codec_context if container.streams.video else None
    codec = "" if context is None else context.name
    if codec in NAL_SYNTAXES:
        return Opened(container, AccessUnits(NAL_SYNTAXES[codec]))
    container.flags &= ~_NO_PARSER
    known = not codec or codec in _WHOLE_PACKETS
    return Opened(container, parser_reason="" if known else f"it is {codec}, not H.264 or H.265")


def plays_audio_alone(url: str, options: StreamOptions) -> bool:
    """Whether a camera that rejects the request for its video has no video, which costs a connection to find out."""
    try:
        with _open(url, "rtsp", options, {**_UNSEEN, "allowed_media_types": "video+audio"}) as container:
            return bool(container.streams.audio) and not container.streams.video
    except (av_error.FFmpegError, OSError, ValueError):
        return False


def _open(url: str, kind: Kind, options: StreamOptions, more: dict[str, str]) -> InputContainer:
    return av.open(
        url,
        format="v4l2" if kind == "device" else None,
        options={
            **(_rtsp_options(options) if kind == "rtsp" else {}),
            **tls_options(url, options),
            **more,
            **options.ffmpeg,
        },
        timeout=_timeout_s(kind, options),
    )


def _rtsp_options(options: StreamOptions) -> dict[str, str]:
    # Of each silence, for as long as the connection lasts: CameraWorker looks after shorter ones once it is open.
    silence_s = max(options.open_timeout_s + _SLACK_S, options.read_timeout_s)
    return {
        "rtsp_transport": options.transport,
        "allowed_media_types": "video",
        "timeout": str(round(silence_s * 1e6)),  # in microseconds
    }


def _timeout_s(kind: Kind, options: StreamOptions) -> tuple[float, float | None] | None:
    """What PyAV is to watch: opening as a whole, and reading where FFmpeg does not.

    PyAV watches in a callback that takes the interpreter lock, and FFmpeg calls it several times a packet of RTSP.
    """
    if kind not in LIVE_KINDS:
        return None
    return options.open_timeout_s, (None if kind == "rtsp" else options.read_timeout_s)


def _met_a_piece(error: BaseException) -> bool:
    """Whether the camera has played, and FFmpeg found no parameter sets in a piece of a picture.

    It says "invalid data" of a server's rubbish too, and of its silence. But PyAV looks into streams in a step of its
    own, in a module of its own.
    """
    calls = traceback.extract_tb(error.__traceback__)
    return any(call.filename.replace("\\", "/").endswith("container/input.py") for call in calls)
