from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import pytest

from framelane.telemetry.health import BrokerView, Health, Progress, ProgressWatch, liveness, readiness
from framelane.telemetry.states import ENDED, StreamState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from framelane.telemetry.meters import Meters

    from .conftest import FakeClock


def states(*words: str) -> list[StreamState]:
    made = []
    for number, word in enumerate(words):
        state, _, reason = word.partition(" ")
        made.append(StreamState(f"s{number}", state, reason or "ok", "secret text", 0.0))  # type: ignore[arg-type]
    return made


@pytest.mark.parametrize(
    ("threads", "waiting_s", "expected"),
    [
        ({}, 0.0, ()),
        ({"camera-a": True}, 15.0, ()),
        (
            {"camera-a": True, "mqtt": False, "yolox-0": False},
            0.0,
            ("thread mqtt is not running", "thread yolox-0 is not running"),
        ),
        ({"mqtt": True}, 31.4, ("frames arrive, but none was inferred for 31 s (limit 30 s)",)),
    ],
)
def test_liveness(threads: dict[str, bool], waiting_s: float, expected: tuple[str, ...]) -> None:
    health = liveness(threads, Progress(waiting_s), limit_s=30.0)
    assert health.reasons == expected
    assert health.ok == (not expected)


@pytest.mark.parametrize(
    ("progress", "expected"),
    [
        (Progress(0.0, looked_ago_s=29.0, overdue_s={"mqtt": 29.0}), ()),
        (Progress(0.0, looked_ago_s=31.0), ("thread housekeeping has hung for 31 s (limit 30 s)",)),
        (Progress(0.0, overdue_s={"mqtt": 45.0}), ("thread mqtt has hung for 45 s (limit 30 s)",)),
    ],
)
def test_liveness_misses_threads_that_run_and_hang(progress: Progress, expected: tuple[str, ...]) -> None:
    assert liveness({}, progress, limit_s=30.0) == Health(expected)


@pytest.mark.parametrize(
    ("missing", "broker", "streams", "wanted", "expected"),
    [
        ((), None, states("live"), "any", ()),
        (["model yolox is not loaded"], None, states("live"), "any", ("model yolox is not loaded",)),
        ((), BrokerView(connected=True, full=True), states("live"), "any", ()),
        ((), BrokerView(connected=False, full=False), states("live"), "any", ()),
        (
            (),
            BrokerView(connected=False, full=True),
            states("live"),
            "any",
            ("the broker is away and the backlog is full: the oldest results are dropped",),
        ),
        ((), None, states("live", "down refused"), "any", ()),
        ((), None, states("live", "down refused"), "all", ("stream s1 is down: refused",)),
        (
            (),
            None,
            states("stalled silent", "down refused"),
            "any",
            ("stream s0 is stalled: silent", "stream s1 is down: refused"),
        ),
        ((), None, states("live", f"down {ENDED}"), "all", ()),
        ((), None, states("live model", "live"), "any", ("stream s0: secret text",)),
        ((), None, states(f"down {ENDED}"), "any", ()),
        (
            (),
            None,
            states(f"down {ENDED}", "connecting opening"),
            "any",
            ("stream s1 is connecting: opening",),
        ),
        (
            (),
            None,
            states(*["down timeout"] * 7),
            "all",
            (*(f"stream s{number} is down: timeout" for number in range(5)), "and 2 more streams"),
        ),
    ],
)
def test_readiness(
    missing: Sequence[str],
    broker: BrokerView | None,
    streams: list[StreamState],
    wanted: Literal["any", "all"],
    expected: tuple[str, ...],
) -> None:
    assert readiness(missing, broker, streams, wanted).reasons == expected


def test_readiness_says_once_that_a_model_fails() -> None:
    trouble = "secret text"
    assert readiness([trouble], None, states("live model", "live model"), "any").reasons == (trouble,)
    assert readiness([trouble], None, [], "any").reasons == (trouble,)


def test_progress_watch_is_calm_while_frames_come_out(meters: Meters, clock: FakeClock) -> None:
    watch = ProgressWatch(clock)
    for _ in range(100):
        meters.stream("lobby").frame_decoded()
        meters.stream("lobby").frame_inferred(0.0, 0.0)
        clock.advance(1.0)
        assert watch.observe(meters.snapshot()) == 0.0


def test_progress_watch_is_calm_while_nothing_is_due(meters: Meters, clock: FakeClock) -> None:
    watch = ProgressWatch(clock)
    meter = meters.stream("lobby")
    for _ in range(100):
        meter.frame_received()
        meter.frame_decoded()
        meter.frame_dropped("fps")
        meter.frame_dropped("decode")
        clock.advance(1.0)
        assert watch.observe(meters.snapshot()) == 0.0


def test_progress_watch_counts_the_seconds_of_a_wedged_model(meters: Meters, clock: FakeClock) -> None:
    watch = ProgressWatch(clock)
    meter = meters.stream("lobby")
    waited_s = []
    for _ in range(4):
        meter.frame_decoded()
        meter.frame_dropped("replaced")
        waited_s.append(watch.observe(meters.snapshot()))
        clock.advance(10.0)
    assert waited_s == [0.0, 10.0, 20.0, 30.0]

    meter.frame_dropped("failed")
    assert watch.observe(meters.snapshot()) == 0.0


def test_progress_watch_goes_on_counting_when_the_cameras_stop_too(meters: Meters, clock: FakeClock) -> None:
    watch = ProgressWatch(clock)
    meters.stream("lobby").frame_decoded()
    watch.observe(meters.snapshot())
    clock.advance(10.0)
    assert watch.observe(meters.snapshot()) == 10.0


def test_progress_watch_waits_for_nothing_of_a_stream_that_is_gone(meters: Meters, clock: FakeClock) -> None:
    watch = ProgressWatch(clock)
    meters.stream("only").frame_decoded()  # and is being inferred
    watch.observe(meters.snapshot())
    meters.remove_stream("only")
    clock.advance(31.0)
    assert watch.observe(meters.snapshot()) == 0.0
    clock.advance(31.0)
    assert watch.observe(meters.snapshot()) == 0.0


def test_progress_watch_is_not_misled_by_a_removed_stream(meters: Meters, clock: FakeClock) -> None:
    watch = ProgressWatch(clock)
    for _ in range(50):
        meters.stream("old").frame_decoded()
        meters.stream("old").frame_inferred(0.0, 0.0)
    watch.observe(meters.snapshot())
    meters.remove_stream("old")
    meters.stream("new").frame_decoded()
    watch.observe(meters.snapshot())
    clock.advance(5.0)
    assert watch.observe(meters.snapshot()) == 5.0
