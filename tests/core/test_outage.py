"""What the log says of a sink's fault, and how often."""

from __future__ import annotations

from structlog.testing import capture_logs
from tests.sinks.examples import FakeClock

from framelane.core.outage import Outage


def test_failed_logs_a_text_at_once_and_again_after_five_minutes_with_its_tries() -> None:
    clock = FakeClock()
    outage = Outage("sink", clock, sink="mqtt")
    with capture_logs() as logs:
        logged = []
        for wait_s in (0.0, 1.0, 298.9, 0.1, 299.9, 0.1):
            clock.advance(wait_s)
            logged.append(outage.failed("refused", "nothing listens"))
    assert logged == [True, False, False, True, False, True]
    assert [log["tries"] for log in logs] == [1, 4, 6]
    assert logs[0] == {
        "event": "sink_failed",
        "log_level": "warning",
        "sink": "mqtt",
        "reason": "refused",
        "error": "nothing listens",
        "tries": 1,
    }


def test_failed_logs_another_text_at_once() -> None:
    outage = Outage("mqtt", FakeClock())
    with capture_logs() as logs:
        for text in ("a", "b", "b", "a"):
            outage.failed("lost", text)
    assert [(log["error"], log["tries"]) for log in logs] == [("a", 1), ("b", 2), ("a", 4)]
    assert outage.text == "a"


def test_text_holds_no_credentials() -> None:
    outage = Outage("mqtt", FakeClock())
    with capture_logs() as logs:
        outage.failed("lost", "mqtt://user:mellon@broker is gone")
    assert outage.text == logs[0]["error"] == "mqtt://user:***@broker is gone"


def test_over_logs_once_how_long_it_took() -> None:
    clock = FakeClock()
    outage = Outage("sink", clock, sink="jsonl")
    with capture_logs() as logs:
        outage.over()
        outage.failed("full", "no space")
        clock.advance(10.0)
        outage.failed("full", "no space")
        clock.advance(2.34)
        outage.over()
        outage.over()
    assert outage.text is None
    assert logs[1:] == [
        {"event": "sink_recovered", "log_level": "info", "sink": "jsonl", "tries": 2, "down_s": 12.3}
    ]


def test_failed_counts_from_one_again_when_it_was_over() -> None:
    clock = FakeClock()
    outage = Outage("sink", clock, sink="jsonl")
    with capture_logs() as logs:
        outage.failed("full", "no space")
        clock.advance(1.0)
        outage.over()
        clock.advance(1.0)
        assert outage.failed("full", "no space")
        clock.advance(1.0)
        outage.over()
    assert [log["tries"] for log in logs] == [1, 1, 1, 1]
    assert logs[-1]["down_s"] == 1.0
