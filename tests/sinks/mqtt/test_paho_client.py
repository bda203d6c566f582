from __future__ import annotations

import random
import socket
from typing import TYPE_CHECKING

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion

from framelane.sinks.mqtt.buffered_socket import BufferedSocket
from framelane.sinks.mqtt.paho_client import Client

if TYPE_CHECKING:
    from collections.abc import Iterator


class Posted:
    """A client whose broker is the test."""

    def __init__(self, protocol: MQTTProtocolVersion = mqtt.MQTTv5) -> None:
        self.client = Client(CallbackAPIVersion.VERSION2, protocol=protocol)
        self.settled: list[tuple[int, int | None]] = []
        self.client.settle = self._settle
        ours, self.broker = socket.socketpair()
        ours.settimeout(0.0)
        self.client._sock = self.client._buffered = BufferedSocket(ours, self.client.want_write)

    def post(self, count: int = 1) -> list[int]:
        return [self.client.post(b"t", b"p", 1, retain=False, properties=None) for _ in range(count)]

    def hear(self, data: bytes) -> MQTTErrorCode:
        self.broker.sendall(data)
        return self.read()

    def read(self) -> MQTTErrorCode:
        result = self.client.loop_read()
        while result == 0 and self.client._buffered.pending():
            result = self.client.loop_read()
        return result

    def acknowledge(self, body: bytes) -> None:
        assert self.hear(bytes([0x40, len(body)]) + body) == 0

    def close(self) -> None:
        self.broker.close()
        self.client._buffered.close()

    def _settle(self, mid: int, refusal: int | None) -> None:
        self.settled.append((mid, refusal))


@pytest.fixture
def posted() -> Iterator[Posted]:
    made = Posted()
    yield made
    made.close()


def test_post_skips_identifiers_that_still_wait_when_the_count_comes_round(posted: Posted) -> None:
    assert posted.post(2) == [1, 2]
    posted.client._last_mid = 65_534
    assert posted.post(3) == [65_535, 3, 4]


@pytest.mark.parametrize(
    ("body", "refusal"),
    [
        (b"\x00\x01", None),
        (b"\x00\x01\x00", None),
        (b"\x00\x01\x10", None),  # nobody has subscribed
        (b"\x00\x01\x00\x00", None),
        (b"\x00\x01\x87", 135),
        (b"\x00\x01\x97\x08\x1f\x00\x05quota", 151),
    ],
)
def test_every_form_of_acknowledgement_settles_once(posted: Posted, body: bytes, refusal: int | None) -> None:
    posted.post()
    posted.acknowledge(body)
    posted.acknowledge(body)
    assert posted.settled == [(1, refusal)]


def test_acknowledgement_of_what_was_never_sent_is_ignored() -> None:
    posted = Posted(mqtt.MQTTv311)
    posted.post()
    posted.acknowledge(b"\x00\x07")
    assert posted.settled == []
    posted.close()


@pytest.mark.parametrize("seed", range(20))
def test_all_that_a_broker_says_is_heard_wherever_the_network_cuts_it(posted: Posted, seed: int) -> None:
    chance = random.Random(seed)
    expected, said = [], b""
    for mid in posted.post(200):
        if chance.random() < 0.1:
            said += b"\xd0\x00"  # PINGRESP
        code = chance.choice([None, None, None, 0x00, 0x10, 0x87])
        body = mid.to_bytes(2, "big") + (b"" if code is None else bytes([code]))
        said += bytes([0x40, len(body)]) + body
        expected.append((mid, 0x87 if code == 0x87 else None))
    while said:
        cut = chance.choice([1, 2, 3, 5, 40, 500])
        assert posted.hear(said[:cut]) == 0
        said = said[cut:]
    assert posted.settled == expected


def test_end_of_the_connection_is_noticed_after_the_last_acknowledgements(posted: Posted) -> None:
    posted.post(2)
    posted.broker.sendall(b"\x40\x02\x00\x01\x40\x02\x00\x02")
    posted.broker.close()
    assert posted.read() == 0
    assert posted.read() == MQTTErrorCode.MQTT_ERR_CONN_LOST
    assert posted.settled == [(1, None), (2, None)]
