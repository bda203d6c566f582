"""The way out of a daemon without the way in: results at a steady rate into an outlet with a spool.

`python -m framelane.bench.spool_publisher URL FOLDER STREAMS OBJECTS` publishes nothing until it is told how fast, and
answers each line on standard input: `rate N` (results a second of all streams), `window` (figures since the last
such line), `go` (try the broker again at once; it is not tried otherwise).
"""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import orjson

from framelane.bench.figures import Percentiles
from framelane.bench.neighbours import NODE, stream_id
from framelane.config.schema import MqttConfig, PublishConfig
from framelane.core.backoff import Backoff
from framelane.core.clock import SystemClock
from framelane.core.frames import Detections, FrameInfo, ModelInfo, Result
from framelane.core.log import setup
from framelane.core.worker import Worker
from framelane.sinks.mqtt import MqttSink
from framelane.sinks.outlet import Outlet
from framelane.sinks.spool_place import SpoolPlace

if TYPE_CHECKING:
    from framelane.sinks.sink import SinkHealth

_MODEL = ModelInfo("bench", "000000000000", "onnxruntime", ("person", "bicycle", "car"))
_LATEST = 20_000
_TURN_S = 0.01  # between two bursts: cameras are not evenly spread either


@dataclass(slots=True)
class Publishing:
    """A window.

    Attributes:
        seconds: its length.
        published: results handed to the outlet.
        publish_ms: how long the outlet took for each of the last ones, which is all that the pipeline feels.
        queued: detections that wait at its end.
        delivered: acknowledged by the broker since the start.
        dropped: given up since the start.
        spooled: on disk at its end.
        disk_bytes: what they take.
    """

    seconds: float
    published: int
    publish_ms: Percentiles | None
    queued: int = 0
    delivered: int = 0
    dropped: int = 0
    spooled: int = 0
    disk_bytes: int = 0

    @staticmethod
    def from_json(text: str) -> Publishing:
        """What the publisher answers to `window`."""
        body = orjson.loads(text)
        spread = body.pop("publish_ms")
        return Publishing(publish_ms=Percentiles(**spread) if spread else None, **body)


class Held(Backoff):
    """No try but when told to: a benchmark has the broker up and its subscriber ready before."""

    def __init__(self) -> None:
        super().__init__(1.0, 1.0)
        self._go = threading.Event()

    def next_s(self) -> float:
        """Wait here."""
        self._go.wait()
        self._go.clear()
        return 0.0

    def go(self) -> None:
        """Try now."""
        self._go.set()


class _Uncounted:
    """Counts no results."""

    def result_published(self, stream: str, latency_s: float) -> None:
        """Forget it."""

    def result_left_out(self, stream: str, reason: str) -> None:
        """Never called: all are published."""


class Publisher(Worker):
    """Publishes results of all streams in turn, at a rate that can be changed."""

    def __init__(self, outlet: Outlet, streams: int, objects: int) -> None:
        super().__init__("publisher")
        self.rate = 0.0
        self._outlet = outlet
        self._streams = [stream_id(number) for number in range(streams)]
        self._detections = _detections(objects)
        self._lock = threading.Lock()
        self._number = 0
        self._began_s = self._at_s = time.monotonic()
        self._owed = 0.0
        self._published = 0
        self._spent_s: deque[float] = deque(maxlen=_LATEST)

    def run_once(self) -> None:
        """Publish what is due, and wait for the next turn."""
        now_s = time.monotonic()
        self._owed += (now_s - self._at_s) * self.rate
        self._at_s = now_s
        while self._owed >= 1.0:
            self._owed -= 1.0
            self._publish()
        self.stopping.wait(_TURN_S)

    def window(self, health: SinkHealth) -> Publishing:
        """Figures since the last call."""
        with self._lock:
            spent_s = list(self._spent_s)
            published, self._published = self._published, 0
            self._spent_s.clear()
            began_s, self._began_s = self._began_s, time.monotonic()
        spool = health.spool
        return Publishing(
            seconds=time.monotonic() - began_s,
            published=published,
            publish_ms=Percentiles.of_seconds(spent_s),
            queued=health.queued,
            delivered=health.delivered,
            dropped=health.dropped,
            spooled=spool.messages if spool else 0,
            disk_bytes=spool.disk_bytes if spool else 0,
        )

    def _publish(self) -> None:
        index, turn = divmod(self._number, len(self._streams))
        self._number += 1
        result = _result(self._streams[turn], index, self._detections)
        began_s = time.perf_counter()
        self._outlet.publish(result)
        with self._lock:
            self._published += 1
            self._spent_s.append(time.perf_counter() - began_s)


def main() -> None:
    """Publish, and answer until standard input ends."""
    setup("error", "console")
    url, folder, streams, objects = sys.argv[1:]
    clock, held = SystemClock(), Held()
    place = SpoolPlace(Path(folder))
    sink = MqttSink(MqttConfig(url=url), NODE, "bench", clock, backoff=held, place=place)
    publish = PublishConfig()
    outlet = Outlet(
        NODE, "bench", lambda _stream: publish, [sink], meter=_Uncounted(), clock=clock, farewell=False
    )
    publisher = Publisher(outlet, int(streams), int(objects))
    outlet.start()
    publisher.start()
    _say("ready")
    for line in sys.stdin:
        order, _, value = line.strip().partition(" ")
        if order == "rate":
            publisher.rate = float(value)
        elif order == "go":
            held.go()
        _say(orjson.dumps(asdict(publisher.window(sink.health()))).decode() if order == "window" else "{}")
    publisher.stop()
    held.go()
    outlet.stop(1.0)


def _detections(count: int) -> Detections:
    left = np.linspace(10.0, 1500.0, count, dtype=np.float32)
    xyxy = np.stack([left, left + 5, left + 80.4, left + 191.7], axis=1).astype(np.float32)
    return Detections(
        xyxy, np.linspace(0.9, 0.41, count).astype(np.float32), (np.arange(count) % 3).astype(np.int32)
    )


def _result(stream: str, index: int, detections: Detections) -> Result:
    frame = FrameInfo(
        stream=stream,
        index=index,
        pts_s=index / 30.0,
        captured_at=time.time(),
        clock="receive",
        received_s=time.monotonic(),
        width=1920,
        height=1080,
    )
    return Result(frame, _MODEL, detections, queued_s=0.0012, inferred_s=0.0134)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
