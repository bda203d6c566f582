from __future__ import annotations

from typing import TYPE_CHECKING

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from framelane.sinks.client import Client

if TYPE_CHECKING:
    from paho.mqtt.reasoncodes import ReasonCode


class Posted:
    """A client without a connection, whose acknowledgements the test makes up."""

    def __init__(self, protocol: MQTTProtocolVersion = mqtt.MQTTv5) -> None:
        self.client = Client(CallbackAPIVersion.VERSION2, protocol=protocol)
        self.settled: list[tuple[int, int | None]] = []
        self.client.settle = self._settle

    def post(self, count: int = 1) -> list[int]:
        return [self.client.post(b"t", b"p", 1, retain=False, properties=None) for _ in range(count)]

    def acknowledge(self, body: bytes) -> None:
        self.client._in_packet |= {"command": 0x40, "remaining_length": len(body), "packet": bytearray(body)}
        self.client._packet_handle()

    def _settle(self, mid: int, refusal: ReasonCode | None) -> None:
        self.settled.append((mid, None if refusal is None else int(refusal.value)))


def test_post_skips_identifiers_that_still_wait_when_the_count_comes_round() -> None:
    posted = Posted()
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
def test_every_form_of_acknowledgement_settles_once(body: bytes, refusal: int | None) -> None:
    posted = Posted()
    posted.post()
    posted.acknowledge(body)
    posted.acknowledge(body)
    assert posted.settled == [(1, refusal)]


def test_acknowledgement_of_what_was_never_sent_is_ignored() -> None:
    posted = Posted(mqtt.MQTTv311)
    posted.post()
    posted.acknowledge(b"\x00\x07")
    assert posted.settled == []
