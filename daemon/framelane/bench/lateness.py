"""How far results lie behind what their cameras saw, by the cameras' own time stamps and not by the daemon's clock.

A camera notes when it answered each PLAY, and names that moment in RTP-Info as the start of the session's time line.
FFmpeg counts `pts` from there, so the picture of a result was sent at that moment plus its `pts`. Cameras, daemon and
subscriber run on one host, and the monotonic clock is the same for all of them.
"""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import orjson

from framelane.bench.figures import Percentiles

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

_JUMP_BACK_S = 0.5  # `pts` only goes forward within a session
UNKNOWN = "unknown"
"""A stream of which no state has come yet."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """One result as it arrived.

    Attributes:
        arrived_s: on the monotonic clock.
        arrived_at: Unix time of the same moment.
        pts_s: on the stream's time line.
        captured_at: Unix time of the picture, as the daemon says.
        clock: what that stands on.
        claimed_s: from capture to publish, as the daemon says.
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
        arrived_s: on the monotonic clock.
        true_s: from the sending of the picture to the result's arrival.
        claimed_s: the same to publish, as the daemon says.
        captured_off_s: how far `captured_at` lies after the sending.
        clock: what `captured_at` stands on.
    """

    stream: str
    arrived_s: float
    true_s: float
    claimed_s: float
    captured_off_s: float
    clock: str

    @property
    def untold_s(self) -> float:
        """What the daemon's figure lacks; less than 0 where it says too much."""
        return self.true_s - self.claimed_s


@dataclass(frozen=True, slots=True)
class Stretch:
    """Consecutive seconds of a run: how many results of how many streams came, and how late they were."""

    begin_s: float
    end_s: float
    results: int
    streams: int
    late_ms: Percentiles | None
    untold_ms: Percentiles | None


class Witness:
    """Books messages as they arrive, from one thread, until another asks."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sightings: list[Sighting] = []
        self._states: dict[str, list[tuple[float, str]]] = defaultdict(list)
        self._reasons: Counter[str] = Counter()
        self._reconnects: dict[str, int] = {}

    def book(self, payload: bytes, arrived_s: float, arrived_at: float) -> None:
        """Take a message that came at this monotonic and Unix time; of kinds it doesn't know it takes none."""
        if not payload:  # a retained message that is taken back
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
        """All results so far, as they came."""
        with self._lock:
            return list(self._sightings)

    @property
    def reasons(self) -> dict[str, int]:
        """Frames that were dropped, by reason, as the statistics say; reasons that never came are left out."""
        with self._lock:
            return {reason: count for reason, count in sorted(self._reasons.items()) if count}

    @property
    def reconnects(self) -> int:
        """How often streams came back, all together."""
        with self._lock:
            return sum(self._reconnects.values())

    def shares(self, streams: Sequence[str], begin_s: float, end_s: float) -> dict[str, float]:
        """The share of all streams' time between two moments in each "state/reason", largest first."""
        spent_s: dict[str, float] = defaultdict(float)
        with self._lock:
            for stream in streams:
                for name, seconds in _spent_s(self._states.get(stream, ()), begin_s, end_s):
                    spent_s[name] += seconds
        whole_s = (end_s - begin_s) * len(streams)
        largest_first = sorted(spent_s.items(), key=lambda item: -item[1])
        return {name: seconds / whole_s for name, seconds in largest_first if seconds}


def lateness(sightings: Iterable[Sighting], plays_s: Mapping[str, Sequence[float]]) -> list[Lateness]:
    """How late each result was, in order of arrival; one that fits no session of its camera is left out.

    Args:
        sightings: results in order of arrival.
        plays_s: of each stream when its camera answered each PLAY, on the monotonic clock.
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
    """Lateness over time, in consecutive stretches from a moment on; the last one may be shorter."""
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
