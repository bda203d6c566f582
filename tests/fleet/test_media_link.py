"""A worker's end of the socket on which its parent watches the worker's streams."""

from __future__ import annotations

import fcntl
import socket
import struct
import termios
from typing import TYPE_CHECKING

import pytest
from tests.live.coded import recording, unit_of
from tests.waiting import wait_until

from framelane.core.clock import SystemClock
from framelane.fleet.media_link import MediaLink
from framelane.live.hub import LiveHub
from framelane.live.records import HEADER_BYTES, payload_bytes, unpack
from framelane.live.tap import StreamTap
from framelane.sources.interfaces.tap import UnitOrigin

if TYPE_CHECKING:
    from collections.abc import Iterator

    from framelane.live.records import Record

MADE = recording()
WATCH = b'{"op":"watch","channel":7,"stream":"cam","want":"video"}\n'
UNWATCH = b'{"op":"unwatch","channel":7}\n'


class Worker:
    """A worker process with one stream, and its parent's end of the link."""

    def __init__(self) -> None:
        self.parent, theirs = socket.socketpair()
        self.parent.settimeout(10.0)
        clock = SystemClock()
        self.tap, self.hub = StreamTap(), LiveHub(clock)
        self.hub.add("cam", self.tap)
        self.link = MediaLink(theirs, self.hub, clock)
        self.link.start()

    def send(self, count: int) -> None:
        """Show the first pictures of the recording."""
        wait_until(lambda: self.tap.unit is not None)
        origin = UnitOrigin("h264")
        for coded in MADE.units[:count]:
            assert self.tap.unit is not None
            self.tap.unit(origin, unit_of(coded, MADE.extradata))

    def record(self) -> tuple[int, Record]:
        """The next record, with its channel."""
        header = self._exactly(HEADER_BYTES)
        return unpack(header, self._exactly(payload_bytes(header)))

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            more = self.parent.recv(size - len(data))
            assert more, "the link has ended"
            data += more
        return data


def unread(sock: socket.socket) -> int:
    """Bytes that were sent and that the other end has not read (unix(7))."""
    (count,) = struct.unpack("i", fcntl.ioctl(sock, termios.TIOCOUTQ, bytes(4)))
    return int(count)


@pytest.fixture
def worker() -> Iterator[Worker]:
    made = Worker()
    yield made
    made.parent.close()
    assert made.link.join(10.0)
    assert made.hub.stop(10.0)


def test_pictures_come_on_the_channel_that_was_asked_for(worker: Worker) -> None:
    worker.parent.sendall(WATCH)
    worker.send(3)
    records = [worker.record() for _ in range(3)]
    assert [channel for channel, _ in records] == [7, 7, 7]
    assert [record.key for _, record in records] == [True, False, False]


def test_command_may_arrive_in_pieces(worker: Worker) -> None:
    worker.parent.sendall(WATCH[:20])
    wait_until(lambda: unread(worker.parent) == 0)
    worker.parent.sendall(WATCH[20:])
    worker.send(1)
    assert worker.record()[0] == 7


def test_several_commands_may_arrive_at_once(worker: Worker) -> None:
    tile = WATCH.replace(b"7", b"8").replace(b"video", b"tile")
    worker.parent.sendall(WATCH + UNWATCH + tile)
    # Stills need frames, and video needs units.
    wait_until(lambda: worker.tap.frame is not None)
    assert worker.tap.unit is None


def test_stream_is_shown_no_more_once_it_is_not_watched(worker: Worker) -> None:
    worker.parent.sendall(WATCH)
    worker.send(1)
    worker.record()
    worker.parent.sendall(UNWATCH)
    wait_until(lambda: worker.tap.unit is None)


def test_stream_is_not_watched_any_more_when_the_parent_ends(worker: Worker) -> None:
    worker.parent.sendall(WATCH)
    wait_until(lambda: worker.tap.unit is not None)
    worker.parent.close()
    assert worker.link.join(10.0)
    wait_until(lambda: worker.tap.unit is None)


@pytest.mark.parametrize(
    "said", [b"nonsense\n", b"\xff\xfe\n", b"x" * 5000], ids=["words", "bytes", "no end"]
)
def test_link_ends_if_the_parent_sends_no_commands(worker: Worker, said: bytes) -> None:
    worker.parent.sendall(said)
    assert worker.link.join(10.0)
    assert worker.parent.recv(1) == b""


def test_link_can_be_stopped_while_it_waits(worker: Worker) -> None:
    assert worker.link.stop(10.0)
    assert worker.parent.recv(1) == b""
