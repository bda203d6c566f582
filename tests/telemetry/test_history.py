from __future__ import annotations

from framelane.telemetry.history import Change, History
from framelane.telemetry.meters import Meters
from framelane.telemetry.states import StreamState
from framelane.telemetry.stats import ProcessSample, StatsWindow


class Clock:
    now_s = 0.0

    def monotonic(self) -> float:
        return self.now_s

    def wall(self) -> float:
        return 1_000.0 + self.now_s


class Rig:
    def __init__(self, every_s: float = 10.0) -> None:
        self.clock, self.meters = Clock(), Meters()
        self.window = StatsWindow(self.meters, self.clock, lambda: ProcessSample(0, 0.0))
        self.history = History(self.clock, every_s)
        self.every_s = every_s

    def report(self) -> None:
        self.clock.now_s += self.every_s
        self.history.note(self.window.close())


def test_figures_are_kept_per_window() -> None:
    rig = Rig()
    meter = rig.meters.stream("cam")
    for _ in range(50):
        meter.frame_received()
    meter.frame_dropped("late", 20)
    meter.result_published(0.1)
    rig.report()
    ((at, fps_in, _, dropped_per_s, p50_ms, p95_ms),) = rig.history.of("cam")[0]
    assert (at, fps_in, dropped_per_s) == (1010.0, 5.0, 2.0)
    assert (round(p50_ms or 0), round(p95_ms or 0)) == (100, 100)


def test_no_more_than_fifteen_minutes_are_kept() -> None:
    rig = Rig()
    rig.meters.stream("cam")
    for _ in range(200):
        rig.report()
    samples = rig.history.of("cam")[0]
    assert (len(samples), samples[-1].at - samples[0].at) == (90, 890.0)


def test_a_removed_stream_is_forgotten() -> None:
    rig = Rig()
    rig.meters.stream("cam")
    rig.report()
    rig.meters.remove_stream("cam")
    rig.history.changed(StreamState("cam", "down", "refused", "text", 0.0))
    rig.report()
    rig.history.removed("cam")
    assert rig.history.of("cam") == ([], [])


def test_changes_are_kept_once_and_the_last_fifty() -> None:
    rig = Rig()
    for number in range(60):
        state = StreamState("cam", "down", f"reason-{number}", "text", 0.0)
        rig.history.changed(state)
        rig.history.changed(state)
    changes = rig.history.of("cam")[1]
    assert len(changes) == 50
    assert changes[-1] == Change(1000.0, "down", "reason-59", "text")
