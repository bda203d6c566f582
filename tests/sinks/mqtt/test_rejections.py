"""How often the log speaks of messages that the broker refuses."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from structlog.testing import capture_logs
from tests.sinks.examples import FakeClock

from framelane.sinks.mqtt.rejections import Rejections

if TYPE_CHECKING:
    import pytest

HOUR_S = 3600.0


def test_add_logs_a_topic_at_once_with_the_brokers_reason() -> None:
    rejections = Rejections(FakeClock())
    with capture_logs() as logs:
        rejections.add("a/state", "Not authorized")
        rejections.add("a/state", "Not authorized")
        rejections.add("b/state", "Quota exceeded")
    assert rejections.count == 3
    assert logs[0] == {
        "event": "sink_failed",
        "log_level": "warning",
        "sink": "mqtt",
        "reason": "refused",
        "error": "the broker did not take a message on a/state: Not authorized",
        "times": 1,
    }
    assert [log["error"] for log in logs[1:]] == [
        "the broker did not take a message on b/state: Quota exceeded"
    ]


def test_add_logs_again_after_one_two_and_four_hours_and_then_daily() -> None:
    clock = FakeClock(0.0)
    rejections = Rejections(clock)
    logged_h = []
    for minute in range(0, 8 * 24 * 60, 30):
        clock.monotonic_s = minute * 60.0
        with capture_logs() as logs:
            rejections.add("a", "no")
        if logs:
            logged_h.append(minute / 60)
            assert logs[0]["times"] == rejections.count
    # The waits double from an hour to a day.
    waits = [after - before for before, after in pairwise(logged_h)]
    assert waits == [1, 2, 4, 8, 16, *[24] * 6]


def test_add_begins_anew_when_there_are_too_many_topics(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("framelane.sinks.mqtt.rejections._MOST_TOPICS", 2)
    rejections = Rejections(FakeClock())
    with capture_logs() as logs:
        for topic in ("a", "b", "a", "c", "a"):
            rejections.add(topic, "no")
    assert [log["error"].split()[8].rstrip(":") for log in logs] == ["a", "b", "c", "a"]
    assert rejections.count == 5
