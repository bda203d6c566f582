"""The health of sinks and spools, for metrics, messages and verdicts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class SpoolHealth:
    """The health of a sink's spool on disk.

    Attributes:
        messages: number of messages on disk.
        disk_bytes: their size on disk.
        oldest_s: age of the oldest in seconds; None if there is none.
        trouble: why messages are not safe, in words; None while they are.
        full: whether the oldest messages are dropped for new ones.
    """

    messages: int = 0
    disk_bytes: int = 0
    oldest_s: float | None = None
    trouble: str | None = None
    full: bool = False


@dataclass(frozen=True, slots=True)
class SinkHealth:
    """The health of a sink.

    Attributes:
        name: "mqtt" or "jsonl"; "s3" for uploads of snapshots and clips, whose messages are files.
        connected: whether messages get through now.
        queued: waiting messages (MQTT: detections), including unacknowledged ones and those on disk.
        delivered: messages acknowledged by the broker, or written, since the start.
        dropped: messages given up since the start.
        last_error: why messages don't get through, in words and without credentials; None while they do.
        overdue_s: seconds by which its thread is overdue, which means that it hangs.
        full: whether the oldest messages are dropped for new ones.
        dropped_by: `dropped` by reason.
        spool: its spool's health; None if it has no spool.
    """

    name: str
    connected: bool
    queued: int
    delivered: int
    dropped: int
    last_error: str | None
    overdue_s: float = 0.0
    full: bool = False
    dropped_by: Mapping[str, int] = field(default_factory=dict)
    spool: SpoolHealth | None = None
