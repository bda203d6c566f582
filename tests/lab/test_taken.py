"""What interrupts and the hypervisor took of the CPUs."""

from __future__ import annotations

import pytest

from lab.taken import cpu_times, taken_between


def test_taken_is_told_of_all_cpus_and_of_the_worst() -> None:
    start = {"user": 10.0, "idle": 10.0, "irq": 1.0, "softirq": 1.0, "steal": 1.0, "guest": 3.0}
    calm = start | {"user": 19.0, "irq": 1.5, "softirq": 1.5, "guest": 8.0}
    busy = start | {"user": 12.0, "idle": 14.0, "softirq": 2.0, "steal": 4.0}

    taken = taken_between([start, start], [calm, busy])

    assert (taken.mean, taken.most, taken.cpu) == (pytest.approx(0.25), pytest.approx(0.4), 1)
    assert str(taken) == "25%, CPU 1 40%"


def test_taken_is_nothing_where_no_time_has_passed() -> None:
    now = cpu_times()
    assert taken_between(now, now).most == 0
