"""One thread that reads the connections of all RTSP cameras of a process."""

from __future__ import annotations

import contextlib
import select
import threading
from typing import TYPE_CHECKING, Protocol

from framelane.core.errors import SourceError
from framelane.core.worker import Worker

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from framelane.core.clock import Clock

_CHUNK = 64 << 10
"""Bytes read at once: more than comes in a moment, and less than what the C library asks the kernel for each time."""
_TICK_S = 0.5


class Channel(Protocol):
    """A connection in the reactor; all calls are made on its thread."""

    @property
    def socket(self) -> socket.socket:
        """What is read; not blocking."""
        ...

    def feed(self, data: bytes, *, drained: bool) -> None:
        """Take what has come; `drained` says that nothing more waits. Raises SourceError if it makes no sense."""
        ...

    def tick(self) -> None:
        """Called twice a second."""
        ...

    def ended(self, fault: SourceError) -> None:
        """Nothing more comes, and this is why."""
        ...


class Reactor(Worker):
    """Reads with as few system calls and changes of threads as it can; each of them waits for the interpreter lock.

    The thread starts with the first connection.

    Args:
        clock: where the time is read.
    """

    def __init__(self, clock: Clock) -> None:
        super().__init__("rtsp-reader")
        self._clock = clock
        self._poll = select.epoll()
        self._channels: dict[int, Channel] = {}
        self._lock = threading.Lock()  # of a channel that is fed, or removed
        self._tick_s = 0.0
        self._served: tuple[int, Channel] | None = None
        self._tripped = ""

    def add(self, channel: Channel) -> None:
        """Read a connection from now on."""
        descriptor = channel.socket.fileno()
        with self._lock:
            self._channels[descriptor] = channel
            self._poll.register(descriptor, select.EPOLLIN)
        self.start()

    def remove(self, channel: Channel) -> None:
        """Read a connection no more; it is not called again once this has returned."""
        descriptor = channel.socket.fileno()
        with self._lock:
            if self._channels.get(descriptor) is channel:
                self._forget(descriptor)

    def stop(self, timeout_s: float | None = None) -> bool:
        """End the thread; its connections are their owners' to close."""
        ended = super().stop(timeout_s)
        if ended:
            self._poll.close()
        return ended

    def run_once(self) -> None:
        """Read what has come, and let each connection look after itself now and then."""
        self._end_served()
        for descriptor, _event in self._poll.poll(_TICK_S):
            self._serve(descriptor, self._channels.get(descriptor), self._read)
        now_s = self._clock.monotonic()
        if now_s >= self._tick_s:
            self._tick_s = now_s + _TICK_S
            with self._lock:
                channels = list(self._channels.items())
            for descriptor, channel in channels:
                self._serve(descriptor, channel, self._tick)

    def failed(self, error: Exception) -> float:
        """What one connection trips over ends that one alone; the others go on at once."""
        wait_s = super().failed(error)
        self._tripped = type(error).__name__
        return wait_s if self._served is None else 0.0

    def _serve(
        self, descriptor: int, channel: Channel | None, action: Callable[[int, Channel], None]
    ) -> None:
        with self._lock:
            if channel is not None and self._channels.get(descriptor) is channel:
                self._served = descriptor, channel
                action(descriptor, channel)
                self._served = None

    def _end_served(self) -> None:
        """End the connection at which the last round failed."""
        if self._served is not None:
            descriptor, channel = self._served
            why = f"what it sends makes its reader fail ({self._tripped}); the log has more"
            with self._lock:
                if self._channels.get(descriptor) is channel:
                    self._end(descriptor, channel, SourceError("failed", why))
            self._served = None

    def _tick(self, _descriptor: int, channel: Channel) -> None:
        channel.tick()

    def _end(self, descriptor: int, channel: Channel, fault: SourceError) -> None:
        self._forget(descriptor)
        channel.ended(fault)

    def _read(self, descriptor: int, channel: Channel) -> None:
        fault: SourceError | None = None
        try:
            data = channel.socket.recv(_CHUNK)
            if data:
                channel.feed(data, drained=len(data) < _CHUNK)
            else:
                fault = SourceError("lost", "the other side ended the stream")
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            fault = SourceError("lost", f"the connection broke ({error.strerror or type(error).__name__})")
        except SourceError as error:
            fault = error
        if fault is not None:
            self._end(descriptor, channel, fault)

    def _forget(self, descriptor: int) -> None:
        del self._channels[descriptor]
        with contextlib.suppress(OSError, ValueError):  # closed already
            self._poll.unregister(descriptor)
