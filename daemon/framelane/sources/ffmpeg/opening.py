"""Opens sources in FFmpeg with one connection per attempt, without waiting for a picture.

By default, FFmpeg analyzes a stream before it returns: it reads pictures until it knows their size, and
twenty of them for their rate. A camera may take a minute for that, while the session description already has
all that reading needs. So FFmpeg is given a size and a pixel format, which the decoder later replaces, and
analyzes nothing. If the description lacks the parameter sets, FFmpeg still looks for them, in one packet.
"""

from __future__ import annotations

import time
import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING

import av
from av import error as av_error

from framelane.sources.codecs.nal_units import NAL_SYNTAXES
from framelane.sources.ffmpeg.access_units import AccessUnits
from framelane.sources.interfaces.source import LIVE_KINDS, Kind
from framelane.sources.network.certificates import tls_options

if TYPE_CHECKING:
    from av.container import InputContainer

    from framelane.config.sections.stream import StreamOptions

# AVFMT_FLAG_NOPARSE, libavformat/avformat.h.
_NO_PARSER = 0x20
_SLACK_S = 1.0
_WHOLE_PACKETS = ("mjpeg", "vp8", "vp9", "av1")
"""Codecs whose RTP packets FFmpeg itself joins to whole pictures. Their parsers hold nothing back."""
_UNSEEN = {
    "fpsprobesize": "0",
    "max_ts_probe": "0",
    # The least that FFmpeg accepts.
    "probesize": "32",
    "analyzeduration": "1",
    "video_size": "16x16",
    "pixel_format": "yuv420p",
}
_IN_PIECES = "its session description lacks the parameter sets, and it began in the middle of a picture"


@dataclass(frozen=True, slots=True)
class Opened:
    """An open container.

    Attributes:
        container: FFmpeg's container; over RTSP, its video has no size yet.
        units: builds access units if FFmpeg's parser is left out; else None.
        parser_reason: why the stream passes through FFmpeg's parser, one frame late, although it should not;
            else empty.
    """

    container: InputContainer
    units: AccessUnits | None = None
    parser_reason: str = ""


def open_container(url: str, kind: Kind, options: StreamOptions) -> Opened:
    """Open a URL.

    Raises:
        FFmpegError, OSError, ValueError: FFmpeg can't open it; the texts hold the URL with its password.
        SourceError: this host has no certificate authorities to verify by.
    """
    if kind != "rtsp":
        return Opened(_open(url, kind, options, {}))
    opened = _open_rtsp(url, options)
    for stream in opened.container.streams.video:
        # None if FFmpeg has no decoder.
        if stream.codec_context is not None:
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
    # If FFmpeg has no decoder for a codec, it names the codec "none", and PyAV gives the stream no context.
    context = container.streams.video[0].codec_context if container.streams.video else None
    codec = "" if context is None else context.codec.canonical_name
    if codec in NAL_SYNTAXES:
        return Opened(container, AccessUnits(NAL_SYNTAXES[codec]))
    container.flags &= ~_NO_PARSER
    known = not codec or codec in _WHOLE_PACKETS
    return Opened(container, parser_reason="" if known else f"it is {codec}, not H.264 or H.265")


def plays_audio_alone(url: str, options: StreamOptions) -> bool:
    """Return whether a camera that rejected a request for video has only audio. Needs another connection."""
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
    # A limit on any silence. CameraWorker watches for shorter ones once the connection is open.
    silence_s = max(options.open_timeout_s + _SLACK_S, options.read_timeout_s)
    return {
        "rtsp_transport": options.transport,
        "allowed_media_types": "video",
        # In microseconds.
        "timeout": str(round(silence_s * 1e6)),
    }


def _timeout_s(kind: Kind, options: StreamOptions) -> tuple[float, float | None] | None:
    """Return PyAV's timeouts for opening, and for reading unless FFmpeg has its own.

    PyAV checks them in a callback that takes the interpreter lock. With RTSP, FFmpeg calls it several times
    per packet.
    """
    if kind not in LIVE_KINDS:
        return None
    return options.open_timeout_s, (None if kind == "rtsp" else options.read_timeout_s)


def _met_a_piece(error: BaseException) -> bool:
    """Return whether FFmpeg failed because a piece of a picture held no parameter sets.

    FFmpeg reports "invalid data" for a server's bad data, and for its silence, too. But PyAV analyzes streams
    in a later step, in a module of its own.
    """
    calls = traceback.extract_tb(error.__traceback__)
    return any(call.filename.replace("\\", "/").endswith("container/input.py") for call in calls)
