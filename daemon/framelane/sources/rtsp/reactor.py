"""Reads the connections of all RTSP cameras of a process on one thread."""

from __future__ import annotations

import contextlib
import select
import threading
from typing import TYPE_CHECKING, Protocol

from framelane.core.errors import SourceError
from framelane.core.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from framelane.core.clock import Clock

_TICK_S = 0.5


class Channel(Protocol):
    """One camera's connections. All methods are called on the reactor's thread."""

    @property
    def callbacks(self) -> Mapping[int, Callable[[], None]]:
        """Non-blocking read callbacks by descriptor.

        They raise SourceError or OSError at the end of the stream.
        """
        ...

    @property
    def due_s(self) -> float | None:
        """Monotonic time of the next tick, if it is needed before the regular one.

        Read after each read and tick.
        """
        ...

    def tick(self) -> None:
        """Do periodic work; called twice per second and at `due_s`."""
        ...

    def ended(self, fault: SourceError) -> None:
        """Take the reason why the stream is over."""
        ...


class Reactor(Worker):
    """Polls all cameras with few system calls and thread switches, since each waits for the interpreter lock.

    The thread starts with the first connection.

    Args:
        clock: the source of time.
    """

    def __init__(self, clock: Clock) -> None:
        super().__init__("rtsp-reader")
        self._clock = clock
        self._poll = select.epoll()
        self._callbacks: dict[int, tuple[Channel, Callable[[], None]]] = {}
        self._channels: dict[Channel, tuple[int, ...]] = {}
        self._due: dict[Channel, float] = {}
        # Held while a channel is read or removed.
        self._lock = threading.Lock()
        self._tick_s = 0.0
        self._served: Channel | None = None
        self._error_name = ""

    def add(self, channel: Channel) -> None:
        """Start to read a camera."""
        callbacks = channel.callbacks
        with self._lock:
            self._channels[channel] = tuple(callbacks)
            for descriptor, read in callbacks.items():
                self._callbacks[descriptor] = channel, read
                self._poll.register(descriptor, select.EPOLLIN)
        self.start()

    def remove(self, channel: Channel) -> None:
        """Stop reading a camera. Its callbacks do not run any more once this returns."""
        with self._lock:
            self._forget(channel)

    def stop(self, timeout_s: float | None = None) -> bool:
        """End the thread. The owners of the connections close them."""
        ended = super().stop(timeout_s)
        if ended:
            self._poll.close()
        return ended

    def run_once(self) -> None:
        """Read waiting data, and tick each camera when it is time."""
        self._end_served()
        for descriptor, _event in self._poll.poll(self._wait_s()):
            callback = self._callbacks.get(descriptor)
            if callback is not None:
                self._serve(*callback)
        now_s = self._clock.monotonic()
        if now_s >= self._tick_s:
            self._tick_s = now_s + _TICK_S
            with self._lock:
                channels = list(self._channels)
        elif self._due:
            with self._lock:
                channels = [channel for channel, due_s in self._due.items() if now_s >= due_s]
        else:
            return
        for channel in channels:
            self._serve(channel, channel.tick)

    def failed(self, error: Exception) -> float:
        """End only the camera whose callback raised the error, and go on with the others at once."""
        wait_s = super().failed(error)
        self._error_name = type(error).__name__
        return wait_s if self._served is None else 0.0

    def _wait_s(self) -> float:
        if not self._due:
            return _TICK_S
        with self._lock:
            due_s = min(self._due.values(), default=self._tick_s)
        return min(max(due_s - self._clock.monotonic(), 0.0), _TICK_S)

    def _serve(self, channel: Channel, action: Callable[[], None]) -> None:
        with self._lock:
            if channel not in self._channels:
                return
            self._served = channel
            fault: SourceError | None = None
            try:
                action()
            except (BlockingIOError, InterruptedError):
                pass
            except OSError as error:
                fault = SourceError(
                    "lost", f"the connection broke ({error.strerror or type(error).__name__})"
                )
            except SourceError as error:
                fault = error
            if fault is not None:
                self._end(channel, fault)
            due_s = channel.due_s
            if due_s is not None and channel in self._channels:
                self._due[channel] = due_s
            elif self._due:
                self._due.pop(channel, None)
            self._served = None

    def _end_served(self) -> None:
        """End the camera whose callback failed in the last round."""
        if self._served is not None:
            channel = self._served
            why = f"reading the camera's data failed with {self._error_name}; the log has the traceback"
            with self._lock:
                if channel in self._channels:
                    self._end(channel, SourceError("failed", why))
            self._served = None

    def _end(self, channel: Channel, fault: SourceError) -> None:
        self._forget(channel)
        channel.ended(fault)

    def _forget(self, channel: Channel) -> None:
        for descriptor in self._channels.pop(channel, ()):
            del self._callbacks[descriptor]
            # The descriptor may be closed already.
            with contextlib.suppress(OSError, ValueError):
                self._poll.unregister(descriptor)
        self._due.pop(channel, None)
