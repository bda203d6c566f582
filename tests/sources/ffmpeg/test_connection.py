"""What the kernel tells of a connection that another thread reads; the threads here wait as FFmpeg's do, in poll()."""

from __future__ import annotations

import os
import platform
import select
import socket
import threading
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import pytest
from tests.waiting import wait_until

from framelane.sources.ffmpeg.connection import (
    POLLS,
    Connection,
    FfmpegConnection,
    awaited_connection,
    awaited_descriptors,
    duplicate,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(
    platform.machine() not in POLLS, reason="Framelane knows no numbers of system calls for this processor"
)


@contextmanager
def polling(*descriptors: int) -> Iterator[int]:
    """A thread that waits for these descriptors; yields its id once it does."""
    told, tellers = os.pipe()
    ids: list[int] = []

    def wait() -> None:
        poller = select.poll()
        for descriptor in (*descriptors, told):
            poller.register(descriptor, select.POLLIN)
        ids.append(threading.get_native_id())
        while told not in [descriptor for descriptor, _ in poller.poll()]:
            pass

    thread = threading.Thread(target=wait)
    thread.start()
    try:
        wait_until(lambda: bool(ids) and told in awaited_descriptors(ids[0]))
        yield ids[0]
    finally:
        os.write(tellers, b"!")
        thread.join()
        os.close(told)
        os.close(tellers)


@pytest.fixture
def tcp() -> Iterator[tuple[socket.socket, socket.socket]]:
    """The sender's end and ours."""
    with ExitStack() as stack:
        server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        ours = stack.enter_context(socket.create_connection(server.getsockname()))
        yield stack.enter_context(server.accept()[0]), ours


@pytest.fixture
def udp() -> Iterator[tuple[socket.socket, socket.socket]]:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ours,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender,
    ):
        ours.bind(("127.0.0.1", 0))
        sender.connect(ours.getsockname())
        yield sender, ours


def test_socket_is_found_on_which_a_thread_waits(tcp: tuple[socket.socket, socket.socket]) -> None:
    _, ours = tcp
    with polling(ours.fileno()) as thread:
        assert awaited_connection(thread) == Connection((ours.fileno(),), datagrams=False)


def test_datagrams_count_where_both_are_awaited(
    tcp: tuple[socket.socket, socket.socket], udp: tuple[socket.socket, socket.socket]
) -> None:
    """With UDP, the camera's TCP connection stays open for commands."""
    with polling(tcp[1].fileno(), udp[1].fileno()) as thread:
        assert awaited_connection(thread) == Connection((udp[1].fileno(),), datagrams=True)


def test_thread_that_waits_for_no_socket_has_no_connection() -> None:
    with polling() as thread:
        assert awaited_connection(thread) is None
    assert awaited_descriptors(1 << 30) == []
    assert awaited_descriptors(threading.get_native_id()) == []


def test_unread_bytes_are_counted_until_the_socket_is_closed(
    tcp: tuple[socket.socket, socket.socket],
) -> None:
    sender, ours = tcp
    found = Connection((ours.fileno(),), datagrams=False)
    sender.sendall(b"x" * 700)
    wait_until(lambda: found.unread() == 700)
    ours.recv(200)
    assert found.unread() == 500
    ours.close()
    assert found.unread() == 0


@pytest.mark.parametrize(("waiting", "drained"), [(0, True), (900, True), (1100, False)])
def test_reader_keeps_up_while_less_than_a_picture_waits(
    tcp: tuple[socket.socket, socket.socket], waiting: int, *, drained: bool
) -> None:
    sender, ours = tcp
    connection = FfmpegConnection()
    with polling(ours.fileno()) as thread:
        connection.find(thread, datagrams=False)
    sender.sendall(b"x" * waiting)
    found = Connection((ours.fileno(),), datagrams=False)
    wait_until(lambda: found.unread() == waiting)
    assert connection.drained(1000, 0.0, 0.0) == drained


def test_reader_of_datagrams_keeps_up_only_if_none_waits(udp: tuple[socket.socket, socket.socket]) -> None:
    sender, ours = udp
    connection = FfmpegConnection()
    with polling(ours.fileno()) as thread:
        connection.find(thread, datagrams=True)
    assert connection.drained(1000, 0.0, 0.0)
    sender.send(b"x")
    wait_until(lambda: not connection.drained(1000, 0.0, 0.0))


def test_socket_of_the_wrong_kind_is_not_taken(tcp: tuple[socket.socket, socket.socket]) -> None:
    """While FFmpeg resolves a name, it waits for a name server."""
    connection = FfmpegConnection()
    with polling(tcp[1].fileno()) as thread:
        connection.find(thread, datagrams=True)
    assert connection._connection is None


@pytest.mark.parametrize(
    ("pictures", "drained"),
    [
        ([(0.0, 10.0), (0.1, 10.1)], [True, True]),
        ([(0.0, 10.0), (0.1, 10.01)], [True, False]),
        ([(None, 10.0), (0.1, 10.01)], [True, True]),
        ([(0.0, 10.0), (-0.1, 10.06)], [True, True]),
    ],
    ids=["at their pace", "two at once", "no time stamp", "reordered"],
)
def test_pace_tells_while_the_connection_is_unknown(
    pictures: list[tuple[float | None, float]], drained: list[bool]
) -> None:
    connection = FfmpegConnection()
    assert [connection.drained(1000, pts_s, now_s) for pts_s, now_s in pictures] == drained


def test_handle_of_a_socket_leaves_the_original_open(tcp: tuple[socket.socket, socket.socket]) -> None:
    sender, ours = tcp
    handle = duplicate(ours.fileno())
    assert handle is not None
    handle.close()
    sender.sendall(b"x")
    assert ours.recv(1) == b"x"


def test_what_is_no_socket_has_no_handle() -> None:
    reader, writer = os.pipe()
    assert duplicate(reader) is None
    os.close(reader)
    os.close(writer)
    assert duplicate(reader) is None
