from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
from tests.sinks.examples import YOLOX, objects, result

from framelane.telemetry.history import Change, History, objects_of
from framelane.telemetry.meters import Meters
from framelane.telemetry.objects import OTHER
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
    ((at, fps_in, _, dropped_per_s, p50_ms, p95_ms, _),) = rig.history.of("cam")[0]
    assert (at, fps_in, dropped_per_s) == (1010.0, 5.0, 2.0)
    assert (round(p50_ms or 0), round(p95_ms or 0)) == (100, 100)


def test_no_more_than_fifteen_minutes_are_kept() -> None:
    rig = Rig()
    rig.meters.stream("cam")
    for _ in range(200):
        rig.report()
    samples = rig.history.of("cam")[0]
    assert (len(samples), samples[-1].at - samples[0].at) == (90, 890.0)


def saw(rig: Rig, *class_ids: int, labels: tuple[str, ...] = YOLOX.labels) -> None:
    found = replace(objects(len(class_ids)), class_id=np.array(class_ids, np.int32))
    model = replace(YOLOX, labels=labels)
    rig.meters.stream("cam").objects.saw(replace(result(), model=model, detections=found))


def test_objects_are_kept_by_label_the_most_frequent_first() -> None:
    rig = Rig()
    saw(rig, 2)
    rig.report()
    rig.report()
    saw(rig, 0, 0, 2)
    saw(rig)
    rig.report()
    series = objects_of(rig.history.of("cam")[0])
    assert list(series.items()) == [("car", [1.0, None, 0.5]), ("person", [0.0, None, 1.0])]


def test_labels_that_are_rare_are_shown_together() -> None:
    rig = Rig()
    labels = tuple(f"label-{number:03d}" for number in range(1000))
    for _ in range(3):
        # The higher the number, the more frequent.
        saw(rig, *(number for number in range(50) for _ in range(number)), labels=labels)
        rig.report()
    series = objects_of(rig.history.of("cam")[0])
    assert list(series) == ["label-049", "label-048", "label-047", "label-046", "label-045", OTHER]
    assert series["label-049"] == [49.0] * 3
    assert series[OTHER] == [sum(range(45))] * 3


def test_a_thousand_labels_take_little_memory() -> None:
    rig = Rig()
    labels = tuple(f"label-{number:03d}" for number in range(1000))
    samples = []
    for number in range(90):
        saw(rig, *range(1000), *range(number, number + 20), labels=labels)
        rig.report()
        samples = list(rig.history.of("cam")[0])
    assert len(pickle.dumps([each.objects for each in samples])) < 90 * 200
    assert len(objects_of(samples)) == 6


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
