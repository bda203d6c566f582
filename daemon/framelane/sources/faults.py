"""What FFmpeg's errors mean to an operator: one word for the stream's state, one sentence with the remedy."""

from __future__ import annotations

import errno

from av import error as av_error

from framelane.core.errors import SourceError

NO_DECODER = "no decoder for the stream's codec; set the camera to H.264 or H.265"

_NO_ANSWER = "no answer in time; check that the camera is reachable"

# First match wins, so the narrower type comes first.
_MEANINGS: tuple[tuple[type[BaseException], str, str], ...] = (
    (av_error.HTTPUnauthorizedError, "unauthorized", "the camera refuses the user name or password"),
    (av_error.HTTPForbiddenError, "forbidden", "the camera forbids this user the stream"),
    (av_error.HTTPNotFoundError, "not-found", "the server has no stream at this path"),
    (av_error.HTTPClientError, "rejected", "the server rejects the request"),
    (av_error.HTTPError, "rejected", "the server fails to answer the request"),
    (
        av_error.DecoderNotFoundError,
        "codec",
        NO_DECODER,
    ),
    (av_error.ProtocolNotFoundError, "protocol", "FFmpeg knows no such protocol; check the URL's scheme"),
    (av_error.ConnectionRefusedError, "refused", "nothing listens at this address; check host and port"),
    (av_error.ConnectionResetError, "lost", "the other side closed the connection"),
    (av_error.BrokenPipeError, "lost", "the other side closed the connection"),
    (av_error.TimeoutError, "timeout", _NO_ANSWER),
    (av_error.ExitError, "timeout", _NO_ANSWER),
    (av_error.FileNotFoundError, "missing", "there is no such file or device"),
    (av_error.PermissionError, "permission", "the file or device can't be read by this user"),
    (av_error.EOFError, "ended", "the stream ended"),
    (
        av_error.InvalidDataError,
        "invalid",
        "what comes is not a stream that FFmpeg can read, or nothing comes at all",
    ),
    (
        av_error.OptionNotFoundError,
        "option",
        "FFmpeg refuses an input option; check the stream's `ffmpeg` section",
    ),
    (OSError, "unreachable", "the address can't be reached; check host name, route and firewall"),
)
# By number: one fault of the camera's, and those of this host and its devices; the network's are OSErrors too.
_BY_NUMBER = {
    errno.EPROTONOSUPPORT: (
        "transport",
        "the camera doesn't speak this transport; set the stream's `transport` to the other of tcp and udp",
    ),
    errno.EISDIR: ("failed", "it is a folder; here one of its files is wanted, or a camera"),
    errno.EBUSY: ("busy", "another program uses the device"),
    errno.ENODEV: ("missing", "the device is gone"),
    errno.ENXIO: ("missing", "the device is gone"),
    errno.EMFILE: ("failed", "this process has too many files open; raise LimitNOFILE= or ulimit -n"),
    errno.ENFILE: ("failed", "this host has too many files open; raise fs.file-max"),
    errno.ENOMEM: ("failed", "this host has no memory left"),
}
NO_VIDEO = "the connection is alive, but no video comes; if it stays so, restart the camera"
NO_VIDEO_PATIENCE = 2.0
"""In read timeouts, with a camera that sends, but no video."""
NO_DATA = "no data in time; the stream has stopped or the network is down"


def source_error(error: BaseException, *, silent: bool = False, reading: bool = False) -> SourceError:
    """The error to raise in place of one of PyAV's; FFmpeg's own words end the message, without the URL.

    PyAV's text holds the URL with its password, so that only the errno's meaning is taken from it. Of a server that
    accepts and never answers FFmpeg says that its data is invalid: `silent` says that the time to answer has passed.
    `reading` says that it was open: what FFmpeg has no better word for than input/output error is then no matter of
    the way to it.
    """
    if silent and isinstance(error, av_error.InvalidDataError):
        return SourceError("timeout", "the other side accepts the connection and does not answer")
    words = getattr(error, "strerror", None) or type(error).__name__
    known = _BY_NUMBER.get(error.errno or 0) if isinstance(error, OSError) else None
    if known is not None:
        return SourceError(known[0], f"{known[1]} ({words})")
    for kind, reason, meaning in _MEANINGS:
        if isinstance(error, kind):
            if reading and kind is OSError:
                return SourceError("lost", f"reading broke off ({words})")
            if reading and reason == "timeout":
                return SourceError("timeout", f"{NO_DATA} ({words})")
            return SourceError(reason, f"{meaning} ({words})")
    return SourceError("failed", f"FFmpeg failed ({words})")


_OWN_STATUSES = frozenset({400, 401, 403, 404, 429})
"""Those that FFmpeg has an error of its own for (libavutil/error.h)."""
_CLIENT_STATUSES = range(400, 500)
_UNSUPPORTED_TRANSPORT = 461


def no_video_error(*, audio: bool) -> SourceError:
    """The error of what opens, but holds no video; perhaps `audio`."""
    text = "there is no video in it"
    return SourceError("no-video", f"{text}, but audio; check the path in the URL" if audio else text)


def status_error(status: int) -> SourceError:
    """The error of an RTSP answer (RFC 2326 section 7.1.1), in the words that FFmpeg's error for it gets."""
    if status == _UNSUPPORTED_TRANSPORT:
        return number_error(errno.EPROTONOSUPPORT)
    if status < _CLIENT_STATUSES.start:
        return garbage_error()
    other = "4XX" if status in _CLIENT_STATUSES else "5XX"
    name = str(status) if status in _OWN_STATUSES else other
    return _error_of(av_error.tag_to_code(b"\xf8" + name.encode("ascii")))


def number_error(number: int) -> SourceError:
    """The error of an errno that a socket of our own gave, in the words that FFmpeg's error for it gets."""
    return _error_of(number)


def garbage_error(*, silent: bool = False) -> SourceError:
    """The error of a server that answers with something other than RTSP, or is `silent`."""
    return _error_of(av_error.tag_to_code(b"INDA"), silent=silent)


def _error_of(code: int, *, silent: bool = False) -> SourceError:
    try:
        av_error.err_check(-code)
    except (av_error.FFmpegError, OSError) as error:
        return source_error(error, silent=silent)
    return SourceError("failed", f"FFmpeg knows no error {code}")
