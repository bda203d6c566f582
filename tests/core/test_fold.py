"""Repeated faults are logged at growing intervals with their count, and limited over all streams."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import structlog

from framelane.core.fold import FOLD_KEY, Fold


@dataclass
class FakeClock:
    now_s: float = 0.0

    def monotonic(self) -> float:
        return self.now_s

    def wall(self) -> float:
        return self.now_s


class Folded:
    """Lines that passed, with the time at which they did."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.passed: list[tuple[float, dict[str, Any]]] = []
        self._fold = Fold(self.clock)

    def say(self, method: str = "warning", **fields: Any) -> None:
        try:
            event = self._fold(None, method, {"logger": "framelane.sources.camera", **fields})
        except structlog.DropEvent:
            return
        self.passed.append((self.clock.now_s, dict(event)))


@pytest.fixture
def folded() -> Folded:
    return Folded()


def test_fault_that_goes_on_is_logged_at_growing_intervals_with_its_count(folded: Folded) -> None:
    for second in range(7200):
        folded.clock.now_s = float(second)
        folded.say(event="stream_down", stream="lobby", reason="timeout")
    at_s = [at_s for at_s, _ in folded.passed]
    assert at_s == [0, 1, 2, 6, 22, 86, 342, 1366, 4966]
    told = sum(line.get("repeated", 0) + 1 for _, line in folded.passed)
    assert told == 4966 + 1


def test_fault_that_comes_back_after_a_quiet_time_is_new(folded: Folded) -> None:
    for second in range(100):
        folded.clock.now_s = float(second)
        folded.say(event="stream_down", stream="lobby")
    folded.clock.now_s += 700.0
    for _ in range(4):
        folded.say(event="stream_down", stream="lobby")
        folded.clock.now_s += 1.0
    assert [at_s - 799.0 for at_s, _ in folded.passed if at_s >= 799.0] == [0, 1, 2]


def test_five_hundred_dead_cameras_are_bounded_by_the_node(folded: Folded) -> None:
    """Each tries again after 1, 2, 4, ... 60 s, as the default backoff does."""
    due_s = {f"cam{number}": number / 500 for number in range(500)}
    waits_s = dict.fromkeys(due_s, 1.0)
    failures = 0
    for tick in range(36_000):
        folded.clock.now_s = tick / 10
        for stream in [stream for stream, at_s in due_s.items() if at_s <= folded.clock.now_s]:
            folded.say(event="stream_down", stream=stream, reason="unreachable")
            failures += 1
            due_s[stream] = folded.clock.now_s + waits_s[stream]
            waits_s[stream] = min(2 * waits_s[stream], 60.0)
    at_s = [at_s for at_s, _ in folded.passed]
    assert len([at for at in at_s if at < 1.0]) <= 21
    assert max(len([at for at in at_s if begin <= at < begin + 60]) for begin in range(0, 3600, 60)) <= 80
    assert len({line["stream"] for _, line in folded.passed}) == 500, "each is named once"
    assert len([at for at in at_s if at >= 1800.0]) < 1000
    others = sum(line.get("others", 0) for _, line in folded.passed)
    assert 0 < others < failures


def test_other_events_have_an_allowance_of_their_own(folded: Folded) -> None:
    for number in range(100):
        folded.say(event="stream_down", stream=f"cam{number}")
    folded.say(event="sink_failed", sink="mqtt")
    assert [line["event"] for _, line in folded.passed][-1] == "sink_failed"
    assert len(folded.passed) == 21


def test_info_is_folded_only_if_it_names_its_kind(folded: Folded) -> None:
    for _ in range(50):
        folded.say("info", event="config_applied")
    assert len(folded.passed) == 50
    for number in range(500):
        folded.say("info", event="stream_live", stream=f"cam{number}", **{FOLD_KEY: f"live {number}"})
    assert len(folded.passed) == 550, "each of many streams says once that it is live"
    for _ in range(50):
        folded.say("info", event="stream_live", stream="cam1", **{FOLD_KEY: "live 1"})
    assert len(folded.passed) == 550
    assert all(FOLD_KEY not in line for _, line in folded.passed)


def test_faults_that_say_something_else_are_others(folded: Folded) -> None:
    for key in ("mqtt.url", "http.token", "streams[0].url"):
        folded.say(event="config_oddity", key=key, text="a secret in clear text")
    assert len(folded.passed) == 3
    for tries in range(50):
        folded.say(event="spool_failed", sink="spool", error=f"locked for {tries / 10} s, {tries} tries")
    assert len(folded.passed) == 4
