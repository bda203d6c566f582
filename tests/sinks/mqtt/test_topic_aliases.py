from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.neighbours.mosquitto import Mosquitto
from tests.neighbours.subscriber import Subscriber
from tests.sinks.examples import detections, seqs, state
from tests.sinks.mqtt.fake_broker import FakeBroker, Manner

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.sinks.conftest import WatchedSink

    Start = Callable[..., WatchedSink]


def topic(stream: str) -> str:
    return f"framelane/gate-01/streams/{stream}/detections"


def test_sink_sends_a_topic_once_when_the_broker_allows_aliases(start: Start) -> None:
    with FakeBroker([Manner(alias_maximum=2)]) as broker:
        sink = start(broker.url)
        sink.watch.wait(connected=True)
        for seq in (1, 2):
            sink.offer(state())
            broker.wait_for_publishes(4 * seq - 3)
            for stream in ("a", "b", "c"):
                sink.offer(detections(seq, stream))
            got = broker.wait_for_publishes(4 * seq)
    said = [(each.topic, each.alias) for each in got]
    assert said == [
        ("framelane/gate-01/streams/lobby/state", None),
        (topic("a"), 1),
        (topic("b"), 2),
        (topic("c"), None),
        ("framelane/gate-01/streams/lobby/state", None),
        ("", 1),
        ("", 2),
        (topic("c"), None),
    ]
    saved = got[3].size - got[6].size
    assert saved == len(topic("b")) - 3


def test_sink_begins_anew_with_aliases_on_each_connection(start: Start) -> None:
    manners = [Manner(alias_maximum=5, cut_after=2), Manner(alias_maximum=1), Manner()]
    with FakeBroker(manners) as broker:
        sink = start(broker.url)
        for seq in (1, 2):
            sink.offer(detections(seq, "a"))
        first = broker.wait_for_publishes(2)
        for seq in (1, 2, 3):
            sink.offer(detections(seq, "b"))
        got = broker.wait_for_publishes(5)
    assert [(each.topic, each.alias) for each in first[:2]] == [(topic("a"), 1), ("", 1)]
    again = [each for each in got if each.connection == 1]
    assert again[0].topic
    assert [each.alias for each in again if each.topic == topic("b")] in ([1], [None] * 3)


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_consumers_see_whole_topics_through_a_real_broker(
    tmp_path: Path, start: Start, protocol: str
) -> None:
    streams = [f"cam{number:02d}" for number in range(15)]  # mosquitto allows ten aliases
    with Mosquitto(tmp_path) as broker:
        sink = start(broker.url, protocol=protocol)
        for life in range(2):
            sink.watch.wait(connected=True, count=life + 1)
            with Subscriber(broker.url, "framelane/#") as subscriber:
                for seq in range(1, 4):
                    for stream in streams:
                        sink.offer(detections(seq, stream))
                subscriber.wait_for_count(45)
                for stream in streams:
                    assert seqs([each.payload for each in subscriber.on_topic(topic(stream))]) == [1, 2, 3]
            broker.restart()
