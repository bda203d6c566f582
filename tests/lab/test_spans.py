"""When a run is in time, second by second."""

from __future__ import annotations

import pytest

from framelane.measure.figures import Percentiles
from lab.delivery_record import Arrivals, Received
from lab.spans import Span, calm_since, spans_section


def span(end_s: float, took_ms: float, streams: int = 4, rtcp_share: float = 1.0) -> Span:
    return Span(end_s, 1.0, 10, streams, 0, Percentiles.of_ms([took_ms] * 10), rtcp_share, 100.0)


NOTHING = Span(1.0, 1.0, 0, 0, 0, None, 0.0, 100.0)


@pytest.mark.parametrize(
    ("spans", "since_s"),
    [
        ([], None),
        ([span(1, 20)], 0.0),
        ([span(1, 90), span(2, 20)], 1.0),
        ([span(1, 20), span(2, 90), span(3, 20)], 2.0),  # for good
        ([span(1, 20), span(2, 90)], None),
        ([span(1, 20, streams=3), span(2, 20)], 1.0),
        ([span(1, 20, rtcp_share=0.5), span(2, 20)], 1.0),  # 20 ms that the daemon only believes
        ([NOTHING, span(2, 20)], 1.0),
    ],
)
def test_run_is_calm_since_its_last_span_that_is_not(spans: list[Span], since_s: float | None) -> None:
    assert since_s == calm_since(spans, 60.0, 4, live=True)


def test_files_need_no_clock_of_cameras() -> None:
    assert calm_since([span(1, 20, rtcp_share=0.0)], 60.0, 4, live=False) == 0.0


def test_span_tells_of_some_streams_alone() -> None:
    streams = {"a": Arrivals([9.0], [8.0], dropped=1), "b": Arrivals([90.0] * 3, [80.0] * 3, dropped=5)}
    received = Received(2.0, streams, clocks={"rtcp": 3, "receive": 1})

    found = Span.of(received, 7.0, 123.0, names={"a", "gone"})

    assert (found.end_s, found.seconds, found.results, found.streams, found.dropped) == (7.0, 2.0, 1, 1, 1)
    assert (found.rtcp_share, found.rss_mb) == (0.75, 123.0)
    assert found.publish_ms is not None
    assert found.publish_ms.most == 8.0
    assert Span.of(received, 7.0, 123.0).results == 4


def test_spans_make_a_table() -> None:
    rows = spans_section("over time", [span(1, 20), NOTHING]).rows

    assert rows[0] == ("1.0", "10.0", "4", "0", "20.0", "20.0", "20.0", "20.0", "100")
    assert rows[1][4:8] == ("-",) * 4
