"""Finds the messages over which a broker disconnects, so that they don't hold up all others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from framelane.sinks.mqtt.inflight import How
from framelane.sinks.mqtt.quarantine import Quarantine

if TYPE_CHECKING:
    from collections.abc import Sequence

    from framelane.core.clock import Clock
    from framelane.messages.detections import Message
    from framelane.sinks.mqtt.inflight import Sent
    from framelane.sinks.mqtt.publish_headers import PublishHeader

_STRIKES = 3
# How long a connection must have lived before a message can be found at fault.
_QUIET_S = 0.5
_RETRY_AGE_S, _MOST_RETRY_AGE_S = 5.0, 300.0
# A connection that lasted this long is independent of the one before.
_LONG_S = 60.0
_MOST_TOPICS = 10_000
_MOST_RECORDS = 256
_MOST_MARKED = 100_000
# After this long, retained messages and QoS 2 are tried again.
_PLAIN_S = 3600.0
_USUAL_QOS = 1


class Key(NamedTuple):
    """A suspect: a topic, a size (`_BY_SIZE`), or one message, even if it is sent again from disk."""

    topic: str
    digest: int = 0


# Not a topic.
_BY_SIZE = Key("#")


@dataclass(slots=True)
class Record:
    """The evidence against a suspect.

    Attributes:
        acknowledged: messages that the broker had acknowledged before the connection of the first strike.
        topic: of the first message.
        size: of the smallest packet.
        strikes: how often it was alone in flight when the broker disconnected.
        several: whether several topics had such messages.
        plain: whether the last attempt was without the retained flag and with QoS 1.
    """

    acknowledged: int
    topic: str
    size: int
    strikes: int = 0
    several: bool = False
    plain: bool = False


class Suspects:
    """Learns from how connections end which messages must go alone, and which are not sent any more.

    A broker that does not want a message may disconnect without a word: because of its size, topic, retained
    flag or QoS. All messages in flight are then suspects. After a disconnect, a message goes alone if its
    topic was never acknowledged, if it is larger than any acknowledged one, or if it was the oldest in
    flight. A message that was alone in flight at three disconnects is at fault, if the broker accepts others.
    The third attempt is plain: if it works, the retained flag or the QoS was the reason. Once the kind of
    fault is known, one disconnect is enough.

    Another client with our client id also ends connections, but whatever is in flight. So a connection must
    have lived for a moment before a message is sent that may be found at fault.

    Args:
        clock: for the times of later attempts.
    """

    def __init__(self, clock: Clock) -> None:
        self.wary = False
        """Whether any message may have to go alone, or not at all."""
        self.retain = True
        """Whether messages may be retained: the flag was not found to cause disconnects."""
        self.most_qos = 2
        """The highest QoS that was not found to cause disconnects."""
        self.quarantine = Quarantine(clock)
        self._clock = clock
        self._proven: set[str] = set()
        self._largest = 0
        self._acknowledged = self._acknowledged_before = 0
        self._records: dict[Key, Record] = {}
        self._marked: set[Key] = set()
        self._relapsed: set[str] = set()
        self._blind = 0
        self._plain_s = 0.0

    def began(self) -> None:
        """Note a new connection."""
        self._acknowledged_before = self._acknowledged
        if not self.retain and self._clock.monotonic() - self._plain_s > _PLAIN_S:
            self.retain, self.most_qos = True, 2
            self._proven.clear()

    def must_go_alone(self, message: Message, topic: str, size: int) -> bool:
        """Return whether a message must go alone."""
        if topic not in self._proven or size > self._largest:
            return True
        return bool(self._marked) and _key_of(message, topic) in self._marked

    def least_age_s(self, message: Message, topic: str, size: int) -> float:
        """Return how old a connection must be before the message goes out."""
        record = self._worst(message, topic, size)
        strikes = 0 if record is None else record.strikes
        return _QUIET_S if strikes + 1 >= self._needed(message, topic, size) else 0.0

    def retry_age_s(self, message: Message, topic: str, size: int) -> float:
        """Return how old a connection must be to retry a message that no broker has accepted so far.

        Until the broker accepts some message, nothing more can be learned about this one.
        """
        record = self._records.get(self._keys(message, topic, size)[0])
        if record is None or record.strikes < _STRIKES or self._works(record):
            return 0.0
        return min(_RETRY_AGE_S * 2.0 ** min(record.strikes - _STRIKES, 32), _MOST_RETRY_AGE_S)

    def how(self, message: Message, header: PublishHeader, size: int) -> How:
        """Return how to send a message alone: acknowledged if possible, and plain at the last attempt."""
        qos, retain = self.usual(message, header)
        qos = max(qos, _USUAL_QOS)
        record = self._worst(message, header.topic, size)
        if record is None or record.strikes != _STRIKES - 1:
            return How(qos, retain)
        record.plain = retain or qos > _USUAL_QOS
        return How(_USUAL_QOS, retain=False)

    def usual(self, message: Message, header: PublishHeader) -> How:
        """Return how to send a message by all that is known."""
        return How(min(header.qos, self.most_qos), message.retain and self.retain)

    def proven(self, sent: Sent) -> None:
        """Note that the broker has acknowledged a message, and so accepts such messages."""
        records = self._records_of(sent) if self._records else ()
        self._acknowledged += 1
        if sent.size > self._largest:  # noqa: PLR1730 - this is for each message
            self._largest = sent.size
        if sent.topic not in self._proven:
            if len(self._proven) >= _MOST_TOPICS:
                self._proven.clear()
            self._proven.add(sent.topic)
        if self.wary:
            self._clear(sent, records)

    def lost(
        self, unsettled: Sequence[Sent], alone: Sent | None, *, told: bool, lived_s: float
    ) -> Sent | None:
        """Note that a connection was lost. Return the message that must not be sent again, if one was found.

        Args:
            unsettled: messages in flight, oldest first.
            alone: the message that was sent alone and not acknowledged.
            told: whether the broker says that the message is the reason.
            lived_s: how long the connection lasted.
        """
        if alone is not None:
            self.wary = True
            return self._strike(alone, told=told)
        if unsettled:
            self.wary = True
            self._blind = 1 if lived_s > _LONG_S else self._blind + 1
            self._mark(unsettled)
        return None

    def hold_back(self, sent: Sent) -> None:
        """Put a message into quarantine, by its size or its topic."""
        message, topic, size = sent.queued.message, sent.topic, sent.size
        too_large, by_size = size > self._largest, self._records.get(_BY_SIZE)
        for key in self._keys(message, topic, size):
            self._records.pop(key, None)
        self._marked.discard(_key_of(message, topic))
        self._blind = 0
        known = topic in self._proven
        self._proven.discard(topic)
        if too_large and (known or (by_size is not None and by_size.several)):
            self.quarantine.limit_to(size)
        elif known and not message.retain and topic not in self._relapsed:
            self._relapsed.add(topic)
        else:
            self._relapsed.discard(topic)
            self.quarantine.add(message, topic, size if too_large else 0)

    def broker_restarted(self) -> None:
        """Forget what a possibly restarted broker accepted. What it did not accept is tried again soon."""
        self._proven.clear()
        self._records.clear()
        self._marked.clear()
        self._relapsed.clear()
        self._largest = self._blind = 0
        self.retain, self.most_qos = True, 2
        self.quarantine.retry_soon()
        self.wary = bool(self.quarantine)

    def left_out(self, topic: str, size: int) -> str | None:
        """Return why a message is held back; None if it is not."""
        return self.quarantine.reason(topic, size, self._largest)

    def _strike(self, sent: Sent, *, told: bool) -> Sent | None:
        message, topic, size = sent.queued.message, sent.topic, sent.size
        for key in self._keys(message, topic, size):
            record = self._records.setdefault(key, Record(self._acknowledged_before, topic, size))
            record.strikes += 1
            record.size = min(size, record.size)
            record.several |= topic != record.topic
            if record.strikes >= self._needed(message, topic, size):
                told |= self._works(record)
        while len(self._records) > _MOST_RECORDS:
            del self._records[next(iter(self._records))]
        if not told:
            return None
        self.hold_back(sent)
        return sent

    def _works(self, record: Record) -> bool:
        return self._acknowledged > record.acknowledged

    def _needed(self, message: Message, topic: str, size: int) -> int:
        """Return how many disconnects are proof: one, if the kind of fault is known."""
        if topic in self._relapsed or self.quarantine.tries(topic):
            return 1
        if topic not in self._proven and self.quarantine.has_kind(message.kind):
            return 1
        if size > self._largest and self.quarantine.by_size:
            return 1
        return _STRIKES

    def _mark(self, unsettled: Sequence[Sent]) -> None:
        """Suspect the oldest message in flight, or all of them if connections are lost one after another."""
        suspects = unsettled if self._blind > 1 else unsettled[:1]
        # Some were dropped and never came again.
        if len(self._marked) > _MOST_MARKED:
            self._marked.clear()
        for sent in suspects:
            if sent.qos:
                self._marked.add(_key_of(sent.queued.message, sent.topic))
            else:
                # This message does not come again, but others of its topic do.
                self._proven.discard(sent.topic)

    def _clear(self, sent: Sent, records: Sequence[Record]) -> None:
        """Clear a message. If it was sent plain, note what made the difference."""
        message, topic = sent.queued.message, sent.topic
        self._marked.discard(_key_of(message, topic))
        self._records.pop(Key(topic), None)
        self._records.pop(_key_of(message, topic), None)
        by_size = self._records.get(_BY_SIZE)
        if by_size is not None and sent.size >= by_size.size:
            del self._records[_BY_SIZE]
        if any(record.plain for record in records):
            self._blind = 0
            self._plain_s = self._clock.monotonic()
            self.retain &= not message.retain
            if not message.retain:
                self.most_qos = _USUAL_QOS
        self._relapsed.discard(topic)
        self.quarantine.taken(topic, sent.size)

    def _keys(self, message: Message, topic: str, size: int) -> list[Key]:
        """Return the keys of a message. Its size is no suspect before the broker has accepted any message."""
        keys = [] if topic in self._proven else [Key(topic)]
        if size > self._largest > 0:
            keys.append(_BY_SIZE)
        return keys or [_key_of(message, topic)]

    def _records_of(self, sent: Sent) -> list[Record]:
        keys = self._keys(sent.queued.message, sent.topic, sent.size)
        return [self._records[key] for key in keys if key in self._records]

    def _worst(self, message: Message, topic: str, size: int) -> Record | None:
        found = [self._records[key] for key in self._keys(message, topic, size) if key in self._records]
        return max(found, key=lambda record: record.strikes, default=None)


def _key_of(message: Message, topic: str) -> Key:
    """Return a message's own key. It leaves out the end of the payload, which says whether it is replayed."""
    return Key(topic, hash(message.payload.rpartition(b"replayed")[0] or message.payload))
