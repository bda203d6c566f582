"""Hands waiting messages to a connection: as many as fit, but suspects one at a time."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import structlog

from framelane.sinks.mqtt.rejections import Rejections
from framelane.sinks.mqtt.send_queue import QueuedMessage
from framelane.sinks.mqtt.suspects import Suspects

if TYPE_CHECKING:
    from collections.abc import Sequence

    from framelane.core.clock import Clock
    from framelane.messages.detections import Message
    from framelane.sinks.mqtt.connection import BrokerConnection
    from framelane.sinks.mqtt.errors import BrokerError
    from framelane.sinks.mqtt.inflight import Sent, Settled
    from framelane.sinks.mqtt.publish_headers import PublishHeaders
    from framelane.sinks.mqtt.send_queue import SendQueue

log = structlog.get_logger(__name__)

# A broker that has not disconnected for this long will not do so over the messages sent before.
_SILENCE_S = 1.0
# Poll interval while a message waits that must go alone.
_LOOK_S = 0.05
# Between attempts to send deferred messages.
_AGAIN_S = 1.0
_MOST_ASIDE = 256


class Dispatch:
    """Sends from the send queue, settles acknowledged messages there, and counts.

    Args:
        send_queue: the messages to deliver.
        headers: makes the messages' headers.
        clock: for ages and waits.
        retain: whether messages should be retained; if so, a broker that does not retain them is logged.
    """

    def __init__(self, send_queue: SendQueue, headers: PublishHeaders, clock: Clock, *, retain: bool) -> None:
        self.delivered = 0
        self.found = False
        """Whether the last connection has shown which message is at fault."""
        self.vain = 0
        """Connections in a row that ended over a message, with none acknowledged."""
        self.rejections = Rejections(clock)
        self._send_queue = send_queue
        self._headers = headers
        self._clock = clock
        self._suspects = Suspects(clock)
        self._alone: Sent | None = None
        self._alone_s = 0.0
        self._slow = False
        self._waiting_s: float | None = None
        self._held: deque[QueuedMessage] = deque()
        self._aside: list[QueuedMessage] = []
        self._aside_s = 0.0
        self._aside_topic = ""
        self._retain = retain
        self._said: set[str] = set()

    @property
    def retains(self) -> bool:
        """Whether retained messages are sent as such, because they are not the reason for disconnects."""
        return self._suspects.retain

    @property
    def trouble(self) -> str:
        """What a connected broker does not accept, as a sentence; empty if nothing is known."""
        if self._aside:
            return f"the broker closes the connection over messages on {self._aside_topic}, and has taken none so far"
        return self._suspects.quarantine.trouble if self._suspects.wary else ""

    def began(self, connection: BrokerConnection) -> None:
        """Start with a new connection."""
        self._alone, self._waiting_s, self._slow = None, None, False
        self._held.clear()
        self._aside.clear()
        self._suspects.began()
        if self._retain and not connection.may_retain:
            self._say_once(_UNRETAINED)
        if connection.most_qos == 0:
            self._say_once(_UNCERTAIN)

    def send(self, connection: BrokerConnection) -> bool:
        """Hand over as many messages as there is room for, and return whether there were any."""
        if self._suspects.wary:
            return self._send_warily(connection)
        sent = False
        while connection.room > 0 and (queued := self._send_queue.take()) is not None:
            connection.publish(queued, self._headers.of(queued.message, queued.waited_s))
            sent = True
        return sent

    def send_last(self, message: Message, connection: BrokerConnection) -> None:
        """Hand over a last message, unless it is in quarantine."""
        header = self._headers.of(message)
        if self._suspects.left_out(header.topic, connection.packet_bytes(message, header)) is None:
            connection.publish(QueuedMessage(message), header, self._suspects.usual(message, header))

    def ready(self, connection: BrokerConnection) -> bool:
        """Return whether `send` would find something to send."""
        if connection.room <= 0 or (self._suspects.wary and not self._free()):
            return False
        return not self._held and self._send_queue.waiting() > 0

    def retry_after_s(self) -> float:
        """Return after how many seconds to call `send` again without new messages."""
        if self._alone is not None:
            return max(self._alone_s + _SILENCE_S - self._clock.monotonic(), 0.0)
        return _LOOK_S if self._held else _AGAIN_S if self._aside else float("inf")

    def settle(self, settled: Sequence[Settled], connection: BrokerConnection) -> None:
        """Forget acknowledged messages and count refused ones."""
        answered = self._answered if self._suspects.wary else self._suspects.proven
        for sent, refusal in settled:
            if refusal is None:
                self._send_queue.settle(sent.queued)
                self.delivered += 1
            else:
                self._refuse(sent.queued, sent.topic, refusal)
            if sent.qos:
                answered(sent)
                self.vain = 0
        if connection.odd_code is not None:
            self._say_once(_ODD)

    def lost(self, error: BrokerError, connection: BrokerConnection) -> str | None:
        """Find the message at fault for the end of a connection.

        Return a text about it if it was alone in flight.
        """
        alone, self.found = self._alone, False
        if not error.over_a_message:
            return None
        at_fault = self._suspects.lost(
            connection.unsettled, alone, told=error.tells, lived_s=connection.age_s
        )
        self.vain += alone is not None
        self.found = at_fault is not None
        if at_fault is not None:
            text = f"it closes the connection each time that this one of {at_fault.size} bytes comes"
            self._refuse(at_fault.queued, at_fault.topic, text)
        if alone is None:
            return None
        return f"closes the connection when a message of {alone.size} bytes on {alone.topic} comes"

    def away(self) -> None:
        """Note that the broker is unreachable. After a restart, it may accept what it did not before."""
        self._suspects.broker_restarted()

    def _send_warily(self, connection: BrokerConnection) -> bool:
        again = self._suspects.quarantine.next_trial()
        if again is not None:
            self._send_queue.repeat(again)
        if self._aside and self._clock.monotonic() - self._aside_s >= _AGAIN_S:
            self._take_up_again()
        sent = False
        while connection.room > 0 and self._free() and (queued := self._next()) is not None:
            if not self._try(queued, connection):
                self._held.appendleft(queued)
                break
            sent = True
        return sent

    def _free(self) -> bool:
        """Return whether no message is out that must be alone.

        A broker disconnects at once, so a slow broker is not waited for.
        """
        if self._alone is None:
            return True
        if self._clock.monotonic() - self._alone_s < _SILENCE_S:
            return False
        if self._alone.qos:
            self._alone, self._slow = None, True
        else:
            # QoS 0 has no other answer.
            self._answered(self._alone)
        return True

    def _await_answers(self) -> bool:
        """Let a message wait until all others are acknowledged, or the broker turns out to be slow.

        Return False.
        """
        now_s = self._clock.monotonic()
        if self._waiting_s is None:
            self._waiting_s = now_s
        self._slow = now_s - self._waiting_s > _SILENCE_S
        return False

    def _next(self) -> QueuedMessage | None:
        return self._held.popleft() if self._held else self._send_queue.take()

    def _try(self, queued: QueuedMessage, connection: BrokerConnection) -> bool:
        """Send, leave out or defer one message; return False if it must wait."""
        message, suspects = queued.message, self._suspects
        header = self._headers.of(message, queued.waited_s)
        topic, size = header.topic, connection.packet_bytes(message, header)
        reason = suspects.left_out(topic, size)
        if reason is not None:
            self._leave_out(queued, topic, reason)
        elif self._slow or not suspects.must_go_alone(message, topic, size):
            connection.publish(queued, header, suspects.usual(message, header))
        elif connection.age_s < suspects.retry_age_s(message, topic, size) and len(self._aside) < _MOST_ASIDE:
            self._aside.append(queued)
            self._aside_s = self._clock.monotonic()
            self._aside_topic = topic
        elif connection.in_flight:
            return self._await_answers()
        elif connection.age_s < suspects.least_age_s(message, topic, size):
            return False
        else:
            self._alone = connection.publish(queued, header, suspects.how(message, header, size))
            self._alone_s, self._waiting_s = self._clock.monotonic(), None
        return True

    def _answered(self, sent: Sent) -> None:
        """Note that the broker has read a message, whether it accepts it or not."""
        if self._alone is sent:
            self._alone = None
        unretained = self._suspects.retain
        self._suspects.proven(sent)
        if unretained and not self._suspects.retain:
            self._say_once(_UNRETAINED)
        self._take_up_again()

    def _take_up_again(self) -> None:
        """Try deferred messages again."""
        self._held.extend(self._aside)
        self._aside.clear()

    def _leave_out(self, queued: QueuedMessage, topic: str, reason: str) -> None:
        if self._suspects.quarantine.is_new(topic, queued.message):
            self._refuse(queued, topic, reason)
        else:
            self._send_queue.settle(queued)

    def _refuse(self, queued: QueuedMessage, topic: str, reason: str) -> None:
        self._send_queue.settle(queued)
        self.rejections.add(topic, reason)

    def _say_once(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            log.warning("mqtt_limited", text=text)


_UNRETAINED = (
    "the broker does not accept retained messages: status, states and announcements are sent without the flag, "
    "and reach only current subscribers; set mqtt.retain: false to do so from the start"
)
_UNCERTAIN = "the broker accepts only QoS 0: messages that are lost in transit are not sent again"
_ODD = (
    "the broker acknowledges with a reason code that MQTT 5 does not know, which counts as success. "
    'If messages are missing, set mqtt.protocol: "3.1.1"'
)
