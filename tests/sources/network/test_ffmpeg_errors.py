"""Reasons and remedies for FFmpeg's errors, which FFmpeg itself raises here."""

from __future__ import annotations

import errno

import av
import pytest
from av import error as av_error

from framelane.sources.network.ffmpeg_errors import (
    garbage_error,
    login_error,
    no_video_error,
    number_error,
    source_error,
    status_error,
)


def raised(code: int | bytes) -> Exception:
    """PyAV's error for an errno or a tag of libavutil/error.h."""
    number = code if isinstance(code, int) else av_error.tag_to_code(code)
    with pytest.raises((av_error.FFmpegError, OSError)) as caught:
        av_error.err_check(-number)
    return caught.value


@pytest.mark.parametrize(
    ("code", "reason", "text"),
    [
        (b"\xf8401", "unauthorized", "the camera refuses the user name or password ("),
        (b"\xf8403", "forbidden", "the camera forbids this user the stream ("),
        (b"\xf8404", "not-found", "the server has no stream at this path ("),
        (b"\xf8400", "rejected", "the server rejects the request ("),
        (b"\xf84XX", "rejected", "the server rejects the request ("),
        (b"\xf85XX", "rejected", "the server fails to answer the request ("),
        (b"\xf8DEC", "codec", "no decoder for the stream's codec; set the camera to H.264 or H.265 ("),
        (b"\xf8PRO", "protocol", "FFmpeg knows no such protocol; check the URL's scheme ("),
        (b"\xf8OPT", "option", "FFmpeg refuses an input option; check the stream's `ffmpeg` section ("),
        (b"INDA", "invalid", "what comes is not a stream that FFmpeg can read, or nothing comes at all ("),
        (b"EOF ", "ended", "the stream ended ("),
        (b"EXIT", "timeout", "no answer in time; check that the camera is reachable ("),
        (errno.ETIMEDOUT, "timeout", "no answer in time; check that the camera is reachable ("),
        (errno.ECONNREFUSED, "refused", "nothing listens at this address; check host and port ("),
        (errno.ECONNRESET, "lost", "the other side closed the connection ("),
        (errno.EPIPE, "lost", "the other side closed the connection ("),
        (errno.ENOENT, "missing", "there is no such file or device ("),
        (errno.EACCES, "permission", "the file or device can't be read by this user ("),
        (errno.EHOSTUNREACH, "unreachable", "the address can't be reached; check host, route and firewall ("),
        (errno.EIO, "unreachable", "the address can't be reached; check host, route and firewall ("),
        (errno.EBUSY, "busy", "another program uses the device ("),
        (errno.ENODEV, "missing", "the device is gone ("),
        (errno.EISDIR, "failed", "this is a folder; use one of its files, or a camera ("),
        (errno.EMFILE, "failed", "this process has too many files open; raise LimitNOFILE= or ulimit -n ("),
        (errno.ENOMEM, "failed", "this host has no memory left ("),
        (
            errno.EPROTONOSUPPORT,
            "transport",
            "the camera doesn't speak this transport; set the stream's `transport` to the other of tcp and udp (",
        ),
        (b"BUG!", "failed", "FFmpeg failed ("),
    ],
)
def test_source_error_says_what_ffmpegs_error_means(code: int | bytes, reason: str, text: str) -> None:
    found = source_error(raised(code))
    assert (reason, True) == (found.reason, str(found).startswith(text))
    assert str(found).endswith(")")


@pytest.mark.parametrize(
    ("code", "reason", "text"),
    [
        (errno.EIO, "lost", "reading broke off (Input/output error)"),
        (errno.ENETDOWN, "lost", "reading broke off (Network is down)"),
        (errno.EBUSY, "busy", "another program uses the device (Device or resource busy)"),
        (
            errno.ETIMEDOUT,
            "timeout",
            "no data in time; the stream has stopped or the network is down (Connection timed out)",
        ),
        (
            errno.ECONNRESET,
            "lost",
            "the other side closed the connection (Connection reset by peer)",
        ),
    ],
)
def test_source_error_speaks_of_the_stream_when_it_was_open(code: int, reason: str, text: str) -> None:
    found = source_error(raised(code), reading=True)
    assert (reason, text) == (found.reason, str(found))


def test_source_error_calls_invalid_data_a_timeout_only_after_the_time_for_an_answer() -> None:
    silent = source_error(raised(b"INDA"), silent=True)
    assert (silent.reason, str(silent)) == (
        "timeout",
        "the other side accepts the connection and does not answer",
    )
    assert source_error(raised(errno.ECONNREFUSED), silent=True).reason == "refused"


def test_source_error_leaves_out_the_url_and_its_password() -> None:
    with pytest.raises(av_error.FileNotFoundError) as caught:
        av.open("file:/nowhere/user:mellon@camera")
    assert "mellon" in str(caught.value)
    assert str(source_error(caught.value)) == "there is no such file or device (No such file or directory)"


def test_source_error_names_the_kind_when_an_error_has_no_words() -> None:
    found = source_error(RuntimeError("secret"))
    assert (found.reason, str(found)) == ("failed", "FFmpeg failed (RuntimeError)")


@pytest.mark.parametrize(
    ("status", "words", "reason", "text"),
    [
        (200, "OK", "invalid", "what comes is not a stream that FFmpeg can read, or nothing comes at all"),
        (399, "", "invalid", "what comes is not a stream that FFmpeg can read, or nothing comes at all"),
        (400, "Bad", "rejected", "the server rejects the request"),
        (401, "", "unauthorized", "the camera refuses the user name or password"),
        (404, "Gone", "not-found", "the server has no stream at this path"),
        (461, "", "transport", "the camera doesn't speak this transport"),
        (454, "Session Not Found", "rejected", "the server rejects the request (454 Session Not Found)"),
        (499, "", "rejected", "the server rejects the request (499)"),
        (
            500,
            " Internal\x07 Error ",
            "rejected",
            "the server fails to answer the request (500 Internal Error)",
        ),
        (503, "y" * 61, "rejected", f"the server fails to answer the request (503 {'y' * 60})"),
    ],
)
def test_status_error_tells_the_status_with_the_servers_words(
    status: int, words: str, reason: str, text: str
) -> None:
    found = status_error(status, words)
    assert (reason, True) == (found.reason, str(found).startswith(text))


@pytest.mark.parametrize(
    ("given", "unknown", "text"),
    [
        (False, ("NTLM",), "the camera asks for a user name and password, and the URL has none"),
        (
            True,
            ("NTLM", "Digest SHA-512"),
            "the camera asks for a login by NTLM or Digest SHA-512, which is odd",
        ),
        (True, (), str(status_error(401))),
    ],
)
def test_login_error_tells_what_is_missing(text: str, unknown: tuple[str, ...], *, given: bool) -> None:
    found = login_error(given=given, unknown=unknown, remedy="is odd")
    assert ("unauthorized", text) == (found.reason, str(found))


@pytest.mark.parametrize(
    ("audio", "text"),
    [
        (False, "there is no video in it"),
        (True, "there is no video in it, but audio; check the path in the URL"),
    ],
)
def test_no_video_error_tells_of_audio(text: str, *, audio: bool) -> None:
    found = no_video_error(audio=audio)
    assert ("no-video", text) == (found.reason, str(found))


def test_number_error_has_the_reason_of_ffmpegs_error() -> None:
    assert number_error(errno.ECONNREFUSED).reason == "refused"


@pytest.mark.parametrize(("silent", "reason"), [(False, "invalid"), (True, "timeout")])
def test_garbage_error_is_a_timeout_when_the_server_was_silent(reason: str, *, silent: bool) -> None:
    assert reason == garbage_error(silent=silent).reason
