from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from framelane.core.drop_reasons import DROPS
from framelane.telemetry.gpus import GpuSample
from framelane.telemetry.stats import ProcessSample, StatsWindow, sample_process

if TYPE_CHECKING:
    from framelane.telemetry.meters import Meters

    from .conftest import FakeClock


class FakeProcess:
    def __init__(self) -> None:
        self.sample = ProcessSample(100_000_000, 5.0)

    def __call__(self) -> ProcessSample:
        return self.sample


@pytest.fixture
def process() -> FakeProcess:
    return FakeProcess()


@pytest.fixture
def window(meters: Meters, clock: FakeClock, process: FakeProcess) -> StatsWindow:
    return StatsWindow(meters, clock, process)


def test_close_gives_rates_of_the_window_alone(meters: Meters, clock: FakeClock, window: StatsWindow) -> None:
    meter = meters.stream("lobby")
    for _ in range(100):
        meter.frame_received()
    meter.result_left_out("rate")
    clock.advance(10.0)
    window.close()

    for _ in range(50):
        meter.frame_received()
    for _ in range(40):
        meter.frame_decoded()
    for _ in range(30):
        meter.frame_inferred(0.010, 0.020)
    for _ in range(20):
        meter.result_published(0.050)
    meter.frame_dropped("replaced", 7)
    meter.result_left_out("rate")
    clock.advance(5.0)
    node = window.close()
    (stream,) = node.streams

    assert stream.window_s == 5.0
    assert (stream.fps_in, stream.fps_decoded, stream.fps_inferred, stream.fps_published) == (
        10.0,
        8.0,
        6.0,
        4.0,
    )
    assert stream.dropped == {**dict.fromkeys(DROPS, 0), "replaced": 7}
    assert stream.left_out == node.left_out == {"empty": 0, "rate": 1}
    assert stream.queue_ms == pytest.approx(10.0)
    assert stream.infer_ms == pytest.approx(20.0)


def test_close_gives_percentiles_of_the_window_alone(
    meters: Meters, clock: FakeClock, window: StatsWindow
) -> None:
    meter = meters.stream("lobby")
    for _ in range(500):
        meter.result_published(9.0)
    clock.advance(1.0)
    window.close()
    for number in range(101):
        meter.result_published(number / 1000)
    clock.advance(1.0)
    latency_ms = window.close().streams[0].latency_ms
    assert latency_ms is not None
    assert (latency_ms.p50, latency_ms.p95, latency_ms.p99) == pytest.approx((50.0, 95.0, 99.0))


def test_close_has_no_latency_when_nothing_was_published(
    meters: Meters, clock: FakeClock, window: StatsWindow
) -> None:
    meters.stream("lobby")
    meters.model("yolox")
    clock.advance(1.0)
    node = window.close()
    assert node.latency_ms is None
    assert (node.streams[0].latency_ms, node.streams[0].queue_ms, node.streams[0].infer_ms) == (
        None,
        None,
        None,
    )
    assert (node.models[0].batches_per_s, node.models[0].batch_size, node.models[0].infer_ms) == (
        0.0,
        None,
        None,
    )


def test_close_totals_all_streams(
    meters: Meters, clock: FakeClock, window: StatsWindow, process: FakeProcess
) -> None:
    for name, latency_s in (("a", 0.010), ("b", 0.030)):
        meter = meters.stream(name)
        for _ in range(10):
            meter.frame_received()
            meter.frame_decoded()
            meter.frame_inferred(0.0, 0.0)
            meter.result_published(latency_s)
        meter.frame_dropped("fps", 3)
    clock.advance(2.0)
    process.sample = ProcessSample(123_000_000, 8.0)
    node = window.close()
    assert (node.fps_in, node.fps_decoded, node.fps_inferred, node.fps_published) == (10.0, 10.0, 10.0, 10.0)
    assert node.dropped["fps"] == 6
    assert node.latency_ms is not None
    assert node.latency_ms.p50 == pytest.approx(20.0)
    assert (node.rss_bytes, node.cpu_cores) == (123_000_000, 1.5)


def test_close_gives_means_a_batch(meters: Meters, clock: FakeClock, window: StatsWindow) -> None:
    meter = meters.model("yolox")
    meter.batch_done(4, 0.002, 0.020, 0.001)
    meter.batch_done(2, 0.004, 0.040, 0.003)
    clock.advance(4.0)
    (model,) = window.close().models
    assert (model.batches_per_s, model.batch_size) == (0.5, 3.0)
    assert (model.preprocess_ms, model.infer_ms, model.postprocess_ms) == pytest.approx((3.0, 30.0, 2.0))


@pytest.mark.parametrize(
    ("busy_s", "replaced", "expected"),
    [(5.0, 0, 0.25), (20.0, 0, 1.0), (20.0, 50, 1.5), (2.0, 100, 0.2)],
)
def test_close_gives_the_load_of_two_slots(
    meters: Meters, clock: FakeClock, window: StatsWindow, busy_s: float, replaced: int, expected: float
) -> None:
    """Half as many frames again were due as the full slots did: work for one node and a half."""
    meters.model("small").slots_opened(2)
    model = meters.model("yolox")
    model.slots_opened(2)
    model.batch_done(1, 100.0, 0.0, 0.0)
    window.close()
    model.batch_done(4, busy_s / 4, busy_s / 2, busy_s / 4)
    for _ in range(100):
        meters.stream("lobby").frame_inferred(0.0, 0.0)
    meters.stream("lobby").frame_dropped("replaced", replaced)
    meters.stream("lobby").frame_dropped("fps", 1000)
    clock.advance(10.0)
    assert window.close().load == pytest.approx(expected)


def test_close_gives_no_load_before_a_model_runs(meters: Meters, window: StatsWindow) -> None:
    meters.model("yolox")
    assert window.close().load is None


def test_close_starts_again_when_a_stream_was_removed_and_added(
    meters: Meters, clock: FakeClock, window: StatsWindow
) -> None:
    for _ in range(100):
        meters.stream("lobby").frame_received()
    clock.advance(1.0)
    window.close()
    meters.remove_stream("lobby")
    clock.advance(1.0)
    assert window.close().streams == ()
    meters.stream("lobby").frame_received()
    clock.advance(1.0)
    assert window.close().streams[0].fps_in == 1.0
    meters.remove_stream("lobby")
    meters.stream("lobby").frame_received()
    clock.advance(1.0)
    assert window.close().streams[0].fps_in == 1.0


def test_windows_of_two_readers_do_not_disturb_each_other(
    meters: Meters, clock: FakeClock, process: FakeProcess
) -> None:
    fast, slow = StatsWindow(meters, clock, process), StatsWindow(meters, clock, process)
    meter = meters.stream("lobby")
    for _ in range(4):
        meter.frame_received()
        clock.advance(0.5)
        fast.close()
    assert slow.close().streams[0].fps_in == 2.0


def test_latest_is_the_last_closed_window(clock: FakeClock, window: StatsWindow) -> None:
    assert window.latest is None
    clock.advance(1.0)
    assert window.close() is window.latest


def test_close_survives_a_clock_that_stands_still(meters: Meters, window: StatsWindow) -> None:
    meters.stream("lobby").frame_received()
    assert window.close().streams[0].fps_in > 0


def test_sample_process_measures_this_process() -> None:
    sample = sample_process()
    assert sample.rss_bytes > 10_000_000
    assert sample.cpu_s > 0


def test_gpus_are_sampled_when_a_window_closes_and_at_no_other_time(
    meters: Meters, clock: FakeClock, process: FakeProcess
) -> None:
    asked: list[float] = []

    def sample() -> list[GpuSample]:
        asked.append(clock.monotonic())
        return [GpuSample(0, "NVIDIA Test 100", utilization=0.5)]

    window = StatsWindow(meters, clock, process, sample)
    clock.advance(10.0)
    assert asked == []
    assert window.close().gpus == (GpuSample(0, "NVIDIA Test 100", utilization=0.5),)
    assert (len(asked), window.latest and window.latest.gpus[0].index) == (1, 0)
