"""A worker process that misbehaves as its first argument says; the second is a file that gets a line an order."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from framelane.core.frames import ModelInfo
from framelane.fleet.link import (
    Answered,
    Change,
    Changed,
    Failed,
    Hurry,
    Inbox,
    Order,
    Snapshot,
    Started,
    send,
)
from framelane.sinks.sink import SinkHealth
from framelane.telemetry.meters import Meters
from framelane.telemetry.states import StreamDetails, StreamState
from framelane.telemetry.stats import ProcessSample

MODEL = ModelInfo("m", "0" * 12, "onnxruntime", ("person",))


def take_order(inbox: Inbox) -> Order:
    orders = inbox.wait(60.0)
    if not orders:
        sys.exit(0)  # the daemon ends before it is this worker's turn
    (order,) = orders
    assert isinstance(order, Order)
    return order


def main() -> None:
    mode, marks = sys.argv[1], Path(sys.argv[2])
    inbox = Inbox(0)
    order = take_order(inbox)
    with marks.open("a") as file:
        file.write(f"{os.getpid()}\n")
    starts = len(marks.read_text().splitlines())
    worker = Fake(order)
    if mode == "crash":
        sys.exit(7)
    if mode in ("bad-model", "device-lost"):
        worker.say(Failed(3 if mode == "bad-model" else 70, f"says {mode}"))
        sys.exit(3 if mode == "bad-model" else 70)
    if mode == "never-starts":
        time.sleep(60)
    worker.begin()
    if starts == 1 and mode == "hangs-once":
        time.sleep(60)
    if starts == 1 and mode == "floods-once":
        while True:
            os.write(order.answer_to, os.urandom(1 << 16))
    if starts == 1 and mode == "dies-once":
        sys.exit(9)
    if mode == "wedged" or (mode == "wedged-once" and starts == 1):
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

    def say(self, message: Started | Changed | Snapshot | Failed | Answered) -> None:
        send(self.order.answer_to, message)

    def begin(self) -> None:
        self.speak_of_streams()
        self.say(Started(f"run-{os.getpid()}", (MODEL,)))
        self.snapshot()

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
        ailments = ("frames arrive, and none was inferred for 31 s",) if self.hangs else ()
        self.say(Snapshot(self.meters.snapshot(), seen, (sink,), ailments, ProcessSample(1000, 0.5)))

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
                elif isinstance(message, Hurry):
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
