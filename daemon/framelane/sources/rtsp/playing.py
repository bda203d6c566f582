"""Reads a playing session on the reactor's thread."""

from __future__ import annotations

import secrets
from contextlib import suppress
from typing import TYPE_CHECKING

from framelane.core.errors import SourceError
from framelane.sources.network.ffmpeg_errors import NO_DATA, NO_DATAGRAM, NO_VIDEO, NO_VIDEO_PATIENCE
from framelane.sources.rtsp.depacketizers import open_depacketizer
from framelane.sources.rtsp.interleaved import Interleaved
from framelane.sources.rtsp.reordering import ReorderWindow
from framelane.sources.rtsp.rtcp import Reports
from framelane.sources.rtsp.rtp import RtpReceiver
from framelane.sources.rtsp.server_requests import answer_request

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from framelane.core.clock import Clock
    from framelane.sources.rtsp.rtp_unit import RtpUnit
    from framelane.sources.rtsp.session import Session

_REPORT_EVERY_S = 5.0
_GOODBYE_S = 1.0
"""Seconds from a camera's RTCP BYE until the stream counts as ended.

Another source may follow before that.
"""
_SAID_GOODBYE = "the camera says that its stream has ended"


class Playing:
    """Turns received data into access units and maintains the session.

    All methods except detach() run on the reactor's thread.

    Args:
        session: owned by the caller, who closes it.
        clock: the source of time.
        read_timeout_s: how long the camera may be silent, in seconds.
        emit: called with each access unit.
        on_end: called once with the reason when the stream is over.
        early: whether the marker bit may end a picture.
    """

    def __init__(
        self,
        session: Session,
        clock: Clock,
        read_timeout_s: float,
        emit: Callable[[RtpUnit], None],
        on_end: Callable[[SourceError], None],
        *,
        early: bool,
    ) -> None:
        self._session = session
        self._transport = session.transport
        self._clock = clock
        self._read_timeout_s = read_timeout_s
        self._emit = emit
        self._on_end = on_end
        media = session.media
        self._units = open_depacketizer(media, self._take_unit, early=early)
        self._receiver = RtpReceiver(media, self._units)
        self._window = ReorderWindow(self._receiver)
        self.reports = Reports(self._receiver, media.clock_rate, secrets.randbits(32))
        """The camera's clock."""
        self._wire = Interleaved(self._transport.channels, self._receiver, self.reports, self)
        self._beside = self._transport.channels is None
        self.heard_s = self._came_s = self._reported_s = self._kept_s = clock.monotonic()
        """When the last picture came (monotonic), or else when this object was created.

        Damaged pictures count only after the first whole key frame. A stream without one may be no video at
        all.
        """
        self._begun = False
        self.drained = False
        """Whether the last read left nothing waiting in the socket."""
        self._ended = False

    @property
    def callbacks(self) -> Mapping[int, Callable[[], None]]:
        """The read callback of each descriptor."""
        return {self._session.connection.fileno(): self._read, **self._transport.callbacks(self)}

    @property
    def due_s(self) -> float | None:
        """Monotonic time of the next tick, if it is needed before the regular one."""
        return self._window.due_s

    @property
    def refuted(self) -> bool:
        """Whether marker bits are known not to end pictures, or to mark other packets too."""
        return self._units.refuted

    def begin(self) -> None:
        """Process the data that came with the answer to PLAY.

        Raises:
            SourceError: the data is not RTSP.
        """
        self._wire.feed(self._session.leftover, self._clock.monotonic())

    def tick(self) -> None:
        """Check for silence and missing packets, send reports, and keep the session alive."""
        now_s = self._clock.monotonic()
        self._window.release(now_s)
        fault = self._silence(now_s)
        if fault is not None:
            self.ended(fault)
            return
        if self._beside and self._receiver.source is None:
            self._transport.open_firewalls()
        if now_s - self._reported_s >= _REPORT_EVERY_S:
            self._reported_s = now_s
            with suppress(OSError):
                self._transport.report(self.reports.answer(now_s))
        if now_s - self._kept_s >= self._session.keep_alive_s:
            self._keep_alive(now_s)
        with suppress(OSError):
            self._session.connection.flush()

    def ended(self, fault: SourceError) -> None:
        """Flush the last picture and report why the stream is over."""
        if self._ended:
            return
        self._ended = True
        try:
            self._window.flush()
            self._units.flush()
        finally:
            self._on_end(fault)

    def detach(self) -> None:
        """Drop all callbacks and references. The reactor must not read this object any more."""
        self._ended = True
        self._emit = self._on_end = _ignore
        self._units.detach()

    def take_packets(self, packets: list[bytes], *, drained: bool) -> None:
        """Take RTP datagrams."""
        if not packets:
            return
        now_s = self._clock.monotonic()
        self._came_s = now_s
        self.drained = drained
        self._window.take_all(packets, now_s)

    def take_reports(self, packets: list[bytes]) -> None:
        """Take RTCP datagrams."""
        now_s = self._clock.monotonic()
        for packet in packets:
            self.reports.take(packet, now_s)

    def take_answer(self, message: bytes) -> None:
        """Take the server's answer to a keep-alive."""
        if self._session.take_answer(message):
            self._keep_alive(self._clock.monotonic())

    def take_request(self, message: bytes) -> None:
        """Answer the server's request.

        Raises:
            SourceError: the request ends the stream.
        """
        answer, fault = answer_request(message, self._session.media)
        self._write(answer)
        if fault is not None:
            raise fault

    def _read(self) -> None:
        """Read the TCP connection.

        Raises:
            SourceError: the server has ended the connection, or its data makes no sense.
            OSError: no data waits, or the connection is broken.
        """
        read = self._session.connection.read()
        if read is None:
            raise SourceError("lost", "the other side ended the stream")
        now_s = self._clock.monotonic()
        if not self._beside:
            self._came_s = now_s
            self.drained = read[1]
        self._wire.feed(read[0], now_s)

    def _take_unit(self, unit: RtpUnit) -> None:
        self._begun |= unit.whole and unit.key
        if unit.whole or self._begun:
            self.heard_s = self._clock.monotonic()
        self._emit(unit)

    def _silence(self, now_s: float) -> SourceError | None:
        if self._receiver.gone and now_s - self._receiver.read_s > _GOODBYE_S:
            return SourceError("lost", _SAID_GOODBYE)
        if now_s - self._came_s > self._read_timeout_s:
            never = self._beside and self._receiver.source is None
            return SourceError("timeout", NO_DATAGRAM if never else NO_DATA)
        if now_s - self.heard_s > NO_VIDEO_PATIENCE * self._read_timeout_s:
            return SourceError("timeout", NO_VIDEO)
        return None

    def _keep_alive(self, now_s: float) -> None:
        self._kept_s = now_s
        self._write(self._session.keep_alive())

    def _write(self, message: bytes) -> None:
        """Send a short message. If the camera accepts nothing, the read timeout reports it."""
        if message:
            with suppress(OSError):
                self._session.connection.write(message)


def _ignore(_news: object) -> None:
    """Replace the callbacks after detach()."""
