"""Measure how long an overloaded daemon takes to be on time again after some streams are removed."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from framelane.measure.errors import BenchError
from framelane.measure.report import number
from lab.spans import Span, calm_since

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from framelane.measure.process import Child
    from lab.daemon_run import DaemonRun
    from lab.neighbors import Subscriber
    from lab.rise import Load

CALM_S = 5.0
"""Goal: seconds from the reload."""
_SPAN_S = 1.0
_RELOAD_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class Relief:
    """A change from many streams to fewer.

    Attributes:
        before: the measurement with all streams.
        streams: number of streams before the change.
        left: number of streams after it.
        reload_s: duration of `framelane reload`.
        calm_s: from its start until p95 of the remaining streams stayed below the limit; None if never.
        spans: results of these streams by second, since then.
    """

    before: DaemonRun
    streams: int
    left: int
    reload_s: float
    calm_s: float | None
    spans: tuple[Span, ...]

    def cells(self) -> dict[str, str]:
        """Return the figures by name."""
        publish = self.before.publish_ms
        return {
            f"{self.streams} streams: p95 ms": number(publish.p95 if publish else None),
            f"{self.streams} to {self.left} streams: reload, s": number(self.reload_s, 2),
            f"{self.streams} to {self.left} streams: on time after, s": number(self.calm_s),
        }


def reload(config: Path) -> None:
    """Make the daemon of a configuration apply its changed file.

    Raises:
        BenchError: the reload fails.
    """
    command = [sys.executable, "-m", "framelane", "reload", str(config)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_RELOAD_TIMEOUT_S, check=False)
    if done.returncode:
        raise BenchError(f"framelane reload: {(done.stderr or done.stdout).strip()}")


def watch_relief(
    daemon: Child, subscriber: Subscriber, load: Load, began_s: float, names: Collection[str]
) -> tuple[float | None, tuple[Span, ...]]:
    """Watch the remaining streams for `patience_s`; return since when they are on time, and the spans.

    Args:
        daemon: the running daemon.
        subscriber: receives the results; its window has started.
        load: the remaining load.
        began_s: start of the count, on the monotonic clock.
        names: names of the remaining streams.

    Raises:
        BenchError: the daemon ends.
    """
    spans: list[Span] = []
    while (at_s := time.monotonic() - began_s) < load.patience_s:
        due_s = (len(spans) + 1) * _SPAN_S
        time.sleep(max(0.0, due_s - at_s))
        received = subscriber.take()
        spans.append(Span.of(received, time.monotonic() - began_s, daemon.usage().rss_mb, names))
    return calm_since(spans, load.limit_ms, load.streams, live=load.live), tuple(spans)
