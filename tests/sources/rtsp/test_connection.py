"""A connection to a camera: nothing waits for a slow one, and nothing is lost of what it takes."""

from __future__ import annotations

import errno
import socket
import ssl
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from tests.waiting import wait_until

from framelane.sources.rtsp.connection import CHUNK_BYTES, Connection, broken_error

if TYPE_CHECKING:
    from collections.abc import Iterator

Ends = tuple[Connection, socket.socket]
MOST_UNSENT = 64 << 10


class Reversing:
    """Stands for TLS: turns bytes around, and has something of its own to say."""

    def __init__(self) -> None:
        self.ended = False
        self.own = b""

    def encrypt(self, data: bytes) -> bytes:
        return data[::-1]

    def decrypt(self, data: bytes) -> bytes:
        return data[::-1]

    def output(self) -> bytes:
        own, self.own = self.own, b""
        return own


@pytest.fixture
def ends() -> Iterator[Ends]:
    """Ours, and the camera's."""
    camera, ours = socket.socketpair()
    ours.settimeout(0.0)
    camera.settimeout(10)
    with camera, closing(Connection(ours)) as connection:
        yield connection, camera


def taken(camera: socket.socket) -> bytes:
    """All that the camera gets until the connection ends."""
    data = b""
    while more := camera.recv(1 << 20):
        data += more
    return data


def test_rest_of_a_message_follows_when_the_camera_takes_it(ends: Ends) -> None:
    connection, camera = ends
    message = bytes(range(256)) * 16_384
    connection.write(message)
    assert not connection.flush()
    got = b""
    while not connection.flush():
        got += camera.recv(1 << 20)
    connection.close()
    assert got + taken(camera) == message


def test_messages_for_a_camera_that_takes_none_are_dropped_whole(ends: Ends) -> None:
    connection, camera = ends
    first = b"a" * (8 << 20)
    connection.write(first)
    connection.write(b"b" * 100)
    got = b""
    while not connection.flush():
        got += camera.recv(1 << 20)
    connection.write(b"c" * 100)
    connection.close()
    assert got + taken(camera) == first + b"c" * 100


def test_short_messages_wait_up_to_a_limit(ends: Ends) -> None:
    connection, camera = ends
    while connection.flush():
        connection.write(b"a" * 4096)
    for _ in range(100):
        connection.write(b"b" * 4096)
    got = b""
    while not connection.flush():
        got += camera.recv(1 << 20)
    connection.close()
    waited = (got + taken(camera)).count(b"b")
    assert MOST_UNSENT - 4096 <= waited <= MOST_UNSENT + 4096


def test_read_tells_whether_more_waits(ends: Ends) -> None:
    connection, camera = ends
    with pytest.raises(BlockingIOError):
        connection.read()
    camera.sendall(b"x" * (CHUNK_BYTES + 1))
    wait_until(lambda: len(connection.socket.recv(2 * CHUNK_BYTES, socket.MSG_PEEK)) == CHUNK_BYTES + 1)
    assert connection.read() == (b"x" * CHUNK_BYTES, False)
    assert connection.read() == (b"x", True)
    camera.shutdown(socket.SHUT_WR)
    assert connection.read() is None


def test_last_message_goes_out_before_the_end(ends: Ends) -> None:
    connection, camera = ends
    connection.close(b"TEARDOWN")
    connection.close(b"again")
    assert taken(camera) == b"TEARDOWN"


def test_camera_that_is_gone_does_not_disturb_the_end(ends: Ends) -> None:
    connection, camera = ends
    camera.close()
    connection.close(b"TEARDOWN")
    assert connection.fileno() == -1


def test_tls_turns_what_passes_and_says_its_own() -> None:
    camera, ours = socket.socketpair()
    ours.settimeout(0.0)
    cipher = Reversing()
    with camera, closing(Connection(ours, cipher)) as connection:
        camera.settimeout(10)
        connection.write(b"abc")
        camera.sendall(b"xyz")
        cipher.own = b"alert"
        assert connection.read() == (b"zyx", True)
        assert camera.recv(3) + camera.recv(5) == b"cbaalert"
        cipher.ended = True
        camera.sendall(b"xyz")
        # The server has announced its end, and this is still part of what it had to say.
        assert connection.read() == (b"zyx", True)


def test_broken_connection_is_told_by_its_number() -> None:
    found = broken_error(ConnectionResetError(errno.ECONNRESET, "reset"))
    assert found.reason == "lost"
    # TLS' own errors have no number, and others may lack it.
    assert str(broken_error(OSError("no number")))


def test_broken_tls_is_told_by_its_reason() -> None:
    answer, question = ssl.MemoryBIO(), ssl.MemoryBIO()
    answer.write(b"this is no TLS record\r\n")
    client = ssl.create_default_context().wrap_bio(answer, question, server_hostname="cam")
    with pytest.raises(ssl.SSLError) as raised:
        client.do_handshake()
    found = broken_error(raised.value)
    assert (found.reason, str(found)) == ("lost", f"the TLS connection broke ({raised.value.reason})")
