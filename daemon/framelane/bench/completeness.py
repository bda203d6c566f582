"""Whether every result came, in order, and how: in its turn or replayed."""

from __future__ import annotations

import threading
from dataclasses import asdict, dataclass

import orjson


@dataclass(slots=True)
class Completeness:
    """What has come of all streams.

    Attributes:
        live: results that came in their turn.
        replayed: results that came late, from disk.
        missing: numbers that never came, up to the highest of each stream.
        repeated: results that came again, as QoS 1 allows after a broken connection.
        disordered: results that came before a lower number of the same stream that came in the same way.
    """

    live: int = 0
    replayed: int = 0
    missing: int = 0
    repeated: int = 0
    disordered: int = 0

    @property
    def results(self) -> int:
        """Results that came, each counted once."""
        return self.live + self.replayed - self.repeated

    def to_json(self) -> str:
        """One line."""
        return orjson.dumps(asdict(self)).decode()


class Roll:
    """Books detections of any number of streams and runs; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: dict[tuple[str, str], set[int]] = {}
        self._last: dict[tuple[str, str, bool], int] = {}
        self._told = Completeness()

    def book(self, payload: bytes) -> None:
        """Take a message; of other kinds than detections it takes none."""
        body = orjson.loads(payload)
        if body.get("schema") != "framelane.detections/1":
            return
        key, seq, replayed = (body["run"], body["stream"]), body["seq"], body["replayed"]
        with self._lock:
            told, seen = self._told, self._seen.setdefault(key, set())
            told.live += not replayed
            told.replayed += replayed
            lane = (*key, replayed)
            if seq in seen:
                told.repeated += 1
            elif seq < self._last.get(lane, 0):
                told.disordered += 1
            self._last[lane] = max(seq, self._last.get(lane, 0))
            seen.add(seq)

    def seen(self) -> dict[tuple[str, str], set[int]]:
        """The numbers that came, by run and stream."""
        with self._lock:
            return {key: set(numbers) for key, numbers in self._seen.items()}

    def told(self) -> Completeness:
        """All so far."""
        with self._lock:
            told = Completeness(**asdict(self._told))
            told.missing = sum(max(seen) - len(seen) for seen in self._seen.values())
        return told
