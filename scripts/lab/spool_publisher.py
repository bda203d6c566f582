"""The daemon's delivery without its pipeline: results at a steady rate into a publisher with a spool.

`python -m lab.spool_publisher URL FOLDER STREAMS OBJECTS` publishes nothing until it gets a rate. It answers
each line on standard input: `rate N` (results per second of all streams), `window` (figures since the last
such line), `go` (connect to the broker now; it never retries otherwise).
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

from framelane.config.sections.mqtt import MqttConfig
from framelane.config.sections.publish import PublishConfig
from framelane.core.backoff import Backoff
from framelane.core.clock import SystemClock
from framelane.core.frames import Detections, FrameInfo, ModelInfo, Result
from framelane.core.log import setup
from framelane.core.worker import Worker
from framelane.measure.figures import Percentiles
from framelane.sinks.mqtt.sink import MqttSink
from framelane.sinks.mqtt.spool.location import SpoolLocation
from framelane.sinks.publisher import Publisher
from framelane.telemetry.meters import StreamMeter
from lab.neighbors import NODE, stream_id

if TYPE_CHECKING:
    from framelane.telemetry.sink_health import SinkHealth

_MODEL = ModelInfo("bench", "000000000000", "onnxruntime", ("person", "bicycle", "car"))
_LATEST = 20_000
# Seconds between two bursts, because cameras are not evenly spread either.
_TURN_S = 0.01


@dataclass(slots=True)
class Publishing:
    """The publisher's figures of one window.

    Attributes:
        seconds: length of the window.
        published: results handed to the publisher.
        publish_ms: time in the publisher for each of the last results, which is all that the pipeline
            notices.
        queued: waiting detections at its end.
        delivered: acknowledged by the broker since the start.
        dropped: given up since the start.
        spooled: messages on disk at its end.
        disk_bytes: their size on disk.
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
        """Parse the publisher's answer to `window`."""
        body = orjson.loads(text)
        spread = body.pop("publish_ms")
        return Publishing(publish_ms=Percentiles(**spread) if spread else None, **body)


class Held(Backoff):
    """Retries only on request, so that the broker and its subscriber are ready first."""

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


class SteadyPublisher(Worker):
    """Publishes results of all streams in turn, at a variable rate."""

    def __init__(self, publisher: Publisher, streams: int, objects: int) -> None:
        super().__init__("publisher")
        self.rate = 0.0
        self._streams = [stream_id(number) for number in range(streams)]
        self._outputs = [
            publisher.open(stream, PublishConfig(), StreamMeter(stream)) for stream in self._streams
        ]
        self._detections = _detections(objects)
        self._lock = threading.Lock()
        self._number = 0
        self._began_s = self._at_s = time.monotonic()
        self._owed = 0.0
        self._published = 0
        self._spent_s: deque[float] = deque(maxlen=_LATEST)

    def run_once(self) -> None:
        """Publish the due results and wait for the next burst."""
        now_s = time.monotonic()
        self._owed += (now_s - self._at_s) * self.rate
        self._at_s = now_s
        while self._owed >= 1.0:
            self._owed -= 1.0
            self._publish()
        self.stopping.wait(_TURN_S)

    def window(self, health: SinkHealth) -> Publishing:
        """Return the figures since the last call."""
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
        self._outputs[turn].publish(result)
        with self._lock:
            self._published += 1
            self._spent_s.append(time.perf_counter() - began_s)


def main() -> None:
    """Publish and answer until standard input ends."""
    setup("error", "console")
    url, folder, streams, objects = sys.argv[1:]
    clock, held = SystemClock(), Held()
    place = SpoolLocation(Path(folder))
    sink = MqttSink(MqttConfig(url=url), NODE, "bench", clock, backoff=held, place=place)
    publisher = Publisher(NODE, "bench", [sink], clock, farewell=False)
    steady = SteadyPublisher(publisher, int(streams), int(objects))
    publisher.start()
    steady.start()
    _say("ready")
    for line in sys.stdin:
        order, _, value = line.strip().partition(" ")
        if order == "rate":
            steady.rate = float(value)
        elif order == "go":
            held.go()
        _say(orjson.dumps(asdict(steady.window(sink.health()))).decode() if order == "window" else "{}")
    steady.stop()
    held.go()
    publisher.stop(1.0)


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
