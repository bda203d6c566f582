from __future__ import annotations

import random
import socket
import time
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx
import pytest
from tests.live.coded import recording, unit_of
from tests.live.viewers import records
from tests.waiting import wait_until
from websockets.exceptions import ConnectionClosed, InvalidStatus

from framelane.live.records import Kind
from framelane.live.tap import StreamTap
from framelane.sources.interfaces.tap import UnitOrigin
from framelane.web import connection
from framelane.web.hosts import Hosts
from framelane.web.live import MOST_VIEWERS
from framelane.web.server import HttpServer

from .watching import TOKEN, Watched, open_socket

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp
    from websockets.sync.client import ClientConnection

    from .conftest import Daemon

    Serve = Callable[[ASGIApp], str]

MADE = recording()
UPGRADE = (
    b"GET /api/live HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
WATCH = '{"op":"watch","channel":3,"stream":"cam","want":"video"}'


def status_of(url: str, **how: Any) -> int:
    """The HTTP status with which a WebSocket is refused; 101 if it is not."""
    try:
        with open_socket(url, **how):
            return 101
    except InvalidStatus as error:
        return error.response.status_code


def test_a_page_gets_the_records_of_what_it_watches(daemon: Daemon, serve: Serve) -> None:
    watched, tap = Watched(daemon), StreamTap()
    watched.hub.add("cam", tap)
    with open_socket(serve(watched.app)) as page:
        assert page.subprotocol == "framelane.live.1"
        page.send(WATCH)
        wait_until(lambda: tap.unit is not None)
        origin = UnitOrigin("h264")
        for coded in MADE.units[:5]:
            assert tap.unit is not None
            tap.unit(origin, unit_of(coded, MADE.extradata))
        found: list[Any] = []
        while len(found) < 5:
            message = page.recv(30)
            assert isinstance(message, bytes)
            found += records(message)
    assert [(channel, each.kind, each.key) for channel, each in found] == [
        (3, Kind.VIDEO, number == 0) for number in range(5)
    ]
    wait_until(lambda: tap.unit is None)


def test_a_page_may_stay_longer_than_a_request_head_may_take(
    daemon: Daemon, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "HEAD_S", 0.2)
    with open_socket(serve(Watched(daemon).app)) as page:
        with pytest.raises(TimeoutError):
            page.recv(1.0)
        page.send(WATCH)
        page.ping().wait(10)


@pytest.mark.parametrize(
    ("token", "status"), [(TOKEN, 101), (None, 401), ("wrong", 401), ("", 401), (TOKEN + "x", 401)]
)
def test_a_page_needs_the_token(daemon: Daemon, serve: Serve, token: str | None, status: int) -> None:
    assert status_of(serve(Watched(daemon, TOKEN).app), token=token) == status


def test_a_program_may_send_the_token_as_a_header(daemon: Daemon, serve: Serve) -> None:
    url = serve(Watched(daemon, TOKEN).app)
    with socket.create_connection(("127.0.0.1", urlsplit(url).port or 0), 30) as line:
        line.sendall(UPGRADE.replace(b"Upgrade:", f"Authorization: Bearer {TOKEN}\r\nUpgrade:".encode(), 1))
        assert line.recv(100).startswith(b"HTTP/1.1 101 ")


def test_a_page_of_another_site_is_refused(daemon: Daemon, serve: Serve) -> None:
    url = serve(Watched(daemon).app)
    assert [status_of(url, origin=each) for each in (url, "http://evil.example", "null")] == [101, 403, 403]


def test_a_page_of_a_named_host_is_not(daemon: Daemon, serve: Serve) -> None:
    url = serve(Watched(daemon, named=["cams.example"]).app)
    assert status_of(url, origin="https://cams.example") == 101


def test_a_foreign_host_header_is_refused(daemon: Daemon, serve: Serve) -> None:
    url = serve(Watched(daemon, hosts=Hosts("10.0.0.1")).app).replace("127.0.0.1", "localhost")
    assert status_of(url) == 101
    with socket.create_connection(("127.0.0.1", urlsplit(url).port or 0), 30) as line:
        line.sendall(UPGRADE.replace(b"127.0.0.1", b"evil.example"))
        assert line.recv(100).startswith(b"HTTP/1.1 421 ")


def test_pages_are_limited_and_a_place_is_free_again_when_one_leaves(daemon: Daemon, serve: Serve) -> None:
    url = serve(Watched(daemon).app)
    with ExitStack() as stack:
        pages = [stack.enter_context(open_socket(url)) for _ in range(MOST_VIEWERS)]
        assert status_of(url) == 503
        # Nobody else is affected.
        assert httpx.get(f"{url}/healthz").status_code == 200
        pages[0].close()
        wait_until(lambda: status_of(url) == 101)


@pytest.mark.parametrize(
    ("said", "code"),
    [("nonsense", 1008), (b"\x00", 1003), ("x" * 5000, 1009), ('{"op":"watch","channel":1e9}', 1008)],
)
def test_a_page_that_says_what_it_may_not_is_closed(
    daemon: Daemon, serve: Serve, said: str | bytes, code: int
) -> None:
    with open_socket(serve(Watched(daemon).app)) as page:
        page.send(said)
        with pytest.raises(ConnectionClosed) as closed:
            page.recv(30)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == code


def test_commands_are_limited(daemon: Daemon, serve: Serve) -> None:
    def flood(page: ClientConnection) -> None:
        for _ in range(5000):
            page.send('{"op":"unwatch","channel":1}')
        page.recv(30)

    with open_socket(serve(Watched(daemon).app)) as page, pytest.raises(ConnectionClosed) as closed:
        flood(page)
    assert closed.value.rcvd is None or closed.value.rcvd.code == 1008


def test_a_thousand_bad_frames_bring_nothing_down(daemon: Daemon, serve: Serve) -> None:
    watched, tap = Watched(daemon), StreamTap()
    watched.hub.add("cam", tap)
    url = serve(watched.app)
    chance = random.Random(7)
    place = urlsplit(url)
    for _ in range(1000):
        with socket.create_connection((place.hostname or "", place.port or 0), 30) as line:
            line.sendall(UPGRADE)
            # Of any kind and length, with or without a mask, cut off or not, and after a good command or not.
            size = chance.choice((0, 1, 5, 125, 126, 127, 300, 6000))
            with suppress(OSError):
                line.sendall(chance.randbytes(2) + chance.randbytes(size))
                line.sendall(
                    bytes([chance.randrange(256), 0x80 | chance.randrange(128)]) + chance.randbytes(8)
                )
    assert httpx.get(f"{url}/healthz").json() == {"ok": True, "reasons": []}
    with open_socket(url) as page:
        page.send(WATCH)
        wait_until(lambda: tap.unit is not None)


def test_a_page_that_does_not_read_is_skipped_and_holds_up_nobody(daemon: Daemon, serve: Serve) -> None:
    watched, tap = Watched(daemon), StreamTap()
    watched.hub.add("cam", tap)
    url = serve(watched.app)
    padding = b"\x00\x00\x00\x01\x06" + b"\x55" * 60_000
    with (
        open_socket(url) as page,
        socket.create_connection(("127.0.0.1", urlsplit(url).port or 0), 30) as frozen,
    ):
        frozen.sendall(UPGRADE)
        assert frozen.recv(4096).endswith(b"\r\n\r\n")
        frozen.sendall(masked(WATCH))
        page.send(WATCH)
        wait_until(lambda: len(channels(watched)) == 2)
        origin = UnitOrigin("h264")
        for turn in range(15):
            seen = 0
            for coded in MADE.units:
                number = coded.number + 40 * turn
                unit = unit_of(coded._replace(number=number, data=coded.data + padding), MADE.extradata)
                assert tap.unit is not None
                tap.unit(origin, unit)
            while seen < len(MADE.units):
                message = page.recv(30)
                assert isinstance(message, bytes)
                seen += len(records(message))
        skipped = sorted(channel.skipped for channel in channels(watched))
        waiting = sum(len(record.payload) for channel in channels(watched) for _, record in channel._waiting)
    assert skipped[0] == 0
    assert skipped[1] > 0
    assert waiting <= 5 << 20


def channels(watched: Watched) -> list[Any]:
    """The channels that show the camera's video."""
    feed = watched.hub._feeds.get("cam")
    return [] if feed is None else [*feed._sinks["video"]]


def masked(text: str) -> bytes:
    """A short text frame of a client, with a mask of zeros."""
    return bytes([0x81, 0x80 | len(text), 0, 0, 0, 0]) + text.encode()


def test_a_listener_stops_in_time_with_pages_open(daemon: Daemon, caplog: pytest.LogCaptureFixture) -> None:
    watched, tap = Watched(daemon), StreamTap()
    watched.hub.add("cam", tap)
    server = HttpServer(watched.app, "127.0.0.1:0")
    server.start()
    with open_socket(server.url) as page, socket.create_connection(server.address, 30) as frozen:
        frozen.sendall(UPGRADE)
        assert frozen.recv(4096).endswith(b"\r\n\r\n")
        frozen.sendall(masked(WATCH))
        page.send(WATCH)
        wait_until(lambda: len(channels(watched)) == 2)
        # More than the frozen page's socket takes.
        origin, padding = UnitOrigin("h264"), b"\x00\x00\x00\x01\x06" + b"\x55" * 400_000
        for coded in MADE.units:
            assert tap.unit is not None
            tap.unit(origin, unit_of(coded._replace(data=coded.data + padding), MADE.extradata))
        time.sleep(0.3)
        assert server.stop(2.0)
        wait_until(lambda: not channels(watched))
    assert [record.getMessage() for record in caplog.records if record.exc_info] == []
