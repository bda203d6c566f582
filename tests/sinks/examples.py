"""Values and helpers that the tests of the sinks share."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import jsonschema
import numpy as np
import orjson
import ormsgpack

from framelane.core.frames import Detections, FrameInfo, ModelInfo, Result
from framelane.messages import schemas
from framelane.messages.detections import Message, Origin, detections_message
from framelane.messages.reports import state_message, status_message
from framelane.telemetry.gpus import GpuSample
from framelane.telemetry.states import NodeState, StreamState
from framelane.telemetry.stats import LatencyMs, ModelStats, NodeStats, StreamStats

if TYPE_CHECKING:
    from framelane.messages.detections import Encoding

ORIGIN = Origin("gate-01", "run-1")
YOLOX = ModelInfo("yolox", "695e750a5d57", "onnxruntime", ("person", "bicycle", "car"))
WALL_S = 1_795_338_000.123456  # 2026-11-22T09:00:00.123456Z


class FakeClock:
    """Time that moves only when told to."""

    def __init__(self, monotonic_s: float = 100.0, wall_s: float = WALL_S) -> None:
        self.monotonic_s = monotonic_s
        self.wall_s = wall_s

    def monotonic(self) -> float:
        return self.monotonic_s

    def wall(self) -> float:
        return self.wall_s

    def advance(self, seconds: float) -> None:
        self.monotonic_s += seconds
        self.wall_s += seconds


class ShiftedClock:
    """The host's clock, which tests may set forward, and slow down for a busy host."""

    def __init__(self, pace: float = 1.0) -> None:
        self.shift_s = 0.0
        self._pace = pace

    def monotonic(self) -> float:
        return time.monotonic() * self._pace + self.shift_s

    def wall(self) -> float:
        return time.time() + self.shift_s


class Watch:
    """Records what a sink says of its connection, so that tests wait for it."""

    def __init__(self) -> None:
        self.seen: list[tuple[bool, str]] = []
        self._changed = threading.Condition()

    def __call__(self, *, connected: bool, text: str) -> None:
        with self._changed:
            self.seen.append((connected, text))
            self._changed.notify_all()

    def wait(self, *, connected: bool, count: int = 1, text: str = "", timeout_s: float = 10.0) -> str:
        """Until it has been (dis)connected `count` times, with `text` among the words; returns the words."""

        def found() -> list[str]:
            return [said for state, said in self.seen if state == connected and text in said]

        with self._changed:
            done = self._changed.wait_for(lambda: len(found()) >= count, timeout_s)
        assert done, f"{self.seen} has not {count} times {connected} with {text!r}"
        return found()[-1]


class Gate:
    """Waits between connections that end when the test says so."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def next_s(self) -> float:
        self._event.wait(10)
        self._event.clear()
        return 0.0

    def reset(self) -> None:
        """Nothing grows here."""

    def open(self) -> None:
        self._event.set()


def objects(count: int, *, track: bool = False) -> Detections:
    left = np.arange(count, dtype=np.float32) * 10.0 + 0.123
    xyxy = np.stack([left, left + 1, left + 20.456, left + 41], axis=1).astype(np.float32)
    return Detections(
        xyxy,
        np.linspace(0.98765, 0.4, count).astype(np.float32),
        (np.arange(count) % 3).astype(np.int32),
        np.arange(count, dtype=np.int64) + 17 if track else None,
    )


def frame(index: int = 0, stream: str = "lobby", **changes: Any) -> FrameInfo:
    values: dict[str, Any] = {
        "pts_s": 12.345,
        "captured_at": WALL_S,
        "clock": "receive",
        "received_s": 100.0,
        "width": 1920,
        "height": 1080,
    }
    return FrameInfo(stream=stream, index=index, **{**values, **changes})


def result(
    index: int = 0, count: int = 1, stream: str = "lobby", model: ModelInfo = YOLOX, **changes: Any
) -> Result:
    return Result(frame(index, stream, **changes), model, objects(count), queued_s=0.0012, inferred_s=0.0134)


def detections(seq: int, stream: str = "lobby", count: int = 1, encoding: Encoding = "json") -> Message:
    made = result(seq, count, stream)
    return detections_message(ORIGIN, made, seq=seq, dropped=0, total_s=0.03, encoding=encoding)


def state(name: Any = "live", stream: str = "lobby") -> Message:
    return state_message(ORIGIN, StreamState(stream, name, "ok", "frames arrive", WALL_S))


def status(name: Any = "online", reason: str = "ok") -> Message:
    return status_message(ORIGIN, NodeState(name, reason, "", WALL_S, 1, 1))


FAREWELL = status("offline", "stopping")


def node_stats(*, idle: bool = False) -> NodeStats:
    latency = None if idle else LatencyMs(30.123, 45.0, 51.0)
    common: dict[str, Any] = {
        "window_s": 10.0001,
        "fps_in": 25.0,
        "fps_decoded": 24.999,
        "fps_inferred": 10.0,
        "fps_published": 10.0,
        "dropped": {"fps": 150, "replaced": 0},
        "left_out": {"empty": 0, "rate": 0},
        "latency_ms": latency,
    }
    mean = None if idle else 12.3456
    stream = StreamStats(stream="lobby", queue_ms=mean, infer_ms=mean, reconnects=1, **common)
    model = ModelStats("yolox", 2.5, mean, mean, mean, mean)
    full = GpuSample(0, "NVIDIA Test 100", 0.73, 3 << 30, 80 << 30, 61.0, 0.4, 312.44, ("sw_power_cap",))
    gpus = (GpuSample(0, "NVIDIA Test 100"),) if idle else (full,)
    return NodeStats(
        streams=(stream,), models=(model,), rss_bytes=200_000_000, cpu_cores=0.51234, gpus=gpus, **common
    )


def seqs(payloads: list[bytes]) -> list[int]:
    return [orjson.loads(payload)["seq"] for payload in payloads]


def checked(message: Message) -> Any:
    """The message decoded, after its schema has accepted it with no key that the schema does not know."""
    decode = orjson.loads if message.encoding == "json" else ormsgpack.unpackb
    body = decode(message.payload)
    name = body["schema"].removeprefix("framelane.").removesuffix("/1")
    schema = _closed(schemas.load(name))
    jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker()).validate(body)
    return body


def _closed(schema: Any) -> Any:
    """Consumers must let new keys pass; we must not send any that the schema does not tell of."""
    if isinstance(schema, list):
        return [_closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: _closed(value) for key, value in schema.items()}
    if "properties" in closed and isinstance(closed.get("type"), str):
        closed.setdefault("additionalProperties", False)
    return closed
