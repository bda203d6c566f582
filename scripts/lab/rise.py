"""Measure how streams come up all at once: after a start, or after a common outage of their cameras."""

from __future__ import annotations

import math
import socket
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from framelane.measure.errors import BenchError
from framelane.measure.report import number
from lab.spans import Span, calm_since

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from framelane.measure.process import Child
    from lab.neighbors import Subscriber

SHARES = {"50 %": 0.5, "95 %": 0.95, "all": 1.0}
_SPAN_S = 1.0
_LOOK_S = 0.1


@dataclass(frozen=True, slots=True)
class Rise:
    """Times since a moment, in seconds; None if it never happened.

    Attributes:
        what: what happened at that moment.
        streams: number of streams that should come up.
        begin_s: start of the times below, since that moment: READY=1 after a start, else 0.
        live_s: when a share of the streams ("50 %") had given a result, by share.
        calm_s: when p95 from capture to publish fell below the limit for good.
        spans: results by second, since the moment.
    """

    what: str
    streams: int
    begin_s: float
    live_s: dict[str, float | None]
    calm_s: float | None
    spans: tuple[Span, ...]

    def cells(self) -> dict[str, str]:
        """Return the figures by name."""
        shares = [f"{share} {number(at_s)}" for share, at_s in self.live_s.items()]
        return {
            f"{self.what}: to READY=1, s": number(self.begin_s),
            f"{self.what}: from there, of {self.streams} streams live, s": ", ".join(shares),
            f"{self.what}: from there, backlog gone, s": number(self.calm_s),
        }


@dataclass(frozen=True, slots=True)
class Load:
    """What to watch.

    Attributes:
        streams: number of streams.
        live: whether cameras are live.
        limit_ms: limit for p95 from capture to publish.
        patience_s: longest time to watch.
        calm_s: how long p95 must have held before the watch ends.
    """

    streams: int
    live: bool
    limit_ms: float
    patience_s: float
    calm_s: float = 10.0


def watch_rise(
    what: str, daemon: Child, subscriber: Subscriber, load: Load, began_s: float, ready: Callable[[], bool]
) -> Rise:
    """Watch streams come up until all are live and on time for `calm_s`, or `patience_s` is over.

    Args:
        what: what happened.
        daemon: the running daemon.
        subscriber: receives the results.
        load: the load to watch.
        began_s: when it happened, on the monotonic clock.
        ready: returns whether the daemon has sent READY=1; called until it has.

    Raises:
        BenchError: the daemon ends.
    """
    subscriber.open()
    seen: dict[str, float] = {}
    spans: list[Span] = []
    ready_s: float | None = None
    due_s = time.monotonic() + _SPAN_S
    while (at_s := time.monotonic() - began_s) < load.patience_s:
        if ready_s is None and ready():
            ready_s = at_s
        for name in subscriber.frames():
            seen.setdefault(name, at_s)
        if time.monotonic() >= due_s:
            due_s += _SPAN_S
            received = subscriber.take()
            spans.append(Span.of(received, time.monotonic() - began_s, daemon.usage().rss_mb))
            for name in received.streams:
                seen.setdefault(name, spans[-1].end_s)
            calm_s = calm_since(spans, load.limit_ms, load.streams, live=load.live)
            if ready_s is not None and calm_s is not None and at_s - calm_s > load.calm_s:
                break
        time.sleep(_LOOK_S)
    if ready_s is None:
        raise BenchError(f"the daemon didn't send READY=1 within {load.patience_s:g} s")
    return _rise(what, load, ready_s, sorted(seen.values()), spans)


def _rise(what: str, load: Load, begin_s: float, seen_s: list[float], spans: list[Span]) -> Rise:
    live_s: dict[str, float | None] = {}
    for name, share in SHARES.items():
        count = math.ceil(share * load.streams)
        live_s[name] = seen_s[count - 1] - begin_s if len(seen_s) >= count else None
    calm_s = calm_since(spans, load.limit_ms, load.streams, live=load.live)
    # Spans are a second long, so the first good one may have started before `begin_s`.
    if calm_s is not None:
        calm_s = max(calm_s - begin_s, 0.0)
    return Rise(what, load.streams, begin_s, live_s, calm_s, tuple(spans))


@contextmanager
def readiness(folder: Path) -> Iterator[tuple[dict[str, str], Callable[[], bool]]]:
    """Yield a service manager's environment and a function that tells whether READY=1 has arrived."""
    address = folder / "notify"
    address.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as news:
        news.bind(str(address))
        news.setblocking(False)  # noqa: FBT003 - the socket module's own signature

        def ready() -> bool:
            while True:
                try:
                    message = news.recv(4096)
                except BlockingIOError:
                    return False
                if b"READY=1" in message:
                    return True

        yield {"NOTIFY_SOCKET": str(address)}, ready
