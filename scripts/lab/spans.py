"""Consecutive spans of a run, to show whether latency and memory stay flat or settle."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from framelane.measure.figures import Percentiles
from framelane.measure.report import Section, number

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from lab.delivery_record import Received

TRUE_SHARE = 0.99
"""Least share of live results on the camera's clock; the daemon distrusts the clock of a late camera."""
_COLUMNS = ("to s", "results/s", "streams", "dropped", "p50 ms", "p95 ms", "p99 ms", "most", "RSS MB")
_MOST_ROWS = 60


@dataclass(frozen=True, slots=True)
class Span:
    """A span of a run.

    Attributes:
        end_s: its end, since the start of the measurement.
        streams: number of streams with a result.
        dropped: skipped frames, according to the messages.
        publish_ms: from capture to publish, according to the daemon.
        rtcp_share: share of results whose capture time is the camera's own.
        rss_mb: memory of the daemon at its end.
    """

    end_s: float
    seconds: float
    results: int
    streams: int
    dropped: int
    publish_ms: Percentiles | None
    rtcp_share: float
    rss_mb: float

    @staticmethod
    def of(received: Received, end_s: float, rss_mb: float, names: Collection[str] | None = None) -> Span:
        """Describe the results of all streams, or only of `names`."""
        streams = [each for name, each in received.streams.items() if names is None or name in names]
        every = sum(each.frames for each in received.streams.values())
        return Span(
            end_s,
            received.seconds,
            sum(each.frames for each in streams),
            sum(each.frames > 0 for each in streams),
            sum(each.dropped for each in streams),
            Percentiles.of_ms([value for each in streams for value in each.publish_ms]),
            received.clocks.get("rtcp", 0) / every if every else 0.0,
            rss_mb,
        )

    def calm(self, limit_ms: float, streams: int, *, live: bool) -> bool:
        """Return whether results of that many streams were on time, live ones by the cameras' clocks."""
        if self.publish_ms is None or self.streams < streams or (live and self.rtcp_share < TRUE_SHARE):
            return False
        return self.publish_ms.p95 <= limit_ms


def calm_since(spans: Sequence[Span], limit_ms: float, streams: int, *, live: bool) -> float | None:
    """Return since when all spans are calm, in seconds from the start; None if the last one isn't."""
    since_s = 0.0
    for span in spans:
        if not span.calm(limit_ms, streams, live=live):
            since_s = span.end_s
    return since_s if spans and since_s < spans[-1].end_s else None


def spans_section(title: str, spans: Sequence[Span]) -> Section:
    """Return a table of spans; if there are very many, only of the first ones."""
    rows = tuple(_row(span) for span in spans[:_MOST_ROWS])
    return Section(title, _COLUMNS, rows)


def _row(span: Span) -> tuple[str, ...]:
    publish = span.publish_ms
    latency = (publish.p50, publish.p95, publish.p99, publish.most) if publish else (None,) * 4
    return (
        number(span.end_s),
        number(span.results / span.seconds),
        str(span.streams),
        str(span.dropped),
        *(number(value) for value in latency),
        number(span.rss_mb, 0),
    )
