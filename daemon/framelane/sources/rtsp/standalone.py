"""One RTSP camera with its own reactor, decoded on the caller's thread."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING

from framelane.sources.decoding.skip_policy import SkipPolicy
from framelane.sources.decoding.source_parts import SourceParts
from framelane.sources.decoding.unit_queue import UnitQueue
from framelane.sources.rtsp.reactor import Reactor
from framelane.sources.rtsp.source import RtspSource

if TYPE_CHECKING:
    from collections.abc import Iterator

    from framelane.config.sections.stream import StreamOptions
    from framelane.core.clock import Clock
    from framelane.sources.interfaces.source import Decoded
    from framelane.telemetry.meters import StreamMeter

_WAIT_S = 60.0
"""How long a picture may wait: callers of this class want all pictures and are in no hurry."""
_END_S = 5.0


class StandaloneCamera:
    """A camera outside the daemon's camera threads; a context manager.

    Args:
        url: `rtsp://` or `rtsps://`, with the login if there is one.
        options: the stream's configuration.
        clock: the source of time.
        meter: counts pictures.
        stopping: once set, opening and reading end.

    Raises:
        UnsupportedError: only FFmpeg can read this stream.
        SourceError: the camera can't be opened.
    """

    def __init__(
        self,
        url: str,
        options: StreamOptions,
        clock: Clock,
        meter: StreamMeter,
        stopping: threading.Event | None = None,
    ) -> None:
        self._stopping = stopping or threading.Event()
        with ExitStack() as stack:
            reactor = Reactor(clock)
            stack.callback(reactor.stop, _END_S)
            parts = SourceParts(clock, meter, stopping=self._stopping)
            self.source = stack.enter_context(RtspSource(url, options, parts, reactor))
            self._waiting = UnitQueue(_WAIT_S, SkipPolicy(None), clock, meter.frame_dropped)
            self._stack = stack.pop_all()

    def __enter__(self) -> StandaloneCamera:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def pictures(self) -> Iterator[Decoded]:
        """Yield decoded frames until the camera ends or falls silent, or until `stopping`.

        Raises:
            SourceError: the camera has ended or is silent, or nothing can be decoded.
        """
        source, waiting = self.source, self._waiting
        source.start(waiting.put)
        while not self._stopping.is_set():
            source.wait()
            while (unit := waiting.take()) is not None:
                yield from source.decoder.decode(unit)
            source.check_end()
