"""The parent's end of the sockets on which it watches its workers' streams, on behalf of pages."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
from itertools import count
from typing import TYPE_CHECKING

import orjson
import structlog

from framelane.core.worker import Worker
from framelane.fleet.media_link import MOST_CHANNELS
from framelane.live.records import HEADER_BYTES, Kind, payload_bytes, unpack

if TYPE_CHECKING:
    from framelane.live.feed import Sink, Want
    from framelane.live.records import Record

log = structlog.get_logger(__name__)

_AT_ONCE = 1 << 20
_MOST_PAYLOAD = 64 << 20
_KEPT = frozenset({Kind.STILL, Kind.PREVIEW})


class _Watched:
    """What is watched of one stream, for all its viewers together."""

    def __init__(self, channel: int, stream: str, want: Want) -> None:
        self.channel = channel
        self.command = _line({"op": "watch", "channel": channel, "stream": stream, "want": want})
        self.sinks: tuple[Sink, ...] = ()
        self.last: dict[Kind, Record] = {}
        """The newest still and the newest state of the sub-stream, for viewers that come later."""

    def put(self, record: Record) -> None:
        """Give a record to all viewers."""
        if record.kind in _KEPT:
            self.last[record.kind] = record
        for sink in self.sinks:
            sink.put(record)


class MediaRelay(Worker):
    """Watches a stream once, for any number of viewers. Implements `live.hub.Feeds`.

    It asks all workers, because a stream may move; the one that has it answers.
    """

    def __init__(self) -> None:
        super().__init__("live-relay")
        self._lock = threading.Lock()
        self._links: dict[socket.socket, bytearray] = {}
        self._watched: dict[tuple[str, Want], _Watched] = {}
        self._by_channel: dict[int, _Watched] = {}
        self._closed = False
        self._numbers = count()
        self._selector = selectors.DefaultSelector()
        self._hears, self._rings = socket.socketpair()
        self._selector.register(self._hears, selectors.EVENT_READ)

    def attach(self, link: socket.socket) -> None:
        """Watch through a worker's socket from now on; closes it when the worker or this thread has ended."""
        link.settimeout(0.0)
        with self._lock:
            if self._closed:
                link.close()
                return
            self._links[link] = bytearray()
            self._selector.register(link, selectors.EVENT_READ)
            commands = b"".join(each.command for each in self._watched.values())
        self._tell(link, commands)
        self.start()
        self.wake()

    def watch(self, stream: str, want: Want, sink: Sink) -> None:
        """See Feeds."""
        with self._lock:
            watched = self._watched.get((stream, want))
            fresh = watched is None
            if watched is None:
                watched = _Watched(self._number(), stream, want)
                self._watched[stream, want] = self._by_channel[watched.channel] = watched
            watched.sinks = (*watched.sinks, sink)
            last = list(watched.last.values())
        for record in last:
            sink.put(record)
        if fresh:
            self._tell_all(watched.command)

    def unwatch(self, stream: str, want: Want, sink: Sink) -> None:
        """See Feeds."""
        with self._lock:
            watched = self._watched.get((stream, want))
            if watched is None:
                return
            watched.sinks = tuple(each for each in watched.sinks if each is not sink)
            if watched.sinks:
                return
            del self._watched[stream, want], self._by_channel[watched.channel]
        self._tell_all(_line({"op": "unwatch", "channel": watched.channel}))

    def stop(self, timeout_s: float | None = None) -> bool:
        """See Worker; also closes what a relay has to which no worker came."""
        ended = super().stop(timeout_s)
        if self._thread is None:
            self.ended()
        return ended

    def wake(self) -> None:
        """Make the thread check whether to stop."""
        with contextlib.suppress(OSError):
            self._rings.send(b"!")

    def run_once(self) -> None:
        """Wait for records and give them to their viewers."""
        for key, _ in self._selector.select():
            link = key.fileobj
            if link is self._hears:
                self._hears.recv(_AT_ONCE)
            elif isinstance(link, socket.socket):
                self._read(link)

    def ended(self) -> None:
        """Close all sockets, and those that come later."""
        with self._lock:
            self._closed = True
        for link in list(self._links):
            self._drop(link)
        self._selector.close()
        self._hears.close()
        self._rings.close()

    def _number(self) -> int:
        """Return a channel number that is not in use, and was not recently."""
        return next(
            number for each in self._numbers if (number := each % MOST_CHANNELS) not in self._by_channel
        )

    def _read(self, link: socket.socket) -> None:
        try:
            some = link.recv(_AT_ONCE)
        except BlockingIOError:
            return
        except OSError:
            some = b""
        data = self._links.get(link)
        if not some or data is None:
            self._drop(link)
            return
        data += some
        try:
            self._take(data)
        except ValueError:
            # No worker of ours sends that.
            self._drop(link)

    def _take(self, data: bytearray) -> None:
        """Give whole records to their viewers, and remove them."""
        at = 0
        while len(data) - at >= HEADER_BYTES:
            header = bytes(data[at : at + HEADER_BYTES])
            size = payload_bytes(header)
            if size > _MOST_PAYLOAD:
                raise ValueError(f"a record of {size} bytes")
            end = at + HEADER_BYTES + size
            if len(data) < end:
                break
            channel, record = unpack(header, bytes(data[at + HEADER_BYTES : end]))
            watched = self._by_channel.get(channel)
            if watched is not None:
                watched.put(record)
            at = end
        del data[:at]

    def _tell_all(self, commands: bytes) -> None:
        for link in list(self._links):
            self._tell(link, commands)

    def _tell(self, link: socket.socket, commands: bytes) -> None:
        try:
            sent = link.send(commands) if commands else 0
        except OSError:
            sent = -1
        if sent < len(commands):
            # A worker that does not read is about to be killed. The thread sees the end and closes the socket.
            log.warning("media_link_lost", text="a worker process does not take commands of the live page")
            with contextlib.suppress(OSError):
                link.shutdown(socket.SHUT_RDWR)

    def _drop(self, link: socket.socket) -> None:
        with self._lock:
            self._links.pop(link, None)
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(link)
        link.close()


def _line(command: dict[str, object]) -> bytes:
    return orjson.dumps(command, option=orjson.OPT_APPEND_NEWLINE)
