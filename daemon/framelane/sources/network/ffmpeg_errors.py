"""Translates FFmpeg's errors into a reason for the stream's state and a sentence with the remedy."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from av import error as av_error

from framelane.core.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from framelane.core.stream_reasons import StreamReason

NO_DECODER = "no decoder for the stream's codec; set the camera to H.264 or H.265"

_NO_ANSWER = "no answer in time; check that the camera is reachable"

# First match wins, so the narrower type comes first.
_MEANINGS: tuple[tuple[type[BaseException], StreamReason, str], ...] = (
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
    (OSError, "unreachable", "the address can't be reached; check host, route and firewall"),
)
# By number: one fault of the camera, and faults of this host and its devices. Network faults are OSErrors
# too.
_BY_NUMBER: dict[int, tuple[StreamReason, str]] = {
    errno.EPROTONOSUPPORT: (
        "transport",
        "the camera doesn't speak this transport; set the stream's `transport` to the other of tcp and udp",
    ),
    errno.EISDIR: ("failed", "this is a folder; use one of its files, or a camera"),
    errno.EBUSY: ("busy", "another program uses the device"),
    errno.ENODEV: ("missing", "the device is gone"),
    errno.ENXIO: ("missing", "the device is gone"),
    errno.EMFILE: ("failed", "this process has too many files open; raise LimitNOFILE= or ulimit -n"),
    errno.ENFILE: ("failed", "this host has too many files open; raise fs.file-max"),
    errno.ENOMEM: ("failed", "this host has no memory left"),
}
NO_VIDEO = "the connection is alive, but no video comes; if it stays so, restart the camera"
NO_VIDEO_PATIENCE = 2.0
"""Read timeouts to wait, if a camera sends data but no video."""
NO_DATA = "no data in time; the stream has stopped or the network is down"
NO_DATAGRAM = (
    "no packet has come by UDP; let the camera's through the firewall, or set the stream's `transport` to tcp"
)


def source_error(error: BaseException, *, silent: bool = False, reading: bool = False) -> SourceError:
    """Return the error to raise in place of a PyAV error.

    Its text ends with FFmpeg's own words, without the URL.

    PyAV's text holds the URL with its password, so only the errno's meaning is used.

    Args:
        error: of PyAV.
        silent: whether the time for an answer has passed. FFmpeg reports invalid data if a server accepts a
            connection and never answers.
        reading: whether the stream was open. An unspecific input/output error is then no problem of the
            route.
    """
    if silent and isinstance(error, av_error.InvalidDataError):
        return SourceError("timeout", "the other side accepts the connection and does not answer")
    words = getattr(error, "strerror", None) or type(error).__name__
    # Not of an OSError alone: PyAV's MemoryError is none.
    known = _BY_NUMBER.get(getattr(error, "errno", None) or 0)
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
"""Statuses for which FFmpeg has its own error (libavutil/error.h)."""
_CLIENT_STATUSES = range(400, 500)
_UNSUPPORTED_TRANSPORT = 461
_MOST_WORDS = 60


def no_video_error(*, audio: bool) -> SourceError:
    """Return the error for a source that opens but holds no video, perhaps only `audio`."""
    text = "there is no video in it"
    return SourceError("no-video", f"{text}, but audio; check the path in the URL" if audio else text)


def unreadable_error(why: str) -> SourceError:
    """Return the error for a stream that our own reader can't read, if FFmpeg is not allowed."""
    return SourceError(
        "reader",
        f"`reader: native` can't read the stream: {why}; set `reader` to auto to use FFmpeg",
    )


def unresolved_error() -> SourceError:
    """Return the error for a host name without an address."""
    return SourceError("unreachable", "the host name can't be resolved; check the URL and DNS")


def status_error(status: int, words: str = "") -> SourceError:
    """Return the error for an RTSP or HTTP status (RFC 2326 section 7.1.1).

    Args:
        status: the number.
        words: the server's text for it.
    """
    if status == _UNSUPPORTED_TRANSPORT:
        return number_error(errno.EPROTONOSUPPORT)
    if status < _CLIENT_STATUSES.start:
        return garbage_error()
    if status in _OWN_STATUSES:
        return _error_of(av_error.tag_to_code(b"\xf8" + str(status).encode("ascii")))
    meaning = "rejects the request" if status in _CLIENT_STATUSES else "fails to answer the request"
    said = "".join(each for each in words if each.isprintable()).strip()[:_MOST_WORDS]
    return SourceError("rejected", f"the server {meaning} ({f'{status} {said}'.strip()})")


def login_error(*, given: bool, unknown: Sequence[str] = (), remedy: str = "") -> SourceError:
    """Return the error for an answer that asks for a login (401).

    Args:
        given: whether the URL has a login.
        unknown: the kinds of login that the server asks for, if none of them is supported.
        remedy: what to do about that.
    """
    if not given:
        return SourceError(
            "unauthorized", "the camera asks for a user name and password, and the URL has none"
        )
    if unknown:
        kinds = " or ".join(unknown)
        return SourceError("unauthorized", f"the camera asks for a login by {kinds}, which {remedy}")
    return status_error(401)


def number_error(number: int) -> SourceError:
    """Return the error for an errno of our own sockets, with the text of FFmpeg's error for it."""
    return _error_of(number)


def garbage_error(*, silent: bool = False) -> SourceError:
    """Return the error for a server that answers with something other than RTSP, or is `silent`."""
    return _error_of(av_error.tag_to_code(b"INDA"), silent=silent)


def _error_of(code: int, *, silent: bool = False) -> SourceError:
    try:
        av_error.err_check(-code)
    except (av_error.FFmpegError, OSError) as error:
        return source_error(error, silent=silent)
    return SourceError("failed", f"FFmpeg knows no error {code}")
