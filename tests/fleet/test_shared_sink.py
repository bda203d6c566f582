"""A sink's health, of all processes together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.sinks.examples import FAREWELL

from framelane.fleet.shared_sink import SharedSink, sum_counts
from framelane.telemetry.sink_health import SinkHealth, SpoolHealth

if TYPE_CHECKING:
    from framelane.messages.detections import Message


def health(**values: Any) -> SinkHealth:
    common: dict[str, Any] = {
        "connected": True,
        "queued": 0,
        "delivered": 0,
        "dropped": 0,
        "last_error": None,
    }
    return SinkHealth("mqtt", **{**common, **values})


class Own:
    """Notes what it is told."""

    def __init__(self, **values: Any) -> None:
        self.told: list[Any] = []
        self._health = health(**values)

    def start(self) -> None:
        self.told.append("start")

    def offer(self, message: Message) -> None:
        self.told.append(message)

    def stop(self, drain_s: float, farewell: Message | None) -> None:
        self.told.append((drain_s, farewell))

    def health(self) -> SinkHealth:
        return self._health


def test_everything_but_health_goes_to_the_own_sink() -> None:
    own = Own(queued=3)
    sink = SharedSink(own, lambda: [health(queued=4)])
    sink.start()
    sink.offer(FAREWELL)
    sink.stop(5.0, FAREWELL)
    assert own.told == ["start", FAREWELL, (5.0, FAREWELL)]
    assert sink.own_health().queued == 3


def test_health_is_summed_over_all() -> None:
    sink = SharedSink(
        Own(queued=1, delivered=10, dropped=2, dropped_by={"size": 2}),
        lambda: [
            health(queued=2, delivered=20, dropped=1, dropped_by={"age": 1}),
            health(queued=4, delivered=40, dropped=5, dropped_by={"size": 4, "age": 1}),
        ],
    )
    assert sink.health() == health(queued=7, delivered=70, dropped=8, dropped_by={"size": 6, "age": 2})


@pytest.mark.parametrize(
    ("own", "others", "connected", "error", "full"),
    [
        ({}, [], True, None, False),
        ({}, [{"connected": False, "last_error": "gone"}], False, "gone", False),
        ({"connected": False, "last_error": "mine"}, [{"last_error": "gone"}], False, "mine", False),
        ({}, [{}, {"full": True}], True, None, True),
    ],
)
def test_health_tells_of_any_trouble(
    own: dict[str, Any], others: list[dict[str, Any]], error: str | None, *, connected: bool, full: bool
) -> None:
    found = SharedSink(Own(**own), lambda: [health(**each) for each in others]).health()
    assert (connected, error, full) == (found.connected, found.last_error, found.full)


@pytest.mark.parametrize(
    ("spools", "expected"),
    [
        ([None, None], None),
        ([None, SpoolHealth(2, 4096)], SpoolHealth(2, 4096)),
        (
            [
                SpoolHealth(1, 10, 5.0),
                SpoolHealth(2, 20, 7.5, "the disk is full", full=True),
                SpoolHealth(4, 40),
            ],
            SpoolHealth(7, 70, 7.5, "the disk is full", full=True),
        ),
    ],
)
def test_health_of_spools_is_that_of_the_oldest_and_fullest(
    spools: list[SpoolHealth | None], expected: SpoolHealth | None
) -> None:
    own, *others = spools
    assert (
        expected == SharedSink(Own(spool=own), lambda: [health(spool=each) for each in others]).health().spool
    )


def test_sum_counts_of_nothing_is_empty() -> None:
    assert sum_counts([]) == sum_counts([{}, {}]) == {}
