"""A message over which the broker hangs up: found, counted and left out, and no other with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs
from tests.neighbours.mosquitto import Mosquitto, MosquittoOptions
from tests.neighbours.subscriber import Subscriber
from tests.sinks.examples import detections, seqs, state
from tests.waiting import wait_until

from framelane.sinks import rivalry
from framelane.sinks.backlog import Entry
from framelane.sinks.message import Message
from framelane.sinks.outbox import Parcel
from framelane.sinks.poison import Poison

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.sinks.conftest import WatchedSink

    Start = Callable[..., WatchedSink]

LARGEST = 20_000


def parcel(payload: bytes) -> Parcel:
    message = Message("detections", "lobby", payload, retain=False)
    return Parcel(message, Entry(message, 0.0))


def lost(poison: Poison, *in_flight: Parcel, works: bool = True) -> Parcel | None:
    poison.began()
    if works:
        poison.settled(Parcel(state()))
    return poison.lost(in_flight)


def test_message_is_guilty_that_is_alone_in_flight_three_times() -> None:
    poison, bad = Poison(), parcel(b"bad")
    assert [lost(poison, bad), lost(poison, bad), lost(poison, bad)] == [None, None, bad]


@pytest.mark.parametrize("between", [(), (parcel(b"bad"), parcel(b"good"))])
def test_what_is_lost_with_others_or_with_nothing_proves_nothing(between: tuple[Parcel, ...]) -> None:
    poison, bad = Poison(), parcel(b"bad")
    assert [lost(poison, *between) for _ in range(9)] == [None] * 9
    assert [lost(poison, bad), lost(poison, *between), lost(poison, bad), lost(poison, bad)] == [
        None, None, None, bad,
    ]  # fmt: skip


def test_no_message_is_guilty_of_a_broker_that_takes_nothing() -> None:
    poison, bad = Poison(), parcel(b"bad")
    assert [lost(poison, bad, works=False) for _ in range(9)] == [None] * 9


def test_another_one_that_is_lost_alone_clears_the_first() -> None:
    poison, one, other = Poison(), parcel(b"one"), parcel(b"other")
    assert [lost(poison, each) for each in (one, one, other, one, one)] == [None] * 5


@pytest.mark.timeout(120)
def test_sink_leaves_out_what_the_broker_hangs_up_on_and_delivers_the_rest(
    tmp_path: Path, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rivalry, "_FIRST_S", 0.2)
    monkeypatch.setattr(rivalry, "_MOST_S", 0.2)
    options = MosquittoOptions(largest=LARGEST)
    with (
        Mosquitto(tmp_path / "small", options) as broker,
        Subscriber(broker.url, "framelane/#") as subscriber,
        capture_logs() as logs,
    ):
        sink = start(broker.url, protocol="3.1.1")
        sink.offer(state())
        large = detections(11)
        padded = large.payload.replace(b'{"', b'{"pad":"' + b"x" * LARGEST + b'","', 1)
        for seq in range(1, 21):
            sink.offer(detections(seq) if seq != 11 else Message("detections", "lobby", padded, retain=False))
        wait_until(lambda: sink.health().queued == 0)
        found = subscriber.wait_for_count(19, predicate=lambda each: each.topic.endswith("/detections"))
        assert sorted(set(seqs([each.payload for each in found]))) == [*range(1, 11), *range(12, 21)]
        assert sink.health().dropped_by["refused"] == 1
    refusals = [log["error"] for log in logs if log.get("reason") == "refused"]
    assert len(refusals) == 1
    assert "it closes the connection each time that this one of" in refusals[0]
