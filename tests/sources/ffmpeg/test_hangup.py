"""A connection that a thread waits on is ended from outside; others are left alone."""

from __future__ import annotations

import select
import socket
import threading
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from framelane.sources.ffmpeg.hangup import hang_up

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Waiter:
    """A thread that polls as FFmpeg does, a tenth of a second at a time, until something comes."""

    def __init__(self, *polled: socket.socket) -> None:
        self._polled = polled
        self.got: bytes | None = None
        self._ids: list[int] = []
        self.thread = threading.Thread(target=self._wait, daemon=True)
        self.thread.start()
        while not self._ids:
            time.sleep(0.001)
        self.id = self._ids[0]

    def _wait(self) -> None:
        self._ids.append(threading.get_native_id())
        poller = select.poll()
        for each in self._polled:
            poller.register(each.fileno(), select.POLLIN)
        while not poller.poll(100):
            pass
        self.got = self._polled[0].recv(100)


@pytest.fixture
def connected() -> Iterator[Callable[[], tuple[socket.socket, socket.socket]]]:
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))

        def connect() -> tuple[socket.socket, socket.socket]:
            ours = stack.enter_context(socket.create_connection(listener.getsockname()))
            return ours, stack.enter_context(listener.accept()[0])

        yield connect


def test_thread_sees_the_end_when_its_connection_is_hung_up(
    connected: Callable[[], tuple[socket.socket, socket.socket]],
) -> None:
    waiters = [Waiter(connected()[0]) for _ in range(2)]

    assert hang_up(waiters[0].id)
    waiters[0].thread.join(10)
    assert waiters[0].got == b""
    assert waiters[1].thread.is_alive()
    assert hang_up(waiters[1].id)
    waiters[1].thread.join(10)


def test_connection_is_left_when_something_came_not_long_ago(
    connected: Callable[[], tuple[socket.socket, socket.socket]],
) -> None:
    waiter = Waiter(connected()[0])
    assert not hang_up(waiter.id, silent_s=60.0)
    time.sleep(0.1)
    assert hang_up(waiter.id, silent_s=0.05)
    waiter.thread.join(10)


def test_control_connection_is_hung_up_when_the_media_come_as_datagrams(
    connected: Callable[[], tuple[socket.socket, socket.socket]],
) -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as datagrams:
        waiter = Waiter(connected()[0], datagrams)
        assert hang_up(waiter.id)
        waiter.thread.join(10)
    assert waiter.got == b""


def test_nothing_is_hung_up_when_the_thread_waits_for_something_else() -> None:
    over, ids = threading.Event(), []

    def wait() -> None:
        ids.append(threading.get_native_id())
        over.wait()

    thread = threading.Thread(target=wait)
    thread.start()
    while not ids:
        time.sleep(0.001)
    assert not hang_up(ids[0])
    over.set()
    thread.join()
    assert not hang_up(ids[0])
