"""Record what arrives at a subscriber: results of each stream, their latency, and missing ones."""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(slots=True)
class Arrivals:
    """One stream's messages in a window.

    Attributes:
        arrival_ms: from capture, by the message's `captured_at`, to arrival at the subscriber.
        publish_ms: from capture to publish, as the daemon says.
        dropped: frames skipped before these results, according to the messages.
        missing: results that did not arrive in their turn, by gaps in `seq`.
        late: missing results, earlier windows included, that the spool delivered later.
        repeated: results that arrived twice, as QoS 1 allows.
        captured_at: capture time of the newest result, in Unix seconds.
    """

    arrival_ms: list[float] = field(default_factory=list)
    publish_ms: list[float] = field(default_factory=list)
    dropped: int = 0
    missing: int = 0
    late: int = 0
    repeated: int = 0
    captured_at: float = 0.0

    @property
    def frames(self) -> int:
        """Return the number of results."""
        return len(self.arrival_ms)

    @property
    def lost(self) -> int:
        """Return results that did not arrive; negative if results of an earlier window arrived."""
        return self.missing - self.late

    def __add__(self, later: Arrivals) -> Arrivals:
        """Return this window and the next one combined."""
        return Arrivals(
            self.arrival_ms + later.arrival_ms,
            self.publish_ms + later.publish_ms,
            self.dropped + later.dropped,
            self.missing + later.missing,
            self.late + later.late,
            self.repeated + later.repeated,
            later.captured_at or self.captured_at,
        )

    def copy(self) -> Arrivals:
        """Return a copy with its own lists."""
        return replace(self, arrival_ms=[*self.arrival_ms], publish_ms=[*self.publish_ms])


@dataclass(slots=True)
class Received:
    """One window of arrivals.

    Attributes:
        seconds: length of the window.
        streams: arrivals of each stream; silent streams are absent.
        clocks: results by the clock behind `captured_at`; arrival latency is true only for "rtcp".
        reasons: drops by reason, from the daemon's statistics that arrived in the window.
        reconnects: reconnects of each stream since the daemon's start, if its state has arrived.
        decoders: decoder of each stream, if its state has arrived.
    """

    seconds: float
    streams: dict[str, Arrivals] = field(default_factory=dict)
    clocks: dict[str, int] = field(default_factory=dict)
    reasons: dict[str, int] = field(default_factory=dict)
    reconnects: dict[str, int] = field(default_factory=dict)
    decoders: dict[str, str] = field(default_factory=dict)

    @staticmethod
    def merged(parts: Sequence[Received]) -> Received:
        """Merge windows that saw different streams at about the same time."""
        whole = Received(sum(part.seconds for part in parts) / len(parts))
        for part in parts:
            whole.streams |= part.streams
            whole.reconnects |= part.reconnects
            whole.decoders |= part.decoders
            for mine, theirs in ((whole.clocks, part.clocks), (whole.reasons, part.reasons)):
                for name, count in theirs.items():
                    mine[name] = mine.get(name, 0) + count
        return whole

    @staticmethod
    def joined(parts: Sequence[Received]) -> Received:
        """Merge consecutive windows of the same subscribers."""
        whole = Received.merged(parts)
        streams: dict[str, Arrivals] = {}
        for part in parts:
            for name, arrivals in part.streams.items():
                streams[name] = streams[name] + arrivals if name in streams else arrivals
        return replace(whole, seconds=sum(part.seconds for part in parts), streams=streams)

    def to_json(self) -> str:
        """Return the window as one line of JSON."""
        return orjson.dumps(asdict(self)).decode()

    @staticmethod
    def from_json(text: str) -> Received:
        """Parse what `to_json` wrote."""
        body = orjson.loads(text)
        streams = {name: Arrivals(**arrivals) for name, arrivals in body.pop("streams").items()}
        return Received(streams=streams, **body)


class DeliveryRecord:
    """Records messages from one thread into windows that another thread opens and closes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last_seq: dict[tuple[str, str], int] = {}
        self._gaps: set[tuple[str, str, int]] = set()
        self._reconnects: dict[str, int] = {}
        self._decoders: dict[str, str] = {}
        self.open()

    def open(self) -> None:
        """Start a window; arrivals and gaps of earlier ones are forgotten."""
        with self._lock:
            self._gaps.clear()
            self._open()

    def received(self) -> Received:
        """Return the window so far."""
        with self._lock:
            return self._received()

    def take(self) -> Received:
        """Return the window and start the next one at its end."""
        with self._lock:
            received = self._received()
            self._open()
        return received

    def frames(self) -> dict[str, int]:
        """Return the number of results per stream in this window."""
        with self._lock:
            return {name: arrivals.frames for name, arrivals in self._streams.items()}

    def book(self, payload: bytes, arrived_at: float) -> None:
        """Record a message with its Unix arrival time; unknown kinds are ignored."""
        # An empty payload removes the retained state of a removed stream.
        if not payload:
            return
        body = orjson.loads(payload)
        take = {
            "framelane.detections/1": self._detections,
            "framelane.stats/1": self._stats,
            "framelane.state/1": self._state,
        }.get(body.get("schema"))
        if take is not None:
            with self._lock:
                take(body, arrived_at)

    def _open(self) -> None:
        self._began_s = time.monotonic()
        self._streams: dict[str, Arrivals] = {}
        self._clocks: Counter[str] = Counter()
        self._reasons: Counter[str] = Counter()

    def _received(self) -> Received:
        return Received(
            time.monotonic() - self._began_s,
            {name: arrivals.copy() for name, arrivals in self._streams.items()},
            dict(self._clocks),
            dict(self._reasons),
            dict(self._reconnects),
            dict(self._decoders),
        )

    def _detections(self, body: dict[str, Any], arrived_at: float) -> None:
        arrivals = self._streams.setdefault(body["stream"], Arrivals())
        captured_at, seq = _unix(body["captured_at"]), body["seq"]
        key = body["run"], body["stream"]
        last = self._last_seq.get(key, seq - 1)
        if seq > last:
            self._last_seq[key] = seq
            self._gaps.update((*key, skipped) for skipped in range(last + 1, seq))
            arrivals.missing += seq - last - 1
            arrivals.captured_at = captured_at
        elif (*key, seq) in self._gaps:
            self._gaps.remove((*key, seq))
            arrivals.late += 1
        else:
            arrivals.repeated += 1
            return
        arrivals.dropped += body["dropped"]
        arrivals.arrival_ms.append(1e3 * (arrived_at - captured_at))
        arrivals.publish_ms.append(body["latency_ms"]["total"])
        self._clocks[body["clock"]] += 1

    def _stats(self, body: dict[str, Any], _arrived_at: float) -> None:
        self._reasons.update(body["dropped"])

    def _state(self, body: dict[str, Any], _arrived_at: float) -> None:
        self._reconnects[body["stream"]] = body["reconnects"]
        decoder = (body.get("video") or {}).get("decoder")
        if decoder:
            self._decoders[body["stream"]] = decoder


def _unix(timestamp: str) -> float:
    """Parse an RFC 3339 time; Python 3.10 doesn't accept its Z."""
    return datetime.fromisoformat(timestamp.replace("Z", "+00:00")).timestamp()
