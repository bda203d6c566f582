"""The options of a connection and of a message, and what became of a message."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from framelane.sinks.mqtt.send_queue import QueuedMessage


class Ask(NamedTuple):
    """The options to request for a connection.

    Attributes:
        retain: whether the Last Will, and later messages, may be retained.
        most_qos: highest QoS of the Last Will and later messages.
        will: whether there is a Last Will.
    """

    retain: bool = True
    most_qos: int = 2
    will: bool = True


class How(NamedTuple):
    """QoS and retained flag of a message."""

    qos: int
    retain: bool


class Sent(NamedTuple):
    """A message that was sent: the message, its topic, packet size, QoS and retained flag."""

    queued: QueuedMessage
    topic: str
    size: int
    qos: int
    retain: bool


class Settled(NamedTuple):
    """A message that the broker has answered; `refusal` says why it was refused, None if it was accepted."""

    sent: Sent
    refusal: str | None
