"""A worker process that misbehaves as its first argument says; the second is a file that gets a line an order."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import replace
from pathlib import Path

from framelane.core.events import Event, TrackedObject
from framelane.core.frames import ModelInfo
from framelane.fleet.protocol import (
    Answered,
    Change,
    Changed,
    Failed,
    Happened,
    Inbox,
    Order,
    RetryLogins,
    Snapshot,
    Started,
    send,
)
from framelane.telemetry.meters import Meters
from framelane.telemetry.sink_health import SinkHealth
from framelane.telemetry.states import StreamDetails, StreamState
from framelane.telemetry.stats import ProcessSample

MODEL = ModelInfo("m", "0" * 12, "onnxruntime", ("person",))


def take_order(inbox: Inbox) -> Order:
    orders = inbox.wait(60.0)
    (order,) = orders
    assert isinstance(order, Order)
    return order


def mark(marks: Path, name: str) -> bool:
    """Whether this is the first worker's first start; workers start at once."""
    for file in (marks, marks.with_suffix(f".{name}")):
        with file.open("a") as lines:
            lines.write(f"{os.getpid()}\n")
    return name == "w0" and len(file.read_text().splitlines()) == 1


def main() -> None:
    mode, marks = sys.argv[1], Path(sys.argv[2])
    inbox = Inbox(0)
    order = take_order(inbox)
    first = mark(marks, order.name)
    worker = Fake(order)
    if mode == "crash":
        sys.exit(7)
    if mode in ("bad-model", "device-lost"):
        worker.say(Failed(3 if mode == "bad-model" else 70, f"says {mode}"))
        sys.exit(3 if mode == "bad-model" else 70)
    if mode == "never-starts":
        time.sleep(60)
    worker.begin()
    if first and mode == "hangs-once":
        time.sleep(60)
    if first and mode == "floods-once":
        while True:
            os.write(order.answer_to, os.urandom(1 << 16))
    if first and mode in ("dies-once", "sees-and-dies-once"):
        sys.exit(9)
    if mode == "wedged" or (mode == "wedged-once" and first):
        worker.hangs = True
        worker.report(60.0)
    if mode == "deaf":
        worker.report(60.0)
    worker.until_told(inbox)


class Fake:
    """Says what a good worker says."""

    def __init__(self, order: Order) -> None:
        self.order = order
        self.meters = Meters()
        self.hangs = False
        self.streams = [stream.id for stream in order.config.streams if stream.enabled]

    def say(self, message: Started | Changed | Happened | Snapshot | Failed | Answered) -> None:
        send(self.order.answer_to, message)

    def begin(self) -> None:
        self.speak_of_streams()
        self.say(Started(f"run-{os.getpid()}", (MODEL,)))
        self.snapshot()
        if sys.argv[1] == "sees-and-dies-once":
            self.see_someone()

    def see_someone(self) -> None:
        """In each stream, an object comes and crosses a line."""
        for stream in self.streams:
            run = f"run-{os.getpid()}"
            seen = TrackedObject(
                id=f"gate/{stream}/{run}/1",
                track_id=1,
                label="person",
                confidence=0.9,
                xyxy=(1, 2, 3, 4),
                width=640,
                height=480,
                since=0.0,
                stationary=False,
                zones=(),
            )
            came = Event(stream, run, "m", "new", seen, time.time(), "receive", 1)
            self.say(Happened((came, replace(came, kind="line", rule="street", direction="left")), lost=1))

    def speak_of_streams(self) -> None:
        for stream in self.streams:
            self.meters.stream(stream).frame_received()
            details = StreamDetails("h264", 640, 480)
            self.say(
                Changed(StreamState(stream, "live", "ok", "frames arrive", time.time(), details=details))
            )

    def snapshot(self) -> None:
        seen = dict.fromkeys(self.streams, time.monotonic())
        error = "the broker refuses this client" if sys.argv[1] == "refused" else None
        sink = SinkHealth("mqtt", error is None, 2, 10, 1, error)
        liveness_reasons = ("frames arrive, but none was inferred for 31 s",) if self.hangs else ()
        self.say(Snapshot(self.meters.snapshot(), seen, (sink,), liveness_reasons, ProcessSample(1000, 0.5)))

    def report(self, seconds: float) -> None:
        end_s = time.monotonic() + seconds
        while time.monotonic() < end_s:
            self.snapshot()
            time.sleep(0.05)

    def until_told(self, inbox: Inbox) -> None:
        while not inbox.ended:
            for message in inbox.wait(60.0):
                if isinstance(message, Change):
                    self.change(message)
                elif isinstance(message, RetryLogins):
                    for stream in self.streams:
                        self.say(
                            Changed(StreamState(stream, "connecting", "opening", "hurries", time.time()))
                        )
                else:
                    self.snapshot()

    def change(self, change: Change) -> None:
        refuses = sys.argv[1] == ("refuses-commit" if change.commit else "refuses-change")
        if sys.argv[1] == "refuses-strangers":
            refuses = any(stream.enabled and stream.model == "strange" for stream in change.config.streams)
        if change.commit and not refuses:
            self.streams = [stream.id for stream in change.config.streams if stream.enabled]
            self.speak_of_streams()
        failure = Failed(3, "says no") if refuses else None
        self.say(Answered(change.number, (MODEL,), failure))
        if not refuses:
            self.snapshot()


if __name__ == "__main__":
    main()
