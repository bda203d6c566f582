"""Chooses the reader of an RTSP stream: our own, or FFmpeg for what ours can't read."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from framelane.sources.network.ffmpeg_errors import unreadable_error
from framelane.sources.rtsp.errors import ConfusedError, UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from framelane.core.clock import Clock

_Own = TypeVar("_Own")
_FFmpegs = TypeVar("_FFmpegs")

NATIVE_AGAIN_S = 3600.0
"""Seconds after which a stream that FFmpeg reads is opened with our own reader again."""


class ReaderChoice:
    """Remembers which reader opens a stream.

    If our reader can't read a camera, because of its codec or because its server's answers make no sense,
    FFmpeg opens it in the same attempt. From then on, only FFmpeg is tried, for an hour or until
    `reconsider`. If FFmpeg fails too, the next attempt tries both again, because the server's problem may
    have passed.

    Args:
        clock: the source of time.
        own: whether to try our reader at all.
        alone: whether FFmpeg must not be used.
    """

    def __init__(self, clock: Clock, *, own: bool, alone: bool = False) -> None:
        self._clock = clock
        self._own = own
        self._alone = alone
        self._left_s: float | None = None
        self.why = ""
        """Why FFmpeg reads the stream instead of our reader; else empty."""

    def open(self, own: Callable[[], _Own], ffmpeg: Callable[[], _FFmpegs]) -> _Own | _FFmpegs:
        """Return the source that one of the readers opens.

        Raises:
            SourceError: neither can open it.
        """
        if not self._tries_own():
            return ffmpeg()
        if self._alone:
            return _open_alone(own)
        try:
            source = own()
        except UnsupportedError as error:
            self._leave(str(error))
            return ffmpeg()
        except ConfusedError as error:
            why = f"its server confuses our reader: {error}"
        else:
            self._left_s, self.why = None, ""
            return source
        opened = ffmpeg()
        self._leave(why)
        return opened

    def reconsider(self) -> None:
        """Try our own reader when the stream is next opened."""
        self._left_s = None

    def _tries_own(self) -> bool:
        left_s = self._left_s
        return self._own and (left_s is None or self._clock.monotonic() - left_s >= NATIVE_AGAIN_S)

    def _leave(self, why: str) -> None:
        self._left_s, self.why = self._clock.monotonic(), why


def _open_alone(own: Callable[[], _Own]) -> _Own:
    try:
        return own()
    except UnsupportedError as error:
        raise unreadable_error(str(error)) from None
