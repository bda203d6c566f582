"""Lateness of results by the cameras' own time stamps instead of the daemon's clock.

A camera notes when it answered each PLAY, and names that moment in RTP-Info as the start of the session's
time line. FFmpeg counts `pts` from there, so the picture of a result was sent at that moment plus its `pts`.
Cameras, daemon and subscriber run on one host and share its monotonic clock.
"""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import orjson

from framelane.measure.figures import Percentiles

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

# `pts` only increases within a session.
_JUMP_BACK_S = 0.5
UNKNOWN = "unknown"
"""State of a stream before its first state message."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """One result as it arrived.

    Attributes:
        arrived_s: arrival on the monotonic clock.
        arrived_at: Unix time of the same moment.
        pts_s: `pts` on the stream's time line.
        captured_at: Unix time of the picture, according to the daemon.
        clock: the clock behind `captured_at`.
        claimed_s: from capture to publish, according to the daemon.
    """

    stream: str
    arrived_s: float
    arrived_at: float
    pts_s: float
    captured_at: float
    clock: str
    claimed_s: float


@dataclass(frozen=True, slots=True)
class Lateness:
    """How late a result was.

    Attributes:
        arrived_s: arrival on the monotonic clock.
        true_s: from sending the picture to the result's arrival.
        claimed_s: from capture to publish, according to the daemon.
        captured_off_s: `captured_at` minus the time of sending.
        clock: the clock behind `captured_at`.
    """

    stream: str
    arrived_s: float
    true_s: float
    claimed_s: float
    captured_off_s: float
    clock: str

    @property
    def untold_s(self) -> float:
        """Return true minus claimed lateness; negative if the daemon claims too much."""
        return self.true_s - self.claimed_s


@dataclass(frozen=True, slots=True)
class Stretch:
    """A stretch of a run: number of results and of their streams, and their lateness."""

    begin_s: float
    end_s: float
    results: int
    streams: int
    late_ms: Percentiles | None
    untold_ms: Percentiles | None


class Witness:
    """Records messages as they arrive, from one thread; another thread reads the results."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sightings: list[Sighting] = []
        self._states: dict[str, list[tuple[float, str]]] = defaultdict(list)
        self._reasons: Counter[str] = Counter()
        self._reconnects: dict[str, int] = {}

    def book(self, payload: bytes, arrived_s: float, arrived_at: float) -> None:
        """Record a message with its monotonic and Unix arrival time; unknown kinds are ignored."""
        # An empty payload removes a retained message.
        if not payload:
            return
        body = orjson.loads(payload)
        with self._lock:
            if body["schema"] == "framelane.detections/1":
                self._sightings.append(_sighting(body, arrived_s, arrived_at))
            elif body["schema"] == "framelane.state/1":
                self._states[body["stream"]].append((arrived_s, f"{body['state']}/{body['reason']}"))
                self._reconnects[body["stream"]] = body["reconnects"]
            elif body["schema"] == "framelane.stats/1":
                self._reasons.update(body["dropped"])

    @property
    def sightings(self) -> list[Sighting]:
        """Return all results so far, in order of arrival."""
        with self._lock:
            return list(self._sightings)

    @property
    def reasons(self) -> dict[str, int]:
        """Return dropped frames by reason, from the statistics, without reasons that are zero."""
        with self._lock:
            return {reason: count for reason, count in sorted(self._reasons.items()) if count}

    @property
    def reconnects(self) -> int:
        """Return the reconnects of all streams together."""
        with self._lock:
            return sum(self._reconnects.values())

    def shares(self, streams: Sequence[str], begin_s: float, end_s: float) -> dict[str, float]:
        """Return the share of all streams' time between two moments in each "state/reason", largest first."""
        spent_s: dict[str, float] = defaultdict(float)
        with self._lock:
            for stream in streams:
                for name, seconds in _spent_s(self._states.get(stream, ()), begin_s, end_s):
                    spent_s[name] += seconds
        whole_s = (end_s - begin_s) * len(streams)
        largest_first = sorted(spent_s.items(), key=lambda item: -item[1])
        return {name: seconds / whole_s for name, seconds in largest_first if seconds}


def lateness(sightings: Iterable[Sighting], plays_s: Mapping[str, Sequence[float]]) -> list[Lateness]:
    """Return each result's lateness, in order of arrival; results without a matching session are omitted.

    Args:
        sightings: results in order of arrival.
        plays_s: when each stream's camera answered each PLAY, on the monotonic clock.
    """
    found: list[Lateness] = []
    begun: dict[str, float] = {}
    last_pts_s: dict[str, float] = {}
    for each in sightings:
        begin_s = begun.get(each.stream)
        if begin_s is None or each.pts_s < last_pts_s[each.stream] - _JUMP_BACK_S:
            fitting = [at_s for at_s in plays_s.get(each.stream, ()) if at_s + each.pts_s <= each.arrived_s]
            if not fitting:
                continue
            begin_s = begun[each.stream] = max(fitting)
        last_pts_s[each.stream] = each.pts_s
        sent_s = begin_s + each.pts_s
        off_s = each.captured_at - (each.arrived_at - (each.arrived_s - sent_s))
        found.append(
            Lateness(each.stream, each.arrived_s, each.arrived_s - sent_s, each.claimed_s, off_s, each.clock)
        )
    return found


def stretches(found: Sequence[Lateness], begin_s: float, end_s: float, length_s: float) -> list[Stretch]:
    """Return lateness in consecutive stretches since a moment; the last one may be shorter."""
    count = max(1, round((end_s - begin_s) / length_s))
    edges = [begin_s + number * length_s for number in range(count)] + [end_s]
    return [
        _stretch([each for each in found if since_s <= each.arrived_s < until_s], since_s, until_s, begin_s)
        for since_s, until_s in pairwise(edges)
    ]


def _stretch(found: Sequence[Lateness], since_s: float, until_s: float, begin_s: float) -> Stretch:
    return Stretch(
        since_s - begin_s,
        until_s - begin_s,
        len(found),
        len({each.stream for each in found}),
        Percentiles.of_seconds([each.true_s for each in found]),
        Percentiles.of_seconds([abs(each.untold_s) for each in found]),
    )


def _sighting(body: Mapping[str, Any], arrived_s: float, arrived_at: float) -> Sighting:
    captured_at = datetime.fromisoformat(body["captured_at"].replace("Z", "+00:00")).timestamp()
    claimed_s = body["latency_ms"]["total"] / 1e3
    return Sighting(body["stream"], arrived_s, arrived_at, body["pts"], captured_at, body["clock"], claimed_s)


def _spent_s(
    states: Sequence[tuple[float, str]], begin_s: float, end_s: float
) -> Iterator[tuple[str, float]]:
    for (since_s, name), (until_s, _) in pairwise([(begin_s, UNKNOWN), *states, (end_s, "")]):
        yield name, max(0.0, min(until_s, end_s) - max(since_s, begin_s))
