"""Keeps back topics, and packets from a size on, because the broker disconnects when it gets them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from framelane.core.clock import Clock
    from framelane.messages.detections import Kind, Message

log = structlog.get_logger(__name__)

_AGAIN_S = 600.0
_MOST_AGAIN_S = 3600.0
# How long to wait for a message that can be tried.
_TRIAL_S = 60.0
_RECENT_S = 60.0
# Not a topic: stands for the size among topics.
_SIZE = "#"


@dataclass(slots=True)
class Quarantined:
    """A topic that is held back.

    Attributes:
        size: from which packet size on; 0 for all.
        kind: of its messages.
        message: the newest message held back.
    """

    size: int
    kind: Kind
    message: Message


class Quarantine:
    """Remembers what is held back, and tries it again later, one thing at a time.

    After ten minutes, one topic, or one packet that is too large, is tried. If the broker accepts it, the
    next one is tried at once. Otherwise the next attempts follow after twenty minutes, then forty, and then
    every hour.

    Args:
        clock: for these times.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._topics: dict[str, Quarantined] = {}
        self._limit: int | None = None
        self._limited_s = float("-inf")
        self._trial: str | None = None
        self._tried = ""
        self._wait_s = _AGAIN_S
        self._again_s = float("inf")

    def __bool__(self) -> bool:
        """Return whether anything is held back."""
        return bool(self._topics) or self._limit is not None

    @property
    def by_size(self) -> bool:
        """Whether a size may be the reason for anything that is held back."""
        return self._limit is not None or any(each.size for each in self._topics.values())

    @property
    def trouble(self) -> str:
        """What is held back, as a sentence; empty if nothing is, or no large packet has come for a minute."""
        if self._topics:
            first, *others = self._topics
            more = f" and {len(others)} more topics" if others else ""
            return f"the broker closes the connection over messages on {first}{more}: they are left out"
        if self._limit is not None and self._clock.monotonic() - self._limited_s < _RECENT_S:
            return f"the broker closes the connection over packets of {self._limit} bytes: such are left out"
        return ""

    def has_kind(self, kind: Kind) -> bool:
        """Return whether a topic with messages of this kind is held back."""
        return any(each.kind == kind for each in self._topics.values())

    def tries(self, topic: str) -> bool:
        """Return whether the topic, or a large packet, is being tried again."""
        return self._trial is not None and self._trial in (topic, _SIZE)

    def add(self, message: Message, topic: str, size: int) -> None:
        """Hold back a topic, from this packet size on."""
        known = self._topics.pop(topic, None)
        if known is not None and known.size:
            size = min(known.size, size)
        self._topics[topic] = Quarantined(size, message.kind, message)
        self._failed(topic)

    def limit_to(self, size: int) -> None:
        """Hold back packets of this size and larger ones."""
        self._limit = size if self._limit is None else min(size, self._limit)
        self._limited_s = self._clock.monotonic()
        self._failed(_SIZE)

    def reason(self, topic: str, size: int, largest: int) -> str | None:
        """Return why a packet is held back; None if it is not.

        Args:
            topic: its topic.
            size: its size.
            largest: size of the largest packet that the broker has accepted.
        """
        found = self._topics.get(topic)
        if found is not None and self._trial != topic and (size >= found.size or largest >= found.size):
            return "it closes the connection each time that something is published there"
        if self._limit is not None and size >= self._limit and self._trial != _SIZE:
            self._limited_s = self._clock.monotonic()
            return f"it closes the connection over packets as large as this one of {size} bytes"
        return None

    def is_new(self, topic: str, message: Message) -> bool:
        """Return whether a message is held back for the first time; retained ones come repeatedly."""
        found = self._topics.get(topic)
        if found is None:
            return True
        new, found.message = found.message is not message, message
        return new

    def taken(self, topic: str, size: int) -> None:
        """Note that the broker has accepted a packet."""
        found = self._topics.pop(topic, None)
        if found is not None:
            # So the topic is not the reason.
            if size < found.size:
                self._limit = found.size if self._limit is None else min(found.size, self._limit)
            self._succeeded(topic)
        if self._limit is not None and size >= self._limit:
            self._limit = None
            self._succeeded(_SIZE)

    def retry_soon(self) -> None:
        """Try again soon, because the broker may have been restarted."""
        self._wait_s, self._again_s, self._trial = _AGAIN_S, self._clock.monotonic(), None

    def next_trial(self) -> Message | None:
        """Start a trial if it is time; return a retained message that must be sent again for it."""
        now_s = self._clock.monotonic()
        if not self or now_s < self._again_s:
            return None
        self._again_s = now_s + _TRIAL_S
        if self._limit is not None and (self._tried != _SIZE or not self._topics):
            self._trial = self._tried = _SIZE
            return None
        topic = self._trial = self._tried = next(iter(self._topics))
        found = self._topics[topic] = self._topics.pop(topic)
        return found.message if found.message.retain else None

    def _failed(self, what: str) -> None:
        if self._trial == what:
            self._trial = None
            self._wait_s = min(self._wait_s * 2, _MOST_AGAIN_S)
        elif self._again_s < float("inf"):
            return
        self._again_s = self._clock.monotonic() + self._wait_s

    def _succeeded(self, what: str) -> None:
        self._trial, self._wait_s = None, _AGAIN_S
        self._again_s = self._clock.monotonic() if self else float("inf")
        log.info("mqtt_taken_again", topic=what or None)
