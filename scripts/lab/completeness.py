"""Check that every result arrived, in order, and count live and replayed ones."""

from __future__ import annotations

import threading
from dataclasses import asdict, dataclass

import orjson


@dataclass(slots=True)
class Completeness:
    """The arrived results of all streams.

    Attributes:
        live: results that arrived live.
        replayed: results that arrived late, from disk.
        missing: numbers that never arrived, up to the highest of each stream.
        repeated: results that arrived twice, as QoS 1 allows after a broken connection.
        disordered: results that arrived before a lower number of the same stream, live and replayed ones
            apart.
    """

    live: int = 0
    replayed: int = 0
    missing: int = 0
    repeated: int = 0
    disordered: int = 0

    @property
    def results(self) -> int:
        """Return the number of arrived results, each counted once."""
        return self.live + self.replayed - self.repeated

    def to_json(self) -> str:
        """Return the counts as one line of JSON."""
        return orjson.dumps(asdict(self)).decode()


class Roll:
    """Records detections of any number of streams and runs; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: dict[tuple[str, str], set[int]] = {}
        self._last: dict[tuple[str, str, bool], int] = {}
        self._told = Completeness()

    def book(self, payload: bytes) -> None:
        """Record a message; messages other than detections are ignored."""
        body = orjson.loads(payload)
        if body.get("schema") != "framelane.detections/1":
            return
        key, seq, replayed = (body["run"], body["stream"]), body["seq"], body["replayed"]
        with self._lock:
            told, seen = self._told, self._seen.setdefault(key, set())
            told.live += not replayed
            told.replayed += replayed
            series = (*key, replayed)
            if seq in seen:
                told.repeated += 1
            elif seq < self._last.get(series, 0):
                told.disordered += 1
            self._last[series] = max(seq, self._last.get(series, 0))
            seen.add(seq)

    def seen(self) -> dict[tuple[str, str], set[int]]:
        """Return the arrived numbers by run and stream."""
        with self._lock:
            return {key: set(numbers) for key, numbers in self._seen.items()}

    def told(self) -> Completeness:
        """Return the counts so far."""
        with self._lock:
            told = Completeness(**asdict(self._told))
            told.missing = sum(max(seen) - len(seen) for seen in self._seen.values())
        return told
