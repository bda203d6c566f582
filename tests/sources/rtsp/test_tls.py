"""RTSPS: what a certificate has to be, what answers that is no TLS, and bytes in any pieces."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from tests.sources.network.test_certificates import MEANINGS
from tests.sources.rtsp.scripted import ScriptedServer, always, frame

from framelane.config.sections.stream import StreamOptions
from framelane.core.errors import SourceError
from framelane.sources.network.certificates import tls_context
from framelane.sources.rtsp.client import Approach
from framelane.sources.rtsp.connection import Connection
from framelane.sources.rtsp.tls import TlsLayer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.neighbours.certificates import Makings
    from tests.sources.rtsp.conftest import Open


CHECK = "check the URL's port and the camera's TLS version"


def approach(transport: Any = "tcp", **tls: object) -> Approach:
    options = StreamOptions.model_validate({"tls": tls})
    return Approach(transport, partial(tls_context, options))


def outcome(opens: Open, url: str, **tls: object) -> str:
    """The codec, or what is wrong."""
    try:
        return opens(url, open_timeout_s=5.0, approach=approach(**tls)).media.codec
    except SourceError as error:
        return f"{error.reason}: {error}"


@pytest.mark.parametrize("name", ["good", "self", "name", "expired"])
def test_any_certificate_will_do_when_none_is_verified(opens: Open, makings: Makings, name: str) -> None:
    with ScriptedServer(tls=makings.context(name)) as server:
        assert outcome(opens, server.url()) == "h264"
        assert server.asked("SETUP")[0].headers["transport"] == "RTP/AVP/TCP;unicast;interleaved=0-1"
        assert server.asked("PLAY")[0].uri.startswith("rtsps://")


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_session_is_opened_when_the_authority_is_trusted(opens: Open, makings: Makings, host: str) -> None:
    try:
        server = ScriptedServer(host, tls=makings.context("good"))
    except OSError:
        pytest.skip("this host has no IPv6")
    with server:
        assert outcome(opens, server.url(), verify=True, ca_file=makings.file("ca.crt")) == "h264"


@pytest.mark.parametrize("name", ["self", "expired", "name"])
def test_state_names_cause_and_remedy(opens: Open, makings: Makings, name: str) -> None:
    with ScriptedServer(tls=makings.context(name)) as server:
        found = outcome(opens, server.url(login="u:mellon@"), verify=True, ca_file=makings.file("ca.crt"))
        assert found == f"certificate: {MEANINGS[name]}"
        assert server.requests == []


def test_authorities_that_can_not_be_read_are_named(opens: Open, makings: Makings) -> None:
    with ScriptedServer(tls=makings.context("good")) as server:
        found = outcome(opens, server.url(), verify=True, ca_file="/nowhere/ca.pem")
        assert found == "certificate: tls.ca_file can't be read (No such file or directory): /nowhere/ca.pem"
        key = makings.file("ca.key")
        assert outcome(opens, server.url(), verify=True, ca_file=key).startswith("certificate: tls.ca_file")


def test_renewed_authorities_are_read_again(opens: Open, makings: Makings) -> None:
    path = makings.folder / "renewed.crt"
    path.write_bytes((makings.folder / "self.crt").read_bytes())
    with ScriptedServer(tls=makings.context("good")) as server:
        assert outcome(opens, server.url(), verify=True, ca_file=str(path)).startswith("certificate: ")
        path.write_bytes((makings.folder / "ca.crt").read_bytes())
        assert outcome(opens, server.url(), verify=True, ca_file=str(path)) == "h264"


def test_connections_share_what_they_demand(makings: Makings) -> None:
    """The system's authorities take megabytes."""
    options = StreamOptions.model_validate({"tls": {"verify": True, "ca_file": makings.file("ca.crt")}})
    assert tls_context(options) is tls_context(options.model_copy())


def test_session_is_kept_within_tls_when_udp_is_asked_for(opens: Open, makings: Makings) -> None:
    with ScriptedServer(tls=makings.context("good")) as server:
        assert opens(server.url(), approach=approach("udp")).transport.channels == (0, 1)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as found:
        yield found


def answer_with(listener: socket.socket, data: bytes) -> threading.Thread:
    """Whatever comes is answered so, and the connection closed."""

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(1 << 16)
            connection.sendall(data)
            time.sleep(0.1)

    thread = threading.Thread(target=serve)
    thread.start()
    return thread


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (
            b"RTSP/1.0 400 Bad Request\r\n\r\n",
            f"invalid: the TLS handshake failed (wrong version number); {CHECK}",
        ),
        (
            b"\x15\x03\x01\x00\x02\x02\x28",  # an alert: handshake failure
            f"invalid: the TLS handshake failed (sslv3 alert handshake failure); {CHECK}",
        ),
        (b"", "lost: the other side closed the connection (Connection reset by peer)"),
        (b"\x16\x03", "lost: the other side closed the connection (Connection reset by peer)"),
    ],
)
def test_what_is_no_tls_is_told(opens: Open, listener: socket.socket, data: bytes, expected: str) -> None:
    thread = answer_with(listener, data)
    found = outcome(opens, f"rtsps://127.0.0.1:{listener.getsockname()[1]}/cam")
    thread.join()
    assert found.replace("ssl/tls alert", "sslv3 alert") == expected


def test_handshake_ends_in_time_when_nobody_answers(opens: Open, listener: socket.socket) -> None:
    began_s = time.monotonic()
    with pytest.raises(SourceError) as caught:
        opens(f"rtsps://127.0.0.1:{listener.getsockname()[1]}/cam", open_timeout_s=0.4, approach=approach())
    assert (caught.value.reason, 0.3 < time.monotonic() - began_s < 3.0) == ("timeout", True)


class Pair:
    """A connection of ours whose other end, in clear text, is the test's."""

    def __init__(self, makings: Makings) -> None:
        near, far = socket.socketpair()
        server = makings.context("good")
        self._thread = threading.Thread(target=self._accept, args=(server, far))
        self._thread.start()
        layer = TlsLayer(tls_context(StreamOptions()), "127.0.0.1")
        data = b""
        while not layer.shake_hands(data):
            near.sendall(layer.output())
            data = near.recv(1 << 16)
        near.sendall(layer.output())
        self._thread.join()
        near.settimeout(0)
        self.connection = Connection(near, layer)

    def _accept(self, server: ssl.SSLContext, far: socket.socket) -> None:
        self.far = server.wrap_socket(far, server_side=True)

    def read(self) -> tuple[bytes, bool] | None:
        """The next that is not empty."""
        while True:
            try:
                read = self.connection.read()
            except BlockingIOError:
                continue
            if read is None or read[0]:
                return read

    def __enter__(self) -> Pair:
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()
        self.far.close()


def test_many_records_are_read_at_once(makings: Makings) -> None:
    with Pair(makings) as pair:
        for number in range(20):
            pair.far.sendall(b"packet %d;" % number)
        time.sleep(0.05)
        assert pair.read() == (b"".join(b"packet %d;" % number for number in range(20)), True)


def test_more_than_is_read_at_once_waits(makings: Makings) -> None:
    data = bytes(range(256)) * 1200
    with Pair(makings) as pair:
        sender = threading.Thread(target=pair.far.sendall, args=(data,))
        sender.start()
        read, drained = b"", []
        while len(read) < len(data):
            found = pair.read()
            assert found is not None
            read += found[0]
            drained.append(found[1])
        sender.join()
    assert read == data
    assert drained[-1]


def test_the_end_of_tls_is_the_end(makings: Makings) -> None:
    with Pair(makings) as pair:
        pair.far.sendall(b"last words")
        pair.far.settimeout(0.05)
        with suppress(OSError):  # it waits for our own goodbye
            pair.far.unwrap()
        assert pair.read() == (b"last words", True)
        pair.far.shutdown(socket.SHUT_RDWR)
        assert pair.read() is None


def test_damaged_records_break_the_connection(makings: Makings) -> None:
    with Pair(makings) as pair:
        raw = socket.socket(fileno=socket.dup(pair.far.fileno()))
        with raw:
            raw.sendall(b"\x17\x03\x03\x00\x20" + bytes(32))
        with pytest.raises(ssl.SSLError):
            pair.read()


def test_messages_are_sent_whole_when_the_other_side_takes_them_slowly(makings: Makings) -> None:
    with Pair(makings) as pair:
        pair.connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        sent = 0
        while pair.connection.flush():
            pair.connection.write(b"m" * 1000)
            sent += 1000
        received = b""
        while len(received) < sent:
            received += pair.far.recv(1 << 16)
            pair.connection.flush()
        assert received == b"m" * sent


def test_redirect_leads_from_rtsp_to_rtsps(opens: Open, makings: Makings) -> None:
    with ScriptedServer(tls=makings.context("good")) as goal:
        moved = always(f"Location: {goal.url('there')}\r\n", status="302 Found")
        with ScriptedServer(DESCRIBE=moved) as server:
            opens(server.url(login="u:p@"), approach=approach())
        assert goal.asked("DESCRIBE")[0].uri == goal.url("there")


@pytest.mark.parametrize(
    ("ours", "theirs", "followed"), [("", "", True), ("u:p@", "", False), ("", "u:p@", False)]
)
def test_redirect_never_takes_a_login_out_of_tls(
    opens: Open,
    makings: Makings,
    ours: str,
    theirs: str,
    followed: bool,  # noqa: FBT001
) -> None:
    with ScriptedServer() as goal:
        moved = always(f"Location: {goal.url('there', login=theirs)}\r\n", status="302 Found")
        with ScriptedServer(DESCRIBE=moved, tls=makings.context("good")) as server:
            found = outcome(opens, server.url(login=ours))
        if followed:
            assert found == "h264"
        else:
            assert found.startswith(
                "rejected: the server redirects from rtsps:// to rtsp://, where the login"
            )
            assert "u:p" not in found
            assert goal.requests == []


def test_frames_around_the_answer_to_play_are_kept(opens: Open, makings: Makings) -> None:
    early = frame(0, b"early")

    def play(request: Any) -> bytes:
        return early + f"RTSP/1.0 200 OK\r\nCSeq: {request.headers['cseq']}\r\n\r\n".encode() + early

    with ScriptedServer(PLAY=play, tls=makings.context("good")) as server:
        assert opens(server.url(), approach=approach()).leftover == early * 2
