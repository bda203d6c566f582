"""The daemon's local records, independent of the broker: its JSON lines and its log.

The publisher hands every result to all sinks at once, so the lines show what was to be delivered, and when.
They also hold every state, while an unreachable broker later gets only the newest state of each stream.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lab.chaos.results import Run


class Moment(NamedTuple):
    """A state and the Unix time of its start."""

    since: float
    state: str


class Wait(NamedTuple):
    """A wait before the next attempt, in Unix time."""

    began: float
    until: float


@dataclass(slots=True)
class Testimony:
    """The contents of both files.

    Attributes:
        published: Unix time of publishing by number, for each run.
        states: states of each stream, in order.
        stream_waits: backoff waits of each stream.
        worker_waits: backoff waits of each worker.
        complaints: number of other events at level error, by event.
    """

    published: dict[Run, dict[int, float]]
    states: dict[str, list[Moment]]
    stream_waits: dict[str, list[Wait]] = field(default_factory=dict)
    worker_waits: dict[str, list[Wait]] = field(default_factory=dict)
    complaints: dict[str, int] = field(default_factory=dict)


def hear(lines: Path, log: Path) -> Testimony:
    """Read both files of an ended daemon."""
    published: defaultdict[Run, dict[int, float]] = defaultdict(dict)
    states: defaultdict[str, set[Moment]] = defaultdict(set)
    for body in _objects(lines):
        if body["schema"] == "framelane.detections/1":
            at = unix(body["captured_at"]) + body["latency_ms"]["total"] / 1e3
            published[body["run"], body["stream"]][body["seq"]] = at
        elif body["schema"] == "framelane.state/1":
            states[body["stream"]].add(Moment(unix(body["since"]), body["state"]))
    testimony = Testimony(dict(published), {stream: sorted(each) for stream, each in states.items()})
    _hear_log(log, testimony)
    return testimony


def _hear_log(log: Path, testimony: Testimony) -> None:
    waits: dict[str, tuple[dict[str, list[Wait]], str]] = {
        "stream_down": (testimony.stream_waits, "stream"),
        "worker_down": (testimony.worker_waits, "worker"),
    }
    for entry in _objects(log):
        event = entry["event"]
        if event in waits:
            kept, key = waits[event]
            began = unix(entry["timestamp"])
            kept.setdefault(entry[key], []).append(Wait(began, began + entry["retry_s"]))
        elif entry["level"] == "error":
            testimony.complaints[event] = testimony.complaints.get(event, 0) + 1


def _objects(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the file's lines that are JSON objects; a killed worker may leave a fragment of one."""
    with path.open("rb") as file:
        for line in file:
            try:
                yield orjson.loads(line)
            except orjson.JSONDecodeError:
                continue


def unix(timestamp: str) -> float:
    """Parse an RFC 3339 time; Python 3.10 doesn't accept its Z."""
    return datetime.fromisoformat(timestamp.replace("Z", "+00:00")).timestamp()
