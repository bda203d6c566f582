"""paho's client without the per-message work that a daemon does not need.

paho packs, parses, keeps alive and knows the protocol. Left out is the rest. For each publish, paho keeps a
copy to send again and a lock to wait on; the send queue replaces both. For each acknowledgment, paho creates
two objects with tables of all reason codes and properties. Packets are written and read many at a time.
`scripts/bench_mqtt.py` measures the effect.

The overridden methods are internal to paho, and the same in 2.1 and 2.2. Tests of delivery against a real
broker show whether a later paho still has them.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Protocol

import paho.mqtt.client as mqtt
from paho.mqtt.enums import MQTTErrorCode, MQTTProtocolVersion

from framelane.sinks.mqtt.buffered_socket import BufferedSocket

if TYPE_CHECKING:
    from collections.abc import Callable

    from paho.mqtt.properties import Properties

# PUBACK, PUBCOMP.
_ACKNOWLEDGMENTS = (0x40, 0x70)
# Length with the identifier only, which means success.
_BARE = 2
_WITH_REASON = 3
# This code and all above are refusals.
_REFUSED = 0x80
# Success; success without subscribers.
_GOOD = (b"\x00", b"\x10")
_KNOWN = (0x00, 0x10)
_PUBREC, _DISCONNECT = 0x50, 0xE0
_NAMES = {
    0x20: "CONNACK",
    0x30: "PUBLISH",
    0x40: "PUBACK",
    0x50: "PUBREC",
    0x70: "PUBCOMP",
    0x90: "SUBACK",
    0xD0: "PINGRESP",
    0xE0: "DISCONNECT",
}


class Settle(Protocol):
    """Called when a message is out: acknowledged, or with QoS 0 written."""

    def __call__(self, mid: int, refusal: int | None) -> None:
        """Note that the broker has the message, or refuses it with this reason code."""
        ...


def _ignore_oddity(_code: int) -> None:
    """Ignore an unknown reason code."""


class Client(mqtt.Client):
    """Publishes. An outer event loop calls `loop_read`, `loop_write` and `loop_misc`."""

    settle: Settle
    """Set this before the first `post`."""
    odd: Callable[[int], None] = staticmethod(_ignore_oddity)
    """Called with an acknowledgment's reason code that MQTT does not know; it counts as success."""

    packet = "first"
    """The kind of the last packet that paho itself has read."""

    # Shared by all waiting messages: paho stores there what it would need to send one again.
    _standin = mqtt.MQTTMessage()

    def post(
        self, topic: bytes, payload: bytes, qos: int, *, retain: bool, properties: Properties | None
    ) -> int:
        """Publish a message and return its identifier; `settle` is called with it later.

        Args:
            topic: UTF-8; empty if the properties hold a topic alias that the broker knows.
            payload: the message.
            qos: 0 to 2.
            retain: whether the broker should keep the message.
            properties: of MQTT 5.
        """
        mid = self._mid_generate()
        # A message may wait so long that its identifier comes round again.
        while mid in self._out_messages:
            mid = self._mid_generate()
        info = None
        if qos:
            self._out_messages[mid] = self._standin
        else:
            info = _Written(mid, self.settle)
        self._send_publish(mid, topic, payload, qos, retain, False, info, properties)  # noqa: FBT003 - paho's
        return mid

    def loop_read(self, max_packets: int = 1) -> MQTTErrorCode:
        """Read what the broker has sent.

        Most of it are acknowledgments, parsed here; paho parses the rest.
        """
        # Not while paho is within a packet, nor before the broker has accepted us: paho's log has the reason.
        if self._sock is not None and self._out_messages and not self._in_packet["command"]:
            acknowledged, length = plain_acknowledgments(self._buffered.peek())
            self._buffered.skip(length)
            for mid in acknowledged:
                if self._out_messages.pop(mid, None) is not None:
                    self.settle(mid, None)
            if acknowledged and not self._buffered.peeked:
                return MQTTErrorCode.MQTT_ERR_SUCCESS
        return super().loop_read(max_packets)

    def _packet_handle(self) -> MQTTErrorCode:
        """Treat DISCONNECT as the end in MQTT 3.1.1 too.

        No broker may send it there, but mochi does at a takeover.
        """
        command = self._in_packet["command"] & 0xF0
        self.packet = _NAMES.get(command, "unknown")
        if command == _DISCONNECT and self._protocol != MQTTProtocolVersion.MQTTv5:
            return MQTTErrorCode.MQTT_ERR_CONN_LOST
        short = len(self._in_packet["packet"]) < _BARE
        if short and command in (*_ACKNOWLEDGMENTS, _PUBREC):
            return MQTTErrorCode.MQTT_ERR_PROTOCOL
        try:
            return super()._packet_handle()
        except (KeyError, ValueError, IndexError, struct.error):
            # paho 2.1 can't read this packet.
            return MQTTErrorCode.MQTT_ERR_PROTOCOL

    def _handle_pubrec(self) -> MQTTErrorCode:
        """Settle a refusal, which is the first answer with QoS 2. paho reads only the number."""
        mid, code = self._answer()
        return self._settled(mid, code) if code >= _REFUSED else super()._handle_pubrec()

    def _handle_pubackcomp(self, cmd: str) -> MQTTErrorCode:  # noqa: ARG002 - both mean the same here
        """Settle by the reason code's highest bit, because paho ends the connection over unknown codes.

        mochi 2.7.9 acknowledges messages with user properties with 0x01.
        """
        mid, code = self._answer()
        if code < _REFUSED and code not in _KNOWN:
            self.odd(code)
        return self._settled(mid, code)

    def _answer(self) -> tuple[int, int]:
        """Return the identifier and the reason code of an acknowledgment."""
        packet = self._in_packet["packet"]
        with_reason = len(packet) > _BARE and self._protocol == MQTTProtocolVersion.MQTTv5
        return packet[0] << 8 | packet[1], packet[_BARE] if with_reason else 0

    def _settled(self, mid: int, code: int) -> MQTTErrorCode:
        if self._out_messages.pop(mid, None) is not None:
            self.settle(mid, code if code >= _REFUSED else None)
        return MQTTErrorCode.MQTT_ERR_SUCCESS

    def _create_socket(self) -> BufferedSocket:
        self._buffered = BufferedSocket(super()._create_socket(), self.want_write)
        return self._buffered


def plain_acknowledgments(data: bytes) -> tuple[list[int], int]:
    """Return the identifiers that the beginning of the data acknowledges, and how many bytes that takes.

    It stops before anything else: another packet, one with a refusal or an explanation, or an incomplete one.
    """
    acknowledged: list[int] = []
    at = 0
    while len(data) >= at + 4 and data[at] in _ACKNOWLEDGMENTS:
        length = data[at + 1]
        good = length == _BARE or (length == _WITH_REASON and data[at + 4 : at + 5] in _GOOD)
        if not good:
            break
        acknowledged.append(data[at + 2] << 8 | data[at + 3])
        at += 2 + length
    return acknowledged, at


class _Written(mqtt.MQTTMessageInfo):
    """paho's notification that a message with QoS 0 was written, without its lock, which is unused here."""

    __slots__ = ("_settle",)

    def __init__(self, mid: int, settle: Settle) -> None:
        self.mid = mid
        self._settle = settle

    def _set_as_published(self) -> None:
        self._settle(self.mid, None)
