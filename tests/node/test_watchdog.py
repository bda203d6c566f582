"""When the watchdog is fed and what the status line says, with the node faked."""

from __future__ import annotations

import os

import pytest
from tests.telemetry.conftest import FakeClock

from framelane.node.watchdog import Watchdog, watchdog_s
from framelane.telemetry.health import Health


class FakeNode:
    """Fares as it is told to."""

    def __init__(self) -> None:
        self.health = Health()
        self.words = "2 of 2 streams live"

    def liveness(self) -> Health:
        return self.health

    def headline(self) -> str:
        return self.words


def watchdog(node: FakeNode, clock: FakeClock, told: list[str], usec: str = "20000000") -> Watchdog:
    return Watchdog(node, clock, {"WATCHDOG_USEC": usec}, told.append)


def test_watchdog_is_fed_four_times_in_its_time() -> None:
    told: list[str] = []
    clock = FakeClock()
    dog = watchdog(FakeNode(), clock, told)
    for _ in range(40):
        dog.look()
        clock.advance(0.5)
    assert told.count("WATCHDOG=1") == 4


def test_watchdog_starves_while_the_node_is_wedged_and_is_fed_once_it_gets_on() -> None:
    told: list[str] = []
    clock, node = FakeClock(), FakeNode()
    dog = watchdog(node, clock, told)
    for reasons in ((), ("thread mqtt hangs",), ("thread mqtt hangs",), ()):
        node.health = Health(reasons)
        dog.look()
        clock.advance(10.0)
    assert told == [
        "WATCHDOG=1",
        "STATUS=2 of 2 streams live",
        "STATUS=wedged: thread mqtt hangs",
        "WATCHDOG=1",
        "STATUS=2 of 2 streams live",
    ]


def test_status_is_told_when_it_is_news_and_without_a_watchdog_too() -> None:
    told: list[str] = []
    node = FakeNode()
    dog = watchdog(node, FakeClock(), told, usec="")
    for words in ("1 of 2 streams live", "1 of 2 streams live", "2 of 2 streams live"):
        node.words = words
        dog.look()
    assert told == ["STATUS=1 of 2 streams live", "STATUS=2 of 2 streams live"]


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_watchdog_s_is_what_systemd_says_to_this_process(
    environ: dict[str, str], expected: float | None
) -> None:
    assert watchdog_s(environ) == expected
