"""Crops of objects, counted per stream and second model."""

from __future__ import annotations

import pytest
from tests.sinks.examples import FakeClock

from framelane.core.drop_reasons import CROPS
from framelane.fleet.totals import continue_counts
from framelane.telemetry.meters import Meters, StreamMeter
from framelane.telemetry.stats import ProcessSample, StatsWindow


def counted(meter: StreamMeter, sent: int, *latencies_s: float, late: int = 0, model: str = "color") -> None:
    crops = meter.crops(model)
    for _ in range(sent):
        crops.crop_sent()
    for latency_s in latencies_s:
        crops.crop_answered(latency_s)
    for _ in range(late):
        crops.crop_dropped("late")


def test_crops_are_counted_by_what_became_of_them() -> None:
    meter = StreamMeter("lobby")
    counted(meter, 3, 0.25, 0.5, late=1)
    crops = meter.snapshot().crops["color"]
    assert (crops.sent, crops.answered, crops.latency.total) == (3, 2, 0.75)
    assert crops.dropped == {**dict.fromkeys(CROPS, 0), "late": 1}


def test_stream_without_a_second_model_counts_none() -> None:
    assert StreamMeter("lobby").snapshot().crops == {}


def test_counts_go_on_when_a_worker_is_started_again() -> None:
    before, now = StreamMeter("lobby"), StreamMeter("lobby")
    counted(before, 2, 0.25, late=1)
    counted(before, 1, model="faces")
    counted(now, 3, 0.5, late=1)
    counted(now, 1, model="plates")
    crops = continue_counts(before.snapshot(), now.snapshot()).crops
    assert {model: each.sent for model, each in crops.items()} == {"color": 5, "faces": 1, "plates": 1}
    assert (crops["color"].answered, crops["color"].dropped["late"]) == (2, 2)
    assert crops["color"].latency.total == 0.75


def test_window_has_what_happened_within_it() -> None:
    meters, clock = Meters(), FakeClock()
    meter = meters.stream("lobby")
    counted(meter, 5, 1.0, late=2)
    window = StatsWindow(meters, clock, lambda: ProcessSample(0, 0.0))
    counted(meter, 2, 0.25, 0.75)
    counted(meter, 1, model="faces")
    clock.advance(1.0)
    (stream,) = window.close().streams
    color, faces = stream.crops["color"], stream.crops["faces"]
    assert (color.sent, color.answered, color.dropped["late"]) == (2, 2, 0)
    assert color.latency_ms == pytest.approx(500.0)
    assert (faces.sent, faces.answered, faces.latency_ms) == (1, 0, None)
