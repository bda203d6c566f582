from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, Literal

import orjson
import pytest
from tests.sinks.examples import WALL_S, YOLOX, FakeClock, checked, node_stats, result

from framelane.config.sections.publish import PublishConfig
from framelane.core.frames import ModelInfo
from framelane.sinks.publisher import Publisher
from framelane.telemetry.objects import ObjectCounter
from framelane.telemetry.sink_health import SinkHealth
from framelane.telemetry.states import NodeState, StreamState

if TYPE_CHECKING:
    from framelane.core.frames import Result
    from framelane.messages.detections import Encoding, Message
    from framelane.sinks.stream_output import StreamOutput

OTHER = ModelInfo("plates", "000000000000", "onnxruntime", ("plate",))


class Collected:
    """A sink that keeps what it is offered."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.stopped: list[tuple[float, Message | None]] = []
        self.started = 0

    def start(self) -> None:
        self.started += 1

    def offer(self, message: Message) -> None:
        self.messages.append(message)

    def stop(self, drain_s: float, farewell: Message | None) -> None:
        self.stopped.append((drain_s, farewell))

    def health(self) -> SinkHealth:
        return SinkHealth("kept", connected=True, queued=0, delivered=0, dropped=0, last_error=None)

    @property
    def bodies(self) -> list[Any]:
        return [checked(message) for message in self.messages]


class Meter:
    """One stream's, that notes in lists of all streams."""

    def __init__(self, stream: str, published: list[tuple[str, float]], left_out: list[str]) -> None:
        self._stream = stream
        self._published = published
        self._left_out = left_out
        self.objects = ObjectCounter()

    def result_left_out(self, reason: str) -> None:
        self._left_out.append(reason)

    def result_published(self, latency_s: float) -> None:
        self._published.append((self._stream, latency_s))


class Rig:
    def __init__(
        self,
        empty: Literal["always", "heartbeat", "never"] = "always",
        max_rate: float | None = None,
        encoding: Encoding = "json",
    ) -> None:
        self.clock = FakeClock()
        self.sinks = [Collected(), Collected()]
        self.published: list[tuple[str, float]] = []
        self.left_out: list[str] = []
        self.options = PublishConfig(empty=empty, heartbeat_s=10.0, max_rate=max_rate)
        self.publisher = Publisher("gate-01", "run-1", self.sinks, self.clock, encoding)
        self.outputs: dict[str, StreamOutput] = {}

    def output(self, stream: str = "lobby") -> StreamOutput:
        if stream not in self.outputs:
            meter: Any = Meter(stream, self.published, self.left_out)
            self.outputs[stream] = self.publisher.open(stream, self.options, meter)
        return self.outputs[stream]

    def publish(self, result: Result) -> None:
        self.output(result.frame.stream).publish(result)

    def follow(self, options: PublishConfig) -> None:
        for output in self.outputs.values():
            output.follow(options)

    def close(self, stream: str) -> None:
        self.publisher.close(stream, self.outputs.pop(stream))

    @property
    def bodies(self) -> list[Any]:
        assert self.sinks[0].messages == self.sinks[1].messages
        return self.sinks[0].bodies


def test_publisher_numbers_each_stream_from_one_without_a_gap() -> None:
    rig = Rig()
    for index in range(3):
        rig.publish(result(index, stream="lobby"))
        rig.publish(result(index, stream="yard"))
    assert [(body["stream"], body["seq"]) for body in rig.bodies] == [
        ("lobby", 1),
        ("yard", 1),
        ("lobby", 2),
        ("yard", 2),
        ("lobby", 3),
        ("yard", 3),
    ]
    assert [stream for stream, _ in rig.published] == ["lobby", "yard"] * 3


def test_publisher_encodes_once_for_all_sinks() -> None:
    rig = Rig()
    rig.publish(result())
    assert rig.sinks[0].messages[0] is rig.sinks[1].messages[0]


@pytest.mark.parametrize(
    ("indexes", "dropped"),
    [
        ([0, 1, 2], [0, 0, 0]),
        ([0, 3, 4], [0, 2, 0]),
        ([5, 6], [5, 0]),  # the first five were never inferred
        ([8, 2, 3], [8, 2, 0]),  # the stream was changed while running: it counts from 0 again
    ],
)
def test_publisher_tells_how_many_frames_were_skipped(indexes: list[int], dropped: list[int]) -> None:
    rig = Rig()
    for index in indexes:
        rig.publish(result(index))
    assert dropped == [body["dropped"] for body in rig.bodies]


def test_publisher_counts_skipped_frames_for_each_model_and_numbers_them_together() -> None:
    rig = Rig()
    for index, model in [(0, YOLOX), (0, OTHER), (1, YOLOX), (4, OTHER), (2, YOLOX)]:
        rig.publish(result(index, model=model))
    assert [(body["seq"], body["dropped"]) for body in rig.bodies] == [(1, 0), (2, 0), (3, 0), (4, 3), (5, 0)]


@pytest.mark.parametrize(
    ("empty", "seconds"),
    [("always", [0, 1, 2, 9, 10, 11, 20]), ("heartbeat", [0, 10, 20]), ("never", [])],
)
def test_publisher_publishes_empty_results_as_told(empty: Any, seconds: list[int]) -> None:
    rig = Rig(empty)
    published = []
    for index, second in enumerate([0, 1, 2, 9, 10, 11, 20]):
        rig.clock.monotonic_s = 100.0 + second
        before = len(rig.published)
        rig.publish(result(index, count=0))
        published += [second] * (len(rig.published) - before)
    assert seconds == published
    assert rig.left_out == ["empty"] * (7 - len(seconds))
    assert list(range(1, len(seconds) + 1)) == [body["seq"] for body in rig.bodies]


def test_publisher_does_not_count_results_left_out_as_skipped_frames() -> None:
    rig = Rig("never")
    for index, count in [(0, 1), (1, 0), (2, 0), (5, 0), (6, 1)]:
        rig.publish(result(index, count))
    assert [(body["seq"], body["dropped"]) for body in rig.bodies] == [(1, 0), (2, 2)]


@pytest.mark.parametrize("jitter_s", [0.0, 0.003])
def test_publisher_thins_evenly_to_the_most_rate_and_numbers_without_a_gap(jitter_s: float) -> None:
    rig = Rig(max_rate=5.0)
    for index in range(250):  # 10 s at 25 frames a second
        rig.clock.monotonic_s = 100.0 + index / 25 + (jitter_s if index % 2 else 0.0)
        rig.publish(result(index))
    assert list(range(1, 51)) == [body["seq"] for body in rig.bodies]
    assert rig.left_out == ["rate"] * 200
    assert {body["dropped"] for body in rig.bodies} == {0}


def test_publisher_does_not_catch_up_on_the_most_rate_after_a_pause() -> None:
    rig = Rig(max_rate=1.0)
    for index, second in enumerate([0.0, 0.5, 60.0, 60.1, 60.2, 61.0]):
        rig.clock.monotonic_s = 100.0 + second
        rig.publish(result(index))
    assert rig.left_out == ["rate"] * 3


def test_publisher_goes_by_the_new_rate_when_a_stream_changes_and_goes_on_numbering() -> None:
    rig = Rig(max_rate=1.0)
    for index in range(3):
        rig.publish(result(index))
    rig.follow(PublishConfig(empty="always"))
    for index in range(3, 5):
        rig.publish(result(index))
    assert rig.left_out == ["rate"] * 2
    assert [body["seq"] for body in rig.bodies] == [1, 2, 3]


def test_publisher_keeps_rate_and_heartbeat_when_a_reload_says_the_same_again() -> None:
    rig = Rig(empty="heartbeat", max_rate=1.0)
    for index in range(6):
        rig.clock.monotonic_s = 100.0 + index / 10
        rig.publish(result(index))
        rig.follow(PublishConfig(empty="heartbeat", heartbeat_s=10.0, max_rate=1.0))
    assert rig.left_out == ["rate"] * 5


def test_publisher_limits_the_rate_of_each_stream_and_model() -> None:
    rig = Rig(max_rate=1.0)
    for stream, model in [("lobby", YOLOX), ("lobby", OTHER), ("yard", YOLOX), ("yard", YOLOX)]:
        rig.publish(result(0, stream=stream, model=model))
    assert rig.left_out == ["rate"]


@pytest.mark.parametrize(
    ("empty", "max_rate", "told"),
    [
        ("always", None, [1, 1, 0, 0, 0, 1, 0]),
        ("always", 1.0, [1, 0, 1, 0]),  # due at 0.0 and 1.0 s; and each time that it leaves
        ("heartbeat", None, [1, 1, 0, 1, 0]),
        ("heartbeat", 1.0, [1, 0, 1, 0]),
        ("never", 1.0, [1, 1]),
    ],
)
def test_publisher_tells_at_once_that_objects_have_left(
    empty: Any, max_rate: float | None, told: list[int]
) -> None:
    rig = Rig(empty, max_rate)
    for index, count in enumerate([1, 1, 0, 0, 0, 1, 0]):
        rig.clock.monotonic_s = 100.0 + 0.2 * index
        rig.publish(result(index, count))
    assert told == [len(body["detections"]) for body in rig.bodies]
    assert list(range(1, len(told) + 1)) == [body["seq"] for body in rig.bodies]


def test_publisher_has_nothing_to_tell_of_objects_it_never_told_of() -> None:
    rig = Rig(max_rate=1.0)
    for index, count in enumerate([0, 1, 0]):
        rig.clock.monotonic_s = 100.0 + 0.2 * index
        rig.publish(result(index, count))
    assert [len(body["detections"]) for body in rig.bodies] == [0]


@pytest.mark.parametrize("encoding", ["json", "msgpack"])
def test_publisher_encodes_detections_as_told_and_all_else_as_json(encoding: Encoding) -> None:
    rig = Rig(encoding=encoding)
    rig.publish(result())
    rig.publisher.publish_state(StreamState("lobby", "live", "ok", "frames arrive", WALL_S))
    assert [message.encoding for message in rig.sinks[0].messages] == [encoding, "json"]


def test_publisher_beats_for_each_stream_and_model() -> None:
    rig = Rig("heartbeat")
    for stream, model in [("lobby", YOLOX), ("lobby", OTHER), ("yard", YOLOX), ("yard", YOLOX)]:
        rig.publish(result(0, count=0, stream=stream, model=model))
    assert [(body["stream"], body["model"]["name"]) for body in rig.bodies] == [
        ("lobby", "yolox"),
        ("lobby", "plates"),
        ("yard", "yolox"),
    ]


@pytest.mark.parametrize(
    ("clock", "captured_ago_s", "total_ms"),
    [
        ("receive", 0.05, 50.0),
        ("rtcp", 0.25, 250.0),
        (
            "rtcp",
            -5.0,
            30.0,
        ),  # the camera's clock is ahead: what we know is that the frame is here since 30 ms
        ("rtcp", 3600.0, 30.0),
        ("media", 7200.0, 30.0),
    ],
)
def test_publisher_tells_latency_from_capture_when_the_clock_allows(
    clock: str, captured_ago_s: float, total_ms: float
) -> None:
    rig = Rig()
    rig.clock.advance(0.03)
    captured_at = rig.clock.wall_s - captured_ago_s
    rig.publish(result(clock=clock, captured_at=captured_at))
    assert total_ms == rig.bodies[0]["latency_ms"]["total"]
    assert pytest.approx(total_ms / 1e3, abs=1e-6) == rig.published[0][1]


def test_publisher_keeps_the_order_of_a_stream_when_two_models_publish_at_once() -> None:
    rig = Rig()

    def publish(model: ModelInfo) -> None:
        for index in range(300):
            rig.publish(result(index, model=model))

    threads = [threading.Thread(target=publish, args=(model,)) for model in (YOLOX, OTHER)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    numbers = [orjson.loads(message.payload)["seq"] for message in rig.sinks[0].messages]
    assert list(range(1, 601)) == numbers


def test_publisher_sends_states_and_statistics() -> None:
    rig = Rig()
    rig.publisher.publish_state(StreamState("lobby", "live", "ok", "frames arrive", WALL_S))
    rig.publisher.publish_status(NodeState("online", "ok", "all streams are live", WALL_S, 1, 1))
    rig.publisher.publish_stats(node_stats())
    schemas = [body["schema"] for body in rig.bodies]
    assert schemas == [
        "framelane.state/1",
        "framelane.status/1",
        "framelane.stats/1",
        "framelane.node-stats/1",
    ]
    assert [sink["name"] for sink in rig.bodies[-1]["sinks"]] == ["kept", "kept"]


def test_publisher_keeps_offline_until_it_stops() -> None:
    rig = Rig()
    rig.publisher.publish_status(NodeState("offline", "stopping", "SIGTERM", WALL_S))
    rig.publish(result())
    rig.publisher.stop(5.0)
    assert [body["schema"] for body in rig.bodies] == ["framelane.detections/1"]
    for sink in rig.sinks:
        drain_s, farewell = sink.stopped[0]
        assert farewell is not None
        assert (drain_s, checked(farewell)["state"], checked(farewell)["text"]) == (5.0, "offline", "SIGTERM")


def test_publisher_says_goodbye_when_nobody_told_it_why_it_stops() -> None:
    rig = Rig()
    rig.publisher.start()
    rig.publisher.stop(1.0)
    assert [sink.started for sink in rig.sinks] == [1, 1]
    _, farewell = rig.sinks[0].stopped[0]
    assert farewell is not None
    assert tuple(checked(farewell)[key] for key in ("state", "reason")) == ("offline", "stopping")


def test_publisher_says_no_farewell_where_another_process_speaks_for_the_node() -> None:
    sink = Collected()
    Publisher("gate-01", "run-1", [sink], FakeClock(), farewell=False).stop(5.0)
    assert sink.stopped == [(5.0, None)]


def test_sequence_goes_on_when_a_removed_stream_returns() -> None:
    rig = Rig()
    for index in range(3):
        rig.publish(result(index=index))
    rig.close("lobby")
    rig.publish(result(index=0))
    assert [body["seq"] for body in rig.bodies] == [1, 2, 3, 4]
    assert rig.bodies[-1]["dropped"] == 0


def test_results_of_a_removed_stream_go_nowhere_and_take_no_number() -> None:
    rig = Rig()
    old = rig.output()
    rig.publish(result(index=0))
    rig.close("lobby")
    old.publish(result(index=1))
    rig.publish(result(index=0))
    assert [body["seq"] for body in rig.bodies] == [1, 2]
    assert len(rig.published) == 2


def test_number_is_used_once_when_a_stream_is_removed_within_a_publish() -> None:
    rig = Rig()
    rig.publish(result(index=0))
    old = rig.output()
    late = threading.Thread(target=old.publish, args=[result(index=1)])
    with old._lock:
        late.start()
        time.sleep(0.1)
        closing = threading.Thread(target=rig.close, args=["lobby"])
        closing.start()
        time.sleep(0.1)
    late.join()
    closing.join()
    rig.publish(result(index=0))
    seqs = [body["seq"] for body in rig.bodies]
    assert seqs == list(range(1, len(seqs) + 1))


def test_only_the_latest_of_removed_streams_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("framelane.sinks.publisher._MOST_REMEMBERED", 2)
    rig = Rig()
    for stream in ("a", "b", "c"):
        rig.publish(result(stream=stream))
        rig.close(stream)
    assert rig.publisher._left == {"b": 1, "c": 1}


def test_removed_stream_takes_its_retained_state_back() -> None:
    rig = Rig()
    rig.publisher.publish_removed("lobby")
    (message,) = rig.sinks[0].messages
    assert (message.kind, message.stream, message.payload, message.retain) == ("state", "lobby", b"", True)
