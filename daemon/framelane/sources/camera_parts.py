"""What a camera gets from its stream and its process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from framelane.core.clock import Clock
    from framelane.sources.ingest import Ingest
    from framelane.sources.interfaces.tap import UnitTap
    from framelane.telemetry.meters import StreamMeter
    from framelane.telemetry.stream_status import StreamStatus


@dataclass(frozen=True, slots=True)
class CameraParts:
    """The parts of a stream and of its process that the stream's camera uses.

    Attributes:
        meter: counts pictures and frames.
        status: the stream's state machine.
        clock: the clock.
        ingest: reads and decodes live streams.
        tap: shows the stream's access units to its watchers.
    """

    meter: StreamMeter
    status: StreamStatus
    clock: Clock
    ingest: Ingest
    tap: UnitTap
