"""The parent's end of the sockets on which it watches its workers' streams."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import orjson
import pytest
from structlog.testing import capture_logs
from tests.live.coded import recording, unit_of
from tests.live.viewers import Kept
from tests.waiting import wait_until

from framelane.core.clock import SystemClock
from framelane.fleet import media_relay
from framelane.fleet.media_link import MediaLink
from framelane.fleet.media_relay import MediaRelay
from framelane.live.hub import LiveHub
from framelane.live.records import Kind, Record
from framelane.live.tap import StreamTap
from framelane.sources.interfaces.tap import UnitOrigin

if TYPE_CHECKING:
    from collections.abc import Iterator

MADE = recording()


class Process:
    """What a worker process has: a hub with one stream, and a link to the parent."""

    def __init__(self, stream: str, relay: MediaRelay) -> None:
        ours, theirs = socket.socketpair()
        relay.attach(ours)
        clock = SystemClock()
        self.tap, self.hub = StreamTap(), LiveHub(clock)
        self.hub.add(stream, self.tap)
        self.link = MediaLink(theirs, self.hub, clock)
        self.link.start()

    def send(self, count: int) -> None:
        wait_until(lambda: self.tap.unit is not None)
        origin = UnitOrigin("h264")
        for coded in MADE.units[:count]:
            assert self.tap.unit is not None
            self.tap.unit(origin, unit_of(coded, MADE.extradata))

    def stop(self) -> None:
        assert self.link.stop(10.0)
        assert self.hub.stop(10.0)


@pytest.fixture
def relay() -> Iterator[MediaRelay]:
    relay = MediaRelay()
    yield relay
    assert relay.stop(10.0)


def test_a_page_sees_the_streams_of_all_workers(relay: MediaRelay) -> None:
    one, two = Process("first", relay), Process("second", relay)
    first, second = Kept(), Kept()
    relay.watch("first", "video", first)
    relay.watch("second", "video", second)
    one.send(4)
    two.send(6)
    wait_until(lambda: (len(first.records), len(second.records)) == (4, 6))
    assert [record.key for record in first.records] == [True, False, False, False]
    one.stop()
    two.stop()


def test_a_stream_is_watched_once_for_all_its_viewers(relay: MediaRelay) -> None:
    process, viewers = Process("cam", relay), [Kept(), Kept()]
    for viewer in viewers:
        relay.watch("cam", "video", viewer)
    process.send(3)
    wait_until(lambda: all(len(viewer.records) == 3 for viewer in viewers))
    relay.unwatch("cam", "video", viewers[0])
    assert process.tap.unit is not None
    relay.unwatch("cam", "video", viewers[1])
    wait_until(lambda: process.tap.unit is None)
    process.stop()


def test_a_worker_that_starts_again_is_watched_again(relay: MediaRelay) -> None:
    process, viewer = Process("cam", relay), Kept()
    relay.watch("cam", "video", viewer)
    process.send(2)
    wait_until(lambda: len(viewer.records) == 2)
    process.stop()
    wait_until(lambda: not relay._links)
    again = Process("cam", relay)
    again.send(5)
    wait_until(lambda: len(viewer.records) == 7)
    again.stop()


def test_a_relay_without_workers_leaves_nothing_open() -> None:
    relay = MediaRelay()
    assert relay.stop(10.0)
    assert (relay._hears.fileno(), relay._rings.fileno()) == (-1, -1)
    assert relay.stop(10.0)


def test_a_worker_that_comes_too_late_is_not_watched(relay: MediaRelay) -> None:
    ours, theirs = zip(*(socket.socketpair() for _ in range(2)), strict=True)
    relay.attach(ours[0])
    assert relay.stop(10.0)
    relay.attach(ours[1])
    for each in theirs:
        each.settimeout(10.0)
        assert each.recv(1) == b""
        each.close()


@pytest.mark.parametrize("kind", [Kind.STILL, Kind.PREVIEW])
def test_the_last_still_and_state_are_there_for_a_page_that_comes_later(
    relay: MediaRelay, kind: Kind
) -> None:
    ours, theirs = socket.socketpair()
    relay.attach(ours)
    first, second = Kept(), Kept()
    relay.watch("cam", "tile", first)
    theirs.settimeout(10)
    assert theirs.recv(4096) == b'{"op":"watch","channel":0,"stream":"cam","want":"tile"}\n'
    last = Record(kind, 1.0, 2.0, b"jpeg or text")
    theirs.sendall(last.header(0) + last.payload)
    wait_until(lambda: first.records == [last])
    relay.watch("cam", "tile", second)
    assert second.records == [last]
    theirs.close()


@pytest.mark.parametrize("junk", [b"\xff" * 24, b"\x01\x00\x00\x00" + b"\x63" * 21], ids=["size", "kind"])
def test_a_socket_with_junk_is_closed(relay: MediaRelay, junk: bytes) -> None:
    ours, theirs = socket.socketpair()
    relay.attach(ours)
    theirs.sendall(junk)
    theirs.settimeout(10)
    assert theirs.recv(1) == b""
    theirs.close()
    assert relay.alive


def test_channel_that_is_in_use_is_not_given_again(
    relay: MediaRelay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(media_relay, "MOST_CHANNELS", 3)
    ours, theirs = socket.socketpair()
    theirs.settimeout(10)
    relay.attach(ours)
    kept, gone = Kept(), Kept()
    relay.watch("a", "video", kept)
    relay.watch("b", "video", gone)
    relay.unwatch("b", "video", gone)
    for stream in "cde":
        relay.watch(stream, "video", gone)
        relay.unwatch(stream, "video", gone)
    said = b""
    while said.count(b"\n") < 9:
        said += theirs.recv(4096)
    watched = [line for line in map(orjson.loads, said.splitlines()) if line["op"] == "watch"]
    assert [(each["stream"], each["channel"]) for each in watched] == [
        ("a", 0),
        ("b", 1),
        ("c", 2),
        ("d", 1),
        ("e", 2),
    ]
    theirs.close()


def test_record_of_a_channel_that_is_not_watched_any_more_goes_nowhere(relay: MediaRelay) -> None:
    ours, theirs = socket.socketpair()
    relay.attach(ours)
    first, second = Kept(), Kept()
    relay.watch("cam", "video", first)
    relay.unwatch("cam", "video", first)
    relay.watch("other", "video", second)
    for channel in (0, 1):
        record = Record(Kind.STILL, 1.0, 2.0, b"%d" % channel)
        theirs.sendall(record.header(channel) + record.payload)
    wait_until(lambda: bool(second.records))
    assert (first.records, [each.payload for each in second.records]) == ([], [b"1"])
    theirs.close()


def test_records_are_whole_however_their_bytes_arrive(relay: MediaRelay) -> None:
    ours, theirs = socket.socketpair()
    relay.attach(ours)
    viewer = Kept()
    relay.watch("cam", "video", viewer)
    records = [Record(Kind.STILL, float(number), 0.0, bytes(number)) for number in range(3)]
    for byte in b"".join(each.header(0) + each.payload for each in records):
        theirs.sendall(bytes([byte]))
    wait_until(lambda: viewer.records == records)
    theirs.close()


def test_worker_that_takes_no_commands_is_given_up(relay: MediaRelay) -> None:
    ours, theirs = socket.socketpair()
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
    relay.attach(ours)
    with capture_logs() as logs:
        for number in range(1000):
            relay.watch(f"stream-{number}", "video", Kept())
        wait_until(lambda: not relay._links)
    assert {each["event"] for each in logs} == {"media_link_lost"}
    assert relay.alive
    theirs.close()
