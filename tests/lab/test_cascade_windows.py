"""The sums over windows of the benchmark of second models."""

from __future__ import annotations

import threading

from tests.waiting import wait_until

from framelane.core.libc import prctl
from framelane.telemetry.meters import Meters
from lab.cascade_windows import Moment, Sum, threads_s

PR_SET_NAME = 15


def test_a_window_counts_only_what_happened_in_it() -> None:
    meters = Meters()
    crops = meters.stream("gate").crops("second")
    crops.crop_sent()
    crops.crop_dropped("busy")
    before = Moment(meters.snapshot(), 10.0, {"deliver-street": 1.0, "infer-second": 5.0})
    for _ in range(3):
        crops.crop_sent()
    crops.crop_answered(0.25)
    crops.crop_answered(0.75)
    crops.crop_dropped("late")
    meters.stream("gate").frame_inferred(0.0, 0.0)
    after = Moment(meters.snapshot(), 12.0, {"deliver-street": 1.5, "infer-second": 5.0, "new": 0.25})
    figures = Sum()
    figures.add(before, after)
    found = figures.as_json()
    assert (found["crops_per_s"], found["answered_per_s"], found["latency_ms"]) == (1.5, 1.0, 500.0)
    assert (found["dropped"], found["cpu_cores"]) == ({"late": 1}, 0.375)
    assert (found["first_fps"], found["delivery_ms_per_frame"], found["gpu_busy"]) == (0.5, 500.0, None)


def test_threads_are_summed_by_name_without_their_numbers() -> None:
    end = threading.Event()

    def spin(number: int) -> None:
        prctl(PR_SET_NAME, f"spin-{number}".encode())
        while not end.is_set():
            pass

    spinning = [threading.Thread(target=spin, args=(number,)) for number in range(2)]
    for thread in spinning:
        thread.start()
    try:
        wait_until(lambda: threads_s().get("spin", 0.0) > 0.05)
    finally:
        end.set()
        for thread in spinning:
            thread.join()
