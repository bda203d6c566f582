from __future__ import annotations

import time
from typing import TYPE_CHECKING

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from structlog.testing import capture_logs
from tests.neighbours.mosquitto import Mosquitto
from tests.sinks.examples import FakeClock, detections
from tests.sinks.mqtt.fake_broker import FakeBroker, Manner
from tests.waiting import wait_until

from framelane.core.backoff import Backoff
from framelane.sinks.mqtt import id_conflict
from framelane.sinks.mqtt.id_conflict import ClientIdConflict

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.sinks.conftest import WatchedSink

    Start = Callable[..., WatchedSink]

SEEMS = "another client seems to use the id 'same' too"
SEEMED = "another client seems to have used the id 'same' too"
TAKEN_OVER = b"\xe0\x01\x8e"


@pytest.fixture
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(id_conflict, "_FIRST_S", 1.0)
    monkeypatch.setattr(id_conflict, "_MOST_S", 1.0)


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
            sink.watch.wait(
                connected=True, text=SEEMED
            )  # and the node is not well at once when it is connected
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
    rival = ClientIdConflict("mqtt://broker", "same", clock)
    for reason, lived_s in lives:
        if lived_s is not None:
            rival.began()
            clock.advance(lived_s)
        rival.ended(reason)
    assert rival.suspected is suspected


def test_waits_for_a_rival_grow_when_it_does_not_leave_and_begin_anew_when_a_connection_lasts() -> None:
    clock = FakeClock()
    rival = ClientIdConflict("mqtt://broker", "same", clock)
    rival.ended("taken_over")
    waits = [rival.wait_s() for _ in range(16)]
    assert max(waits[:10]) <= 3
    assert 10 < waits[13] <= max(waits) <= 60
    rival.began()
    clock.advance(119)
    assert rival.suspected
    clock.advance(1)
    rival.ended("lost")
    assert (rival.suspected, rival.wait_s() <= 3) == (False, True)


@pytest.mark.parametrize("waits", [1, 3, 16])
def test_rival_seems_to_have_left_when_it_would_have_come_back(waits: int) -> None:
    clock = FakeClock()
    rival = ClientIdConflict("mqtt://broker", "same", clock)
    rival.ended("taken_over")
    wait_s = [rival.wait_s() for _ in range(waits)][-1]
    rival.began()
    clock.advance(wait_s)  # one that waits as long as we do is not back yet
    assert not rival.calm
    assert rival.past_text.startswith("mqtt://broker: another client used the id 'same' too: give each node")
    clock.advance(max(wait_s, 3.0) / 2 + 3.0)
    assert rival.calm
    rival.ended("lost")  # but should it come back, that is no first strike
    assert rival.suspected


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_node_is_well_within_ten_seconds_after_a_rival_has_left(
    tmp_path: Path, start: Start, protocol: str
) -> None:
    with Mosquitto(tmp_path) as broker:
        sink = start(broker.url, protocol=protocol, client_id="same", backoff=Backoff(1.0, 1.0))
        sink.watch.wait(connected=True)
        rival = mqtt.Client(CallbackAPIVersion.VERSION2, "same")
        rival.reconnect_delay_set(1, 1)
        rival.connect("127.0.0.1", broker.port)
        rival.loop_start()
        sink.watch.wait(connected=False, text=SEEMS, timeout_s=30)
        rival.disconnect()
        rival.loop_stop()
        left_s = time.monotonic()
        wait_until(lambda: sink.watch.seen[-1] == (True, ""))
        assert time.monotonic() - left_s < 10
        assert SEEMED in sink.watch.wait(connected=True, text=SEEMED)


@pytest.mark.usefixtures("short_waits")
def test_rival_is_recognised_when_a_broker_breaks_mqtt_3_1_1_to_say_goodbye(start: Start) -> None:
    """mochi sends DISCONNECT at a takeover, which MQTT 3.1.1 does not allow."""
    goodbye = Manner(lives_s=0.2, last_word=b"\xe0\x00")
    with FakeBroker([goodbye] * 4 + [Manner()]) as broker:
        sink = start(broker.url, protocol="3.1.1", client_id="same")
        sink.watch.wait(connected=False, text=SEEMS)
        wait_until(lambda: sink.watch.seen[-1] == (True, ""))
        assert not any("accept the broker's" in text for _, text in sink.watch.seen)
