"""How long a daemon that has too many streams takes to be in time again when some are taken out while it runs."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from framelane.bench.errors import BenchError
from framelane.bench.report import number
from framelane.bench.spans import Span, calm_since

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from framelane.bench.daemon_run import DaemonRun
    from framelane.bench.neighbours import Subscriber
    from framelane.bench.process import Child
    from framelane.bench.rise import Load

CALM_S = 5.0
"""What is asked: from the reload on."""
_SPAN_S = 1.0
_RELOAD_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class Relief:
    """A change from many streams to fewer.

    Attributes:
        before: the measurement with all streams.
        streams: before the change.
        left: after it.
        reload_s: that `framelane reload` took.
        calm_s: from its start until p95 of the streams that are left came below the limit for good; None for never.
        spans: what came of these second by second, since then.
    """

    before: DaemonRun
    streams: int
    left: int
    reload_s: float
    calm_s: float | None
    spans: tuple[Span, ...]

    def cells(self) -> dict[str, str]:
        """Its figures under their names."""
        publish = self.before.publish_ms
        return {
            f"{self.streams} streams: p95 ms": number(publish.p95 if publish else None),
            f"{self.streams} to {self.left} streams: reload, s": number(self.reload_s, 2),
            f"{self.streams} to {self.left} streams: in time after, s": number(self.calm_s),
        }


def reload(config: Path) -> None:
    """Have the daemon of a configuration take over what its file now says.

    Raises:
        BenchError: it does not.
    """
    command = [sys.executable, "-m", "framelane", "reload", str(config)]
    done = subprocess.run(  # noqa: S603 - our own command
        command, capture_output=True, text=True, timeout=_RELOAD_TIMEOUT_S, check=False
    )
    if done.returncode:
        raise BenchError(f"framelane reload: {(done.stderr or done.stdout).strip()}")


def watch_relief(
    daemon: Child, subscriber: Subscriber, load: Load, began_s: float, names: Collection[str]
) -> tuple[float | None, tuple[Span, ...]]:
    """Watch the streams that are left for `patience_s`; since when they are in time, and what came.

    Args:
        daemon: that serves them.
        subscriber: sees what comes; its window has begun.
        load: what is left.
        began_s: from when seconds count, on the monotonic clock.
        names: of the streams that are left.

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
