"""The access units of one RTSP camera, read by the reactor; nothing here decodes them."""

from __future__ import annotations

import threading
from fractions import Fraction
from functools import partial
from typing import TYPE_CHECKING

from framelane.core.errors import SourceError
from framelane.sources.interfaces.units import Unit, packet_of
from framelane.sources.network.certificates import tls_context
from framelane.sources.rtsp.client import Approach, open_session
from framelane.sources.rtsp.playing import Playing
from framelane.sources.timing.arrival_clock import ArrivalClock

if TYPE_CHECKING:
    from collections.abc import Callable

    from framelane.config.sections.stream import StreamOptions
    from framelane.core.clock import Clock
    from framelane.core.stream_reasons import StreamReason
    from framelane.sources.rtsp.client import VideoMedia
    from framelane.sources.rtsp.reactor import Reactor
    from framelane.sources.rtsp.rtp_unit import RtpUnit

_LOOK_S = 0.5
# Pictures after which unreliable marker bits are reported.
_MARKS_SEEN = 25


class CameraUnits:
    """One camera's session; a context manager.

    Args:
        url: `rtsp://` or `rtsps://`, with the login if there is one.
        options: the stream's configuration.
        clock: the source of time.
        reactor: reads what the camera sends.
        stopping: once set, opening ends.

    Raises:
        UnsupportedError: only FFmpeg can read this stream.
        SourceError: the camera can't be opened.
    """

    def __init__(
        self, url: str, options: StreamOptions, clock: Clock, reactor: Reactor, stopping: threading.Event
    ) -> None:
        began_s = clock.monotonic()
        self._reactor = reactor
        approach = Approach(options.transport, partial(tls_context, options), options.video)
        wait_s = options.open_timeout_s
        self._session = open_session(url, wait_s, wait_s, stopping, clock, approach)
        self.media: VideoMedia = self._session.media
        """What the camera says about its video."""
        self.time_base = Fraction(1, self.media.clock_rate)
        """The unit of time stamps in seconds."""
        self._time_base_s = 1 / self.media.clock_rate
        self._arrivals = ArrivalClock(clock, options.clock, began_s)
        self._playing = Playing(
            self._session,
            clock,
            options.read_timeout_s,
            self._take,
            self._on_end,
            early=options.low_latency,
        )
        self._early = options.low_latency
        self._taken = 0
        self._put: Callable[[Unit], bool] = _discard
        self._changed = threading.Event()
        # Not the error itself: its traceback would hold a reference to all of this.
        self._fault: tuple[StreamReason, str] | None = None

    def __enter__(self) -> CameraUnits:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def heard_s(self) -> float:
        """When the last picture came (monotonic), decodable or not.

        Before the first: when the session was opened.
        """
        return self._playing.heard_s

    @property
    def stamp_trouble(self) -> str:
        """What is wrong with the camera's time stamps, in words; empty while they agree with our clock."""
        return self._arrivals.stamp_trouble

    @property
    def camera_offset_s(self) -> float | None:
        """How far the camera's clock is ahead of ours in seconds, less the transit time.

        None without its reports.
        """
        return self._arrivals.camera_offset_s

    @property
    def unmarked(self) -> bool:
        """Whether pictures end only when the next begins, because the camera's marker bits are unreliable."""
        return self._early and self._taken > _MARKS_SEEN and self._playing.refuted

    def start(self, put: Callable[[Unit], bool]) -> None:
        """Deliver units from now on, on the reactor's thread.

        Args:
            put: takes a unit; returns whether to wake the thread in wait().

        Raises:
            SourceError: the data received so far is not RTSP.
        """
        self._put = put
        self._playing.begin()
        self._reactor.add(self._playing)

    def wait(self) -> None:
        """Wait until there is a unit to handle, the connection has ended, or 0.5 s have passed."""
        self._changed.wait(_LOOK_S)
        self._changed.clear()

    def check_end(self) -> None:
        """Raise the reason if the stream has ended.

        Raises:
            SourceError: the stream has ended.
        """
        if self._fault is not None:
            raise SourceError(*self._fault)

    def wake(self) -> None:
        """End a wait; may be called from any thread."""
        self._changed.set()

    def close(self) -> None:
        """Stop reading and end the session. A repeated call does nothing."""
        self._reactor.remove(self._playing)
        self._session.close()
        # This breaks a reference cycle. Without it, a decoder would live until the next garbage collection.
        self._playing.detach()
        self._put = _discard

    def _take(self, unit: RtpUnit) -> None:
        self._taken += 1
        packet = packet_of(unit.data, unit.pts, self.time_base)
        camera_s = self._playing.reports.captured_at(unit.stamp)
        arrival = self._arrivals.note(
            unit.pts * self._time_base_s, unit.read_s, camera_s, drained=self._playing.drained
        )
        whole, recovery, extradata = unit.whole, unit.recovery, unit.extradata
        if self._put(Unit(packet, unit.key, unit.disposable, arrival, whole, recovery, extradata=extradata)):
            self._changed.set()

    def _on_end(self, fault: SourceError) -> None:
        self._fault = fault.reason, str(fault)
        self._changed.set()


def _discard(_unit: Unit) -> bool:
    """Discard a unit before start()."""
    return False
