"""One stream's numbers and latencies; what a publisher makes of several is in test_publisher."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.sinks.examples import ORIGIN, WALL_S, FakeClock, checked, result

from framelane.config.sections.publish import PublishConfig
from framelane.sinks.stream_output import StreamOutput
from framelane.telemetry.meters import StreamMeter

if TYPE_CHECKING:
    from framelane.core.clock import Clock
    from framelane.messages.detections import Encoding, Message


class Sender:
    """Keeps what it is to send."""

    def __init__(self) -> None:
        self.origin = ORIGIN
        self.time = FakeClock()
        self.clock: Clock = self.time
        self.encoding: Encoding = "json"
        self.messages: list[Message] = []

    def offer(self, message: Message) -> None:
        self.messages.append(message)

    @property
    def bodies(self) -> list[Any]:
        return [checked(message) for message in self.messages]


def output_of(sender: Sender, seq: int = 0, **publish: Any) -> tuple[StreamOutput, StreamMeter]:
    meter = StreamMeter("lobby")
    return StreamOutput(sender, PublishConfig(**publish), meter, seq), meter


def test_publish_goes_on_from_the_last_number() -> None:
    sender = Sender()
    output, _ = output_of(sender, seq=41)
    for index in range(2):
        output.publish(result(index))
    assert [body["seq"] for body in sender.bodies] == [42, 43]
    assert output.close() == 43


def test_objects_are_counted_whether_the_result_is_published_or_not() -> None:
    output, meter = output_of(Sender(), empty="never")
    for index, count in [(0, 2), (1, 0)]:
        output.publish(result(index, count))
    assert meter.objects.counts().per_frame_since(None) == {"person": 0.5, "bicycle": 0.5}


def test_publish_uses_no_number_and_keeps_the_dropped_when_a_result_is_left_out() -> None:
    sender = Sender()
    output, meter = output_of(sender, empty="never")
    for index, count in [(0, 1), (3, 0), (5, 1)]:
        output.publish(result(index, count))
    assert [(body["seq"], body["dropped"]) for body in sender.bodies] == [(1, 0), (2, 3)]
    counts = meter.snapshot()
    assert (counts.published, counts.left_out["empty"]) == (2, 1)


def test_publish_does_nothing_after_close() -> None:
    sender = Sender()
    output, meter = output_of(sender, seq=7)
    assert output.close() == 7
    output.publish(result())
    assert (sender.messages, meter.snapshot().published, output.close()) == ([], 0, 7)


def test_follow_holds_for_models_seen_and_unseen() -> None:
    sender = Sender()
    output, meter = output_of(sender)
    output.publish(result(0, count=0))
    output.follow(PublishConfig(empty="never"))
    output.publish(result(1, count=0))
    assert (len(sender.messages), meter.snapshot().left_out["empty"]) == (1, 1)


@pytest.mark.parametrize(
    ("clock", "captured_ago_s", "expected_ms"),
    [
        ("receive", 0.05, 50.0),
        ("receive", 0.02, 20.0),
        ("rtcp", 0.0199, 20.0),
        ("rtcp", 60.0, 60_000.0),
        ("rtcp", 60.1, 20.0),
        ("playlist", 4.0, 4000.0),
        ("media", 4.0, 20.0),
    ],
)
def test_latency_is_since_the_capture_when_the_clocks_agree(
    clock: str, captured_ago_s: float, expected_ms: float
) -> None:
    sender = Sender()
    output, _ = output_of(sender)
    # 20 ms after the frame was in hand.
    sender.time.monotonic_s += 0.02
    output.publish(result(clock=clock, captured_at=WALL_S - captured_ago_s))
    assert expected_ms == pytest.approx(sender.bodies[0]["latency_ms"]["total"], abs=0.01)
