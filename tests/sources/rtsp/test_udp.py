"""Two ports for one camera: which they are, whom they hear, and what is said to a server about them."""

from __future__ import annotations

import socket
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from framelane.core.errors import SourceError
from framelane.sources.rtsp.transport import Interleaving, parse_transport
from framelane.sources.rtsp.udp import UdpTransport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Connect = Callable[..., "Rig"]

RTP = b"\x80\x60\x00\x01" + bytes(8) + b"picture"
RTCP = b"\x80\xc8\x00\x06" + bytes(24)


class Rig:
    """A transport on a connection over loopback, and what comes of it; the camera's end is the test's."""

    def __init__(self, stack: ExitStack, host: str) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.host = host
        listener = stack.enter_context(socket.create_server((host, 0), family=family))
        self.near = stack.enter_context(socket.create_connection(listener.getsockname()[:2]))
        self.transport = UdpTransport(self.near)
        stack.callback(self.transport.close)
        self.packets: list[bytes] = []
        self.reports: list[bytes] = []
        self.drained: list[bool] = []
        self._family, self._stack = family, stack

    def take_packets(self, packets: list[bytes], *, drained: bool) -> None:
        self.packets += packets
        self.drained.append(drained)

    def take_reports(self, packets: list[bytes]) -> None:
        self.reports += packets

    @property
    def ports(self) -> tuple[int, int]:
        """Ours, as the offer names them."""
        first, second = parse_transport(self.transport.offer)[1]["client_port"].split("-")
        return int(first), int(second)

    def camera(self, host: str | None = None) -> socket.socket:
        """A port of a camera's."""
        sock = self._stack.enter_context(socket.socket(self._family, socket.SOCK_DGRAM))
        sock.bind((host or self.host, 0))
        sock.settimeout(5.0)
        return sock

    def read(self) -> None:
        for read in self.transport.callbacks(self).values():
            read()

    def send(self, sock: socket.socket, data: bytes, port: int = 0) -> None:
        """To our first or second port, and read."""
        sock.sendto(data, (self.host, self.ports[port]))
        time.sleep(0.01)
        self.read()


@pytest.fixture
def connect() -> Iterator[Connect]:
    with ExitStack() as stack:
        yield lambda host="127.0.0.1": Rig(stack, host)


def port_of(sock: socket.socket) -> int:
    number: int = sock.getsockname()[1]
    return number


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


HOSTS = ["127.0.0.1", pytest.param("::1", marks=pytest.mark.skipif(not has_ipv6(), reason="no IPv6 here"))]


@pytest.mark.parametrize("host", HOSTS)
def test_ports_are_an_even_one_and_the_next(connect: Connect, host: str) -> None:
    rigs = [connect(host) for _ in range(20)]
    for rig in rigs:
        rtp, rtcp = rig.ports
        assert (rtp % 2, rtcp) == (0, rtp + 1)
        assert rig.transport.offer == f"RTP/AVP;unicast;client_port={rtp}-{rtcp}"
    assert len({rig.ports for rig in rigs}) == len(rigs)


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize(
    "answer", ["RTP/AVP;unicast;server_port={}-{}", 'RTP/AVP/UDP;unicast;source="{host}";server_port={}-{}']
)
def test_packets_of_the_camera_come_in_and_ours_go_out(connect: Connect, host: str, answer: str) -> None:
    rig = connect(host)
    rtp, rtcp = rig.camera(), rig.camera()
    rig.transport.agree(answer.format(port_of(rtp), port_of(rtcp), host=host))
    rig.send(rtp, RTP)
    rig.send(rtcp, RTCP, 1)
    assert (rig.packets, rig.reports) == ([RTP], [RTCP])
    rig.transport.report(b"report")
    data, sender = rtcp.recvfrom(100)
    assert (data, sender[1]) == (b"report", rig.ports[1])


@pytest.mark.parametrize(
    "ports", ["", ";server_port=0-0", ";server_port=0", ";server_port=x", ";server_port=99999"]
)
def test_the_first_packet_tells_the_cameras_port_when_it_names_none(connect: Connect, ports: str) -> None:
    rig = connect()
    rtp, rtcp, other = rig.camera(), rig.camera(), rig.camera()
    rig.transport.agree(f"RTP/AVP;unicast{ports}")
    rig.transport.open_firewalls()
    rig.transport.report(b"nowhere")
    rig.send(rtp, RTP)
    rig.send(rtcp, RTCP, 1)
    rig.send(other, RTP + b"!")
    assert (rig.packets, rig.reports) == ([RTP], [RTCP])
    rig.transport.report(b"report")
    assert rtcp.recv(100) == b"report"


def test_a_camera_is_heard_that_sends_from_another_port_than_it_names(connect: Connect) -> None:
    rig = connect()
    named, used = rig.camera(), rig.camera()
    rig.transport.agree(f"RTP/AVP;unicast;server_port={port_of(named)}-{port_of(named) + 1}")
    rig.send(used, RTP)
    assert rig.packets == [RTP]


def test_packets_from_elsewhere_are_dropped_before_and_after_the_cameras_first(connect: Connect) -> None:
    rig = connect()
    camera, stranger = rig.camera(), rig.camera("127.0.0.2")
    rig.transport.agree(f"RTP/AVP;unicast;server_port={port_of(camera)}")
    rig.send(stranger, RTP + b" of a stranger")
    for _ in range(3):
        stranger.sendto(RTP + b" in between", ("127.0.0.1", rig.ports[0]))
        camera.sendto(RTP, ("127.0.0.1", rig.ports[0]))
    time.sleep(0.01)
    rig.read()
    rig.send(stranger, RTP + b" later")
    rig.send(camera, RTP)
    assert rig.packets == [RTP] * 4


def test_packets_may_come_from_the_address_that_the_camera_names(connect: Connect) -> None:
    rig = connect()
    camera = rig.camera("127.0.0.3")
    rig.transport.agree(f"RTP/AVP;unicast;source=127.0.0.3;server_port={port_of(camera)}-1")
    rig.transport.open_firewalls()
    assert camera.recv(100)[:2] == b"\x80\x00"
    rig.send(camera, RTP)
    assert rig.packets == [RTP]


@pytest.mark.parametrize("source", ["0.0.0.0", "camera.local", "::", ""])
def test_the_connections_address_counts_when_the_camera_names_none_that_sends(
    connect: Connect, source: str
) -> None:
    rig = connect()
    camera = rig.camera()
    rig.transport.agree(f"RTP/AVP;unicast;source={source};server_port={port_of(camera)}")
    rig.send(camera, RTP)
    assert rig.packets == [RTP]


def test_firewalls_are_opened_from_both_ports(connect: Connect) -> None:
    rig = connect()
    rtp, rtcp = rig.camera(), rig.camera()
    rig.transport.agree(f"RTP/AVP;unicast;server_port={port_of(rtp)}-{port_of(rtcp)}")
    rig.transport.open_firewalls()
    found: list[Any] = [rtp.recvfrom(100), rtcp.recvfrom(100)]
    assert [(len(data), data[0], sender[1]) for data, sender in found] == [
        (12, 0x80, rig.ports[0]),
        (8, 0x80, rig.ports[1]),
    ]


def test_what_the_network_says_of_our_packets_ends_nothing(connect: Connect) -> None:
    """A port that nobody listens on is told by ICMP, as an error of the next call."""
    rig = connect()
    camera = rig.camera()
    rig.transport.agree(f"RTP/AVP;unicast;server_port={port_of(camera)}")
    rig.send(camera, RTP)
    camera.close()
    for _ in range(3):
        rig.transport.open_firewalls()
        time.sleep(0.01)
        rig.read()
    assert rig.packets == [RTP]


def test_many_packets_are_read_in_turns(connect: Connect) -> None:
    rig = connect()
    camera = rig.camera()
    rig.transport.agree("RTP/AVP;unicast")
    for _ in range(100):
        camera.sendto(RTP, ("127.0.0.1", rig.ports[0]))
    time.sleep(0.01)
    rig.read()
    assert (len(rig.packets), rig.drained) == (64, [False])
    rig.read()
    rig.read()
    assert (len(rig.packets), rig.drained) == (100, [False, True, True])


def test_large_packets_are_read_whole_from_the_second_on(connect: Connect) -> None:
    rig = connect()
    camera = rig.camera()
    rig.transport.agree("RTP/AVP;unicast")
    large = RTP + bytes(8000)
    rig.send(camera, large)
    rig.send(camera, large)
    assert rig.packets == [large]


def test_the_kernel_keeps_more_than_a_key_frame(connect: Connect) -> None:
    descriptor = next(iter(connect().transport.callbacks(connect())))
    with socket.socket(fileno=socket.dup(descriptor)) as copy:
        found = copy.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
    limit = int(Path("/proc/sys/net/core/rmem_max").read_text(encoding="utf-8"))
    assert found == 2 * min(limit, 2 << 20)


@pytest.mark.parametrize(
    "answer",
    [
        "RTP/AVP/TCP;unicast;interleaved=0-1",
        "RTP/AVP;unicast;interleaved=0-1",
        "RTP/AVP;multicast;destination=239.0.0.1;port=5000-5001",
    ],
)
def test_another_transport_than_was_asked_for_is_refused(connect: Connect, answer: str) -> None:
    rig = connect()
    with pytest.raises(SourceError) as caught:
        rig.transport.agree(answer)
    assert caught.value.reason == "transport"
    with pytest.raises(SourceError) as caught:
        Interleaving(None).agree("RTP/AVP/UDP;unicast;client_port=1-2")  # type: ignore[arg-type] # not used
    assert caught.value.reason == "transport"


def test_ports_may_be_closed_twice_and_are_free_again(connect: Connect) -> None:
    rig = connect()
    ports = rig.ports
    rig.transport.close()
    rig.transport.close()
    for port in ports:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as again:
            again.bind(("127.0.0.1", port))
