from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs
from tests.neighbours.mosquitto import Mosquitto
from tests.sinks.examples import FakeClock, detections
from tests.sinks.fake_broker import FakeBroker, Manner
from tests.waiting import wait_until

from framelane.core.backoff import Backoff
from framelane.sinks import rivalry
from framelane.sinks.rivalry import Rivalry

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.sinks.conftest import WatchedSink

    Start = Callable[..., WatchedSink]

SEEMS = "another client seems to use the id 'same' too"
TAKEN_OVER = b"\xe0\x01\x8e"


@pytest.fixture
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rivalry, "_FIRST_S", 1.0)
    monkeypatch.setattr(rivalry, "_MOST_S", 1.0)
    monkeypatch.setattr(rivalry, "_LONG_S", 5.0)


@pytest.mark.usefixtures("short_waits")
@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_two_sinks_with_one_id_say_so_and_take_turns(tmp_path: Path, start: Start, protocol: str) -> None:
    with Mosquitto(tmp_path) as broker, capture_logs() as logs:
        two = [start(broker.url, protocol=protocol, client_id="same") for _ in range(2)]
        for sink in two:
            sink.watch.wait(connected=False, text=SEEMS)
        fights = broker.log.count("already connected")
        began_s = time.monotonic()
        for sink in two:
            sink.offer(detections(1))
        for sink in two:  # neither is shut out
            wait_until(lambda sink=sink: sink.health().delivered == 1)  # type: ignore[misc]
            sink.watch.wait(connected=True, text=SEEMS)  # and the node is not well while it is connected
        took_s = time.monotonic() - began_s
        assert broker.log.count("already connected") - fights <= 2 * (took_s / 0.75 + 1)  # not ten a second
        two[0].stop(1.0, None)
        wait_until(lambda: two[1].health().last_error is None)
    said = [log for log in logs if log["event"] == "sink_failed" and log["reason"] == "taken_over"]
    assert all("give each node its own node.id, or set mqtt.client_id" in log["error"] for log in said)
    assert 1 <= len(said) <= 4


@pytest.mark.usefixtures("short_waits")
def test_sink_yields_at_once_when_the_broker_says_that_its_session_was_taken_over(start: Start) -> None:
    with FakeBroker([Manner(cut_after=1, last_word=TAKEN_OVER), Manner()]) as broker:
        sink = start(broker.url, backoff=Backoff(0.001, 0.001))
        sink.offer(detections(1))
        said = sink.watch.wait(
            connected=False, text="another client uses the id 'framelane-gate-01' too: give"
        )
        began_s = time.monotonic()
        assert "seems" not in said
        sink.watch.wait(connected=True, count=2)
        assert time.monotonic() - began_s > 0.5


@pytest.mark.parametrize(
    ("lives", "suspected"),
    [
        ([("lost", 1.0)] * 2, False),
        ([("lost", 1.0)] * 3, True),
        ([("lost", 90.0)] * 3, True),  # as long as two rivals may let each other live
        ([("lost", 1.0)] * 2 + [("lost", 121.0), ("lost", 1.0)], False),
        ([("lost", 1.0)] * 2 + [("refused", None), ("lost", 1.0)], False),  # the broker starts anew
        ([("lost", 1.0)] * 2 + [("silent", 1.0), ("lost", 1.0)], False),
        ([("unreachable", None)] * 5, False),
        ([("taken_over", 1000.0)], True),
    ],
)
def test_rival_is_suspected_when_connections_are_made_and_lost_in_a_row(
    lives: list[tuple[str, float | None]], *, suspected: bool
) -> None:
    clock = FakeClock()
    rival = Rivalry("mqtt://broker", "same", clock)
    for reason, lived_s in lives:
        if lived_s is not None:
            rival.began()
            clock.advance(lived_s)
        rival.ended(reason)
    assert rival.suspected is suspected


def test_waits_for_a_rival_grow_and_begin_anew_when_a_connection_lasts() -> None:
    clock = FakeClock()
    rival = Rivalry("mqtt://broker", "same", clock)
    rival.ended("taken_over")
    waits = [rival.wait_s() for _ in range(6)]
    assert waits[0] < 10 < waits[2]
    assert max(waits) <= 60
    rival.began()
    assert not rival.outlived()
    clock.advance(120)
    assert rival.outlived()
    assert (rival.suspected, rival.wait_s() < 10) == (False, True)
