"""paho's client without what it does for each message that a daemon has no use for.

paho packs, parses, keeps alive and knows the protocol. Left out here is the rest: of each publish a copy to send
again and a lock to wait on (the outbox does both), and of each acknowledgement two objects that hold tables of all
reason codes and properties. Packets are written and read many at a time. `scripts/bench_mqtt.py` measures it.

The methods overridden here are paho's inner ones, the same in 2.1 and 2.2. Tests of delivery against a real broker
show whether a later paho still has them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import paho.mqtt.client as mqtt
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode

from framelane.sinks.gather import GatheringSocket

if TYPE_CHECKING:
    from paho.mqtt.properties import Properties

_ACKNOWLEDGEMENTS = (0x40, 0x70)  # PUBACK, PUBCOMP
_BARE = 2  # the identifier; success goes without saying
_WITH_REASON = 3
_REFUSED = 0x80  # and all above
_GOOD = (b"\x00", b"\x10")  # success; success, and nobody has subscribed


class Settle(Protocol):
    """Who wants to know that a message is out: acknowledged, or with QoS 0 written."""

    def __call__(self, mid: int, refusal: ReasonCode | None) -> None:
        """The broker has it, or refuses it."""
        ...


class Client(mqtt.Client):
    """Publishes; an event loop of its owner's calls `loop_read`, `loop_write` and `loop_misc`."""

    settle: Settle
    """Set it before the first `post`."""

    _standin = (
        mqtt.MQTTMessage()
    )  # for every message that waits: paho notes there what it would need to resend one

    def post(
        self, topic: bytes, payload: bytes, qos: int, *, retain: bool, properties: Properties | None
    ) -> int:
        """Publish, and return the message's identifier; `settle` is told of it.

        Args:
            topic: UTF-8; empty where the properties hold a topic alias that the broker knows.
            payload: the message.
            qos: 0 to 2.
            retain: whether the broker is to keep it.
            properties: of MQTT 5.
        """
        mid = self._mid_generate()
        while mid in self._out_messages:  # one may wait for so long that its number comes round again
            mid = self._mid_generate()
        info = None
        if qos:
            self._out_messages[mid] = self._standin
        else:
            info = _Written(mid, self.settle)
        self._send_publish(mid, topic, payload, qos, retain, False, info, properties)  # noqa: FBT003 - paho's
        return mid

    def loop_read(self, max_packets: int = 1) -> MQTTErrorCode:
        """Take what the broker has sent: acknowledgements here, as they are nearly all of it, and paho the rest."""
        # Not where paho is within a packet, nor before the broker has accepted us: paho's log says why it does not.
        if self._sock is not None and self._out_messages and not self._in_packet["command"]:
            acknowledged, length = plain_acknowledgements(self._gathering.peek())
            self._gathering.skip(length)
            for mid in acknowledged:
                if self._out_messages.pop(mid, None) is not None:
                    self.settle(mid, None)
            if acknowledged and not self._gathering.peeked:
                return MQTTErrorCode.MQTT_ERR_SUCCESS
        return super().loop_read(max_packets)

    def _handle_pubrec(self) -> MQTTErrorCode:
        """With QoS 2 a refusal comes in the first answer, of which paho reads the number alone."""
        packet = self._in_packet["packet"]
        if len(packet) > _BARE and packet[_BARE] >= _REFUSED:
            mid = packet[0] << 8 | packet[1]
            if self._out_messages.pop(mid, None) is not None:
                self.settle(mid, ReasonCode(PacketTypes.PUBREC, identifier=packet[_BARE]))
            return MQTTErrorCode.MQTT_ERR_SUCCESS
        return super()._handle_pubrec()

    def _create_socket(self) -> GatheringSocket:
        self._gathering = GatheringSocket(super()._create_socket(), self.want_write)
        return self._gathering

    def _do_on_publish(self, mid: int, reason_code: ReasonCode, _properties: Properties) -> MQTTErrorCode:
        del self._out_messages[mid]
        self.settle(mid, reason_code if reason_code.is_failure else None)
        return MQTTErrorCode.MQTT_ERR_SUCCESS


def plain_acknowledgements(data: bytes) -> tuple[list[int], int]:
    """Which messages the beginning of what a broker sent acknowledges, and how many bytes that takes.

    It ends before anything else: another packet, one that refuses or explains, or one that is not all there.
    """
    acknowledged: list[int] = []
    at = 0
    while len(data) >= at + 4 and data[at] in _ACKNOWLEDGEMENTS:
        length = data[at + 1]
        good = length == _BARE or (length == _WITH_REASON and data[at + 4 : at + 5] in _GOOD)
        if not good:
            break
        acknowledged.append(data[at + 2] << 8 | data[at + 3])
        at += 2 + length
    return acknowledged, at


class _Written(mqtt.MQTTMessageInfo):
    """What paho tells when a message with QoS 0 has been written; without the lock that nobody waits for."""

    __slots__ = ("_settle",)

    def __init__(self, mid: int, settle: Settle) -> None:
        self.mid = mid
        self._settle = settle

    def _set_as_published(self) -> None:
        self._settle(self.mid, None)
