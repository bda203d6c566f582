"""Publishes one stream's results: numbers them, applies `publish`, encodes messages."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Protocol

from framelane.messages.detections import detections_message
from framelane.sinks.selection import Selection

if TYPE_CHECKING:
    from framelane.config.sections.publish import PublishConfig
    from framelane.core.clock import Clock
    from framelane.core.drop_reasons import LeftOutReason
    from framelane.core.frames import FrameInfo, Result
    from framelane.messages.detections import Encoding, Message, Origin
    from framelane.telemetry.meters import StreamMeter

_LATEST_LATENCY_S = 60.0
"""A longer latency means that the camera's clock is wrong."""


class MessageSender(Protocol):
    """Sends messages, and tells how to encode them."""

    origin: Origin
    clock: Clock
    encoding: Encoding

    def offer(self, message: Message) -> None:
        """Send a message; returns at once."""
        ...


class StreamOutput:
    """Publishes the results of one stream, of all its models, with one sequence of numbers. Thread-safe.

    Args:
        sender: sends the messages.
        publish: which results become messages.
        meter: counts them.
        seq: the last number that was used.
    """

    def __init__(
        self, sender: MessageSender, publish: PublishConfig, meter: StreamMeter, seq: int = 0
    ) -> None:
        self._sender = sender
        self._publish = publish
        self._meter = meter
        self._seq = seq
        self._closed = False
        self._selections: dict[str, Selection] = {}
        self._lock = threading.Lock()

    def follow(self, publish: PublishConfig) -> None:
        """Use other options from the next result on; equal options change nothing."""
        with self._lock:
            self._publish = publish
            for selection in self._selections.values():
                selection.follow(publish)

    def publish(self, result: Result) -> None:
        """Number a result and send it, unless `publish` leaves it out."""
        latency_s = self._latency_s(result.frame)
        self._meter.objects.saw(result)
        # The message goes out under the lock, or two models of a stream could overtake each other.
        with self._lock:
            if self._closed:
                return
            left_out = self._send(result, latency_s)
        if left_out is None:
            self._meter.result_published(latency_s)
        else:
            self._meter.result_left_out(left_out)

    def close(self) -> int:
        """Publish nothing more; return the last number."""
        with self._lock:
            self._closed = True
            return self._seq

    def _send(self, result: Result, latency_s: float) -> LeftOutReason | None:
        selection = self._selections.get(result.model.name)
        if selection is None:
            selection = self._selections[result.model.name] = Selection(self._publish)
        selection.saw(result.frame.index)
        empty = not len(result.detections)
        left_out = selection.left_out(empty=empty, now_s=self._sender.clock.monotonic())
        if left_out is not None:
            return left_out
        message = detections_message(
            self._sender.origin,
            result,
            seq=self._seq + 1,
            dropped=selection.dropped,
            total_s=latency_s,
            encoding=self._sender.encoding,
        )
        self._seq += 1
        selection.dropped = 0
        self._sender.offer(message)
        return None

    def _latency_s(self, frame: FrameInfo) -> float:
        """Return seconds since capture if the clocks can tell, else since the frame was ready."""
        in_hand_s = self._sender.clock.monotonic() - frame.received_s
        if frame.clock == "media":
            return in_hand_s
        captured_s = self._sender.clock.wall() - frame.captured_at
        return captured_s if in_hand_s <= captured_s <= _LATEST_LATENCY_S else in_hand_s
