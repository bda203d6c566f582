"""A sink that writes one line of CSV per detection, as somebody would add it: this file, and one line in a table."""

from __future__ import annotations

import csv
import json
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from framelane.config.sections.section import Section, Text
from framelane.telemetry.sink_health import SinkHealth

if TYPE_CHECKING:
    from framelane.messages.detections import Message
    from framelane.sinks.table import SinkContext


class CsvConfig(Section):
    """Detections as CSV."""

    path: Text


class CsvSink:
    def __init__(self, config: CsvConfig) -> None:
        self._file = Path(config.path).open("a", encoding="utf-8", newline="")  # noqa: SIM115 - open until `stop`
        self._writer = csv.writer(self._file)
        self._lock = threading.Lock()
        self._written = 0

    def start(self) -> None: ...

    def offer(self, message: Message) -> None:
        if message.kind != "detections":
            return
        body = json.loads(message.payload)
        with self._lock:
            for found in body["detections"]:
                self._writer.writerow([body["stream"], body["seq"], found["label"], *found["box"]])
            self._written += 1

    def stop(self, drain_s: float, farewell: Message | None) -> None:
        self._file.close()

    def health(self) -> SinkHealth:
        return SinkHealth("csv", True, 0, self._written, 0, None)  # noqa: FBT003 - positions of a value


SECTION = CsvConfig


def make(config: CsvConfig, context: SinkContext) -> CsvSink:
    return CsvSink(config)
