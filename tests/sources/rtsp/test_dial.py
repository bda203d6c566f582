"""Connecting: names that take long, hosts with several addresses, and those that don't answer."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest
from tests.sources.rtsp.scripted import ScriptedServer

from framelane.core.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.sources.rtsp.conftest import Open


@pytest.fixture
def full_port() -> Iterator[int]:
    """A port whose connections the kernel no longer takes."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(3):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)  # noqa: FBT003 - the socket module's own signature
            filler.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


def names(monkeypatch: pytest.MonkeyPatch, *addresses: tuple[str, int]) -> None:
    """Let each name have these addresses."""

    def look_up(*_: object, flags: int = 0, **__: object) -> list[Any]:
        if flags:
            raise socket.gaierror
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address) for address in addresses]

    monkeypatch.setattr("socket.getaddrinfo", look_up)


def test_next_address_is_tried_when_one_refuses_or_is_silent(
    opens: Open, monkeypatch: pytest.MonkeyPatch, full_port: int
) -> None:
    with ScriptedServer() as server, socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        good = int(server.place.rpartition(":")[2])
        names(
            monkeypatch, bound.getsockname(), ("127.0.0.1", full_port), ("127.0.0.1", good), ("127.0.0.1", 1)
        )
        began_s = time.monotonic()
        opens("rtsp://camera/x", open_timeout_s=1.5)
        assert time.monotonic() - began_s < 1.2
        assert server.asked("PLAY")[0].uri == "rtsp://camera/x"


def test_camera_is_out_of_time_when_no_connection_is_taken(opens: Open, full_port: int) -> None:
    began_s = time.monotonic()
    with pytest.raises(SourceError) as caught:
        opens(f"rtsp://127.0.0.1:{full_port}/", open_timeout_s=5.0, read_timeout_s=0.2)
    assert time.monotonic() - began_s < 2.0
    assert (caught.value.reason, str(caught.value)) == (
        "timeout",
        "no answer in time; check that the camera is reachable (Connection timed out)",
    )


@pytest.mark.parametrize("place", ["name", "port"])
def test_opening_is_closed_at_once_when_it_is_stopped_while_it_connects(
    opens: Open, monkeypatch: pytest.MonkeyPatch, full_port: int, place: str
) -> None:
    over, stopping = threading.Event(), threading.Event()

    def look_up(*_: object, flags: int = 0, **__: object) -> list[Any]:
        if not flags:
            over.wait(10)
        raise socket.gaierror

    if place == "name":
        monkeypatch.setattr("socket.getaddrinfo", look_up)
    threading.Timer(0.1, stopping.set).start()
    began_s = time.monotonic()
    with pytest.raises(SourceError) as caught:
        opens(f"rtsp://{'camera' if place == 'name' else '127.0.0.1'}:{full_port}/", stopping=stopping)
    assert caught.value.reason == "closed"
    assert time.monotonic() - began_s < 0.4
    over.set()


def test_camera_is_unreachable_when_its_name_is_not_found_in_time(
    opens: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    over = threading.Event()

    def look_up(*_: object, flags: int = 0, **__: object) -> list[Any]:
        if not flags:
            over.wait(10)
        raise socket.gaierror

    monkeypatch.setattr("socket.getaddrinfo", look_up)
    with pytest.raises(SourceError) as caught:
        opens("rtsp://camera/", open_timeout_s=0.2)
    assert caught.value.reason == "unreachable"
    over.set()
    with pytest.raises(SourceError):
        opens(f"rtsp://{'x' * 80}.y/", open_timeout_s=5.0)
