"""The reply to `/api/rules`: lines and zones of the streams, and what they count now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from pydantic import BaseModel, Field

from framelane.messages.events import LineState, ZoneState

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from framelane.config.sections.rules import LineConfig, ZoneConfig
    from framelane.config.sections.stream import StreamConfig


class CountSource(Protocol):
    """Knows the newest counts, on any thread."""

    @property
    def states(self) -> Collection[ZoneState | LineState]:
        """What each line and zone says, per label."""
        ...

    @property
    def counting(self) -> bool:
        """Whether counters are kept, so that a line without any crossing has 0 of them."""
        ...


class LineCountReply(BaseModel):
    """The crossings of a line by one label since `epoch`; null while unknown."""

    label: str
    left: int | None
    right: int | None
    epoch: float | None = Field(description="Unix time at which the counters began.")


class LineReply(BaseModel):
    """A line and its counters."""

    points: list[list[float]] = Field(description="As configured: [x, y] from 0 to 1.")
    known: bool = Field(description="Whether its counters are known.")
    counts: list[LineCountReply] = Field(description="By label; empty before the first crossing.")


class ZoneCountReply(BaseModel):
    """The objects of one label in a zone; null while unknown."""

    label: str
    count: int | None


class ZoneReply(BaseModel):
    """A zone and who is in it."""

    polygon: list[list[float]] = Field(description="As configured: [x, y] from 0 to 1.")
    known: bool = Field(description="Whether its counts are known.")
    counts: list[ZoneCountReply] = Field(description="By label; empty before the first object.")


class StreamRulesReply(BaseModel):
    """The lines and zones of a stream, by name."""

    lines: dict[str, LineReply]
    zones: dict[str, ZoneReply]


class RulesReply(BaseModel):
    """The lines and zones of all streams that have any, by stream."""

    streams: dict[str, StreamRulesReply]


def rules(streams: Iterable[StreamConfig], counts: CountSource) -> RulesReply:
    """Return the reply for these streams; lines and zones of streams without `track` count nothing."""
    lines: dict[tuple[str, str], list[LineState]] = {}
    zones: dict[tuple[str, str], list[ZoneState]] = {}
    for state in counts.states:
        if isinstance(state, LineState):
            lines.setdefault((state.stream, state.line), []).append(state)
        else:
            zones.setdefault((state.stream, state.zone), []).append(state)
    return RulesReply(
        streams={
            stream.id: StreamRulesReply(
                lines={
                    name: _line(line, lines.get((stream.id, name), []), counting=counts.counting)
                    for name, line in stream.lines.items()
                },
                zones={
                    name: _zone(zone, zones.get((stream.id, name), [])) for name, zone in stream.zones.items()
                },
            )
            for stream in streams
            if stream.track and (stream.lines or stream.zones)
        }
    )


def _line(line: LineConfig, states: list[LineState], *, counting: bool) -> LineReply:
    counts = [
        LineCountReply(label=each.label, left=each.left, right=each.right, epoch=each.epoch)
        for each in sorted(states, key=lambda state: state.label)
    ]
    known = all(each.epoch is not None for each in states) if states else counting
    return LineReply(points=line.points, known=known, counts=counts)


def _zone(zone: ZoneConfig, states: list[ZoneState]) -> ZoneReply:
    counts = [
        ZoneCountReply(label=each.label, count=each.count)
        for each in sorted(states, key=lambda state: state.label)
    ]
    known = bool(states) and all(each.count is not None for each in states)
    return ZoneReply(polygon=zone.polygon, known=known, counts=counts)
