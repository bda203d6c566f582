"""Measure messages per second from results to the broker's acknowledgments, and their cost.

`deliver_framelane` is the daemon's own path (publisher, queue, sink); `deliver_paho` is a plain paho loop
with the same payloads, made before the clock starts. Each is called in a separate process, on one core.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import numpy as np
from paho.mqtt.client import Client, MQTTv5, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion

from framelane.config.sections.mqtt import MqttConfig
from framelane.config.sections.publish import PublishConfig
from framelane.core.clock import SystemClock
from framelane.core.frames import Detections, FrameInfo, ModelInfo, Result
from framelane.measure.errors import BenchError
from framelane.messages.detections import Origin, detections_message
from framelane.sinks.mqtt.sink import MqttSink
from framelane.sinks.publisher import Publisher
from framelane.telemetry.meters import StreamMeter

if TYPE_CHECKING:
    from framelane.messages.detections import Encoding, Message
    from framelane.sinks.stream_output import StreamOutput

_MODEL = ModelInfo("yolox", "695e750a5d57", "onnxruntime", ("person", "bicycle", "car"))
_NODE = "bench"
_PATIENCE_S = 10.0
# Most results that wait for the broker while flooding.
_AHEAD = 512
_NAP_S = 0.001
_SIZE = (1920, 1080)


@dataclass(frozen=True, slots=True)
class Load:
    """What to send, and how.

    Attributes:
        url: URL of the broker.
        protocol: version of MQTT.
        encoding: encoding of the payloads.
        qos: QoS of the messages.
        inflight: most unacknowledged messages.
        streams: number of streams that the results belong to, in turn.
        objects: objects in each result.
        rate: results per second of all streams together; as many as possible if None.
        burst: results that come at once, like a batch.
        seconds: length of the measurement.
        core: core that the process is bound to; any if None.
    """

    url: str
    protocol: str
    encoding: Encoding
    qos: int
    inflight: int
    streams: int
    objects: int
    rate: float | None
    burst: int
    seconds: float
    core: int | None


@dataclass(frozen=True, slots=True)
class Delivered:
    """Acknowledged messages, the time they took, and the process's CPU (user and system) in that time."""

    messages: int
    seconds: float
    cpu_s: float

    @property
    def rate(self) -> float:
        """Return messages per second."""
        return self.messages / self.seconds

    @property
    def cpu_us(self) -> float:
        """Return microseconds of CPU per message."""
        return 1e6 * self.cpu_s / self.messages if self.messages else 0.0


def deliver_framelane(load: Load) -> Delivered:
    """Results through publisher, queue and sink.

    Raises:
        BenchError: the broker can't be reached, or messages were lost.
    """
    _bind(load.core)
    clock = SystemClock()
    config = MqttConfig.model_validate(
        {
            "url": load.url,
            "protocol": load.protocol,
            "payload": load.encoding,
            "qos": load.qos,
            "inflight": load.inflight,
        }
    )
    sink = MqttSink(config, _NODE, "bench", clock)
    publisher = Publisher(_NODE, "bench", [sink], clock, load.encoding)
    outputs = [
        publisher.open(f"s{number}", PublishConfig(), StreamMeter("s")) for number in range(load.streams)
    ]
    publisher.start()
    try:
        _wait_for(sink)
        return _measured(outputs, sink, load)
    finally:
        publisher.stop(1.0)


def _measured(outputs: list[StreamOutput], sink: MqttSink, load: Load) -> Delivered:
    detections = _detections(load.objects)
    began_s, cpu_s, before = time.monotonic(), time.process_time(), sink.health().delivered
    index = 0
    while (now_s := time.monotonic()) - began_s < load.seconds:
        due = int((now_s - began_s) * load.rate) - index if load.rate else _AHEAD - sink.health().queued
        for _ in range(min(due, _AHEAD)):
            outputs[index % load.streams].publish(_result(index, load.streams, detections))
            index += 1
        time.sleep(load.burst / load.rate if load.rate else _NAP_S)
    health = sink.health()
    if health.dropped:
        raise BenchError(f"{health.dropped} of {index} messages were dropped")
    return Delivered(health.delivered - before, time.monotonic() - began_s, time.process_time() - cpu_s)


def deliver_paho(load: Load) -> Delivered:
    """Deliver ready payloads from one thread that publishes while the window has room, and else loops."""
    _bind(load.core)
    messages = _messages(load)
    acknowledged = 0
    connected = False

    def on_publish(*_: object) -> None:
        nonlocal acknowledged
        acknowledged += 1

    def on_connect(*_: object) -> None:
        nonlocal connected
        connected = True

    client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTv5 if load.protocol == "5" else MQTTv311)
    client.max_inflight_messages_set(load.inflight)
    client.on_publish, client.on_connect = on_publish, on_connect
    address = urlsplit(load.url)
    client.connect(address.hostname or "127.0.0.1", address.port or 1883)
    while not connected:
        client.loop(_NAP_S)
    sent = 0
    began_s, cpu_s = time.monotonic(), time.process_time()
    while time.monotonic() - began_s < load.seconds:
        for _ in range(load.inflight - (sent - acknowledged)):
            topic, payload = messages[sent % len(messages)]
            client.publish(topic, payload, load.qos)
            sent += 1
        client.loop(_NAP_S)
    delivered = Delivered(acknowledged, time.monotonic() - began_s, time.process_time() - cpu_s)
    client.disconnect()
    return delivered


def _messages(load: Load) -> list[tuple[str, bytes]]:
    """Return one payload per stream, made before the clock starts."""
    detections = _detections(load.objects)

    def made(index: int) -> Message:
        result = _result(index, load.streams, detections)
        return detections_message(
            Origin(_NODE, "bench"), result, seq=1000, dropped=0, total_s=0.03, encoding=load.encoding
        )

    messages = [made(index) for index in range(load.streams)]
    return [(f"framelane/{_NODE}/streams/{each.stream}/detections", each.payload) for each in messages]


def _detections(count: int) -> Detections:
    random = np.random.default_rng(1)
    corners = np.sort(random.uniform(0, 1, (count, 2, 2)), axis=1) * _SIZE
    return Detections(
        corners.reshape(count, 4).astype(np.float32),
        np.sort(random.uniform(0.4, 1, count))[::-1].astype(np.float32),
        (np.arange(count) % len(_MODEL.labels)).astype(np.int32),
    )


def _result(index: int, streams: int, detections: Detections) -> Result:
    frame = FrameInfo(
        stream=f"cam{index % streams:02d}",
        index=index // streams,
        pts_s=index / streams / 30,
        captured_at=time.time() - 0.03,
        clock="receive",
        received_s=time.monotonic() - 0.03,
        width=_SIZE[0],
        height=_SIZE[1],
    )
    return Result(frame, _MODEL, detections, queued_s=0.002, inferred_s=0.014)


def _wait_for(sink: MqttSink) -> None:
    deadline_s = time.monotonic() + _PATIENCE_S
    while not sink.health().connected:
        if time.monotonic() > deadline_s:
            raise BenchError(f"no connection to the broker: {sink.health().last_error}")
        time.sleep(_NAP_S)


def _bind(core: int | None) -> None:
    if core is not None:
        os.sched_setaffinity(0, {core})
