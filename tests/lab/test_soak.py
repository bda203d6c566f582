"""What a soak on a GPU sums up."""

from __future__ import annotations

import pytest

from framelane.measure.process import Usage
from lab.delivery_record import Arrivals, Received
from lab.soak import SoakDiary


def window(*, results: int, took_ms: float, dropped: int = 0, missing: int = 0, late: int = 0) -> Received:
    arrivals = Arrivals([took_ms] * results, [took_ms] * results, dropped, missing, late)
    return Received(30.0, {"cam": arrivals})


def test_soak_sums_up_windows_and_looks() -> None:
    diary = SoakDiary()
    for number, rss_mb in enumerate((1000.0, 1010.0, 1000.0)):
        diary.look(number * 5.0, Usage(number, rss_mb, 40 + number, 100), None)
    words = diary.book(window(results=94, took_ms=30.0, dropped=1))
    assert words == "3.1 results/s, p95 30.0 ms, 1 dropped, 0 missing, 0 late"
    diary.book(window(results=3, took_ms=90.0, dropped=1, missing=3))
    diary.book(window(results=2, took_ms=90.0, late=2))

    soak = diary.close(7)

    assert (soak.streams, soak.seconds, soak.results, soak.dropped) == (7, 10.0, 99, 2)
    assert (soak.missing, soak.late) == (1, 2)
    assert soak.dropped_share == pytest.approx(3 / 102)
    assert (soak.rss_mb.middle, soak.rss_mb.swing, soak.gpu_mb) == (1000.0, pytest.approx(0.01), None)
    assert (soak.first.threads, soak.last.threads) == (40, 42)
    assert soak.publish_ms is not None
    assert (soak.publish_ms.p50, soak.publish_ms.most) == (30.0, 90.0)
    assert soak.cells()["soak: dropped / lost / late"] == "2 (2.941%) / 1 / 2"


def test_soak_has_no_latency_when_nothing_came() -> None:
    diary = SoakDiary()
    diary.look(0.0, Usage(0.0, 1.0, 1, 1), None)
    soak = diary.close(1)
    assert (soak.results, soak.dropped_share, soak.publish_ms) == (0, 0.0, None)
