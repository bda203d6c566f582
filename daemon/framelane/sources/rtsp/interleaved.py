"""Splits the bytes of a playing RTSP connection into RTP, RTCP, answers and requests (RFC 2326 10.12)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from framelane.core.errors import SourceError
from framelane.sources.rtsp.errors import MalformedError
from framelane.sources.rtsp.message import message_size

if TYPE_CHECKING:
    from framelane.sources.rtsp.rtcp import Reports
    from framelane.sources.rtsp.rtp import RtpReceiver

_DOLLAR = 0x24
_MOST_RUBBISH = 64 << 10
"""Bytes without a packet of the stream. TCP loses none, so a sender that exceeds this is out of step."""
_ANSWER = b"RTSP/"
_NO_CHANNELS = -1, -1


class MessageReceiver(Protocol):
    """Takes whole RTSP messages."""

    def take_answer(self, message: bytes) -> None:
        """Take the server's answer to a request."""
        ...

    def take_request(self, message: bytes) -> None:
        """Take a request from the server. Raise SourceError if it ends the stream."""
        ...


class Interleaved:
    """Parses one connection's bytes.

    Args:
        channels: of RTP and RTCP; None if they don't come on this connection.
        receiver: takes RTP.
        reports: takes RTCP.
        messages: takes RTSP messages.
    """

    def __init__(
        self,
        channels: tuple[int, int] | None,
        receiver: RtpReceiver,
        reports: Reports,
        messages: MessageReceiver,
    ) -> None:
        self._rtp, self._rtcp = channels or _NO_CHANNELS
        self._framing = _DOLLAR << 8 | self._rtp
        self._receive, self._receive_fragments = receiver.take, receiver.take_fragments
        self._reports = reports
        self._messages = messages
        self._rest = b""
        self._rubbish = 0

    def feed(self, data: bytes, read_s: float) -> None:
        """Take bytes that were read at this monotonic time.

        Raises:
            SourceError: the bytes are not RTSP.
        """
        if self._rest:
            data = self._rest + data
        at, end = 0, len(data)
        while at < end:
            stop = self._receive_fragments(data, at, end, read_s, self._framing)
            if stop > at:
                self._rubbish = 0
                at = stop
                continue
            if data[at] != _DOLLAR:
                skipped = self._skip(data, at)
                if skipped is None:
                    break
                at = skipped
                continue
            if at + 4 > end:
                break
            length = (data[at + 2] << 8) | data[at + 3]
            stop = at + 4 + length
            if stop > end:
                break
            channel = data[at + 1]
            if channel == self._rtp:
                self._rubbish = 0
                self._receive(data, at + 4, stop, read_s)
            elif channel == self._rtcp:
                self._reports.take(data[at + 4 : stop], read_s)
            else:
                self._pass_over(stop - at)
            at = stop
        self._rest = data[at:] if at < end else b""

    def _skip(self, data: bytes, at: int) -> int | None:
        """Return where the next packet may begin after bytes that are none; None if more bytes are needed."""
        try:
            size = message_size(memoryview(data)[at:])
        except MalformedError:
            dollar = data.find(b"$", at)
            stop = len(data) if dollar < 0 else dollar
            self._pass_over(stop - at)
            return stop
        if size is None:
            return None
        self._rubbish = 0
        message = data[at : at + size]
        if message.startswith(_ANSWER):
            self._messages.take_answer(message)
        elif message.strip():
            self._messages.take_request(message)
        return at + size

    def _pass_over(self, count: int) -> None:
        self._rubbish += count
        if self._rubbish > _MOST_RUBBISH:
            raise SourceError("lost", "the camera no longer sends RTSP on this connection")
