"""What is held back from a broker that hangs up over it, and when it is tried again."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs
from tests.sinks.examples import FakeClock, detections, state

from framelane.sinks.mqtt.quarantine import Quarantine

TOPIC, OTHER = "f/gate/streams/a/state", "f/gate/streams/b/state"
STATE, DETECTIONS = state(), detections(1)
HELD = "it closes the connection each time that something is published there"


class Rig:
    def __init__(self) -> None:
        self.clock = FakeClock(1000.0)
        self.quarantine = Quarantine(self.clock)

    def hold(self, topic: str = TOPIC, size: int = 0) -> None:
        self.quarantine.add(STATE, topic, size)

    def reason(self, topic: str = TOPIC, size: int = 100, largest: int = 0) -> str | None:
        return self.quarantine.reason(topic, size, largest)

    def wait_for_trial(self) -> float:
        """Seconds until the next trial begins."""
        began_s = self.clock.monotonic_s
        while self.clock.monotonic_s - began_s < 10_000:
            again_s = self.quarantine._again_s
            self.quarantine.next_trial()
            if self.quarantine._again_s != again_s:
                return self.clock.monotonic_s - began_s
            self.clock.advance(10.0)
        return float("inf")


def test_nothing_is_held_back_at_first() -> None:
    rig = Rig()
    assert not rig.quarantine
    assert (rig.reason(), rig.quarantine.trouble, rig.quarantine.by_size) == (None, "", False)
    assert (rig.quarantine.next_trial(), rig.quarantine.is_new(TOPIC, STATE)) == (None, True)


def test_a_topic_is_held_back_and_others_are_not() -> None:
    rig = Rig()
    rig.hold()
    assert rig.quarantine
    assert (rig.reason(), rig.reason(OTHER)) == (HELD, None)
    assert (rig.quarantine.has_kind("state"), rig.quarantine.has_kind("stats")) == (True, False)
    assert rig.quarantine.trouble == (
        f"the broker closes the connection over messages on {TOPIC}: they are left out"
    )


def test_trouble_counts_further_topics() -> None:
    rig = Rig()
    for number in range(3):
        rig.hold(f"t{number}")
    assert rig.quarantine.trouble == (
        "the broker closes the connection over messages on t0 and 2 more topics: they are left out"
    )


@pytest.mark.parametrize(
    ("size", "largest", "held"), [(499, 499, False), (500, 0, True), (499, 500, True), (501, 600, True)]
)
def test_a_topic_is_held_back_from_a_size_until_larger_packets_pass(
    size: int, largest: int, *, held: bool
) -> None:
    """If the broker takes larger packets, the topic is to blame and not its size."""
    rig = Rig()
    rig.hold(size=500)
    assert rig.quarantine.by_size
    assert held is (rig.reason(size=size, largest=largest) is not None)


@pytest.mark.parametrize(
    ("sizes", "expected"), [([500, 300], 300), ([300, 500], 300), ([0, 500], 500), ([500, 0], 0)]
)
def test_add_keeps_the_smallest_size(sizes: list[int], expected: int) -> None:
    rig = Rig()
    for size in sizes:
        rig.hold(size=size)
    assert expected == rig.quarantine._topics[TOPIC].size


def test_limit_to_holds_back_packets_of_the_smallest_size_and_larger() -> None:
    rig = Rig()
    for size in (900, 700, 800):
        rig.quarantine.limit_to(size)
    assert rig.reason(size=699) is None
    assert rig.reason(OTHER, 700) == (
        "it closes the connection over packets as large as this one of 700 bytes"
    )


def test_trouble_forgets_a_size_when_no_such_packet_has_come_for_a_minute() -> None:
    rig = Rig()
    rig.quarantine.limit_to(700)
    sentence = "the broker closes the connection over packets of 700 bytes: such are left out"
    rig.clock.advance(59.9)
    assert rig.quarantine.trouble == sentence
    rig.reason(size=800)
    rig.clock.advance(59.9)
    assert rig.quarantine.trouble == sentence
    rig.clock.advance(0.1)
    assert (rig.quarantine.trouble, bool(rig.quarantine)) == ("", True)


def test_is_new_knows_a_message_that_comes_again() -> None:
    rig = Rig()
    rig.hold()
    other = state("down")
    assert [rig.quarantine.is_new(TOPIC, each) for each in (STATE, other, other, STATE)] == [
        False,
        True,
        False,
        True,
    ]


def test_trials_follow_after_ten_twenty_and_forty_minutes_and_then_every_hour() -> None:
    rig = Rig()
    rig.hold()
    waits = []
    for _ in range(5):
        waits.append(rig.wait_for_trial())
        assert rig.quarantine.tries(TOPIC)
        assert rig.reason() is None
        rig.hold()
        assert not rig.quarantine.tries(TOPIC)
        assert rig.reason() == HELD
    assert waits == [600, 1200, 2400, 3600, 3600]


def test_a_further_topic_does_not_put_the_trial_off() -> None:
    rig = Rig()
    rig.hold()
    rig.clock.advance(500.0)
    rig.hold(OTHER)
    assert rig.wait_for_trial() == 100


def test_next_trial_returns_retained_messages_to_be_sent_again() -> None:
    rig = Rig()
    rig.hold()
    rig.clock.advance(600.0)
    assert rig.quarantine.next_trial() is STATE
    assert rig.quarantine.next_trial() is None
    rig = Rig()
    rig.quarantine.add(DETECTIONS, "f/gate/streams/a/detections", 0)
    rig.clock.advance(600.0)
    assert rig.quarantine.next_trial() is None
    assert rig.quarantine.tries("f/gate/streams/a/detections")


def test_next_trial_goes_on_to_another_topic_when_no_message_comes_for_a_minute() -> None:
    rig = Rig()
    rig.hold()
    rig.hold(OTHER)
    rig.quarantine.limit_to(700)
    rig.clock.advance(600.0)
    tried = []
    for _ in range(5):
        rig.quarantine.next_trial()
        tried.append(rig.quarantine._trial)
        rig.clock.advance(60.0)
    assert tried == ["#", TOPIC, "#", OTHER, "#"]


def test_a_large_packet_is_tried_on_any_topic() -> None:
    rig = Rig()
    rig.quarantine.limit_to(700)
    rig.clock.advance(600.0)
    assert rig.quarantine.next_trial() is None
    assert rig.quarantine.tries("anything")
    assert rig.reason(OTHER, 800) is None


def test_taken_frees_a_topic_and_tries_the_next_at_once() -> None:
    rig = Rig()
    rig.hold()
    rig.hold(OTHER)
    assert rig.wait_for_trial() == 600
    with capture_logs() as logs:
        rig.quarantine.taken(TOPIC, 100)
    assert [(log["event"], log["topic"]) for log in logs] == [("mqtt_taken_again", TOPIC)]
    assert (rig.reason(), rig.wait_for_trial()) == (None, 0)
    assert rig.quarantine.tries(OTHER)
    rig.quarantine.taken(OTHER, 100)
    assert not rig.quarantine
    assert rig.wait_for_trial() == float("inf")


def test_taken_holds_back_the_size_when_a_small_packet_shows_that_the_topic_is_not_the_reason() -> None:
    rig = Rig()
    rig.hold(size=500)
    rig.quarantine.taken(TOPIC, 499)
    assert rig.quarantine.has_kind("state") is False
    assert (rig.reason(OTHER, 499), rig.reason(OTHER, 500) is None) == (None, False)


@pytest.mark.parametrize(("size", "freed"), [(699, False), (700, True), (900, True)])
def test_taken_lifts_the_limit_when_the_packet_was_as_large(size: int, *, freed: bool) -> None:
    rig = Rig()
    rig.quarantine.limit_to(700)
    rig.quarantine.taken(OTHER, size)
    assert freed is not bool(rig.quarantine)


def test_retry_soon_tries_at_once_and_waits_ten_minutes_again() -> None:
    rig = Rig()
    rig.hold()
    rig.wait_for_trial()
    rig.hold()
    rig.quarantine.retry_soon()
    assert rig.wait_for_trial() == 0
    rig.hold()
    assert rig.wait_for_trial() == 1200
