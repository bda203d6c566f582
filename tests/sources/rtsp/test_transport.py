"""The transport that a server agrees to, when packets come within the TCP connection."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import pytest

from framelane.core.errors import SourceError
from framelane.sources.rtsp.connection import Connection
from framelane.sources.rtsp.errors import ConfusedError
from framelane.sources.rtsp.transport import Interleaving, parse_transport

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def ends() -> Iterator[tuple[Interleaving, socket.socket]]:
    camera, ours = socket.socketpair()
    ours.settimeout(0.0)
    camera.settimeout(10)
    yield Interleaving(Connection(ours)), camera
    ours.close()
    camera.close()


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("RTP/AVP/TCP;unicast;interleaved=0-1", ("RTP/AVP/TCP", {"unicast": "", "interleaved": "0-1"})),
        ('rtp/avp/tcp ; Interleaved = "2-3"', ("RTP/AVP/TCP", {"interleaved": "2-3"})),
        ("RTP/AVP;server_port=6970-6971,RTP/AVP/TCP", ("RTP/AVP", {"server_port": "6970-6971"})),
        ("", ("", {})),
    ],
)
def test_transport_header_has_a_protocol_and_parameters(header: str, expected: Any) -> None:
    assert parse_transport(header) == expected


@pytest.mark.parametrize(
    ("header", "channels"),
    [
        ("RTP/AVP/TCP;interleaved=0-1", (0, 1)),
        ("RTP/AVP/TCP;interleaved=4-5", (4, 5)),
        ("RTP/AVP/TCP;interleaved=6", (6, 7)),
        ("RTP/AVP/TCP;interleaved=2 - 9", (2, 9)),
        ("RTP/AVP/TCP", (0, 1)),
        ("RTP/AVP/TCP;interleaved=x", (0, 1)),
        ("", (0, 1)),
    ],
)
def test_channels_are_the_servers_or_else_ours(
    ends: tuple[Interleaving, socket.socket], header: str, channels: tuple[int, int]
) -> None:
    ends[0].agree(header)
    assert ends[0].channels == channels


@pytest.mark.parametrize("header", ["RTP/AVP;unicast;client_port=5000-5001", "RTP/AVP/UDP"])
def test_server_that_answers_with_udp_is_refused(
    ends: tuple[Interleaving, socket.socket], header: str
) -> None:
    with pytest.raises(SourceError) as found:
        ends[0].agree(header)
    assert found.value.reason == "transport"


@pytest.mark.parametrize("header", ["RTP/AVP/TCP;interleaved=255", "RTP/AVP/TCP;interleaved=300-301"])
def test_channel_that_a_frame_can_not_name_is_nonsense(
    ends: tuple[Interleaving, socket.socket], header: str
) -> None:
    with pytest.raises(ConfusedError):
        ends[0].agree(header)


def test_report_goes_out_on_the_channel_of_reports(ends: tuple[Interleaving, socket.socket]) -> None:
    transport, camera = ends
    transport.agree("RTP/AVP/TCP;interleaved=4-9")
    transport.report(b"report")
    assert camera.recv(100) == b"$\x09\x00\x06report"


def test_all_packets_come_in_the_connection(ends: tuple[Interleaving, socket.socket]) -> None:
    transport, camera = ends
    assert transport.callbacks(None) == {}  # type: ignore[arg-type] # nobody takes packets
    transport.open_firewalls()
    transport.close()
    transport.close()
    transport.report(b"")
    assert camera.recv(100) == b"$\x01\x00\x00"
